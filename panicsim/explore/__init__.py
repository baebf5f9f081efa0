"""Figures with knobs that are alive everywhere: with Python, in a built page without it, and in print.

`explore` turns a function that draws one matplotlib figure into a figure with knobs. In a notebook real
widgets call the function. When pages are built (``PANICSIM_STATIC=1``) every frame is drawn beforehand and
packed into a piece of page that needs no Python, no server and no network.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib.util import find_spec
from typing import Any

from panicsim._static import is_static
from panicsim.explore.frames import Frame, Stage
from panicsim.explore.knobs import Format, Knob, Place, places, read_knobs
from panicsim.explore.page import Bet, page, picture, table
from panicsim.svg import bundle, picture_page, svg_element

__all__ = ["MAX_BYTES", "MAX_FRAMES", "Exploration", "explore"]

MAX_FRAMES = 121
"""Most points of a knob grid: every frame is drawn when the book is built."""
MAX_BYTES = 100_000
"""Most bytes of one figure in a page."""


def explore(
    *, alt: str, units: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None,
    format: Mapping[str, Format] | None = None, presets: Mapping[str, Mapping[str, Any]] | None = None,
    ghost: bool = False, predict: str | tuple[str, Any] | None = None, play: str | None = None,
    **knobs: Iterable[Any],
) -> Callable[[Callable[..., Any]], Exploration]:  # fmt: skip
    """Make a figure with knobs out of a function that draws it.

    The function takes one parameter for each knob; its defaults are the frame that is seen first. It returns
    a matplotlib figure and the key number as a text. Without knobs the text may be left out. Fix the limits
    of the axes, so that frames can be compared.

    Parameters
    ----------
    alt : str
        What the figure shows, the finding, for readers who do not see it. Required.
    units : dict of str, optional
        Unit of a knob, written after its value.
    labels : dict of str, optional
        What the reader calls a knob; by default its name.
    format : dict of str or callable, optional
        How a knob's value is written: ``"{:.0%}"``, ``".0%"`` or a function.
    presets : dict of dict, optional
        Buttons: a name and knob values. Knobs that are not named take their default.
    ghost : bool
        Keep the lines and shapes of the default frame in grey.
    predict : str or tuple, optional
        A question that the reader answers before the knobs move: ``"Where does it stop?"``, with a unit
        ``("How far does it fall?", "%")`` or with choices ``("Where does it stop?", ["4 %", "10 %"])``.
    play : str, optional
        Name of a knob that gets buttons to play and to step through its values.
    **knobs : sequence
        The values of each knob, at most `MAX_FRAMES` combinations.

    Returns
    -------
    callable
        A decorator that returns an `Exploration`; as last expression of a cell this shows the figure.

    Raises
    ------
    ValueError
        If an argument is not understood, limits differ between frames, or the figure is too big for a page.
    RuntimeError
        If the function raises; the message names the knobs' values.

    Examples
    --------
    >>> import panicsim as ps
    >>> @ps.explore(shock=[0.02, 0.04, 0.06], alt="The echo makes each fall larger.")
    ... def echo(shock=0.04):
    ...     photo = ps.cascade(ps.Market(), [ps.Herd(per_percent=1.2e6)], shock)
    ...     return photo.plot(deepest=0.2, rounds=12), f"ends {photo.fall:.0%} lower"
    """

    def decorate(function: Callable[..., Any]) -> Exploration:
        return Exploration(
            function, knobs, alt, units or {}, labels or {}, format or {}, presets or {}, ghost, predict, play
        )

    return decorate


class Exploration:
    """A figure with knobs, made by `explore`. Call it to draw one frame with matplotlib.

    Attributes
    ----------
    knobs : tuple of Knob
    alt : str
    presets : dict
        Name and point of the grid.
    """

    def __init__(
        self, function: Callable[..., Any], knobs: Mapping[str, Iterable[Any]], alt: str,
        units: Mapping[str, str], labels: Mapping[str, str], formats: Mapping[str, Format],
        presets: Mapping[str, Mapping[str, Any]], ghost: bool,
        predict: str | tuple[str, Any] | None, play: str | None,
    ) -> None:  # fmt: skip
        if not callable(function):
            raise ValueError(f"explore decorates a function that draws a figure, not {function!r}")
        if not isinstance(alt, str) or not alt.strip():
            raise ValueError(f"alt={alt!r} must state the finding for readers who do not see the figure")
        self._function, self._name = function, getattr(function, "__name__", "figure")
        self.knobs = read_knobs(function, knobs, units, labels, formats)
        _at_most_frames(self.knobs)
        self.alt = alt.strip()
        if taken := {"Reset", "Step", "Play"} & set(presets):
            raise ValueError(
                f"presets has {taken.pop()!r}, which is the name of a button that is there already"
            )
        self.presets = {name: self._place(f"presets[{name!r}]", values) for name, values in presets.items()}
        self._play = self._number("play", play) if play is not None else None
        self._bet = _bet(predict) if predict is not None else None
        self._with_ghost = bool(ghost)
        for what, given in (("predict", predict), ("presets", presets), ("ghost", ghost)):
            if given and not self.knobs:
                raise ValueError(f"{what} needs a knob, and this figure has none")
        functools.update_wrapper(self, function)
        self.stage = Stage(function, self.knobs, self._uid())
        self._live: Any = None
        self._page = self.html() if not self.knobs or not self._is_live() else ""

    def __call__(self, **values: Any) -> Any:
        """Draw with any knob values, on the grid or not, and return what the function returns."""
        return self._function(**values)

    def __repr__(self) -> str:
        return f"<figure {self._name}: {self.alt}>"

    def frame(self, **values: Any) -> Frame:
        """Return the frame at knob values on the grid; knobs that are not named take their default."""
        return self.stage.frame(self._place("frame", values))

    def html(self) -> str:
        """Return the figure as a piece of page that needs nothing else. Draws all frames.

        Raises
        ------
        ValueError
            If it is larger than `MAX_BYTES`.
        """
        if not self.knobs:
            return picture_page(self._element(()))
        grid = places(self.knobs)
        frames = [self.stage.frame(place) for place in grid]
        longest = max((frame.text for frame in frames), key=len)
        home = self.stage.default_place
        shown = picture(self._element(home), self.stage.frame(home).text, longest, self._note(), self._bet)
        made = page(
            self.stage.uid, shown, self.knobs, frames, self.presets, self._play, locked=self._bet is not None
        )
        self._check_size(made, len(frames))
        return made

    @property
    def live(self) -> Any:
        """The widgets of a live notebook (`panicsim.explore.live.LiveView`)."""
        if self._live is None:
            from panicsim.explore.live import LiveView

            self._live = LiveView(
                self.knobs, self._live_picture, self._live_table, self.presets, self._play, self._bet
            )
        return self._live

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        if self._is_live() and self.knobs:
            return self.live.box._repr_mimebundle_()  # the view alone: a saved notebook stays small
        return bundle(self._page or self.html(), self.alt, self.stage.default, self.frame().text)

    def _is_live(self) -> bool:
        """Tell whether widgets move the figure; where they are not installed, a page does."""
        return not is_static() and find_spec("ipywidgets") is not None

    def _element(self, place: Place) -> str:
        """Return the SVG at a point of the grid, the default in grey behind it."""
        behind = f'<g class="ps-ghost">{self.stage.ghost}</g>' if self._with_ghost else ""
        inside = f'{behind}<g class="ps-frame">{self.stage.frame(place).svg}</g>'
        element = svg_element(self.stage.default, inside, self.alt)
        return element.replace("<svg ", '<svg aria-hidden="true" ', 1) if self._bet else element

    def _note(self) -> str:
        if not self._with_ghost:
            return ""
        return "start: " + ", ".join(f"{knob.label} {knob.texts[knob.default]}" for knob in self.knobs)

    def _live_picture(self, place: Place, guess: str | None) -> str:
        """Return picture and key number for a widget; `guess` is None until the reader has answered."""
        state = " ps-locked" if guess is None else ""
        state += " ps-home" if place == self.stage.default_place else ""
        text = self.stage.frame(place).text
        element = self._element(place)
        if guess is not None:
            element = element.replace(' aria-hidden="true"', "", 1)
        said = f'<p class="ps-guess">You said <b>{escape(guess)}</b>. The model says:</p>' if guess else ""
        shown = picture(element, text, text, self._note())
        return f'<figure class="panicsim{state}">{said}{shown}</figure>'

    def _live_table(self) -> str:
        frames = [self.stage.frame(place) for place in places(self.knobs)]
        return f'<figure class="panicsim">{table(self.knobs, frames)}</figure>'

    def _number(self, where: str, name: str) -> int:
        for number, knob in enumerate(self.knobs):
            if knob.name == name:
                return number
        names = ", ".join(knob.name for knob in self.knobs) or "there are none"
        raise ValueError(f"{where}: {name!r} is not a knob ({names})")

    def _place(self, where: str, values: Mapping[str, Any]) -> Place:
        place = [knob.default for knob in self.knobs]
        for name, value in values.items():
            number = self._number(where, name)
            place[number] = self.knobs[number].index(value, where)
        return tuple(place)

    def _uid(self) -> str:
        what = repr((self._name, self.alt, [(k.name, k.texts) for k in self.knobs]))
        return "ps" + hashlib.sha256(what.encode()).hexdigest()[:8]

    def _check_size(self, made: str, frames: int) -> None:
        size = len(made.encode())
        if size > MAX_BYTES:
            each = max(len(self.stage.frame(place).svg) for place in places(self.knobs))
            raise ValueError(
                f"{self._name} takes {size / 1e3:.0f} kB in a page, more than {MAX_BYTES / 1e3:.0f} kB: "
                f"{frames} frames of up to {each / 1e3:.0f} kB before packing. Draw fewer points or paths, "
                "or give the knobs fewer values; a field of colours belongs into imshow with CIVIDIS"
            )


def _at_most_frames(knobs: Sequence[Knob]) -> None:
    sizes = [len(knob.values) for knob in knobs]
    if (frames := functools.reduce(lambda a, b: a * b, sizes, 1)) > MAX_FRAMES:
        grid = " × ".join(f"{len(k.values)} ({k.name})" for k in knobs)
        raise ValueError(f"{grid} = {frames} frames are more than {MAX_FRAMES}: give the knobs fewer values")


def _bet(predict: str | tuple[str, Any]) -> Bet:
    question, answer = predict if isinstance(predict, tuple) and len(predict) == 2 else (predict, "")
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"predict={predict!r} must be a question, (question, unit) or (question, [choices])")
    if isinstance(answer, str):
        return Bet(question, unit=answer)
    if not isinstance(answer, Sequence) or len(answer) < 2 or not all(isinstance(a, str) for a in answer):
        raise ValueError(f"predict={predict!r}: the choices must be at least two texts")
    return Bet(question, choices=tuple(answer))


class _CallablePackage(types.ModuleType):
    """The package and its one function share a name: calling the package calls the function.

    Importing a submodule puts the package where ``panicsim.explore`` was the function.
    """

    def __call__(self, **options: Any) -> Any:
        return explore(**options)


sys.modules[__name__].__class__ = _CallablePackage
