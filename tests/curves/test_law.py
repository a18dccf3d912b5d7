"""The fitted law against curves whose law is known."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.curves.law import POWERS, fit

ROWS = np.array([100, 200, 400, 800, 1600])


@pytest.mark.parametrize(("higher", "limit"), [(True, 0.9), (False, 0.4)])
def test_a_curve_without_noise_gives_its_law_back(higher: bool, limit: float) -> None:
    power = float(POWERS[35])
    away = 3.0 * ROWS**-power
    law = fit(ROWS, (limit - away if higher else limit + away)[None], higher=higher)
    assert law.limit_R[0] == pytest.approx(limit, abs=1e-9)
    assert law.scale_R[0] == pytest.approx(3.0, rel=1e-6) and law.power_R[0] == power
    wanted = law.at(1600) + (0.01 if higher else -0.01)
    # By hand: the distance to the limit, 3 n^-p, is to be smaller by a hundredth.
    left = 3.0 * 1600**-power - 0.01
    assert law.rows_for(wanted)[0] == pytest.approx((3.0 / left) ** (1 / power), rel=1e-6)
    beyond = np.array([limit + (0.01 if higher else -0.01)])
    assert np.isinf(law.rows_for(beyond)[0])


def test_no_limit_lies_beyond_the_best_that_a_metric_can_be() -> None:
    """A line of equal steps by doubling: the free fit would end far above 100 %."""
    values = 0.5 + 0.1 * np.log2(ROWS / 100)
    free, held = (fit(ROWS, values[None], higher=True, best=best) for best in (None, 1.0))
    assert free.limit_R[0] > 1.0 and held.limit_R[0] <= 1.0
    assert np.abs(held.at(800)[0] - values[3]) < 0.05


def test_a_curve_that_falls_with_more_rows_is_flat_and_reaches_nothing() -> None:
    law = fit(ROWS, np.array([[0.8, 0.7, 0.6, 0.5, 0.4]]), higher=True)
    assert law.scale_R[0] == 0 and law.limit_R[0] == pytest.approx(0.6)
    assert np.isinf(law.rows_for(law.at(1600) + 0.01)[0])


def test_curves_are_fitted_one_by_one() -> None:
    random = np.random.default_rng(0)
    values_RP = 0.8 - 2 * ROWS**-0.5 + random.normal(0, 0.01, (50, len(ROWS)))
    together = fit(ROWS, values_RP, higher=True, best=1.0)
    alone = [fit(ROWS, one[None], higher=True, best=1.0) for one in values_RP]
    np.testing.assert_allclose(together.limit_R, [one.limit_R[0] for one in alone], rtol=1e-9)
