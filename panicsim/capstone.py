"""The capstone: design a lending venue under a budget, and let it face the storms that others face."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panicsim._check import Array, array, frozen, listed, scalar, summed, whole
from panicsim.depth import Depth
from panicsim.events import News, Sale
from panicsim.film import Run, simulate
from panicsim.market import HOURS_PER_YEAR, Market
from panicsim.measures import Metrics, metrics
from panicsim.participants import Fear, LendingPool
from panicsim.rules import (
    CircuitBreaker,
    Fees,
    Governance,
    Liquidators,
    Oracle,
    RedemptionQueue,
    Rule,
    StabilityPool,
)
from panicsim.tranches import layered

# The stage. All of it is invented, and the same for every design: coins pledged, of savers and of others,
# and loans; hours of a storm and of a step, volatility a year, recovery an hour, least share of depth.
COLLATERAL, SAVED, OTHERS, BORROWERS = 2e5, 8e4, 6e4, 200
HOURS, DT, VOLATILITY, RECOVERY, FLOOR = 96.0, 0.3, 0.8, 0.1, 0.3
# What an hour of waiting costs a saver, as a share of the coin: an opinion, and many times what stETH cost.
WAIT = 0.001
# What users had at the start, USD.
HAD = 100.0 * (COLLATERAL + SAVED)

BUDGET = 8.0
"""Points that a design may cost."""


@dataclass(frozen=True)
class Design:
    """A lending venue: what it lends, when it liquidates, whom it believes, and what it keeps for a storm.

    Parameters
    ----------
    lend : float
        Most that it lends on a dollar of collateral; borrowers stand evenly between 0.4 of that and all.
    threshold : float
        Loan-to-value at which it liquidates, 0.01 above `lend` or more (chapter 7).
    bonus : float
        Discount for whoever repays a loan (chapters 7 and 12).
    close : float
        Share of a debt that one liquidation repays.
    bidders : int or None
        Collateral is auctioned among so many; None: sold at the bonus (chapter 12).
    venues : int
        Quotes of which the oracle takes the median; 1: its own book (chapter 13).
    late : float
        Hours by which the oracle is late.
    fee : float
        Share of each trade for the makers, who keep the book deep (chapter 12).
    fund : float
        Million USD that pay bad debt first (chapter 14).
    pool : float
        Million USD that take over loans off the market before anybody sells (chapter 17).
    notice : float
        Hours that savers wait for their coins, at most 48 (chapter 15).
    breaker : float or None
        Log fall at which the market closes for two hours (chapter 16).
    guardian : float or None
        Hours after a fall of 10 % at which somebody freezes savers and liquidations, to the 12th hour after
        it; from 12 on it freezes nothing, but is feared all the same; None: nobody can (chapter 17).

    Raises
    ------
    ValueError
        If an argument is out of its range, or the design costs more than `BUDGET`.
    """

    lend: float = 0.6
    threshold: float = 0.75
    bonus: float = 0.08
    close: float = 0.5
    bidders: int | None = None
    venues: int = 1
    late: float = 0.0
    fee: float = 0.003
    fund: float = 0.0
    pool: float = 0.0
    notice: float = 0.0
    breaker: float | None = None
    guardian: float | None = None

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[str, dict[str, float]]] = {
            "lend": ("share of collateral", {"at_least": 0.05, "at_most": 0.95}),
            "threshold": ("share of collateral", {"at_least": self._least(), "below": 1}),
            "bonus": ("share of repayment", {"at_least": 0, "at_most": 0.5}),
            "close": ("share of debt", {"at_least": 0.01, "at_most": 1}),
            "late": ("hours", {"at_least": 0}),
            "fee": ("share of a trade", {"at_least": 1e-4, "at_most": 0.1}),
            "fund": ("million USD", {"at_least": 0}),
            "pool": ("million USD", {"at_least": 0}),
            "notice": ("hours", {"at_least": 0, "at_most": 48}),
            "breaker": ("log", {"at_least": 0.02}),
            "guardian": ("hours", {"at_least": 0}),
        }
        for name, (unit, limits) in bounds.items():
            if getattr(self, name) is not None or name not in ("breaker", "guardian"):
                object.__setattr__(self, name, scalar(name, unit, getattr(self, name), **limits))
        object.__setattr__(self, "venues", whole("venues", "quotes", self.venues, 1))
        if self.bidders is not None:
            object.__setattr__(self, "bidders", whole("bidders", "count", self.bidders, 1))
        if self.cost > BUDGET + 1e-9:
            bill = ", ".join(f"{name} {points:g}" for name, points in self.costs.items())
            raise ValueError(f"cost (points) must be at most {BUDGET:g}, got {self.cost:g}: {bill}")

    def _least(self) -> float:
        """Least threshold: a loan is not to be liquidated at the first tremor."""
        least = scalar("lend", "share of collateral", self.lend) + 0.01
        return min(least, round(least, 12))

    @property
    def costs(self) -> dict[str, float]:
        """Points of each choice that costs any."""
        bill = {
            "bidders": 0.5 * (self.bidders or 0),
            "venues": float(self.venues - 1),
            "fund": 2.0 * self.fund,
            "pool": 1.0 * self.pool,
            "notice": 1.0 * (self.notice > 0),
            "breaker": 1.0 * (self.breaker is not None),
            "guardian": 0.0 if self.guardian is None else 4.0 / (1.0 + self.guardian),
        }
        return {name: points for name, points in bill.items() if points}

    @property
    def cost(self) -> float:
        """Points in all."""
        return sum(self.costs.values())

    def __repr__(self) -> str:
        """One line of Python that is this design: what differs from the default."""
        own = [f for f in fields(self) if getattr(self, f.name) != f.default]
        return f"Design({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in own)})"

    @property
    def loans(self) -> LendingPool:
        """The borrowers it has."""
        coins, ltv = COLLATERAL / BORROWERS, np.linspace(0.4 * self.lend, self.lend, BORROWERS)
        terms = {"threshold": self.threshold, "close_factor": self.close, "bonus": self.bonus}
        return LendingPool(coins, 100.0 * coins * ltv, **terms, lag=0.0, cells=40, name="loans")

    @property
    def efficiency(self) -> float:
        """Dollars in the borrowers' hands, after one fee, for each that is tied up."""
        lent, kept = float(np.sum(self.loans.debt)), 1e6 * (self.fund + self.pool)
        return (1.0 - self.fee) * lent / (100.0 * COLLATERAL + kept)

    def rules(self, gas: float = 0.0, latency: float = 0.0) -> list[Rule]:
        """Return its rules in their order, for liquidators with this gas (USD) and latency (hours)."""
        frozen_by_hand = RedemptionQueue(gate=0.1, shut=12.0, who=["savers", "loans"])
        # A higher fee pays the makers for more, but drives part of the trade away.
        turnover = 0.4 * (self.fee / 0.003) ** -0.5
        rules = [
            Oracle(self.venues, lag=self.late),
            RedemptionQueue(self.notice, who=["savers"]),
            None if self.guardian is None else Governance(frozen_by_hand, self.guardian, 0.1, rush=0.02),
            StabilityPool(1e6 * self.pool) if self.pool else None,
            Liquidators(gas, latency=latency, caution=1.0, congestion=8.0, bidders=self.bidders),
            None if self.breaker is None else CircuitBreaker(self.breaker, 2.0, magnet=0.02),
            Fees(self.fee, turnover, window=6.0, floor=FLOOR),
        ]
        return [rule for rule in rules if rule is not None]

    def face(self, weather: Weather, extra: Iterable[Rule] = ()) -> Score:
        """Run a weather and score it. Rules of one's own may be added; what they close counts as paid."""
        return score(self, weather, self.run(weather, extra))

    def run(self, weather: Weather, extra: Iterable[Rule] = ()) -> Run:
        """Return the film behind the score."""
        listed("weather", "Weather", weather, Weather)
        crowd = [
            self.loans,
            Fear(SAVED, threshold=0.15, width=0.04, lag=0.5, name="savers"),
            Fear(OTHERS, threshold=0.10, width=0.03, lag=0.5, name="others"),
        ]
        rules = [*self.rules(weather.gas, weather.dt), *listed("extra", "rules", extra, Rule)]
        depth = Depth(2e6, schedule=weather.depth)
        market = Market(100.0, depth, recovery=RECOVERY, volatility=VOLATILITY)
        dt, (steps, paths) = weather.dt, weather.noise.shape
        return simulate(market, crowd, weather.events, rules, steps * dt, dt, paths, noise=weather.noise)


