"""Published results, each recomputed and set beside the library; the docstring cites the source."""

from statistics import NormalDist

import numpy as np
import pytest
from plain import LAMBDA, Linear, Steps

import panicsim as ps

MARKET = ps.Market()


# --- A1, A2: thresholds ---


@pytest.mark.parametrize(("second", "acting"), [(1, 100), (2, 1)])
def test_granovetter_riot(second, acting):
    """A1. Granovetter 1978, AJS 83:1420: thresholds 0, 1, ..., 99 give 100 rioters; 1 -> 2 leaves one.

    One coin moves the log price by 1: a seller's threshold is the number of coins sold before.
    """
    threshold = np.array([0, second, *range(2, 100)])
    market = ps.Market(price=100.0, depth=1.0)
    # The rioter with threshold 0 needs no example: he is the shock.
    crowd = [Steps(threshold[1:] - 0.5, np.ones(99))]
    assert ps.cascade(market, crowd, shock=1.0).fall == pytest.approx(acting, rel=1e-9)


def test_granovetter_with_normal_thresholds():
    """A2. Granovetter 1978: mean 25, the end jumps from 6.2 to 100 at a standard deviation of 12.22."""

    class Rioters(ps.Participant):
        def __init__(self, spread):
            self.cdf = np.vectorize(NormalDist(25, spread).cdf, otypes=[float])

        def sold_by(self, fall, market):
            return 100 * (self.cdf(fall) - self.cdf(0.0))

    def end(spread):
        start = 100 * NormalDist(25, spread).cdf(0)
        r = 0.0
        for _ in range(20_000):
            r, before = start + float(Rioters(spread).sold_by(r, None)), r
            if r - before < 1e-12:
                break
        return r

    for spread, rioters in ((5, 0.0), (10, 0.8), (12, 4.0), (12.222, 6.2), (12.223, 100)):
        assert end(spread) == pytest.approx(rioters, abs=0.1)
    market = ps.Market(price=100.0, depth=1.0)
    for spread in (12.20, 12.25):
        start = 100 * NormalDist(25, spread).cdf(0)
        assert ps.cascade(market, [Rioters(spread)], start).fall == pytest.approx(end(spread), abs=1e-3)


# --- A5: information cascades ---


def test_wrong_information_cascade():
    """A5. Bikhchandani, Hirshleifer & Welch 1992, JPE 100:992: (1-p)^2/(p^2 + (1-p)^2) with a lead of two.

    With the random tie-break of that paper it is 0.368 (p. 997), with this rule 0.308 at p = 0.6.
    """
    p, n = 0.6, 20_000
    rng = np.random.default_rng(6)
    lead, undecided = np.zeros(n, dtype=int), []
    for step in range(1, 101):
        going = np.abs(lead) < 2
        lead[going] += np.where(rng.random(going.sum()) < p, 1, -1)
        if step % 2 == 0:
            undecided.append((np.abs(lead) < 2).mean())
    wrong = (1 - p) ** 2 / (p**2 + (1 - p) ** 2)
    assert wrong == pytest.approx(0.3077, abs=5e-5)
    assert (lead < 0).mean() == pytest.approx(wrong, abs=3 * np.sqrt(wrong * (1 - wrong) / n))
    for pairs in (1, 2, 3):
        chance = (2 * p * (1 - p)) ** pairs
        assert undecided[pairs - 1] == pytest.approx(chance, abs=3 * np.sqrt(chance / n))


# --- A6: leverage targeting ---


