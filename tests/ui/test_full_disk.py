"""What a full disk refuses is said in one line, and leaves nothing that a page would stumble over."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from material.folders import bare, write
from material.opened_page import opened
from material.page import Page as Read
from material.small_disk import fill, small_disk
from tunesmith.ui.chats import Chats


def test_nothing_that_a_page_begins_is_half_there(tmp_path: Path, begun: list[list[str]]) -> None:
    root = tmp_path / "runs"
    root.mkdir()
    with small_disk(root):
        for name in ("a", "b"):
            bare(root / name)
            (root / name / "model").mkdir()
            write(root / name / "model" / "tunesmith.json", {"step": 3})
        client = opened(root)
        fill(root / "filler")
        for path, form in (
            ("/proof/a/start", {}),
            ("/export/a/start", {"format": "hf", "as": "x"}),
            ("/arena/start", {"run": ["a", "b"], "prompts": "one\ntwo"}),
            ("/serve/start", {"run": "a"}),
            ("/chat/begin", {"run": "a"}),
        ):
            answer = client.post(path, data=form, follow_redirects=False)
            (told,) = [one for one in Read(answer.text).texts if "No space left" in one]
            assert answer.status_code == 507 and "\n" not in told, path
        assert begun == []
        for path in ("/", "/proof/a/", "/export/a/", "/arena/", "/serve/", "/chat/"):
            assert client.get(path).status_code == 200, path
        (root / "filler").unlink()
        assert client.post("/proof/a/start").status_code == 200 and len(begun) == 1


def test_a_conversation_keeps_whole_lines_alone(tmp_path: Path) -> None:
    with small_disk(tmp_path):
        chats = Chats(tmp_path)
        chat = chats.begin({"a": "a"})
        chat.add({"asked": "Hi", "how": {}})
        fill(tmp_path / "filler")
        with pytest.raises(OSError, match="No space left"):
            chat.add({"turn": 0, "model": "a", "text": "long " * 5000})
        with pytest.raises(OSError, match="No space left"):
            chats.begin({"b": "b"})
        (tmp_path / "filler").unlink()
        chat.add({"turn": 0, "model": "a", "text": "Hello"})
        assert [turn.answers["a"]["text"] for turn in chat.turns()] == ["Hello"]
        assert [one.runs for one in chats.all()] == [{"a": "a"}]
