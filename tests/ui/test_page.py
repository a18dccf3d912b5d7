"""The pages of a folder's runs: for who has the link, of this folder alone, and right with nothing,
one point and ten thousand.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from starlette.testclient import TestClient

from material.fast import slow_but
from material.folders import SCRIPT, bare, full, steps, write, write_lines
from material.page import Page as Read
from tunesmith.cli.main import main
from tunesmith.errors import SpecError
from tunesmith.pages.guard import Guard
from tunesmith.storage.process import named_in
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui import control
from tunesmith.ui.page import Page
from tunesmith.ui.runs import Runs
from tunesmith.ui.standing import done_share, duration, seconds_left

TOKEN, HOST = "right-token", "127.0.0.1:4321"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of runs: one with everything, and one outside that a link leads to."""
    bare(tmp_path / "outside" / "secret")
    run = full(tmp_path / "runs" / "first try #1")
    run.report.write_text("<p>of an older version</p>", "utf-8")
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "outside" / "secret")
    return tmp_path / "runs"


@pytest.fixture
def client(place: Path) -> TestClient:
    """A browser that has opened the link."""
    guard = Guard(Page(Runs(place)).app(), TOKEN, 4321)
    client = TestClient(guard, base_url=f"http://{HOST}")
    client.get("/", params={"token": TOKEN})
    return client


RUN, PROOF = "/run/first%20try%20%231/", "/proof/first%20try%20%231/"


