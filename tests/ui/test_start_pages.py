"""The way from a file to a run, on pages: what a page may set and name is closed, what is wrong
stands at its field in the words of the command line, and what would run is what was shown.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from rich.cells import cell_len
from starlette.applications import Starlette
from starlette.testclient import TestClient

from material.folders import SCRIPT
from material.page import Page as Read
from tunesmith import words
from tunesmith.errors import SpecError
from tunesmith.pages.guard import Guard
from tunesmith.settings.family import REWARDS
from tunesmith.settings.run import read_run
from tunesmith.settings.yaml_file import read_yaml
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui import control, uploads
from tunesmith.ui.allowed import ALLOWED, OF_REWARD, PLUG_INS, closed, may_be_set
from tunesmith.ui.composed import REWARDS_HERE
from tunesmith.ui.composed_fields import composed_fields
from tunesmith.ui.draft import draft_from_yaml, draft_of
from tunesmith.ui.drawn import drawn
from tunesmith.ui.fields import BESIDE as OWN_PLACE
from tunesmith.ui.fields import drawer
from tunesmith.ui.looks import Looks
from tunesmith.ui.mends import mends
from tunesmith.ui.places import Places
from tunesmith.ui.runs import Runs
from tunesmith.ui.start_pages import StartPages
from tunesmith.ui.views import Views

HOST = "127.0.0.1:4321"
ROWS = "question,answer\n" + "".join(f"what is {n}?,it is {n + 1}\n" for n in range(40))
TEXTS_OF_REWARDS = ("column", "pattern", "keys", "label", "ask")
"""Settings of rewards that are texts and name no place."""
BESIDE = {"origin": f"http://{HOST}"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> Path:
    """A folder of runs with a tiny model and rows in it, beside things that are nobody's."""
    root = tmp_path_factory.mktemp("start") / "runs"
    (root / "data").mkdir(parents=True)
    (root / "tiny").mkdir()
    for file in tiny_llama.iterdir():
        (root / "tiny" / file.name).write_bytes(file.read_bytes())
    (root / "data" / "faq.csv").write_text(ROWS, "utf-8")
    (root.parent / "secret.csv").write_text(ROWS, "utf-8")
    (root / "data" / "linked.csv").symlink_to(root.parent / "secret.csv")
    (root.parent / "2024").mkdir()
    (root / "elsewhere").symlink_to(root.parent / "2024")
    return root


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[TestClient]:
    """A browser that has opened the link; what is looked at is looked at in a thread."""
    with ThreadPoolExecutor(1) as pool:
        pages = StartPages(Views(Runs(place)), lambda: pool)
        pages.looks.rest = lambda: None  # the pool is the fixture's
        guard = Guard(Starlette(routes=pages.routes()), "right", 4321)
        client = TestClient(guard, base_url=f"http://{HOST}")
        client.get("/new/", params={"token": "right"})
        yield client


def chosen(place: Path, **more: str) -> dict[str, str]:
    return {"model": str(place / "tiny"), "data": str(place / "data" / "faq.csv"), **more}


started: list[list[str]] = []


class Still:
    """A process that begins and neither does anything nor ends."""

    def __init__(self, argv: list[str], **_: object) -> None:
        started.append(argv)

    def poll(self) -> int | None:
        return None