@dataclass(frozen=True, eq=False)
class Weather:
    """What comes from outside: the same for every design.

    Attributes
    ----------
    name : str
    noise : array (steps, paths)
        Moves of the log value in each step, as standard normal draws would stand there (at 80 % a year); one
        column a storm.
    events : tuple of News and Sale
        In every storm alike.
    depth : tuple of (hour, share), or None
        Share of the book from an hour on.
    gas : float
        USD that one liquidation costs in calm.
    dt : float
        Hours of a step; liquidators are one step late.
    """

    name: str
    noise: Array
    events: tuple[News | Sale, ...] = ()
    depth: Sequence[tuple[float, float]] | None = None
    gas: float = 20.0
    dt: float = DT

    def __post_init__(self) -> None:
        noise = array("noise", "standard normal draws", self.noise)
        if noise.ndim != 2 or not noise.size:
            raise ValueError(f"noise (standard normal draws) must be (steps, paths), got shape {noise.shape}")
        object.__setattr__(self, "noise", frozen(noise))
        object.__setattr__(self, "gas", scalar("gas", "USD", self.gas, at_least=0))
        object.__setattr__(self, "dt", scalar("dt", "hours", self.dt, above=0))
        object.__setattr__(self, "events", tuple(listed("events", "News or Sale", self.events, (News, Sale))))


