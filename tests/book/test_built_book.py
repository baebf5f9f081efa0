"""The built book, opened from the disk in a browser that has no network.

Pages and figures that must be there are counted in the sources, so that a build that loses one is noticed.
"""

import ast
import importlib.util
import inspect
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe

from panicsim.explore import explore

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(entry["file"] for part in TOC["parts"] for entry in part["chapters"])]
CHAPTERS = [page for page in PAGES if re.match(r"book/\d\d-", page)]

FROM_THE_THEME = {"label-content-name-mismatch", "region"}
SETTINGS = [("light", 1280), ("dark", 1280), ("light", 390)]


@pytest.fixture(scope="session")
def contexts(browser):
    """One window per setting, shared by all pages."""
    opened = {}
    for scheme, width in SETTINGS:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        context.set_offline(True)
        opened[scheme, width] = context
    return opened


@pytest.fixture
def visit(contexts):
    """Open a page of the book; whatever it asks for elsewhere or complains about fails the test."""
    complaints, tabs = [], []

    def open_page(name, scheme="light", width=1280, query=""):
        tab = contexts[scheme, width].new_page()
        tabs.append(tab)
        tab.on("request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or complaints.append(r.url))
        tab.on("requestfailed", lambda r: complaints.append(f"{r.url} {r.failure}"))
        tab.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto((HTML / f"{name}.html").as_uri() + query, wait_until="load")
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert not complaints


def sources(name):
    """Return the code of a page as a list of (text, metadata) of its cells."""
    notebook = ROOT / f"{name}.ipynb"
    if not notebook.exists():
        return []
    cells = json.loads(notebook.read_text())["cells"]
    return [("".join(cell["source"]), cell["metadata"]) for cell in cells if cell["cell_type"] == "code"]


def live_figures(code):
    """Count the calls of `explore` that name a knob: whatever is not one of its options is one."""
    options = inspect.signature(explore).parameters
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    named = [call for call in calls if ast.unparse(call.func).split(".")[-1] == "explore"]
    return sum(any(keyword.arg not in options for keyword in call.keywords) for call in named)


def test_the_book_has_its_pages():
    assert (HTML / "index.html").exists()
    assert {page for page in PAGES if not (HTML / f"{page}.html").exists()} == set()
    built = {f"book/{path.stem}" for path in (HTML / "book").glob("*.html")}
    assert built == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_no_page_shows_a_failure(name):
    html = (HTML / f"{name}.html").read_text()
    for trace in [
        "Traceback (most recent call last)",
        "output traceback",
        "interactive(children=",
        "application/vnd.jupyter.widget",
    ]:
        assert trace not in html


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_its_figures(name, visit):
    cells = sources(name)
    captioned = [meta["mystnb"]["figure"] for _, meta in cells if "figure" in meta.get("mystnb", {})]
    alive = sum(live_figures(text) for text, _ in cells)
    tab = visit(name)
    assert tab.locator("figure:has(> figcaption)").count() == len(captioned) > 0
    assert tab.locator("figure.panicsim:has(input[type=range])").count() == alive > 0
    number = int(Path(name).name[:2])
    assert re.match(rf"{number}\. ", tab.locator("article h1").inner_text())
    captions = tab.locator("figcaption .caption-number").all_inner_texts()
    assert [caption.strip() for caption in captions] == [
        f"Fig. {number}.{i + 1}" for i in range(len(captioned))
    ]


def test_landing_page_shows_its_figure_and_knob_at_once(visit):
    tab = visit(TOC["root"])
    tab.set_viewport_size({"width": 1366, "height": 768})
    knob = tab.locator("figure.panicsim input[type=range]").first.bounding_box()
    assert knob["y"] + knob["height"] < 768


# Words of figures that stand beyond the screen.
CUT_TEXT = """[...document.querySelectorAll(".ps-picture text")].filter(text => {
    const box = text.getBoundingClientRect();
    return box.width && (box.left < 0 || box.right > innerWidth);
}).map(text => text.textContent)"""


@pytest.mark.parametrize(("scheme", "width"), SETTINGS)
@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_read_a_page(name, scheme, width, visit):
    tab = visit(name, scheme, width)
    assert tab.locator("html").get_attribute("data-theme") == scheme
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(CUT_TEXT) == []
    # axe would read the style sheets once more, which a page opened from the disk may not
    findings = (
        Axe().run(tab, options={"resultTypes": ["violations"], "preload": False}).response["violations"]
    )
    serious = {
        finding["id"]: [
            node["html"][:200] + " | " + node["failureSummary"][:300] for node in finding["nodes"]
        ][:5]
        for finding in findings
        if finding["impact"] in ("serious", "critical") and finding["id"] not in FROM_THE_THEME
    }
    assert serious == {}


@pytest.mark.parametrize("name", [TOC["root"], *CHAPTERS])
def test_every_figure_answers_the_keyboard(name, visit):
    tab = visit(name)
    figures = tab.locator("figure.panicsim:has(input[type=range])")
    for figure in figures.all():
        if figure.locator(".ps-skip").is_visible():  # a figure that first asks for a bet
            figure.locator(".ps-skip").click()
        picture, key = figure.locator(".ps-picture > svg"), figure.locator("output")
        for knob in figure.locator("input[type=range]").all():
            picture_before, key_before = picture.inner_html(), key.inner_text()
            at_end = knob.evaluate("knob => +knob.value >= +knob.max")
            knob.press("ArrowLeft" if at_end else "ArrowRight")
            assert picture.inner_html() != picture_before, knob.evaluate(
                "knob => knob.closest('label').innerText"
            )
            knob.press("Home" if at_end else "End")
            assert key.inner_text() != key_before, knob.evaluate("knob => knob.closest('label').innerText")
            figure.locator(".ps-reset").click()  # at the end of one knob another may have no effect


# Formulas that run under their number, or out of the screen.
CUT_FORMULAS = """[...document.querySelectorAll(".katex-display")].filter(formula => {
    const ends = [...formula.querySelectorAll(".base")].map(part => part.getBoundingClientRect().right);
    const number = formula.parentElement.querySelector(".eqno");
    return Math.max(...ends) > (number ? number.getBoundingClientRect().left + 2 : innerWidth);
}).map(formula => formula.closest("[id]")?.id ?? formula.textContent.slice(0, 60))"""


@pytest.mark.parametrize("name", CHAPTERS)
def test_formulas_fit_a_phone(name, visit):
    tab = visit(name, width=390)
    assert tab.evaluate(CUT_FORMULAS) == []


@pytest.mark.parametrize("name", PAGES)
def test_formulas_are_drawn(name):
    html = (HTML / f"{name}.html").read_text()
    assert "katex-error" not in html
    assert html.count('class="katex"') == len(re.findall(r'class="(?:[^"]* )?math(?: [^"]*)?"', html))


def test_katex_style_and_script_are_of_one_version():
    from sphinxcontrib import katex

    script = (Path(katex.__file__).parent / "katex.min.js").read_text()
    helper = (ROOT / "_ext" / "panicsim_book.py").read_text()
    assert re.search(r'version:"([\d.]+)"', script)[1] == re.search(r'KATEX = "katex@([\d.]+)"', helper)[1]


def test_search_works_from_the_disk(visit):
    tab = visit("search", query="?q=liquidation")
    tab.wait_for_selector("#search-results li")


@pytest.mark.parametrize(
    "changed", ["panicsim/film.py", "panicsim/explore/figure.js", "panicsim/explore/figure.css"]
)
def test_a_change_of_the_library_runs_the_notebooks_again(changed, tmp_path):
    spec = importlib.util.spec_from_file_location("panicsim_book", ROOT / "_ext" / "panicsim_book.py")
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    shutil.copytree(ROOT / "panicsim", tmp_path / "panicsim")
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    before = extension.library_key(tmp_path)
    (tmp_path / changed).write_text((tmp_path / changed).read_text() + "\n")
    assert extension.library_key(tmp_path) != before
