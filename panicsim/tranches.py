"""Losses in order: who loses first, and who only when the others have lost everything."""

from __future__ import annotations

from typing import Any

import numpy as np

from panicsim._check import Array, array


def layered(loss: Any, layers: Any) -> Array:
    """Divide a loss over layers, the first of which loses first.

    Parameters
    ----------
    loss : float or array
        In any unit, for example a share of a pool or USD; at least 0.
    layers : array (n,)
        What each layer can lose, in the same unit, the first loss first.

    Returns
    -------
    array (..., n + 1)
        What each layer loses, and last what no layer bears; they sum to `loss`.

    Notes
    -----
    Layer k loses min(max(loss - a_k, 0), size_k), where a_k, its attachment point, is what the layers before
    it can lose (chapter 14, "The waterfall"; Coval, Jurek & Stafford 2009 on what that does to the last one).
    """
    loss = array("loss", "unit of the layers", loss, at_least=0)
    layers = array("layers", "unit of the loss", layers, at_least=0)
    if layers.ndim != 1:
        raise ValueError(f"layers (unit of the loss) must be a row of numbers, got shape {layers.shape}")
    ends = np.concatenate([[0.0], np.cumsum(layers)])
    borne = np.minimum(np.maximum(loss[..., None] - ends[:-1], 0.0), layers)
    return np.concatenate([borne, np.maximum(loss[..., None] - ends[-1], 0.0)], axis=-1)
