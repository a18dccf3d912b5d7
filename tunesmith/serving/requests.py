"""Requests as OpenAI's clients send them. Fields that are not known are told back in a header;
those that would change an answer and cannot be honoured are refused.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from tunesmith.errors import DataError, Problem
from tunesmith.plain import JsonObject
from tunesmith.serving.limits import Limits
from tunesmith.settings.run import Generate
from tunesmith.words import say

HALF = re.compile("[\ud800-\udfff]")


def _whole(text: str) -> str:
    """Refuses halves of letters, which JSON can write and no tokenizer reads."""
    if HALF.search(text):
        raise ValueError(say("serve.half_letter"))
    return text


Text = Annotated[str, AfterValidator(_whole)]
TokenId = Annotated[int, Field(ge=0, strict=True)]
# One wrong item is enough: a list of a body of 1 MiB may hold half a million, and to tell them all
# took three seconds and 1 GiB.
Ids = Annotated[list[TokenId], Field(fail_fast=True)]
Texts = Annotated[list[Text], Field(fail_fast=True)]
Objects = Annotated[list[JsonObject], Field(fail_fast=True)]


class StreamOptions(BaseModel):
    """Whether the last piece of a stream tells how many tokens there were."""

    include_usage: bool = False


class Written(BaseModel):
    """What requests for answers have in common; None leaves a value to the run's settings."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    model: Text = ""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1)] = 1
    stop: Text | Texts | None = None
    seed: int | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None

    # What would change the answer: only the value that changes nothing is taken.
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None


class JsonSchema(BaseModel):
    """A named schema."""

    model_config = ConfigDict(populate_by_name=True)

    given: JsonObject | bool = Field(default_factory=dict, alias="schema")


