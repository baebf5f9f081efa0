"""Published results on leverage, forced sales and the fees that answer them."""

import numpy as np
import pytest
from plain import LAMBDA

import panicsim as ps

MARKET = ps.Market()
DEPTH = LAMBDA * 100  # USD per unit of return, the D of the papers


# --- A6: many banks, many assets ---


def banks(seed=0, n=5, k=3):
    """Weights M (n, k), assets, debt over equity, price impact per dollar: gain well below 1."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(k), n)
    assets, leverage = rng.uniform(20e6, 60e6, n), rng.uniform(2, 8, n)
    impact = rng.uniform(0.2, 1.0, k) / 1e9
    return weights, assets, leverage - 1, impact


def pressed(weights, assets, debt_ratio, impact):
    """G = Lq M' A B M: price fall by asset that a price fall by asset brings about."""
    return impact[:, None] * (weights.T @ ((assets * debt_ratio)[:, None] * weights))


def vulnerability(weights, assets, debt_ratio, impact, shock):
    """AV = 1'A M Lq M'A B M F over equity: losses from the sales alone."""
    equity = (assets / (1 + debt_ratio)).sum()
    return assets @ weights @ pressed(weights, assets, debt_ratio, impact) @ shock / equity


def by_hand(weights, assets, debt_ratio, impact, shock):
    """The same by balance sheets: mark, sell until debt over equity is as before, mark again."""
    sold = np.zeros(len(impact))
    for bank, total in enumerate(assets):
        equity = total / (1 + debt_ratio[bank])
        debt, loss = total - equity, sum(weights[bank] * total * shock)
        to_sell = debt - debt_ratio[bank] * (equity - loss)
        assert (debt - to_sell) / (equity - loss) == pytest.approx(debt_ratio[bank], rel=1e-12)
        for asset in range(len(impact)):
            sold[asset] += weights[bank, asset] * to_sell
    fall = impact * sold
    equity = sum(total / (1 + debt_ratio[bank]) for bank, total in enumerate(assets))
    return sum(weights[bank] @ (fall * total) for bank, total in enumerate(assets)) / equity


def test_vulnerability_of_many_banks():
    """A6. Greenwood, Landier & Thesmar 2015, JFE 115:471: the matrix formula is the balance sheets' story."""
    shock = np.array([0.02, 0.0, 0.01])
    for seed in range(5):
        system = banks(seed)
        assert vulnerability(*system, shock) == pytest.approx(by_hand(*system, shock), rel=1e-12)
        # Linear in the shock, gains included.
        for factor in (-1.0, 0.5, 3.0):
            assert vulnerability(*system, factor * shock) == pytest.approx(
                factor * vulnerability(*system, shock), rel=1e-12
            )
        parts = sum(vulnerability(*system, unit) for unit in np.diag(shock))
        assert parts == pytest.approx(vulnerability(*system, shock), rel=1e-12)


def test_one_bank_is_the_first_echo():
    """A6. One bank, one asset: AV = L (L - 1) (A/D) s, leverage times the first round of the cascade."""
    assets, leverage, shock = 10e6, 5.0, 1e-6
    one = np.ones((1, 1)), np.array([assets]), np.array([leverage - 1]), np.array([1 / DEPTH])
    av = vulnerability(*one, np.array([shock]))
    assert av == pytest.approx(leverage * (leverage - 1) * assets / DEPTH * shock, rel=1e-12)
    bank = ps.Rebalancer(leverage, assets / leverage)
    rounds = ps.cascade(MARKET, [bank], shock).rounds
    assert av == pytest.approx(leverage * (rounds[0] - shock), rel=1e-4)


