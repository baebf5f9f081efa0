"""The book's running crowd: who has come on stage by the end of a chapter. Its sizes are invented."""

from __future__ import annotations

from panicsim._check import whole
from panicsim.participants import (
    Dealers,
    Fear,
    Herd,
    LendingPool,
    Longs,
    Miners,
    Participant,
    Rebalancer,
    SeniorTranche,
    ValueBuyers,
)


def cast(chapter: int) -> list[Participant]:
    """Return the crowd as it stands after a chapter, for the running market of $100 and $2M per 1 %.

    Parameters
    ----------
    chapter : int
        1 or more. The gains after a fall of 5 % are about 0.30 for the panic, -0.25 for the value buyers,
        0.15 for fear, 0.25 for the longs, 0.15 for the loans, 0.20 for the dealers, 0.15 and -0.05 for the
        two funds, and 0.01 for the miners. The senior fund has none there, and a step near a fall of 17 %.
    """
    chapter = whole("chapter", "number", chapter, 1)
    entrances: list[tuple[int, Participant]] = [
        (1, Herd(per_percent=0.6e6, name="panic")),
        (4, ValueBuyers(per_percent=0.5e6, capital=10e6, name="value buyers")),
        (5, Fear(holdings=5.8e4, threshold=0.10, width=0.03, name="fear")),
        (6, Longs.spread(notional=6.1e6, leverage=(3, 25), n=2000, seed=1, name="longs")),
        (7, LendingPool.spread(debt=28e6, ltv=(0.3, 0.78), n=2000, seed=1, name="loans")),
        (8, Dealers(strike=[90, 95, 100], quantity=-5.5e4, expiry=336, name="dealers")),
        (9, Rebalancer(weight=3, aum=5.6e6, name="3× tokens")),
        (9, Rebalancer(weight=0.6, aum=40e6, name="60/40 fund")),
        (11, Miners(cost=0.7e6, produced=1e4, cap=1.2e4, horizon=72, name="miners")),
        (14, SeniorTranche(pool=8e6, name="senior fund")),
    ]
    return [member for entrance, member in entrances if entrance <= chapter]
