"""The numbers on rules that the chapters print, one test a claim (concept numbers in brackets)."""

import math

import numpy as np
import pytest
from plain import LAMBDA, Steps

import panicsim as ps

MARKET = ps.Market()
DEEP = ps.Market(depth=2e15)  # a book that does not give way


class Plan(ps.Participant):
    """Sells (or, where negative, buys) coins at an even rate between two hours, whatever the price does."""

    def __init__(self, coins, begin, end, name=None):
        self.coins, self.begin, self.end, self.name = coins, begin, end, name

    def sold_by(self, fall, market):
        return 0.0 * np.asarray(fall)

    def react(self, view, mine):
        passed = np.clip((view.time + view.dt - self.begin) / (self.end - self.begin), 0, 1)
        return view.done - self.coins * passed


def longs_at(levels, coins, **kwargs):
    """Longs, ten times leveraged, that are liquidated at given log falls."""
    return ps.Longs(100 * np.exp(-np.asarray(levels)) * (1 - 0.005) / (1 - 1 / 10), coins, 10, **kwargs)


# --- Redemption delay (R3) ---


@pytest.mark.parametrize("terms", [{"delay": 3.0}, {"per_day": 1e5}, {"delay": 2.0, "per_day": 2e5}])
def test_queue_changes_the_calendar_not_the_end(terms):
    """[R3] Without recovery the end with a queue is the end without, to 1e-9."""
    crowd, news = [ps.Herd(0.9e6), longs_at([0.03, 0.07, 0.12], [2e4, 3e4, 4e4])], [ps.News(-0.04)]
    free, queued = (
        ps.simulate(MARKET, crowd, news, r, hours=120) for r in ([], [ps.RedemptionQueue(**terms)])
    )
    photo = ps.cascade(MARKET, crowd, 0.04).fall
    assert queued.fall[-1, 0] == pytest.approx(free.fall[-1, 0], abs=1e-9)
    assert queued.fall[-1, 0] == pytest.approx(photo, abs=1e-9)
    early = np.searchsorted(free.time, 2.0)
    assert queued.fall[early, 0] < 0.9 * free.fall[early, 0]


def test_redemptions_spread_over_five_days():
    """[R3] Q/Lambda = 20 %, rho = 1 a day, tau = 5 days: (1 - exp(-5))/5 = 0.1987 of it, 3.97 %, not 20 %."""
    ratio = -math.expm1(-5) / 5
    assert [ratio, 20 * ratio] == pytest.approx([0.1987, 3.97], abs=5e-3)
    holder = Steps([1e-6], [0.2 * LAMBDA])
    holder.one_way = True
    market = ps.Market(recovery=1 / 24)
    queue = ps.RedemptionQueue(per_day=0.2 * LAMBDA / 5)
    run = ps.simulate(market, [holder], [ps.News(-1e-5)], [queue], hours=240, dt=0.1)
    assert ps.metrics(run).overreaction[0] == pytest.approx(0.2 * ratio, rel=0.01)
    assert run.time[run.fall[:, 0].argmax()] == pytest.approx(5 * 24, abs=0.5)
    assert run.sold["Steps"][-1, 0] == pytest.approx(0.2 * LAMBDA)
    # At once the peak is the whole, but for what comes back within a step.
    free = ps.simulate(market, [holder], [ps.News(-1e-5)], hours=24, dt=0.1)
    assert ps.metrics(free).overreaction[0] == pytest.approx(0.2, rel=0.01)


def test_claim_is_paid_after_its_notice():
    """[R3] Not an hour before, and then as a whole."""
    holder = Steps([0.01], [1e5])
    run = ps.simulate(DEEP, [holder], [ps.News(-0.02)], [ps.RedemptionQueue(delay=5.0)], hours=8, dt=0.1)
    # It falls in the first step, and is claimed in the second.
    np.testing.assert_array_equal(run.sold["Steps"][:, 0], np.where(run.time > 5.15, 1e5, 0))
    assert (run.books["RedemptionQueue"]["waiting"][2:52] == 1e5).all()


