"""Pools: two heaps of coins and a formula that quotes a price, to anybody and at any hour."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from panicsim._check import Array, array, scalar, whole

# Newton's and the halving steps find what they look for to the last digits of a float.
NEWTON_STEPS = 255
HALVINGS = 60


@dataclass(frozen=True)
class ConstantProduct:
    """A pool that keeps the product of its two reserves.

    Parameters
    ----------
    coins : float
        Reserve of the coin that is priced.
    usd : float
        Reserve of the money, USD.
    fee : float
        Share of what comes in that is left with the pool and buys nothing.

    Notes
    -----
    Selling q coins pays usd g q/(coins + g q) with g = 1 - fee (Adams, Zinsmeister & Robinson 2020; Angeris
    et al. 2021; chapter 2 derives the depth).
    """

    coins: float
    usd: float
    fee: float = 0.0

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "coins", scalar("coins", "coins", self.coins, above=0))
        put(self, "usd", scalar("usd", "USD", self.usd, above=0))
        put(self, "fee", scalar("fee", "share of what comes in", self.fee, at_least=0, below=1))

    @property
    def price(self) -> float:
        """USD per coin for the first coin, before the fee."""
        return self.usd / self.coins

    @property
    def product(self) -> float:
        """k = coins x USD. Without a fee a sale leaves it as it is; with one it grows."""
        return self.coins * self.usd

    def sell(self, coins: float) -> float:
        """USD that the pool pays for coins sold to it at once."""
        coins = (1 - self.fee) * scalar("coins", "coins", coins, at_least=0)
        return self.usd * (coins / (self.coins + coins))

    def after(self, coins: float) -> ConstantProduct:
        """Return the pool after coins were sold to it."""
        coins = scalar("coins", "coins", coins, at_least=0)
        # Not usd - sell: of a pool that is nearly empty that would be the rounding alone.
        left = self.usd * (self.coins / (self.coins + (1 - self.fee) * coins))
        return replace(self, coins=self.coins + coins, usd=left)

    def depth(self, fall: Any = 0.0) -> Any:
        """USD of market selling per 1 % at a log fall (any shape in, same shape out); the fee is left out.

        At a fall of x the pool holds coins e^(x/2), so Lambda(x) = coins e^(x/2)/2, in dollars at the price
        of now: it gets deeper as the price falls. ``ps.Market(price=pool.price, depth=pool.depth)`` is the
        pool as a market.
        """
        return 0.01 * self.price * self.coins / 2 * np.exp(array("fall", "log", fall) / 2)


@dataclass(frozen=True, eq=False)
class StableSwap:
    """A pool for coins that should be worth the same: nearly no impact near balance, a cliff far from it.

    Parameters
    ----------
    balances : sequence of float
        Reserve of each coin, two or more, all counted in one unit (a dollar, an ether).
    amplification : float
        A, from 1 to a million, as the contracts count it: their Ann is A n. (The white paper writes A n^n.)
    fee : float
        Share of what goes out that is left with the pool.

    Attributes
    ----------
    invariant : float
        D, what the coins would add up to in a balanced pool.

    Notes
    -----
    With S the sum of the n balances x_k and K = D prod(D/(n x_k)) every sale keeps the D that solves
    A n S + D = A n D + K (Egorov 2019). So a coin i is worth (A n + K/x_i)/(A n + K/x_j) of the coin j.
    """

    balances: Any
    amplification: float
    fee: float = 0.0
    invariant: float = field(init=False, default=np.nan)

    def __post_init__(self) -> None:
        balances = array("balances", "coins", self.balances, above=0).copy()
        if balances.ndim != 1 or len(balances) < 2:
            raise ValueError(f"balances (coins) must be of two coins or more, got shape {balances.shape}")
        balances.flags.writeable = False
        put = object.__setattr__
        put(self, "balances", balances)
        put(self, "amplification", scalar("amplification", "A", self.amplification, at_least=1, at_most=1e6))
        put(self, "fee", scalar("fee", "share of what goes out", self.fee, at_least=0, below=1))
        put(self, "invariant", self._solved())

    @property
    def _ann(self) -> float:
        return self.amplification * len(self.balances)

    def _solved(self) -> float:
        """D by Newton's method: K(D) + (A n - 1) D is convex, rising, and not too small at D = S."""
        n, total = len(self.balances), self.balances.sum()
        invariant = total
        for _ in range(NEWTON_STEPS):
            product = invariant * np.prod(invariant / (n * self.balances))
            too_much = product + (self._ann - 1) * invariant - self._ann * total
            step = too_much / ((n + 1) * product / invariant + self._ann - 1)
            invariant -= step
            if abs(step) <= 1e-15 * invariant:
                break
        return float(invariant)

    def _pair(self, i: int, j: int) -> tuple[int, int]:
        n = len(self.balances)
        i, j = (whole(name, "index of a coin", k, 0) for name, k in (("i", i), ("j", j)))
        if i >= n or j >= n or i == j:
            raise ValueError(f"i, j (indices of coins) must be two of the {n} coins, got {i} and {j}")
        return i, j

    def _other(self, held: Any, i: int, j: int) -> Any:
        """Balance of coin j if that of coin i is `held`: the root of y^2 + b y = c."""
        n, invariant = len(self.balances), self.invariant
        rest = np.delete(self.balances, [i, j])
        b = held + rest.sum() + invariant / self._ann - invariant
        c = invariant / n * np.prod(invariant / (n * rest)) * (invariant / n) * (invariant / held) / self._ann
        # The root is written so that nothing cancels: c/root for a positive b, root for a negative one.
        root = (np.abs(b) + np.sqrt(b * b + 4 * c)) / 2
        return np.where(b > 0, c / root, root)

    def _state(self, held: Any, i: int, j: int) -> tuple[Any, Any]:
        """Price of i in j, and d ln(price) / d ln(held), if the balance of coin i is `held`."""
        n, invariant, ann = len(self.balances), self.invariant, self._ann
        other = self._other(held, i, j)
        rest = np.prod(invariant / (n * np.delete(self.balances, [i, j])))
        product = invariant * rest * (invariant / (n * held)) * (invariant / (n * other))
        of_i, of_j = product / held, product / other
        price = (ann + of_i) / (ann + of_j)
        # One coin i more is `price` coins j less; K falls with the one and rises with the other.
        moved = price * held / other
        slope = (moved - 2) * of_i / (ann + of_i) - (2 * moved - 1) * of_j / (ann + of_j)
        return price, slope

    def price(self, i: int = 0, j: int = 1) -> float:
        """Price of coin i in coins j, for a very small sale and before the fee."""
        i, j = self._pair(i, j)
        return float(self._state(self.balances[i], i, j)[0])

    def sell(self, coins: float, i: int = 0, j: int = 1) -> float:
        """Coins j that the pool pays for coins i sold to it at once."""
        i, j = self._pair(i, j)
        coins = scalar("coins", "coins", coins, at_least=0)
        out = self.balances[j] - self._other(self.balances[i] + coins, i, j)
        return float(max(out, 0.0) * (1 - self.fee))

    def after(self, coins: float, i: int = 0, j: int = 1) -> StableSwap:
        """Return the pool after coins i were sold to it for coins j; the fee stays in it."""
        i, j = self._pair(i, j)
        balances = self.balances.copy()
        balances[i] += scalar("coins", "coins", coins, at_least=0)
        # Not what was there less what is paid: of a pool that is nearly empty that would be the rounding.
        left = float(self._other(balances[i], i, j))
        balances[j] = left + self.fee * max(balances[j] - left, 0.0)
        return StableSwap(balances, self.amplification, self.fee)

    def depth(self, fall: Any = 0.0, i: int = 0, j: int = 1) -> Any:
        """Coins j of market selling per 1 % at a log fall of coin i; the fee is left out.

        Parameters
        ----------
        fall : float or array
            Log falls from the price of now. A sale can make any of them: the price has no floor but 0.

        Returns
        -------
        array in the shape of `fall`
            Lambda(x) times 0.01 times the price of now, as `Market` counts it:
            ``ps.Market(price=pool.price(), depth=pool.depth)`` is the pool as a market.
        """
        i, j = self._pair(i, j)
        start = self.price(i, j)
        fall = array("fall", "log", fall)
        held = self._held_at(np.log(start) - fall, i, j)
        return 0.01 * start * held / -self._state(held, i, j)[1]

    def _held_at(self, log_price: Array, i: int, j: int) -> Array:
        """Balance of coin i at a log price: halving, for the price falls as the balance grows."""
        low, high = (np.full(log_price.shape, np.log(self.invariant) + d) for d in (-60.0, 60.0))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            dear = np.log(self._state(np.exp(middle), i, j)[0]) > log_price
            low, high = np.where(dear, middle, low), np.where(dear, high, middle)
        return np.exp((low + high) / 2)
