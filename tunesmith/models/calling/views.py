"""The one place where a model is called for training: ``see(model, batch)``, and three views of
that forward.

The model runs through its outermost module; a hook before its output head takes the hidden states
and leaves the head nothing to do. The head then runs in chunks, at scored positions only. Shapes: n
rows of a chunk.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.batches.batch import Batch, Loss, Ratio
from tunesmith.batches.sending import sent_together
from tunesmith.models.calling.chunks import chunks
from tunesmith.models.calling.forest import no_mask
from tunesmith.models.calling.loss_models import LossModel
from tunesmith.models.calling.nll import nll
from tunesmith.models.structure.heads import for_trunk, score_of
from tunesmith.models.structure.kinds import head_of, plain

# f(logits_nV, other_nV or None, slice of the scored positions) -> a sum
LogitsFunction = Callable[[torch.Tensor, "torch.Tensor | None", slice], torch.Tensor]

# Heads after which a model scales its logits in a way we do not know by name (``probe.py`` finds
# them): it makes them itself.
makes_own_logits: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()


_shared: ContextVar[dict[tuple[int, int], Seen] | None] = ContextVar("shared", default=None)


@contextmanager
def one_forward() -> Iterator[None]:
    """Makes ``see`` of the same model and batch run once, for losses made of several parts."""
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def see(model: LossModel, batch: Batch) -> Seen:
    """Runs ``model`` over ``batch`` once; all views share this forward."""
    shared, key = _shared.get(), (id(model), id(batch))
    seen_before = {} if shared is None else shared
    if key not in seen_before:
        a_module = isinstance(model, torch.nn.Module)
        seen_before[key] = forward(model, batch) if a_module else model.see(batch)
    return seen_before[key]


def forward(model: torch.nn.Module, batch: Batch) -> Seen:
    """Runs a new forward, whatever was seen before; for instance with an adapter off."""
    if head_of(model) != "language":
        return _see_trunk(model, batch)
    head = model.get_output_embeddings()  # type: ignore[operator]
    taken: list[torch.Tensor] = []
    own_logits = head in makes_own_logits

    def take(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        # A peft model's virtual tokens stand before the rows, and predict nothing that is scored.
        hidden = inputs[0][:, inputs[0].shape[1] - batch.layout.length :]
        taken.append(hidden.reshape(-1, hidden.shape[-1]))
        if own_logits:
            return (taken[0].index_select(0, batch.scored_N).unsqueeze(0), *inputs[1:])
        return (hidden[:1, :0], *inputs[1:])  # torch cannot view several such rows in parts

    handle = head.register_forward_pre_hook(take)
    try:
        output = model(**inputs_of(batch))
    finally:
        handle.remove()
    logits_NV = output.logits[0] if own_logits else None
    return Seen(batch, taken[0], Head(head, after_head(model.config), _bias(model)), logits_NV)  # type: ignore[arg-type]


def _see_trunk(model: torch.nn.Module, batch: Batch) -> Seen:
    """Runs a forward that keeps the trunk's hidden states; for a decoder's classifier what its head
    is given, token by token.
    """
    inner, head = plain(model), head_of(model)
    taken: list[torch.Tensor] = []
    score = score_of(inner) if head == "classes" else None

    def take(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        taken.append(inputs[0])

    def keep(_: torch.nn.Module, __: object, output: Any) -> None:
        taken.append(output.last_hidden_state)

    handle = (
        score.register_forward_pre_hook(take)
        if score is not None
        else inner.base_model.register_forward_hook(keep)
    )
    try:
        output = model(**for_trunk(inner.config, batch, inputs_of(batch)))
    finally:
        handle.remove()
    # A trunk alone is its own base_model, whose hooks peft's AdaLoRA goes past. Virtual tokens
    # stand before the row.
    hidden_BLD = output.last_hidden_state if head == "embedding" else taken[0]
    hidden_TD = hidden_BLD[:, -batch.layout.length :].flatten(0, 1)
    if score is not None:
        # transformers finds the last token by the padding's id; we know where it is.
        outputs_BC = score(hidden_TD.index_select(0, batch.ends_B)).float()
    else:
        outputs_BC = output.logits.float() if "logits" in output else None
    as_it_is = Head(score or inner, lambda logits: logits)
    if head == "tokens":
        outputs_TC = output.logits[:, -batch.layout.length :].flatten(0, 1).float()
        return Seen(batch, hidden_TD, as_it_is, own_outputs_TC=outputs_TC)
    return Seen(batch, hidden_TD, as_it_is, own_outputs_BC=outputs_BC)


def inputs_of(batch: Batch) -> dict[str, object]:
    """Returns the keywords of a model's call for this layout."""
    if batch.source_ids_BS is not None:
        # What pads the decoder's side follows every scored token, and a decoder looks back only.
        source = {"input_ids": batch.source_ids_BS, "attention_mask": batch.source_mask_BS}
        return {**source, "decoder_input_ids": batch.input_ids, "use_cache": False}
    if batch.layout.forest is None:
        mask = batch.mask_T.view(batch.layout.rows, batch.layout.length)
        return {"input_ids": batch.input_ids, "attention_mask": mask, "use_cache": False}
    return {
        "input_ids": batch.input_ids,
        "position_ids": batch.positions_T.view(1, -1),
        "attention_mask": no_mask(batch.ids_T.device),
        "forest": batch.layout.forest,
        "use_cache": False,
    }


