"""Each rule alone: what it does, where it helps, and the condition under which it makes things worse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain import LAMBDA

import panicsim as ps
from panicsim import games, rules, tranches

CALM = ps.Market()
# So deep that nobody's sale moves it: then the path of the price is the news alone.
DEEP = ps.Market(depth=1e15)


def drip(speed, hours, dt=0.05, start=1.0):
    """News that take the value down at a speed (log per hour)."""
    return [ps.News(-speed * dt, at=start + k * dt) for k in range(round(hours / dt))]


def film(crowd, events, rules=(), market=CALM, hours=24.0, dt=0.05):
    return ps.simulate(market, crowd, events, rules, hours=hours, dt=dt)


def end(crowd, rules=(), shock=0.05, hours=96.0, **kw):
    return film(crowd, [ps.News(-shock)], rules, hours=hours, **kw).fall[-1, 0]


# --- The hooks ---


class Noting(ps.Rule):
    """Write down which hook was called, and what it was given."""

    def __init__(self, log):
        self.log = log

    def see(self, view, mine):
        self.log.append(("see", dict(view.seen)))
        return {"Herd": view.seen["Herd"] + 0.01}

    def limit(self, wants, view, mine):
        self.log.append(("limit", dict(wants), dict(view.wanted)))
        return {name: want / 2 for name, want in wants.items()}

    def book(self, view, mine):
        self.log.append(("book",))
        return 0.5

    def settle(self, view, mine):
        self.log.append(("settle", view.share, view.fill))

    def books(self, view, mine):
        self.log.append(("books", view.time))
        return {"noted": np.full(view.paths, float(len(self.log)))}


def test_hooks_come_in_their_order_and_each_rule_gets_what_the_one_before_left():
    log = []
    run = film([ps.Herd(1e6)], [ps.News(-0.05)], [Noting(log), Noting(log)], hours=0.1, dt=0.05)
    names = [entry[0] for entry in log]
    step = ["see", "see", "limit", "limit", "book", "book", "settle", "settle", "books", "books"]
    assert names == ["books", "books", *step, *step]
    first = log[2:12]
    assert first[0][1]["Herd"] + 0.01 == first[1][1]["Herd"]
    assert first[2][1]["Herd"] / 2 == first[3][1]["Herd"]
    # An order is the part of the want that the lag lets through.
    assert first[2][1]["Herd"] == pytest.approx(first[2][2]["Herd"] * -math.expm1(-0.05 / 0.5))
    assert run.share[0, 0] == 0.25 == first[6][1][0]
    coins = -first[3][1]["Herd"][0] / 2
    after = 100 * math.exp(-coins / (0.25 * LAMBDA))
    assert first[6][2][0] == pytest.approx((100 - after) * 0.25 * LAMBDA / coins, rel=1e-7)
    assert list(run.rules) == ["Noting", "Noting 2"] == list(run.books)


def test_rules_have_names():
    breakers = [ps.CircuitBreaker(0.1), ps.CircuitBreaker(0.2, name="second"), ps.CircuitBreaker(0.3)]
    run = film([ps.Herd(1e5, name="CircuitBreaker")], [], breakers, hours=1)
    assert list(run.rules) == ["CircuitBreaker 2", "second", "CircuitBreaker 3"]
    assert run.until(0.5).books["second"]["halted"].shape == (11, 1)


@pytest.mark.parametrize("make", [ps.Oracle, ps.Liquidators, ps.Waterfall, ps.VolatilityMargin])
def test_a_name_that_is_not_there_is_refused(make):
    with pytest.raises(ValueError, match=r"^who \(names of participants\) must be among .*got 'nobody'"):
        film([ps.Herd(1e5)], [], [make(who=["nobody"])], hours=1)
    with pytest.raises(ValueError, match="who"):
        film([ps.Herd(1e5)], [], [make(who=[5])], hours=1)


# --- Oracle ---

LEVEL = math.log(100 / 95)  # a long that is closed at a price of 95, bankrupt a little below


def longs(fall=LEVEL, size=1.0, maintenance=0.01, **kw):
    entry = 100 * math.exp(-fall) * (1 - maintenance) / 0.9
    return ps.Longs(entry, size, 10, maintenance, **kw)


def test_a_median_cuts_the_loop_through_the_own_book():
    crowd = [ps.Longs.spread(30e6, leverage=(5, 25), n=400)]
    own, elsewhere = (end(crowd, [ps.Oracle(venues=n)], 0.06) for n in (1, 3))
    assert own == pytest.approx(end(crowd, shock=0.06), rel=1e-9)
    assert own > 0.15
    # Elsewhere nobody is forced to sell: the news alone decides who is closed here.
    assert elsewhere == pytest.approx(0.06 + crowd[0].sold_by(0.06, CALM) / LAMBDA, abs=1e-6)


@pytest.mark.parametrize(("lasts", "window"), [(0.5, 2.0), (1.0, 2.0), (3.0, 2.0)])
def test_an_average_moves_by_the_part_of_its_window(lasts, window):
    """A push of m for d hours moves an average over w hours by m min(d/w, 1)."""
    run = film([], [], [ps.Oracle(push=0.3, at=3, over=lasts, window=window)], hours=12)
    assert run.books["Oracle"]["mark"].max() == pytest.approx(0.3 * min(lasts / window, 1), rel=1e-9)
    assert run.books["Oracle"]["mark"][-1, 0] == pytest.approx(0, abs=1e-12)


def test_feed_is_late_and_published_by_the_clock_or_when_it_is_off():
    fall = film([], drip(0.01, 8), hours=12).fall[:, 0]

    def mark(**kw):
        return film([], drip(0.01, 8), [ps.Oracle(**kw)], hours=12).books["Oracle"]["mark"][1:, 0]

    np.testing.assert_allclose(mark(lag=1.0)[20:], fall[:-21], atol=1e-12)
    assert sorted({*mark(heartbeat=2.0)}) == pytest.approx([0, 0.01, 0.03, 0.05, 0.07, 0.08])
    stepwise = mark(heartbeat=None, deviation=0.02)
    assert np.abs(stepwise - fall[:-1]).max() < 0.02 + 1e-9
    assert len(np.unique(stepwise.round(9))) == 5
    assert not mark(heartbeat=None).any()


@pytest.mark.parametrize(("lag", "worse"), [(0.4, False), (0.6, True)])
def test_a_late_mark_makes_bad_debt_if_the_fall_outruns_the_cushion(lag, worse):
    """The price is v lag below the mark; a long of margin m is bankrupt -ln(1 - m) below its level."""
    speed, maintenance = 0.02, 0.01
    assert (speed * lag > -math.log1p(-maintenance)) == worse
    run = film([longs(lag=0.0)], drip(speed, 6, 0.01), [ps.Oracle(lag=lag)], DEEP, hours=8, dt=0.01)
    assert (ps.metrics(run).bad_debt[0] > 0) == worse
    prompt = film([longs(lag=0.0)], drip(speed, 6, 0.01), [], DEEP, hours=8, dt=0.01)
    assert ps.metrics(prompt).bad_debt[0] == 0


@given(push=st.floats(-2, 2).filter(lambda m: abs(m) > 1e-3), depth=st.floats(1e4, 1e9))
def test_attack_costs_what_the_path_there_costs(push, depth):
    """[D7] Trading there and having it restored costs Lambda P0 (e^m - 1 - m), never nothing."""
    market = ps.Market(depth=depth)
    cost = rules.attack_cost(market, push)
    assert cost == pytest.approx(100 * depth * (math.expm1(push) - push), rel=1e-6)
    assert rules.safe_interest(market, push) * abs(math.expm1(push)) == pytest.approx(cost, rel=1e-9)


# --- Liquidators ---


def loans(sizes=(75e3,), **kw):
    sizes = np.asarray(sizes, dtype=float)
    kw.setdefault("lag", 0.0)
    return ps.LendingPool(sizes / 75, sizes, **kw)


def test_small_loans_are_left():
    """A repayment of q pays if b q > gas; what is too small stays, by value."""
    pool = loans([1e3] * 50 + [1e5])
    run = film([pool], [ps.News(-0.08)], [ps.Liquidators(gas=100)], DEEP, hours=2)
    row = ps.metrics(run).ledger["LendingPool"]
    assert row["repaid"][0] == pytest.approx(75e3 * 2 / 3, rel=1e-6)  # two thirds of the debt pay
    assert run.books["Liquidators"]["smallest"][-1, 0] == pytest.approx(100 / 0.05)
    everyone = film([pool], [ps.News(-0.08)], [ps.Liquidators(gas=20)], DEEP, hours=2)
    assert ps.metrics(everyone).ledger["LendingPool"]["repaid"][0] == pytest.approx(75e3, rel=1e-6)


def test_gas_rises_with_the_crash_and_risk_eats_the_bonus():
    run = film([loans()], [ps.News(-0.5)], [ps.Liquidators(gas=10, congestion=4)], DEEP, hours=1)
    assert run.books["Liquidators"]["gas"][-1, 0] == pytest.approx(10 * math.exp(2), rel=1e-9)
    rule = ps.Liquidators(gas=10, caution=2, latency=0.25)
    assert rule.smallest(0.05, 0.8**2, 10) == pytest.approx(10 / (0.05 - 1.6 * math.sqrt(0.25 / 8760)))
    assert rule.smallest(0.05, 9.0**2, 10) == np.inf


def test_keepers_are_late_and_few():
    late = film([loans()], [ps.News(-0.08, at=1)], [ps.Liquidators(latency=0.5)], DEEP, hours=4)
    assert not late.sold["LendingPool"][: 21 + 10].any()
    assert late.sold["LendingPool"][33, 0] > 0
    few = film([loans()], [ps.News(-0.08, at=1)], [ps.Liquidators(capacity=1e4)], DEEP, hours=12)
    usd = np.diff(few.sold["LendingPool"][:, 0]) * few.price[:-1, 0]
    assert usd.max() == pytest.approx(1e4 * 0.05, rel=1e-9)


@pytest.mark.parametrize(("ends", "better"), [(-0.02, True), (-0.43, True), (-0.47, False)])
def test_left_alone_is_better_only_if_the_price_comes_back(ends, better):
    """A loan past 1/(1 + b) that is left alone owes less in the end iff the price ends above P/(1 + b)."""
    pool, rest = loans(), [ps.News(-0.4, at=0), ps.News(0.4 + ends, at=3)]
    alone = film([pool], rest, [ps.Liquidators(gas=1e9)], DEEP, hours=6)
    sold = film([pool], rest, [], DEEP, hours=6)
    bad = [ps.metrics(run).bad_debt[0] for run in (alone, sold)]
    assert (ends > -0.4 - math.log(1.05)) == better
    assert (bad[0] < bad[1]) == better


def test_an_auction_may_have_any_number_of_bidders():
    assert games.auction_share(10**6, 0.5) == pytest.approx(1, abs=1e-5)
    assert games.auction_share(1, 0.3) == games.auction_share(0) == games.auction_share(5, 0.0) == 0


# --- Fees ---


@pytest.mark.parametrize(("elasticity", "helps"), [(0.0, True), (0.9, True), (1.1, False), (2.0, False)])
def test_a_fee_that_follows_volatility_keeps_depth_only_while_trade_is_inelastic(elasticity, helps):
    """From break-even on, the share is (sigma/sigma0)^(-2 e) with a linked and ^(-2) with a fixed fee."""
    pay = ps.Fees.cost(0.8) / 0.003
    fixed, linked = (ps.Fees(0.003, pay, linked=k, elasticity=elasticity, floor=1e-9) for k in (False, True))
    for times in (1.5, 3.0):
        assert fixed.share(0.8 * times) == pytest.approx(times**-2)
        assert linked.share(0.8 * times) == pytest.approx(times ** (-2 * elasticity))
    assert fixed.share(0.4) == linked.share(0.4) == 1.0
    crowd, market, scene = [ps.Herd(0.6e6)], ps.Market(volatility=0.8), [ps.News(-0.06, at=4)]
    deep = [
        ps.simulate(market, crowd, scene, [rule], hours=48, dt=0.1, paths=40, seed=4).fall[-1].mean()
        for rule in (fixed, linked)
    ]
    assert (deep[1] < deep[0]) == helps


# --- Waterfall ---


def busted(**kw):
    """Longs that a jump leaves far under water: debts are known, and nobody else trades."""
    run = film([longs(lag=0.0, size=1e3)], [ps.News(-0.3)], [ps.Waterfall(**kw)], DEEP, hours=2)
    own = {key: row[-1, 0] for key, row in run.books["Waterfall"].items()}
    return run, own, ps.metrics(run).ledger["Longs"]


def test_margin_then_fund_then_everybody():
    """[D3] What is missing is paid by the fund until it is empty, the rest is shared by all."""
    _, own, row = busted(fund=3e3)
    missing = row["bad_debt"][0]
    assert missing > 1e4
    assert own["fund"] == 0
    assert own["paid"] == pytest.approx(3e3)
    assert own["socialised"] == pytest.approx(missing - 3e3)
    _, own, _ = busted(fund=1e6)
    assert own["socialised"] == 0
    assert own["fund"] == pytest.approx(1e6 - missing)


def test_winners_pay_what_the_fund_would_have():
    _, rest, row = busted()
    run, own, now = busted(adl=0.25)
    assert own["adl"] == pytest.approx(250)
    assert run.closed["Longs"][-1, 0] == pytest.approx(250)
    # The same debts, a quarter of them now with the winners.
    assert own["haircut"] == pytest.approx(row["bad_debt"][0] / 4, rel=1e-6)
    assert own["socialised"] == pytest.approx(now["bad_debt"][0]) == pytest.approx(0.75 * rest["socialised"])


def test_deleveraging_turns_g_into_g_times_one_minus_a():
    crowd = [ps.Longs.spread(26e6, leverage=(5, 30), n=4000)]
    ends = [end(crowd, [ps.Waterfall(adl=a)], 0.05) for a in (0.0, 0.3, 1.0)]
    smaller = [ps.Longs(p.entry, p.size * 0.7, p.leverage) for p in crowd]
    assert ends[1] == pytest.approx(end(smaller, shock=0.05), abs=1e-6)
    assert ends[0] > ends[1] > ends[2] == pytest.approx(0.05)


def test_winners_can_run_out():
    _, own, _ = busted(adl=1.0, winners=[100.0, 60.0, 40.0])
    assert own["adl"] == own["taken"] == pytest.approx(200)
    _, own, _ = busted(adl=1.0, winners=[100.0, 60.0, 40.0], policy="capped", cap=0.5)
    assert own["adl"] == pytest.approx(100)
    _, own, _ = busted(adl=0.11, winners=[100.0, 60.0, 40.0], policy="queue")
    assert own["adl"] == pytest.approx(110)
    assert own["taken"] == pytest.approx(160)  # whole positions only


@pytest.mark.parametrize("adl", [0.5, 1.0])
def test_nobody_is_deleveraged_in_a_closed_market(adl):
    rules_ = [ps.Waterfall(adl=adl), ps.CircuitBreaker(0.2, pause=1.0)]
    run = film([longs(lag=0.0, size=1e3)], [ps.News(-0.3, at=1)], rules_, DEEP, hours=4)
    halted = run.books["CircuitBreaker"]["halted"][:, 0] > 0
    assert halted.sum() == 20
    assert not run.closed["Longs"][halted].any()
    assert run.closed["Longs"][-1, 0] == pytest.approx(1e3 * adl)


def test_a_fund_makes_the_fall_deeper_where_it_keeps_the_winners_out():
    """While the fund lasts, everything is sold on the market: the richer it is, the later g falls."""
    crowd = [ps.Longs.spread(30e6, leverage=(10, 40), n=4000, lag=0.2)]
    poor, rich = (end(crowd, [ps.Waterfall(fund, adl=0.4)], 0.06) for fund in (0.0, 1e9))
    assert rich == pytest.approx(end(crowd, shock=0.06))
    assert rich > poor + 0.03


class Rehedge(ps.Participant):
    """Winners who were hedged sell a share of what was closed against them anew."""

    def __init__(self, share):
        self.share = share

    def sold_by(self, fall, market):
        return 0.0 * np.asarray(fall)

    def react(self, view, mine):
        return view.done - self.share * view.closed["Longs"]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0, 1.5])
def test_deleveraging_helps_as_far_as_the_winners_do_not_sell_again(share):
    """The gain is g (1 - a (1 - h)): no help at h = 1, and harm beyond."""
    crowd = [ps.Longs.spread(24e6, leverage=(5, 30), n=4000)]
    helped = end([*crowd, Rehedge(share)], [ps.Waterfall(adl=0.4)], 0.05)
    smaller = [ps.Longs(p.entry, p.size * (1 - 0.4 * (1 - share)), p.leverage) for p in crowd]
    assert helped == pytest.approx(end(smaller, shock=0.05), abs=1e-4)


@given(
    needed=st.floats(0, 500),
    positions=st.lists(st.floats(0, 100), min_size=1, max_size=8),
    policy=st.sampled_from(["queue", "pro_rata", "capped"]),
    cap=st.floats(0, 1),
)
def test_the_account_of_deleveraging_closes(needed, positions, policy, cap):
    """Needed = taken - overshoot + uncovered; only whole positions overshoot, by less than one."""
    taken = rules.deleveraged(needed, positions, policy, cap)
    limit = np.asarray(positions) * (cap if policy == "capped" else 1.0)
    assert ((taken >= 0) & (taken <= limit + 1e-12)).all()
    overshoot = taken.sum() - min(needed, limit.sum())
    if policy == "queue":
        assert -1e-9 <= overshoot <= max(positions) + 1e-9
        assert ((taken == 0) | (taken == positions)).all()
    else:
        assert abs(overshoot) < 1e-9


@given(loss=st.floats(0, 3), layers=st.lists(st.floats(0, 1), max_size=6))
def test_layers_lose_in_order_and_nothing_twice(loss, layers):
    borne = tranches.layered(loss, layers)
    assert borne.sum() == pytest.approx(loss, abs=1e-12)
    for k in range(len(layers)):  # who comes later loses only if this one has lost everything
        assert borne[k] == pytest.approx(layers[k]) or not borne[k + 1 :].any()


# --- RedemptionQueue ---


def test_a_claim_waits_and_the_day_has_a_number():
    run = film([ps.Herd(1e6, lag=0.0)], [ps.News(-0.05, at=1)], [ps.RedemptionQueue(delay=3.0)])
    assert not run.sold["Herd"][: 21 + 60].any()
    assert run.sold["Herd"][82, 0] == pytest.approx(0.05 * 1e6, rel=1e-9)
    run = film([ps.Herd(1e6, lag=0.0)], [ps.News(-0.05, at=1)], [ps.RedemptionQueue(per_day=24e3)])
    assert np.diff(run.sold["Herd"][:, 0]).max() == pytest.approx(1e3 * 0.05)
    assert run.books["RedemptionQueue"]["waiting"][30, 0] == pytest.approx(50e3, rel=0.02)


def test_the_gate_shuts_once():
    crowd, events = [ps.Herd(1e6)], [ps.News(-0.05, at=1), ps.News(-0.06, at=9)]
    run = film(crowd, events, [ps.RedemptionQueue(gate=0.05, shut=4.0)])
    shut = (run.time > 1.05) & (run.time < 5.05)
    assert not run.sold["Herd"][shut].any()
    assert run.fall[-1, 0] == pytest.approx(end(crowd, shock=0.11), rel=1e-3)
    assert not film(crowd, events, [ps.RedemptionQueue(gate=0.05)]).sold["Herd"].any()


@pytest.mark.parametrize("delay", [1.0, 12.0])
def test_waiting_is_worth_what_comes_in_the_meantime(delay):
    """[R3] With no recovery one-way sellers end where they would have ended; with it, the dip is smaller."""
    crowd, events, queue = [ps.Herd(1e6)], [ps.News(-0.05)], [ps.RedemptionQueue(delay)]
    plain, waited = (film(crowd, events, r, hours=480, dt=0.5).fall[-1, 0] for r in ((), queue))
    assert waited == pytest.approx(plain, rel=1e-9)
    pull = ps.Market(recovery=0.2)
    sale = [ps.Sale(2e5, at=1)]
    deep = [film(crowd, sale, r, pull, hours=96).fall.max() for r in ((), queue)]
    assert deep[1] < deep[0]


@pytest.mark.parametrize(("gain", "reaches"), [(0.4, False), (0.6, True)])
def test_fear_of_the_gate_brings_it_about_where_twice_the_gain_exceeds_one(gain, reaches):
    """Within the rush a step down is felt twice: x^ = 2 x - (gate - rush), so the gain there is 2 g."""
    crowd, start = [ps.Herd(gain * 2e6)], 0.09 * (1 - gain) + 1e-4
    calm, feared = (
        film(
            crowd, [ps.News(-start)], [ps.RedemptionQueue(gate=0.12, shut=0.0, rush=rush)], hours=96
        ).fall.max()
        for rush in (0.0, 0.03)
    )
    assert calm == pytest.approx(0.09, abs=3e-4)
    assert (feared > 0.12) == reaches


# --- CircuitBreaker ---


def test_each_level_fires_once_and_for_its_own_time():
    rule = ps.CircuitBreaker([0.07, 0.13], [0.5, 1.0])
    run = film([], drip(0.05, 6), [rule], hours=12)
    halted = np.flatnonzero(run.books["CircuitBreaker"]["halted"][:, 0])
    assert len(halted) == 10 + 20
    assert run.fall[halted[0] - 1, 0] == pytest.approx(0.07, abs=0.0026)
    assert run.fall[halted[10] - 1, 0] == pytest.approx(0.13, abs=0.03)
    assert run.fall[-1, 0] == pytest.approx(0.3)


def test_a_pause_alone_is_only_a_calendar():
    """One-way sellers, no recovery, nobody who comes: they end where they would have ended."""
    crowd = [ps.Herd(1.2e6), ps.Longs.spread(6e6, n=500)]
    for auction in (True, False):
        assert end(crowd, [ps.CircuitBreaker(0.08, 2.0, auction)]) == pytest.approx(end(crowd), rel=1e-9)


def test_slow_buyers_arrive_in_a_pause():
    """Their lag runs on while the market is closed; where the pause is not an auction, it is lost."""
    crowd = [ps.Herd(1.6e6, lag=0.2), ps.ValueBuyers(1.2e6, 50e6, lag=2.0)]
    none, long, void = (
        film(crowd, [ps.News(-0.04)], [ps.CircuitBreaker(0.08, p, a)], hours=24).fall.max()
        for p, a in ((0.0, True), (6.0, True), (6.0, False))
    )
    assert long < 0.9 * none
    assert void == pytest.approx(none, rel=0.05)


# --- VolatilityMargin ---


def test_a_margin_that_rises_in_the_fall_deepens_it_and_one_that_was_high_does_not():
    """[D6] Forced sales: dynamic >= static >= floored, where the same money has made a smaller book."""
    crowd = [ps.Longs.spread(20e6, leverage=(5, 20), n=2000, maintenance=0.01)]
    noise = np.random.default_rng(6).standard_normal((480, 1))
    market, events = ps.Market(volatility=0.6), [ps.News(-0.06, at=4)]

    def sold(crowd, rules):
        run = ps.simulate(market, crowd, events, rules, hours=24, noise=noise)
        return run.sold["Longs"][-1, 0]

    spiral = ps.VolatilityMargin(lookback=2, horizon=1)
    cut = [ps.Longs(100, p.size, np.minimum(p.leverage, 10), 0.01) for p in crowd]
    assert sold(crowd, [spiral]) > sold(crowd, []) > sold(cut, [])
    slow = ps.VolatilityMargin(lookback=2, horizon=1, speed=0.01)
    assert sold(crowd, [spiral]) > sold(crowd, [slow])


def test_margin_has_its_bounds():
    crowd = [longs()]
    run = film(crowd, [ps.News(-0.3, at=1)], [ps.VolatilityMargin(lookback=1, most=0.2)], DEEP)
    assert run.books["VolatilityMargin"]["margin"][0, 0] == 0.01
    assert run.books["VolatilityMargin"]["margin"].max() == pytest.approx(0.2)
    assert run.books["VolatilityMargin"]["margin"][-1, 0] == pytest.approx(0.01, abs=1e-4)
    for bad, words in (
        ({"floor": 0.005}, "floor (share of position) must be at least the maintenance of 'Longs', 0.01"),
        ({"floor": 0.2}, "floor (share of position) must leave every liquidation price"),
    ):
        with pytest.raises(ValueError) as refused:
            film(crowd, [], [ps.VolatilityMargin(**bad)])
        assert words in str(refused.value)
    with pytest.raises(ValueError, match="maintenance"):
        film([ps.Longs(100, 1, 5, [0.01, 0.02])], [], [ps.VolatilityMargin()])


# --- Governance ---

FREEZE = ps.RedemptionQueue(gate=0.0)


@pytest.mark.parametrize("delay", [0.5, 2.0])
def test_in_continuous_time_a_change_saves_an_exponential_of_its_delay(delay):
    """[D8] With a lag tau the endogenous part closes at the rate (1 - g)/tau: exp(-(1 - g) t/tau) is left."""
    crowd, lag, gain = [ps.Herd(1.2e6, lag=0.5)], 0.5, 0.6
    rule = ps.Governance(FREEZE, delay=delay, trigger=0.04)
    fall = film(crowd, [ps.News(-0.05)], [rule], hours=48, dt=0.001).fall[-1, 0]
    saved = (0.125 - fall) / 0.075
    assert saved == pytest.approx(math.exp(-(1 - gain) * delay / lag), rel=0.01)


def test_never_is_immutable_and_nobody_fears_it():
    crowd = [ps.Herd(1.2e6)]
    rule = ps.Governance(FREEZE, delay=None, rush=0.04)
    assert end(crowd, [rule]) == end(crowd)


@pytest.mark.parametrize(("shock", "hurts"), [(0.01, False), (0.026, True)])
def test_fear_of_a_freeze_deepens_the_falls_that_would_have_stopped_before_it(shock, hurts):
    """The rush begins at trigger - rush: falls that end above it are untouched, those within it grow."""
    crowd = [ps.Herd(1.2e6)]
    kept, feared = (end(crowd, [ps.Governance(FREEZE, 100.0, 0.1, rush)], shock) for rush in (0.0, 0.04))
    assert (feared > kept + 1e-3) == hurts
    assert feared >= kept


def test_what_settles_cannot_wait_for_a_vote():
    for rule in (ps.Waterfall(), ps.Liquidators()):
        with pytest.raises(ValueError, match="must not settle"):
            ps.Governance(rule)


# --- SeniorTranche ---


def test_seniors_leave_at_the_price_of_the_moment():
    """[R7] Sold coins are the integral of dollars redeemed over price; the dollars are the seniors' par."""
    fund = ps.SeniorTranche(10e6, 0.2, 0.25)
    x = np.linspace(fund.starts, fund.exhausted, 20_001)
    coins = fund.sold_by(x, CALM)
    dollars = np.sum(np.diff(coins) * 100 * np.exp(-(x[1:] + x[:-1]) / 2))
    assert dollars == pytest.approx(8e6, rel=1e-7)
    assert fund.sold_by(fund.starts, CALM) == 0
    assert fund.sold_by(5.0, CALM) == coins[-1] < 10e6 / 100
    assert 1 - math.exp(-fund.exhausted) == pytest.approx(0.2)
    assert 1 - math.exp(-fund.starts) == pytest.approx(0.15)