def storms(n: int = 200, seed: int = 1) -> Weather:
    """Return storms of four days: news of a random size and speed, half of which proves false.

    Parameters
    ----------
    n : int
        Storm j is the same for any number of storms.
    seed : int

    Notes
    -----
    The fall of value has a median of 20 % in log, takes from 0.3 to 36 hours (evenly in its logarithm) and
    begins between hours 2 and 20. In every other storm 0.3 to all of it comes back in the twelve hours after.
    """
    n, seed = whole("n", "storms", n, 1), whole("seed", "start of the draws", seed, 0)
    noise = np.empty((round(HOURS / DT), n))
    for j in range(n):
        draws = np.random.default_rng([seed, j])
        noise[:, j] = draws.standard_normal(len(noise))
        size = min(0.2 * np.exp(0.6 * draws.standard_normal()), 0.8)
        begin, over = draws.uniform(2, 20), 0.3 * 120.0 ** draws.uniform()
        back, wait = draws.uniform(0.3, 1.0), draws.uniform(1, 6)
        noise[:, j] += _moves(-size, begin, over)
        if j % 2:
            noise[:, j] += _moves(back * size, begin + over + wait, 6.0)
    return Weather(f"{n} storms", noise)


def _moves(change: float, at: float, over: float, hours: float = HOURS, dt: float = DT) -> Array:
    """Even move of the log value between two hours, as draws that make it, (steps,)."""
    time = dt * np.arange(round(hours / dt) + 1)
    return change * np.diff(np.clip((time - at) / max(over, dt), 0.0, 1.0)) / _scale(dt)


def _scale(dt: float) -> float:
    """Log move of value for which a draw of 1 stands, in a step of dt hours."""
    return VOLATILITY * float(np.sqrt(dt / HOURS_PER_YEAR))


