"""Colours, fonts and axes of every figure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.colors import ListedColormap


@dataclass(frozen=True)
class Hue:
    """One colour: its line and its words on light and on dark pages, its dash and its hatch."""

    name: str
    line: str
    line_dark: str
    word: str
    word_dark: str
    dash: Any
    hatch: str


HUES = (
    Hue("blue", "#0072b2", "#3d9fdf", "#0072b2", "#56b4e9", "-", ""),
    Hue("orange", "#d55e00", "#e8712a", "#b04d00", "#f0853a", (0, (6, 2)), "///"),
    Hue("green", "#009e73", "#1fb48b", "#00795a", "#2fbf95", (0, (1.2, 1.6)), "\\\\\\"),
    Hue("purple", "#cc79a7", "#d68bb5", "#a2507c", "#dc94bd", (0, (6, 2, 1.2, 2)), "..."),
    Hue("grey", "#6b7280", "#868e9b", "#5f6774", "#a3abb8", (0, (3, 2)), "---"),
)
BLUE, ORANGE, GREEN, PURPLE, GREY = (hue.line for hue in HUES)
INK = "#24292f"
"""Text and axes: becomes the text colour of the page (never pure black, so that a slip shows)."""
GROUND = "#ffffff"
"""The paper: becomes the background of the page. Use it for gaps between bars and hatches."""
CIVIDIS = ListedColormap(mpl.colormaps["cividis"].resampled(10)(np.arange(10)), name="cividis10")
"""Cividis in ten steps, for heat maps: readable in grey and by colour-blind readers."""

BY_COLOUR = {hue.line: hue for hue in HUES}
BY_NAME = {hue.name: hue for hue in HUES}


def hue_of(colour: str) -> Hue:
    found = BY_COLOUR.get(colour) or BY_NAME.get(colour)
    if found is None:
        raise ValueError(f"colour={colour!r} is not of the house: choose from {', '.join(BY_NAME)}")
    return found


_RC: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.labelpad": 6,
    "axes.labelsize": 12,
    "axes.linewidth": 0.9,
    "axes.prop_cycle": cycler(
        color=[h.line for h in HUES], linestyle=[h.dash for h in HUES], linewidth=[2.2] * len(HUES)
    ),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.13,
    "figure.dpi": 72,
    "figure.figsize": (480 / 72, 280 / 72),
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same layout on every machine
    "font.size": 12,
    "grid.alpha": 0.28,
    "grid.color": INK,
    "grid.linewidth": 0.8,
    "hatch.color": GROUND,
    "hatch.linewidth": 1.1,
    "image.cmap": "cividis",
    "image.interpolation": "none",
    "legend.borderaxespad": 0.2,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "lines.linewidth": 2.2,
    "lines.markersize": 7,
    "lines.solid_capstyle": "round",
    "lines.scale_dashes": True,
    "patch.linewidth": 1.0,
    "text.color": INK,
    "text.parse_math": False,  # "$5 and $10" is money, not mathematics
    "xtick.color": INK,
    "xtick.labelsize": 11,
    "xtick.major.pad": 5,
    "xtick.major.size": 4,
    "ytick.color": INK,
    "ytick.labelsize": 11,
    "ytick.major.pad": 5,
    "ytick.major.size": 0,
}


_depth = 0


@contextmanager
def house() -> Iterator[None]:
    """Draw in the house style: a context (``with house():``) that also decorates (``@house()``)."""
    global _depth
    if _depth:  # entering matplotlib's context costs half a millisecond
        yield
        return
    _depth += 1
    try:
        with mpl.rc_context(_RC):
            yield
    finally:
        _depth -= 1