# --- Edges ---


class Closing(ps.Rule):
    """Closes a hundred coins wherever it is asked."""

    def see(self, view, mine):
        view.close("Herd", 100.0)
        return {}

    def book(self, view, mine):
        view.close("Herd", 100.0)
        return 1.0


class Cap(ps.Rule):
    """Let nobody sell more than so many coins an hour."""

    def limit(self, wants, view, mine):
        return {name: np.maximum(want, -2e3 * view.dt) for name, want in wants.items()}


def test_winners_may_run_out_in_the_last_digit():
    for k in range(40):
        crowd = [ps.Longs(100, [2100.0 + k / 7, 9000.0], [10, 4], lag=0.0)]
        rule = ps.Waterfall(adl=0.3, winners=[1777.7])
        run = film(crowd, [ps.News(-0.15), ps.News(-0.25, at=1)], [rule], hours=2)
        assert run.closed["Longs"][-1, 0] == pytest.approx(1777.7, rel=1e-12)


def test_a_value_without_a_floor_is_shown_as_none():
    """Value that follows every sale runs on below any price; what machines are shown stops at the floor."""
    market = ps.Market(permanent=1.0)
    crowd = [ps.Herd(4e6, lag=0.1), ps.LendingPool(1000.0, 60e3), ps.Longs(100, 10.0, 5)]
    for rule in (ps.Oracle(venues=3), ps.Oracle(push=1e5), ps.Governance(ps.Oracle(venues=3), 0.0)):
        run = film(crowd, [ps.News(-0.1)], [rule], market, hours=12)
        assert run.fall[-1, 0] == run.fall.max() > 600