def test_merging_identical_banks_changes_nothing():
    """A6. Two banks with one portfolio and one leverage are one bank of their size, and the reverse."""
    weights, assets, debt_ratio, impact = banks(1)
    shock = np.array([0.0, 0.03, 0.01])
    whole = vulnerability(weights, assets, debt_ratio, impact, shock)
    share = np.array([0.3, 0.7])
    split = (
        np.vstack([weights[[0, 0]], weights[1:]]),
        np.concatenate([share * assets[0], assets[1:]]),
        np.concatenate([debt_ratio[[0, 0]], debt_ratio[1:]]),
    )
    assert vulnerability(*split, impact, shock) == pytest.approx(whole, rel=1e-12)
    # Not so for banks that differ: a merger pools what each of them would have had to sell.
    merged = (
        np.vstack([assets[:2] @ weights[:2] / assets[:2].sum(), weights[2:]]),
        np.concatenate([[assets[:2].sum()], assets[2:]]),
        np.concatenate([[assets[:2].sum() / (assets / (1 + debt_ratio))[:2].sum() - 1], debt_ratio[2:]]),
    )
    assert abs(vulnerability(*merged, impact, shock) / whole - 1) > 1e-3


def test_loop_of_many_assets():
    """A6. Rounds of x <- s + G x end at (I - G)^-1 s; no end once the largest eigenvalue reaches 1."""
    weights, assets, debt_ratio, impact = banks(2)
    loop = pressed(weights, assets, debt_ratio, impact)
    radius, shock = np.abs(np.linalg.eigvals(loop)).max(), np.array([0.02, 0.0, 0.01])
    for gain in (0.2, 0.9):
        scaled = loop * gain / radius
        x = shock
        for _ in range(400):
            x = shock + scaled @ x
        np.testing.assert_allclose(x, np.linalg.solve(np.eye(3) - scaled, shock), rtol=1e-10)
    values, vectors = np.linalg.eig(loop)
    worst = vectors[:, np.argmax(values.real)].real
    x = worst
    for _ in range(100):
        x = worst + loop / radius @ x
    assert np.abs(x).max() == pytest.approx(101 * np.abs(worst).max(), rel=1e-9)
    # Along the worst portfolio the many assets are one, with the eigenvalue as gain.
    falls = np.linalg.solve(np.eye(3) - loop * 0.6 / radius, worst) / worst
    np.testing.assert_allclose(falls, ps.cascade(MARKET, [ps.Herd(1.2e6)], 0.01).amplification, rtol=1e-9)


def test_banks_that_share_one_asset_are_rebalancers():
    """A6. With one asset G is the sum of (L - 1) A/D, the loop gain of as many constant-leverage funds."""
    leverage, assets = np.array([1.5, 3.0, 8.0]), np.array([30e6, 10e6, 4e6])
    loop = pressed(np.ones((3, 1)), assets, leverage - 1, np.array([1 / DEPTH]))[0, 0]
    crowd = [ps.Rebalancer(level, a / level) for level, a in zip(leverage, assets, strict=True)]
    assert ps.loop_gain(MARKET, crowd, step=1e-7).total == pytest.approx(loop, rel=1e-6)
    assert ps.cascade(MARKET, crowd, 1e-7).amplification == pytest.approx(1 / (1 - loop), rel=1e-5)


# --- A7: margins ---


class Speculators:
    """Supply Z, customers c (v - p), speculators hold the rest under m(p) x = eta + x0 p."""

    def __init__(self, c=2.0, v=10.0, supply=5.0, base=1.0, theta=0.1, before=1.0):
        self.c, self.v, self.supply, self.base, self.theta, self.before = c, v, supply, base, theta, before

    def cash(self, p):
        """Cash eta at which p clears the market."""
        margin = self.base + self.theta * (self.v - p)
        return margin * (self.supply - self.c * (self.v - p)) - self.before * p

    def price(self, cash, near):
        """Price that clears the market, by secant from `near`."""
        p, q = near, near + 1e-3
        for _ in range(60):
            if self.cash(p) == self.cash(q):
                break
            p, q = q, q + (cash - self.cash(q)) * (q - p) / (self.cash(q) - self.cash(p))
        return q

    def slope(self, p):
        """dp/d(eta) = 1/(c m + m' x - x0)."""
        margin, held = self.base + self.theta * (self.v - p), self.supply - self.c * (self.v - p)
        return 1 / (self.c * margin - self.theta * held - self.before)


