"""Rules of the venue: what limits, delays, cancels or bends what participants want."""

from __future__ import annotations

from typing import Any

from panicsim._check import Array
from panicsim.market import View


class Rule:
    """A rule of the venue. A subclass implements only the hooks that it needs.

    Rules act in the order of the list within each hook. A want that was lowered comes back in the next
    step, because wants are stocks; only `view.close` makes it disappear. Resting bids send no orders: of the
    rules they feel `book` alone.
    """

    def start(self, view: View) -> Any:
        """Return the state of one run; it belongs to the run."""
        return {}

    def see(self, view: View, mine: Any) -> dict[str, Array]:
        """Return the log fall (paths,) that participants see, by name; who is not named sees the truth."""
        return {}

    def limit(self, wants: dict[str, Array], view: View, mine: Any) -> dict[str, Array]:
        """Return the orders (signed coins, (paths,), by name) that may reach the market; none may grow."""
        return wants

    def book(self, view: View, mine: Any) -> Any:
        """Return the share of depth that is there, (paths,) or a number; 0 is a closed market."""
        return 1.0

    def settle(self, view: View, mine: Any) -> None:
        """Settle what follows from the trades of this step."""
