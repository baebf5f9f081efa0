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
