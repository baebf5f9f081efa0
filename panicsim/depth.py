"""Depth as a state: it falls when the price has moved a lot, or by the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from panicsim._check import Array, array, scalar
from panicsim.volatility import HOURS_PER_YEAR, LOOKS, Realised

if TYPE_CHECKING:
    from panicsim.market import View


@dataclass(frozen=True)
class Depth:
    """Depth that flees: makers quote less when the price has just moved, or at given hours.

    Parameters
    ----------
    usd : float
        The whole depth, USD of market selling that move the price by 1 %.
    calm : float, optional
        Volatility per year up to which all of it is there. None: volatility does not matter.
    window : float
        Hours over which realised volatility is measured, with weights that fall off exponentially.
    power : float
        Above `calm` the share (calm / volatility)^power is there.
    floor : float
        Share below which volatility does not push it.
    schedule : sequence of (hour, share), or callable, optional
        Share of depth from an hour on (1 before the first; it may exceed 1), or a function of the hour.

    Notes
    -----
    In the film the variance of the log price is looked at twelve times in a window, or at every step if
    that is longer, so that the share hardly depends on the step. The photograph has no clock: it takes a
    fall of x as one move within one look, the worst case, and hour 0 (`Market.at` gives the market of
    another hour). Chapter 2 shows how far measured depth fell in crashes.
    """

    usd: float
    calm: float | None = None
    window: float = 1.0
    power: float = 1.0
    floor: float = 0.1
    schedule: Sequence[tuple[float, float]] | Callable[[float], float] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "usd", scalar("usd", "USD per 1 %", self.usd, above=0))
        if self.calm is not None:
            put(self, "calm", scalar("calm", "per year", self.calm, at_least=1e-6, at_most=1e6))
        put(self, "window", scalar("window", "hours", self.window, at_least=1e-6, at_most=1e6))
        put(self, "power", scalar("power", "exponent", self.power, at_least=0))
        put(self, "floor", scalar("floor", "share of depth", self.floor, above=0, at_most=1))
        if self.schedule is not None and not callable(self.schedule):
            steps = array("schedule", "hour, share of depth", self.schedule)
            if steps.ndim != 2 or steps.shape[1] != 2 or (np.diff(steps[:, 0]) <= 0).any():
                raise ValueError(
                    f"schedule (hour, share of depth) must be pairs in the order of their hours, got"
                    f" {self.schedule!r}"
                )
            array("schedule", "share of depth", steps[:, 1], above=0)
            put(self, "schedule", tuple((float(hour), float(share)) for hour, share in steps))

    def scheduled(self, hour: float) -> float:
        """Share of depth that the clock leaves at an hour of the run."""
        if self.schedule is None:
            return 1.0
        if callable(self.schedule):
            return scalar("schedule(hour)", "share of depth", self.schedule(hour), above=0)
        return next((share for at, share in reversed(self.schedule) if at <= hour + 1e-9), 1.0)

    def thinned(self, variance: Any) -> Any:
        """Share of depth that a variance of the log price, per year, leaves (any shape)."""
        if self.calm is None:
            return np.ones(np.shape(variance))
        ratio = self.calm / np.sqrt(np.maximum(variance, self.calm**2))
        return np.maximum(ratio**self.power, self.floor)

    def at_once(self, fall: Any) -> Any:
        """Share of depth left by a move of the log price within one look (any shape)."""
        look = self.window / LOOKS
        jump = -np.expm1(-1.0 / LOOKS) * HOURS_PER_YEAR / look
        return self.thinned((self.calm or 0.0) ** 2 + jump * np.square(fall))

    def start(self, view: View) -> Realised:
        """Return what a run has to remember of its price."""
        return Realised(view, self.window, self.calm or 0.0)

    def book(self, view: View, mine: Realised) -> Array:
        """Share of depth that is there in a step, (paths,)."""
        return np.asarray(self.scheduled(view.time) * self.thinned(mine.look(view)))
