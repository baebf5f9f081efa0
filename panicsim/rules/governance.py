"""Governance: a rule that is there only after somebody has decided on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, array, scalar
from panicsim.market import View
from panicsim.rules.base import TINY, Rule, hurried, known


@dataclass(frozen=True, eq=False)
class Governance(Rule):
    """Another rule, from some hours after the moment that calls for it.

    Parameters
    ----------
    rule : Rule
        What is decided on: a rule that sees, limits or bends the book. It watches from the start, and acts
        only once it is in force.
    delay : float, optional
        Hours from the trigger until it is in force: 0 for a guardian on watch; None: never, as where nobody
        may change anything.
    trigger : float
        Log fall that calls for it; 0: the start of the run.
    rush : float
        Log fall above the trigger in which those who fear the rule run ahead (they are shown a fall that is
        deeper by up to this much). The fear does not end when the rule comes; where nobody can change
        anything there is none.
    name : str, optional

    Notes
    -----
    A change that comes after k rounds of a linear loop can still save the share g^k of the endogenous fall
    (chapter 17, "The thermostat and the stone"; Kydland & Prescott 1977 on what it is worth not to be able
    to).
    """

    rule: Rule
    delay: float | None = 48.0
    trigger: float = 0.05
    rush: float = 0.0
    name: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if not isinstance(self.rule, Rule):
            raise ValueError(f"rule (Rule) must be a rule, got {self.rule!r}")
        if type(self.rule).settle is not Rule.settle:
            raise ValueError(
                f"rule (Rule) must not settle trades, as {type(self.rule).__name__} does: money that has"
                " changed hands cannot wait for a decision"
            )
        if self.delay is not None:
            put(self, "delay", scalar("delay", "hours", self.delay, at_least=0))
        put(self, "trigger", scalar("trigger", "log", self.trigger, at_least=0))
        put(self, "rush", scalar("rush", "log", self.rush, at_least=0, at_most=self.trigger))

    def start(self, view: View) -> Any:
        """Return the state of one run: that of the rule, and since when it is called for."""
        return {
            "rule": self.rule.start(view),
            "called": np.full(view.paths, np.inf),
            "active": np.zeros(view.paths, dtype=bool),
        }

    def see(self, view: View, mine: Any) -> dict[str, Array]:
        """Return what the rule shows where it is in force, and what those see who fear it."""
        fresh = (view.fall >= self.trigger - TINY) & np.isinf(mine["called"])
        mine["called"] = np.where(fresh, view.time, mine["called"])
        if self.delay is not None:
            mine["active"] = view.time >= mine["called"] + self.delay - 1e-9
        ahead = {} if self.delay is None else hurried(view, self.trigger, self.rush)
        inside: Any = _Where(view, mine["active"])
        inside.seen = view.seen | ahead
        shown = known("see", self.rule.see(inside, mine["rule"]), view.crowd, view.paths)
        return ahead | {n: np.where(mine["active"], fall, inside.seen[n]) for n, fall in shown.items()}

    def limit(self, wants: dict[str, Array], view: View, mine: Any) -> dict[str, Array]:
        """Return the orders that the rule leaves where it is in force."""
        inside: Any = _Where(view, mine["active"])
        orders = known("limit", self.rule.limit(wants, inside, mine["rule"]), view.closed, view.paths)
        return {n: np.where(mine["active"], orders.get(n, 0.0), want) for n, want in wants.items()}

    def book(self, view: View, mine: Any) -> Array:
        """Return the share of depth that the rule leaves where it is in force."""
        inside: Any = _Where(view, mine["active"])
        left = array("book", "share of depth", self.rule.book(inside, mine["rule"]), at_least=0)
        return np.where(mine["active"], left, 1.0)

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return the rule's own books (of what it does, or would have done), and 1 where it is in force."""
        inside: Any = _Where(view, mine["active"])
        own = self.rule.books(inside, mine["rule"])
        return {**own, "active": mine["active"] * own.get("active", 1.0)}


class _Where:
    """A view through which a rule closes positions on some paths only."""

    seen: dict[str, Array]

    def __init__(self, view: View, active: Array) -> None:
        self._view, self._active = view, active

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    def close(self, name: str, coins: Any) -> None:
        """Close coins where the rule is in force."""
        self._view.close(name, np.where(self._active, coins, 0.0))
