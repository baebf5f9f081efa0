"""Realised volatility, as those who look at a price every so often measure it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panicsim._check import Array

if TYPE_CHECKING:
    from panicsim.market import View

HOURS_PER_YEAR = 8760.0

# The price is looked at so many times in a window, whatever the step of a run.
LOOKS = 12


class Realised:
    """Variance of the log price per year, over a window whose weights fall off exponentially.

    The price is looked at twelve times in a window, or at every step if that is longer, so that the measure
    hardly depends on the step. It is the state of one run.
    """

    def __init__(self, view: View, window: float, volatility: float) -> None:
        """Begin with a window (hours) behind us in which the volatility (per year) was this."""
        self.window = window
        self.time, self.fall = view.time, view.fall
        self.variance: Array = np.full(view.paths, volatility**2)

    def look(self, view: View) -> Array:
        """Variance as of now, (paths,), per year."""
        passed = view.time - self.time
        if passed >= self.window / LOOKS * (1 - 1e-9):
            keep = np.exp(-passed / self.window)
            fresh = np.square(view.fall - self.fall) * HOURS_PER_YEAR / passed
            self.variance = keep * self.variance + (1.0 - keep) * fresh
            self.time, self.fall = view.time, view.fall
        return self.variance