def test_liquidity_spirals():
    """A7. Brunnermeier & Pedersen 2009, RFS 22:2201: dp/d(eta) = 1.1111 at p = 9 (form derived)."""
    market = Speculators()
    cash, h = market.cash(9.0), 1e-4
    assert market.slope(9.0) == pytest.approx(1.1111, abs=5e-5)
    difference = (market.price(cash + h, 9.0) - market.price(cash - h, 9.0)) / (2 * h)
    assert difference == pytest.approx(market.slope(9.0), rel=1e-7)
    # Each spiral alone makes the price more sensitive, both together more than either.
    none, loss, margins = (
        Speculators(theta=theta, base=1.1 - theta, before=before).slope(9.0)
        for theta, before in ((0, 0), (0, 1), (0.1, 0))
    )
    assert none < margins < loss < market.slope(9.0)
    # As a loop: without spirals 1/(c m); the loss spiral has gain x0/(c m), the margin spiral theta x/(c m).
    calm = 2 * 1.1
    spirals = [ps.Herd(2e6 * 1 / calm, name="loss"), ps.Herd(2e6 * 0.1 * 3 / calm, name="margin")]
    assert ps.cascade(MARKET, spirals, 0.01).amplification / calm == pytest.approx(market.slope(9), rel=1e-9)
    assert none == pytest.approx(1 / calm)


@pytest.mark.parametrize(("name", "critical"), [("before", 1.9), ("theta", 1.0)])
def test_liquidity_spirals_blow_up(name, critical):
    """A7. The slope is infinite where c m + m' x - x0 crosses 0: x0 = 1.9, or theta = 1 instead of 0.1."""
    slopes = [Speculators(**{name: critical - gap}).slope(9.0) for gap in (0.1, 0.01, 0.001)]
    np.testing.assert_allclose(slopes, [10, 100, 1000], rtol=1e-9)
    assert Speculators(**{name: critical + 1e-3}).slope(9.0) < 0


def test_constant_margin_has_one_constrained_price():
    """A7. Cash as a function of the price is a straight line if m is constant; else two prices share one."""
    prices = np.linspace(4, 12, 801)
    constant = np.diff(Speculators(theta=0, before=1).cash(prices))
    np.testing.assert_allclose(constant, constant[0], rtol=1e-6)
    moving = np.sign(np.diff(Speculators(theta=0.6, before=1.8).cash(prices)))
    assert (np.diff(moving) != 0).sum() == 1


# --- A10: inverse funds ---


def daily_fund(moves, aum=1.0):
    """A fund with weight -1 that rebalances after each simple move of its index: assets, dollars bought."""
    bought = []
    for move in moves:
        owed = aum * (1 + move)  # worth of what it is short, after the move
        aum -= aum * move
        bought.append(owed - aum)
    return aum, bought


@pytest.mark.parametrize("rise", [0.05, 0.30, 0.96])
def test_inverse_fund_buys_twice_the_rise(rise):
    """A10. Cheng & Madhavan 2009; XIV on 5 February 2018 lost 96 %: purchase/AUM = 2 r, loss = r, exactly."""
    aum, (bought,) = daily_fund([rise])
    assert bought == pytest.approx(2 * rise, rel=1e-14)
    assert 1 - aum == pytest.approx(rise, rel=1e-13)


def test_volmageddon():
    """A10. VIX 17.31 -> 37.32 is +115.6 %; a loss of 96 % means a purchase of 1.92 times the assets."""
    before, after = 17.31, 37.32
    assert after / before - 1 == pytest.approx(1.156, abs=5e-4)
    assert daily_fund([0.96])[1][0] == pytest.approx(1.92)
    assert daily_fund([0.96])[0] == pytest.approx(0.04)
    # Of the assets, $1.9bn -> $63M, a little more is gone than by the price.
    assert daily_fund([0.96], 1.9e9)[0] == pytest.approx(76e6)


