"""The page of a figure with knobs: picture, key number, knobs, buttons and table, with nothing outside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

from panicsim.explore.frames import Frame, pack
from panicsim.explore.knobs import Knob, Place, places
from panicsim.svg import PICTURE_CSS, squeeze

_NUMBER = re.compile(
    r"(?:[$€£]\s?)?[−+-]?\d+(?:[.,\u00a0\u202f ]\d{3}(?!\d))*(?:[.,]\d+)?"
    r"(?:[kMBT]\b)?(?:[\s\u00a0\u202f]?%|×)?"
)


@dataclass(frozen=True)
class Bet:
    """A question that the reader answers before the knobs move."""

    question: str
    unit: str = ""
    choices: tuple[str, ...] = ()


def key_html(text: str) -> str:
    """Return a key number as HTML, with its numbers emphasised and kept on one line with their per cent."""
    text = text.replace(" %", "\u00a0%")
    parts, end = [], 0
    for match in _NUMBER.finditer(text):
        parts += [escape(text[end : match.start()]), f"<b>{escape(match[0])}</b>"]
        end = match.end()
    return "".join([*parts, escape(text[end:])])


@cache
def style_sheet() -> str:
    """Return all rules of a figure with knobs as a ``<style>`` element."""
    css = files(__package__).joinpath("figure.css").read_text(encoding="utf-8")
    return f"<style>{squeeze(PICTURE_CSS + css)}</style>"


@cache
def _script() -> str:
    """Return the script without its indentation."""
    script = files(__package__).joinpath("figure.js").read_text(encoding="utf-8")
    return re.sub(r"\n\s*", "\n", script).strip()


def picture(element: str, text: str, longest: str, note: str, locked: Bet | None = None) -> str:
    """Return picture and key number: what a live notebook redraws and a page keeps."""
    bet = _bet(locked) if locked else ""
    said = '<p class="ps-guess" aria-live="polite"></p>' if locked else ""
    legend = f'<span class="ps-note">{escape(note)}</span>' if note else ""
    return (
        f'<div class="ps-stage"><div class="ps-picture">{element}</div>{bet}</div>{legend}{said}'
        f'<div class="ps-key"><span class="ps-longest" aria-hidden="true">{key_html(longest)}</span>'
        f'<output aria-live="polite">{key_html(text)}</output></div>'
    )


def page(
    uid: str, shown: str, knobs: Sequence[Knob], frames: Sequence[Frame], presets: Mapping[str, Place],
    play: int | None, locked: bool,
) -> str:  # fmt: skip
    """Return the complete figure.

    `shown` is the picture at the default, `frames` are all frames in the order of the grid.
    """
    off = " disabled" if locked else ""
    packed = pack([Frame(f.svg, key_html(f.text)) for f in frames], values=[knob.texts for knob in knobs])
    classes = "panicsim ps-home ps-locked" if locked else "panicsim ps-home"
    return (
        f'<figure class="{classes}" data-figure="{uid}">{style_sheet()}{_without_script(locked)}{shown}'
        f'<div class="ps-controls">{"".join(_knob(knob, off) for knob in knobs)}'
        f"{_buttons(knobs, presets, play, off)}</div>"
        f"<details><summary>All the numbers</summary>{table(knobs, frames)}</details>"
        f'<script type="text/plain" class="ps-data">{packed}</script><script>{_script()}</script></figure>'
    )


def _without_script(locked: bool) -> str:
    """Return what a page without scripts needs: no knobs, and nothing hidden."""
    rules = ".panicsim :is(.ps-controls,.ps-note,.ps-bet){display:none!important}"
    if locked:
        rules += ".panicsim.ps-locked .ps-picture{filter:none!important;opacity:1!important}"
        rules += ".panicsim.ps-locked :is(.ps-key,details){visibility:visible!important}"
    return f"<noscript><style>{rules}</style></noscript>"


def _knob(knob: Knob, off: str) -> str:
    last = len(knob.values) - 1
    ticks = f'<span class="ps-ticks" aria-hidden="true">{"<i></i>" * (last + 1)}</span>' if last <= 24 else ""
    return (
        f'<div class="ps-knob" style="--at:{knob.default / last:.4g}">'
        f'<label><span class="ps-label">{escape(knob.label)}</span>'
        f'<span class="ps-track">{ticks}<input type="range" min="0" max="{last}" value="{knob.default}" '
        f'autocomplete="off" aria-valuetext="{escape(knob.texts[knob.default])}"{off}></span></label>'
        f'<span class="ps-value" aria-hidden="true">{escape(knob.texts[knob.default])}</span></div>'
    )


def _buttons(knobs: Sequence[Knob], presets: Mapping[str, Place], play: int | None, off: str) -> str:
    home = tuple(knob.default for knob in knobs)
    buttons = []
    if play is not None:
        buttons.append(f'<button type="button" class="ps-play ps-main"{off}>▶ Play</button>')
        buttons.append(f'<button type="button" class="ps-step" data-step="{play}"{off}>Step</button>')
    for name, place in presets.items():
        buttons.append(
            f'<button type="button" data-at="{_at(place)}" aria-pressed="{str(place == home).lower()}"{off}>'
            f"{escape(name)}</button>"
        )
    buttons.append(f'<button type="button" class="ps-reset" data-at="{_at(home)}"{off}>Reset</button>')
    return f'<div class="ps-buttons">{"".join(buttons)}</div>'


def _at(place: Place) -> str:
    return ",".join(map(str, place))


def _bet(bet: Bet) -> str:
    if bet.choices:
        answers = "".join(
            f'<label><input type="radio" name="guess" value="{escape(choice)}" required>'
            f"{escape(choice)}</label>"
            for choice in bet.choices
        )
    else:
        unit = f"\N{NO-BREAK SPACE}{bet.unit}" if bet.unit else ""
        answers = (
            f'<input type="text" inputmode="decimal" autocomplete="off" required data-unit="{escape(unit)}" '
            f'aria-label="Your guess{escape(unit and ", in " + bet.unit)}"><span>{escape(bet.unit)}</span>'
        )
    return (
        f'<form class="ps-bet"><fieldset><legend>{escape(bet.question)}</legend>'
        f'<div class="ps-answers">{answers}</div></fieldset>'
        f'<div class="ps-buttons"><button class="ps-main">Place your bet</button>'
        f'<button type="button" class="ps-skip">Just show me</button></div></form>'
    )


def table(knobs: Sequence[Knob], frames: Sequence[Frame]) -> str:
    """Return the key number over the grid: for two knobs a cross table, else a row for each frame."""
    grid = places(knobs)
    cell = {place: f'<td data-cell="{i}">{escape(frame.text)}</td>' for i, (place, frame) in
            enumerate(zip(grid, frames, strict=True))}  # fmt: skip
    if len(knobs) == 2:
        down, across = knobs
        head = f'<th scope="col">{escape(down.label)} ↓ {escape(across.label)} →</th>' + _heads(across.texts)
        rows = [
            f'<th scope="row">{escape(text)}</th>' + "".join(cell[i, j] for j in range(len(across.texts)))
            for i, text in enumerate(down.texts)
        ]
    else:
        head = _heads([knob.label for knob in knobs]) + '<th scope="col">Result</th>'
        rows = [
            "".join(f'<th scope="row">{escape(k.texts[i])}</th>' for k, i in zip(knobs, place, strict=True))
            + cell[place]
            for place in grid
        ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        '<div class="ps-table" tabindex="0" role="region" aria-label="All the numbers">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _heads(texts: Sequence[str]) -> str:
    return "".join(f'<th scope="col">{escape(text)}</th>' for text in texts)