def test_a_jump_to_the_roof_has_a_price():
    market = ps.Market()
    assert np.isfinite(market.proceeds(700.0, -200.0))
    assert market.proceeds(0.0, -3.0) == pytest.approx(LAMBDA * 100 * (1 - math.exp(3)), rel=1e-12)


@pytest.mark.parametrize(
    "rule",
    [
        ps.Oracle(lag=1e9),
        ps.Oracle(window=1e9, push=1.0),
        ps.Liquidators(latency=1e300),
        ps.RedemptionQueue(delay=1e9),
    ],
)
def test_who_waits_longer_than_the_run_sells_nothing(rule):
    run = film([loans(), longs()], [ps.News(-0.2)], [rule], hours=1)
    waits = {"Oracle": ("Longs", "LendingPool"), "Liquidators": ("LendingPool",), "RedemptionQueue": run.sold}
    for name in waits[type(rule).__name__]:
        assert not run.sold[name].any()


def test_governance_holds_back_what_a_rule_closes():
    run = film([ps.Herd(1e6)], [ps.News(-0.05)], [ps.Governance(Closing(), None)], hours=1)
    assert not run.closed["Herd"].any()
    typo = ps.Governance(Typo(), 0.0, 0.0)
    with pytest.raises(ValueError, match="limit"):
        film([ps.Herd(1e6)], [ps.News(-0.05)], [typo], hours=1)


