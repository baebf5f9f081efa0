"""The liquidation map: coins that are reached by the time the price has fallen to a level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import Array
from panicsim.market import Market

# The map has a row for every 0.1 basis point of log price.
ROWS_PER_UNIT = 1e5
# It ends where a price is 1e-13 of the highest; what is reached only there is in the last row.
LAST_ROW = 3_000_000


@dataclass(frozen=True, eq=False)
class LevelMap:
    """Coins by liquidation price, summed once into a table, so that a look-up costs the same for any number.

    Attributes
    ----------
    highest : float
        Highest price at which anything is reached, USD per coin; 0 for an empty map.
    top : float
        Minus the log price of row 0, which is "nothing reached yet".
    table : array (rows,)
        Coins reached by each row. Level and fall both round to the nearest row.
    """

    highest: float
    top: float
    table: Array

    @classmethod
    def of(cls, price: Array, coins: Array) -> LevelMap:
        """Draw the map of coins that are reached at a price (flat arrays; a price of 0 is never reached)."""
        with np.errstate(divide="ignore"):
            below = -np.log(price)
        live = np.isfinite(below) & (coins > 0)
        below, coins = below[live], coins[live]
        # Row 0 is "nothing reached yet", so the highest price stands in row 1.
        top = float(below.min()) - 1.0 / ROWS_PER_UNIT if below.size else 0.0
        rows = np.minimum(np.rint((below - top) * ROWS_PER_UNIT), LAST_ROW).astype(np.intp)
        table = np.cumsum(np.bincount(rows, weights=coins, minlength=1), dtype=float)
        return cls(float(price[live].max(initial=0.0)), top, table)

    def again(self, share: float, apart: float) -> LevelMap:
        """Draw the map in which a share of what is left is taken at each level, and `apart` further down."""
        times = math.ceil(math.log(1e-15) / math.log1p(-share)) if share < 1.0 else 1
        shifts = np.rint(np.minimum(np.arange(1, times) * apart, 40.0) * ROWS_PER_UNIT).astype(np.intp)
        shifts = np.append(0, shifts[shifts < LAST_ROW])
        pieces = np.diff(self.table, prepend=0.0)
        rows = np.zeros(len(pieces) + shifts[-1])
        for k, shift in enumerate(shifts):
            rows[shift : shift + len(pieces)] += share * (1.0 - share) ** k * pieces
        return LevelMap(self.highest, self.top, np.cumsum(rows))

    def touches(self, market: Market) -> bool:
        """Tell whether something is reached before any fall: it lies above P0, or within half a row."""
        return self.highest >= market.price * math.exp(-0.5 / ROWS_PER_UNIT)

    def reached(self, fall: Any, market: Market) -> Any:
        """Coins reached once the log fall has been `fall` (any shape in, same shape out)."""
        # Adding a half and cutting the decimals rounds to the nearest row.
        row = fall * ROWS_PER_UNIT + (0.5 - (math.log(market.price) + self.top) * ROWS_PER_UNIT)
        return self.table.take(row.astype(np.intp), mode="clip")

    def sold_by(self, fall: Any, market: Market) -> Any:
        """`reached`, after refusing a fall that is no number: clipping to the table would hide it."""
        try:
            with np.errstate(invalid="raise"):
                return self.reached(np.asarray(fall), market)
        except FloatingPointError:
            raise ValueError("fall (log) must be finite, got NaN or an infinity") from None
