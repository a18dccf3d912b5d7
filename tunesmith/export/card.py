"""The model card: README.md of an exported folder, from the run's settings, ledger and proof.

It holds no row, no question and no path of this machine: it is made to be published.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tunesmith.data.texts.script import script_of
from tunesmith.export.folders.source import Source
from tunesmith.export.formats import ExportFormat
from tunesmith.export.page import Page
from tunesmith.plain import JsonObject, Named
from tunesmith.proving.judge import TUNED
from tunesmith.proving.proof import rival_of, which_model
from tunesmith.proving.retention import retention_lines
from tunesmith.report.language import Say
from tunesmith.report.rows import shares
from tunesmith.report.verdict import contenders, metrics, name_of, number, standing, verdict
from tunesmith.settings.run import Run
from tunesmith.storage.hub import looks_local
from tunesmith.storage.sending import Hub
from tunesmith.words import language, metric_name, say

STARTER_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
SEEN = 0.1
"""Share of the held-out rows from which on a language is named."""
ENGLISH = {"the", "what", "which", "this", "with", "that"}
"""Of texts in Latin letters the English ones are told by these; what has none of them in half of
its texts may be any language, and is not named.
"""
TASKS = {
    "language": "text-generation",
    "classes": "text-classification",
    "tokens": "token-classification",
    "embedding": "sentence-similarity",
}
LIBRARIES = {"gguf": "gguf", "onnx": "onnx"}
"""What loads a format, as hubs name it; else transformers, or peft for an adapter."""


def write_card(fmt: ExportFormat, source: Source, page: Page, place: Path, hub: Hub | None) -> None:
    """Writes README.md into the folder of an export that goes to ``hub``, or to none."""
    (place / "README.md").write_text(card(fmt, source, page, hub), encoding="utf-8")


def card(fmt: ExportFormat, source: Source, page: Page, hub: Hub | None) -> str:
    """Returns the whole card in the language in use."""
    folder, run = source.folder, source.run
    proof = folder.read(folder.proof)
    name = hub.id.split("/")[1] if hub else folder.path.resolve().name
    base = base_id(source)
    fields = {
        "base": f"`{base or source.base.name}`",
        "objective": run.objective.name,
        "method": run.method.name,
        "format": page.format,
        "dtype": page.dtype,
    }
    lines = [f"# {name}", "", say("card.intro", **fields)]
    if base is None:
        lines += ["", say("card.local_base")]
    lines += section("rows", _rows(source))
    lines += section("training", _training(source))
    lines += section("proof", _proof(proof) if proof else [say("card.no_proof")])
    kept = [line for line in retention_lines((proof or {}).get("retention")) if line]
    lines += section("kept", [f"- {line}" for line in kept] or [say("card.not_asked")])
    word = say(f"export.verdict_{page.verdict.replace(' ', '_')}")
    shown = say("export.verdict", verdict=f"**{word}**", why=page.why)
    lines += section("parity", [shown, "", say("card.parity")])
    lines += section("use", _use(fmt, source, name, hub))
    lines += section("license", [say("card.license")])
    return f"---\n{_header(fmt, source, page, name)}\n---\n\n" + "\n".join([*lines, ""])


def base_id(source: Source) -> str | None:
    """Returns the base's id on a hub; None for a folder of this machine."""
    return base_of(source.run.model.path)


def base_of(path: str) -> str | None:
    """Returns the id on a hub of a model as settings name it; None for a folder of this machine."""
    if path == "starter":
        return STARTER_ID
    if looks_local(path) or Path(path).exists() or "/" not in path:
        return None
    return path.removeprefix("ms:")


def languages(texts: Sequence[str]) -> list[str]:
    """Names the languages of at least a tenth of the texts, as far as their letters or, for
    English, the commonest words tell them.
    """
    scripts = Counter(script_of(text) for text in texts)
    latin = [text for text in texts if script_of(text) == "latin"]
    english = sum(bool(ENGLISH & {*text.casefold().split()}) for text in latin)
    codes = [name for name in ("zh", "ja", "ko") if scripts[name] >= SEEN * len(texts) > 0]
    if len(latin) >= SEEN * len(texts) and 2 * english >= len(latin) > 0:
        codes.append("en")
    return codes


