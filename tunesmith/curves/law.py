"""A saturating power law of the number of training rows, fitted by least squares.

Quality = limit - scale * rows ** -power, with scale and power above 0 (POW3 in Viering and Loog
2023, "The shape of learning curves", table 1; for losses Hestness et al. 2017, equation 1). For a
given power the other two are a straight line through the points, so every power of a grid is solved
at once, and the best one is taken: no start, no local minimum, the same result each time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POWERS = np.geomspace(0.05, 2.0, 60)
"""Powers that are tried; those measured on real tasks lie between 0.07 and 1."""


@dataclass(frozen=True)
class Law:
    """R laws, one for each resampled curve. ``higher`` says whether more is better."""

    limit_R: np.ndarray
    scale_R: np.ndarray
    power_R: np.ndarray
    higher: bool

    def at(self, rows: float) -> np.ndarray:
        """Returns the quality with so many rows [R]."""
        away_R = self.scale_R * rows**-self.power_R
        return self.limit_R - away_R if self.higher else self.limit_R + away_R

    def rows_for(self, value_R: np.ndarray) -> np.ndarray:
        """Returns how many rows reach a quality [R]; infinite where the limit is not above it."""
        left_R = self.limit_R - value_R if self.higher else value_R - self.limit_R
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            rows_R = (self.scale_R / np.maximum(left_R, 0)) ** (1 / self.power_R)
        # Where no row helps (scale 0), none more are needed for what is there, and any for more.
        return np.where(left_R > 0, rows_R, np.inf)


def fit(
    rows_P: np.ndarray, values_RP: np.ndarray, *, higher: bool, best: float | None = None
) -> Law:
    """Fits a law to each curve of ``values_RP`` over the sizes ``rows_P``; a limit beyond ``best``,
    the best that the metric can be, is held there, and a curve that falls with more rows is flat.
    """
    sign = -1.0 if higher else 1.0
    badness_RP = sign * values_RP
    floor = -np.inf if best is None else sign * best
    basis_GP = rows_P.astype(float)[None, :] ** -POWERS[:, None]
    middle_G1 = basis_GP.mean(-1, keepdims=True)
    mean_R1 = badness_RP.mean(-1, keepdims=True)
    spread_G = ((basis_GP - middle_G1) ** 2).sum(-1)
    slope_RG = (badness_RP - mean_R1) @ (basis_GP - middle_G1).T / spread_G
    # More rows may not make it worse: such a curve is flat.
    slope_RG = np.maximum(slope_RG, 0.0)
    limit_RG = mean_R1 - slope_RG * middle_G1[:, 0]
    # With the limit held at the floor, the slope is that of a line through this point.
    if np.isfinite(floor):
        held_RG = np.maximum((badness_RP - floor) @ basis_GP.T / (basis_GP**2).sum(-1), 0.0)
        below_RG = limit_RG < floor
        slope_RG = np.where(below_RG, held_RG, slope_RG)
        limit_RG = np.where(below_RG, floor, limit_RG)
    told_RGP = limit_RG[:, :, None] + slope_RG[:, :, None] * basis_GP[None]
    error_RG = ((told_RGP - badness_RP[:, None, :]) ** 2).sum(-1)
    chosen_R = error_RG.argmin(-1)
    every_R = np.arange(len(values_RP))
    return Law(
        sign * limit_RG[every_R, chosen_R], slope_RG[every_R, chosen_R], POWERS[chosen_R], higher
    )