def test_without_the_link_nothing_is_shown_and_nothing_is_done(
    place: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ask_to_stop", lambda path: pytest.fail("it was stopped"))
    stranger = TestClient(client.app, base_url=f"http://{HOST}")
    for path in ("/", "/ui.css", RUN, f"{RUN}now", f"{PROOF}report", "/run/none/"):
        assert stranger.get(path).status_code == 403
        assert client.get(path, headers={"host": "evil.example"}).status_code == 403
    for act in ("stop", "resume"):
        assert stranger.post(f"{RUN}{act}").status_code == 403
        evil = {"origin": "http://evil.example"}
        assert client.post(f"{RUN}{act}", headers=evil).status_code == 403
        assert client.get(f"{RUN}{act}").status_code == 405


@pytest.mark.parametrize(
    "name",
    ["linked", "../outside/secret", "%2e%2e/outside/secret", "..%2foutside%2fsecret", "no", ""],
)
def test_no_name_leads_out_of_the_folder(place: Path, client: TestClient, name: str) -> None:
    assert RunFolder(place / "linked").resolved()  # it is there, and it is a run
    for page in (f"run/{name}/", f"run/{name}/now", f"proof/{name}/", f"proof/{name}/report"):
        assert client.get(f"/{page}").status_code == 404
    for act in ("stop", "resume"):
        assert client.post(f"/run/{name}/{act}").status_code in (404, 405)


def test_the_table_leads_to_each_run_and_a_damaged_one_says_why(
    place: Path, client: TestClient
) -> None:
    (place / "broken").mkdir()
    (place / "broken" / "run.yaml").write_text("model: [", "utf-8")
    page = Read(client.get("/").text)
    assert ("href", "/run/first%20try%20%231/") in page.attributes
    assert "broken" in page.text and "unreadable" in page.text and "run.yaml" in page.text
    assert client.get(RUN).status_code == 200
    assert client.get("/run/broken/").status_code == 500


@pytest.mark.parametrize(
    "text", slow_but(['{"verdict": "impro'], ["{}", "[]", '{"verdict": "impro', "\0"])
)
@pytest.mark.parametrize("name", ["proof.json", "record.jsonl", "model/tunesmith.json"])
def test_a_damaged_file_of_one_run_hides_no_other(
    place: Path, client: TestClient, name: str, text: str
) -> None:
    bare(place / "well")
    (place / "first try #1" / "model").mkdir()
    (place / "first try #1" / name).write_text(text + "\n", "utf-8")
    for page in ("/", "/chat/", "/arena/", "/serve/", "/run/well/", "/proof/well/"):
        answer = client.get(page)
        assert answer.status_code == 200, page
    assert "well" in Read(client.get("/").text).text
    tolerant = TestClient(
        client.app, f"http://{HOST}", raise_server_exceptions=False, cookies=client.cookies
    )
    named = []
    for page in (RUN, f"{RUN}now", f"{PROOF}report"):
        answer = tolerant.get(page)
        if text == "{}":  # an object all the same: only what needs more of it cannot be shown
            fails = page.endswith("report") and name != "record.jsonl"
            assert answer.status_code == (500 if fails else 200), page
        elif answer.status_code != 200:
            assert name in Read(answer.text).text and "damaged" in answer.text, page
            named.append(page)
    assert named or text == "{}", "a page that needs the file names it"


def test_a_runs_page_is_a_view_of_its_folder(place: Path, client: TestClient) -> None:
    folder = RunFolder(place / "first try #1")
    folder.questions.write_text(f"## Why?\n\n### step 75\n\n{SCRIPT}\n", "utf-8")
    answer = client.get(RUN)
    page = Read(answer.text)
    assert {"Loss", "Learning rate", "Gradient norm"} <= set(page.texts)
    assert "the loss jumped" in page.text and SCRIPT in page.text and SCRIPT not in answer.text
    assert not any(name == "style" or name.startswith("on") for name, _ in page.attributes)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    places = [value for name, value in page.attributes if name in ("href", "src", "action")]
    assert not any("//" in one for one in places), places
    again = next(one for one in page.texts if one.startswith("tunesmith train"))
    verb, file, out = shlex.split(again)[1:]
    assert Path(file) == folder.run_yaml and file in page.text and verb == "train"
    assert Path(out.removeprefix("out=")) == place / "first-try"
    assert folder.run_yaml.read_text("utf-8") in page.texts
    assert ("href", f"{PROOF}report") in page.attributes
    report = client.get(f"{PROOF}report")
    policy = report.headers.get_list("content-security-policy")
    assert len(policy) == 1 and "default-src 'none'; style-src 'unsafe-inline'" in policy[0]


@pytest.mark.parametrize("name", ["proof", "export", "now", "report"])
def test_a_run_may_be_called_as_a_page_is(place: Path, client: TestClient, name: str) -> None:
    full(place / "tries" / name)
    run, proof, export = pages = [f"/{of}/tries/{name}/" for of in ("run", "proof", "export")]
    for page, leads in ((run, {proof, export}), (proof, {run}), (export, {run})):
        told = Read(client.get(page).text)
        assert f"tries/{name}" in told.texts, page
        links = {value for key, value in told.attributes if key == "href"}
        assert links & {*pages} == leads
        assert client.get(f"{page}now").status_code == 200


def next_steps(client: TestClient, address: str) -> list[tuple[str, str]]:
    """What stands out on a page, and where it leads."""
    tags = re.findall(
        r'<(?:a|button) class="(?:button )?first"[^>]*>[^<]+', client.get(address).text
    )
    links = [re.search(r'href="([^"]*)"', tag) for tag in tags]
    return [
        (tag.partition(">")[2], link[1] if link else "")
        for tag, link in zip(tags, links, strict=True)
    ]


def test_a_page_has_one_step_that_comes_next(place: Path, client: TestClient) -> None:
    folder = RunFolder(place / "first try #1")
    assert next_steps(client, RUN) == [("Resume", "")]
    folder.model.mkdir(exist_ok=True)
    write(folder.model / "tunesmith.json", {"step": 150})
    assert next_steps(client, RUN) == [("Read the proof", PROOF)]
    assert next_steps(client, PROOF) == []
    folder.proof.unlink()
    assert next_steps(client, RUN) == [("Prove this run", PROOF)]
    assert next_steps(client, PROOF) == [("Prove this run", "")]
    assert next_steps(client, "/chat/") == [("Begin a conversation", "")]
    write(folder.ledger, {"trained": 40, "proof": 0})
    assert next_steps(client, RUN) == [("Chat with the model", "/chat/?run=first%20try%20%231")]
    shutil.rmtree(folder.path)
    assert next_steps(client, "/") == [("Begin a first run", "/new/")]
    for page in ("chat", "arena", "serve"):
        assert next_steps(client, f"/{page}/") == [("Begin a run", "/new/")], page


def test_only_what_is_new_is_sent(place: Path, client: TestClient) -> None:
    mark = dict(Read(client.get(RUN).text).attributes)["data-seen"]
    assert client.get(f"{RUN}now", params={"seen": mark}).status_code == 204
    with RunFolder(place / "first try #1").record.open("a") as record:
        record.write(json.dumps({"step": 151, "loss": 0.1}) + "\n")
    fresh = client.get(f"{RUN}now", params={"seen": mark})
    assert fresh.status_code == 200 and "151" in fresh.text


@pytest.mark.parametrize(("count", "told"), [(0, "No step"), (1, "step"), (10_000, "10,000")])
def test_it_is_right_with_any_number_of_points(
    place: Path, client: TestClient, count: int, told: str
) -> None:
    folder = bare(place / "counted")
    write_lines(folder.record, steps(count))
    answer = client.get("/run/counted/now")
    page = Read(answer.text)
    assert answer.status_code == 200 and told in page.text
    assert len(answer.text) < 100_000 and "nan" not in answer.text
    assert page.tags.count("svg") == (5 if count else 0)
    with folder.record.open("a") as record:
        record.write('{"step": 7, "lo')  # what a crash cut short, or what is being written
    assert client.get("/run/counted/now").status_code == 200


def test_the_rewards_of_a_run_are_drawn(place: Path, client: TestClient) -> None:
    folder = bare(place / "rewarded")
    write_lines(folder.record, [line | {"reward": 0.5} for line in steps(3) if "loss" in line])
    assert "Reward" in Read(client.get("/run/rewarded/").text).texts


def test_the_time_left_is_the_pace_times_what_is_left(tmp_path: Path) -> None:
    run = bare(tmp_path / "run", train={"epochs": 2}).resolved().run
    record = [{"step": n, "epoch": n / 10, "seconds": 3.0} for n in range(1, 6)]
    share = done_share(record, run)
    assert share == 0.25 and seconds_left(record, share) == pytest.approx(15 * 3.0)
    assert done_share([], run) == 0 and seconds_left([], 0.0) is None
    counted = bare(tmp_path / "counted", train={"steps": 20}).resolved().run
    assert done_share(record, counted) == 0.25


def test_a_run_is_offered_only_what_can_be_done(place: Path, client: TestClient) -> None:
    def offered() -> set[str]:
        page = Read(client.get(RUN).text)
        return {value for name, value in page.attributes if name == "action"}

    folder = RunFolder(place / "first try #1")
    assert offered() == {"resume"}
    with folder.held():
        assert offered() == set()  # a process that cannot be asked: it would keep nothing
        with named_in(folder.path):
            assert offered() == {"stop"}
    folder.model.mkdir()
    write(folder.model / "tunesmith.json", {"step": 150})
    assert offered() == set()


def test_a_folder_that_is_not_there_is_made_or_said_to_be_none(tmp_path: Path) -> None:
    assert Runs(tmp_path / "a" / "runs").table() == [] and (tmp_path / "a" / "runs").is_dir()
    (tmp_path / "file").write_text("", "utf-8")
    for taken in ("file", "file/runs"):
        with pytest.raises(SpecError, match=f"{taken}: cannot be the folder of your runs"):
            Runs(tmp_path / taken)


def test_a_server_that_cannot_bind_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["ui", str(place), "--port", str(port)]) == 2
    told = capsys.readouterr()
    assert str(port) in told.err and "--port" in told.err and "token" not in told.out


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        *((0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (179.0, "3 min"), (3590.0, "1 h 0 min")),
        *((5400.0, "1 h 30 min"), (7190.0, "2 h 0 min")),
    ],
)
def test_a_time_is_told_in_the_nearest_unit(seconds: float, told: str) -> None:
    """A whole is never told as less than its larger part, which is rounded too."""
    assert duration(seconds) == told
