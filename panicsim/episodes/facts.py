"""Facts of the crashes: they stand in one file, `episodes.toml`, and are checked whenever it is read.

Every trough was chosen with hindsight: at the time nobody knew that it was one.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

FILE = Path(__file__).with_name("episodes.toml")

UNITS = (
    *("USD", "points", "ETH per stETH"),
    *("% fall", "% return", "%"),
    *("time", "seconds", "minutes", "hours", "days"),
    *("BTC", "stETH", "LUNA", "DAI", "MKR", "contracts", "accounts", "firms"),
    "text",
)
"""Units of a fact. Falls and returns are simple, not logarithmic, as the sources print them."""

BASES = {
    "read": "printed in the source",
    "recomputed": "computed from a series in a public package; a test computes it again",
    "computed": "our reading of a public series that is not shipped: it cannot be checked here",
    "arithmetic": "follows from other facts of the episode",
}

ACTED = {
    "fear": "holders ran (chapter 5)",
    "collateral": "pledged coins were sold by machines (chapters 6 and 7)",
    "hedging": "hedgers sold what fell (chapter 8)",
    "rebalancing": "a rule fixed the exposure (chapter 9)",
    "whale": "one large order was on its way (chapter 10)",
    "load": "a load was handed from one to the next (chapter 11)",
    "depth": "the order book emptied (chapters 2 and 4)",
    "catchers": "those who should have caught the sale were not there (chapter 12)",
    "mark": "a machine believed a wrong price (chapter 13)",
    "waterfall": "a loss went down a list of those who bear it (chapter 14)",
    "queue": "a door was shut, or narrow (chapter 15)",
    "pause": "trading stopped for a while (chapter 16)",
    "margins": "margins were raised in the fall (chapter 17)",
    "minting": "redemption made new coins (chapter 19)",
    "crowding": "many owned the same",
}
"""Parts of the loop that acted in an episode."""

OUTCOMES = ("came back", "partly back", "not back", "collapsed")

_BACKGROUND = ("name", "asset", "who", "trigger", "trigger_source", "mechanism", "after", "acted", "outcome")
_FACT = ("value", "unit", "what", "source", "basis")


@dataclass(frozen=True)
class Source:
    """Where a fact was read. `key` is its key in the bibliography of the book; `link` may be empty."""

    key: str
    author: str
    title: str
    year: str
    link: str = ""


@dataclass(frozen=True)
class Fact:
    """One fact of an episode.

    Attributes
    ----------
    name : str
    value : float, date, datetime (UTC) or str
    unit : str
        One of `UNITS`. Amounts are in whole units (8.6e9 USD).
    what : str
        What was measured.
    source : tuple of Source
    basis : str
        One of `BASES`: how we came by it.
    venue, note : str
        May be empty.
    """

    name: str
    value: Any
    unit: str
    what: str
    source: tuple[Source, ...]
    basis: str
    venue: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """Value and unit, as they are read."""
        if isinstance(self.value, datetime):
            return f"{self.value.day} {self.value:%B %Y, %H:%M} UTC"
        if isinstance(self.value, date):
            return f"{self.value.day} {self.value:%B %Y}"
        if isinstance(self.value, str):
            return self.value
        if self.unit == "% return":
            return f"{_plain(self.value, sign='+')} %"
        unit = "%" if self.unit == "% fall" else self.unit
        return f"{_plain(self.value)} {unit.removesuffix('s') if self.value == 1 else unit}"


@dataclass(frozen=True)
class Episode:
    """One crash.

    Attributes
    ----------
    key : str
        The day by which it is known, as in "2020-03-12".
    name, asset : str
        `asset` is what `facts["fall"]` and the returns belong to, unless a fact says otherwise.
    who : str
        Who was forced to trade, in a few words; `mechanism` says why, in a sentence.
    trigger : str
    trigger_source : tuple of Source
    after : str
        What came after, in a sentence.
    acted : tuple of str
        Parts of the loop, from `ACTED`.
    outcome : mapping
        By asset or firm, one of `OUTCOMES`.
    facts : mapping of Fact by name
        Always `began`, `bottomed` and `fall`; where known `peak`, `trough`, `ended`, `sold` (forced),
        `open_interest_before` and `open_interest_after`, `half_back` and `all_back` (days from the trough),
        `after_1d`, `after_7d`, `after_30d` and `after_180d` (returns from the close after the trough).
    """

    key: str
    name: str
    asset: str
    who: str
    trigger: str
    trigger_source: tuple[Source, ...]
    mechanism: str
    after: str
    acted: tuple[str, ...]
    outcome: Mapping[str, str]
    facts: Mapping[str, Fact]

    @property
    def log_fall(self) -> float:
        """Natural-log fall from peak to trough, as everywhere else in the library."""
        if "peak" in self.facts:
            return math.log(self.facts["peak"].value / self.facts["trough"].value)
        return -math.log1p(-self.facts["fall"].value / 100)


def load(path: str | Path | None = None) -> Mapping[str, Episode]:
    """Read the episodes, by key and in order of time.

    Parameters
    ----------
    path : str or Path, optional
        Another file of the same form. Default: the fifteen crashes of the book, read once.

    Raises
    ------
    ValueError
        If the file is wrong anywhere; says file, episode, fact and value.
    """
    return _ours() if path is None else _read(Path(path))


@cache
def _ours() -> Mapping[str, Episode]:
    return _read(FILE)


def _read(path: Path) -> Mapping[str, Episode]:
    """Read and check a file."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path.name}: cannot be read: {error}") from error
    here = _Place(path.name)
    here.fields(content, ("sources", "episodes"))
    sources = {key: _source(here.within(key), key, it) for key, it in here.table(content["sources"]).items()}
    found = here.table(content["episodes"])
    episodes = [_episode(here.within(key), key, it, sources) for key, it in found.items()]
    names = [episode.name for episode in episodes]
    for episode in episodes:
        if names.count(episode.name) > 1:
            here.within(episode.key).refuse("name", "unique", episode.name)
    used = {s.key for e in episodes for fact in e.facts.values() for s in fact.source}
    used |= {s.key for e in episodes for s in e.trigger_source}
    for key in sorted(set(sources) - used):
        here.refuse("sources", "cited somewhere", key)
    return MappingProxyType({episode.key: episode for episode in sorted(episodes, key=lambda e: e.key)})


