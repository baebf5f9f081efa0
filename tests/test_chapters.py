"""Every chapter keeps the order, the lengths and the promises of the book."""

import ast
import json
import re
import statistics
from pathlib import Path

import pytest

BOOK = Path(__file__).parent.parent / "book"
PARTS = re.findall(
    r"\w+", "hook bet box play name model code naive law data wrong settled exercises takeaways sources"
)
HEADINGS = {
    "bet": "Your bet",
    "play": "Play",
    "name": "Name it",
    "model": "The model",
    "code": "In code",
    "naive": "The naive answer fails",
    "law": "The law",
    "data": "Back to the data",
    "wrong": "Where this model is wrong",
    "settled": "Your bet, settled",
    "exercises": "Exercises",
    "takeaways": "Three take-aways",
    "sources": "Sources and next",
}
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if path.name[0].isdigit()]
HIDDEN = {"remove-cell", "remove-input", "hide-input", "hide-cell"}

over_notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
over_chapters = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "") -> list[dict]:
    """Cells of a notebook with their source as one string."""
    raw = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**c, "source": "".join(c["source"])} for c in raw if c["cell_type"] == kind or not kind]


def tags(cell: dict) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def by_part(path: Path) -> dict[str, str]:
    """Markdown of each part of a chapter."""
    texts: dict[str, str] = {}
    part = ""
    for cell in cells(path):
        part = cell["metadata"].get("part", part)
        if cell["cell_type"] == "markdown":
            texts[part] = texts.get(part, "") + "\n" + cell["source"]
    return texts


def words(markdown: str) -> int:
    """Words of prose: no formulas, tables, directives or addresses."""
    text = re.sub(r"\$\$[^$]*\$\$|```[^\n]*|^[|:][^\n]*|`", " ", markdown, flags=re.M)
    return len(re.findall(r"[A-Za-z][\w’'-]*", text))


