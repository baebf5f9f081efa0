"""Each of the thirty concepts has its home, and where that is written: model, figure, exercise and test."""

import re
from pathlib import Path

import pytest
from test_chapters import BOOK, CHAPTERS, cells

import panicsim as ps
from panicsim import options

GLOSSARY = (BOOK / "glossary.md").read_text(encoding="utf-8")
HOME = {int(path.name[:2]): path for path in CHAPTERS}
# The tag by which a test names its concept, in brackets at the start of its docstring.
TAGS = {
    "panic selling": "C1",
    "fear": "C2",
    "leverage": "C3",
    "large holder": "C4",
    "feedback loop": "C5",
    "market dislocation": "C6",
    "grid load balancing": "R1",
    "liquidation cascade": "R2",
    "vesting cliff": "R4",
    "options market maker hedging": "R5",
    "balance rebalancing algorithms": "R8",
    "price discovery": "G1",
    "decentralized lending": "G2",
    "market participants": "G3",
    "behavioral game theory": "D1",
    "spot market analysis": "D2",
    "derivative delta hedging": "D4",
    "settlement costs": "D9",
    "fixed fee model failure": "D5",
    "secure trading platforms": "D7",
    "senior tranche dynamics": "R7",
    "financial infrastructure protection": "D3",
    "redemption delay": "R3",
    "market panic mitigation": "R6",
    "volatility impact mitigation": "D6",
    "immutable financial systems": "D8",
    "liquidity event": "C7",
    "risk management": "G4",
    "overreaction": "C8",
    "contrarian buying": "C9",
}


def concepts() -> dict[str, str]:
    """Entries of the first list, by name."""
    first = GLOSSARY.split(":::")[1]
    return dict(re.findall(r"^(\S[^\n]*)\n((?:    [^\n]*\n)+)", first, re.M))


over_concepts = pytest.mark.parametrize(("name", "text"), concepts().items(), ids=concepts())


def test_thirty_concepts():
    assert len(concepts()) == 30
    assert concepts().keys() == TAGS.keys()


@over_concepts
def test_concept_leads_to_its_chapter_figure_and_exercise(name, text):
    number, file = re.search(r"Chapter \[(\d+)\]\(([^)]+)\)", text).groups()
    home = HOME[int(number)]
    assert file == home.name
    figures = {c["metadata"].get("mystnb", {}).get("figure", {}).get("name") for c in cells(home, "code")}
    assert re.search(r"\{numref\}`([^`]+)`", text)[1] in figures
    chapter = "\n".join(c["source"] for c in cells(home, "markdown"))
    exercises = re.findall(r"\{exercise-start\}[^\n]*\n:label: (\S+)", chapter)
    assert re.search(r"\{ref\}`([^`]+)`", text)[1] in exercises
    assert re.search(rf"\{{term\}}`(?:[^`<]+<)?{name}>?`", chapter)


@over_concepts
def test_concept_has_its_model(name, text):
    path = re.search(r"\{py:\w+\}`~panicsim\.([\w.]+)`", text)[1]
    thing = {"options": options}.get(path.split(".")[0], ps)
    for part in path.removeprefix("options.").split("."):
        thing = getattr(thing, part)
    assert callable(thing)


@over_concepts
def test_concept_has_its_test(name, text):
    tests = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    named = re.findall(r'^    """((?:\[?[A-Z]\d+\]?[ ,.]*)+)', tests, re.M)
    assert TAGS[name] in re.findall(r"[A-Z]\d+", " ".join(named)), TAGS[name]