def looked(client: TestClient, page: str, params: dict[str, str]) -> Any:
    """The page, once it is no longer looking."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        answer = client.get(f"/new/{page}", params=params)
        if "data-wait" not in answer.text:
            return answer
    raise AssertionError("it never ended")


def test_a_stranger_sees_and_does_nothing(place: Path, client: TestClient) -> None:
    stranger = TestClient(client.app, base_url=f"http://{HOST}")
    evil, before = {"origin": "http://evil.example"}, sorted(place.rglob("*"))
    for path in ("/new/", "/new/data", "/new/plan", "/new/run.yaml", "/new/begun/a/", "/new.js"):
        assert stranger.get(path).status_code == 403
        assert client.get(path, headers={"host": "evil.example"}).status_code == 403
    for path in ("/new/upload?name=a.csv", "/new/load", "/new/begin?name=a"):
        assert stranger.post(path, content=b"a,b").status_code == 403
        assert client.post(path, content=b"a,b", headers=evil).status_code == 403
        assert client.get(path).status_code == 405
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.trust_remote_code", "true"),
        ("track", "wandb"),
        ("export.hub", "me/mine"),
        ("source.rewards", "./run.py"),
        ("questions", "/etc/passwd"),
        ("prove.prompt", "/etc/passwd"),
        ("prove.suites", "probe"),
        ("objective", "./mine.py"),
        ("objective", "{name: distill, teacher: /etc}"),
        ("objective.teacher", "/etc"),
        ("objective.teacher", "[../secret]"),
        ("objective.rows", "../secret.csv"),
        ("method", "./mine.py"),
        ("method.name", "./mine.py"),
        ("train.optimizer", "./mine.py"),
        ("data.reader", "./mine.py"),
        ("data.steps", "./mine.py"),
        ("data.steps", "[{name: ./mine.py}]"),
        ("data.steps", "[{name: anonymise, mapping: /etc/passwd}]"),
        ("train.keep.best_by", "./mine.py"),
        ("prove.metrics", "[./mine.py]"),
        ("prove.metrics", "[{name: code, run_code: true}]"),
        ("prove.metrics", "{name: judge, url: 'http://evil.example', model: m}"),
        ("prove.metrics", '[{name: function, path: "/tmp/mine\\x2epy:f"}]'),
        ("prove.metrics", "[{name: embedding_similarity, path: /etc}]"),
        ("prove.primary", '"/tmp/mine\\x2epy"'),
        ("train.keep.best_by", '"/tmp/mine\\x2epy"'),
        ("model", "../secret"),
        ("model.revision", "../../../secret"),
        ("model.revision", "'/etc'"),
        ("data", "../secret.csv"),
        ("data", "/etc/passwd"),
        ("data", "~/rows.csv"),
        ("data", "[/etc/passwd]"),
        ("data", "[{path: /etc/passwd, weight: 2}]"),
        ("data", "[{path: a.csv, reader: ./mine.py}]"),
        ("data", "[[/etc/passwd]]"),
        ("file.1", "/etc/passwd"),
        ("source.rewards", "[exact, code]"),
        ("source.rewards", "[{name: function, path: '/etc/x.py:f'}]"),
        ("source.rewards", "{name: judge, url: 'http://evil.example', model: m}"),
        ("source.rewards", "[{name: model, run: /etc}]"),
        ("source.rewards", "[{name: json, json_schema: ../secret.json}]"),
        ("source.server", "http://evil.example"),
        ("source.prove_by", "[exact]"),
        ("data.held_out", "/etc/passwd"),
        ("data.held_out", "../secret.csv#10"),
        ("out", "/tmp/x"),
        ("name", "../x"),
        ("name", "a/b"),
        ("name", ".hidden"),
        ("name", "data"),
        ("name", "Chats"),
        ("name", "arenas"),
        ("name", "elsewhere"),
    ],
)
def test_what_a_page_must_not_set_is_refused_everywhere(
    place: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, value: str
) -> None:
    monkeypatch.setattr(control.Control, "begin", lambda *_: pytest.fail("it began"))
    monkeypatch.chdir(place)
    params = {**chosen(place), "name": "x", path: value}
    for page in ("", "plan"):
        answer = client.get(f"/new/{page}", params=params)
        assert answer.status_code == 400 and "/new/data" in answer.text, page
    begun = client.post(f"/new/begin?{urlencode(params)}", headers=BESIDE)
    assert begun.status_code == 400 and "problem" in begun.text


def test_a_link_within_the_folder_leads_nowhere(place: Path, client: TestClient) -> None:
    for data in ("linked.csv", "."):  # a folder with such a link in it leads there too
        answer = client.get("/new/data", params=chosen(place, data=str(place / "data" / data)))
        assert answer.status_code == 400 and "must lie in" in answer.text
    offered = Read(client.get("/new/").text).attributes
    assert not [value for _, value in offered if value and "linked.csv" in value]


def test_the_folder_of_dropped_files_may_lie_on_another_disk(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "data").symlink_to(tmp_path / "disk")
    for name in ("mine.csv", "secret.csv"):
        (tmp_path / name).write_text(ROWS, "utf-8")
    (tmp_path / "disk" / "mine.csv").write_text(ROWS, "utf-8")
    (tmp_path / "disk" / "linked.csv").symlink_to(tmp_path / "secret.csv")
    places = Places(tmp_path / "runs")
    assert [Path(one).name for one in places.files()] == ["mine.csv"]
    assert places.outside("data.path", str(places.data / "mine.csv")) == []
    assert places.outside("data.path", str(places.data / "linked.csv"))
    assert places.outside("data.path", str(tmp_path / "mine.csv"))


def test_a_number_is_a_place_too(
    place: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.parent)
    for field in ("data", "model"):
        answer = client.get("/new/data", params=chosen(place, **{field: "2024"}))
        assert answer.status_code == 400 and "must lie in" in answer.text
    assert draft_of({"data.held_out": "20"}.items(), Places(place)).problems == ()


def test_a_metric_is_named_and_what_cannot_reach_out_has_its_settings(place: Path) -> None:
    for value in ("bleu", "[bleu, chrf]", "code", "[{name: regex, pattern: '^a', seconds: 2}]"):
        assert draft_of({"prove.metrics": value}.items(), Places(place)).problems == (), value
    (told,) = draft_of({"prove.metrics": "[accuray]"}.items(), Places(place)).problems
    assert told.where == "prove.metrics.0" and "accuracy" in told.text


def test_a_run_gets_no_name_that_pages_use(place: Path) -> None:
    places = Places(place)
    for name in ("chats.csv", "data.csv", "Arenas.jsonl"):
        assert places.is_name(places.free(name)) and places.free(name) == "run"


def test_nothing_in_the_list_names_code_or_a_place(place: Path) -> None:
    """Each setting that a page may set is a setting, and those that are dangerous are not there."""
    fields = [one for group in drawer(draft_of([], Places(place)), []).values() for one in group]
    drawn = composed_fields(draft_of([], Places(place)), [])
    own = {*OWN_PLACE, "source.rewards", "source.weights", *(one.path for one in drawn["sampling"])}
    assert {*own, *(one.path for one in fields)} >= set(ALLOWED)
    assert not {"code", "function", "judge"} & {one.name for one in drawn["rewards"]}
    assert all(one.help and one.usual and may_be_set(one.path) for one in fields)
    for path in (
        "model.trust_remote_code",
        "out",
        "source",
        "track",
        "source.server",
        "prove.prompt",
    ):
        assert not may_be_set(path)
    for name in REWARDS_HERE:
        own_fields = REWARDS.get(name).Config.model_fields
        texts = {key for key, info in own_fields.items() if not closed(info.annotation)}
        assert texts - {"name", *TEXTS_OF_REWARDS} <= {*OF_REWARD}, "a place, or one more text?"
    assert may_be_set("method.rank") and may_be_set("objective.beta")
    assert not may_be_set("objective.split_labels") and not may_be_set("method.name")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_each_setting_has_a_label_in_words_beside_its_name(place: Path, lang: str) -> None:
    words.use(lang)
    drafts = [
        draft_of([(path, name)], Places(place))
        for path, family in PLUG_INS.items()
        for name in family.names()
    ]
    fields = {
        f"{one.path} {draft.values}": one
        for draft in drafts
        for group in drawer(draft, []).values()
        for one in group
    }
    for where, one in fields.items():
        assert 2 <= cell_len(one.label) <= 100 and one.label != one.path, where
        assert not one.label[0].isdigit() and one.label[-1] not in ".;:；：。", where
        assert not one.label.startswith(tuple(one.options)), f"{where}: a value is no label"
        told = one.label + one.more
        assert told.count("(") == told.count(")") and len(one.help) - len(told) <= 3, where
        assert one.label.count("(") == one.label.count(")"), where


def test_a_file_is_kept_whole_under_a_name_of_its_own(place: Path, client: TestClient) -> None:
    def send(name: str, content: bytes, **headers: str) -> Any:
        told = {**BESIDE, **headers}
        return client.post("/new/upload", params={"name": name}, content=content, headers=told)

    first = send("../../evil dir/new rows.csv", ROWS.encode())
    path = Path(first.json()["path"])
    assert path.resolve().parent == place / "data" and path.read_text("utf-8") == ROWS
    again = send("new rows.csv", b"question,answer\n")
    assert Path(again.json()["path"]).name == "new rows-2.csv"
    for name, content in (("run.sh", b"x"), ("a.csv", b"")):
        answer = send(name, content)
        assert answer.status_code == 413 and answer.json()["problem"]
    long = send("问" * 200 + ".答案.csv", b"question,answer\n").json()["path"]
    left = {one.name for one in (place / "data").iterdir()}
    assert left == {"faq.csv", "linked.csv", "new rows.csv", "new rows-2.csv", Path(long).name}
    assert long.endswith("问.答案.csv") and len(Path(long).name) > 40
    for one in ("new rows.csv", "new rows-2.csv", Path(long).name):
        (place / "data" / one).unlink()


def test_a_file_that_is_too_large_leaves_nothing(
    place: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST", 1000)

    def parts() -> Iterator[bytes]:
        yield from (b"x" * 400 for _ in range(4))

    for content in (b"x" * 1001, parts()):
        answer = client.post("/new/upload?name=a.csv", content=content, headers=BESIDE)
        assert answer.status_code == 413 and "1000 B" in answer.json()["problem"]
    monkeypatch.setattr(uploads, "SPARE", 1 << 60)
    answer = client.post("/new/upload?name=a.csv", content=b"a,b", headers=BESIDE)
    assert answer.status_code == 507 and "no room" in answer.json()["problem"]
    assert {one.name for one in (place / "data").iterdir()} == {"faq.csv", "linked.csv"}


def test_an_error_stands_at_its_field_in_the_words_of_the_command_line(
    place: Path, client: TestClient
) -> None:
    wrong = {"train.epochs": "many", "method": "loar", "train.batch": "0"}
    answer = looked(client, "data", chosen(place, **wrong))
    page = Read(answer.text)
    fields = {one.get("name"): one for _, one in page.elements}
    assert answer.status_code == 400
    for path, value in wrong.items():
        with pytest.raises(SpecError) as told:
            read_run(None, ["model=starter", "data=a.csv", "out=x", f"{path}={value}"])
        field = fields[path]
        assert field["aria-invalid"] == "true" and f"w-{path}" in field["aria-describedby"].split()
        assert page.told[f"w-{path}"] == told.value.problems[0].text
    nowhere = client.get("/new/data", params={"model": str(place / "none"), "data": ""})
    assert nowhere.status_code == 400 and "data" in Read(nowhere.text).text


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        *(("train.epochs", "[1"), ("generate.stop", "[a"), ("train.clip", "*x")),
        *(("data.columns", "{question"), ("data.limit", "&")),
    ],
)
def test_what_yaml_cannot_read_is_told_at_its_field_and_stays_in_it(
    place: Path, client: TestClient, path: str, typed: str
) -> None:
    answer = client.get("/new/data", params=chosen(place, **{path: typed}))
    page = Read(answer.text)
    field = next(one for _, one in page.elements if one.get("name") == path)
    assert answer.status_code == 400 and field["aria-invalid"] == "true"
    assert page.told[f"w-{path}"].startswith("this is not YAML") and field["value"] == typed


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("train.epoch", "there is no such setting; did you mean 'epochs'?"),
        ("colour", "there is no such setting"),
        *((path, "cannot be set from a page") for path in ("track", "source.server", "out")),
        *((path, "cannot be set from a page") for path in ("method=./mine.py", "model.path=/etc")),
        ("model.trust_remote_code.x", "cannot be set from a page"),
    ],
)
def test_what_is_no_setting_is_not_called_dangerous(place: Path, path: str, told: str) -> None:
    (problem,) = draft_of([(path, "x")], Places(place)).problems
    assert problem.text.startswith(told)


@pytest.mark.parametrize(
    ("path", "typed", "told"),
    [
        ("data.held_out", "1000", "cannot be held out"),
        ("data.held_out", "none.csv", "there is no such file"),
        ("data.template", "no column", "names no column"),
    ],
)
def test_a_setting_that_the_rows_refute_is_told_at_its_field(
    place: Path, client: TestClient, path: str, typed: str, told: str
) -> None:
    value = str(place / "data" / typed) if typed.endswith(".csv") else typed
    answer = looked(client, "data", chosen(place, **{path: value}))
    page = Read(answer.text)
    assert answer.status_code == 400 and told in page.told[f"w-{path}"]
    assert "another goal" not in page.text


def test_a_damaged_file_is_offered_no_other_goal(place: Path, client: TestClient) -> None:
    damaged = place / "data" / "damaged.jsonl"
    damaged.write_text('{"question": "a", "answer": "b"}\n{oops\n', "utf-8")
    page = Read(looked(client, "data", chosen(place, data=str(damaged))).text)
    damaged.unlink()
    assert "damaged.jsonl:2: this is not valid JSON" in page.text
    assert "another goal" not in page.text


def test_of_several_files_the_one_that_is_wrong_is_named(place: Path, client: TestClient) -> None:
    missing = str(place / "data" / "none.csv")
    alone = Read(looked(client, "data", chosen(place, data=missing)).text).told["w-data"]
    beside = Read(looked(client, "data", chosen(place, **{"file.1": missing})).text).told["w-data"]
    assert beside == f"{missing}: {alone}" and missing not in alone


def test_the_rows_are_shown_as_the_model_gets_them(place: Path, client: TestClient) -> None:
    answer = looked(client, "data", chosen(place))
    page = Read(answer.text)
    assert answer.status_code == 200 and answer.url.query.endswith(b"&goal=answer&name=faq")
    assert "40 rows in 1 file" in page.text and "read as completion" in page.text
    assert page.tags.count("mark") >= 3 and page.tags.count("svg") == 2
    one = looked(client, "data", chosen(place, row="7"))
    assert "faq.csv:7" in one.text and "<mark>it is 7" in one.text
    none = looked(client, "data", chosen(place, row="4711"))
    assert "4711" in Read(none.text).text and none.status_code == 200
    assert not any(name == "style" or name.startswith("on") for name, _ in page.attributes)


def test_rows_columns_and_settings_are_text_whatever_they_say(
    place: Path, client: TestClient
) -> None:
    head, row = f"question,answer,{SCRIPT}\n", f"what {SCRIPT}?,it </p> {SCRIPT},x\n"
    file = place / "data" / "evil.csv"
    file.write_text(head + row * 2 + "".join(f"{n} {row}" for n in range(40)), "utf-8")
    own = {"data": str(file), "data.system": SCRIPT, "asked": SCRIPT, "row": "3"}
    for page in ("data", "plan", "written", ""):
        answer = looked(client, page, chosen(place, **own))
        assert SCRIPT in Read(answer.text).text and SCRIPT not in answer.text, page
    file.unlink()


def test_columns_are_corrected_and_another_goal_is_offered(place: Path, client: TestClient) -> None:
    rows = "frage,antwort,wer\n" + "".join(f"was ist {n}?,das ist {n},x\n" for n in range(40))
    (place / "data" / "german.csv").write_text(rows, "utf-8")
    data = str(place / "data" / "german.csv")
    named = {"column.question": "frage", "column.answer": "antwort"}
    right = looked(client, "data", chosen(place, data=data, **named))
    assert "40 rows" in Read(right.text).text
    assert b"data.columns=" in right.url.query and b"column." not in right.url.query
    other = looked(client, "data", chosen(place, goal="prefer"))
    assert "Answer questions" in Read(other.text).text and other.status_code == 200
    (place / "data" / "german.csv").write_text("question,answer\n", "utf-8")
    empty = Read(looked(client, "data", chosen(place, data=data)).text)
    assert "has no rows" in empty.text and "another goal" not in empty.text
    asked = "question,answer\n" + "".join(f"what is {n}?,\n" for n in range(40))
    (place / "data" / "german.csv").write_text(asked, "utf-8")
    assert "Learn from rewards" in Read(looked(client, "data", chosen(place, data=data)).text).text
    (place / "data" / "german.csv").unlink()


def test_of_several_files_each_has_its_own_columns(place: Path, client: TestClient) -> None:
    rows = "frage,antwort,wer\n" + "".join(f"was ist {n}?,das ist {n},x\n" for n in range(40))
    (place / "data" / "german.csv").write_text(rows, "utf-8")
    both = chosen(place, **{"file.1": str(place / "data" / "german.csv")})
    mixed = looked(client, "data", both)
    fields = [dict(one) for name, one in Read(mixed.text).elements if name == "select"]
    names = {one["name"] for one in fields}
    assert {"columns.0.question", "columns.1.question"} <= names
    assert len({one["id"] for one in fields}) == len(fields)
    given = dict(mixed.url.params)
    anew = {"columns.1": "on", "columns.1.question": "frage", "columns.1.answer": "antwort"}
    right = looked(client, "data", given | anew)
    assert "80 rows in 2 files" in Read(right.text).text
    (plain, named) = read_yaml(dict(right.url.params)["data.path"])
    assert isinstance(plain, str) and named["columns"] == {"question": "frage", "answer": "antwort"}
    again = looked(client, "data", dict(right.url.params) | {"columns.1": "on"})
    assert [isinstance(one, str) for one in read_yaml(dict(again.url.params)["data.path"])] == [
        True,
        True,
    ]
    (place / "data" / "german.csv").unlink()


def test_the_plan_says_what_is_started_and_starts_it(
    place: Path, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = chosen(place, name="mine", **{"train.epochs": "1", "method.rank": "2"})
    plan = looked(client, "plan", params)
    text = Read(plan.text).text
    typed = next(line for line in Read(plan.text).texts if line.startswith("tunesmith train"))
    written = Read(looked(client, "written", params).text)
    assert typed in written.texts and ("open", "") in written.attributes
    words = shlex.split(typed)[2:-2]
    run = read_run(None, words)
    assert run.train.epochs == 1 and dict(run.method)["rank"] == 2
    assert Path(run.out).resolve() == place / "mine"
    assert "It fits" in text and "steps" in text and "weights" in text
    file = client.get("/new/run.yaml", params=params)
    (place / "run.yaml.txt").write_text(file.text, "utf-8")
    assert read_run(place / "run.yaml.txt") == run
    assert read_run(place / "run.yaml.txt").out == run.out
    (place / "run.yaml.txt").unlink()
    started.clear()
    monkeypatch.setattr(control.subprocess, "Popen", Still)
    answer = client.post(f"/new/begin?{urlencode(params)}", headers=BESIDE)
    assert answer.url.path == "/new/begun/mine/" and "data-wait" in answer.text
    assert started[0][:3] == [sys.executable, "-m", "tunesmith"]
    assert started[0][3:] == shlex.split(typed)[1:]
    again = client.post(f"/new/begin?{urlencode(params)}", headers=BESIDE)
    assert again.status_code == 400 and len(started) == 1
    with RunFolder(place / "mine").held():  # it writes its first file a moment later
        assert "data-wait" in client.get("/new/begun/mine/").text
    assert client.get("/new/begun/..%2f..%2fsecret/").status_code == 404
    assert client.get("/new/begun/none/").status_code == 404


def test_a_reward_that_reads_a_column_says_which_rows_lack_it(
    place: Path, client: TestClient
) -> None:
    form = {"goal": "rewards", "reward.number": "on", "reward.number.column": "solution"}
    plan = looked(client, "plan", chosen(place, **form))
    assert "solution" in Read(plan.text).text and plan.status_code == 400


def test_what_a_text_says_to_set_is_a_button_unless_a_page_may_not(place: Path) -> None:
    places = Places(place)
    draft = draft_of(chosen(place).items(), places)

    def typed(text: str) -> list[str]:
        return list(mends(text, draft, places))

    told = "Set data.max_length=4096 (more memory), or data.too_long=drop, or model=../x."
    assert typed(told) == ["data.max_length=4096", "data.too_long=drop"]
    assert typed("    'data.columns={question: q, answer: a}'") == [
        "data.columns={question: q, answer: a}"
    ]
    told = "level them: tunesmith data balance FILE OUT by=LABEL, or tunesmith data clean FILE OUT"
    assert typed(told) == ["data.steps=clean"]
    told = "tunesmith data clean FILE OUT scripts=[zh]"
    assert typed(told) == ["data.steps={name: clean, scripts: [zh]}"]
    told = (
        "tunesmith data leave_out FILE OUT found=[cut] objective=dpo "
        "'columns={prompt: x, chosen: y}' reader=preference"
    )
    left_out = ["data.steps={name: leave_out, found: [cut]}"]
    assert typed(told) == left_out, "how the rows are read is the run's own"
    assert typed(f"{told[: told.index('{')]}…'") == left_out
    draft.values["data.steps"] = "clean"
    told = "tunesmith data clean FILE OUT and tunesmith data dedup FILE OUT, with columns=[COLUMN]"
    assert typed(told) == ["data.steps=[clean, dedup]"], "what is set stays, and stands once"
    assert typed("use objective=pretrain, or, for objective=sft, an answer") == [
        "objective=pretrain"  # the other one holds
    ]
    assert typed("model.trust_remote_code=true, track=wandb, out=x") == []
    told = "Options: model=ms:<id>; model=https://HOST/v1; train.epochs=2: fewer passes"
    assert typed(told) == ["train.epochs=2"], "a value that goes on is none to press"


def test_near_copies_have_a_button_that_keeps_the_first_alone(
    place: Path, client: TestClient
) -> None:
    long = "the river runs past the old mill and the garden with the seven tall trees, number"
    rows = [{"question": f"{long} {n}?", "answer": f"{n}"} for n in range(4)]
    rows += [{"question": f"what is {n * 977} in words?", "answer": f"{n}"} for n in range(40)]
    (place / "data" / "near.json").write_text(json.dumps(rows), "utf-8")
    form = chosen(place, data=str(place / "data" / "near.json"))
    page = Read(looked(client, "data", form).text)
    assert "resemble an earlier one" in page.text
    pressed = [one["href"] for tag, one in page.elements if "steps=dedup" in one.get("href", "")]
    assert pressed and pressed[0].startswith("/new/data?")
    after = Read(looked(client, "data", {**form, "data.steps": "dedup"}).text).text
    assert "resemble an earlier one" not in after


def test_the_plan_says_what_few_held_out_rows_cannot_prove(place: Path, client: TestClient) -> None:
    few = Read(looked(client, "plan", chosen(place)).text).text
    assert "fewer than 20 rows gives no verdict" in few and "40 training rows" not in few
    assert "leaves 20 training rows instead of 36" in few
    enough = looked(client, "plan", chosen(place, **{"data.held_out": "20"})).text
    assert "gives no verdict" not in Read(enough).text


@pytest.mark.parametrize("page", ["data", "plan"])
def test_a_page_that_is_still_looking_is_the_step_that_it_becomes(
    client: TestClient, place: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr(Looks, "at", lambda *_: None)
    waits = client.get(f"/new/{page}", params=chosen(place, probe="1")).text
    (step,) = [one for _, one in Read(waits).elements if one.get("aria-current") == "step"]
    assert "data-wait" in waits and step["href"].startswith(f"/new/{page}?")


def test_a_measured_plan_says_what_its_time_is_for(place: Path, client: TestClient) -> None:
    plain = looked(client, "plan", chosen(place)).text
    assert "Measure one step" in plain and "come on top" not in plain
    measured = looked(client, "plan", chosen(place, probe="1", asked="what is 99?")).text
    told = Read(measured).text
    assert "evaluations on 4 held-out rows" in told and "for 1 question of your own" in told
    assert "proof afterwards come on top" in told and "Measure one step" not in told
    sampled = drawn({"facts": {"probe": {"tokens": 9}}})
    assert sampled["time"] == "" and "writes answers in each step" in sampled["time_for"]


def test_the_plan_says_how_many_epochs_its_steps_are(place: Path, client: TestClient) -> None:
    plan = Read(looked(client, "plan", chosen(place, **{"train.steps": "1"})).text).text
    per_epoch = int(re.search(r"steps, (\d+) an epoch", plan)[1])  # type: ignore[index]
    assert per_epoch > 1 and f"; {round(1 / per_epoch, 2):g} epoch" in plan


def test_a_file_of_settings_is_loaded_and_its_dangers_are_named(place: Path) -> None:
    places = Places(place)
    text = (
        f"model: {{path: {place / 'tiny'}, dtype: fp32}}\ndata:\n  path: {place / 'data' / 'faq.csv'}\n"
        "  held_out: 0.2\n  columns: {question: q}\nobjective: {name: dpo, beta: 0.2}\n"
        "method: {name: lora, rank: 4}\ntrain: {epochs: 2, keep: {save: epoch}}\nout: runs/mine\n"
    )
    draft = draft_from_yaml(text, places)
    assert draft.problems == () and draft.goal == "prefer" and draft.name == "mine"
    run = read_run(None, draft.words(places))
    assert (run.objective.name, run.method.name, run.train.keep.save) == ("dpo", "lora", "epoch")
    assert dict(run.objective)["beta"] == 0.2 and run.data.columns == {"question": "q"}
    bad = draft_from_yaml(text + "track: wandb\nquestions: /etc/passwd\n", places)
    assert {one.where for one in bad.problems} == {"track", "questions"}
    with pytest.raises(SpecError):
        draft_from_yaml("- a\n- b\n", places)


def test_a_file_of_settings_goes_into_the_fields(place: Path, client: TestClient) -> None:
    text = (
        f"model: {place / 'tiny'}\r\ndata: {place / 'data' / 'faq.csv'}\r\n"
        "train: {epochs: 2}\r\nout: a/b\r\n"
    )
    answer = client.post("/new/load", data={"yaml": text}, headers=BESIDE)
    assert answer.status_code == 200 and answer.url.path == "/new/"
    fields = dict(answer.url.params)
    assert fields["train.epochs"] == "2" and fields["name"] == "b" and "out" not in fields
    for bad, told in (
        (text + "track: wandb\n", "cannot be set from a page"),
        ("model: [", "run.yaml:1"),
    ):
        answer = client.post("/new/load", data={"yaml": bad}, headers=BESIDE)
        assert answer.status_code == 400 and told in Read(answer.text).text
        assert bad.splitlines()[-1] in Read(answer.text).told["yaml"]  # to be mended there
    answer = client.post("/new/load", data={"yaml": "x: " + "y" * 1_000_000}, headers=BESIDE)
    assert answer.status_code == 413


def test_a_process_that_writes_its_report_is_not_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control.subprocess, "Popen", Still)
    run, one = RunFolder(tmp_path / "run"), control.Control()
    assert one.begin(run, ["train"]) is None and one.starting(run)
    assert "another process" in (one.begin(run, ["train"]) or "")
    run.model.mkdir()
    (run.model / "tunesmith.json").write_text("{}", "utf-8")
    assert not one.starting(run)


def test_a_process_that_was_stopped_is_not_starting_again_while_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control.subprocess, "Popen", Still)
    run, one = RunFolder(tmp_path / "run"), control.Control()
    assert one.begin(run, ["train"]) is None and one.starting(run)
    with run.held():
        assert not one.starting(run)
    assert not one.starting(run), "it left the folder, and has not ended yet"
    assert one.resume(run) and one.starting(run)