# --- Mitigation (R6) ---

LOOP = ps.Herd(1.5e6, lag=0.0)  # g = 0.75, one round a step


def halted(crowd=(), pause=4.0, news=0.04):
    breaker = ps.CircuitBreaker(fall=0.08, pause=pause)
    return ps.simulate(MARKET, [LOOP, *crowd], [ps.News(-news)], [breaker], hours=24, dt=0.1)


def test_where_a_breaker_stops_a_cascade():
    """[R6] g = 0.75, s = 4 %, breaker at 8 %: rounds 4, 7, 9.25 %, an overshoot of 1.25; the next round is
    1.6875 %, $3.375M, and not the $13.5M that are still to come."""
    rounds = np.concatenate([[0.04], ps.cascade(MARKET, [LOOP], 0.04).rounds])
    np.testing.assert_allclose(100 * rounds[:4], [4, 7, 9.25, 9.25 + 1.6875])
    run = halted()
    closed = run.fall[run.books["CircuitBreaker"]["halted"][:, 0] == 1, 0]
    np.testing.assert_allclose(closed, 0.0925)
    assert len(closed) == 40
    usd_per_percent = 2e6
    assert 1.6875 * usd_per_percent == pytest.approx(3.375e6)
    assert (100 * 0.04 / (1 - 0.75) - 9.25) * usd_per_percent == pytest.approx(13.5e6)
    assert run.fall[-1, 0] == pytest.approx(0.16, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 1.0])
def test_bids_of_the_next_round_end_it(share):
    """[R6] Bids for 33 750 coins that gather in the pause end the cascade; a part of them, in proportion."""
    bids = Plan(-share * 33_750, 0.5, 1.0)
    left = (1 - share) * 0.016875 / (1 - 0.75)
    assert halted([bids]).fall[-1, 0] == pytest.approx(0.0925 + left, abs=1e-9)


@pytest.mark.parametrize("pause", [0.5, 1.0, 2.0, 4.0])
def test_pause_is_worth_what_arrives_in_it(pause):
    """[R6] Bids a and fear f an hour of pause: a = f leaves the end as it was whatever T; a > f makes it no
    deeper the longer it is, f > a deeper. Bids beyond the next round lift the price, and no more."""
    ends = []
    for bid, fear in ((6e3, 6e3), (9e3, 3e3), (3e3, 9e3)):
        crowd = [Plan(-bid * pause, 0.3, 0.3 + pause, "bids"), Plan(fear * pause, 0.3, 0.3 + pause, "fear")]
        relief = (bid - fear) * pause / LAMBDA
        run = halted(crowd, pause)
        expected = max(0.0925 + (0.016875 - relief) / (1 - 0.75), 0.0925)
        assert run.fall.max() == pytest.approx(expected, abs=1e-9)
        ends.append(run.fall.max())
    assert ends[0] == pytest.approx(0.16, abs=1e-9)
    assert ends[1] < ends[0] < ends[2]


@pytest.mark.parametrize("pause", [0.5, 2.0, 6.0])
def test_who_is_slow_decides_in_the_pause(pause):
    """[R6] What arrives: of buyers who take two hours, 1 - exp(-T/2) have made up their minds."""
    buyers, dt = ps.ValueBuyers(1e6, 1e9, lag=2.0), 0.1
    rule = ps.CircuitBreaker(fall=0.05, pause=pause)
    run = ps.simulate(DEEP, [buyers], [ps.News(-0.1)], [rule], hours=8, dt=dt)
    bought = -run.sold["ValueBuyers"][:, 0]
    first = bought[bought > 0][0]
    assert first == pytest.approx(1e6 * 0.1 * -math.expm1(-(pause + dt) / 2), rel=1e-6)
    assert run.time[(bought > 0).argmax()] == pytest.approx(pause + 2 * dt)