def explores(cell: dict) -> list[ast.Call]:
    """Calls of `explore` that decorate a function in a cell."""
    functions = [n for n in ast.walk(ast.parse(cell["source"])) if isinstance(n, ast.FunctionDef)]
    calls = [d for f in functions for d in f.decorator_list if isinstance(d, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == "ps.explore"]


def knobs(call: ast.Call) -> list[str]:
    options = {"alt", "units", "labels", "format", "presets", "ghost", "predict", "play"}
    return [k.arg for k in call.keywords if k.arg and k.arg not in options]


def test_twenty_chapters_are_there():
    assert [path.stem[:2] for path in CHAPTERS] == [f"{number:02}" for number in range(1, 21)]


@over_chapters
def test_fifteen_parts_in_order(path):
    marks = [c["metadata"]["part"] for c in cells(path, "markdown") if "part" in c["metadata"]]
    assert marks == PARTS
    texts = by_part(path)
    assert {p: re.findall(r"^## (.+)$", texts[p], re.M) for p in HEADINGS} == {
        p: [h] for p, h in HEADINGS.items()
    }


@over_chapters
def test_hook_is_short_and_sourced_and_the_chapter_has_its_length(path):
    texts = by_part(path)
    assert words(re.sub(r"^# .*$", "", texts["hook"], flags=re.M)) <= 120
    assert "{cite:" in texts["hook"] and re.search(r"\b(19|20)\d\d\b", texts["hook"])
    assert 1800 <= words("\n".join(texts.values())) <= 3000


@over_chapters
def test_bet_has_feedback_for_every_answer_and_is_settled(path):
    texts = by_part(path)
    assert len(texts["settled"].split()) > 30
    code = [c["source"] for c in cells(path, "code")]
    first_quiz = next(source for source in code if "display_quiz(" in source)
    assert first_quiz.count('"answer":') == first_quiz.count('"feedback":') >= 3


@over_chapters
def test_visible_code_is_short(path):
    lengths = sorted(
        len([line for line in c["source"].splitlines() if line.strip()])
        for c in cells(path, "code")
        if not tags(c) & HIDDEN
    )
    assert statistics.median(lengths) <= 5
    assert lengths[int(0.9 * (len(lengths) - 1))] <= 10
    assert lengths[-1] <= 20
    # What is longer runs out of the column and has to be scrolled.
    shown = [c["source"] for c in cells(path, "code") if not tags(c) & HIDDEN]
    assert max(len(line) for source in shown for line in source.splitlines()) <= 86


@over_chapters
def test_live_figures_have_one_knob_one_knob_two_knobs(path):
    counts = [len(knobs(call)) for c in cells(path, "code") for call in explores(c)]
    live = [count for count in counts if count]
    assert len(live) >= 3
    assert live[0] == live[1] == 1 and max(live) == 2


@over_notebooks
def test_figures_state_their_finding_and_have_a_caption(path):
    names = []
    for cell in cells(path, "code"):
        for call in explores(cell):
            alt = next((k.value for k in call.keywords if k.arg == "alt"), None)
            assert alt is not None and len(ast.unparse(alt).split()) >= 12
            if path in CHAPTERS:
                figure = cell["metadata"]["mystnb"]["figure"]
                assert figure["caption"]
                names.append(figure["name"])
    assert len(names) == len(set(names))


@over_chapters
def test_figures_are_framed_by_what_to_do_and_what_you_saw(path):
    live = sum(1 for c in cells(path, "code") for call in explores(c) if knobs(call))
    text = "\n".join(by_part(path).values())
    assert text.count("**What to do:**") >= live and text.count("**What you saw:**") >= live


@over_chapters
def test_exercises_have_hint_check_and_executed_solution(path):
    text = by_part(path)["exercises"]
    labels = re.findall(r"\{exercise-start\}.*?:label: (\S+)", text, re.S)
    assert len(labels) >= 3
    assert re.findall(r"\{solution-start\} (\S+)", text) == labels
    assert text.count("{dropdown} Hint") == len(labels)
    question, solution, checked, executed = "", "", set(), set()
    for cell in cells(path):
        for directive in re.findall(r"```\{(?:exercise|solution)-(?:start|end)\}[^`]*```", cell["source"]):
            if "{exercise-start}" in directive:
                question = re.findall(r":label: (\S+)", directive)[0]
            solution = question if "{solution-start}" in directive else ""
        if cell["cell_type"] == "code" and solution:
            executed.add(solution)
        elif cell["cell_type"] == "code" and re.search(r"\b(check|display_quiz)\(", cell["source"]):
            checked.add(question)
    assert executed == set(labels)
    assert checked >= set(labels)


@over_chapters
def test_numbers_are_asserted_beside_the_prose(path):
    hidden = [c["source"] for c in cells(path, "code") if "remove-cell" in tags(c)]
    asserts = sum(len(re.findall(r"\bassert\b|assert_allclose", source)) for source in hidden)
    assert asserts >= 6


@over_notebooks
def test_every_random_draw_is_seeded(path):
    for cell in cells(path, "code"):
        assert "default_rng()" not in cell["source"]
        assert not re.search(r"np\.random\.(?!default_rng)", cell["source"])


@over_notebooks
def test_notebooks_are_committed_without_outputs(path):
    for cell in cells(path, "code"):
        assert not cell["outputs"] and cell["execution_count"] is None


@over_notebooks
def test_code_that_is_folded_in_the_book_is_folded_in_jupyterlab(path):
    for cell in cells(path, "code"):
        assert bool(tags(cell) & HIDDEN) == cell["metadata"].get("jupyter", {}).get("source_hidden", False)


@over_chapters
def test_quizzes_have_no_dollar_signs(path):
    # the quiz takes what stands behind one for a formula
    for cell in cells(path, "code"):
        assert "display_quiz(" not in cell["source"] or "$" not in cell["source"]


@over_notebooks
def test_citations_are_in_the_bibliography(path):
    keys = set(re.findall(r"@\w+\{([^,\s]+),", (BOOK / "references.bib").read_text(encoding="utf-8")))
    text = "\n".join(c["source"] for c in cells(path, "markdown"))
    cited = {k.strip() for group in re.findall(r"\{cite:\w+\}`([^`]+)`", text) for k in group.split(",")}
    assert cited <= keys