@dataclass(frozen=True)
class _Place:
    """Where in the file we are; every refusal begins with it."""

    name: str

    def within(self, part: str) -> _Place:
        return _Place(f"{self.name}: {part}")

    def refuse(self, what: str, rule: str, value: Any) -> None:
        raise ValueError(f"{self.name}: {what} must be {rule}, got {value!r}")

    def table(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.refuse("it", "a table", value)
        return value

    def fields(self, value: Any, needed: tuple[str, ...], allowed: tuple[str, ...] = ()) -> None:
        self.table(value)
        for field in needed:
            if field not in value:
                self.refuse(field, "there", sorted(value))
        for field in value:
            if field not in needed + allowed:
                self.refuse("a field", f"one of {', '.join(needed + allowed)}", field)

    def text(self, value: Any, what: str, digits: bool = True) -> str:
        if not isinstance(value, str) or not value.strip():
            self.refuse(what, "text", value)
        if not digits and re.search(r"\d", value):
            self.refuse(what, "free of numbers, for a number is a fact with a source", value)
        return value

    def one_of(self, value: Any, what: str, known: Any) -> str:
        if value not in tuple(known):
            self.refuse(what, f"one of {', '.join(known)}", value)
        return value

    def cited(self, keys: Any, sources: Mapping[str, Source], what: str) -> tuple[Source, ...]:
        if not isinstance(keys, list) or not keys or len(set(map(str, keys))) < len(keys):
            self.refuse(what, "a list of different sources", keys)
        for key in keys:
            self.one_of(key, what, sources)
        return tuple(sources[key] for key in keys)


def _source(here: _Place, key: str, raw: Any) -> Source:
    here.fields(raw, ("author", "title", "year"), ("link",))
    for field, value in raw.items():
        here.text(value, field)
    link = raw.get("link", "")
    if link and not re.match(r"https?://\S+$", link):
        here.refuse("link", "a web address", link)
    return Source(key=key, **raw)


def _episode(here: _Place, key: str, raw: Any, sources: Mapping[str, Source]) -> Episode:
    here.fields(raw, (*_BACKGROUND, "facts"))
    words = {w: here.text(raw[w], w, digits=False) for w in ("who", "trigger", "mechanism", "after")}
    if not isinstance(raw["acted"], list) or not raw["acted"]:
        here.refuse("acted", "a list", raw["acted"])
    acted = tuple(here.one_of(part, "acted", ACTED) for part in raw["acted"])
    outcome = {
        here.text(thing, "outcome"): here.one_of(end, "outcome", OUTCOMES)
        for thing, end in here.table(raw["outcome"]).items()
    }
    facts = {n: _fact(here.within(n), n, it, sources) for n, it in here.table(raw["facts"]).items()}
    episode = Episode(
        key=key,
        name=here.text(raw["name"], "name"),
        asset=here.text(raw["asset"], "asset"),
        trigger_source=here.cited(raw["trigger_source"], sources, "trigger_source"),
        acted=acted,
        outcome=MappingProxyType(outcome),
        facts=MappingProxyType(facts),
        **words,
    )
    _check_together(here, episode)
    return episode


def _fact(here: _Place, name: str, raw: Any, sources: Mapping[str, Source]) -> Fact:
    here.fields(raw, _FACT, ("venue", "note"))
    value, unit = raw["value"], here.one_of(raw["unit"], "unit", UNITS)
    if unit == "time":
        # TOML itself knows that there is no 30 February; a text would hide it.
        if not isinstance(value, date):
            here.refuse("value (time)", "a date, or a date and time", value)
        if isinstance(value, datetime) and value.utcoffset() != timedelta(0):
            here.refuse("value (time)", "in UTC, with a Z", str(value))
    elif unit == "text":
        here.text(value, "value (text)")
    else:
        _check_number(here, unit, value)
    for field in ("what", "venue", "note"):
        if field in raw:
            here.text(raw[field], field)
    return Fact(
        name=name,
        source=here.cited(raw["source"], sources, "source"),
        basis=here.one_of(raw["basis"], "basis", BASES),
        **{field: raw[field] for field in ("value", "unit", "what", "venue", "note") if field in raw},
    )


def _check_number(here: _Place, unit: str, value: Any) -> None:
    what = f"value ({unit})"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        here.refuse(what, "a number", value)
    if unit in ("% fall", "%") and not 0 <= value <= 100:
        here.refuse(what, "between 0 and 100", value)
    if unit == "% return" and value < -100:
        here.refuse(what, "at least -100", value)
    if unit not in ("% fall", "% return", "%") and value < 0:
        here.refuse(what, "at least 0", value)


def _check_together(here: _Place, episode: Episode) -> None:
    """Check what one fact cannot tell: the order of times, the fall against its prices, the labels."""
    facts = episode.facts
    for name, unit in (("began", "time"), ("bottomed", "time"), ("fall", "% fall")):
        if name not in facts:
            here.refuse("facts", f"complete, with {name}", sorted(facts))
        if facts[name].unit != unit:
            here.within(name).refuse("unit", unit, facts[name].unit)
    _check_times(here, episode)
    for fact in facts.values():
        if sum(fact.what == other.what and fact.venue == other.venue for other in facts.values()) > 1:
            here.within(fact.name).refuse("what", "unique", fact.what)
    # Whatever has a peak and a trough, the asset or another one (eth_peak, eth_trough), has the fall between.
    for name in facts:
        if not (name == "peak" or name.endswith("_peak")):
            continue
        kin = [name.removesuffix("peak") + end for end in ("trough", "fall")]
        for other in kin:
            if other not in facts:
                here.within(name).refuse("peak", f"beside {other}", sorted(facts))
        units = {facts[name].unit, facts[kin[0]].unit}
        if len(units) > 1 or units & {"time", "text"} or facts[kin[1]].unit != "% fall":
            here.within(name).refuse("unit", f"that of {kin[0]}, a price", facts[name].unit)
        peak, trough, fall = (facts[n].value for n in (name, *kin))
        if not (peak > 0 and trough > 0) or abs(fall - 100 * (1 - trough / peak)) > 0.1:
            rule = (
                f"{100 * (1 - trough / peak):.1f}, for {peak:g} fell to {trough:g}"
                if min(peak, trough) > 0
                else "between prices above 0"
            )
            here.within(kin[1]).refuse("value (% fall)", rule, fall)
    if episode.asset not in episode.outcome:
        here.refuse("outcome", f"told of {episode.asset}", dict(episode.outcome))


def _check_times(here: _Place, episode: Episode) -> None:
    times = [episode.facts[n] for n in ("began", "bottomed", "ended") if n in episode.facts]
    for early, late in pairwise(times):
        if _hours(early.value)[0] > _hours(late.value)[1]:
            rule = f"not before {early.name}, {early.value}"
            here.within(late.name).refuse("value (time)", rule, str(late.value))
    try:
        day = _hours(date.fromisoformat(episode.key))
    except ValueError:
        here.refuse("key", "a day as in 2020-03-12", episode.key)
    if day[1] < _hours(times[0].value)[0] or day[0] > _hours(times[-1].value)[1]:
        here.refuse("key", "a day between began and the end", episode.key)


def _hours(moment: date | datetime) -> tuple[datetime, datetime]:
    """First and last moment that a date may mean; of a time, twice itself."""
    if isinstance(moment, datetime):
        return moment, moment
    start = datetime.combine(moment, time(), UTC)
    return start, start + timedelta(days=1, microseconds=-1)


def _plain(value: float, sign: str = "") -> str:
    """A number as it is read: 8.6 billion, 45,872, 0.000008225."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if abs(value) >= size:
            return f"{value / size:{sign},.10g} {word}"
    if 0 < abs(value) < 1e-3:
        return f"{value:{sign}.12f}".rstrip("0")
    return f"{value:{sign},.10g}".replace("-", "\N{MINUS SIGN}")