def test_overshoot_of_a_breaker_is_a_step():
    """[R6] A price that falls 2 % an hour: the market closes at most 2 % x dt after the level, no more."""
    worst = []
    for dt in (0.4, 0.2, 0.1, 0.05):
        drift = ps.Market(volatility=0.02 * math.sqrt(8760 * dt))
        noise = np.full((round(8 / dt), 1), -1.0)
        over = []
        for level in np.linspace(0.0503, 0.0797, 24):
            rule = ps.CircuitBreaker(fall=level, pause=1.0)
            run = ps.simulate(drift, [], [], [rule], hours=8, dt=dt, noise=noise)
            over.append(run.fall[run.books["CircuitBreaker"]["halted"][:, 0].argmax(), 0] - level)
        assert min(over) >= -1e-12
        assert max(over) <= 0.02 * dt * (1 + 1e-9)
        worst.append(max(over))
    np.testing.assert_allclose(worst, 0.02 * np.array([0.4, 0.2, 0.1, 0.05]), rtol=0.2)


# --- Senior tranche (R7) ---


def test_senior_loses_an_eighth():
    """[R7] J = 20 %, the pool loses 30 %: 12.5 %; from J on 1.25 for each further point, before nothing."""
    fund = ps.SeniorTranche(8e6)
    assert fund.losses(-math.log(0.7)) == (pytest.approx(1.0), pytest.approx(0.125))
    loss = np.array([0.0, 0.1, 0.19, 0.2, 0.21, 0.3, 0.9])
    junior, senior = fund.losses(-np.log1p(-loss))
    np.testing.assert_allclose(senior, np.where(loss > 0.2, 1.25 * (loss - 0.2), 0), atol=1e-15)
    np.testing.assert_allclose(junior, np.where(loss < 0.2, 5 * loss, 1), rtol=1e-12)


def test_no_loss_is_borne_twice():
    """[R7] L = J junior + (1 - J) senior to 1e-12, for any J and any fall."""
    fall = np.random.default_rng(4).uniform(0, 5, 200)
    for thick in (0.01, 0.2, 0.5, 0.95):
        junior, senior = ps.SeniorTranche(1e6, junior=thick).losses(fall)
        np.testing.assert_allclose(thick * junior + (1 - thick) * senior, -np.expm1(-fall), atol=1e-12)
        assert ((junior == 1) | (senior == 0)).all()


def test_thicker_junior_moves_the_run_and_flattens_it():
    """[R7] Nothing until a quarter of the cushion is left, all of it by J. A thicker
    junior moves the run and makes it flatter: at its end a unit of log fall takes
    pool/P0/ln((1 - 0.75 J)/(1 - J)) coins, fewer the thicker J. What steepens is the loss, 1/(1 - J)."""
    steepest = []
    for thick in (0.1, 0.2, 0.4):
        fund = ps.SeniorTranche(8e6, junior=thick)
        starts, ends = -math.log(1 - 0.75 * thick), -math.log(1 - thick)
        assert [fund.starts, fund.exhausted] == pytest.approx([starts, ends])
        fall = np.linspace(starts, ends, 20_001)
        assert fund.sold_by(starts, MARKET) == 0
        # Dollars leave evenly in log fall, each at the price of its moment.
        coins = np.trapezoid((1 - thick) * 8e6 / (ends - starts) / (100 * np.exp(-fall)), fall)
        assert fund.sold_by(np.array([ends, 3.0]), MARKET) == pytest.approx(coins, rel=1e-8)
        steepest.append(ps.loop_gain(MARKET, [fund], fall=np.linspace(0, 1, 4_001), step=1e-5).total.max())
        assert steepest[-1] == pytest.approx(8e4 / LAMBDA / (ends - starts), rel=0.01)
    assert steepest[0] > 2 * steepest[1] > 4 * steepest[2]


# --- Waterfall (D3) ---

EVEN = (np.arange(4_000) + 0.5) * 1e-4  # levels down to a fall of 40 %
ENGINE = longs_at(EVEN, 1.3 * LAMBDA * 1e-4)  # g = 1.3 all the way


