"""What comes from outside the loop: news about value, and sales that would have happened anyway."""

from __future__ import annotations

from dataclasses import dataclass

from panicsim._check import scalar


@dataclass(frozen=True)
class News:
    """A change of what the asset is worth; the price follows at once.

    Parameters
    ----------
    change : float
        Natural-log change of value, negative for bad news.
    at : float
        Hours after the start. Participants see it one step later.
    """

    change: float
    at: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "change", scalar("change", "log of value", self.change))
        object.__setattr__(self, "at", scalar("at", "hours", self.at, at_least=0))


@dataclass(frozen=True)
class Sale:
    """A sale with its own reasons: a large holder, an unlock, a treasury.

    Parameters
    ----------
    coins : float
        Coins sold in all.
    at : float
        Hours after the start.
    over : float
        Hours it takes, at an even rate; 0 sells everything in one step. What lies beyond the end of a run is
        not sold in it.
    """

    coins: float
    at: float = 0.0
    over: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "coins", scalar("coins", "coins", self.coins, at_least=0))
        object.__setattr__(self, "at", scalar("at", "hours", self.at, at_least=0))
        object.__setattr__(self, "over", scalar("over", "hours", self.over, at_least=0))

    @classmethod
    def vesting(
        cls, unlocked: float, sold: float = 1.0, at: float = 0.0, over: float = 0.0, ahead: float = 0.0
    ) -> Sale:
        """Return the sale that follows from an unlock: a cliff, a linear vesting, or one that is anticipated.

        Parameters
        ----------
        unlocked : float
            Coins that become sellable.
        sold : float
            Share of them that is sold.
        at : float
            Hours from the start of the run to the date of the unlock, or of the first one.
        over : float
            Hours over which coins unlock evenly; 0 is a cliff.
        ahead : float
            Hours by which sellers anticipate: borrowed or hedged coins are sold from at - ahead on, and
            covered by the unlocked ones, so that the number of coins sold stays the same.
        """
        unlocked = scalar("unlocked", "coins", unlocked, at_least=0)
        sold = scalar("sold", "share of the unlocked", sold, at_least=0, at_most=1)
        at = scalar("at", "hours", at, at_least=0)
        over = scalar("over", "hours", over, at_least=0)
        ahead = scalar("ahead", "hours", ahead, at_least=0, at_most=at)
        return cls(unlocked * sold, at - ahead, over + ahead)
