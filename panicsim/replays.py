"""Replays: crashes put through the model, prediction beside record, successes and failures alike.

Three sorts, printed with the same weight (chapter 18). *Honest*: pools, whose balances are the price, and
accounts, which only add up. *Error bar*: how much open interest closes, given the fall. *Counter-example*:
how far the price falls with the loop closed; near a gain of 1 the answer is a cliff. One rule serves all
twelve falls of bitcoin: nothing is tuned to an episode.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, array, broadcast, listed, scalar
from panicsim.market import Market
from panicsim.options import normal_cdf
from panicsim.participants import Participant
from panicsim.photograph import cascade, loop_gain
from panicsim.pools import StableSwap

SORTS = {
    "honest": "Honest. Balances and rules go in, the record comes out; nothing is fitted to an episode.",
    "error bar": "Honest with an error bar. How much open interest closes, given the fall. Without the"
    " model: dollars shrink with the price, and nobody closes.",
    "counter-example": "Counter-example. How far the price falls is not predicted. Without the model: it"
    " stays where it was before the worst hour.",
}
BASES = {
    "read": "printed in the source",
    "computed": "ours, from public daily or hourly series",
    "interpolated": "between published figures",
    "scaled": "a published figure times a guessed factor",
    "assumed": "a convention of the model",
    "fitted": "one number for all episodes, or for all the others",
    "check": "not confirmed",
    "guess": "nobody's number, ours",
}

# --- The common rule ---

# Effective leverage is lognormal, through one venue's mix of December 2025 (chapter 6, "Back to the data").
MEDIAN_LEVERAGE, SPREAD = 3.72, 0.615
MAINTENANCE = 0.005
# Share of what the map liquidates that is really closed: the median of the twelve, to two digits.
PHI = 0.43
# Dollars sold per dollar on the map, over the share of depth that stays: all of it, or half.
KAPPA = {"depth as it was": PHI, "depth halved": PHI / 0.5}


def liquidated_share(fall: Any, coin_margined: Any = 0.0) -> Any:
    """Share of the longs on the map whose liquidation price is touched.

    Parameters
    ----------
    fall : float or array
        Log fall; nothing is touched above P0.
    coin_margined : float or array
        Share of the longs whose margin is coins, between 0 and 1; it broadcasts against `fall`.

    Returns
    -------
    float or array

    Notes
    -----
    A long with margin in dollars is touched from a leverage of 1/(1 - e^-x (1 - m)) on, one with margin in
    coins from 1/(e^x (1 + m) - 1) on. Leverage is lognormal, and never so high that a long is touched before
    any fall (chapter 6, "The staircase").
    """
    fall = np.maximum(array("fall", "log", fall), 0.0)
    coin_margined = array("coin_margined", "share of longs", coin_margined, at_least=0, at_most=1)
    broadcast(fall=fall, coin_margined=coin_margined)
    with np.errstate(over="ignore"):  # the price may be zero for every purpose
        usd = _beyond(-np.expm1(-fall) * (1.0 - MAINTENANCE) + MAINTENANCE)
        coin = _beyond(np.expm1(fall) * (1.0 + MAINTENANCE) + MAINTENANCE)
    share = np.where(fall > 0, (1.0 - coin_margined) * usd + coin_margined * coin, 0.0)
    return float(share) if np.ndim(share) == 0 else share


def _beyond(cushion: Array) -> Array:
    """Share of longs whose leverage lies between 1/cushion and 1/m."""
    most, least = (np.log(MEDIAN_LEVERAGE * c) / SPREAD for c in (cushion, MAINTENANCE))
    tail = normal_cdf(least)
    return (normal_cdf(most) - tail) / (1.0 - tail)


@dataclass(frozen=True)
class OpenInterest(Participant):
    """The longs of the common rule, as a supply curve.

    Parameters
    ----------
    usd : float
        Open interest at P0, USD. All of it is taken to be longs.
    coin_margined : float
        Share of it whose margin is coins.
    share : float
        Coins sold for each coin that the map liquidates. 1 is the whole map; kappa = phi/c counts that only
        phi is closed, and that a share c of depth is left to take it.
    lag : float
        Reaction time in hours.
    name : str, optional

    Notes
    -----
    F(x) = share x usd/P0 x `liquidated_share` (chapter 18).
    """

    usd: float
    coin_margined: float = 0.0
    share: float = 1.0
    lag: float = 1 / 60
    name: str | None = None
    one_way = True

    def __post_init__(self) -> None:
        self._check_common()
        put = object.__setattr__
        put(self, "usd", scalar("usd", "USD", self.usd, at_least=0))
        one = scalar("coin_margined", "share of longs", self.coin_margined, at_least=0, at_most=1)
        put(self, "coin_margined", one)
        put(self, "share", scalar("share", "coins sold per coin on the map", self.share, at_least=0))

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins sold once the log fall has been `fall` (any shape in, same shape out)."""
        return self.share * self.usd / market.price * liquidated_share(fall, self.coin_margined)


