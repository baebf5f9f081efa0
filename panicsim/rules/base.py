"""What every rule of the venue is, and what several of them share."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from panicsim._check import Array, listed
from panicsim.market import View
from panicsim.participants import LendingPool, Longs, Participant, ValueBuyers

# Levels that are reached but for the last digits are reached.
TINY = 1e-12


class Rule:
    """A rule of the venue. A subclass implements only the hooks that it needs.

    In a step the hooks are called in the order in which they stand here; within each hook, rules act in the
    order of the list, and each is given what those before it have left. A want that was lowered comes back in
    the next step, because wants are stocks; only `view.close` makes it disappear. Resting bids send no
    orders: of the rules they feel `book` alone.

    Attributes
    ----------
    name : str or None
        Name in results; the class name if None. Repeats are numbered.
    """

    name: str | None = None

    def start(self, view: View) -> Any:
        """Return the state of one run; it belongs to the run."""
        return {}

    def see(self, view: View, mine: Any) -> dict[str, Array]:
        """Return the log fall (paths,) that participants see, by name; who is not named sees `view.seen`."""
        return {}

    def limit(self, wants: dict[str, Array], view: View, mine: Any) -> dict[str, Array]:
        """Return the orders (signed coins, (paths,), by name) that may reach the market; none may grow."""
        return wants

    def book(self, view: View, mine: Any) -> Any:
        """Return the share of depth that is there, (paths,) or a number; 0 is a closed market."""
        return 1.0

    def settle(self, view: View, mine: Any) -> None:
        """Settle what follows from the trades of this step."""

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return what a run should record of this rule after a step, (paths,) each, by name."""
        return {}


def known(hook: str, result: Any, names: Mapping[str, Any], paths: int) -> dict[str, Array]:
    """Return what a hook says by name, as arrays (paths,).

    Raises a ValueError for a wrong shape, for NaN, and for somebody who is not there: a typing error would do
    nothing, silently.
    """
    if not isinstance(result, dict) or not result.keys() <= names.keys():
        raise ValueError(f"{hook} (rule) must return a dict with names of {sorted(names)}, got {result!r}")
    rows = {}
    for name, given in result.items():
        row = np.asarray(given)
        if row.dtype.kind not in "iuf" or row.shape not in ((paths,), ()):
            raise ValueError(f"{hook} (rule) must give {name!r} one number or {paths} of them, got {given!r}")
        if np.isnan(row).any():
            raise ValueError(f"{hook} (rule) must give {name!r} a number, got {given!r}")
        rows[name] = row if row.shape else np.full(paths, float(row))
    return rows


def listing(who: Any) -> tuple[str, ...] | None:
    """Names as they were given to a rule, kept so that nobody can change them later."""
    return None if who is None else tuple(listed("who", "names of participants", who, str))


def chosen(who: Any, crowd: Mapping[str, Participant], kinds: type | tuple[type, ...]) -> list[str]:
    """Names of those a rule is for: the ones given, or all of some kinds; an unknown name is refused."""
    if who is None:
        return [name for name, member in crowd.items() if isinstance(member, kinds)]
    for name in who:
        if name not in crowd or not isinstance(crowd[name], kinds):
            fit = sorted(n for n, member in crowd.items() if isinstance(member, kinds))
            raise ValueError(f"who (names of participants) must be among {fit}, got {name!r}")
    return list(who)


def hurried(view: View, level: Any, reach: float) -> dict[str, Array]:
    """Falls on which people act who fear a level: within `reach` above it they run ahead by up to `reach`.

    People are one-way sellers who are no machines. (Chen, Petukhov, Wang & Xing 2024: the magnet effect.)
    """
    if not reach:
        return {}
    ahead = reach * np.clip((view.fall - (level - reach)) / reach, 0.0, 1.0)
    others = (Longs, LendingPool, ValueBuyers)
    people = [n for n in view.closed if view.crowd[n].one_way and not isinstance(view.crowd[n], others)]
    return {name: view.seen[name] + ahead for name in people}


def within(orders: dict[str, Array], names: Iterable[str], most: Any) -> dict[str, Array]:
    """Cut the sales of some, in proportion, to so many coins together, (paths,) or a number."""
    some = [name for name in names if name in orders]
    coins: Any = sum((np.maximum(-orders[name], 0.0) for name in some), 0.0)
    share = np.minimum(most / np.where(coins > 0, coins, 1.0), 1.0)
    return orders | {n: np.where(orders[n] < 0, orders[n] * share, orders[n]) for n in some}


class Late:
    """A row as it was some hours ago, no earlier; zeros before the start. The state of one run."""

    def __init__(self, view: View, hours: float) -> None:
        # A whole number, but a float: it may be larger than any run.
        self.steps = float(np.ceil(hours / view.dt - 1e-9))
        self.rows: deque[Array] = deque()

    def turn(self, row: Array) -> Array:
        """Put in the row of now and take out the one of then."""
        self.rows.append(np.array(row))
        return self.rows.popleft() if len(self.rows) > self.steps else np.zeros(np.shape(row))
