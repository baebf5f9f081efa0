"""Mint: a coin that pays a debt in dollars, and grows in number as it does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from panicsim._check import array, scalar


@dataclass(frozen=True)
class MarketCap:
    """What all coins together are worth, as their price falls.

    Parameters
    ----------
    price : float
        P0, USD per coin.
    usd : float
        Worth of all coins at that price, M0, USD.
    elasticity : float
        Relative fall of the worth of all coins for a relative fall of the price, a, from 0 to below 1. At 0
        the worth is fixed, however many coins there are; the nearer to 1, the less a low price attracts.

    Notes
    -----
    With M = M0 (P/P0)^a there are (M0/P0) e^((1 - a) x) coins at a log fall of x, so the market takes
    (1 - a) M0 e^((1 - a) x) dollars' worth of new coins, counted at P0, per unit of log price: it gets deeper
    in coins as the price falls, but not in dollars. A constant product pool is the case a = 1/2. Redeeming dU
    dollars mints dU/P coins, so d ln P = -(dU/M)/(1 - a), and after u = U/M0

        P/P0 = (1 - u a/(1 - a))^(1/a),

    which is zero at the finite amount u* = (1 - a)/a (chapter 19, "The contrarian").

    ``ps.Market(price=cap.price, depth=cap.depth)`` is the coin as a market. A market keeps its depth from a
    log fall of 6 on, which is a price of a four-hundredth.
    """

    price: float
    usd: float
    elasticity: float

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "price", scalar("price", "USD per coin", self.price, above=0))
        put(self, "usd", scalar("usd", "USD", self.usd, above=0))
        put(self, "elasticity", scalar("elasticity", "number", self.elasticity, at_least=0, below=1))

    def depth(self, fall: Any = 0.0) -> Any:
        """USD of market selling per 1 % at a log fall, counted at P0 (any shape in, same shape out)."""
        room = 1.0 - self.elasticity
        return 0.01 * room * self.usd * np.exp(room * array("fall", "log", fall))

    def supply(self, fall: Any = 0.0) -> Any:
        """Coins outstanding at a log fall (any shape in, same shape out)."""
        return self.usd / self.price * np.exp((1.0 - self.elasticity) * array("fall", "log", fall))

    @property
    def dead_at(self) -> float:
        """USD of redemptions at which the price is zero, M0 (1 - a)/a; infinite at an elasticity of 0."""
        a = self.elasticity
        return self.usd * (1.0 - a) / a if a else math.inf

    def fall_after(self, redeemed: Any) -> Any:
        """Log fall once this many USD are redeemed, infinite from `dead_at` on (any shape, same out)."""
        share = array("redeemed", "USD", redeemed, at_least=0) / self.usd
        a = self.elasticity
        with np.errstate(divide="ignore"):
            # Below this the two agree to the last digit of a float.
            fall = np.log1p(np.maximum(-share * a / (1.0 - a), -1.0)) / -a if a > 1e-16 else share
        return fall if fall.ndim else float(fall)
