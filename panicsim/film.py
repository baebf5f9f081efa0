"""The film: the same supply curves in time, with news, noise, lags, recovery and rules."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from panicsim._check import Array, array, listed, scalar, whole
from panicsim._static import is_static
from panicsim.depth import Depth
from panicsim.events import News, Sale
from panicsim.market import HOURS_PER_YEAR, NO_FLOOR, NO_ROOF, Market, View
from panicsim.participants import Participant, named, numbered, slope_signs
from panicsim.rules import Rule
from panicsim.rules.base import known

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Most steps of the root search with which resting bids answer a move: as many as halving needs.
SEARCH_STEPS = 60

# A run that will take longer than this many seconds shows a progress bar.
PATIENCE = 2.0


@dataclass(frozen=True, eq=False)
class Run:
    """What happened: log price, log value and what was sold. Everything else is derived.

    Attributes
    ----------
    market : Market
        With its whole depth, if depth is a state.
    crowd : dict of participants by name
    time : array (steps + 1,)
        Hours since the start.
    fall : array (steps + 1, paths)
        Log fall of the price from P0.
    value_fall : array (steps + 1, paths)
        Log fall of the value from P0.
    sold : dict of arrays (steps + 1, paths)
        Coins sold so far (negative: bought), by name.
    outside : array (steps + 1, paths or 1)
        Coins sold so far by `Sale` events.
    closed : dict of arrays (steps + 1, paths or 1)
        Coins closed so far by rules without a market sale, by name.
    bids : frozenset of str
        Names of those whose resting bids answered within the steps.
    share : array (steps, paths) or None
        Share of depth that was there in each step; None without a `Depth` or a rule that bends the book.
    books : dict of dicts of arrays (steps + 1, paths)
        What participants and rules recorded of their own books (`Participant.books`, `Rule.books`), by name.
    rules : dict of rules by name
    """

    market: Market
    crowd: Mapping[str, Participant]
    time: Array
    fall: Array
    value_fall: Array
    sold: Mapping[str, Array]
    outside: Array
    closed: Mapping[str, Array]
    bids: frozenset[str] = frozenset()
    share: Array | None = None
    books: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)

    @property
    def price(self) -> Array:
        """Price, USD per coin, (steps + 1, paths)."""
        return self.market.price_at(self.fall)

    @property
    def value(self) -> Array:
        """Value, USD per coin, (steps + 1, paths)."""
        return self.market.price_at(self.value_fall)

    def until(self, time: float) -> Run:
        """Return the run as it was known at a time (hours): nothing after it is kept."""
        time = scalar("time", "hours", time, at_least=0)
        rows = int(np.searchsorted(self.time, time * (1 + 1e-12), side="right"))
        return replace(
            self,
            time=self.time[:rows],
            fall=self.fall[:rows],
            value_fall=self.value_fall[:rows],
            sold={name: coins[:rows] for name, coins in self.sold.items()},
            outside=self.outside[:rows],
            closed={name: coins[:rows] for name, coins in self.closed.items()},
            share=None if self.share is None else self.share[: rows - 1],
            books={n: {key: row[:rows] for key, row in own.items()} for n, own in self.books.items()},
        )

    def plot(self) -> Figure:
        """Draw price and value in time (a fan if there are many paths)."""
        from panicsim.plots import plot_run

        return plot_run(self)


def simulate(
    market: Market,
    crowd: Iterable[Participant],
    events: Iterable[News | Sale] = (),
    rules: Iterable[Rule] = (),
    hours: float = 72.0,
    dt: float = 0.05,
    paths: int = 1,
    seed: int = 0,
    noise: Any = None,
) -> Run:
    """Run the loop in time.

    Parameters
    ----------
    market : Market
    crowd : iterable of Participant
        May be empty: a market without feedback.
    events : iterable of News and Sale
    rules : iterable of Rule
        They act in the order of the list.
    hours, dt : float
        Length of the run and of a step, in hours; `hours` is a whole number of `dt`.
    paths : int
        Independent paths, run side by side.
    seed : int
        The same seed gives the same run, and path j is the same for any number of paths.
    noise : array (steps, paths), optional
        Standard normal draws to use instead of drawn ones, so that dt can be halved on the same path.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If an argument is out of its range, an event lies outside the run, or a participant cannot exist
        in this market.

    Notes
    -----
    One step: rules say what row k is seen as; those who trade on it send orders; rules limit them, and leave
    a share of the book; the orders, then news and noise of [t_k, t_k + dt) move the price; recovery pulls it
    towards value; resting bids answer the result; row k + 1 is recorded; rules settle. Orders go on gathering
    while a market is closed, and meet when it opens: a lag is a time to decide, and that passes. Noise is
    news that comes all day: it moves value, and the price with it. Trades move value by the `permanent` share
    of their impact (chapter 3).
    """
    hours = scalar("hours", "hours", hours, above=0)
    dt = scalar("dt", "hours", dt, above=0)
    steps = round(min(hours / dt, 1e18))
    if steps < 1 or abs(steps * dt - hours) > 1e-9 * hours:
        raise ValueError(f"hours (hours) must be a whole number of dt = {dt!r} hours, got {hours!r}")
    paths, seed = whole("paths", "count", paths, 1), whole("seed", "start of the draws", seed, 0)
    people = named(crowd, market)
    venue = numbered(listed("rules", "Rule", rules, Rule), {*people, "Sale"})
    time = dt * np.arange(steps + 1, dtype=float)
    outside = _outside(
        market, listed("events", "News or Sale", events, (News, Sale)), time, paths, seed, noise
    )
    stage = _Stage(market, people, venue, time, paths, *outside)
    market = market.whole
    try:
        # A number that is not a number would spread silently along its path.
        with np.errstate(invalid="raise", over="ignore"):
            for k in _watched(steps):
                stage.step(k)
    except FloatingPointError as problem:
        raise ValueError(
            f"crowd or rules made a number that is none at {time[k]:g} hours: {problem}"
        ) from problem
    if not np.isfinite(stage.fall[-1]).all():
        worst = time[np.argmin(np.isfinite(stage.fall).all(axis=1))]
        raise ValueError(f"crowd (participants) wanted coins that are no number before {worst:g} hours")
    return Run(
        market,
        people,
        time,
        stage.fall,
        stage.value,
        stage.sold,
        stage.outside,
        stage.closed,
        frozenset(stage.bids),
        stage.share,
        stage.books,
        venue,
    )


class _Stage:
    """The arrays of one run and the order of a step. Runs own their stage; it is thrown away after."""

    def __init__(
        self,
        market: Market,
        people: Mapping[str, Participant],
        rules: Mapping[str, Rule],
        time: Array,
        paths: int,
        value: Array,
        sales: Array,
    ) -> None:
        liquidity = market.depth if isinstance(market.depth, Depth) else None
        self.market = market = market.whole
        self.crowd = people
        # Row k + 1 of the value holds the outside move of step k until that step is taken.
        self.time, self.value = time, value
        # Coins that sales from outside have asked for so far; a closed market lets them wait.
        self.due = np.concatenate([[0.0], np.cumsum(sales)])
        rows = (len(time), paths)
        dt = float(time[1])
        self.fall = np.zeros(rows)
        self.sold = {name: np.zeros(rows) for name in people}
        # What others may look at, but not change.
        self.seen, self.seen_value = _read_only(self.fall), _read_only(self.value)
        self.seen_sold = {name: _read_only(coins) for name, coins in self.sold.items()}
        self.stay = float(np.exp(-market.recovery * dt))
        bent = liquidity is not None or any(type(rule).book is not Rule.book for rule in rules.values())
        self.share = np.ones((len(time) - 1, paths)) if bent else None
        self.outside = np.zeros(rows) if bent else self.due[:, None]
        self.unseen = np.zeros(paths)
        self.floor, self.roof = np.full(paths, NO_FLOOR), np.full(paths, NO_ROOF)
        view = self.view = View()
        view.market, view.crowd, view.time, view.dt, view.paths = market, people, 0.0, dt, paths
        view.waited = np.zeros(paths)
        view.fall = view.value = view.done = np.zeros(paths)
        view.seen, view.wanted, view.share = dict.fromkeys(people, view.fall), {}, 1.0
        view._leg = (view.fall, view.fall, 0.0)
        view._records, view._row = self.seen_sold, 0
        self.liquidity = (liquidity, liquidity.start(view)) if liquidity else None
        bids = {n for n, p in people.items() if _rests(p, market)}
        self.bids = {n: p for n, p in people.items() if n in bids}
        self.others = {n: p for n, p in people.items() if n not in bids}
        view.closed = {name: np.zeros(paths) for name in self.others}
        self.state = {name: p.start(view) for name, p in people.items()}
        begun = {name: rule.start(view) for name, rule in rules.items()}
        self.rules = [(rule, begun[name]) for name, rule in rules.items()]
        self.closed = {name: np.zeros(rows if rules else (len(time), 1)) for name in self.others}
        # The share of the gap between want and fill that an order closes in one step.
        self.pace = {n: -float(np.expm1(-dt / p.lag)) if p.lag else 1.0 for n, p in people.items()}
        self.told = {n for n, p in people.items() if type(p).filled is not Participant.filled}
        keepers = {n: p for n, p in people.items() if type(p).books is not Participant.books}
        venues = {n: r for n, r in rules.items() if type(r).books is not Rule.books}
        self.keepers: list[tuple[str, Rule | Participant, Any]]
        self.keepers = [(n, r, begun[n]) for n, r in venues.items()]
        self.keepers += [(n, p, self.state[n]) for n, p in keepers.items()]
        self.books: dict[str, dict[str, Array]] = {name: {} for name, _, _ in self.keepers}
        self._record()

    def step(self, k: int) -> None:
        """Go from row k to row k + 1."""
        market = self.market
        fall, value = self.fall[k], self.value[k]
        self._show(k)
        orders = self._orders(k)
        sold: Any = self.due[k + 1] - self.due[k]
        share: Any = 1.0
        if self.share is not None:
            share = self.share[k] = self._book()
            self.view.waited = np.where(share > 0, 0.0, self.view.waited + self.view.dt)
            orders = {name: order * (share > 0) for name, order in orders.items()}
            self.outside[k + 1] = np.where(share > 0, self.due[k + 1], self.outside[k])
            sold = self.outside[k + 1] - self.outside[k]
        for name in self.others:
            # An order that a rule left out waits.
            order = orders.get(name, 0.0)
            np.subtract(self.sold[name][k], order, out=self.sold[name][k + 1])
            sold = sold - order
        after = self._impact(fall, sold, share)
        if self.rules:
            self.view.share, self.view._leg = share, (fall, after, sold)
        if told := [name for name in self.told if name in orders]:
            self._tell({name: orders[name] for name in told}, fall, after, sold, share)
        value = value + (after - fall) * market.permanent if market.permanent else value
        moves = self.value[k + 1]
        after = self._outside_moves(moves, after, share)
        value = np.add(value, moves, out=moves)
        if self.stay < 1.0:
            pulled = value + (after - value) * self.stay
            after = pulled if self.share is None else np.where(share > 0, pulled, after)
        if self.bids:
            after = self._answer(k, after, share)
        # Two comparisons with rows: `np.clip` and scalars cost several times as much.
        np.maximum(np.minimum(after, self.floor, out=after), self.roof, out=self.fall[k + 1])
        if self.rules or self.books:
            self._show(k + 1)
            self._settle(k)
            self._record()

    def _show(self, row: int) -> None:
        """Let the view show a row of the records."""
        view = self.view
        view.time, view._row = float(self.time[row]), row
        view.fall, view.value = self.seen[row], self.seen_value[row]

    def _orders(self, k: int) -> dict[str, Array]:
        """Signed coins that reach the market in this step, by name of those who send orders."""
        view, fall = self.view, self.seen[k]
        view.seen, view.wanted = dict.fromkeys(self.crowd, fall), {}
        for rule, mine in self.rules:
            for name, shown in known("see", rule.see(view, mine), self.crowd, view.paths).items():
                view.seen[name] = np.clip(shown, NO_ROOF, NO_FLOOR)
        waited = self.share is not None and view.waited.any()
        orders = {}
        for name, member in self.others.items():
            view.fall = view.seen[name]
            done = self.seen_sold[name][k]
            view.done = done + view.closed[name] if self.rules else done
            want = member.react(view, self.state[name])
            if self.rules and member.one_way:  # what a rule closed before its time is not bought back
                want = np.where(view.closed[name] > 0, np.minimum(want, 0.0), want)
            pace = self.pace[name]
            if waited and member.lag:  # those who had time to decide while the market was closed
                longer = -np.expm1(-(view.dt + view.waited) / member.lag)
                orders[name] = want * np.where(view.waited > 0, longer, pace)
            else:
                orders[name] = want * pace if pace < 1.0 else want
            view.wanted[name] = want
        view.fall = fall
        for rule, mine in self.rules:
            lowered = known("limit", rule.limit(orders, view, mine), self.others, view.paths)
            orders = _lowered(orders, lowered)
        return orders

    def _book(self) -> Array:
        """Share of depth that is there: the product of what its own state and the rules leave."""
        share = np.ones(self.view.paths)
        if self.liquidity:
            depth, seen = self.liquidity
            share = share * depth.book(self.view, seen)
        for rule, mine in self.rules:
            left = array("book", "share of depth", rule.book(self.view, mine), at_least=0)
            if left.shape not in (share.shape, ()):
                raise ValueError(f"book (rule) must be one share or {len(share)} of them, got {left!r}")
            share = share * left
        return share

    def _impact(self, fall: Array, sold: Any, share: Any) -> Array:
        """Log fall after `sold` coins met the share of the book that is there."""
        market = self.market
        if self.share is not None:
            sold = sold / np.where(share > 0, share, 1.0)
        if callable(market.depth):
            return market.fall_at(market.absorbed(fall) + sold)
        return fall + market.fall_at(sold)

    def _outside_moves(self, moves: Array, fall: Array, share: Any) -> Array:
        """Log fall after news and noise; in a closed market the price waits."""
        if self.share is None:
            return fall + moves
        unseen = self.unseen + moves
        is_open = share > 0
        self.unseen = np.where(is_open, 0.0, unseen)
        return fall + np.where(is_open, unseen, 0.0)

    def _answer(self, k: int, fall: Array, share: Any) -> Array:
        """Let resting bids answer the move, within the step.

        In u = V(y), the coins absorbed, they buy until u = u0 - (B(y) - B0)/share.
        """
        market = self.market
        held = {name: self.sold[name][k] for name in self.bids}
        start = market.absorbed(fall)
        scale = 1.0 if self.share is None else (share > 0) / np.where(share > 0, share, 1.0)

        def miss(u: Array) -> Array:
            y = market.fall_at(u)
            return u - start + sum(held[name] - self._bid(name, y) for name in self.bids) * scale

        u = _root(miss, start, 1e-7 * float(market.depth_coins()))
        y = market.fall_at(u)
        flow: Any = 0.0
        for name, member in self.bids.items():
            coins = (held[name] - self._bid(name, y)) * (scale > 0)
            np.subtract(held[name], coins, out=self.sold[name][k + 1])
            flow = flow + coins
            if member.one_way:
                worst = self.state[name]["worst"]
                np.maximum(worst, y, out=worst)
        # The price is set by what was traded: money is conserved, whatever the search left over.
        after = market.fall_at(start - flow * scale)
        if told := self.told & self.bids.keys():
            self._tell({n: held[n] - self.sold[n][k + 1] for n in told}, fall, after, -flow, share)
        self.value[k + 1] += (after - fall) * market.permanent
        return after

    def _bid(self, name: str, fall: Array) -> Array:
        """Coins that a member with resting bids has sold (negative: bought) at a fall."""
        member = self.bids[name]
        if member.one_way:
            fall = np.maximum(self.state[name]["worst"], fall)
        return member.sold_by(fall, self.market)

    def _tell(self, orders: dict[str, Array], fall: Array, after: Array, sold: Any, share: Any) -> None:
        """Tell those who ask what they traded and at which average price."""
        fill = self.market.average_fill(fall, after, sold, share)
        for name, coins in orders.items():
            self.crowd[name].filled(coins, fill, self.view, self.state[name])

    def _settle(self, k: int) -> None:
        """Let the rules settle, on row k + 1."""
        for rule, mine in self.rules:
            rule.settle(self.view, mine)
        if self.rules:
            for name, closed in self.closed.items():
                closed[k + 1] = self.view.closed[name]

    def _record(self) -> None:
        """Keep what participants and rules say of their own books."""
        view = self.view
        for name, keeper, mine in self.keepers:
            own = self.books[name]
            if name in self.sold:
                view.done = self.sold[name][view._row] + view.closed.get(name, 0.0)
            entries = keeper.books(view, mine)
            if not isinstance(entries, dict):
                raise ValueError(f"books (of {name}) must return a dict of arrays by name, got {entries!r}")
            if view._row == 0:
                own.update({key: np.zeros(self.fall.shape) for key in entries})
            if entries.keys() != own.keys():
                raise ValueError(
                    f"books (of {name}) must have the same entries at every step, {sorted(own)},"
                    f" got {sorted(entries)}"
                )
            for key, row in entries.items():
                own[key][view._row] = array(f"books[{key!r}]", f"of {name}", row)


def _read_only(record: Array) -> Array:
    """Return a view of a record for others: they may look at it, but not change it."""
    seen = record.view()
    seen.flags.writeable = False
    return seen


def _root(miss: Callable[[Array], Array], start: Array, tick: float) -> Array:
    """Return where `miss`, which rises with a slope of at least one, is zero: (paths,) in, (paths,) out.

    The root lies within one miss of the start. A step of Newton stays inside that bracket, or its chord or
    its middle is taken. A path that is there stands still while others go on, so paths never touch.
    """
    u, off = start, miss(start)
    low, high = u - np.maximum(off, 0.0), u - np.minimum(off, 0.0)
    at_low, at_high = miss(low), miss(high)
    for turn in range(SEARCH_STEPS):
        away = np.abs(off) > 1e-5 * tick
        if not away.any():
            break
        newton = u - off / np.maximum((miss(u + tick) - off) / tick, 1.0)
        # The ends have been tried: past a corner of the curve, Newton would run from one to the other.
        inside = (newton > low) & (newton < high)
        chord = low - at_low * (high - low) / np.maximum(at_high - at_low, tick)
        other = (low + high) / 2 if turn % 2 else chord
        u = np.where(away, np.where(inside, newton, other), u)
        off = miss(u)
        low, at_low = np.where(off < 0, (u, off), (low, at_low))
        high, at_high = np.where(off > 0, (u, off), (high, at_high))
    return u


def _lowered(wants: Mapping[str, Array], orders: dict[str, Array]) -> dict[str, Array]:
    """Refuse orders that a rule has raised: they would trade what nobody wants, or has."""
    for name, order in orders.items():
        want = wants.get(name, 0.0)
        if np.any(np.abs(order) > np.abs(want) * (1 + 1e-9)) or np.any(order * want < 0):
            raise ValueError(f"limit (rule) must not raise the order of {name!r} or turn it round")
    return orders


def _rests(member: Participant, market: Market) -> bool:
    """Tell whether a participant stands in the book with resting bids: no lag, a curve that only falls."""
    plain = type(member).react is Participant.react
    return plain and member.lag == 0 and slope_signs(member, market) == {-1}


def _outside(
    market: Market, events: list[News | Sale], time: Array, paths: int, seed: int, noise: Any
) -> tuple[Array, Array]:
    """Return what comes from outside: a record of the value with the move of step k in row k + 1, and coins.

    The first is (steps + 1, paths), in log falls; the second (steps,).
    """
    steps, dt = len(time) - 1, float(time[1])
    value, coins = np.zeros((steps + 1, paths)), np.zeros(steps)
    moves = value[1:]
    _make_noise(moves, market, dt, seed, noise)
    for event in events:
        # Rounding of k dt must not push an event into the step before or after.
        k = int(min(event.at / dt + 1e-9, steps))
        if k >= steps:
            raise ValueError(f"at (hours) must lie before the end of the run, {time[-1]:g}, got {event.at!r}")
        if isinstance(event, News):
            moves[k] -= event.change
        elif event.over < dt:
            coins[k] += event.coins
        else:
            coins += np.diff(event.coins * np.clip((time - event.at) / event.over, 0.0, 1.0))
    return value, coins


def _make_noise(moves: Array, market: Market, dt: float, seed: int, noise: Any) -> None:
    """Fill the moves (steps, paths) with the noise of each step, as log falls of value."""
    steps, paths = moves.shape
    scale = -market.volatility * np.sqrt(dt / HOURS_PER_YEAR)
    if noise is not None:
        noise = array("noise", "standard normal draws", noise)
        if noise.shape != moves.shape:
            raise ValueError(f"noise (draws) must have shape {moves.shape}, got {noise.shape}")
        if not scale:
            raise ValueError("noise (draws) has no effect in a market whose volatility is 0.0 per year")
        np.multiply(noise, scale, out=moves)
    elif scale:
        # Drawn path after path, so that path j does not depend on how many there are; in blocks, so that
        # turning them into rows stays within the cache. SFC64 is numpy's fastest source of normal draws.
        draws = np.random.Generator(np.random.SFC64(seed))
        buffer = np.empty((64, steps))
        for j in range(0, paths, 64):
            block = buffer[: min(64, paths - j)]
            draws.standard_normal(out=block)
            np.multiply(block.T, scale, out=moves[:, j : j + 64])


def _watched(steps: int) -> Iterator[int]:
    """Count the steps, behind a progress bar if they will take long and nobody builds a page."""
    begin = clock.perf_counter()
    for k in range(steps):
        yield k
        if (passed := clock.perf_counter() - begin) > 0.1 * PATIENCE:
            break
    # Asked once: where no bar can be shown, asking again at every step would cost more than the step.
    done = k + 1
    bar = _bar(steps, done) if passed / done * steps > PATIENCE else None
    for k in range(done, steps):
        yield k
        if bar is not None:
            bar.update()
    if bar is not None:
        bar.close()


def _bar(steps: int, done: int) -> Any:
    """Return a progress bar, or None where tqdm is missing or a static page is being built."""
    if is_static():
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=steps, initial=done, unit="step", leave=False)
