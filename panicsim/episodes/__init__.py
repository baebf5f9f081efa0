"""Fifteen crashes as facts: each number with its unit, its source, and how we came by it."""

from panicsim.episodes.facts import (
    ACTED,
    BASES,
    FILE,
    OUTCOMES,
    UNITS,
    Episode,
    Fact,
    Source,
    load,
)
from panicsim.episodes.show import EpisodeCard, EpisodeTable, Row, card, table

__all__ = [
    "ACTED",
    "BASES",
    "FILE",
    "OUTCOMES",
    "UNITS",
    "Episode",
    "EpisodeCard",
    "EpisodeTable",
    "Fact",
    "Row",
    "Source",
    "card",
    "load",
    "table",
]
