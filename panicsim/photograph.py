"""The photograph: where a shock ends, by which rounds, and how close the market is to tipping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from panicsim._check import Array, array, scalar
from panicsim.market import NO_FLOOR, Market
from panicsim.participants import SCAN, Participant, named, slope_signs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Two falls closer than this are the same fall.
TOLERANCE = 1e-12

MAX_ROUNDS = 1_000


@dataclass(frozen=True, eq=False)
class Cascade:
    """Where a shock ends and how it got there.

    Attributes
    ----------
    market : Market
    crowd : dict of participants by name
    shock : float
        Log fall from outside, s.
    fall : float
        Log fall at the end; infinite if there is no floor.
    rounds : array
        Log fall after each round. A round is one answer of the sellers to the fall so far; buyers answer
        inside it, and if they catch part of the shock itself, that is the first round.
    sold : dict of float
        Coins sold by each participant at the end.
    diverged : bool
        True if no price is low enough to stop the selling.
    """

    market: Market
    crowd: Mapping[str, Participant]
    shock: float
    fall: float
    rounds: Array
    sold: Mapping[str, float]
    diverged: bool

    @property
    def price(self) -> float:
        """Price at the end, USD per coin."""
        return float(self.market.price_at(self.fall))

    @property
    def amplification(self) -> float:
        """Fall at the end over the shock; NaN without a shock."""
        return self.fall / self.shock if self.shock else float("nan")

    @property
    def gain(self) -> float:
        """Share of the fall that the crowd made, (x - s)/x, which is the gain averaged over the way down."""
        if self.diverged:
            return 1.0
        return (self.fall - self.shock) / self.fall if self.fall else float("nan")

    def plot(self, deepest: float | None = None, rounds: int | None = None) -> Figure:
        """Draw the staircase and the price ladder beside it; `deepest` and `rounds` end the axes."""
        from panicsim.plots import plot_cascade

        return plot_cascade(self, deepest, rounds)


@dataclass(frozen=True, eq=False)
class Gain(Mapping[str, Any]):
    """Loop gain at a fall, in all and by participant: a mapping from names to gains.

    Attributes
    ----------
    total : float or array
        Sum of the parts, in the shape of `fall`.
    parts : dict
        Gain of each participant.
    fall, step : float or array
        Where the gain was taken, and the bin over which it was taken (log falls).
    """

    total: Any
    parts: Mapping[str, Any]
    fall: Any
    step: float

    def __getitem__(self, name: str) -> Any:
        return self.parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def plot(self) -> Figure:
        """Draw the gain ledger: who adds to the loop, who takes from it, and the sum."""
        from panicsim.plots import plot_gain

        return plot_gain(self)


def cascade(market: Market, crowd: Iterable[Participant], shock: float) -> Cascade:
    """Find where a shock ends if nobody comes in time: recovery and lags play no part.

    Parameters
    ----------
    market : Market
    crowd : iterable of Participant
        May be empty: a market without feedback.
    shock : float
        Log fall from outside, s, not negative.

    Returns
    -------
    Cascade

    Notes
    -----
    The end is the first fall x at which V(x) - F(x) >= V(s), with V the coins that the book absorbs and F
    the coins that the crowd sells (chapters 1 and 6). The rounds reach it from below: given the coins Q
    of those whose curves rise, the buyers (curves that fall) answer at once, V(x) + B(x) = V(s) + Q, and
    then Q = R(x). A curve that does both is split by the sign of its slope.
    """
    shock = scalar("shock", "log fall", shock, at_least=0)
    people = named(crowd, market)
    selling, buying = _split(people, market)
    hit = float(market.absorbed(shock))
    fall = _first_crossing(market, selling, buying, hit)
    diverged = not np.isfinite(fall)
    rounds = _rounds(market, selling, buying, shock)
    if len(rounds) >= MAX_ROUNDS and not diverged:
        rounds = np.append(rounds, fall)  # the long tail of a nearly critical loop
    # At an infinite fall the curves are read where the price is zero for every purpose.
    deepest = min(fall, NO_FLOOR)
    return Cascade(
        market,
        people,
        shock,
        fall,
        rounds,
        {name: float(p.sold_by(np.array(deepest), market)) for name, p in people.items()},
        diverged,
    )


def loop_gain(market: Market, crowd: Iterable[Participant], fall: Any = 0.0, step: float = 0.01) -> Gain:
    """Measure the loop gain: coins sold over the next `step` of fall over the coins the book absorbs there.

    Parameters
    ----------
    market : Market
    crowd : iterable of Participant
    fall : float or array
        Log fall(s) at which to measure. The gain is local: look at its profile.
    step : float
        Bin of log fall. For discrete positions it must be wider than their spacing.

    Returns
    -------
    Gain

    Notes
    -----
    g = (F(x + h) - F(x)) / (V(x + h) - V(x)); gains of participants add (chapter 1).
    """
    fall = array("fall", "log fall", fall)
    step = scalar("step", "log fall", step, above=0)
    taken = market.absorbed(fall + step) - market.absorbed(fall)
    if not np.all(taken > 0):
        raise ValueError(f"step (log fall) must be wide enough to be told from {fall!r}, got {step!r}")
    parts = {}
    for name, member in named(crowd, market).items():
        gain = (member.sold_by(fall + step, market) - member.sold_by(fall, market)) / taken
        parts[name] = float(gain) if fall.ndim == 0 else gain
    zero = 0.0 if fall.ndim == 0 else np.zeros(fall.shape)
    return Gain(sum(parts.values(), zero), parts, fall if fall.ndim else float(fall), step)


def tipping_shock(
    market: Market,
    crowd: Iterable[Participant],
    jump: float = 0.01,
    fall: float = 0.0,
    worst: float | None = None,
) -> float:
    """Find the smallest shock at which the end of the cascade jumps by more than `jump`.

    Parameters
    ----------
    market : Market
    crowd : iterable of Participant
    jump : float
        Log fall by which the end must jump.
    fall, worst : float
        Where the price stands (log fall from P0), and the worst that it has seen, by default the same. Those
        who sell one way are done down to there.

    Returns
    -------
    float
        Log fall from where the price stands; infinite if the end never jumps that far, 0 if the smallest
        shock is enough.

    Notes
    -----
    A shock s ends at the first x with h(x) = V(x) - F(x) >= V(s). Where h stays below its running
    maximum the end jumps over the dip, so s* is the height of the maximum before the first wide dip.
    """
    jump = scalar("jump", "log fall", jump, above=0)
    people = list(named(crowd, market).values())
    fall = scalar("fall", "log fall", fall, at_least=-50, at_most=50)
    worst = fall if worst is None else scalar("worst", "log fall", worst, at_least=fall, at_most=NO_FLOOR)
    for member in people:  # a curve that is no number somewhere would pass for a threshold
        slope_signs(member, market)
    here = float(market.absorbed(fall))

    def height(x: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            sold = (from_here(p, market, fall, worst, x) for p in people)
            return market.absorbed(fall + x) - here - sum(sold, 0.0)

    # A fine grid where thresholds live, a coarse one below to tell a wide dip from no floor.
    falls = np.concatenate([np.arange(0.0, 5.0, 1e-5), np.geomspace(5.0, NO_FLOOR, 20_000)])
    high = height(falls)
    peak = np.maximum.accumulate(high)
    record = np.flatnonzero(np.concatenate([[True], high[1:] > peak[:-1]]))
    ends = np.append(falls[record[1:]], np.inf if record[-1] < len(falls) - 1 else NO_FLOOR)
    widths = ends - falls[record]
    spacing = np.append(np.diff(falls), 0.0)[record]
    jumps = np.flatnonzero(widths - spacing > jump)
    if not jumps.size:
        return float("inf")
    best = _top_near(height, falls, record[jumps[0]])
    shock = max(float(market.fall_at(here + best)) - fall, 0.0)
    if shock >= NO_FLOOR:
        return float("inf")
    return shock if shock > TOLERANCE else 0.0


def from_here(member: Participant, market: Market, fall: float, worst: float, further: Array) -> Array:
    """Coins that a member sells in a further log fall (any shape), from where the price stands."""
    if not member.one_way:
        return member.sold_by(fall + further, market) - member.sold_by(np.array(fall), market)
    return member.sold_by(np.maximum(fall + further, worst), market) - member.sold_by(np.array(worst), market)


def _top_near(height: Callable[[Array], Array], falls: Array, i: int) -> float:
    """Maximum of `height` around grid point i."""
    low, high = falls[max(i - 1, 0)], falls[min(i + 1, len(falls) - 1)]
    best = float(height(falls[i : i + 1])[0])
    for _ in range(6):
        x = np.linspace(low, high, 129)
        h = height(x)
        k = int(np.argmax(h))
        best = max(best, float(h[k]))
        low, high = x[max(k - 1, 0)], x[min(k + 1, len(x) - 1)]
    return best


def round_map(photo: Cascade, fall: Any) -> Array:
    """Log fall after the next round, when the log fall so far has been `fall` (any shape, same shape out)."""
    market = photo.market
    fall = array("fall", "log fall", fall, at_least=0)
    selling, buying = _split(photo.crowd, market)
    needed = float(market.absorbed(photo.shock)) + selling(fall)
    # Without buyers the book alone answers; with them, V + B is inverted on a fine table.
    table = np.linspace(0.0, float(np.max(market.fall_at(needed), initial=1e-6)), 20_001)
    bought = buying(table)
    if not bought.any():
        return np.asarray(market.fall_at(needed))
    return np.interp(needed, market.absorbed(table) + bought, table)


Curve = Callable[[Array], Array]


def _split(people: Mapping[str, Participant], market: Market) -> tuple[Curve, Curve]:
    """Return R and B, both rising from 0: coins sold by the curves that rise, bought by those that fall."""
    up: list[Participant] = []
    down: list[Participant] = []
    mixed: list[Participant] = []
    for member in people.values():
        slopes = slope_signs(member, market)
        (mixed if slopes == {-1, 1} else down if -1 in slopes else up).append(member)
    rises = [_rise(member, market) for member in mixed]

    def selling(x: Array) -> Array:
        return sum((m.sold_by(x, market) for m in up), np.zeros(x.shape)) + sum(rise(x) for rise in rises)

    def buying(x: Array) -> Array:
        return -sum((m.sold_by(x, market) for m in down), np.zeros(x.shape)) + sum(
            rise(x) - m.sold_by(x, market) for rise, m in zip(rises, mixed, strict=True)
        )

    return selling, buying


def _rise(member: Participant, market: Market) -> Curve:
    """Return the coins that a curve has sold on its rising stretches alone, down to a fall.

    Within a cell of the scan a curve goes one way, by a slope or by a step: what it has gained there is
    told by the curve itself, so that a step stays a step.
    """
    nodes = member.sold_by(SCAN, market)
    until = np.concatenate([[0.0], np.cumsum(np.maximum(np.diff(nodes), 0.0))])

    def rise(x: Array) -> Array:
        i = np.searchsorted(SCAN, x, side="right") - 1
        return until[i] + np.maximum(member.sold_by(x, market) - nodes[i], 0.0)

    return rise


def _first_crossing(market: Market, selling: Curve, buying: Curve, hit: float) -> float:
    """Return the first fall x with V(x) + B(x) - R(x) >= hit, to TOLERANCE; infinite if there is none.

    V, R and B rise, so on a stretch from a to b the left side is at most V(b) + B(b) - R(a): where that
    is below `hit`, the stretch holds no crossing. Only the other stretches are looked at more closely,
    from the left. So steps of any height and near misses of any kind are told apart exactly.
    """
    ends = [0.0, 0.25, *np.geomspace(1.0, NO_FLOOR, 12)]
    stretches = [(low, high, 256) for low, high in pairwise(ends)][::-1]
    while stretches:
        low, high, cells = stretches.pop()
        x = np.linspace(low, high, cells + 1)
        with np.errstate(over="ignore", invalid="ignore"):
            sold, taken = selling(x), market.absorbed(x) + buying(x)
            maybe = ~(taken[1:] - sold[:-1] < hit)
            crossed = taken - sold >= hit
        if crossed[0]:
            return float(low)
        if not maybe.any():
            continue
        i = int(np.argmax(maybe))
        stop = maybe[i:] & ~crossed[i + 1 :]
        j = i + int(np.argmin(stop)) if not stop.all() else cells - 1
        if high - low <= TOLERANCE * high or cells > 1_000_000:
            return _bisect(lambda y: market.absorbed(y) + buying(y) - selling(y), hit, x[i], x[j + 1])
        if not crossed[j + 1] and j + 1 < cells:
            stretches.append((x[j + 1], high, cells))
        # Where the loop is nearly critical a stretch barely shrinks: then it is cut finer.
        finer = 256 if (x[j + 1] - x[i]) * 4 <= high - low else cells * 4
        stretches.append((x[i], x[j + 1], finer))
    return float("inf")


def _bisect(height: Curve, hit: float, low: float, high: float) -> float:
    """Return where a rising curve passes `hit` between two falls, or the upper one if it does not."""
    for _ in range(12):
        x = np.linspace(low, high, 65)
        passed = height(x) >= hit
        if not passed.any():
            return float(high)
        k = int(np.argmax(passed))
        if k == 0:
            return float(low)
        low, high = x[k - 1], x[k]
    return float(high)


def _rounds(market: Market, selling: Curve, buying: Curve, shock: float) -> Array:
    """Return the log fall after each round, from the shock down to where it ends."""
    hit = float(market.absorbed(shock))

    def answer(sold: float, above: float) -> float:
        """Where the price stands once `sold` coins are forced out and the buyers have answered."""
        below = float(market.fall_at(hit + sold))
        if buying(np.array([below]))[0] <= 0:
            return below
        return _bisect(lambda x: market.absorbed(x) + buying(x), hit + sold, above, below)

    fall = answer(0.0, 0.0)
    rounds = [fall] if shock - fall > TOLERANCE * shock else []
    while len(rounds) < MAX_ROUNDS and fall < NO_FLOOR:
        sold = float(selling(np.array([fall]))[0])
        after = min(answer(sold, fall), NO_FLOOR)
        if after - fall <= TOLERANCE * after:
            break
        rounds.append(after)
        fall = after
    return np.array(rounds)
