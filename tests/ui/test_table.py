"""The table of runs is live and says only differences; chosen runs stand side by side."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from starlette.testclient import TestClient

from material.folders import bare, full, steps, write, write_lines
from material.page import Page as Read
from tunesmith.pages.guard import Guard
from tunesmith.ui import runs as listed
from tunesmith.ui.page import Page
from tunesmith.ui.runs import Runs, differences

TOKEN, HOST = "right-token", "127.0.0.1:4321"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Three runs, of which one has another rate and none of them is outside."""
    bare(tmp_path / "outside" / "secret")
    for name, rate in (("a", 1e-3), ("b & c", 1e-3), ("d", 2e-3)):
        folder = bare(tmp_path / "runs" / name, train={"learning_rate": rate})
        write_lines(folder.record, steps(20))
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "outside" / "secret")
    return tmp_path / "runs"


@pytest.fixture
def client(place: Path) -> TestClient:
    """A browser that has opened the link."""
    client = TestClient(Guard(Page(Runs(place)).app(), TOKEN, 4321), base_url=f"http://{HOST}")
    client.get("/", params={"token": TOKEN})
    return client


def seen_in(text: str) -> str:
    return dict(Read(text).attributes)["data-seen"]


def test_only_a_changed_table_is_sent_and_only_changed_runs_are_read(
    place: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = seen_in(client.get("/").text)
    assert client.get("/now", params={"seen": mark}).status_code == 204
    read: list[str] = []
    row = listed.run_row
    monkeypatch.setattr(
        listed, "run_row", lambda folder, name: (read.append(name), row(folder, name))[1]
    )
    write_lines(place / "a" / "record.jsonl", steps(30))
    fresh = client.get("/now", params={"seen": mark})
    assert fresh.status_code == 200 and "@30" in fresh.text and read == ["a"]
    shutil.rmtree(place / "d")
    gone = client.get("/now", params={"seen": seen_in(fresh.text)})
    assert gone.status_code == 200 and "/run/d/" not in gone.text


def test_a_run_says_where_it_is_not_as_the_others(client: TestClient) -> None:
    page = Read(client.get("/").text)
    assert page.texts.count("train.learning_rate=0.002") == 1
    assert not any(one.startswith("train.learning_rate=0.001") for one in page.texts)
    assert {value for name, value in page.attributes if name == "value"} >= {"a", "b & c", "d"}


def test_of_two_each_says_its_own_and_a_missing_setting_is_none() -> None:
    assert differences([{"a": "1"}, {"a": "2"}]) == [["a=1"], ["a=2"]]
    assert differences([{"a": "1", "b": "1"}, {"b": "1"}, {"b": "1"}]) == [["a=1"], [], []]
    assert differences([{"a": "1"}]) == [[]] and differences([]) == []


def test_chosen_runs_stand_side_by_side_with_overlaid_losses(
    place: Path, client: TestClient
) -> None:
    chosen = {"run": ["a", "b & c", "d"]}
    answer = client.get("/compare", params=chosen)
    page = Read(answer.text)
    assert page.texts.count("train.learning_rate") == 1 and "0.002" in page.texts
    assert page.tags.count("figure") >= 2 and "is not paired" in page.text
    assert not any(name == "style" or name.startswith("on") for name, _ in page.attributes)
    address = dict(page.attributes)["data-from"]
    assert client.get(address + seen_in(answer.text)).status_code == 204
    write_lines(place / "a" / "record.jsonl", steps(40))
    assert "40" in Read(client.get(address + seen_in(answer.text)).text).texts
    kept = client.get("/compare/file", params=chosen)
    assert "attachment" in kept.headers["content-disposition"] and "<style>" in kept.text
    assert "default-src 'none'" in kept.headers["content-security-policy"]


def test_proved_runs_are_paired_on_the_page(place: Path, client: TestClient) -> None:
    for name in ("one", "two"):
        folder = full(place / name)
        write(folder.proof, {**(folder.read(folder.proof) or {}), "seed": 0})
    answer = client.get("/compare", params={"run": ["one", "two"]})
    assert "Not proven" in Read(answer.text).text


def test_runs_that_were_proved_on_a_file_are_paired_on_it(place: Path, client: TestClient) -> None:
    for name in ("one", "two"):
        folder = full(place / name)
        own = {**(folder.read(folder.proof) or {}), "seed": 0}
        shutil.move(folder.items, folder.path / "moved.jsonl")
        there = folder.path / "proofs" / "exam.2"
        there.mkdir(parents=True)
        write(there / "proof.json", own)
        shutil.move(folder.path / "moved.jsonl", there / folder.items.name)
        folder.proof.unlink()
    runs = {"run": ["one", "two"]}
    before = client.get("/compare", params=runs)
    assert "Not proven" not in Read(before.text).text
    (link,) = [v for n, v in Read(before.text).attributes if n == "href" and "data=" in v]
    on_file = client.get(link)
    assert "Not proven" in Read(on_file.text).text
    address = dict(Read(on_file.text).attributes)["data-from"]
    assert "Not proven" in Read(client.get(address).text).text
    for data in ("none", "../two", "/etc/passwd"):
        assert client.get("/compare", params={**runs, "data": data}).status_code == 404


@pytest.mark.parametrize(
    ("chosen", "status"),
    [([], 400), (["a"], 400), (["a", "a"], 400), (["a", "linked"], 404), (["a", "../x"], 404)],
)
def test_what_cannot_be_compared_is_said(
    client: TestClient, chosen: list[str], status: int
) -> None:
    for page in ("", "/now", "/file"):
        assert client.get(f"/compare{page}", params={"run": chosen}).status_code == status


def test_a_stranger_sees_neither(client: TestClient) -> None:
    stranger = TestClient(client.app, base_url=f"http://{HOST}")
    for path in ("/now", "/compare", "/compare/now", "/compare/file"):
        assert stranger.get(path).status_code == 403
        assert client.get(path, headers={"host": "evil.example"}).status_code == 403