def test_share_of_deleveraging_that_calms_an_engine():
    """[D3] g = 1.3: 1 - 1/1.3 = 23.1 % closed against winners brings the gain to 1; with less the fall goes
    through all positions, with more it ends at s/(1 - g (1 - a))."""
    critical = 1 - 1 / 1.3
    assert critical == pytest.approx(0.2308, abs=5e-5)
    for share in (0.0, critical - 0.02, critical + 0.02, 0.4, 0.7):
        rule = ps.Waterfall(adl=share)
        end = ps.simulate(MARKET, [ENGINE], [ps.News(-0.005)], [rule], hours=24).fall[-1, 0]
        gain = 1.3 * (1 - share)
        expected = 0.005 / (1 - gain) if gain < 1 else 0.005 + gain * 0.4
        assert end == pytest.approx(expected, rel=0.05), share


@pytest.mark.parametrize("fund", [0.0, 2e5, 1e8])
def test_waterfall_closes_to_the_cent(fund):
    """[D3] What is owed = what the market brought + fund + socialised + what was closed; and until the fund
    is empty it changes no price."""
    # An engine that is late sells some of them below their bankruptcy price.
    longs, news = longs_at(EVEN, 1.3 * LAMBDA * 1e-4, lag=2.0), [ps.News(-0.1), ps.News(-0.2, at=2)]
    free = ps.simulate(MARKET, [longs], news, hours=48)
    run = ps.simulate(MARKET, [longs], news, [ps.Waterfall(fund=fund, adl=0.5)], hours=48)
    books, row = run.books["Waterfall"], ps.metrics(run).ledger["Longs"]
    last, bad_debt = {key: rows[-1, 0] for key, rows in books.items()}, ps.metrics(run).bad_debt[0]
    closed, done = run.closed["Longs"], run.closed["Longs"] + run.sold["Longs"]
    assert bad_debt > 1e6
    assert last["paid"] + last["socialised"] == pytest.approx(bad_debt, abs=1e-4)
    assert last["paid"] + last["fund"] == pytest.approx(fund, abs=1e-4)
    assert last["adl"] == last["taken"] == pytest.approx(closed[-1, 0], rel=1e-12)
    # What winners took over, at the price that just repays it; they gave up what the market's would be worth.
    debt, coins = np.diff(longs.debt_of(done), axis=0), np.diff(done, axis=0)
    each = debt / np.where(coins > 0, coins, 1)
    taken_over = (each * np.diff(closed, axis=0)).sum()
    owed = row["repaid"][0] + last["paid"] + last["socialised"] + taken_over
    assert owed == pytest.approx(longs.debt_of(done[-1, 0]), abs=1e-4)
    haircut = (np.maximum(each - run.price[:-1], 0) * np.diff(closed, axis=0)).sum()
    assert last["haircut"] == pytest.approx(haircut, abs=1e-4)
    assert (haircut > 0) == (fund < 1e8)
    full = books["fund"][:, 0] > 0
    np.testing.assert_array_equal(run.fall[full], free.fall[full])
    assert (run.fall[-1, 0] < free.fall[-1, 0]) == (fund < 1e8)


# --- Margins that follow volatility (D6) ---


def sold_back(notional, equity, changes, margins):
    """USD that a leverage targeter sells at the mark, step by step, until equity is the margin's share."""
    sales = []
    for change, margin in zip(changes, margins, strict=True):
        equity += notional * change
        notional *= 1 + change
        sales.append(max(notional - max(equity, 0) / margin, 0))
        notional -= sales[-1]
    return sales


