"""A proof is begun from the page as a process of its own, and its report shown as it stands."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from filelock import FileLock
from starlette.testclient import TestClient

from material.folders import bare, full, proof, write
from material.opened_page import HOST
from material.page import Page as Read
from tunesmith.events.stream import Parts, Phase
from tunesmith.storage.process import named_in
from tunesmith.ui import work, works
from tunesmith.ui.work import Progress
from tunesmith.ui.works import Work

PROOF = "/proof/first%20try/"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A finished run with a proof, another finished one, one that is not, and one outside."""
    full(tmp_path / "runs" / "first try")
    for name in ("runs/other", "outside/secret", "runs/open"):
        bare(tmp_path / name)
    for name in ("runs/first try", "runs/other", "outside/secret"):
        (tmp_path / name / "model").mkdir(exist_ok=True)
        write(tmp_path / name / "model" / "tunesmith.json", {"step": 150})
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "outside" / "secret")
    return tmp_path / "runs"


def test_a_stranger_sees_and_does_nothing(client: TestClient, begun: list[list[str]]) -> None:
    stranger = TestClient(client.app, base_url=f"http://{HOST}")
    for page in ("", "now", "report", "file"):
        assert stranger.get(f"{PROOF}{page}").status_code == 403
        assert client.get(f"{PROOF}{page}", headers={"host": "evil.example"}).status_code == 403
    for act in ("start", "stop"):
        assert stranger.post(f"{PROOF}{act}").status_code == 403
        evil = {"origin": "http://evil.example"}
        assert client.post(f"{PROOF}{act}", headers=evil).status_code == 403
        assert client.get(f"{PROOF}{act}").status_code in (404, 405)
    assert begun == []


@pytest.mark.parametrize("name", ["linked", "..%2foutside%2fsecret", "none", "open"])
def test_only_a_finished_run_of_this_folder_is_proved(
    client: TestClient, begun: list[list[str]], name: str
) -> None:
    assert client.post(f"/proof/{name}/start").status_code == 404
    assert client.post(f"/proof/{name}/stop").status_code == 404
    if name != "open":
        assert client.get(f"/proof/{name}/").status_code == 404
    assert begun == []


def test_a_form_can_name_what_it_offers_and_nothing_else(
    place: Path, client: TestClient, begun: list[list[str]]
) -> None:
    for form in (
        {"items": "0"},
        {"items": "many"},
        {"shots": "-1"},
        {"against": "linked"},
        {"against": "/etc"},
        {"against": "https://evil.example/v1"},
        {"against": "first try"},
        {"data": "/etc/passwd"},
        {"data": "../secret.csv"},
    ):
        assert client.post(f"{PROOF}start", data=form).status_code == 400, form
    assert begun == []
    data = str(place / "data" / "exam rows.csv")
    given = {"items": "40", "shots": "", "against": "other", "data": data}
    client.post(f"{PROOF}start", data={**given, "suites": ["probe", "text=/etc/passwd"]})
    (one,) = (place / ".ui").iterdir()
    asked = Work(one).asked
    assert asked["run"] == str(place / "first try") and asked["items"] == 40
    assert asked["against"] == [str(place / "other")] and asked["suites"] == ["probe"]
    filled = asked.pop("form")  # it is shown again, and does nothing
    assert filled["suites"] == ["probe", "text=/etc/passwd"] and "/etc" not in str(asked)
    assert asked["shots"] is None and len(begun) == 1
    assert asked["data"] == data
    assert shlex.split(asked["typed"]) == [
        *("tunesmith", "prove", str(place / "first try"), "--items", "40", "--data", data),
        *("--against", str(place / "other"), "--suite", "probe"),
    ]


def test_an_empty_form_leaves_everything_to_the_run(
    place: Path, client: TestClient, begun: list[list[str]]
) -> None:
    client.post(f"{PROOF}start", data={"items": "", "data": ""})
    (one,) = (place / ".ui").iterdir()
    asked = Work(one).asked
    assert shlex.split(asked["typed"]) == ["tunesmith", "prove", str(place / "first try")]
    assert {asked[name] for name in ("items", "shots", "data")} == {None} and len(begun) == 1
    assert asked["against"] == asked["suites"] == [] and "prompt" not in asked