class Typo(ps.Rule):
    def limit(self, wants, view, mine):
        return {"herd": 0.0}


def test_the_fear_of_a_rule_does_not_depend_on_what_the_rule_shows():
    """A gate that shows something and one that shows nothing are feared alike."""
    crowd = [ps.Herd(1.2e6)]
    plain, seeing = (
        end(crowd, [ps.Governance(ps.RedemptionQueue(gate=0.3, rush=r), 100.0, 0.1, 0.04)], 0.026)
        for r in (0.0, 1e-9)
    )
    assert seeing == pytest.approx(plain, rel=1e-6)
    assert plain > 0.1


def test_gas_that_rises_does_not_stop_those_who_can_pay_it():
    """Loans of two sizes, half of the debt each: when the small ones stop paying, the large ones go on."""
    sizes = np.repeat([1e3, 1e4], [1000, 100])
    crowd = [ps.LendingPool(sizes / np.tile(np.linspace(40, 78, 100), 11), sizes)]
    fall, rule = drip(0.05, 10), ps.Liquidators(gas=20.0, congestion=2)
    bare, rising = (film(crowd, fall, r, DEEP, hours=12).sold["LendingPool"][:, 0] for r in ((), [rule]))
    stops = np.flatnonzero(
        film(crowd, fall, [rule], DEEP, hours=12).books["Liquidators"]["smallest"][:, 0] > 500
    )[0]
    assert rising[stops - 1] == pytest.approx(bare[stops - 1], rel=1e-6)
    later = slice(stops + 5, 200)
    assert ((np.diff(rising[later]) > 0) == (np.diff(bare[later]) > 0)).all()
    assert rising[200] - rising[stops] == pytest.approx((bare[200] - bare[stops]) / 2, rel=0.2)


