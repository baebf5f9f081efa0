"""The house style: `figure` makes a figure in it, `pen` and `area` give a colour its dash or its hatch.

A `HouseFigure` shows itself in a notebook as an SVG in the colours of the page.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter

from panicsim._static import is_static
from panicsim.palette import BLUE, CIVIDIS, GREEN, GREY, GROUND, INK, ORANGE, PURPLE, house, hue_of
from panicsim.svg import bundle, picture_page, png, svg

__all__ = [
    "BLUE",
    "CIVIDIS",
    "GREEN",
    "GREY",
    "GROUND",
    "INK",
    "ORANGE",
    "PURPLE",
    "HouseFigure",
    "area",
    "figure",
    "house",
    "is_static",
    "label_end",
    "pen",
    "percent",
    "png",
    "short",
    "svg",
]


def pen(colour: str, **more: Any) -> dict[str, Any]:
    """Colour, dash and width of a line, for `Axes.plot`.

    Parameters
    ----------
    colour : str
        A house colour (`BLUE` or its name ``"blue"``).
    **more
        Further line properties; they win.

    Examples
    --------
    >>> ax.plot(hours, price, **pen(ORANGE))  # doctest: +SKIP
    """
    hue = hue_of(colour)
    return {"color": hue.line, "linestyle": hue.dash, "linewidth": 2.2, **more}


def area(colour: str, **more: Any) -> dict[str, Any]:
    """Colour and hatch of a filled shape, for `Axes.bar`, `Axes.stairs` or `Axes.fill_between`.

    Parameters
    ----------
    colour : str
        A house colour (`BLUE` or its name ``"blue"``).
    **more
        Further patch properties; they win.
    """
    hue = hue_of(colour)
    return {"facecolor": hue.line, "edgecolor": GROUND, "hatch": hue.hatch, "linewidth": 1.0, **more}


def _in_house(name: str) -> Callable[..., Any]:
    """Return a drawing method of `Axes` that runs in the house style, wherever it is called from."""
    method = getattr(Axes, name)

    @functools.wraps(method)
    def styled(self: Axes, *args: Any, **kwargs: Any) -> Any:
        with house():
            return method(self, *args, **kwargs)

    return styled


class HouseAxes(Axes):
    """Axes that draw in the house style: matplotlib reads its settings when a method is called."""


for _method in (
    "annotate", "axhline", "axvline", "bar", "barh", "fill_between", "hist", "hlines", "imshow", "legend",
    "plot", "scatter", "set_title", "set_xlabel", "set_ylabel", "stairs", "step", "text", "vlines",
):  # fmt: skip
    setattr(HouseAxes, _method, _in_house(_method))


class HouseFigure(Figure):
    """A matplotlib figure that shows itself as an SVG in the colours of the page.

    Attributes
    ----------
    alt : str
        What the figure shows, for readers who do not see it. The axes' titles stand in for a missing one.
    """

    alt: str = ""

    def draw(self, renderer: RendererBase) -> None:
        """Draw in the house style, in which matplotlib makes the ticks that are still missing."""
        with house():
            super().draw(renderer)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        alt = self.alt or ". ".join(filter(None, (ax.get_title(loc="left") for ax in self.axes)))
        return bundle(picture_page(svg(self, alt=alt)), alt, self)


def figure(
    width: float = 480, height: float = 280, nrows: int = 1, ncols: int = 1, *, alt: str = "", **subplots: Any
) -> tuple[HouseFigure, Any]:
    """Make a figure and its axes in the house style, unknown to pyplot.

    Parameters
    ----------
    width, height : float
        View box in pixels. A page shows it at most 640 pixels wide.
    nrows, ncols : int
        Grid of axes.
    alt : str
        What the figure shows, for readers who do not see it.
    **subplots
        Further arguments of `matplotlib.figure.Figure.subplots` (``sharey``, ``width_ratios`` …).

    Returns
    -------
    HouseFigure, Axes or array of Axes
    """
    with house():
        made = HouseFigure(figsize=(width / 72, height / 72))
        made.alt = alt
        FigureCanvasAgg(made)
        subplots["subplot_kw"] = {"axes_class": HouseAxes, **subplots.get("subplot_kw", {})}
        return made, made.subplots(nrows, ncols, **subplots)


def label_end(ax: Axes, line: Line2D, text: str | None = None, dy: float = 0.0) -> Annotation:
    """Write a line's name where the line ends, in the line's colour: easier to read than a legend.

    Parameters
    ----------
    ax : Axes
    line : Line2D
        A line with at least one finite point.
    text : str, optional
        The line's own label if not given.
    dy : float
        Shift upwards in pixels, to part two labels that would touch.
    """
    points = np.column_stack(line.get_data(orig=False))
    ends = points[np.isfinite(points).all(axis=1)]
    if not len(ends):
        raise ValueError("line has no finite point, so it has no end to label")
    return ax.annotate(
        str(line.get_label() if text is None else text), xy=tuple(ends[-1]), xytext=(7, dy),
        textcoords="offset points", va="center", color=line.get_color(), fontsize=12, fontweight="bold",
        annotation_clip=False,
    )  # fmt: skip


def percent(axis: Any, decimals: int = 0) -> None:
    """Write the ticks of an axis (``ax.yaxis``) as percentages: 0.05 becomes 5 %."""

    def write(value: float, _: object) -> str:
        return f"{100 * value:.{decimals}f} %".replace("-", "−")

    axis.set_major_formatter(FuncFormatter(write))


def short(value: float) -> str:
    """Write a number briefly: 2000000 becomes 2M, 0.05 stays 0.05.

    Examples
    --------
    >>> short(2e6), short(0.05), short(-1500), short(12e9)
    ('2M', '0.05', '−1500', '12B')
    """
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.4g}{letter}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")