@pytest.mark.parametrize("rise", [0.05, 0.96])
def test_fund_that_never_waits_is_the_limit_of_the_daily_one(rise):
    """A10. `Rebalancer(-1)` rebalances all the way up: it ends with A/(1 + r), not A (1 - r).

    The coins it is short are those of a fund that rebalances n times on the way, n large; n = 1 is XIV.
    """
    fund, up = ps.Rebalancer(-1, 1.0), -np.log1p(rise)
    short = 1 / MARKET.price + float(-fund.sold_by(0.0, MARKET)) + float(fund.sold_by(up, MARKET))
    assert short * MARKET.price * (1 + rise) == pytest.approx(1 / (1 + rise), rel=1e-12)
    gaps = []
    for times in (1, 10, 100, 1000):
        move = (1 + rise) ** (1 / times) - 1
        gaps.append(1 / (1 + rise) - daily_fund([move] * times)[0])
    assert gaps[0] == pytest.approx(1 / (1 + rise) - (1 - rise), rel=1e-12)
    assert gaps[3] < gaps[2] / 9 < gaps[1] / 60
    # For a small rise both buy 2 r.
    small = 1e-6
    assert -fund.sold_by(-np.log1p(small), MARKET) * 100 == pytest.approx(2 * small, rel=1e-5)


# --- A11: the leverage cycle ---


def solve(miss, low, high):
    """Root of a function that rises, by bisection."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if miss(middle) > 0 else (middle, high)
    return low


def value(h):
    """What holder h thinks a coin is worth that pays 1 with chance h and 0.2 otherwise."""
    return h + 0.2 * (1 - h)


@pytest.mark.parametrize(("loan", "price", "marginal"), [(0.0, 0.677, 0.596), (0.2, 0.749, 0.686)])
def test_leverage_raises_the_price(loan, price, marginal):
    """A11. Geanakoplos 2010, NBER Macroeconomics Annual 24 (.68, .75): the marginal buyer values the coin at
    its price, and those above him pay for all coins with their dollar each and the loan on every coin."""
    a = solve(lambda a: value(a) - ((1 - a) + loan) / a, 0.01, 1.0)
    assert a == pytest.approx(marginal, abs=5e-4)
    assert value(a) == pytest.approx(price, abs=5e-4)


def test_scary_news():
    """A11. Geanakoplos 2010 (.95, .69): p0 0.9465, pD 0.6932, a fall of 26.8 %, leverage 3.74 -> 1.41."""

    def after(a):
        """Marginal buyer b after bad news, when those above a are ruined: (a - b) dollars of 1/a each."""
        return solve(lambda b: value(b) - ((a - b) / a + 0.2) / (b / a), 0.01, a)

    def miss(a):
        """What a dollar in a levered coin brings today, beyond the dollar kept for tomorrow."""
        b = after(a)
        low = value(b)
        price = ((1 - a) + low) / a
        return a * (1 - low) / (price - low) - (a + (1 - a) * a / b)

    a = solve(miss, 0.7, 0.99)
    b = after(a)
    low = value(b)
    price = ((1 - a) + low) / a
    assert [price, low, a, b] == pytest.approx([0.9465, 0.6932, 0.870, 0.616], abs=5e-4)
    assert 1 - low / price == pytest.approx(0.268, abs=5e-4)
    assert price / (price - low) == pytest.approx(3.74, abs=5e-3)
    assert low / (low - 0.2) == pytest.approx(1.41, abs=5e-3)
    # In D a dollar on margin pays 0.8/(pD - 0.2) in the good case: to holder a it is worth a/b.
    assert a * 0.8 / (low - 0.2) == pytest.approx(a / b, rel=1e-12)
    # The same holder's value falls by 9 %: the rest is who is left to buy, and on how little margin.
    calm = 1 - 0.8 * (1 - a) ** 2
    assert 1 - value(a) / calm == pytest.approx(0.092, abs=1e-3)


# --- A13: fire sales make strangers correlated ---


def realised(values, depth, strength, sigma):
    """Covariance (I + k v u') Sigma (I + k v u')' of asset returns with one fund that sells in distress."""
    spill = np.eye(len(values)) + strength * np.outer(values / depth, values / values.sum())
    return spill @ np.diag(sigma**2) @ spill.T


