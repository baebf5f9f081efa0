"""RedemptionQueue: a claim is paid later, a few at a time, or not at all for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, scalar
from panicsim.market import View
from panicsim.rules.base import TINY, Late, Rule, chosen, hurried, listing, within


@dataclass(frozen=True)
class RedemptionQueue(Rule):
    """Those who want to sell wait: a notice period, a cap per day, a gate.

    Parameters
    ----------
    delay : float
        Hours from a claim to the earliest sale for it. One that is withdrawn and made anew before it was due
        counts from the first time.
    per_day : float, optional
        Coins a day that are sold for all claims together, in proportion: its part in each step, and what a
        step leaves is lost; None: any number.
    gate : float, optional
        Log fall from which nothing is sold; None: never.
    shut : float, optional
        Hours for which the gate then stays shut, once; None: for good.
    rush : float
        Log fall above the gate in which those who fear it run ahead (they are shown a fall that is deeper by
        up to this much).
    who : list of str, optional
        Names of those who wait; None: everybody who sends orders. Only sales wait, those of buyers who sell
        back too.
    name : str, optional

    Notes
    -----
    A queue does not change the gain: with nothing that comes in the meantime, one-way sellers end where they
    would have ended (chapter 15, "The queue"; Ennis & Keister 2009). Who may be gated tomorrow leaves today
    (Cipriani, Martin, McCabe & Parigi 2014).
    """

    delay: float = 0.0
    per_day: float | None = None
    gate: float | None = None
    shut: float | None = None
    rush: float = 0.0
    who: Any = None
    name: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "delay", scalar("delay", "hours", self.delay, at_least=0))
        for name, unit in (("per_day", "coins per day"), ("gate", "log"), ("shut", "hours")):
            if getattr(self, name) is not None:
                put(self, name, scalar(name, unit, getattr(self, name), at_least=0))
        reach = np.inf if self.gate is None else self.gate
        put(self, "rush", scalar("rush", "log", self.rush, at_least=0, at_most=reach))
        put(self, "who", listing(self.who))

    def start(self, view: View) -> Any:
        """Return the state of one run: claims, what was paid of them, and whether the gate is shut."""
        who = chosen(self.who, view.crowd, object)
        return {
            "claims": {name: Late(view, self.delay) for name in who if name in view.closed},
            "done": dict.fromkeys(who, np.zeros(view.paths)),
            "paid": dict.fromkeys(who, np.zeros(view.paths)),  # without what was bought back
            "waiting": np.zeros(view.paths),
            "shut": np.full(view.paths, np.inf),  # hour at which the gate was shut
        }

    def see(self, view: View, mine: Any) -> dict[str, Array]:
        """Return what those see who fear the gate. Having been shut in once, they go on fearing."""
        return {} if self.gate is None else hurried(view, self.gate, self.rush)

    def limit(self, wants: dict[str, Array], view: View, mine: Any) -> dict[str, Array]:
        """Return the orders that are due, within the day's number, while the gate is open."""
        orders, sold, open_now = dict(wants), view.sold, ~self._is_shut(view, mine)
        mine["waiting"] = np.zeros(view.paths)
        for name, late in mine["claims"].items():
            done = sold[name] + view.closed[name]
            # Who buys back and sells again claims anew: a claim is paid once.
            paid = mine["paid"][name] + np.maximum(done - mine["done"][name], 0.0)
            mine["done"][name], mine["paid"][name] = done, paid
            claim = np.maximum(-view.wanted[name], 0.0)
            due = np.maximum(late.turn(paid + claim) - paid, 0.0) * open_now
            mine["waiting"] = mine["waiting"] + claim
            if name in wants:
                orders[name] = np.maximum(wants[name], -due)
        if self.per_day is None:
            return orders
        return within(orders, mine["claims"], self.per_day / 24.0 * view.dt)

    def _is_shut(self, view: View, mine: Any) -> Any:
        """Tell on which paths the gate is shut."""
        if self.gate is None:
            return np.zeros(view.paths, dtype=bool)
        fresh = (view.fall >= self.gate - TINY) & np.isinf(mine["shut"])
        mine["shut"] = np.where(fresh, view.time, mine["shut"])
        until = np.inf if self.shut is None else self.shut
        return (mine["shut"] <= view.time) & (view.time < mine["shut"] + until - 1e-9)

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return the coins that are claimed and not yet sold, as of the orders of the step."""
        return {"waiting": mine["waiting"]}
