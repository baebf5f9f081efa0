"""Knobs: the values a reader can choose, with a label, a unit and a way to write each value."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from panicsim.style import short

Format = str | Callable[[Any], str]
Place = tuple[int, ...]
"""A point of the knob grid: one index for each knob."""


@dataclass(frozen=True)
class Knob:
    """One knob of a figure.

    Attributes
    ----------
    name : str
        Name of the function's parameter.
    values : tuple
        The values on its grid, as plain Python objects.
    texts : tuple of str
        How each value is written, with its unit.
    label : str
        What the reader calls it.
    default : int
        Index of the default value.
    """

    name: str
    values: tuple[Any, ...]
    texts: tuple[str, ...]
    label: str
    default: int

    def index(self, value: Any, where: str) -> int:
        """Return the index of a value, or say which values there are."""
        # Of a grid like np.arange(-0.3, 0.4, 0.1) the middle is 5.6e-17.
        size = max((abs(own) for own in self.values if _is_number(own)), default=0)
        for i, own in enumerate(self.values):
            numbers = _is_number(own) and _is_number(value)
            if own == value or (numbers and math.isclose(own, value, rel_tol=1e-9, abs_tol=1e-12 * size)):
                return i
        choice = ", ".join(map(_plain, self.values))
        raise ValueError(f"{where}: {self.name}={_plain(value)} is not on its grid ({choice})")


def read_knobs(
    function: Callable[..., Any], grids: Mapping[str, Iterable[Any]], units: Mapping[str, str],
    labels: Mapping[str, str], formats: Mapping[str, Format],
) -> tuple[Knob, ...]:  # fmt: skip
    """Check the grids against the function's parameters and make the knobs, in their order."""
    parameters = inspect.signature(function).parameters
    _same_names(function, parameters, grids)
    for what, given in (("units", units), ("labels", labels), ("format", formats)):
        for name in given:
            if name not in grids:
                raise ValueError(f"{what}: {name!r} is not a knob ({_names(grids)})")
    return tuple(
        _knob(name, grids[name], parameters[name], units.get(name, ""), labels.get(name), formats.get(name))
        for name in parameters
    )


def places(knobs: Sequence[Knob]) -> list[Place]:
    """Return all points of the grid, the last knob turning fastest."""
    return list(product(*(range(len(knob.values)) for knob in knobs)))


def describe(knobs: Sequence[Knob], place: Place) -> str:
    """Write the knobs at a point of the grid as arguments: ``depth=2000000.0, shock=0.04``."""
    return ", ".join(f"{knob.name}={_plain(knob.values[i])}" for knob, i in zip(knobs, place, strict=True))


def _same_names(function: Callable[..., Any], parameters: Iterable[str], grids: Iterable[str]) -> None:
    wanted, given = set(parameters), set(grids)
    title = getattr(function, "__name__", "the function")
    if missing := sorted(given - wanted):
        raise ValueError(f"knob {missing[0]!r} is no parameter of {title} ({_names(parameters)})")
    if missing := sorted(wanted - given):
        raise ValueError(f"parameter {missing[0]!r} of {title} has no knob: give {missing[0]}=[values]")


def _knob(
    name: str, grid: Iterable[Any], parameter: inspect.Parameter, unit: str, label: str | None,
    form: Format | None,
) -> Knob:  # fmt: skip
    values = _values(name, grid)
    if parameter.default is inspect.Parameter.empty:
        raise ValueError(f"parameter {name!r} needs a default: it is the frame that the reader sees first")
    texts = tuple(_text(name, value, unit, form) for value in values)
    knob = Knob(name, values, texts, label or name.replace("_", " ").capitalize(), 0)
    return replace(knob, default=knob.index(parameter.default, "default"))


def _values(name: str, grid: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(grid, str) or not isinstance(grid, Iterable):
        raise ValueError(f"{name}={grid!r} is not a list of values")
    values = tuple(value.item() if isinstance(value, np.generic) else value for value in grid)
    for value in values:
        if not isinstance(value, (bool, int, float, str)):
            raise ValueError(f"{name}: {value!r} is neither a number nor a text")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}: {value!r} is not a finite number")
    if len(values) < 2 or len(set(values)) < len(values):
        raise ValueError(f"{name}={list(values)!r} needs at least two values, all different")
    return values


def _text(name: str, value: Any, unit: str, form: Format | None) -> str:
    if callable(form):
        text = str(form(value))
    elif form:
        try:
            text = form.format(value) if "{" in form else format(value, form)
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f"format: {form!r} cannot write {name}={value!r} ({error})") from error
    elif _is_number(value):
        text = short(value)
    else:
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> str:
    """Write a value without binary noise: 0.06000000000000001 is 0.06."""
    return f"{value:.12g}" if _is_number(value) else repr(value)


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "there are none"
