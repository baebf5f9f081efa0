"""Rules of the venue: what bends, limits, delays, cancels or pays for what participants want."""

from panicsim.rules.base import Rule
from panicsim.rules.circuit_breaker import CircuitBreaker
from panicsim.rules.fees import Fees
from panicsim.rules.governance import Governance
from panicsim.rules.liquidators import Liquidators
from panicsim.rules.oracle import Oracle, attack_cost, safe_interest
from panicsim.rules.redemption_queue import RedemptionQueue
from panicsim.rules.stability_pool import StabilityPool
from panicsim.rules.volatility_margin import VolatilityMargin
from panicsim.rules.waterfall import Waterfall, deleveraged

__all__ = [
    "CircuitBreaker",
    "Fees",
    "Governance",
    "Liquidators",
    "Oracle",
    "RedemptionQueue",
    "Rule",
    "StabilityPool",
    "VolatilityMargin",
    "Waterfall",
    "attack_cost",
    "deleveraged",
    "safe_interest",
]
