"""Plots of results: they only draw, in the house style, what the results already hold."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from panicsim._check import Array
from panicsim.film import Run
from panicsim.photograph import Cascade, Gain, round_map
from panicsim.style import BLUE, GREY, GROUND, INK, ORANGE, area, figure, label_end, pen, percent
from panicsim.watch import Radar


def plot_cascade(
    photo: Cascade, deepest: float | None = None, rounds: int | None = None, shown: int | None = None
) -> Figure:
    """Draw the staircase between the round map and the diagonal, and the price ladder beside it.

    Parameters
    ----------
    photo : Cascade
    deepest : float, optional
        Log fall at which the axes end; a little beyond the end of the cascade if not given.
    rounds : int, optional
        Rounds on the ladder's axis; as many as there are, at most twelve, if not given.
    shown : int, optional
        Rounds drawn, to watch the cascade grow; all if not given.
    """
    deepest = deepest or min(1.25 * photo.fall, 3.0) or 0.01
    rounds = rounds or int(np.clip(len(photo.rounds), 3, 12))
    made, (stairs, ladder) = figure(560, 300, ncols=2, width_ratios=[1.15, 1])
    path = np.concatenate([[photo.shock], photo.rounds[:shown]])
    _stairs(stairs, photo, path, deepest)
    _ladder(ladder, photo, path, deepest, rounds)
    return made


def _stairs(ax: Axes, photo: Cascade, path: Array, deepest: float) -> None:
    """Draw how each round turns the fall so far into the next one, until nothing is added."""
    x = np.linspace(0.0, deepest, 601)
    ax.plot(x, x, **pen(GREY, linewidth=1.4))
    ax.plot(x, round_map(photo, x), **pen(BLUE))
    path = path[: np.searchsorted(path, deepest) + 1]
    ax.plot(
        np.repeat(path, 2)[:-1], np.concatenate([[0.0], np.repeat(path[1:], 2)]), **pen(ORANGE, linestyle="-")
    )
    if path[-1] <= deepest:
        ax.plot(path[-1:], path[-1:], "o", color=ORANGE, markersize=9)
    ax.set(xlim=(0, deepest), ylim=(0, deepest), xlabel="fall so far")
    ax.set_title("Fall after the next round")
    percent(ax.xaxis)
    percent(ax.yaxis)


def _ladder(ax: Axes, photo: Cascade, path: Array, deepest: float, rounds: int) -> None:
    """Draw the price before the news, after it and after each round."""
    market = photo.market
    falls = np.concatenate([[0.0], path])[: rounds + 2]
    number = np.arange(-1, len(falls) - 1)
    ax.step(number, market.price_at(falls), where="mid", **pen(ORANGE, linestyle="-"))
    ax.plot(number, market.price_at(falls), "o", color=ORANGE, markersize=5)
    lowest = float(market.price_at(deepest))
    ax.set(xlim=(-1.5, rounds + 0.5), ylim=(lowest, market.price + 0.03 * (market.price - lowest)))
    ax.set_xticks(range(0, rounds + 1, 1 if rounds < 8 else 4))
    ax.set_xlabel("round (0: the news)")
    ax.set_title("Price, USD")


def plot_gain(gain: Gain) -> Figure:
    """Draw the gain ledger: each gain is put where the one before ended; the last bar is the sum.

    For gains at many falls, draw the profile of the sum instead.
    """
    if np.ndim(gain.fall):
        return _profile(gain)
    names = [*gain.parts, "loop gain"]
    parts = np.array([*gain.parts.values()])
    ends = np.cumsum(parts)
    made, ax = figure(480, 96 + 34 * len(names))
    # A phone draws words larger: room for the longest name.
    made.set_layout_engine("constrained", rect=(0.06, 0, 0.94, 1))
    for row, (part, end) in enumerate(zip(parts, ends, strict=True)):
        ax.barh(row, part, left=end - part, height=0.62, **area(ORANGE if part > 0 else BLUE))
    ax.barh(len(parts), gain.total, height=0.62, **area(GREY, hatch=""))
    for row, (left, value) in enumerate(
        zip([*np.maximum(ends, ends - parts), max(gain.total, 0)], [*parts, gain.total], strict=True)
    ):
        ax.annotate(
            f"{value:+.2f}".replace("-", "−"),
            (left, row),
            (5, 0),
            textcoords="offset points",
            va="center",
            bbox={"facecolor": GROUND, "edgecolor": "none", "pad": 1},  # the dashed line stays behind it
        )
    ax.axvline(1.0, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    ax.axvline(0.0, color=INK, linewidth=0.9)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.grid(False)
    low, high = min(0.0, ends.min(initial=0.0)), max(1.0, ends.max(initial=0.0))
    ax.set_xlim(low - 0.03, high + 0.18 * (high - low))
    ax.set_title("Gain ledger. At 1 (dashed) it tips")
    return made


def _profile(gain: Gain) -> Figure:
    """Draw the loop gain against the fall."""
    made, ax = figure()
    falls = np.ravel(gain.fall)
    (line,) = ax.plot(falls, np.ravel(gain.total), **pen(BLUE))
    label_end(ax, line, "g")
    ax.axhline(1.0, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    ax.set(
        xlim=(falls.min(), falls.max()),
        ylim=(min(0.0, float(np.min(gain.total))), None),
        xlabel="fall so far",
    )
    ax.locator_params(axis="y", nbins=5)
    ax.set_title("Loop gain. From 1 (dashed) on it tips")
    percent(ax.xaxis)
    return made


def plot_run(run: Run) -> Figure:
    """Draw price and value in time; of many paths the median and the bands that hold 50 % and 90 %."""
    made, ax = figure()
    price, value = run.price, run.value
    if price.shape[1] > 1:
        low, first, middle, third, high = np.quantile(price, [0.05, 0.25, 0.5, 0.75, 0.95], axis=1)
        ax.fill_between(run.time, low, high, color=BLUE, alpha=0.18, linewidth=0)
        ax.fill_between(run.time, first, third, color=BLUE, alpha=0.3, linewidth=0)
        price, value = middle, np.median(value, axis=1)
    ax.plot(run.time, value, **pen(GREY), label="value")
    ax.plot(run.time, price, **pen(BLUE), label="price")
    ax.legend(loc="best")
    ax.set(xlim=(run.time[0], run.time[-1]), xlabel="hours")
    ax.set_title("Price and value, USD")
    return made


_ARROWS = ("see", "act", "trade", "pull")
_BOXES = (
    ("price\nfalls", (0.5, 0.86)),
    ("holders\nnotice", (0.87, 0.5)),
    ("orders\narrive", (0.5, 0.14)),
    ("value", (0.13, 0.5)),
)


def plot_radar(radar: Radar, most: float | None = None) -> Figure:
    """Draw the heat of each bin against what the book takes there, and how far away tipping is.

    Parameters
    ----------
    radar : Radar
    most : float, optional
        USD per 1 % at which the axis ends.
    """
    made, ax = figure()
    million = 1e-6
    heat, depth = million * np.maximum(radar.heat, 0.0), million * radar.depth
    ends = np.append(radar.fall, radar.fall[-1] + radar.step)
    ax.stairs(np.minimum(heat, depth), ends, fill=True, **area(BLUE, linewidth=0))
    ax.stairs(np.maximum(heat, depth), ends, baseline=depth, fill=True, **area(ORANGE, linewidth=0))
    ax.stairs(depth, ends, baseline=None, color=INK, linewidth=1.6)
    top = million * most if most else 1.15 * max(heat.max(), depth.max())
    if radar.tipping < ends[-1]:
        ax.axvline(radar.tipping, **pen(GREY, linewidth=1.6))
    ax.set(xlim=(0, ends[-1]), ylim=(0, top), xlabel="further fall")
    percent(ax.xaxis)
    ax.set_title("Forced sales and depth, USD million per 1 %")
    return made


def loop_diagram(lit: str) -> Figure:
    """Draw the loop of the book, with one arrow lit: see, act, trade or pull.

    Parameters
    ----------
    lit : str
        Several arrows are joined by a comma: "act, trade".
    """
    wanted = {word.strip() for word in lit.split(",")}
    if not wanted <= set(_ARROWS):
        raise ValueError(f"lit (arrow) must name some of {', '.join(_ARROWS)}, got {lit!r}")
    made, ax = figure(420, 230)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")
    for text, at in _BOXES:
        ax.text(*at, text, ha="center", va="center", fontsize=12, linespacing=1.15)
    # (arrow, from, to, where its name stands): selling goes round on the right, value pulls on the left.
    for name, start, end, word in (
        ("see", (0.60, 0.84), (0.85, 0.64), (0.83, 0.80)),
        ("act", (0.85, 0.36), (0.60, 0.16), (0.83, 0.15)),
        ("trade", (0.5, 0.27), (0.5, 0.73), (0.58, 0.50)),
        ("pull", (0.17, 0.60), (0.40, 0.84), (0.17, 0.80)),
    ):
        on = name in wanted
        colour = ORANGE if on else GREY
        bend = {"see": -0.25, "act": -0.25, "trade": 0.0, "pull": -0.25}[name]
        ax.add_patch(
            FancyArrowPatch(
                start,
                end,
                connectionstyle=f"arc3,rad={bend}",
                arrowstyle="-|>",
                mutation_scale=16,
                color=colour,
                linewidth=3.2 if on else 1.6,
            )
        )
        ax.text(
            *word,
            name,
            color=colour,
            fontsize=14 if on else 12,
            fontweight="bold" if on else "normal",
            ha="center",
        )
    return made