def test_fire_sales_make_correlation():
    """A13. Cont & Wagalath 2013, Mathematical Finance 23:718: closed form against the fund's own trades."""
    values, depth = np.array([30e6, 50e6, 20e6]), np.array([200e6, 80e6, 400e6])
    sigma, strength, n = np.array([0.01, 0.02, 0.015]), 2.0, 400_000
    news = np.random.default_rng(3).standard_normal((n, 3)) * sigma
    lost = (news * values).sum(axis=1) / values.sum()
    sold = -strength * lost[:, None] * values
    found, expected = np.cov((news - sold / depth).T), realised(values, depth, strength, sigma)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs(found - expected).max() < 4 * scale.max() * np.sqrt(2 / n)
    assert (expected > 0).all()
    # To first order k w_i w_j (sigma_j^2/D_i + sigma_i^2/D_j)/sum(w).
    small = 1e-6
    across = small * np.outer(values, values) * (sigma**2 / depth[:, None] + (sigma**2 / depth[:, None]).T)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(
        realised(values, depth, small, sigma)[off], (across / values.sum())[off], rtol=1e-4
    )


@pytest.mark.parametrize("push", [0.1, 0.5, 1.0])
def test_two_alike_assets_correlate(push):
    """A13. sigma = 1, k v = c, u = 1/2: (c + c^2/2)/(1 + c + c^2/2)."""
    cov = realised(np.ones(2), np.ones(2), push, np.ones(2))
    assert cov[0, 1] / cov[0, 0] == pytest.approx((push + push**2 / 2) / (1 + push + push**2 / 2), rel=1e-12)
    # What both have in common is pushed 1 + c times as far: one round of the loop with gain c.
    common = np.sqrt((cov[0, 0] + cov[0, 1]) / 1)
    rounds = ps.cascade(MARKET, [ps.Herd(0.5 * push * 2e6)], 0.01).rounds / 0.01
    assert common == pytest.approx(1 + 2 * (rounds[0] - 1), rel=1e-9)


# --- A15: leverage that can still get out ---


@pytest.mark.parametrize(("size", "critical"), [(1.0, 37.5), (4.0, 18.75)])
def test_critical_leverage(size, critical):
    """A15. In the spirit of Caccioli, Bouchaud & Farmer 2012: L* = 3/(2 Y sigma sqrt(Q/V)), sigma = 4 %.

    The 2/3 is the mean of sqrt over its own stretch: slices sold one after another, each at its own impact.
    """
    full = 0.04 * np.sqrt(size)
    slices = (np.arange(1_000_000) + 0.5) / 1_000_000 * size
    cost = (0.04 * np.sqrt(slices)).mean()
    assert cost == pytest.approx(2 / 3 * full, rel=1e-6)
    assert 1 / cost == pytest.approx(critical, rel=1e-6)
    # Equity 1/L of the position, less what getting out costs.
    for leverage, survives in ((0.99 * critical, True), (1.01 * critical, False)):
        assert (1 / leverage - cost > 0) == survives


def test_critical_leverage_in_a_square_root_book():
    """A15. A book with V(x) = V (x/sigma)^2 has that impact in the log: the average fill gives the 2/3."""
    sigma, daily = 0.04, 1e6
    market = ps.Market(depth=lambda fall: np.maximum(2 * daily * fall / sigma**2, 1.0))
    for size in (0.25, 1.0, 4.0):
        end = float(market.fall_at(size * daily))
        assert end == pytest.approx(sigma * np.sqrt(size), rel=1e-4)
        cost = 1 - float(market.proceeds(0.0, end)) / (size * daily * market.price)
        # Integrated with the price e^-x instead of 1 - x: a little less than two thirds.
        assert cost == pytest.approx(1 - 2 * (1 - (1 + end) * np.exp(-end)) / end**2, rel=1e-4)
        assert cost == pytest.approx(2 / 3 * end, rel=end)
        assert 1 / cost == pytest.approx(1.5 / end, rel=end)