class ResponseFormat(BaseModel):
    """What an answer has to look like."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None


class ChatRequest(Written):
    """``/v1/chat/completions``."""

    messages: Objects
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0)] | None = None
    response_format: ResponseFormat | None = None
    tools: Objects | None = None
    tool_choice: str | JsonObject | None = None


class CompletionRequest(Written):
    """``/v1/completions``."""

    prompt: Text | Ids | Texts | Annotated[list[Ids], Field(fail_fast=True)]
    logprobs: Annotated[int, Field(ge=0)] | None = None
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None


class ReadRequest(BaseModel):
    """``/v1/classify``, ``/v1/score`` and ``/v1/embeddings``: texts, or rows as they stand in the
    training's files without the answer.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    model: Text = ""
    input: Text | JsonObject | Annotated[list[Text | JsonObject], Field(fail_fast=True)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @property
    def rows(self) -> list[Text | JsonObject]:
        """The texts or rows, one or many."""
        return self.input if isinstance(self.input, list) else [self.input]


Kind = TypeVar("Kind", bound=BaseModel)
TOLD = 5
"""Fields that are told in one answer."""
LOOKED_AT = 64
"""Faults that are looked at: a body may hold half a million."""
OWN_WORDS = {
    "missing": "required",
    "dict_type": "no_mapping",
    "model_type": "no_mapping",
    "model_attributes_type": "no_mapping",
    "int_parsing_size": "large_number",
}
"""Faults that are called otherwise here than in a file of settings."""


def parsed(body: bytes, kind: type[Kind]) -> Kind:
    """Reads a body; raises DataError with the path of each field that is wrong."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise DataError(Problem("", say("serve.no_json"))) from None
    if not isinstance(value, dict):
        raise DataError(Problem("", say("serve.no_object")))
    try:
        return kind.model_validate(value)
    except RecursionError:
        raise DataError(Problem("", say("serve.no_json"))) from None
    except ValidationError as error:
        raise DataError(_problems(error)) from None


def _problems(error: ValidationError) -> list[Problem]:
    """Returns the first fields that are wrong; one that takes several kinds names them all."""
    texts: dict[str, list[str]] = {}
    for error_at in error.errors(include_url=False, include_input=False)[:LOOKED_AT]:
        texts.setdefault(_path(error_at["loc"]), []).append(_wrong(error_at))
    # Of the kinds that a field takes, the one that was gone into is meant: texts, not a text.
    meant = [path for path in texts if not any(other.startswith(f"{path}.") for other in texts)]
    joined = [(path, say("spec.or").join(dict.fromkeys(texts[path]))) for path in meant[:TOLD]]
    return [Problem(*problem) for problem in joined]


def _wrong(one: ErrorDetails) -> str:
    """Describes one fault in the current language, without the value: logs may hold the answer."""
    kind, context = one["type"], one.get("ctx", {})
    if kind in OWN_WORDS:
        return say(f"serve.{OWN_WORDS[kind]}")
    if kind == "literal_error":
        expected = str(context["expected"]).replace(" or ", say("spec.or_mean"))
        return say("spec.literal_error", expected=expected)
    try:
        return say(f"spec.{kind}", **context)
    except KeyError:  # pydantic has a hundred kinds; the words are those that a request can have
        return one["msg"].removeprefix("Value error, ")


def _path(loc: tuple[int | str, ...]) -> str:
    """Returns a field's dotted path, without what pydantic says of the kinds that it may have."""
    names = [str(part) for part in loc]
    kinds = ("str", "bool")
    return ".".join(name for name in names if re.fullmatch(r"\w+", name) and name not in kinds)


def ignored(request: BaseModel) -> list[str]:
    """Returns the fields that are not known; they change nothing."""
    names = (request.model_extra or {}).keys()
    return [name for name in names if re.fullmatch(r"\w{1,64}", name, re.ASCII)][:32]


def settings(request: Written, run: Generate, limits: Limits) -> Generate:
    """Returns how an answer is written: the run's own settings, with what the request gives;
    raises DataError for what cannot be honoured, all at once.
    """
    problems = [*_beyond(request, limits), *_without_effect(request)]
    if problems:
        raise DataError(problems)
    changes: dict[str, Any] = {"samples": 1, "stop": (*run.stop, *stops(request))}
    most = request.max_tokens
    if isinstance(request, ChatRequest):
        most = request.max_completion_tokens or most
    changes["max_new_tokens"] = min(most or run.max_new_tokens, limits.new_tokens)
    if request.temperature is not None:
        changes["temperature"] = request.temperature
    if request.top_p is not None:
        changes["top_p"] = request.top_p
    return run.model_copy(update=changes)


def stops(request: Written) -> list[str]:
    """Returns the request's stop texts."""
    asked = [request.stop] if isinstance(request.stop, str) else request.stop or []
    return [stop for stop in asked if stop]


def _beyond(request: Written, limits: Limits) -> list[Problem]:
    """Returns what is more than the server takes."""
    sizes = {"n": (request.n, limits.choices), "stop": (len(stops(request)), limits.stops)}
    if isinstance(request, ChatRequest):
        sizes["messages"] = (len(request.messages), limits.messages)
        sizes["top_logprobs"] = (request.top_logprobs or 0, limits.likely)
        sizes["tools"] = (len(request.tools or ()), limits.tools)
    if isinstance(request, CompletionRequest):
        sizes["logprobs"] = (request.logprobs or 0, limits.likely)
    problems = [
        Problem(name, say("serve.too_many", given=count, most=most))
        for name, (count, most) in sizes.items()
        if count > most
    ]
    longest = max(map(len, stops(request)), default=0)
    if longest > limits.stop_length:
        text = say("serve.stop_length", given=longest, most=limits.stop_length)
        problems.append(Problem("stop", text))
    return problems


def _without_effect(request: Written) -> list[Problem]:
    """Returns the fields that ask for something that this server does not do."""
    wrong: dict[str, object] = {
        "presence_penalty": request.presence_penalty or None,
        "frequency_penalty": request.frequency_penalty or None,
        "logit_bias": request.logit_bias or None,
    }
    if isinstance(request, ChatRequest):
        choice = request.tool_choice
        wrong["tool_choice"] = choice if choice not in (None, "auto", "none") else None
        extra = request.model_extra or {}
        wrong |= {name: extra.get(name) for name in ("functions", "audio")}
    if isinstance(request, CompletionRequest):
        wrong["suffix"] = request.suffix or None
        wrong["best_of"] = request.best_of if request.best_of not in (None, request.n) else None
        wrong["echo"] = request.echo or None
    return [
        Problem(name, say("serve.not_done")) for name, value in wrong.items() if value is not None
    ]