def test_a_void_pause_is_void_once():
    """Named twice, beside another breaker, or voted in: an order has what its lag lets through since then."""

    def first(rules_):
        run = film([ps.Herd(1e6, lag=1.0)], [ps.News(-0.06)], rules_, hours=6)
        sold = np.diff(run.sold["Herd"][:, 0])
        opened = np.flatnonzero((run.share[1:, 0] > 0) & (run.share[:-1, 0] == 0))[0] + 1
        return sold[opened] / (1e6 * run.fall[opened, 0] - run.sold["Herd"][opened, 0])

    void, long = ps.CircuitBreaker(0.05, 1.0, auction=False), ps.CircuitBreaker(0.05, 2.0)
    step = -math.expm1(-0.05)
    for rules_ in ([void], [void, void], [ps.Governance(void, 0.5)]):
        assert first(rules_) == pytest.approx(step, rel=1e-6)
    assert first([void, long]) == pytest.approx(-math.expm1(-1.05), rel=0.01)


LIMITS = [Cap(), ps.RedemptionQueue(delay=1.0), ps.RedemptionQueue(gate=0.06, shut=2)]


@pytest.mark.parametrize("limit", LIMITS)
def test_winners_take_their_share_of_what_is_sold_wherever_the_rule_stands(limit):
    crowd = [ps.Longs.spread(20e6, n=500)]
    for order in ([ps.Waterfall(adl=0.3), limit], [limit, ps.Waterfall(adl=0.3)]):
        run = film(crowd, [ps.News(-0.08)], order, hours=24)
        closed, sold = run.closed["Longs"][-1, 0], run.sold["Longs"][-1, 0]
        assert closed / (closed + sold) == pytest.approx(0.3, rel=1e-6)