def closed_interest(fall: Any, coin_margined: Any = 0.0, phi: float = PHI) -> Any:
    """Share of open interest that closes, given the log fall: phi x `liquidated_share`."""
    return scalar("phi", "share of the map", phi, at_least=0) * liquidated_share(fall, coin_margined)


def fit_phi(fall: Any, coin_margined: Any, closed: Any) -> float:
    """Fit the share of the map that is really closed: the median over episodes.

    Parameters
    ----------
    fall : array (episodes,)
        Log falls.
    coin_margined : array (episodes,)
        Share of the longs whose margin is coins.
    closed : array (episodes,)
        Recorded drop of open interest, as a share of it.
    """
    fall = array("fall", "log", fall, above=0)
    closed = array("closed", "share of open interest", closed, at_least=0, at_most=1)
    if not closed.size:
        raise ValueError("closed (share of open interest) must hold an episode, got none")
    return float(np.median(closed / liquidated_share(fall, coin_margined)))


def leave_one_out(fall: Any, coin_margined: Any, closed: Any) -> Array:
    """Fit phi for each episode to all the others; arguments as in `fit_phi`, two episodes or more."""
    rows = broadcast(
        fall=array("fall", "log", fall),
        coin_margined=array("coin_margined", "share of longs", coin_margined),
        closed=array("closed", "share of open interest", closed),
    )
    if rows[0].ndim != 1 or len(rows[0]) < 2:
        raise ValueError(
            f"closed (share of open interest) must hold two episodes or more, got shape {rows[0].shape}"
        )
    return np.array([fit_phi(*(np.delete(row, i) for row in rows)) for i in range(len(rows[0]))])


def predicted_fall(
    shock: float, interest: float, depth: float, coin_margined: float = 0.0, kappa: float = PHI
) -> float:
    """Log fall at the end of the loop: the first x = s + kappa OI F(x)/(100 D), by `cascade`.

    Parameters
    ----------
    shock : float
        Log fall before the worst hour, s. It is read off the price itself, so it is no news from outside.
    interest : float
        Open interest before the fall, USD.
    depth : float
        USD of market selling per 1 %, all venues.
    coin_margined : float
        Share of the longs whose margin is coins.
    kappa : float
        Coins sold for each coin that the map liquidates, over the share of depth that stays.

    Returns
    -------
    float
        Infinite if there is no floor.
    """
    return cascade(Market(depth=depth), [OpenInterest(interest, coin_margined, kappa)], shock).fall


def gain_peak(interest: float, depth: float, coin_margined: float = 0.0, kappa: float = PHI) -> float:
    """Largest loop gain on the map of an episode; arguments as in `predicted_fall`."""
    crowd = [OpenInterest(interest, coin_margined, kappa)]
    return float(loop_gain(Market(depth=depth), crowd, np.arange(0.0, 1.0, 1e-3), 1e-3).total.max())


# --- What goes in and what comes out ---


@dataclass(frozen=True)
class Input:
    """One number that a replay was given, and what it stands on (a word of `BASES`)."""

    name: str
    value: float
    unit: str
    basis: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", scalar("value", self.unit or "number", self.value))
        if self.basis not in BASES:
            raise ValueError(f"basis (a word) must be one of {', '.join(BASES)}, got {self.basis!r}")

    def __str__(self) -> str:
        return f"{self.name} {_plain(self.value)} {self.unit}".rstrip() + f" [{self.basis}]"


