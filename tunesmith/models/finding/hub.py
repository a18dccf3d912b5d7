"""Finds a model: the starter, a folder or file here, a finished run, or an id on a hub; only
safetensors are ever taken.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from tunesmith.data.find import find_data
from tunesmith.errors import ModelError, Problem
from tunesmith.models.finding.merged import merged
from tunesmith.models.finding.packaged import packaged_model
from tunesmith.models.finding.starter import convert_gguf, starter
from tunesmith.settings.run import Model
from tunesmith.settings.spec import closest
from tunesmith.settings.teacher import is_endpoint
from tunesmith.storage.headers import headers, is_pointer
from tunesmith.storage.hub import is_kept, looks_local, snapshot
from tunesmith.storage.run_folder import RunFolder, told_near
from tunesmith.words import say

__all__ = ["find_data", "find_model", "folder_of"]

MODEL_PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken"]
# Sub-folders hold the same weights in other forms (onnx/, original/); consolidated files are a
# second copy.
NOT_MODEL = ["*/*", "consolidated*.safetensors"]
ADAPTER = "adapter_config.json"
PICKLED = {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".pickle"}


def folder_of(model: Model) -> Path:
    """Returns the folder of a run's base model."""
    return find_model(model.path, revision=model.revision, code=model.trust_remote_code)


def find_model(path: str, *, revision: str | None = None, code: bool = False) -> Path:
    """Finds the folder to load, with ``config.json``; an adapter, such as a finished run's, comes
    merged into its base.

    ``code`` also takes a hub model's own Python files, for those who trust them. ModelError says
    the ways out.
    """
    if path == "starter":
        return starter()
    if is_endpoint(path):
        raise ModelError(Problem(path, say("hub.is_endpoint", path=path)))
    if path.startswith("package:"):
        return packaged_model(path.removeprefix("package:"))
    here = Path(path).expanduser()
    if os.path.isfile(here):
        if here.suffix != ".gguf":
            raise ModelError(Problem(path, say("hub.model_is_file")))
        return convert_gguf(here)
    if os.path.isdir(here):
        return _checked(_inner(here, path), path)
    local = looks_local(path) or path.endswith((".gguf", ".safetensors"))
    if local and not path.startswith("ms:"):
        raise ModelError(Problem(path, _absent(here)))
    patterns = [*MODEL_PATTERNS, "*.py"] if code else MODEL_PATTERNS
    try:
        folder = snapshot(path, "model", patterns=patterns, ignore=NOT_MODEL, revision=revision)
    except ModelError as error:
        near = _near(path)
        raise ModelError(
            [Problem(problem.where, problem.text + near) for problem in error.problems]
        ) from None
    return _checked(folder, path)


def refuse_absent(model: Model) -> None:
    """Raises ModelError where a run's base model is not there, or its name is doubtful and neither
    on this machine nor kept from a hub; nothing is fetched, merged or converted.
    """
    if at_hand(model):
        folder_of(model)
    elif not os.path.exists(Path(model.path).expanduser()) and not is_kept(model.path):
        near = _near(model.path)
        if near:
            raise ModelError(Problem(model.path, say("hub.not_asked") + near))


def _near(path: str) -> str:
    """Says what lies near a name that reads as the id of a model on a hub: a run's name that was
    mistyped (runs/frist) reads so too.
    """
    here = Path(path).expanduser()
    if len(here.parts) > 1:
        return told_near(here) if here.parent.is_dir() else ""
    return closest(path, ["starter"])


def _absent(here: Path) -> str:
    """Says that nothing is at a path, and where it was looked for."""
    if not here.is_absolute():
        return say("hub.no_folder", folder=Path.cwd())
    there = next(folder for folder in here.parents if os.path.isdir(folder))
    return say("hub.no_place", folder=there)


def at_hand(model: Model) -> bool:
    """Tells whether a run's base model lies here as it is, or is not to be had: whether finding it
    takes neither a merge nor a conversion nor a download.
    """
    here = Path(model.path).expanduser()
    if os.path.isdir(here):
        with suppress(ModelError):
            inner = _inner(here, model.path)
            return (inner / "config.json").is_file() or not (inner / ADAPTER).is_file()
        return True
    return not os.path.isfile(here) and (
        model.path == "starter" or model.path.startswith("package:") or looks_local(model.path)
    )


