"""Published results on impact and execution: each recomputed in a few lines of its own."""

import numpy as np
import pytest

import panicsim as ps
from panicsim.orderbook import estimate_depth

# --- A16: Kyle's lambda ---


def test_kyle_1985():
    """A16. Kyle 1985, Econometrica 53:1315: with Sigma0 = 4, sigma_u = 1 an insider trades beta v, the market
    maker sets p = lambda y on the whole flow y; lambda = 1, beta = 1/2, profit 1, variance left 2.
    """
    rng, n = np.random.default_rng(16), 100_000
    sigma0, sigma_u = 4.0, 1.0
    slope, beta = np.sqrt(sigma0) / (2 * sigma_u), sigma_u / np.sqrt(sigma0)
    assert (slope, beta) == (1.0, 0.5)
    # Either answer is the best against the other: profit b v^2 (1 - slope b), and the regression of v on y.
    tried = np.linspace(0, 2, 2001)
    assert tried[np.argmax(tried * (1 - slope * tried))] == pytest.approx(beta)
    assert beta * sigma0 / (beta**2 * sigma0 + sigma_u**2) == pytest.approx(slope)
    value, noise = np.sqrt(sigma0) * rng.standard_normal(n), sigma_u * rng.standard_normal(n)
    flow = beta * value + noise
    profit = beta * value * (value - slope * flow)
    assert profit.mean() == pytest.approx(1, abs=3 * profit.std() / np.sqrt(n))
    left = value - slope * flow
    assert left.var() == pytest.approx(2, abs=3 * 2 * np.sqrt(2 / n))
    # The library's own regression finds lambda, and its standard error is the right one.
    price = 100 * np.exp(1e-6 * np.concatenate([[0], np.cumsum(value)]))
    found = estimate_depth(price, flow)
    error = found.error / found.depth * found.slope
    assert found.slope == pytest.approx(1e-6 * slope, abs=3 * error)
    assert error == pytest.approx(1e-6 * np.sqrt(2 / (2 * n)), rel=0.02)


# --- A17: the square root ---


def root_impact(coins, volume=1e6, sigma=0.04, scale=1.0):
    return scale * sigma * np.sqrt(coins / volume)


def test_square_root_law():
    """A17. Toth et al. 2011, PRX 1:021006; Donier & Bonart 2015: Y sigma sqrt(Q/V).

    Concept D2: sigma 4 %, one and four per cent of volume move the price by 0.4 % and 0.8 %.
    """
    assert root_impact(1e4) == pytest.approx(0.004)
    assert root_impact(4e4) == pytest.approx(0.008)
    assert root_impact(2e4) / root_impact(1e4) == pytest.approx(1.4142, abs=5e-5)


@pytest.mark.parametrize("n", [2, 10, 100])
def test_what_slicing_saves(n):
    """A17. If impact is forgotten in between, n slices cost n^(-1/2) a coin (linear: 1/n); else no less."""
    coins = 1e4
    sliced = root_impact(coins / n) / root_impact(coins)
    assert sliced == pytest.approx(n**-0.5)
    market = ps.Market()

    def lost(sold, before=0.0):
        """Share of the first price that the average fill is short of, linear impact on the log price."""
        after = market.fall_at(market.absorbed(before) + sold)
        return 1 - market.proceeds(before, after) / sold / 100

    assert lost(coins / n) / lost(coins) == pytest.approx(1 / n, rel=0.01)
    parts = [lost(coins / n, market.fall_at(k * coins / n)) for k in range(n)]
    assert np.mean(parts) == pytest.approx(lost(coins), rel=1e-9)


# --- A18: Almgren & Chriss ---

EXAMPLE = {"coins": 1e6, "days": 5, "slices": 5, "sigma": 0.95, "eta": 2.5e-6, "gamma": 2.5e-7}


def urgency(risk, sigma, eta, gamma, tau):
    """kappa from 2/tau^2 (cosh(kappa tau) - 1) = risk sigma^2/(eta - gamma tau/2)."""
    return np.arccosh(1 + tau**2 / 2 * risk * sigma**2 / (eta - gamma * tau / 2)) / tau


def trajectory(risk, coins, days, slices, sigma, eta, gamma):
    tau = days / slices
    kappa = urgency(risk, sigma, eta, gamma, tau)
    left = days - tau * np.arange(slices + 1)
    if kappa * days < 1e-6:
        return coins * left / days
    return coins * np.sinh(kappa * left) / np.sinh(kappa * days)


def cost_and_variance(holdings, days, sigma, eta, gamma):
    """Shortfall against the first price, and its variance, added up trade by trade."""
    tau = days / (len(holdings) - 1)
    sold = -np.diff(holdings)
    cost = gamma * (sold * holdings[1:]).sum() + eta / tau * (sold**2).sum()
    return cost, sigma**2 * tau * (holdings[1:] ** 2).sum()


def test_almgren_chriss_example():
    """A18. Almgren & Chriss 2001, J. Risk 3(2):5: kappa 0.607 a day, 1/kappa 1.65 d (printed 0.61, 1.6)."""
    kappa = urgency(1e-6, 0.95, 2.5e-6, 2.5e-7, 1.0)
    assert kappa == pytest.approx(0.607, abs=5e-4)
    assert 1 / kappa == pytest.approx(1.65, abs=5e-3)


def test_almgren_chriss_is_the_best_schedule():
    """A18. The sinh is what the quadratic program says, the straight line its limit, the frontier convex."""
    last = EXAMPLE["coins"]
    numbers = {k: EXAMPLE[k] for k in ("days", "sigma", "eta", "gamma")}

    def objective(inner, risk):
        cost, variance = cost_and_variance(np.array([last, *inner, 0.0]), **numbers)
        return cost + risk * variance

    for risk in (1e-7, 1e-6, 1e-5):
        best = trajectory(risk, **EXAMPLE)
        assert best[0] == pytest.approx(last)
        assert best[-1] == pytest.approx(0, abs=1e-6)
        floor = objective(best[1:-1], risk)
        for k in range(4):
            for step in (-1e3, 1e3):
                nudged = best[1:-1] + step * (np.arange(4) == k)
                assert objective(nudged, risk) > floor
            up, down = (objective(best[1:-1] + s * (np.arange(4) == k), risk) for s in (1e3, -1e3))
            assert abs(up - down) < 1e-6 * (up + down - 2 * floor), "the slope is zero there"
    np.testing.assert_allclose(trajectory(0.0, **EXAMPLE), last * np.linspace(1, 0, 6), atol=1e-6)
    np.testing.assert_allclose(trajectory(1e-12, **EXAMPLE), last * np.linspace(1, 0, 6), rtol=1e-5, atol=1)
    risks = np.geomspace(1e-8, 1e-4, 30)
    cost, variance = np.transpose([cost_and_variance(trajectory(r, **EXAMPLE), **numbers) for r in risks])
    assert (np.diff(cost) > 0).all() and (np.diff(variance) < 0).all()
    slopes = np.diff(cost) / np.diff(variance)
    assert (np.diff(slopes) < 0).all()
    np.testing.assert_array_less(-risks[1:], slopes)  # the slope of the frontier is minus the price of risk
    np.testing.assert_array_less(slopes, -risks[:-1])
