"""A run's process is asked to stop once, and nobody else is asked in its place."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from material.runs import in_child
from tunesmith.storage import process
from tunesmith.storage.process import NAME, ask_to_stop, is_held, named_in, process_of
from tunesmith.storage.run_folder import RunFolder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals there end a process")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that were sent, none of which arrives."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    return sent


def test_it_is_asked_once_because_a_second_signal_keeps_nothing(
    tmp_path: Path, asked: list[tuple[int, int]]
) -> None:
    with named_in(tmp_path):
        assert [ask_to_stop(tmp_path) for _ in range(3)] == [True, False, False]
        found = process_of(tmp_path)
        assert found is not None and found.asked
    assert asked == [(os.getpid(), signal.SIGTERM)]
    assert list(tmp_path.iterdir()) == [] and not ask_to_stop(tmp_path)


def test_of_several_who_ask_at_once_one_does(
    tmp_path: Path, asked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of two servers look at the same run; each of them read that nobody has asked yet."""
    write = process.write_whole
    slow = lambda path, text: (time.sleep(0.05), write(path, text))  # noqa: E731
    with named_in(tmp_path), ThreadPoolExecutor(4) as tabs:
        monkeypatch.setattr(process, "write_whole", slow)
        assert sorted(tabs.map(ask_to_stop, [tmp_path] * 4)) == [False] * 3 + [True]
    assert len(asked) == 1


@pytest.mark.parametrize(
    "other",
    [{"host": "another-machine"}, {"began": "1"}, {"pid": 2**30}, {"more": 1}, None],
    ids=["another machine", "a later process of that number", "none", "damaged", "no JSON"],
)
def test_no_other_process_is_asked(
    tmp_path: Path, other: dict[str, object] | None, asked: list[tuple[int, int]]
) -> None:
    if other is not None and "began" in other and not Path("/proc/self/stat").exists():
        pytest.skip("the system does not say when a process began")
    with named_in(tmp_path):
        file = tmp_path / NAME
        file.write_text("{" if other is None else json.dumps(json.loads(file.read_text()) | other))
        assert process_of(tmp_path) is None and not ask_to_stop(tmp_path)
    assert asked == []


def test_who_looks_disturbs_neither_a_run_nor_another_who_looks(tmp_path: Path) -> None:
    import fcntl

    folder = RunFolder(tmp_path)
    with folder.held():
        assert folder.busy
    lock = tmp_path / ".lock"
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # another page looks
        assert not is_held(lock) and not folder.busy

    def looks_for_a_moment() -> None:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            (tmp_path / "looks").touch()
            time.sleep(0.1)

    child = os.fork()
    if child == 0:
        os._exit(in_child(looks_for_a_moment))
    until = time.monotonic() + 10
    while not (tmp_path / "looks").exists() and time.monotonic() < until:
        time.sleep(0.005)
    with folder.held():  # a run that begins waits for that moment
        assert folder.busy
    assert os.waitpid(child, 0)[1] == 0
