"""How far a student is from its teacher, token by token: forward and reverse KL, and generalised
Jensen–Shannon: with P the teacher, Q the student and M = beta P + (1 - beta) Q, JSD(beta) = beta
KL(P || M) + (1 - beta) KL(Q || M) (Agarwal et al. 2024, GKD, eq. 1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.errors import Problem, SpecError
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

Divergence = Literal["forward_kl", "reverse_kl", "jsd"]


def beta_of_jsd(config: Any) -> None:
    """Raises SpecError where ``beta`` is given for a divergence that has none."""
    # A finished run's settings are all written out, so what was given is told by its value.
    if config.beta != type(config).model_fields["beta"].default and config.divergence != "jsd":
        text = say("preference.beta_of_jsd", divergence=config.divergence)
        raise SpecError(Problem("objective.beta", text))


def divergence(
    kind: Divergence,
    teacher_nV: torch.Tensor,
    student_nV: torch.Tensor,
    *,
    heat: float,
    share: float,
) -> torch.Tensor:
    """Computes [n] the divergence (nats) of the distributions that these logits give at temperature
    ``heat``; ``share`` is that of the teacher in the mixture of jsd.
    """
    import torch

    # A vocabulary may be padded to another size; what is beyond the common part is no token.
    size = min(student_nV.shape[-1], teacher_nV.shape[-1])
    p_nV = torch.log_softmax(teacher_nV[:, :size].float() / heat, -1)
    q_nV = torch.log_softmax(student_nV[:, :size] / heat, -1)

    def kl(one_nV: torch.Tensor, other_nV: torch.Tensor) -> torch.Tensor:
        return (one_nV.exp() * (one_nV - other_nV)).sum(-1)

    if kind == "forward_kl":
        return kl(p_nV, q_nV)
    if kind == "reverse_kl":
        return kl(q_nV, p_nV)
    m_nV = torch.logaddexp(p_nV + math.log(share), q_nV + math.log(1 - share))
    return share * kl(p_nV, m_nV) + (1 - share) * kl(q_nV, m_nV)