@dataclass(frozen=True)
class Replay:
    """One quantity of one episode: what the model says and what the record says.

    Attributes
    ----------
    episode, quantity, unit : str
    sort : str
        A word of `SORTS`.
    predicted : float
        Infinite where the model finds no floor.
    recorded : float or None
        None where nobody could measure it, as with a gain.
    naive : float or None
        What one says without the model: that the price stays where it was before the worst hour; that open
        interest in dollars shrinks with the price, and nobody closes.
    inputs : tuple of Input
    sources : tuple of str
        Keys of the book's bibliography.
    note : str
    """

    episode: str
    sort: str
    quantity: str
    unit: str
    predicted: float
    recorded: float | None
    inputs: tuple[Input, ...]
    sources: tuple[str, ...] = ()
    naive: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.sort not in SORTS:
            raise ValueError(f"sort (a word) must be one of {', '.join(SORTS)}, got {self.sort!r}")
        # A fall may be infinite: then the model finds no floor.
        if self.predicted != np.inf:
            scalar("predicted", self.unit or "number", self.predicted, at_least=0)
        for name, value in (("recorded", self.recorded), ("naive", self.naive)):
            if value is not None:
                scalar(name, self.unit or "number", value, above=0)

    @property
    def ratio(self) -> float:
        """Predicted over recorded; NaN without a record."""
        return float("nan") if self.recorded is None else self.predicted / self.recorded


@dataclass(frozen=True)
class ReplayTable:
    """Replays in the order of their sorts. It prints as text, and as three HTML tables of one make."""

    rows: tuple[Replay, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(listed("rows", "replays", self.rows, Replay)))

    def __iter__(self) -> Iterator[Replay]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, sort: str | None = None, quantity: str | None = None) -> ReplayTable:
        """Return the rows of a sort, of a quantity, or of both."""
        hits = [r for r in self.rows if sort in (None, r.sort) and quantity in (None, r.quantity)]
        if not hits:
            raise ValueError(f"sort, quantity (words) must match a row, got {sort!r} and {quantity!r}")
        return ReplayTable(tuple(hits))

    @property
    def quantities(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.quantity for row in self.rows))

    def factor(self, naive: bool = False) -> float:
        """Median factor by which the predictions (or the naive answers) of these rows miss, 1 or more."""
        given = [
            (r.naive if naive else r.predicted, r.recorded)
            for r in self.rows
            if r.recorded is not None and not (naive and r.naive is None)
        ]
        if not given:
            return float("nan")
        predicted, recorded = np.array(given, dtype=float).T
        return float(np.exp(np.median(np.abs(np.log(predicted / recorded)))))

    def verdict(self) -> list[str]:
        """One line on each quantity with three records or more: how far off, and how far without a model.

        For falls it adds the rank correlation of what the model and the record add to the shock.
        """
        lines = []
        for quantity in self.quantities:
            rows = [row for row in self.of(quantity=quantity) if row.recorded is not None]
            if len(rows) < 3:
                continue
            known = ReplayTable(tuple(rows))
            line = f"{quantity}: wrong by a factor of {known.factor():.2f} in the middle"
            if np.isfinite(bare := known.factor(naive=True)):
                line += f"; without the model {bare:.2f}"
            lines.append(line)
            if quantity.startswith("fall") and np.isfinite(bare):
                # Where there is no floor, the rank is all that counts.
                shocks = [(r, r.naive, r.recorded) for r in rows if r.naive and r.recorded]
                added = [(min(r.predicted, 1e9) - shock, fall - shock) for r, shock, fall in shocks]
                if len(added) < 3:
                    continue
                ranks, error = rank_correlation(*zip(*added, strict=True)), (len(added) - 1) ** -0.5
                lines.append(
                    f"  rank correlation of the rest of the fall: {ranks:.2f}, two errors {2 * error:.2f}"
                )
        return lines

    def _groups(self) -> Iterator[tuple[str, ReplayTable]]:
        present = {row.sort for row in self.rows}
        return ((words, self.of(sort)) for sort, words in SORTS.items() if sort in present)

    def __repr__(self) -> str:
        heads = ("episode", "quantity", "predicted", "recorded", "ratio", "naive")
        lines = []
        for words, group in self._groups():
            cells = [heads, *(_cells(row) for row in group)]
            widths = [max(len(c[i]) for c in cells) for i in range(len(heads))]
            lines += ["", words, ""]
            for c in cells:
                left = [v.ljust(w) for v, w in zip(c[:2], widths[:2], strict=True)]
                right = [v.rjust(w) for v, w in zip(c[2:], widths[2:], strict=True)]
                lines.append("  ".join([*left, *right]))
            lines += ["", *group.verdict()] if group.verdict() else []
        return "\n".join(lines).strip()

    def _repr_html_(self) -> str:
        heads = ("Episode", "Quantity", "Predicted", "Recorded", "Ratio", "Without the model")
        head = "".join(f'<th scope="col" style="{_CELL}">{h}</th>' for h in heads)
        parts = []
        for words, group in self._groups():
            rows, given = "", ""
            for row in group:
                first, *rest = (html.escape(c) for c in _cells(row))
                cells = "".join(f'<td style="{_CELL}">{c}</td>' for c in rest)
                rows += f'<tr><th scope="row" style="{_CELL};font-weight:normal">{first}</th>{cells}</tr>'
                inputs = html.escape(". ".join(filter(None, ("; ".join(map(str, row.inputs)), row.note))))
                given += f"<li>{first}, {rest[0]}: {inputs}</li>"
            verdict = "<br>".join(html.escape(line) for line in group.verdict())
            # A phone scrolls the table, not the page; whoever has no mouse must reach it, too.
            parts.append(
                f"<p><strong>{html.escape(words)}</strong></p>"
                f'<div role="region" aria-label="{html.escape(words)}" tabindex="0" style="overflow-x:auto">'
                f'<table style="font-size:0.9em"><thead><tr>{head}</tr></thead>'
                f"<tbody>{rows}</tbody></table></div>"
                f"<p>{verdict}</p><details><summary>What went in</summary><ul>{given}</ul></details>"
            )
        used = dict.fromkeys(i.basis for row in self.rows for i in row.inputs)
        legend = "; ".join(f"[{basis}] {words}" for basis, words in BASES.items() if basis in used)
        return "".join(parts) + f"<p>{html.escape(legend)}.</p>"


