"""Episodes on a page: one table of all, one card for each, as text and as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from panicsim.episodes.facts import ACTED, BASES, Episode, Fact, Source, load

# Layout alone: colours are those of the page. Notebooks would push the text of cells to the right.
_TABLE = "border-collapse:collapse;width:100%;margin:0.5em 0;font-size:0.9em;line-height:1.4"
_LINE = (
    "text-align:left;vertical-align:top;white-space:normal;overflow-wrap:break-word;"
    "padding:0.35em 0.5em 0.35em 0;border-bottom:1px solid currentColor"
)


def _safe(text: str) -> str:
    """Text as HTML, with a number on one line with its per cent sign and the mark of its source."""
    return re.sub(r" (?=[%\[])", "\N{NO-BREAK SPACE}", escape(text))


def _page(content: str) -> str:
    """Wrap HTML so that two dollar signs in the titles of sources are not taken for a formula."""
    return f'<div class="tex2jax_ignore mathjax_ignore">{content}</div>'


class _Notes:
    """Sources in the order in which they are first cited."""

    def __init__(self) -> None:
        self.order: list[Source] = []

    def mark(self, sources: tuple[Source, ...]) -> str:
        """Return "[1, 2]" for sources."""
        self.order += [source for source in sources if source not in self.order]
        return f"[{', '.join(str(self.order.index(source) + 1) for source in sources)}]"

    def lines(self) -> list[str]:
        return [
            f"[{i}] {s.author} ({s.year}): {s.title} {s.link}".strip() for i, s in enumerate(self.order, 1)
        ]

    def html(self) -> str:
        items = ""
        for source in self.order:
            title = escape(source.title)
            if source.link:
                title = f'<a href="{escape(source.link)}">{title}</a>'
            said = escape(f"{source.author} ({source.year}): ")
            items += f'<li style="overflow-wrap:anywhere">{said}{title}</li>'
        return f"<details><summary>Sources</summary><ol>{items}</ol></details>"


@dataclass(frozen=True)
class Row:
    """One episode in the table. `month` is the return after thirty days, where it is known."""

    key: str
    name: str
    asset: str
    fall: Fact
    who: str
    month: Fact | None
    outcome: Mapping[str, str]

    def cells(self, notes: _Notes) -> tuple[str, str, str, str]:
        """Return the four cells as plain text."""
        fall = f"{self.asset}: {self.fall.text} {notes.mark(self.fall.source)}"
        after = "; ".join(f"{thing} {end}" for thing, end in self.outcome.items())
        if self.month:
            after = f"{self.month.text} {notes.mark(self.month.source)} in a month. {after}"
        return f"{self.key} {self.name}", fall, self.who, after


def _row(episode: Episode) -> Row:
    month = episode.facts.get("after_30d")
    fall = episode.facts["fall"]
    return Row(episode.key, episode.name, episode.asset, fall, episode.who, month, episode.outcome)


@dataclass(frozen=True)
class EpisodeTable:
    """The episodes, one `Row` each. A notebook shows a table with its sources below; `print` shows text."""

    rows: tuple[Row, ...]

    HEAD = ("Episode", "What fell", "Forced to trade", "Afterwards")
    FOOT = (
        "Falls and returns in plain per cent. Every trough was chosen with hindsight; "
        "a month is thirty days from the close of its day or hour."
    )

    @property
    def text(self) -> str:
        """The table as lines of text."""
        notes = _Notes()
        lines = [" | ".join(row.cells(notes)) for row in self.rows]
        return "\n".join([" | ".join(self.HEAD), *lines, "", self.FOOT, *notes.lines()])

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        notes = _Notes()
        head = "".join(f'<th scope="col" style="{_LINE}">{escape(title)}</th>' for title in self.HEAD)
        body = ""
        for row in self.rows:
            first, *rest = (_safe(cell) for cell in row.cells(notes))
            body += f'<tr><th scope="row" style="{_LINE};font-weight:normal">{first}</th>'
            body += "".join(f'<td style="{_LINE}">{cell}</td>' for cell in rest) + "</tr>"
        what = "Crashes: what fell, who was forced to trade, and what became of it"
        return _page(
            f'<div role="region" aria-label="{what}" tabindex="0" style="overflow-x:auto">'
            f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div><p>{escape(self.FOOT)}</p>{notes.html()}"
        )


@dataclass(frozen=True)
class EpisodeCard:
    """One episode on a card: a notebook shows a table of its facts, `print` shows text."""

    episode: Episode

    def _story(self, notes: _Notes) -> list[tuple[str, str]]:
        """Return what is told in words: label and text."""
        e = self.episode
        acted = "; ".join(f"{part}: {ACTED[part]}" for part in e.acted)
        ends = "; ".join(f"{thing} {end}" for thing, end in e.outcome.items())
        return [
            ("Trigger", f"{e.trigger} {notes.mark(e.trigger_source)}"),
            ("Who had to trade", f"{e.who}. {e.mechanism}"),
            ("What acted", acted),
            ("What came after", f"{ends}. {e.after}"),
        ]

    def _facts(self, notes: _Notes) -> list[tuple[str, str, str]]:
        """Return what was measured, the value with its source, and how we came by it."""
        lines = []
        for fact in self.episode.facts.values():
            label = f"{fact.what} ({fact.venue})" if fact.venue else fact.what
            basis = "; ".join(filter(None, (fact.basis, fact.note)))
            lines.append((label, f"{fact.text} {notes.mark(fact.source)}", basis))
        return lines

    def _foot(self) -> str:
        """Say what the words for the basis mean."""
        used = {fact.basis for fact in self.episode.facts.values()}
        return "; ".join(f"{basis}: {meaning}" for basis, meaning in BASES.items() if basis in used) + "."

    @property
    def text(self) -> str:
        """The card as lines of text."""
        notes, e = _Notes(), self.episode
        lines = [f"{e.key} {e.name} ({e.asset})"]
        lines += [f"{label}: {said}" for label, said in self._story(notes)]
        lines += [f"  {label}: {value} ({basis})" for label, value, basis in self._facts(notes)]
        return "\n".join([*lines, "", self._foot(), *notes.lines()])

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        notes, e = _Notes(), self.episode
        rows = [(label, _safe(said)) for label, said in self._story(notes)]
        rows += [
            (label, f"<strong>{_safe(value)}</strong> {escape(basis)}")
            for label, value, basis in self._facts(notes)
        ]
        body = "".join(
            f'<tr><th scope="row" style="{_LINE};font-weight:normal;width:38%">{escape(label)}</th>'
            f'<td style="{_LINE}">{said}</td></tr>'
            for label, said in rows
        )
        title = f"<strong>{escape(f'{e.key} {e.name} ({e.asset})')}</strong>"
        caption = f'<caption style="caption-side:top;text-align:left;color:inherit">{title}</caption>'
        return _page(
            f'<table style="{_TABLE}">{caption}<tbody>{body}</tbody></table>'
            f"<p>{escape(self._foot())}</p>{notes.html()}"
        )


def table(path: str | Path | None = None) -> EpisodeTable:
    """All episodes on one page: what fell, who was forced to trade, a month later, in the end."""
    return EpisodeTable(tuple(_row(episode) for episode in load(path).values()))


def card(key: str, path: str | Path | None = None) -> EpisodeCard:
    """One episode with all its facts, each with its source. `key` is as in "2020-03-12"."""
    episodes = load(path)
    if key not in episodes:
        raise ValueError(f"key (an episode) must be one of {', '.join(episodes)}, got {key!r}")
    return EpisodeCard(episodes[key])
