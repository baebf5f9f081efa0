"""LendingPool: dollars lent against coins, and repaid by whoever wants the coins at a discount."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from panicsim._check import Array, array, broadcast, frozen, scalar, summed, whole
from panicsim._csv import columns
from panicsim.market import Market, View
from panicsim.participants.base import Participant
from panicsim.participants.level_map import LevelMap


@dataclass(frozen=True, eq=False)
class LendingPool(Participant):
    """Loans in dollars against collateral in coins. Unhealthy ones are repaid in parts, their coins sold.

    Parameters
    ----------
    collateral : float or array
        Coins posted, C. Broadcasts against `debt`.
    debt : float or array
        USD owed, D. A loan without debt is never touched.
    threshold : float
        Share of the collateral's value that may be owed, theta.
    close_factor : float
        Share of the debt that one liquidation may repay, f.
    bonus : float
        Discount for the one who repays, b: a repaid dollar buys 1 + b dollars' worth of coins.
    halt : float, optional
        Loan-to-value beyond which nothing is liquidated until the price is back; None: no such stop. The
        toxic frontier is 1/(1 + bonus).
    lag : float
        Reaction time of the liquidators in hours; a minute by default.
    cells : int
        Groups of loans of nearly equal health that a film keeps track of. With no more distinct
        liquidation prices than cells a film is exact.
    name : str, optional

    Notes
    -----
    Health is HF = theta C P / D. At HF <= 1 a liquidation repays f D, but no more than C P / (1 + b), and
    takes (1 + b) / P coins for each dollar repaid; they are sold at once. It improves the loan only while
    D / (C P) < 1 / (1 + b), the toxic frontier (chapter 7, "Collateral"; Warmuz, Chaudhary & Pinna 2022).

    `sold_by` is the curve of a slow fall, in which each loan is liquidated at HF = 1 again and again: at
    levels ln((1 - a)/(1 - f)) apart, the share a = (1 + b) f theta of what is left each time. A fast fall
    sells more coins for the same dollars; the film sees that, the photograph does not. In the film
    liquidators repay at the price they see and sell at the fill: the slippage is theirs. A liquidation that
    has begun goes on until f D is repaid, and rests while the price alone makes the loan healthy. With a
    `lag` liquidators keep coming while HF <= 1, so a loan may repay a little more; with lag 0 a step repays
    f D.
    """

    collateral: Any
    debt: Any
    threshold: float = 0.80
    close_factor: float = 0.5
    bonus: float = 0.05
    halt: float | None = None
    lag: float = 1 / 60
    cells: int = 200
    name: str | None = None
    one_way: bool = field(default=True, init=False, repr=False)
    _bare: bool = field(init=False, repr=False)
    _map: LevelMap = field(init=False, repr=False)
    _slow: LevelMap = field(init=False, repr=False)
    _cells: tuple[Array, Array] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check_common()
        put = object.__setattr__
        put(self, "threshold", scalar("threshold", "share of collateral", self.threshold, above=0, below=1))
        put(
            self,
            "close_factor",
            scalar("close_factor", "share of debt", self.close_factor, at_least=0.01, at_most=1),
        )
        put(self, "bonus", scalar("bonus", "share of repayment", self.bonus, at_least=0))
        if self.halt is not None:
            put(self, "halt", scalar("halt", "share of collateral", self.halt, above=self.threshold))
        put(self, "cells", whole("cells", "groups of loans", self.cells, 1))
        collateral = array("collateral", "coins", self.collateral, at_least=0)
        debt = array("debt", "USD", self.debt, at_least=0)
        wide = broadcast(collateral=collateral, debt=debt)
        put(self, "collateral", frozen(wide[0]))
        put(self, "debt", frozen(wide[1]))
        with np.errstate(over="ignore"):
            put(self, "_bare", bool(np.any(np.isinf(self.liquidation_price))))
        put(self, "_map", LevelMap.of(np.ravel(self.liquidation_price), np.ravel(self.collateral)))
        put(self, "_slow", self._slowly())
        put(self, "_cells", self._grouped())

    def _grouped(self) -> tuple[Array, Array]:
        """Collateral and debt by cell, the first to be liquidated first."""
        owing = (np.ravel(self.debt) > 0) & (np.ravel(self.collateral) > 0)
        price = np.ravel(self.liquidation_price)[owing]
        in_turn = np.argsort(-price, kind="stable")
        coins, debt = (np.ravel(v)[owing][in_turn] for v in (self.collateral, self.debt))
        # Loans with the same price share a cell; where there are too many prices, cells are of equal debt.
        cell = np.cumsum(np.diff(price[in_turn], prepend=price.max(initial=0.0)) < 0)
        if cell.size and cell[-1] >= self.cells:
            so_far = np.cumsum(debt) - debt / 2
            cell = np.minimum((so_far / debt.sum() * self.cells).astype(np.intp), self.cells - 1)
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        if not starts.size:
            return coins, debt
        return np.add.reduceat(coins, starts), np.add.reduceat(debt, starts)

    @classmethod
    def spread(
        cls,
        debt: float,
        price: float = 100.0,
        ltv: tuple[float, float] = (0.3, 0.75),
        n: int = 1000,
        seed: int = 0,
        **kwargs: Any,
    ) -> LendingPool:
        """Return `n` equal debts whose loan-to-value is spread evenly between two ends.

        Parameters
        ----------
        debt : float
            USD, all loans together.
        price : float
            Price at which the loan-to-value is counted, USD per coin.
        ltv : (float, float)
            Lowest and highest debt over value of the collateral.
        n : int
            Number of loans.
        seed : int
            The same seed gives the same loans.
        **kwargs
            Other arguments of `LendingPool`.
        """
        debt = scalar("debt", "USD", debt, at_least=0)
        price = scalar("price", "USD per coin", price, above=0)
        ends = array("ltv", "share of collateral", ltv, above=0, below=1)
        if ends.shape != (2,) or ends[0] > ends[1]:
            raise ValueError(f"ltv (share of collateral) must be two numbers, lowest first, got {ltv!r}")
        n, seed = whole("n", "loans", n, 1), whole("seed", "start of the draws", seed, 0)
        draws = np.random.default_rng(seed).uniform(ends[0], ends[1], size=n)
        return cls(debt / n / price / draws, debt / n, **kwargs)

    @classmethod
    def read_csv(cls, path: Any, **kwargs: Any) -> LendingPool:
        """Read loans from a file of comma-separated values, one loan a row.

        Parameters
        ----------
        path : str, path or open file
            The first line names the columns, in any order; other columns are passed over.

            ============  =====================================================
            column        holds
            ============  =====================================================
            `collateral`  coins posted; above 0 where there is debt
            `debt`        USD owed
            ============  =====================================================
        **kwargs
            Other arguments of `LendingPool`.

        Raises
        ------
        ValueError
            At the first defect: file, line, column, what was expected and what stands there.
        """
        cls([], [], **kwargs)  # an argument is refused as such, not as a row

        def pool(collateral: Array, debt: Array) -> LendingPool:
            loans = cls(collateral, debt, **kwargs)
            if loans._bare:
                raise ValueError("collateral (coins) must be above 0 where there is debt, got 0.0")
            return loans

        return columns(path, {"collateral": "coins", "debt": "USD"}).make(pool)

    @property
    def liquidation_price(self) -> Any:
        """Price at which each loan's health is 1, D / (theta C), USD per coin; 0 without debt."""
        return _over(self.debt, self.threshold * self.collateral)

    @property
    def toxic_price(self) -> Any:
        """Price under which a liquidation makes each loan worse, D (1 + b) / C, USD per coin."""
        return _over(self.debt * (1.0 + self.bonus), self.collateral)

    def health(self, price: Any) -> Any:
        """Health factor of each loan at a price, theta C P / D; infinite without debt."""
        worth = self.threshold * self._worth(price)
        health = np.divide(worth, self.debt, out=np.full(worth.shape, np.inf), where=self.debt > 0)
        return health if health.ndim else float(health)

    def ltv(self, price: Any) -> Any:
        """Debt over the value of the collateral of each loan at a price; 0 without debt."""
        return _over(self.debt, self._worth(price))

    def _worth(self, price: Any) -> Array:
        """Worth of each loan's collateral at a price, USD."""
        price, coins = broadcast(
            price=array("price", "USD per coin", price, above=0), collateral=self.collateral
        )
        return coins * price

    def liquidated(self, price: float) -> LendingPool:
        """Return the pool after one liquidation, at a price, of every loan whose health is 1 or less."""
        price = scalar("price", "USD per coin", price, above=0)
        due = self.health(price) <= 1.0 + 1e-12
        most = self.collateral * price / (1.0 + self.bonus)
        repaid = np.where(due, np.minimum(self.close_factor * self.debt, most), 0.0)
        coins = np.maximum(self.collateral - (1.0 + self.bonus) * repaid / price, 0.0)
        return replace(self, collateral=coins, debt=self.debt - repaid)

    def meets(self, market: Market) -> None:
        """Refuse a loan that is already unhealthy at the market's price."""
        if self._map.touches(market) or self._bare:
            highest = np.inf if self._bare else self._map.highest
            raise ValueError(
                f"debt (USD) must leave every liquidation price under the market's {market.price:g}:"
                f" one stands at {highest:g}, its loan is already unhealthy"
            )

    def sold_by(self, fall: Any, market: Market) -> Any:
        """Coins sold once the price has slowly fallen by `fall` (log; any shape in, same shape out)."""
        return self._slow.sold_by(fall, market)

    def _slowly(self) -> LevelMap:
        """The map of a slow fall: what is left of a loan is reached again and again, further down."""
        share = (1.0 + self.bonus) * self.close_factor * self.threshold
        if self.close_factor == 1.0:
            return self._map.again(min(share, 1.0), np.inf)
        # What is left has 1 - a of the coins and 1 - f of the debt; if it is no healthier, all goes at once.
        apart = np.log((1.0 - share) / (1.0 - self.close_factor)) if share < 1.0 else 0.0
        return self._map.again(share, apart) if apart > 0.0 else self._map

    def start(self, view: View) -> Any:
        """Return the books of one run: collateral and debt by cell and path, and what is being repaid."""
        shape = (len(self._cells[0]), view.paths)
        collateral, debt = (np.broadcast_to(v[:, None], shape).copy() for v in self._cells)
        return {
            "collateral": collateral,
            "debt": debt,
            "granted": np.zeros(shape),  # USD that liquidators may repay and have not yet
            "wanted": np.zeros(view.paths),  # coins that this takes
            "reach": 0,  # cells that the fall has reached on any path; the others have nothing to do
            "until": np.zeros(shape),  # up to which price they may
            "offered": np.zeros((0, view.paths)),  # USD of it that they may repay at the price of now
            "done": np.zeros(view.paths),
            "repaid": np.zeros(view.paths),
            "settled": np.zeros(view.paths),
        }

    def react(self, view: View, mine: Any) -> Array:
        """Return the wanted flow in coins, all of it sales."""
        price = np.asarray(view.market.price_at(view.fall))
        coins, debt = self._cells
        healthy = self.threshold * coins * price.min(initial=np.inf) > debt
        mine["reach"] = reach = max(mine["reach"], int(len(healthy) - np.sum(healthy)))
        collateral, debt, granted = (mine[key][:reach] for key in ("collateral", "debt", "granted"))
        worth = collateral * price
        due = self.threshold * worth <= debt
        np.maximum(granted, self.close_factor * debt, out=granted, where=due)
        # What has begun goes on while the loan, as it was then, is unhealthy at the price of now.
        until = mine["until"][:reach]
        np.divide((1 + 1e-12) * debt, self.threshold * collateral, out=until, where=due & (collateral > 0))
        np.minimum(granted, worth / (1.0 + self.bonus), out=granted)
        mine["price"], mine["offered"] = price, granted * (price <= until)
        if self.halt is not None:
            mine["offered"] = mine["offered"] * (debt <= self.halt * worth)
        mine["wanted"] = (1.0 + self.bonus) * summed(mine["offered"]) / price
        self._settle(view, mine)  # also what was closed before it was wanted
        return -mine["wanted"]

    def filled(self, coins: Array, fill: Array, view: View, mine: Any) -> None:
        """Book what was sold: the liquidators repay at the price they saw."""
        self._pay(-coins, "repaid", mine)

    def _settle(self, view: View, mine: Any) -> None:
        """Book what rules have closed: it was settled between the parties."""
        closed = view.done - mine["done"]
        # Less than this is rounding, and waits until it is more.
        self._pay(np.where(closed > 1e-9 * mine["wanted"], closed, 0.0), "settled", mine)

    def _pay(self, coins: Array, account: str, mine: Any) -> None:
        """Hand over coins for the dollars that they stand for, at every cell in proportion."""
        wanted, reach = mine["wanted"], mine["reach"]
        share = np.divide(coins, wanted, out=np.zeros(wanted.shape), where=wanted > 0)
        share = np.minimum(share, 1.0)
        if not share.any():
            return
        paid = share * mine["offered"]
        mine["offered"] = mine["offered"] - paid
        mine["granted"][:reach] -= paid
        mine["debt"][:reach] -= paid
        taken = (1.0 + self.bonus) * paid / mine["price"]
        left = mine["collateral"][:reach]
        np.maximum(left - taken, 0.0, out=left)
        mine[account] += summed(paid)
        mine["done"] += share * wanted
        mine["wanted"] = wanted * (1.0 - share)

    def books(self, view: View, mine: Any) -> dict[str, Array]:
        """Return USD repaid on the market and settled off it, USD owed and coins left, and the bad debt.

        Bad debt is what is owed beyond the worth of the collateral that is left, at the price of the moment.
        """
        self._settle(view, mine)
        collateral, debt = mine["collateral"], mine["debt"]
        price = np.asarray(view.market.price_at(view.fall))
        # The price of now may have jumped past loans that `react` has not looked at yet.
        under = np.sum(self._cells[1] > self._cells[0] * price.min(initial=np.inf))
        low = slice(max(mine["reach"], int(under)))
        short = debt[low] - collateral[low] * price
        return {
            "repaid": mine["repaid"],
            "settled": mine["settled"],
            "owed": summed(debt),
            "collateral": summed(collateral) + np.sum(self.collateral, where=self.debt == 0),
            "bad_debt": summed(np.maximum(short, 0.0)),
        }


def _over(debt: Array, worth: Array) -> Any:
    """Quotient of debt and what secures it: 0 without debt, infinite without security."""
    with np.errstate(divide="ignore"):
        quotient = np.where(debt > 0, debt / np.where(debt > 0, worth + 0.0, 1.0), 0.0)
    return quotient if quotient.ndim else float(quotient)