def _inner(folder: Path, path: str) -> Path:
    """Returns the model's folder inside a run's folder; the folder itself when it is a model."""
    if (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
        return folder
    run = RunFolder(folder)
    if not run.run_yaml.is_file():
        return folder
    if not run.model.is_dir():
        raise ModelError(Problem(path, say("hub.run_without_model", path=path)))
    return run.model


def _checked(folder: Path, path: str) -> Path:
    """Returns the folder after checking that it holds a model whose weights are whole and are
    safetensors; raises ModelError otherwise.
    """
    names = sorted(file.name for file in folder.iterdir() if file.is_file())
    pointers = [name for name in names if is_pointer(folder / name)]
    if pointers:
        raise ModelError(Problem(path, say("hub.lfs_pointer", names=_some(pointers))))
    weights = [name for name in names if name.endswith(".safetensors")]
    pickled = [
        name for name in names if Path(name).suffix in PICKLED and name != "training_args.bin"
    ]
    ggufs = [name for name in names if name.endswith(".gguf")]
    if weights and not {"config.json", "adapter_config.json"} & set(names):
        raise ModelError(Problem(path, say("hub.no_config", found=_some(names))))
    if not weights and len(ggufs) == 1 and not pickled:
        return convert_gguf(folder / ggufs[0])
    if not weights and pickled:
        raise ModelError(Problem(path, say("hub.pickled", found=_some(pickled))))
    if not weights:
        raise ModelError(Problem(path, say("hub.no_weights", found=_some(names))))
    _check_shards(folder, path)
    for name in weights:
        _check_whole(folder / name)
    if GENERATION in names:
        _check_object(folder / GENERATION)
    if "config.json" in names:
        _refuse_quantised(folder, path)
    return (
        merged(folder, lambda name, revision: find_model(name, revision=revision))
        if "config.json" not in names
        else folder
    )


GENERATION = "generation_config.json"


def _check_object(file: Path) -> None:
    """Raises ModelError for a file that holds no JSON object. Of the settings of generation a
    broken file would be passed over, and the tokens that end an answer with it.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ModelError(Problem(str(file), say("hub.no_object")))


def _refuse_quantised(folder: Path, path: str) -> None:
    """Raises ModelError for weights that are already quantised: their kernels give no gradient
    here, and rounding them again would make them worse.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        return  # said where the config is read
    facts = config if isinstance(config, dict) else {}
    parts = [facts, *(part for part in facts.values() if isinstance(part, dict))]
    quantisation = next(
        (part["quantization_config"] for part in parts if "quantization_config" in part), None
    )
    method = quantisation.get("quant_method", "?") if isinstance(quantisation, dict) else "?"
    rounded = None if quantisation else _rounded(folder)
    if quantisation or rounded:
        raise ModelError(Problem(path, say("hub.quantised", method=rounded or method)))


def _rounded(folder: Path) -> str | None:
    """Returns name and type of a weight that is stored in fewer than 16 bits, for not every such
    folder says so in its config; masks and positions are integers, too, but no ``weight``.
    """
    for name, shape, kind in headers(folder):
        small = kind.startswith(FEW_BITS)
        packed = kind[0] in "IU" and len(shape) == 2 and name.endswith("weight")
        if small or packed:
            return f"{name}: {kind}"
    return None


FEW_BITS = ("F8", "F6", "F4")
"""How the types of floating-point numbers of fewer than 16 bits begin in safetensors."""
_STARTS = 64
"""Bytes at the beginning of a file that show a web page."""


def _check_whole(file: Path) -> None:
    """Raises ModelError where a file is not as long as its own header says, as after a broken
    download.
    """
    size = file.stat().st_size
    with open(file, "rb") as opened:
        start = opened.read(_STARTS).lstrip().lower()
    # What a proxy or a web server answers in place of a file; a header cannot begin so, for its
    # length stands there.
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelError(Problem(str(file), say("hub.web_page")))
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length)) if length < size else {}
        tensors = [
            entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"
        ]
        wanted = 8 + length + max(tensors, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise ModelError(Problem(str(file), say("hub.not_safetensors"))) from None
    if size != wanted:
        raise ModelError(
            Problem(str(file), say("hub.file_cut_off", size=f"{size:,}", wanted=f"{wanted:,}"))
        )


def _check_shards(folder: Path, path: str) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ModelError(Problem(str(index), say("hub.bad_index"))) from None
    # A shard is a file of this folder: a path in the index could point anywhere.
    outside = [name for name in shards if not isinstance(name, str) or Path(name).name != name]
    if outside:
        raise ModelError(Problem(str(index), say("hub.shard_outside", shard=outside[0])))
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            Problem(
                path,
                say(
                    "hub.shards_missing",
                    missing=_some(missing),
                    count=len(missing),
                    all=len(shards),
                ),
            )
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:6]) or "-"
    return f"{shown}, … ({len(names)})" if len(names) > 6 else shown
