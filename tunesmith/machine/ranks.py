"""The processes of a run as objectives see them: numbers added up, and rows brought together."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tunesmith.machine.device import Device


@dataclass(frozen=True)
class OverRanks:
    """All processes of a run."""

    device: Device

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return self.device.world > 1

    def __call__(self, *values: float) -> list[float]:
        """Each value summed."""
        return self.device.sum(*values)

    def gather(self, rows: torch.Tensor) -> tuple[torch.Tensor, int]:
        """The rows ``[n, D]`` of all processes, and where one's own begin; one without rows need
        not know their width.
        """
        if not self.several:
            return rows, 0
        shapes = self.device.gather(torch.tensor(rows.shape))
        counts, width = shapes[:, 0].tolist(), int(shapes[:, 1].max())
        padded = rows.new_zeros(max(counts), width)
        padded[: len(rows), : rows.shape[1]] = rows
        found = self.device.gather(padded).to(rows.device)
        return torch.cat([part[:count] for part, count in zip(found, counts, strict=True)]), sum(
            counts[: self.device.rank]
        )