def _header(fmt: ExportFormat, source: Source, page: Page, name: str) -> str:
    """Returns the metadata that hubs read, as YAML."""
    from huggingface_hub import EvalResult, ModelCardData

    folder, run = source.folder, source.run
    base, proof = base_id(source), folder.read(folder.proof)
    results = None
    # A figure in the header is taken for the published file's: it stands there only if that file
    # was shown to be what the proof measured, or not to differ from it.
    if proof and page.verdict in ("same", "within the noise"):
        text = say("card.held_out", items=proof["items"])
        results = [
            EvalResult(TASKS[source.head], "held-out", text, **result)
            for result in _measured(proof)
        ]
    data = ModelCardData(
        model_name=name if results else None,
        eval_results=results,
        base_model=base,
        language=languages(_texts(source)) or None,
        library_name=LIBRARIES.get(fmt.name, "transformers" if fmt.folded(source) else "peft"),
        pipeline_tag=TASKS[source.head],
        tags=list(dict.fromkeys(["tunesmith", run.objective.name, run.method.name, fmt.name])),
    )
    if base:
        data["base_model_relation"] = "finetune" if fmt.folded(source) else "adapter"
    return data.to_yaml()


def _measured(proof: Named) -> list[JsonObject]:
    """Returns the tuned model's metrics, that of the verdict with the interval of its change."""
    results = []
    for name in metrics(proof):
        value = proof["contenders"][TUNED].get(name)
        if value is None:
            continue
        result: JsonObject = {"metric_type": name, "metric_name": metric_name(name),
                           "metric_value": value}  # fmt: skip
        rival = rival_of(proof)
        compared = proof["differences"].get(rival, {}).get(name)
        if compared:
            result["metric_args"] = {
                "against": rival,
                **{key: compared[key] for key in ("difference", "low", "high")},
            }
        results.append(result)
    return results


def section(name: str, lines: Sequence[str]) -> list[str]:
    """Returns the lines under a title of the card."""
    return ["", f"## {say(f'card.title_{name}')}", "", *lines]


def file_names(run: Run) -> str:
    """Names the files of a run without their folders."""
    return ", ".join(f"`{public_name(source.path)}`" for source in run.data.sources)


def _rows(source: Source) -> list[str]:
    """Says where the rows went, from the ledger."""
    names = file_names(source.run)
    ledger = source.folder.read(source.folder.ledger)
    if not ledger:
        return [say("card.rows_of", names=names)]
    table = [[share.name, str(share.count)] for share in shares(ledger, Say(language()))]
    lines = [say("card.rows_of", names=names), "", say("card.rows_went")]
    return [*lines, "", *_table([["", say("card.rows")], *table])]


def _training(source: Source) -> list[str]:
    """Lists what the plan settled: the settings that another run would need first."""
    train, facts = source.run.train, source.told
    settled = {
        "epochs": train.epochs,
        "steps": facts.get("step") or train.steps,
        "batch": train.batch,
        "learning_rate": train.learning_rate,
        "optimizer": train.optimizer.name,
        "schedule": train.schedule.name,
        "seed": train.seed,
    }
    rows = [[f"`train.{name}`", f"{value}"] for name, value in settled.items() if value is not None]
    return _table([["", ""], *rows])


def _proof(proof: Named) -> list[str]:
    """Returns the verdict with its interval, and the table of all contenders."""
    speak = Say(language())
    said, names = verdict(proof, speak), metrics(proof)
    table = [["", *map(metric_name, names)]]
    for who in contenders(proof):
        values = [number(name, proof["contenders"][who].get(name)) for name in names]
        table.append([name_of(who, proof, speak), *values])
    more = [*which_model(proof, speak), *standing(proof, speak)]
    lines = [said.sentence, "", said.detail, "", *_table(table)]
    lines += ["", say("card.proof_of"), *([""] if more else [])]
    return [*lines, *(f"- {line}" for line in more)]


def _use(fmt: ExportFormat, source: Source, name: str, hub: Hub | None) -> list[str]:
    """Returns the lines that fetch the model and load it from the folder ``name``."""
    local, named = str(source.base), base_id(source) or source.base.name
    lines = [line.replace(local, named) for line in fmt.use(source, Path(name))]
    return ["```", *([hub.fetch(name)] if hub else []), *lines, "```"]


def _texts(source: Source) -> list[str]:
    """Returns the held-out rows' questions and right answers, where a proof kept them."""
    items = source.folder.items
    if not items.is_file():
        return []
    lines = map(json.loads, items.read_text(encoding="utf-8").splitlines())
    return [f"{line.get('prompt', '')} {line.get('reference', '')}" for line in lines]


def public_name(path: str) -> str:
    """Returns a hub id as it is, and of a path its last part."""
    return Path(path).name if looks_local(path) or Path(path).exists() else path


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *rest = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows]
    return [head, f"|{'---|' * len(rows[0])}", *rest]
