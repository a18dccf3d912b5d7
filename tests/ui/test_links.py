"""Links in the folders where pages keep chats, arenas, exports and proofs: the folder may lie on
another disk, and what a link in it shows of other places is nobody's.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from starlette.testclient import TestClient

from material.folders import full, proof, write, write_lines
from material.voted import arena_of

NAME = "one-that-is-kept"
KEPT = {
    "chats": (f"{NAME}.jsonl", "/chat/"),
    "arenas": (NAME, "/arena/"),
    "first/exports": (NAME, "/export/first/"),
    "first/proofs": (NAME, "/proof/first/"),
}
"""By folder, what is kept there, and the page that shows it."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A run with something in each folder."""
    root = tmp_path / "runs"
    folder = full(root / "first")
    folder.model.mkdir(exist_ok=True)
    write(folder.model / "tunesmith.json", {"step": 150})
    (root / "chats").mkdir()
    write_lines(
        root / "chats" / f"{NAME}.jsonl", [{"runs": {"m": "first"}}, {"asked": "?", "how": {}}]
    )
    arena_of(root / "arenas" / NAME)
    made, proved = folder.path / "exports" / NAME, folder.path / "proofs" / NAME
    made.mkdir(parents=True)
    (made / "parity.md").write_text("# parity of own\n", "utf-8")
    proved.mkdir(parents=True)
    write(proved / "proof.json", proof() | {"file": "own.csv", "primary_reason": "labels"})
    return root


@pytest.mark.parametrize("kept", KEPT)
def test_a_link_in_a_folder_is_not_followed_and_a_folder_on_another_disk_is(
    place: Path, client: TestClient, kept: str
) -> None:
    name, page = KEPT[kept]
    there = place.parent / "other disk"
    assert NAME in client.get(page).text
    shutil.move(place / kept, there)
    (place / kept).symlink_to(there)
    assert NAME in client.get(page).text, "its owner put the folder on another disk"
    (place / kept).unlink()
    (place / kept).mkdir()
    (place / kept / name).symlink_to(there / name)
    assert NAME not in client.get(page).text


def test_what_a_link_leads_to_is_neither_opened_nor_written_to(
    place: Path, client: TestClient, begun: list[list[str]]
) -> None:
    for kept in ("chats", "arenas"):
        there, name = place.parent / f"{kept} elsewhere", KEPT[kept][0]
        shutil.move(place / kept, there)
        (place / kept).mkdir()
        (place / kept / name).symlink_to(there / name)
    assert client.get(f"/chat/{NAME}/").status_code == 404
    assert client.post(f"/chat/{NAME}/ask", data={"asked": "?"}).status_code == 404
    assert client.post(f"/arena/{NAME}/open").status_code == 404 and begun == []