@dataclass(frozen=True, eq=False)
class Score:
    """How a design fared: four shares, the more the better.

    Attributes
    ----------
    design : Design
    weather : Weather
    lenders : array (paths,)
        Share of what was lent that lenders lose: bad debt beyond the fund, and the pool's coins that are
        worth less at the end than was paid for them.
    users : array (paths,)
        Share of what borrowers and savers had at the start that they lose beyond the fall: for borrowers what
        was taken, at its value in the end, over what it repaid; for savers the value when they claimed, over
        what they got, or over the value in the end if they still wait, and 0.1 % of the value of what waits
        for each hour. Neither counts gains.
    spread : array (paths,)
        Standard deviation of the price that savers got for a coin, over the price at the start; who still
        waits has the price of the end.
    """

    design: Design
    weather: Weather
    lenders: Array
    users: Array
    spread: Array

    @property
    def solvency(self) -> float:
        """What lenders keep of a dollar in the worst tenth of the storms (at least one)."""
        worst = np.sort(self.lenders)[-max(len(self.lenders) // 10, 1) :]
        return float(1.0 - worst.mean())

    @property
    def user(self) -> float:
        """What users keep of a dollar beyond the fall itself, on average."""
        return float(1.0 - self.users.mean())

    @property
    def efficiency(self) -> float:
        """Dollars lent for a dollar that is tied up."""
        return self.design.efficiency

    @property
    def fairness(self) -> float:
        """One less the spread of savers' prices, on average."""
        return float(1.0 - self.spread.mean())

    def __repr__(self) -> str:
        words = zip(("solvency", "user", "efficiency", "fairness"), self.four, strict=True)
        return f"{self.weather.name}: " + ", ".join(f"{word} {number:.3f}" for word, number in words)

    @property
    def four(self) -> Array:
        """Solvency, user, efficiency, fairness, (4,)."""
        return np.array([self.solvency, self.user, self.efficiency, self.fairness])


def score(design: Design, weather: Weather, run: Run) -> Score:
    """Score the film of a design in a weather."""
    books, value, measured = run.books["loans"], run.value[-1], metrics(run)
    lost = layered(measured.bad_debt, [1e6 * design.fund])[:, 1]
    for name, rule in run.rules.items():
        if isinstance(rule, StabilityPool):
            usd, coins = (run.books[name][key][-1] for key in ("usd", "coins"))
            lost = lost + np.maximum(rule.usd - usd - coins * value, 0.0)
    taken = books["collateral"][0] - books["collateral"][-1]
    borrowers = taken * value - books["repaid"][-1] - books["settled"][-1]
    savers, spread = _savers(run, measured)
    users = np.maximum(borrowers, 0.0) + np.maximum(savers, 0.0)
    return Score(design, weather, lost / books["owed"][0], users / HAD, spread / run.market.price)


def _savers(run: Run, measured: Metrics) -> tuple[Array, Array]:
    """USD that savers lose by selling or by waiting, and the spread of their prices, (paths,) each."""
    sold, asked = run.sold["savers"], run.books["RedemptionQueue"]["waiting"][1:]
    # The queue's book is as of the orders: what the step then sells is still in it.
    claims, sales = np.diff(sold[:-1] + asked, axis=0, prepend=0.0), np.diff(sold, axis=0)
    left = asked[-1] - sales[-1]
    got = measured.ledger["savers"]["usd"] + left * run.value[-1]
    waited = WAIT * float(run.time[1]) * summed((asked - sales) * run.value[1:])
    lost = summed(np.maximum(claims, 0.0) * run.value[:-1]) - got + waited
    # Each step's sales, and last those who wait, at the price of their row.
    coins = np.concatenate([sales, left[None]])
    price = np.concatenate([run.price[1:], run.price[-1:]])
    share = coins / np.maximum(summed(coins), 1e-9)
    mean = summed(share * price)
    return lost, np.sqrt(summed(share * (price - mean) ** 2))


def front(scores: Any) -> NDArray[np.bool_]:
    """Tell which designs no other one dominates: none is at least as good in all and better in one.

    Parameters
    ----------
    scores : array (designs, n)
        The more the better, for example rows of `Score.four`.

    Returns
    -------
    array of bool (designs,)
    """
    rows = array("scores", "the more the better", scores)
    if rows.ndim != 2:
        raise ValueError(f"scores (the more the better) must be (designs, n), got shape {rows.shape}")
    as_good = (rows[:, None] >= rows[None]).all(axis=2)
    return np.asarray(~(as_good & ~as_good.T).any(axis=0))


def replays() -> dict[str, Weather]:
    """Return three storms after days that were: scripts, written with hindsight, and no forecasts.

    Notes
    -----
    What comes from outside is chosen by hand so that the careful design of `REFERENCES` bottoms near the
    recorded low of ether (from 206.4 to 88.2, 1875 to 880 and 4394 to 3381 dollars); every design then faces
    the same. March 2020: two legs half a day apart, and gas at fifty times that of the other storms, before
    what the fall adds. June 2022: eleven days of drip, while the book shrinks as much as the pool of stETH
    did in six weeks, from 4.5 to 0.62 billion. October 2025: forty minutes, in which a book whose makers
    flee keeps less than a quarter of its depth; half of the news is taken back in the next hour.
    """
    thursday = _moves(-0.405, 45.8, 4.0, 96.0) + _moves(-0.405, 59.0, 2.0, 96.0)
    drip = _moves(-0.75, 24.0, 264.0, 312.0, dt=0.8)
    fast = _moves(-0.13, 20.8, 0.6) + _moves(0.065, 21.6, 1.0)
    thin = [(24.0 + 24.0 * day, (0.62 / 4.5) ** (day / 11)) for day in range(1, 12)]
    gone = [(20.8, 0.16 / FLOOR), (21.6, 0.75), (24.0, 1.0)]
    weathers = [
        Weather("March 2020", thursday[:, None], gas=1000.0),
        Weather("June 2022", drip[:, None], depth=thin, dt=0.8),
        Weather("October 2025", fast[:, None], depth=gone),
    ]
    return {weather.name: weather for weather in weathers}


REFERENCES = {
    "naive": Design(lend=0.8, threshold=0.85, bonus=0.10, close=1.0),
    "Maker-2020-like": Design(
        lend=0.64, threshold=0.667, bonus=0.13, close=1.0, bidders=3, venues=3, late=1.0, guardian=24.0
    ),
    "Liquity-like": Design(lend=0.85, threshold=0.909, bonus=0.10, close=1.0, venues=3, pool=6.0),
    "careful": Design(lend=0.55, threshold=0.7, bonus=0.04, close=0.25, venues=3, fund=0.5, fee=0.01),
    "patient": Design(lend=0.6, threshold=0.75, bonus=0.04, close=0.25, notice=48.0, breaker=0.05),
}
"""Designs to compare with. "-like" is our simplification: what they are named after had other parts too."""