@pytest.mark.parametrize("leverage", [1.5, 2, 5, 10])
def test_leverage_targeting_multiplier(leverage):
    """A6. Adrian & Shin 2010, JFI 19:418; Greenwood, Landier & Thesmar 2015, JFE 115:471.

    A holder with assets A at target leverage L sells (L - 1) A s after a fall s: x = s/(1 - (L - 1) A/D),
    D in dollars per unit of return. A leverage target is a constant weight L on equity A/L.
    """
    depth = LAMBDA * 100
    assets = 0.4 * depth / (leverage - 1)
    bank = ps.Rebalancer(weight=leverage, aum=assets / leverage)
    shock = 1e-7
    assert ps.cascade(MARKET, [bank], shock).fall == pytest.approx(shock / (1 - 0.4), rel=1e-5)
    halves = [ps.Rebalancer(leverage, assets / leverage / 2)] * 2
    one, two = (ps.cascade(MARKET, crowd, 0.05).fall for crowd in ([bank], halves))
    assert one == pytest.approx(two, rel=1e-12)


# --- A8, A9: hedging and rebalancing ---


@pytest.mark.parametrize(("gain", "factor"), [(-0.5, 0.667), (0.25, 1.333), (0.5, 2.0)])
def test_hedging_changes_volatility(gain, factor):
    """A8. Frey & Stremme 1997; Sircar & Papanicolaou 1998: sigma/(1 - rho S Phi'), over many steps."""
    run = ps.simulate(ps.Market(volatility=1.0), [Linear(gain)], hours=400, dt=1.0, paths=3000, seed=1)
    ends = run.fall[-1] - run.fall[50]
    assert ends.std() * np.sqrt(8760 / 350) == pytest.approx(factor, rel=0.04)
    one_step = np.diff(run.fall[50:], axis=0).std() * np.sqrt(8760)
    assert one_step == pytest.approx(1 / np.sqrt(1 - gain**2), rel=0.01)


@pytest.mark.parametrize(("leverage", "factor"), [(2, 2), (3, 6), (-1, 2), (-2, 6), (-3, 12)])
def test_leveraged_funds_rebalance(leverage, factor):
    """A9. Cheng & Madhavan 2009, J. Investment Management 7(4): L (L - 1) AUM r, with the move either way."""
    aum, r = 1e6, 0.02
    before, after = leverage * aum * (1 + r), leverage * aum * (1 + leverage * r)
    assert after - before == pytest.approx(factor * aum * r)
    fund = ps.Rebalancer(leverage, aum)
    for small in (1e-7, -1e-7):
        assert fund.sold_by(small, MARKET) * 100 == pytest.approx(factor * aum * small, rel=1e-5)


# --- A20: branching ---


def families(gain, immigrants, rng):
    """Sizes of the clusters that each immigrant starts; every member has Poisson(g) children."""
    size, alive = np.ones(immigrants, dtype=int), np.ones(immigrants, dtype=int)
    while alive.any():
        alive = rng.poisson(gain * alive)
        size += alive
    return size


@pytest.mark.parametrize("gain", [0.3, 0.7])
def test_branching_moments(gain):
    """A20. Hawkes 1971; Filimonov & Sornette 2012, PRE 85:056108: mean intensity mu/(1 - n), mean cluster
    1/(1 - n), long-window Fano factor 1/(1 - n)^2; the photograph has the same n."""
    rng, n, mu = np.random.default_rng(12), 40_000, 50
    size = families(gain, n, rng)
    assert size.mean() == pytest.approx(1 / (1 - gain), abs=3 * size.std() / np.sqrt(n))
    # Windows much longer than a cluster: the clusters of Poisson(mu) immigrants each.
    windows = 4_000
    arrivals = rng.poisson(mu, windows)
    size = families(gain, arrivals.sum(), rng)
    counts = np.add.reduceat(size, np.concatenate([[0], np.cumsum(arrivals)[:-1]]))
    assert counts.mean() == pytest.approx(mu / (1 - gain), abs=3 * counts.std() / np.sqrt(windows))
    fano = counts.var() / counts.mean()
    assert fano == pytest.approx(1 / (1 - gain) ** 2, rel=3 * np.sqrt(2 / windows) * 1.2)
    assert ps.cascade(MARKET, [ps.Herd(gain * 2e6)], 0.01).amplification == pytest.approx(1 / (1 - gain))