def test_names_given_to_a_rule_are_kept():
    who = ["Longs"]
    lists = [ps.VolatilityMargin(floor=0.03, who=w) for w in (who, (n for n in who), "Longs")]
    who.clear()
    crowd = [ps.Longs.spread(20e6, n=300, leverage=(3, 15))]
    ends = [end(crowd, [rule], 0.09, hours=4.0) for rule in lists for _ in range(2)]
    assert ends == [ends[0]] * 6
    assert ends[0] > end(crowd, shock=0.09, hours=4.0)


@pytest.mark.parametrize(
    ("hook", "gives"),
    [
        ("limit", {"Herd": [0.0, 0.0]}),
        ("limit", {"Herd": "none"}),
        ("limit", {"Herd": np.nan}),
        ("limit", None),
        ("see", {"Herd": np.zeros(7)}),
        ("see", 5),
        ("book", [0.5, 0.5]),
        ("book", "half"),
        ("books", None),
    ],
)
def test_what_a_hook_returns_is_checked(hook, gives):
    def answer(self, *args):
        return gives

    odd = type("Odd", (ps.Rule,), {hook: answer})()
    for rule in (odd, ps.Governance(odd, 0.0, 0.0)) if hook != "books" else (odd,):
        with pytest.raises(ValueError, match=hook):
            film([ps.Herd(1e6)], [ps.News(-0.05)], [rule], hours=1)


