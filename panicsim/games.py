"""Games that holders play with each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from panicsim._check import array


def run_threshold(payoff: Any) -> Any:
    """Least liquid share at which holding is the best reply to not knowing what the others do.

    Parameters
    ----------
    payoff : float or array
        What a dollar left in pays if the fund survives, R, at least 1.

    Returns
    -------
    float or array
        The threshold l* = exp(1 - R), a share of deposits, in the shape of `payoff`.

    Notes
    -----
    A holder gets R if no more than the liquid share l runs, else nothing; a runner gets 1 if no more
    than l run, else l/n. With the share n of runners uniform between 0 and 1, holding is worth R l and
    running l - l ln l; they are equal at l* (chapter 5, "Fear"; the belief is that of Morris & Shin 2003).
    """
    threshold = np.exp(1.0 - array("payoff", "per dollar left in", payoff, at_least=1))
    return float(threshold) if threshold.ndim == 0 else threshold
