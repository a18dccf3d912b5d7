"""What is wrong is told in one line, before any weights load."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.errors import SpecError
from tunesmith.serving import served as runs_served
from tunesmith.serving import start
from tunesmith.serving.calls import calls_in
from tunesmith.serving.served import asked_runs, refuse_too_large
from tunesmith.serving.service import Address
from tunesmith.serving.start import bound, read_keys, ready, refuse_open
from tunesmith.storage.run_folder import RunFolder


@pytest.fixture(autouse=True)
def no_weights(monkeypatch):
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("tunesmith.models.saved.load_run", loaded)


def test_a_port_in_use(label_run, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(label_run.path), "--port", str(port), "--lang", "en"]) == 2
    assert f"--port: cannot listen at 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.name.invalid"])
def test_an_address_that_is_not_ours(host):
    with pytest.raises(SpecError, match=f"--host: {host} is not an address of this machine"):
        bound(Address(host, 0))


def test_packages_that_are_missing(label_run, monkeypatch, capsys):
    monkeypatch.setattr(start, "PACKAGES", ("starlette", "no_such_package"))
    assert main(["serve", str(label_run.path), "--lang", "en"]) == 2
    told = capsys.readouterr().err
    assert "no_such_package" in told and "pip install 'tunesmith[serve]'" in told


def test_a_model_that_does_not_fit(label_run, monkeypatch):
    asked = asked_runs([str(label_run.path)], RunFolder)
    monkeypatch.setattr(runs_served, "total_and_free", lambda: (1e6, 1e3))
    with pytest.raises(SpecError, match=r"GiB in fp32 and 0\.0 GiB of memory are free"):
        refuse_too_large(asked)


def test_all_that_is_wrong_with_the_runs_at_once(label_run, adapter_run):
    words = [f"a={label_run.path}", f"a={adapter_run.path}", f"b/c={label_run.path}"]
    with pytest.raises(SpecError) as caught:
        asked_runs(words, RunFolder)
    told = str(caught.value)
    assert "two runs would be called a" in told and "b/c cannot be the name" in told


def test_a_run_without_a_model(label_run, tmp_path):
    import shutil

    shutil.copy(label_run.run_yaml, tmp_path)
    with pytest.raises(SpecError, match=str(tmp_path)):
        asked_runs([str(tmp_path)], RunFolder)


@pytest.mark.parametrize("text", [None, "", "short\n", "a-key-that-is-long-enough\nshort\n"])
def test_keys_that_are_no_keys(text, tmp_path):
    file = tmp_path / "keys"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SpecError, match="--keys"):
        read_keys(file)


def test_keys_of_a_file_are_not_printed(tmp_path):
    file = tmp_path / "keys"
    file.write_text("# of the team\nfirst-key-0123456789\n\nsecond-key-0123456789\n")
    assert read_keys(file) == (["first-key-0123456789", "second-key-0123456789"], False)
    lines = ready({"a": frozenset({"classify"})}, Address(keys=file), None)
    assert "$KEY" in "\n".join(lines) and "first-key" not in "\n".join(lines)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_every_network_needs_the_names_of_this_machine(host):
    with pytest.raises(SpecError, match="--allow-host"):
        refuse_open(Address(host))
    refuse_open(Address(host, hosts=("box.lan",)))


def test_a_made_key_is_another_each_time():
    (first, made), (second, _) = read_keys(None), read_keys(None)
    assert made and first != second and len(first[0]) > 30


CALL = {"name": "look", "arguments": '{"at": "药"}'}


@pytest.mark.parametrize(
    ("text", "rest", "count"),
    [
        ('<tool_call>\n{"name": "look", "arguments": {"at": "药"}}\n</tool_call>', "", 1),
        ('Well. <tool_call>{"name": "look", "arguments": {"at": "药"}}</tool_call>', "Well.", 1),
        ('{"name": "look", "parameters": {"at": "药"}}', "", 1),
        ('<tool_call>{"name": "other", "arguments": {}}</tool_call>', None, 0),
        ('<tool_call>{"name": }</tool_call>', None, 0),
        ("look", None, 0),
    ],
)
def test_calls_are_read_as_templates_have_them_written(text, rest, count):
    found, calls = calls_in(text, {"look"})
    assert found == (text if rest is None else rest)
    assert [call["function"] for call in calls] == [CALL] * count


def test_a_server_is_not_imported_by_the_command_line():
    assert "starlette" not in Path(start.__file__).read_text().split("PACKAGES")[0]