def test_a_rule_needs_a_name_that_is_one():
    for name in (5, "", b"x"):
        with pytest.raises(ValueError, match=r"^name \(text\)"):
            film([], [], [ps.Oracle(name=name)], hours=1)


def test_a_void_pause_of_one_path_is_not_felt_on_another():
    rules_ = [ps.CircuitBreaker(0.05, 1.0, auction=False), ps.CircuitBreaker(0.12, 2.0)]
    market, noise = ps.Market(volatility=1.0), np.zeros((240, 2))
    noise[[1, 80], 0] = noise[[46, 100], 1] = -40.0
    both, alone = (
        ps.simulate(market, [ps.Herd(1e6, lag=1.0)], (), rules_, hours=12, paths=n, noise=noise[:, :n]).fall
        for n in (2, 1)
    )
    assert both.max() > 0.12
    np.testing.assert_array_equal(both[:, 0], alone[:, 0])


def test_who_buys_back_and_sells_again_waits_again():
    news = [ps.News(-0.1, at=1), ps.News(0.1, at=10), ps.News(-0.1, at=14)]
    queue = [ps.RedemptionQueue(delay=6.0)]
    sold = film([ps.Rebalancer(3, 5e6, lag=0.05)], news, queue, DEEP).sold["Rebalancer"][:, 0]
    # Paid at 7 hours and bought back at 10, it claims anew at 14 and is paid at 20.
    assert sold[200] > sold[278] + 1e4
    assert sold[278:400].max() == pytest.approx(sold[278], abs=1)
    assert sold[-1] > sold[278] + 1e4


def test_winners_are_shared_whoever_stands_first():
    a, b = (ps.Longs(100, 1e3, 10, lag=0.0, name=name) for name in "ab")
    books = []
    for crowd in ([a, b], [b, a]):
        run = film(crowd, [ps.News(-0.2)], [ps.Waterfall(adl=0.5, winners=[600.0])], hours=2)
        assert run.closed["a"][-1, 0] == pytest.approx(300) == run.closed["b"][-1, 0]
        books.append({key: rows[-1, 0] for key, rows in run.books["Waterfall"].items()})
    assert books[0] == pytest.approx(books[1])


def test_where_dips_heal_a_pause_turns_a_drip_into_a_block():
    """Sales that come by the clock gather in it: with recovery the market digests a drip better."""
    events = [ps.News(-0.04), ps.Sale(1.6e5, over=8.0)]

    def deepest(pause, market):
        return film([], events, [ps.CircuitBreaker(0.05, pause)], market).fall.max()

    falls = [deepest(pause, ps.Market(recovery=0.3)) for pause in (0.0, 2.0, 4.0)]
    assert falls[0] < falls[1] < falls[2]
    assert deepest(4.0, CALM) == pytest.approx(deepest(0.0, CALM), rel=1e-9)
