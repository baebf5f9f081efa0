"""panicsim: panic selling, liquidation cascades and contrarian opportunity as one feedback loop.

See -> act -> trade -> pull. A fall makes some holders sell, their sales push the price down, and that
makes others sell. `cascade` shows where it ends (the photograph), `simulate` how it gets there (the film).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from panicsim.bars import Bars
from panicsim.depth import Depth
from panicsim.events import News, Sale
from panicsim.film import Run, simulate
from panicsim.games import run_threshold, surviving_share
from panicsim.market import Market, View
from panicsim.measures import metrics, value_at_risk
from panicsim.orderbook import estimate_depth
from panicsim.participants import (
    Dealers,
    Fear,
    Herd,
    LendingPool,
    Longs,
    Miners,
    Participant,
    Rebalancer,
    Redeemers,
    SeniorTranche,
    ValueBuyers,
    liquidation_price,
)
from panicsim.photograph import Cascade, Gain, cascade, loop_gain, tipping_shock
from panicsim.rules import (
    CircuitBreaker,
    Fees,
    Governance,
    Liquidators,
    Oracle,
    RedemptionQueue,
    Rule,
    StabilityPool,
    VolatilityMargin,
    Waterfall,
)
from panicsim.sizing import kelly
from panicsim.watch import early_warning, radar, roc

if TYPE_CHECKING:
    from panicsim.explore import explore as explore

__version__ = "0.1.0"

__all__ = [
    "Bars",
    "Cascade",
    "CircuitBreaker",
    "Dealers",
    "Depth",
    "Fear",
    "Fees",
    "Gain",
    "Governance",
    "Herd",
    "LendingPool",
    "Liquidators",
    "Longs",
    "Market",
    "Miners",
    "News",
    "Oracle",
    "Participant",
    "Rebalancer",
    "Redeemers",
    "RedemptionQueue",
    "Rule",
    "Run",
    "Sale",
    "SeniorTranche",
    "StabilityPool",
    "ValueBuyers",
    "View",
    "VolatilityMargin",
    "Waterfall",
    "cascade",
    "early_warning",
    "estimate_depth",
    "kelly",
    "liquidation_price",
    "loop_gain",
    "metrics",
    "radar",
    "roc",
    "run_threshold",
    "simulate",
    "surviving_share",
    "tipping_shock",
    "value_at_risk",
]


def __getattr__(name: str) -> Any:
    """Load `explore` when it is first used: it needs matplotlib, the model needs numpy alone."""
    if name == "explore":
        import importlib

        explore = importlib.import_module("panicsim.explore").explore
        # The submodule is called explore too and has just taken the name; the function is what is meant.
        globals()["explore"] = explore
        return explore
    raise AttributeError(f"module 'panicsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Names of the library; `explore` is one of them, though a star import leaves it to those who draw."""
    return sorted([*__all__, "explore", "__version__"])