def test_sales_under_three_margins():
    """[D6] $100M with $8M of equity, -2 %: $23M if the margin stays at 8 %, $48M if it rises to 12 %, $9.8M
    if it was always 12 % (and the position $66.7M). At the mark, without an impact of their own."""
    stays, rises = (sold_back(100e6, 8e6, [-0.02], [m])[0] for m in (0.08, 0.12))
    always = sold_back(8e6 / 0.12, 8e6, [-0.02], [0.12])[0]
    assert [stays / 1e6, rises / 1e6, always / 1e6] == pytest.approx([23, 48, 9.8], abs=0.05)
    # (1/m - 1) N 2 %, as for the Rebalancer of leverage 1/m to first order; and (1/m0 - 1/m1) E' on top.
    small = [ps.Rebalancer(1 / m, 8e6).sold_by(1e-6, MARKET) * 100 / 1e-6 * 0.02 for m in (0.08, 0.12)]
    assert [stays, always] == pytest.approx(small, rel=1e-4)
    assert rises - stays == pytest.approx((1 / 0.08 - 1 / 0.12) * 6e6)


def test_rising_margin_sells_more_at_first_only():
    """[D6] Forced sales are dynamic >= static >= floored for one
    fall; in a long one who was made to sell early has less left to sell, and the order turns round."""
    slide = [-0.02, -0.05, -0.05]
    static, dynamic = (np.cumsum(sold_back(100e6, 8e6, slide, [m] * 3)) for m in (0.08, 0.12))
    floored = np.cumsum(sold_back(8e6 / 0.12, 8e6, slide, [0.12] * 3))
    assert dynamic[0] > 2 * static[0] > 2 * floored[0]
    assert dynamic[1] > static[1] > floored[1]
    assert static[2] > dynamic[2] > floored[2]


def test_margin_moves_the_levels_of_longs():
    """[D6] A margin m instead of m0 moves every liquidation level by ln((1 - m0)/(1 - m)); on one path a
    margin that follows volatility never liquidates fewer of them than one that stays."""
    for margin in (0.005, 0.02, 0.06):
        rule = ps.VolatilityMargin(floor=margin, multiple=0)
        longs, higher = (ps.Longs(100, 1e3, [4, 8, 12], m, lag=0) for m in (0.005, margin))
        for level in np.log(100 / higher.liquidation_price):
            assert longs.sold_by(level + math.log((1 - 0.005) / (1 - margin)) + 2e-5, MARKET) > 0
            for side in (-2e-5, 2e-5):
                news = [ps.News(-(level + side))]
                run = ps.simulate(DEEP, [longs], news, [rule], hours=1)
                assert run.sold["Longs"][-1, 0] == higher.sold_by(level + side, MARKET)
    wild, crowd = ps.Market(depth=2e15, volatility=2.0), [ps.Longs.spread(50e6)]
    fixed, moving = (
        ps.simulate(wild, crowd, [], rule, hours=96, paths=50, seed=1).sold["Longs"]
        for rule in ([], [ps.VolatilityMargin(lookback=6.0, multiple=2.0)])
    )
    assert (moving >= fixed).all()
    assert (moving[-1] > 1.05 * fixed[-1]).mean() > 0.5


# --- Rules that nobody can change (D8) ---


def test_what_a_late_change_still_saves():
    """[D8] g = 0.9 and a round of 5 minutes: after 15 minutes 72.9 % of the endogenous fall can still be
    saved, after 48 hours 4e-27 of it; after k rounds g^k."""
    news, gain, minutes = 0.01, 0.9, 5 / 60
    assert [gain ** (late / minutes) for late in (0.25, 48)] == [
        pytest.approx(0.729),
        pytest.approx(4e-27, rel=0.1),
    ]
    total = news * gain / (1 - gain)
    freeze = ps.RedemptionQueue(gate=0.0)

    def saved(delay):
        rule = ps.Governance(freeze, delay=delay, trigger=0.01)
        crowd, first = [ps.Herd(gain * 2e6, lag=0.0)], [ps.News(-news)]
        run = ps.simulate(MARKET, crowd, first, [rule], hours=50, dt=minutes)
        return (news + total - run.fall[-1, 0]) / total

    for rounds in (0, 1, 3, 12, 60):
        assert saved(rounds * minutes) == pytest.approx(gain**rounds, abs=1e-9)
    # Two days are for ever; and nobody at all can change an immutable system.
    assert abs(saved(48.0)) < 1e-9
    assert abs(saved(None)) < 1e-9
