"""Who sells and who buys: one supply curve each."""

from panicsim.participants.base import SCAN, Participant, named, numbered, slope_signs
from panicsim.participants.dealers import Dealers
from panicsim.participants.fear import Fear
from panicsim.participants.herd import Herd
from panicsim.participants.lending_pool import LendingPool
from panicsim.participants.longs import Longs, liquidation_price
from panicsim.participants.miners import Miners
from panicsim.participants.rebalancer import Rebalancer
from panicsim.participants.redeemers import Redeemers
from panicsim.participants.senior_tranche import SeniorTranche
from panicsim.participants.value_buyers import ValueBuyers

__all__ = [
    "SCAN",
    "Dealers",
    "Fear",
    "Herd",
    "LendingPool",
    "Longs",
    "Miners",
    "Participant",
    "Rebalancer",
    "Redeemers",
    "SeniorTranche",
    "ValueBuyers",
    "liquidation_price",
    "named",
    "numbered",
    "slope_signs",
]