def _bias(model: torch.nn.Module) -> torch.Tensor | None:
    """Returns what BART's family adds to its logits after the head; Marian's is not zero."""
    if not model.config.is_encoder_decoder:  # type: ignore[union-attr]
        return None
    return next(
        (buffer for name, buffer in model.named_buffers() if name.endswith("final_logits_bias")),
        None,
    )


def after_head(config: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Returns what the model applies to its logits after the head, from the names in its config."""
    settings = config.to_dict()
    factor = settings.get("logit_scale") or 1.0  # Cohere
    divisor = settings.get("logits_scaling") or 1.0  # Granite
    cap = settings.get("final_logit_softcapping")  # Gemma 2

    def scaled(logits: torch.Tensor) -> torch.Tensor:
        if factor != 1.0 or divisor != 1.0:
            logits = logits * (factor / divisor)
        return cap * torch.tanh(logits / cap) if cap else logits

    return scaled


@dataclass(frozen=True)
class Head:
    """The output head as a module, with what follows it."""

    module: torch.nn.Module
    after: Callable[[torch.Tensor], torch.Tensor]
    bias_1V: torch.Tensor | None = None

    def logits(self, hidden_nD: torch.Tensor) -> torch.Tensor:
        """Computes fp32 logits ``[n, V]``."""
        logits_nV = self.module(hidden_nD).float()
        return self.after(logits_nV if self.bias_1V is None else logits_nV + self.bias_1V)

    @property
    def trained(self) -> list[torch.nn.Parameter]:
        """The head's weights that take gradient."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]


@dataclass
class Seen:
    """One forward of a model. ``hidden_TD`` is what the head would have been given, for every token
    of the layout.
    """

    batch: Batch
    hidden_TD: torch.Tensor
    head: Head
    own_logits_NV: torch.Tensor | None = None
    own_outputs_BC: torch.Tensor | None = None
    own_outputs_TC: torch.Tensor | None = None

    @property
    def outputs_BC(self) -> torch.Tensor:
        """fp32 outputs of a classification head, a row a sequence, with gradient."""
        assert self.own_outputs_BC is not None, "this model has no classification head"
        return self.own_outputs_BC

    @property
    def outputs_TC(self) -> torch.Tensor:
        """fp32 outputs of a head on each token of the layout, with gradient."""
        assert self.own_outputs_TC is not None, "this model has no head on its tokens"
        return self.own_outputs_TC

    def tokens(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns hidden states ``[B, L, D]`` of each sequence's tokens, right-padded, and
        a mask.
        """
        places = self.batch.layout.places
        longest = max(map(len, places))
        index_BL = torch.zeros(len(places), longest, dtype=torch.long)
        mask_BL = torch.zeros(len(places), longest, dtype=torch.bool)
        for row, place_t in enumerate(places):
            index_BL[row, : len(place_t)], mask_BL[row, : len(place_t)] = (
                torch.from_numpy(place_t),
                True,
            )
        index_BL, mask_BL = sent_together([index_BL, mask_BL], self.hidden_TD.device)
        hidden_BLD = self.hidden_TD.index_select(0, index_BL.flatten()).unflatten(0, index_BL.shape)
        return hidden_BLD, mask_BL

    @property
    def logprobs_N(self) -> torch.Tensor:
        """Log-probability of each scored target (nats), with gradient, without keeping logits."""
        if self.own_logits_NV is not None:
            return -nll(self.own_logits_NV.float(), self.batch.targets_N)
        hidden_ND = self.features("scored")
        return _LogProbs.apply(self.head, self.batch.targets_N, hidden_ND, *self.head.trained)  # type: ignore[return-value]

    def over_logits(self, function: LogitsFunction, other: Seen | None = None) -> torch.Tensor:
        """Sums ``function`` over chunks of scored positions, forming its gradient chunk by chunk.

        ``other`` is another model's view of the same batch; its logits come without gradient.
        """
        if self.own_logits_NV is not None:
            other_NV = other.own_logits_NV if other is not None else None
            return function(
                self.own_logits_NV.float(), other_NV, slice(0, len(self.batch.scored_N))
            )
        hidden_ND = self.features("scored")
        if torch.is_grad_enabled():
            return _Sum.apply(function, self.head, other, hidden_ND, *self.head.trained)  # type: ignore[return-value]
        others_ND = other.features("scored") if other is not None else None
        total = torch.zeros((), device=hidden_ND.device)
        for chunk in _chunks(self.head, hidden_ND):
            other_nV = (
                other.head.logits(others_ND[chunk])
                if other is not None and others_ND is not None
                else None
            )
            total = total + function(self.head.logits(hidden_ND[chunk]), other_nV, chunk)
        return total

    def features(self, at: str) -> torch.Tensor:
        """Returns the hidden states before the head at the ``scored`` positions ``[N, D]`` or at
        the ``ends`` of the sequences ``[B, D]``.
        """
        return self.hidden_TD.index_select(
            0, {"scored": self.batch.scored_N, "ends": self.batch.ends_B}[at]
        )


def _chunks(head: Head, hidden_ND: torch.Tensor) -> list[slice]:
    """Slices of the rows whose logits fit the budget."""
    weight = next(head.module.parameters())
    return chunks(len(hidden_ND), weight.shape[0], hidden_ND.device)


class _Sum(torch.autograd.Function):
    """A sum over chunks whose gradient is formed with it, so that no logits outlive their chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        function: LogitsFunction,
        head: Head,
        other: Seen | None,
        hidden_ND: torch.Tensor,
        *weights: torch.Tensor,
    ) -> torch.Tensor:
        others_ND = other.features("scored") if other is not None else None
        wants = [hidden_ND.requires_grad, *(weight.requires_grad for weight in weights)]
        grads = [
            torch.zeros_like(t) if want else None
            for t, want in zip((hidden_ND, *weights), wants, strict=True)
        ]
        total = torch.zeros((), device=hidden_ND.device)
        for chunk in _chunks(head, hidden_ND):
            other_nV = None
            if other is not None and others_ND is not None:
                with torch.no_grad():
                    other_nV = other.head.logits(others_ND[chunk])
            hidden_nD = hidden_ND[chunk].detach().requires_grad_(wants[0])
            with torch.enable_grad():
                part = function(head.logits(hidden_nD), other_nV, chunk)
            total = total + part.detach()
            leaves = [t for t, want in zip((hidden_nD, *weights), wants, strict=True) if want]
            if leaves:
                _add(grads, iter(torch.autograd.grad(part, leaves)), wants, chunk)
        ctx.save_for_backward(*grads)
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[object, ...]:
        return (
            None,
            None,
            None,
            *(None if grad is None else grad * outputs[0] for grad in ctx.saved_tensors),
        )


class _LogProbs(torch.autograd.Function):
    """Log-probabilities of the targets; the backward computes each chunk's logits again."""

    @staticmethod
    def forward(
        ctx: Any,
        head: Head,
        targets_N: torch.Tensor,
        hidden_ND: torch.Tensor,
        *weights: torch.Tensor,
    ) -> torch.Tensor:
        ctx.head, ctx.precision = head, precision_now(hidden_ND.device)
        ctx.save_for_backward(targets_N, hidden_ND, *weights)
        parts = [
            -nll(head.logits(hidden_ND[chunk]), targets_N[chunk])
            for chunk in _chunks(head, hidden_ND)
        ]
        return torch.cat(parts) if parts else hidden_ND.new_zeros(0, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[object, ...]:
        targets_N, hidden_ND, *weights = ctx.saved_tensors
        wants = list(ctx.needs_input_grad[2:])
        grads = [
            torch.zeros_like(t) if want else None
            for t, want in zip((hidden_ND, *weights), wants, strict=True)
        ]
        for chunk in _chunks(ctx.head, hidden_ND):
            with torch.enable_grad(), ctx.precision():
                hidden_nD = hidden_ND[chunk].detach().requires_grad_(wants[0])
                part = -nll(ctx.head.logits(hidden_nD), targets_N[chunk])
                leaves = [t for t, want in zip((hidden_nD, *weights), wants, strict=True) if want]
                gradients = iter(torch.autograd.grad(part, leaves, outputs[0][chunk]))
            _add(grads, gradients, wants, chunk)
        return (None, None, *grads)


def precision_now(device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    """Returns the autocast that holds now, for a backward that computes a forward again: autograd
    runs it outside of every context.

    There a head in bf16 does not take the fp32 that a LayerNorm gives under CUDA's autocast.
    """
    kind = device.type
    options: Any = {
        "dtype": torch.get_autocast_dtype(kind),
        "enabled": torch.is_autocast_enabled(kind),
    }
    return lambda: torch.autocast(kind, **options)


def _add(grads: list[torch.Tensor | None], found: Any, wants: list[bool], chunk: slice) -> None:
    """Adds one chunk's gradients: the hidden states' rows are its own, the weights' are shared by
    all chunks.
    """
    for index, want in enumerate(wants):
        grad = grads[index]
        if want and grad is not None:
            (grad[chunk] if index == 0 else grad).add_(next(found))


def token_loss(model: LossModel, batch: Batch, *, smoothing: float = 0.0) -> Loss:
    """Computes the weighted negative log-likelihood of the scored tokens, as a sum.

    With ``smoothing`` ε (Szegedy et al. 2016, section 7) the target is (1 - ε) of the token and ε
    of all tokens alike: Σ w ((1 - ε) (-log p) + ε mean over the vocabulary of -log p). The
    likelihood alone is then told as ``nll``.
    """
    plain: list[torch.Tensor] = []

    def likelihood(logits_nV: torch.Tensor, _: torch.Tensor | None, chunk: slice) -> torch.Tensor:
        weights_n, targets_n = batch.weights_N[chunk], batch.targets_N[chunk]
        plain_loss = (weights_n * nll(logits_nV, targets_n)).sum()
        if not smoothing:
            return plain_loss
        plain.append(plain_loss.detach())
        even = (weights_n * -logits_nV.log_softmax(-1).mean(-1)).sum()
        return (1 - smoothing) * plain_loss + smoothing * even

    total = see(model, batch).over_logits(likelihood)
    metrics = {"loss": Ratio(total.detach(), batch.units)}
    return Loss(total, metrics | ({"nll": Ratio(sum(plain), batch.units)} if smoothing else {}))