# --- A26: who is closed where ---


def test_liquidation_prices_of_perpetuals():
    """A26. L = 10, m = 0.5 %: linear long 0.90452 E, inverse 0.91364 E; equity there is m times notional."""
    entry, leverage, kept = 100.0, 10.0, 0.005
    linear = entry * (1 - 1 / leverage) / (1 - kept)
    short = entry * (1 + 1 / leverage) / (1 + kept)
    inverse = entry * (1 + kept) / (1 + 1 / leverage)
    assert [linear, short, inverse] == pytest.approx([90.452, 109.453, 91.364], abs=5e-4)
    assert ps.liquidation_price(entry, leverage, kept) == pytest.approx(linear, rel=1e-14)
    # Margin E/L in dollars, profit P - E a coin; a short's is E - P.
    assert entry / leverage + linear - entry == pytest.approx(kept * linear, rel=1e-12)
    assert entry / leverage + entry - short == pytest.approx(kept * short, rel=1e-12)
    # Margin 1/(E L) coins a dollar of contract, profit 1/E - 1/P coins.
    assert 1 / (entry * leverage) + 1 / entry - 1 / inverse == pytest.approx(kept / inverse, rel=1e-12)
    assert inverse > linear


@pytest.mark.parametrize("leverage", [2.0, 10.0, 50.0])
def test_coin_margined_long_is_a_linear_one_with_more_leverage(leverage):
    """A26. Leverage 1/(1 - (1 - m^2)/(1 + 1/L)) puts the linear liquidation price at the inverse one."""
    kept = 0.005
    alike = 1 / (1 - (1 - kept**2) / (1 + 1 / leverage))
    inverse = 100 * (1 + kept) / (1 + 1 / leverage)
    assert leverage < alike < leverage + 1.001
    assert ps.liquidation_price(100, alike, kept) == pytest.approx(inverse, rel=1e-13)
    # The same holds for where nothing is left, but for m^2: E/(1 + 1/L).
    broke = 100 * (1 - 1 / alike)
    assert broke == pytest.approx(100 / (1 + 1 / leverage), rel=2 * kept**2)
    longs = ps.Longs(100, 1.0, alike, kept)
    level = np.log(100 / inverse)
    assert [longs.sold_by(level + side, MARKET) for side in (-2e-5, 2e-5)] == [0, 1]


# --- (31): the base fee of Ethereum ---


def next_fee(fee, used, target=15_000_000):
    """EIP-1559 in whole wei: an eighth of the relative distance from the target, at least 1 wei up."""
    if used == target:
        return fee
    step = fee * abs(used - target) // target // 8
    return fee + max(step, 1) if used > target else fee - step


def test_base_fee_of_full_and_empty_blocks():
    """(31) EIP-1559; Roughgarden 2020, arXiv:2012.00854: x1.125, x0.875; ten full blocks x3.2473; tenfold in
    19.55 blocks, so with the twentieth."""
    gwei = 10**9
    assert next_fee(100 * gwei, 30_000_000) == 112.5 * gwei
    assert next_fee(100 * gwei, 0) == 87.5 * gwei
    assert next_fee(100 * gwei, 15_000_000) == 100 * gwei
    fee, blocks = 100 * gwei, []
    for _ in range(20):
        fee = next_fee(fee, 30_000_000)
        blocks.append(fee / gwei / 100)
    assert blocks[9] == pytest.approx(3.2473, abs=5e-5)
    assert blocks[18] < 10 < blocks[19]
    assert np.log(10) / np.log(1.125) == pytest.approx(19.55, abs=5e-3)
    # Full and empty in turn do not cancel: 1.125 x 0.875 < 1.
    assert next_fee(next_fee(100 * gwei, 30_000_000), 0) == pytest.approx(98.4375 * gwei, rel=1e-12)