def test_a_proof_that_is_under_way_is_shown_and_not_begun_twice(
    place: Path, client: TestClient, begun: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Work(place / ".ui" / "20260101-000000-abcdef")
    one.path.mkdir(parents=True)
    run = str(place / "first try")
    one.write("asked", {"kind": "prove", "run": run, "typed": "tunesmith prove it"})
    stopped: list[Path] = []
    monkeypatch.setattr(works, "ask_to_stop", stopped.append)
    with FileLock(one.lock), named_in(one.path):
        one.write("phase", {"phase": "base answers", "done": 3, "total": 12})
        text = client.get(PROOF).text
        page = Read(text)
        assert "base answers 3/12" in page.text and ("value", "0.25") in page.attributes
        assert "part" not in page.told["work"], "nobody said that there are parts"
        assert "start" not in {value for name, value in page.attributes if name == "action"}
        mark = dict(page.attributes)["data-seen"]
        assert client.get(f"{PROOF}now", params={"seen": mark}).status_code == 204
        one.write("phase", {"phase": "base answers", "done": 4, "total": 12})
        assert "4/12" in client.get(f"{PROOF}now", params={"seen": mark}).text
        client.post(f"{PROOF}start")
        client.post(f"{PROOF}stop")
    assert begun == [] and stopped == [one.path]
    one.said.write_text("Traceback\nMemoryError")
    assert "MemoryError" in client.get(PROOF).text  # it died before it could say why
    one.write("ended", {"problem": "rows: gone"})
    assert "rows: gone" in client.get(PROOF).text and 'action="start"' in client.get(PROOF).text


def test_a_proof_says_which_of_its_parts_it_is_at_and_how_much_of_all_is_done(
    place: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Work(place / ".ui" / "20260101-000000-abcdef")
    one.path.mkdir(parents=True)
    asked = {"kind": "prove", "run": str(place / "first try"), "typed": "tunesmith prove it"}
    one.write("asked", asked)
    progress, clock = Progress(one), iter(range(0, 1000, 10))
    monkeypatch.setattr(work, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    with FileLock(one.lock), named_in(one.path):

        def at(phase: str, done: int, total: int) -> tuple[str, float]:
            progress.hear(Phase(phase, done, total))
            page = Read(client.get(PROOF).text)
            bar = next(told for tag, told in page.elements if tag == "progress")
            return page.told["work"], float(bar["value"]) if "value" in bar else -1.0

        before, whole = at("reading", 20, 20)
        assert "reading 20/20" in before and "part" not in before and whole == 1
        progress.hear(Parts(3))
        told, whole = at("likelihoods", 0, 20)
        assert "part 1 of 3: likelihoods 0/20" in told and whole == 0 and "left" not in told
        told, whole = at("likelihoods", 10, 20)
        assert whole == pytest.approx(1 / 6, rel=1e-3) and "left of this part" in told
        assert at("likelihoods", 20, 20)[1] == pytest.approx(1 / 3, rel=1e-3)
        told, whole = at("likelihoods", 0, 20)  # of the other model, under the same name
        assert "part 2 of 3: likelihoods 0/20" in told and whole == pytest.approx(1 / 3, rel=1e-3)
        told, whole = at("the verdict", 0, 0)
        assert "part 3 of 3: the verdict" in told and whole == pytest.approx(2 / 3, rel=1e-3)


def test_the_report_is_shown_as_it_stands_and_kept_as_one_file(
    place: Path, client: TestClient
) -> None:
    page = Read(client.get(PROOF).text)
    (shown,) = [value for name, value in page.attributes if value.startswith("report?")]
    report = client.get(f"{PROOF}{shown}")
    policy = report.headers.get_list("content-security-policy")
    assert len(policy) == 1 and "default-src 'none'" in policy[0]
    assert "frame-ancestors 'self'" in policy[0] and "script" not in policy[0]
    assert 'id="proof"' in report.text and 'id="samples"' in report.text
    kept = client.get(f"{PROOF}file")
    assert "attachment" in kept.headers["content-disposition"]
    assert "tunesmith chat" in kept.text and "tunesmith chat" not in report.text
    (place / "first try" / "proof.json").unlink()
    here, file = (Read(client.get(f"{PROOF}{name}").text).text for name in ("report", "file"))
    assert "“Prove this run” on the page “Proof” proves it." in here
    assert "tunesmith prove" not in here and "tunesmith prove" in file
    assert 'id="proof"' not in client.get(f"{PROOF}report").text
    assert shown not in client.get(PROOF).text


def test_a_proof_on_another_file_is_told_beside_the_report(place: Path, client: TestClient) -> None:
    mark = dict(Read(client.get(PROOF).text).attributes)["data-seen"]
    exam, damaged = (place / "first try" / "proofs" / name for name in ("exam", "half"))
    exam.mkdir(parents=True)
    write(exam / "proof.json", proof() | {"file": "exam.csv", "primary_reason": "labels"})
    text = client.get(f"{PROOF}now", params={"seen": mark}).text
    assert 'id="proof-exam"' in text and "exam.csv" in Read(text).text
    damaged.mkdir()
    (damaged / "proof.json").write_text("{", "utf-8")
    page = client.get(PROOF)
    assert page.status_code == 200 and str(damaged / "proof.json") in Read(page.text).text
