"""Figures with knobs in a real browser: from a file, offline, by keyboard, on a phone, in the dark."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import panicsim as ps
from panicsim import style
from panicsim.explore.knobs import places


@ps.explore(
    gain=[0.2, 0.5, 0.8], shock=[0.02, 0.04, 0.06, 0.08], units={"gain": "of the sales"},
    format={"shock": "{:.0%}"}, alt="The echo is larger than the news.", ghost=True,
    presets={"nearly critical": {"gain": 0.8}},
)  # fmt: skip
def echo(gain=0.5, shock=0.04):
    fig, (ax, bars) = style.figure(600, 280, ncols=2)
    rounds = shock * np.cumsum(gain ** np.arange(12))
    line = ax.step(range(12), rounds, where="post", **style.pen("orange"))[0]
    style.label_end(ax, line, f"{rounds[-1]:.0%}")
    ax.set(xlim=(0, 12), ylim=(0, 0.4), xlabel="round")
    ax.set_title("Fall")
    style.percent(ax.yaxis)
    bars.bar([0], [gain], **style.area("blue"))
    bars.bar([0], [0.1], bottom=gain, **style.area("orange"))
    bars.set(xlim=(-1, 1), ylim=(0, 1), xticks=[])
    bars.set_title("Loop gain")
    return fig, f"A {shock:.0%} shock ends {rounds[-1]:.1%} lower"


@ps.explore(
    round=range(5), alt="Round by round the fall slows down.", play="round",
    predict=("How far does the price fall?", "%"),
)  # fmt: skip
def film(round=0):
    fig, ax = style.figure()
    ax.plot(np.arange(round + 1), 100 - np.arange(round + 1), "o", **style.pen("green"))
    ax.set(xlim=(0, 5), ylim=(90, 101))
    ax.set_title("Price, USD per coin")
    return fig, f"After round {round} the price is ${100 - round}"


@ps.explore(
    scale=[1, 2, 3], alt="The field turns.", labels={"scale": "Scale"},
    predict=("Where is it brightest?", ["left", "right"]),
)  # fmt: skip
def field(scale=2):
    fig, ax = style.figure()
    y, x = np.mgrid[0:1:8j, 0:1:12j]
    ax.imshow(np.sin(3 * scale * x) * y, cmap=style.CIVIDIS, vmin=-1, vmax=1, aspect="auto")
    return fig, f"scale {scale}"


@ps.explore(alt="A line that rises.")
def still():
    fig, ax = style.figure()
    ax.plot([0, 1], [0, 1])
    return fig


FIGURES = (echo, film, field, still)
SHELL = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Figures</title>'
    '<meta name="viewport" content="width=device-width"></head>'
    '<body style="font-family: sans-serif; margin: 16px"><main><h1>Figures</h1>{}</main></body></html>'
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "figures.html"
    file.write_text(SHELL.format("".join(figure.html() for figure in FIGURES)), encoding="utf-8")
    return file


@pytest.fixture
def visit(browser):
    """Open a file offline; the page must ask for nothing else and complain about nothing."""
    contexts, asked, complaints = [], [], []

    def visit(file: Path, width: int = 900, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(file.as_uri())
        if options.get("java_script_enabled", True):
            page.wait_for_function(
                "[...document.querySelectorAll('figure.panicsim:has(.ps-data)')]"
                ".every(f => f.matches('.ps-ready'))"
            )
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not complaints
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert sum(url.startswith("file:") for url in asked) == len(contexts)


def figure_of(page, exploration):
    return page.locator(f'[data-figure="{exploration.stage.uid}"]')


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_arrow_keys_change_picture_and_text(visit, path):
    figure = figure_of(visit(path), echo)
    shock = figure.get_by_role("slider", name="Shock")
    picture, key = figure.locator(".ps-frame"), figure.locator(".ps-key output")
    before = picture.inner_html()
    assert key.inner_text() == "A 4% shock ends 8.0% lower"
    shock.focus()
    shock.press("ArrowRight")
    assert key.inner_text() == "A 6% shock ends 12.0% lower"
    assert picture.inner_html() != before
    assert shock.get_attribute("aria-valuetext") == "6%"
    assert figure.locator(".ps-value").nth(1).inner_text() == "6%"
    shock.press("ArrowLeft")
    assert picture.inner_html() == before


def test_browser_unpacks_what_python_drew(visit, path):
    page = visit(path)
    for exploration in (echo, film, field):
        figure = figure_of(page, exploration)
        figure.evaluate("f => f.querySelector('.ps-skip')?.click()")
        for place in places(exploration.knobs):
            frame = exploration.stage.frame(place)
            same, key = figure.evaluate(
                """(f, [place, svg]) => {
                    f.querySelectorAll('input[type=range]').forEach((s, k) => {
                        s.value = place[k];
                        s.dispatchEvent(new Event('input', { bubbles: true }));
                    });
                    const g = f.querySelector('.ps-frame'), want = g.cloneNode();
                    want.innerHTML = svg;
                    return [want.isEqualNode(g), f.querySelector('.ps-key output').textContent];
                }""",
                [list(place), frame.svg],
            )
            assert same and key == frame.text, place


def test_figures_on_one_page_do_not_touch_each_other(visit, path):
    page = visit(path)
    others = [figure_of(page, other).locator(".ps-picture").inner_html() for other in (film, field)]
    figure_of(page, echo).get_by_role("slider", name="Gain").press("End")
    assert [figure_of(page, other).locator(".ps-picture").inner_html() for other in (film, field)] == others
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_presets_reset_and_ghost(visit, path):
    figure = figure_of(visit(path), echo)
    ghost, preset = figure.locator(".ps-ghost"), figure.get_by_role("button", name="nearly critical")
    key = figure.locator(".ps-key output")
    assert ghost.evaluate("g => getComputedStyle(g).visibility") == "hidden"
    start = key.inner_text()
    preset.click()
    assert preset.get_attribute("aria-pressed") == "true"
    assert ghost.evaluate("g => getComputedStyle(g).visibility") == "visible"
    assert figure.get_by_text("start: Gain 0.5").is_visible()
    assert key.inner_text() != start
    figure.get_by_role("button", name="Reset").press("Enter")
    assert key.inner_text() == start and preset.get_attribute("aria-pressed") == "false"


def test_bet_by_keyboard(visit, path):
    page = visit(path)
    figure = figure_of(page, film)
    slider, guess = figure.get_by_role("slider"), figure.get_by_label("Your guess, in %")
    assert slider.is_disabled() and not figure.locator(".ps-key").is_visible()
    assert figure.get_by_text("How far does the price fall?").is_visible()
    guess.press("Enter")  # an empty guess does not count
    assert slider.is_disabled()
    guess.fill("6")
    guess.press("Enter")
    assert slider.is_enabled() and slider.evaluate("s => s === document.activeElement")
    assert figure.locator(".ps-guess").inner_text() == "You said 6\N{NO-BREAK SPACE}%. The model says:"
    assert figure.locator(".ps-key output").inner_text() == "After round 0 the price is $100"
    choice = figure_of(page, field)
    choice.get_by_label("right").check()
    choice.get_by_role("button", name="Place your bet").click()
    assert choice.locator(".ps-guess").inner_text() == "You said right. The model says:"


def test_step_and_play(visit, path):
    figure = figure_of(visit(path), film)
    figure.get_by_role("button", name="Just show me").click()
    key = figure.locator(".ps-key output")
    figure.get_by_role("button", name="Step").click()
    assert key.inner_text() == "After round 1 the price is $99"
    figure.page.wait_for_timeout(900)
    assert key.inner_text() == "After round 1 the price is $99"  # nothing moves by itself
    figure.get_by_role("button", name="Play").click()
    assert figure.get_by_role("button", name="Pause").is_visible()
    expect(key).to_have_text("After round 4 the price is $96", timeout=6000)
    assert figure.get_by_role("button", name="Play").is_visible()


def test_reduced_motion_leaves_only_steps(visit, path):
    figure = figure_of(visit(path, reduced_motion="reduce"), film)
    figure.get_by_role("button", name="Just show me").click()
    assert not figure.locator(".ps-play").is_visible()
    assert figure.get_by_role("button", name="Step").is_visible()


def test_without_script_the_default_stands_with_its_numbers(visit, path):
    page = visit(path, java_script_enabled=False)
    for exploration, text in (
        (echo, "A 4% shock ends 8.0% lower"),
        (film, "After round 0 the price is $100"),
    ):
        figure = figure_of(page, exploration)
        assert figure.locator("svg").first.is_visible()
        assert figure.locator(".ps-key output").inner_text() == text
        assert not figure.locator(".ps-controls").is_visible()
        assert figure.locator("summary").is_visible()
    assert page.locator("form:visible").count() == 0


def test_print_has_no_controls_but_the_table(visit, path):
    page = visit(path)
    page.emulate_media(media="print")
    figure = figure_of(page, film)
    assert not figure.locator(".ps-controls").is_visible()
    assert figure.locator(".ps-key").is_visible()
    assert figure.locator("td").first.is_visible()


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_does_not_scroll_and_can_read(visit, path, width):
    page = visit(path, width, has_touch=True, is_mobile=True)
    assert overflow(page) == 0
    texts = page.locator("figure.panicsim svg text")
    heights = texts.evaluate_all(
        "all => all.map(t => parseFloat(getComputedStyle(t).fontSize) * t.ownerSVGElement.getScreenCTM().a)"
    )
    assert min(heights) >= (8 if width >= 390 else 6.5)
    assert figure_of(page, echo).get_by_role("slider").first.bounding_box()["height"] >= 44


def test_knobs_stay_where_they_are(visit, path):
    page = visit(path, 390)
    figure = figure_of(page, echo)
    slider = figure.get_by_role("slider").first
    tops = set()
    for place in range(3):
        slider.evaluate(
            "(s, i) => { s.value = i; s.dispatchEvent(new Event('input', {bubbles: true})) }", place
        )
        tops.add(slider.bounding_box()["y"])
    assert len(tops) == 1


THEMES = {
    "book": "document.documentElement.dataset.theme = 'dark'",
    "lab": "document.body.dataset.jpThemeLight = 'false'",
    "plain": "0",
}


@pytest.mark.parametrize("theme", THEMES)
def test_dark_pages_get_light_words(visit, path, theme):
    page = visit(path, color_scheme="dark" if theme == "plain" else "light")
    page.evaluate(THEMES[theme])
    word = page.locator("figure.panicsim .ps-key b").first
    assert word.evaluate("w => getComputedStyle(w).color") == "rgb(86, 180, 233)"


def test_light_themes_win_over_a_dark_system(visit, path):
    page = visit(path, color_scheme="dark")
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    word = page.locator("figure.panicsim .ps-key b").first
    assert word.evaluate("w => getComputedStyle(w).color") == "rgb(0, 114, 178)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("unlocked", [False, True])
def test_axe_finds_nothing_serious(visit, path, scheme, unlocked):
    axe = Axe()
    page = visit(path, color_scheme=scheme, reduced_motion="reduce")
    if unlocked:
        for button in page.locator(".ps-skip").all():
            button.click()
        for summary in page.locator("figure.panicsim summary").all():
            summary.click()
    found = axe.run(page).response["violations"]
    serious = [
        (v["id"], [n["html"][:200] for n in v["nodes"]])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert not serious


def export(notebook: Path, figures: int) -> Path:
    """Export a notebook as a page, without what the export itself asks of a network (formulas, diagrams)."""
    root = str(Path(ps.__file__).parent.parent)
    subprocess.run(
        [sys.executable, "-m", "nbconvert", "--execute", "--to", "html", notebook.name,
         "--HTMLExporter.mathjax_url=", "--HTMLExporter.require_js_url="],
        cwd=notebook.parent, check=True, capture_output=True,
        env={**os.environ, "PANICSIM_STATIC": "1", "PYTHONPATH": root},
    )  # fmt: skip
    page = notebook.with_suffix(".html")
    exported = page.read_text(encoding="utf-8")
    assert "application/vnd.jupyter.widget" not in exported
    assert len(re.findall(r'<figure class="panicsim', exported)) == figures
    page.write_text(re.sub(r'<script[^>]*type="module".*?</script>', "", exported, flags=re.S))
    return page


def test_an_exported_chapter_lives_by_itself(visit, tmp_path):
    chapter = Path(ps.__file__).parents[1] / "book" / "01-the-echo.ipynb"
    copy = tmp_path / chapter.name
    copy.write_bytes(chapter.read_bytes())
    page = visit(export(copy, figures=6))
    for figure in page.locator("figure.panicsim:has(input[type=range])").all():
        before = figure.locator(".ps-key output").inner_text()
        figure.locator("input[type=range]").first.press("ArrowRight")
        assert figure.locator(".ps-key output").inner_text() != before


def test_an_exported_notebook_lives_by_itself(visit, tmp_path):
    cell = """import panicsim as ps
from panicsim import style

@ps.explore(level=[1, 2, 3], alt="A line.", units={"level": "m"})
def line(level=2):
    fig, ax = style.figure()
    ax.plot([0, 1], [0, level])
    ax.set(ylim=(0, 3), xlim=(0, 1))
    return fig, f"level {level}"

line"""
    other = "fig, ax = style.figure()\nax.plot([1, 2], [3, 4])\nax.set_title('A plain figure')\nfig"
    cells = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": c,
        }
        for i, c in enumerate((cell, other))
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "book.ipynb").write_text(json.dumps(notebook))
    page = visit(export(tmp_path / "book.ipynb", figures=2))
    figure = page.locator("figure.panicsim").first
    figure.get_by_role("slider", name="Level").press("ArrowRight")
    assert figure.locator(".ps-key output").inner_text() == "level 3"
    assert page.get_by_role("img", name="A plain figure").is_visible()
