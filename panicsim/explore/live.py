"""The live view of a figure: the same picture in an `ipywidgets.HTML`, moved by real widgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from panicsim.explore.knobs import Knob, Place
from panicsim.explore.page import Bet, style_sheet


class LiveView:
    """Widgets around a picture that is drawn, and remembered, when a point of the grid is first seen.

    Attributes
    ----------
    picture : ipywidgets.HTML
    sliders : list of ipywidgets.SelectionSlider
        One for each knob, in order.
    box : ipywidgets.VBox
        Everything, to be displayed.
    """

    def __init__(
        self, knobs: Sequence[Knob], show: Callable[[Place, str | None], str], numbers: Callable[[], str],
        presets: Mapping[str, Place], play: int | None, bet: Bet | None,
    ) -> None:  # fmt: skip
        self._show, self._knobs, self._guess = show, knobs, "" if bet is None else None
        self._home: Place = tuple(knob.default for knob in knobs)
        widest = max(len(knob.label) for knob in knobs)
        self.sliders = [_slider(knob, widest, locked=bet is not None) for knob in knobs]
        self.picture = widgets.HTML(show(self._home, self._guess))
        self.buttons = {name: self._button(name, place) for name, place in presets.items()}
        self.buttons["Reset"] = self._button("Reset", self._home)
        for slider in self.sliders:
            slider.observe(self._redraw, "index")
        bar: list[Any] = [] if play is None else [self._player(self.sliders[play])]
        controls = [*self.sliders, _row([*bar, *self.buttons.values()])]
        # Once, not in every picture; and the value beside a slider is shown whole.
        rules = style_sheet() + "<style>.ps-live .widget-readout{min-width:max-content}</style>"
        style = widgets.HTML(rules, layout={"height": "0", "margin": "0"})
        children = [style, self.picture, *controls, _numbers(numbers)]
        self.box = widgets.VBox(children, layout={"max_width": "660px"}).add_class("ps-live")
        if bet is not None:
            self.bet = self._ask(bet)
            self.box.children = (self.bet, *self.box.children)

    @property
    def place(self) -> Place:
        """The point of the grid that is shown."""
        return tuple(slider.index for slider in self.sliders)

    def go(self, place: Place) -> None:
        """Turn all knobs to a point of the grid and draw once."""
        for slider, index in zip(self.sliders, place, strict=True):
            slider.unobserve(self._redraw, "index")
            slider.index = index
            slider.observe(self._redraw, "index")
        self._redraw()

    def _redraw(self, _: Any = None) -> None:
        self.picture.value = self._show(self.place, self._guess)

    def _button(self, name: str, place: Place) -> Any:
        button = widgets.Button(description=name)
        button.on_click(lambda _: self.go(place))
        return button

    def _player(self, slider: Any) -> Any:
        player = widgets.Play(min=0, max=len(slider.options) - 1, value=slider.index, interval=700)
        widgets.link((player, "value"), (slider, "index"))
        return player

    def _ask(self, bet: Bet) -> Any:
        """Ask for the guess; the knobs move only afterwards."""
        if bet.choices:
            answer = widgets.ToggleButtons(options=bet.choices, index=None)
        else:
            answer = widgets.Text(placeholder="your guess", layout={"width": "9em"})
        go = widgets.Button(description="Place your bet", button_style="primary")
        skip = widgets.Button(description="Just show me")
        unit = widgets.Label(bet.unit)
        question = widgets.HTML(f"<b>{escape(bet.question)}</b>")

        def place_bet(_: Any) -> None:
            if said := str(answer.value or "").strip():
                self._unlock(f"{said}\N{NO-BREAK SPACE}{bet.unit}".strip())

        go.on_click(place_bet)
        skip.on_click(lambda _: self._unlock(""))
        self.answer, self.place_bet = answer, go
        return widgets.VBox([question, _row([answer, unit, go, skip])])

    def _unlock(self, guess: str) -> None:
        self._guess = guess
        self.bet.layout.display = "none"
        for slider in self.sliders:
            slider.disabled = False
        self._redraw()


def _slider(knob: Knob, widest: int, locked: bool) -> Any:
    return widgets.SelectionSlider(
        options=[(text, i) for i, text in enumerate(knob.texts)], index=knob.default, description=knob.label,
        disabled=locked, layout={"width": "100%"}, style={"description_width": f"{0.6 * widest + 1:.1f}em"},
    )  # fmt: skip


def _row(children: list[Any]) -> Any:
    return widgets.HBox(children, layout={"flex_flow": "row wrap"})


def _numbers(table: Callable[[], str]) -> Any:
    """Return a button that computes the table over the grid: slow, so only on demand."""
    button = widgets.Button(description="All the numbers", layout={"width": "max-content"})
    shown = widgets.HTML()

    def compute(_: Any) -> None:
        button.disabled = True
        shown.value = table()

    button.on_click(compute)
    return widgets.VBox([button, shown])
