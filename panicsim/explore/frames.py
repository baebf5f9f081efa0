"""Frames: one drawing function at every point of its knob grid, in the same axes boxes; and their packing."""

from __future__ import annotations

import base64
import json
import re
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from matplotlib.figure import Figure

from panicsim.explore.knobs import Knob, Place, describe
from panicsim.palette import house
from panicsim.svg import drawing, ghost

_TOKEN = re.compile(r"<[a-z]+[^>]*? d=\"|<[^>]*>|[^<>\"]+\"/>|[^<]+")
"""Cut an SVG into path data and the rest, so that a shape that moves does not repeat its style."""


@dataclass(frozen=True)
class Frame:
    """What a figure shows at one point of the grid: the elements inside the SVG, and the key number."""

    svg: str
    text: str


@dataclass
class Stage:
    """Draws a function's frames in the axes boxes and with the limits of the default frame."""

    function: Callable[..., Any]
    knobs: Sequence[Knob]
    uid: str
    default: Figure = field(init=False)
    ghost: str = field(init=False)

    def __post_init__(self) -> None:
        self.default_place: Place = tuple(knob.default for knob in self.knobs)
        self.default, text = self._call(self.default_place)
        self.default.draw_without_rendering()  # solves the layout
        self._boxes = [ax.get_position(original=True).frozen() for ax in self.default.axes]
        self._limits = _limits(self.default)
        self._size = tuple(self.default.get_size_inches())
        self.default.set_layout_engine("none")
        self._cache = {self.default_place: Frame(drawing(self.default, self.uid), text)}
        self.ghost = ghost(self.default)

    def frame(self, place: Place) -> Frame:
        """Draw one frame, or return it if it was drawn before."""
        if place not in self._cache:
            figure, text = self._call(place)
            self._fix(figure, place)
            self._cache[place] = Frame(drawing(figure, self.uid), text)
        return self._cache[place]

    def _call(self, place: Place) -> tuple[Figure, str]:
        where = self._where(place)
        chosen = {knob.name: knob.values[i] for knob, i in zip(self.knobs, place, strict=True)}
        try:
            with house():
                result = self.function(**chosen)
        except Exception as error:
            raise RuntimeError(f"{where} raised {type(error).__name__}: {error}") from error
        figure, text = result if isinstance(result, tuple) and len(result) == 2 else (result, "")
        if not isinstance(figure, Figure):
            raise ValueError(
                f"{where} must return a matplotlib Figure and a text, not {type(result).__name__}"
            )
        if not isinstance(text, str) or (self.knobs and not text.strip()):
            raise ValueError(f"{where} must return the key number as a text beside the figure, not {text!r}")
        if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
            pyplot.close(figure)  # or the notebook shows it a second time
        return figure, text

    def _where(self, place: Place) -> str:
        return f"{getattr(self.function, '__name__', 'figure')}({describe(self.knobs, place)})"

    def _fix(self, figure: Figure, place: Place) -> None:
        """Give a figure the default frame's boxes, and refuse limits that differ."""
        where = self._where(place)
        limits = _limits(figure)
        if len(limits) != len(self._limits):
            raise ValueError(f"{where} has {len(limits)} axes, the default frame has {len(self._limits)}")
        if tuple(figure.get_size_inches()) != self._size:
            raise ValueError(f"{where} has another size than the default frame")
        for number, (own, fixed) in enumerate(zip(limits, self._limits, strict=True)):
            for axis in ("x", "y"):
                if own[axis] != fixed[axis]:
                    raise ValueError(
                        f"{where} has {axis} limits {own[axis]} on axes {number}, the default frame has "
                        f"{fixed[axis]}: fix them with ax.set_{axis}lim (or plot(deepest=, rounds=)), "
                        "or the frames cannot be compared"
                    )
        figure.set_layout_engine("none")
        for ax, box in zip(figure.axes, self._boxes, strict=True):
            ax.set_position(box)


def _limits(figure: Figure) -> list[dict[str, tuple[float, ...]]]:
    """Return the limits of all axes, rounded so that the last bits of a sum do not matter."""

    def rounded(pair: tuple[float, float]) -> tuple[float, ...]:
        return tuple(float(f"{value:.9g}") for value in pair)

    return [{"x": rounded(ax.get_xlim()), "y": rounded(ax.get_ylim())} for ax in figure.axes]


# --- Packing ---


def pack(frames: Sequence[Frame], **more: Any) -> str:
    """Pack frames for a page: columns of tokens, as JSON, deflated, in base64.

    A column is a string where all frames agree, else ``[distinct values, index per frame]``.
    """
    rows = [_TOKEN.findall(frame.svg) for frame in frames]
    assert all("".join(row) == frame.svg for row, frame in zip(rows, frames, strict=True))
    columns = [_column(values) for values in zip_longest(*rows, fillvalue="")]
    content = {"columns": _joined(columns), "keys": [frame.text for frame in frames], **more}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(packed: str) -> list[Frame]:
    """Return the frames of `pack`, as the page does."""
    content = json.loads(zlib.decompress(base64.b64decode(packed)))
    return [
        Frame("".join(c if isinstance(c, str) else c[0][c[1][i]] for c in content["columns"]), key)
        for i, key in enumerate(content["keys"])
    ]


def _column(values: Sequence[str]) -> str | list[Any]:
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return distinct[0]
    number = {value: i for i, value in enumerate(distinct)}
    return [distinct, [number[value] for value in values]]


def _joined(columns: Sequence[str | list[Any]]) -> list[str | list[Any]]:
    """Join neighbours that are the same in all frames."""
    joined: list[str | list[Any]] = []
    for column in columns:
        last = joined[-1] if joined else None
        if isinstance(column, str) and isinstance(last, str):
            joined[-1] = last + column
        else:
            joined.append(column)
    return joined
