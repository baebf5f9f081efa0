"""VolatilityMargin: a maintenance margin that moves with measured volatility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array, scalar
from panicsim.market import View
from panicsim.participants import Longs
from panicsim.rules.base import Rule, chosen, listing
from panicsim.volatility import HOURS_PER_YEAR, Realised


@dataclass(frozen=True)
class VolatilityMargin(Rule):
    """Maintenance margins of `Longs` that follow realised volatility, above a floor.

    Parameters
    ----------
    floor : float, optional
        Share of a position that is always required; None: the longs' own maintenance margin.
    multiple : float
        Standard deviations of the price over the horizon that the margin is to cover.
    horizon : float
        Hours that a liquidation may take.
    lookback : float
        Hours over which volatility is measured.
    speed : float, optional
        Rate per hour at which the margin follows what volatility asks for; None: at once.
    most : float
        Share of a position that is required at most.
    who : list of str, optional
        Names of `Longs`; None: all.
    name : str, optional

    Notes
    -----
    m = max(floor, min(multiple sigma sqrt(horizon), most)). A liquidation price goes as 1/(1 - m), so a new
    margin moves every level of the liquidation map by ln((1 - m0)/(1 - m)), where m0 is the longs' own
    (chapter 17, "The thermostat and the stone"; Brunnermeier & Pedersen 2009 on the spiral). It adds to what
    earlier rules show.
    """

    floor: float | None = None
    multiple: float = 3.0
    horizon: float = 1.0
    lookback: float = 24.0
    speed: float | None = None
    most: float = 0.5
    who: Any = None
    name: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.floor is not None:
            put(self, "floor", scalar("floor", "share of position", self.floor, at_least=0, below=1))
        put(self, "multiple", scalar("multiple", "standard deviations", self.multiple, at_least=0))
        put(self, "horizon", scalar("horizon", "hours", self.horizon, at_least=0))
        put(self, "lookback", scalar("lookback", "hours", self.lookback, at_least=1e-6, at_most=1e6))
        if self.speed is not None:
            put(self, "speed", scalar("speed", "per hour", self.speed, at_least=0))
        put(self, "most", scalar("most", "share of position", self.most, at_least=self.floor or 0.0, below=1))
        put(self, "who", listing(self.who))

    def required(self, variance: Any) -> Any:
        """Margin that a variance per year asks for, as a share of the position, at least 0 (any shape)."""
        return np.minimum(self.multiple * np.sqrt(variance * self.horizon / HOURS_PER_YEAR), self.most)

    def start(self, view: View) -> Any:
        """Return the state of one run: each one's own margin and the one of now."""
        own = {name: self._own(name, view) for name in chosen(self.who, view.crowd, Longs)}
        floors = {name: margin if self.floor is None else self.floor for name, margin in own.items()}
        return {
            "own": own,
            "floor": floors,
            "margin": {name: np.full(view.paths, floor) for name, floor in floors.items()},
            "volatility": Realised(view, self.lookback, 0.0),
        }

    def _own(self, name: str, view: View) -> float:
        """Margin that a group of longs has by itself, after asking whether the floor fits."""
        longs = view.crowd[name]
        margins = np.unique(longs.maintenance)
        if margins.size > 1:
            raise ValueError(
                f"maintenance (share of position) of {name!r} must be one number where it is to move,"
                f" got {float(margins[0])!r} to {float(margins[-1])!r}"
            )
        own = float(margins[0]) if margins.size else 0.0
        if self.floor is not None and self.floor < own:
            raise ValueError(
                f"floor (share of position) must be at least the maintenance of {name!r}, {own!r}, got"
                f" {self.floor!r}"
            )
        highest = np.max(longs.liquidation_price, initial=0.0, where=longs.size > 0)
        if self.floor is not None and highest * (1 - own) / (1 - self.floor) >= view.market.price:
            raise ValueError(
                f"floor (share of position) must leave every liquidation price of {name!r} under the"
                f" market's {view.market.price:g}, got {self.floor!r}"
            )
        return own

    def see(self, view: View, mine: Any) -> dict[str, Array]:
        """Return the fall that reaches the same levels under the old margin as the true one does now."""
        asked = self.required(mine["volatility"].look(view))
        pace = 1.0 if self.speed is None else -np.expm1(-self.speed * view.dt)
        shown = {}
        for name, own in mine["own"].items():
            margin = mine["margin"][name]
            margin = margin + (np.maximum(asked, mine["floor"][name]) - margin) * pace
            mine["margin"][name] = margin
            shown[name] = view.seen[name] + np.log1p(-own) - np.log1p(-margin)
        return shown

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return the margin of the step: the largest, if floors differ."""
        margins = list(mine["margin"].values())
        return {"margin": np.max(margins, axis=0) if margins else np.zeros(view.paths)}
