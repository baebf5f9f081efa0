"""The one interface of everybody who trades: a supply curve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from panicsim._check import Array, listed, scalar
from panicsim.market import NO_FLOOR, Market, View


class Participant:
    """Somebody who trades because of the fall. A subclass needs one method, `sold_by`.

    Attributes
    ----------
    name : str or None
        Name in results; the class name if None. Repeats are numbered: "Longs", "Longs 2".
    lag : float
        Reaction time in hours. In a step an order closes the share 1 - exp(-dt/lag) of the gap between
        want and fill. 0 means: an amplifier acts once a step, so that the step *is* its reaction time;
        a stabiliser (a curve that never rises) answers within the step, as resting bids do.
    one_way : bool
        True: acts on the worst fall seen and never trades back. False: follows the fall both ways.
    """

    name: str | None = None
    lag: float = 0.0
    one_way: bool = False

    def meets(self, market: Market) -> None:
        """Raise a ValueError if this participant cannot exist in this market."""

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins sold in total once the log fall has been `fall`: any shape in, same shape out, 0 at 0."""
        raise NotImplementedError(f"{type(self).__name__} must define sold_by(fall, market)")

    def start(self, view: View) -> Any:
        """Return the state of one run; it belongs to the run, never to the participant."""
        return {"worst": np.zeros(view.paths)}

    def react(self, view: View, mine: Any) -> Array:
        """Return the wanted flow in coins, (paths,), negative to sell."""
        fall = view.fall
        if self.one_way:
            fall = np.maximum(mine["worst"], fall, out=mine["worst"])
        return view.done - self.sold_by(fall, view.market)

    def filled(self, coins: Array, fill: Array, view: View, mine: Any) -> None:
        """Take note of a trade: signed coins (paths,) and the average price in USD per coin (paths,)."""

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return what a run should record of this member's books after a step, (paths,) each, by name."""
        return {}

    def _check_common(self) -> None:
        """Validate what every participant has; the constructors call it."""
        _check_name(self.name)
        if not isinstance(self.one_way, (bool, np.bool_)):
            raise ValueError(f"one_way (True or False) must be a bool, got {self.one_way!r}")
        object.__setattr__(self, "lag", scalar("lag", "hours", self.lag, at_least=0))


def _check_name(name: Any) -> None:
    """Refuse a name that is no text, or empty."""
    if name is not None and (not isinstance(name, str) or not name):
        raise ValueError(f"name (text) must be a non-empty string, got {name!r}")


def named(crowd: Iterable[Participant], market: Market) -> dict[str, Participant]:
    """Return the crowd by distinct names, after asking each member whether it fits this market."""
    listed("market", "Market", market, Market)
    people = listed("crowd", "participants", crowd, Participant)
    for member in people:
        member.meets(market)
        _check_own(member, market)
    return numbered(people, {"Sale"})  # the ledger keeps that name for sales from outside


def numbered(things: Iterable[Any], taken: set[str]) -> dict[str, Any]:
    """Return things by their own or their class's names, with a number where a name is taken."""
    result: dict[str, Any] = {}
    for thing in things:
        _check_name(thing.name)
        base = thing.name or type(thing).__name__
        name, count = base, 1
        while name in result or name in taken:
            count += 1
            name = f"{base} {count}"
        result[name] = thing
    return result


def _check_own(member: Participant, market: Market) -> None:
    """Refuse a reader's participant that would make a run wrong without a word."""
    kind = type(member).__name__
    scalar(f"lag of {kind}", "hours", member.lag, at_least=0)
    start = np.asarray(member.sold_by(np.zeros(2), market))
    if start.shape != (2,) or start.any():
        raise ValueError(
            f"sold_by (coins) of {kind} must return one number for each fall, 0 at a fall of 0, got {start!r}"
        )


# Falls on which a curve's slope is told: fine where thresholds live, then on to a market without a floor.
SCAN = np.concatenate([np.linspace(0.0, 3.0, 30_001), np.geomspace(3.0, NO_FLOOR, 2_000)[1:]])
SCAN.flags.writeable = False  # every curve is asked on it, a reader's own among them


def slope_signs(member: Participant, market: Market) -> set[int]:
    """Signs of the slope that a supply curve takes below P0: a subset of {-1, 1}."""
    with np.errstate(over="ignore", invalid="ignore"):
        sold = np.asarray(member.sold_by(SCAN, market), dtype=float)
        if np.isnan(sold).any():
            raise ValueError(
                f"sold_by (coins) of {type(member).__name__} must be a number at every fall, got NaN"
            )
        change = np.diff(sold)
        # What is lost in the last digits of a float has no sign.
        change = change[np.abs(change) > 1e-12 * np.abs(sold[1:])]
    return set(np.sign(change).astype(int).tolist())