# Layout alone: colours are those of the page.
_CELL = "text-align:left;padding:0.15em 0.7em 0.15em 0"


def _plain(value: float) -> str:
    """Three digits; thousands are grouped."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"


def _cells(row: Replay) -> tuple[str, ...]:
    """Texts of a row, with a dash for what there is not."""
    numbers = [
        "–" if v is None else f"{_plain(v)} {row.unit}".rstrip()
        for v in (row.predicted, row.recorded, row.naive)
    ]
    ratio = "–" if row.recorded is None else f"{row.ratio:.2f}"
    return row.episode, row.quantity, *numbers[:2], ratio, numbers[2]


# --- Honest: pools ---

AMPLIFICATION = Input("A", 50, "", "check")
# stETH and ether in the pool, the reported price, and where both stand.
_STETH: tuple[tuple[str, float, float, float, tuple[str, ...], str], ...] = (
    ("stETH 2022-05-12", 68.3, 31.7, 0.98, ("defiant2022steth",), ""),
    ("stETH 2022-06-01 to 07", 1.0, 0.45, 0.98, ("nansen2022steth",), ""),
    ("stETH 2022-06-10", 76.0, 24.0, 0.96, ("gateio2022steth",), "No hour is given, and two digits"),
    ("stETH 2022-06-10 21:00", 80.0, 20.0, 0.9474, ("cryptobriefing2022steth",), ""),
    ("stETH 2022-06-13", 75.0, 25.0, 1 / 1.0288, ("chubk2022steth",), "The roundest balances"),
    ("stETH 2022-06-17", 491_000, 111_300, 0.94, ("forklog2022steth",), "Reported: more than 6 %"),
    ("stETH 2022-09-07", 524_839.79, 159_447.08, 0.9606, ("coincodex2022steth",), "Give or take a day"),
)


def _pools() -> Iterator[Replay]:
    for episode, steth, ether, price, sources, note in _STETH:
        predicted = 1.0 - StableSwap((steth, ether), AMPLIFICATION.value).price()
        held = (Input("stETH", steth, "", "read"), Input("ether", ether, "", "read"), AMPLIFICATION)
        yield Replay(
            episode, "honest", "discount", "%", 100 * predicted, 100 * (1 - price), held, sources, note=note
        )
    share = (73.79, 13.16, 13.05)
    coins = (Input(n, v, "%", "read") for n, v in zip(("USDT", "USDC", "DAI"), share, strict=True))
    amplification = Input("A", 2000, "", "check")
    predicted = 1.0 - StableSwap(share, amplification.value).price()
    yield Replay(
        *("USDT 2023-06-15", "honest", "discount", "%", 100 * predicted, 100 * (1 - 0.997)),
        (*coins, amplification),
        ("cryptotimes2023usdt", "cryplogger2023usdt"),
    )


# --- Honest: accounts, and the gain of 1987 ---


def _accounts() -> Iterator[Replay]:
    rise = Input("rise of the index of futures", 96.1, "%", "read")
    for fund, lost in (("XIV", 96.0), ("SVXY", 96.1)):
        yield Replay(
            *(f"{fund} 2018-02-05", "honest", "net asset value lost", "%", rise.value, lost, (rise,)),
            ("prweb2018", "etfcom2018xiv"),
            note="With weight -1 the loss is the rise",
        )
    before = Input("assets before", 1900, "million USD", "read")
    yield Replay(
        *("XIV 2018-02-05", "honest", "assets left", "million USD"),
        before.value * (1 - rise.value / 100),
        63.0,
        (before, rise),
        ("prweb2018", "etfcom2018xiv"),
        note="3.9 % of a rounded figure: a tenth of a point of the rise is 3 %",
    )
    free = Input("collateral won with bids of zero", 8.32, "million USD", "read")
    yield Replay(
        *("Maker 2020-03-12", "honest", "debt without cover", "million USD", 2 / 3 * free.value, 5.67),
        (free, Input("debt per dollar of collateral at the threshold", 2 / 3, "", "read")),
        ("whiterabbit2020", "schmidt2020"),
        note="Takes every loan at its threshold; a later tally of the hole is 6.65",
    )
    hole, surplus = Input("hole", 5.67, "million DAI", "read"), Input("surplus", 0.5, "million DAI", "read")
    yield Replay(
        *("Maker 2020-03", "honest", "raised for it", "million DAI", hole.value - surplus.value, 5.3),
        (hole, surplus),
        ("whiterabbit2020", "ledgerlife2020", "smithcrown2020"),
    )


def invariance_impact(volume: float, volatility: float) -> float:
    """Log impact of selling 1 % of a day's volume, by the fit of Kyle & Obizhaeva (2023).

    Parameters
    ----------
    volume : float
        USD a day, in dollars of 2001 to 2005.
    volatility : float
        Standard deviation of a day's log return.
    """
    volume = scalar("volume", "USD per day", volume, above=0)
    volatility = scalar("volatility", "per day", volatility, above=0)
    return 5e-4 * (volume / 40e6) ** (1 / 3) * (volatility / 0.02) ** (4 / 3)


# Closes of the Dow on Tuesday 13, Friday 16 and Monday 19 October 1987.
_DOW = (2508.16, 2246.73, 1738.74)
_IN_1987 = (
    Input("volume", 20.57, "billion USD a day", "read"),
    Input("dollars of 2001-05 per dollar", 1.54, "", "read"),
    Input("volatility", 1.395, "% a day", "computed"),
)
_SOURCES_1987 = ("hull2023", "brady1988", "williamson2019", "kyleobizhaeva2012", "kyleobizhaeva2023")


def _depth_1987(volatility: float = _IN_1987[2].value) -> float:
    """Billion USD per 1 % of log fall, by the invariance formula, at a volatility in % a day."""
    volume, deflator = (given.value for given in _IN_1987[:2])
    return 0.01 * volume / (100 * invariance_impact(1e9 * volume * deflator, volatility / 100))


def _year_1987() -> tuple[Replay, Replay]:
    week, monday = 100 * -np.diff(np.log(_DOW))
    wanted = Input("sales called for until Friday", 12, "billion USD", "read")
    sold = Input("sold on Monday", 6, "billion USD", "read")
    lost = Input("fall from Tuesday to Friday", float(week), "log %", "computed")
    calmer = wanted.value / week / _depth_1987(1.01)
    gain = Replay(
        *("1987-10-19", "honest", "loop gain", "", wanted.value / week / _depth_1987(), None),
        (wanted, lost, *_IN_1987),
        _SOURCES_1987,
        note=f"With the volatility of the year before, 1.01 %, it is {calmer:.2f}",
    )
    fall = Replay(
        *("1987-10-19", "counter-example", "fall, from what was sold", "log %"),
        sold.value / _depth_1987(),
        float(monday),
        (sold, *_IN_1987),
        _SOURCES_1987,
    )
    return gain, fall


# --- Twelve falls of bitcoin ---


@dataclass(frozen=True)
class Crash:
    """A fall of bitcoin as it stands on record.

    Attributes
    ----------
    day : str
    shock, fall : float
        Log falls in per cent: before the worst hour, and in all. They begin on or about the day named, not at
        the peak that `episodes` has; most falls there are larger.
    interest : float
        Open interest before the fall, billion USD.
    depth : float
        Million USD per 1 %, all venues.
    closed : float
        Drop of open interest in dollars, per cent.
    coin_margined : float
        Share of longs whose margin is coins, per cent.
    depth_basis, coin_basis : str
        What these two stand on; the others are computed from public daily and hourly series.
    sources : tuple of str
        Keys of the bibliography.
    """

    day: str
    shock: float
    fall: float
    interest: float
    depth: float
    closed: float
    coin_margined: float
    depth_basis: str = "scaled"
    coin_basis: str = "interpolated"
    sources: tuple[str, ...] = ("panews2025",)

    def __post_init__(self) -> None:
        for name, unit in (("shock", "log %"), ("fall", "log %"), ("interest", "billion USD")):
            scalar(name, unit, getattr(self, name), above=0)
        scalar("depth", "million USD per 1 %", self.depth, above=0)
        scalar("closed", "% of open interest", self.closed, above=0, at_most=100)
        scalar("coin_margined", "% of longs", self.coin_margined, at_least=0, at_most=100)

    def inputs(self) -> tuple[Input, ...]:
        """Return what the loop is given. The record of open interest is not among it."""
        return (
            Input("s", self.shock, "log %", "computed"),
            Input("open interest", self.interest, "billion USD", "computed"),
            Input("depth", self.depth, "million USD per 1 %", self.depth_basis),
            Input("margin in coins", self.coin_margined, "%", self.coin_basis),
        )


# All venues have 4.6 times the depth of spot books: one morning of October 2025, a guess for every fall.
CRASHES = (
    Crash("2020-03-12", 8.2, 72.8, 3.3, 74, 44, 85, "guess", "guess"),
    Crash("2021-05-19", 16.0, 41.2, 17.4, 498, 28, 58, "guess"),
    Crash("2022-05-09", 10.4, 26.9, 16.0, 539, 14, 40),
    Crash("2022-06-13", 18.1, 34.4, 14.5, 452, 18, 40),
    Crash("2022-11-08", 10.6, 28.2, 13.3, 295, 19, 35),
    Crash("2023-03-09", 4.6, 11.0, 9.9, 203, 8, 30),
    Crash("2023-08-17", 4.6, 14.8, 14.1, 267, 17, 25),
    Crash("2024-03-05", 7.5, 15.7, 32.0, 539, 2, 20),
    Crash("2024-04-13", 9.1, 17.0, 36.7, 507, 13, 18),
    Crash("2024-08-05", 14.8, 22.7, 31.2, 466, 15, 18),
    Crash("2025-02-25", 13.1, 20.5, 59.0, 922, 14, 15, "guess", "guess"),
    Crash("2025-10-10", 7.0, 17.8, 90.2, 876, 22, 15, "guess", "guess"),
)


def _column(crashes: Sequence[Crash], name: str, unit: float = 0.01) -> Array:
    return np.array([getattr(crash, name) for crash in crashes]) * unit


def _interest(crashes: Sequence[Crash]) -> Iterator[Replay]:
    falls, coins, closed = (_column(crashes, n) for n in ("fall", "coin_margined", "closed"))
    for crash, phi in zip(crashes, leave_one_out(falls, coins, closed), strict=True):
        predicted = closed_interest(crash.fall / 100, crash.coin_margined / 100, phi)
        yield Replay(
            *(f"BTC {crash.day}", "error bar", "open interest closed", "%", 100 * predicted, crash.closed),
            (
                Input("fall", crash.fall, "log %", "computed"),
                Input("margin in coins", crash.coin_margined, "%", crash.coin_basis),
                Input("phi of the other episodes", phi, "", "fitted"),
            ),
            crash.sources,
            naive=-100 * float(np.expm1(-crash.fall / 100)),
        )


def _falls(crashes: Sequence[Crash]) -> Iterator[Replay]:
    for words, kappa in KAPPA.items():
        for crash in crashes:
            given = 1e9 * crash.interest, 1e6 * crash.depth, crash.coin_margined / 100
            end = predicted_fall(crash.shock / 100, *given, kappa)
            yield Replay(
                *(f"BTC {crash.day}", "counter-example", f"fall, {words}", "log %", 100 * end, crash.fall),
                (*crash.inputs(), Input("kappa", kappa, "", "fitted" if kappa == PHI else "guess")),
                crash.sources,
                naive=crash.shock,
            )


def _year_2010() -> Replay:
    volume, scale = Input("volume", 293, "billion USD a day", "read"), Input("deflator", 1.1, "", "check")
    sigma, sold = Input("volatility", 1.07, "% a day", "read"), Input("sold", 1.49, "% of a day", "read")
    impact = invariance_impact(volume.value * 1e9 / scale.value, sigma.value / 100)
    return Replay(
        *("2010-05-06", "counter-example", "fall, from what was sold", "log %"),
        100 * sold.value * impact,
        5.12,
        (sold, volume, sigma, scale),
        ("kyleobizhaeva2023", "cftcsec2010"),
        note="Depth of the buyers' side fell below 1 % of the morning's; the formula has the usual day's",
    )


def table(crashes: Iterable[Crash] = CRASHES) -> ReplayTable:
    """Put every episode through the model once more.

    Parameters
    ----------
    crashes : iterable of Crash
        Falls for the common rule, two or more. A longer list is a better test; every one of them is used.

    Returns
    -------
    ReplayTable
        Rows of all three sorts. Quantities that could not be recomputed from what is known are not in it.
    """
    crashes = listed("crashes", "falls", crashes, Crash)
    if len(crashes) < 2:
        raise ValueError(f"crashes (falls) must be two or more, got {len(crashes)}")
    gain, fall = _year_1987()
    honest = (*_pools(), *_accounts(), gain)
    return ReplayTable((*honest, *_interest(crashes), *_falls(crashes), fall, _year_2010()))


def cliff(shock: Any = 0.07, depth_off: Any = 0.0, kappa: float = PHI) -> Any:
    """Predicted log fall of 2025-10-10 if the shock or the depth had been a little different.

    Parameters
    ----------
    shock : float or array
        Log fall before the worst hour, as in `predicted_fall`.
    depth_off : float or array
        Relative error of the depth, above -1; it broadcasts against `shock`.
    kappa : float
        As in `predicted_fall`.
    """
    shock = array("shock", "log", shock, at_least=0)
    depth_off = array("depth_off", "share of depth", depth_off, above=-1)
    shocks, off = broadcast(shock=shock, depth_off=depth_off)
    last = next(crash for crash in CRASHES if crash.day == "2025-10-10")
    given = 1e9 * last.interest, 1e6 * last.depth, last.coin_margined / 100
    ends = [
        predicted_fall(s, given[0], given[1] * (1 + o), given[2], kappa)
        for s, o in zip(shocks.flat, off.flat, strict=True)
    ]
    return np.reshape(ends, shocks.shape) if shocks.ndim else ends[0]


def rank_correlation(first: Any, second: Any) -> float:
    """Spearman's rank correlation of two rows of numbers; what is equal shares its rank."""
    rows = [array(n, "numbers", v) for n, v in (("first", first), ("second", second))]
    if rows[0].ndim != 1 or rows[0].shape != rows[1].shape or len(rows[0]) < 3:
        shapes = " and ".join(str(r.shape) for r in rows)
        raise ValueError(f"first, second must be two rows of one length, three or more, got shapes {shapes}")
    ranks = [(r[:, None] > r).sum(axis=1) + (r[:, None] == r).sum(axis=1) / 2 for r in rows]
    return float(np.corrcoef(*ranks)[0, 1])
