"""CircuitBreaker: the market closes for a while when it has fallen far enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, array, broadcast, frozen, scalar
from panicsim.market import View
from panicsim.rules.base import TINY, Rule, hurried


@dataclass(frozen=True, eq=False)
class CircuitBreaker(Rule):
    """A halt at each of one or several levels of the fall, once a level.

    Parameters
    ----------
    fall : float or array
        Log falls at which the market closes. Broadcasts against `pause`.
    pause : float or array
        Hours for which it then stays closed.
    auction : bool
        True: what people decided in the pause meets at one price when it opens. False: orders given in the
        pause are void, and everybody begins anew.
    magnet : float
        Log fall above the next level in which those who fear it run ahead (they are shown a fall that is
        deeper by up to this much).
    name : str, optional

    Notes
    -----
    In a pause nothing is traded, news goes unseen, and lags run on: a pause is worth what arrives in it
    (chapter 16, "The pause"; Subrahmanyam 1994; Chen, Petukhov, Wang & Xing 2024 on the magnet). The level
    is looked at once a step, so the market closes later than it by at most one step's move.
    """

    fall: Any = 0.10
    pause: Any = 0.5
    auction: bool = True
    magnet: float = 0.0
    name: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        terms = {
            "fall": np.atleast_1d(array("fall", "log", self.fall, above=0)),
            "pause": np.atleast_1d(array("pause", "hours", self.pause, at_least=0)),
        }
        for name, values in zip(terms, broadcast(**terms), strict=True):
            if values.ndim > 1 or not values.size:
                raise ValueError(f"{name} must be one number or a row of them, got shape {values.shape}")
            put(self, name, frozen(values))
        if not isinstance(self.auction, (bool, np.bool_)):
            raise ValueError(f"auction (True or False) must be a bool, got {self.auction!r}")
        first = self.fall.min()
        put(self, "magnet", scalar("magnet", "log", self.magnet, at_least=0, at_most=first))

    def start(self, view: View) -> Any:
        """Return the state of one run: which levels have been reached, and until when it is closed."""
        return {
            "fired": np.zeros((self.fall.size, view.paths), dtype=bool),
            "until": np.full(view.paths, -np.inf),
            "halted": np.zeros(view.paths),
            "void": np.zeros(view.paths),  # hours without trade in which nothing that was decided counts
        }

    def see(self, view: View, mine: Any) -> dict[str, Array]:
        """Return what those see who fear the next level."""
        levels = np.where(mine["fired"], np.inf, self.fall[:, None])
        return hurried(view, levels.min(axis=0), self.magnet)

    def limit(self, wants: dict[str, Array], view: View, mine: Any) -> dict[str, Array]:
        """Return the orders; without an auction only those that were decided since the pause was over."""
        # A pause of this breaker that has just passed; what another one has added counts.
        mine["void"] = np.where(mine["halted"] > 0, view.waited, np.minimum(mine["void"], view.waited))
        if self.auction or not mine["void"].any():
            return wants
        orders = dict(wants)
        for name, want in wants.items():
            if lag := view.crowd[name].lag:
                counted = view.dt + view.waited - mine["void"]
                most = np.abs(view.wanted[name]) * -np.expm1(-counted / lag)
                orders[name] = np.where(mine["void"] > 0, np.clip(want, -most, most), want)
        return orders

    def book(self, view: View, mine: Any) -> Array:
        """Return 0 in a pause and 1 outside, (paths,)."""
        fires = (view.fall >= self.fall[:, None] - TINY) & ~mine["fired"]
        mine["fired"] |= fires
        ends = np.where(fires, view.time + self.pause[:, None], -np.inf)
        mine["until"] = np.maximum(mine["until"], ends.max(axis=0))
        halted = view.time < mine["until"] - 1e-9
        mine["halted"] = halted.astype(float)
        return 1.0 - mine["halted"]

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return 1 for a step in a pause and 0 for another."""
        return {"halted": mine["halted"]}
