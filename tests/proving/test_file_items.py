"""A proof on any file: rows that the training has seen are left out, each by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from material.proved import labelled
from tunesmith import api
from tunesmith.errors import DataError
from tunesmith.storage.run_folder import RunFolder


def written(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.slow  # 3 s
def test_rows_that_were_seen_are_left_out_and_the_run_s_own_proof_stays(
    label_run: RunFolder, tmp_path: Path
) -> None:
    proof = label_run.proof.read_bytes() if label_run.proof.exists() else None
    prepared_ids = json.loads(label_run.ledger.read_text(encoding="utf-8"))
    assert prepared_ids["trained"] == 280
    fresh = [
        {**row, "instruction": row["instruction"] + f" q{n} r{n} s{n}"}
        for n, row in enumerate(labelled(460)[400:])
    ]
    own = labelled(400)
    file = written(tmp_path / "fresh.jsonl", [*fresh, *own, fresh[0]])
    found = api.prove(label_run, data=file, shots=0, items=60)
    told = found.to_json()
    # All but the run's own proof rows were trained on or watched.
    assert len(told["file_leaked"]) == 400 - prepared_ids["proof"]
    assert told["items"] == 60 and told["file_rows"] == 461
    assert told["file_left_out"] == {"duplicate": 1}
    assert any(
        f"Other rows of {file} that were not asked: duplicate: 1" in one for one in found.lines()
    )
    line = next(line for line in found.lines() if "were left out" in line)
    assert f"{400 - prepared_ids['proof']} of the 461 rows of {file}" in line
    for leak in told["file_leaked"]:
        place, row = leak["id"].split(":")[1], leak["beside"].split(":")[1]
        assert own[int(place) - 61] == own[int(row) - 1]
    place = label_run.path / "proofs" / "fresh"
    assert json.loads((place / "proof.json").read_text(encoding="utf-8")) == told
    assert (label_run.proof.read_bytes() if label_run.proof.exists() else None) == proof


@pytest.mark.slow  # 6 s
def test_a_proof_stays_where_another_file_of_its_name_is_proved(
    label_run: RunFolder, tmp_path: Path
) -> None:
    rows = [
        {**row, "instruction": row["instruction"] + f" u{n} v{n} w{n}"}
        for n, row in enumerate(labelled(460)[400:])
    ]
    files = []
    for name, part in (("north", rows[:25]), ("south", rows[25:])):
        (tmp_path / name).mkdir()
        files.append(written(tmp_path / name / "asked.jsonl", part))
    for file in (*files, files[0]):  # the first again, which takes the place of its own
        api.prove(label_run, data=file, shots=0)
    proofs = label_run.path / "proofs"
    places = [proofs / "asked" / "proof.json", proofs / "asked-2" / "proof.json"]
    assert [json.loads(place.read_text(encoding="utf-8"))["file"] for place in places] == files
    assert not (proofs / "asked-3").exists()


def test_a_file_of_seen_rows_alone_proves_nothing(label_run: RunFolder, tmp_path: Path) -> None:
    assert isinstance(label_run.resolved().run.data.path, str)
    prepared = json.loads(label_run.ledger.read_text(encoding="utf-8"))
    # The first rows of the file, without those that were held out.
    rows = labelled(400)
    leaked = api.prove(
        label_run, data=written(tmp_path / "all.jsonl", rows), shots=0, items=1
    ).to_json()["file_leaked"]
    seen = [rows[int(one["id"].split(":")[1]) - 1] for one in leaked]
    assert len(seen) == 400 - prepared["proof"]
    long = {"instruction": "red " * 3000, "output": "color"}
    file = written(tmp_path / "seen.jsonl", [*seen, long, {"instruction": "red", "output": ""}])
    told = rf"none of its {len(seen) + 2} rows can prove anything: {len(seen)} are the same.*"
    with pytest.raises(DataError, match=told + "no answer: 1, too long: 1"):
        api.prove(label_run, data=file, shots=0)
