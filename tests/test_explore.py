"""Figures with knobs: what a page shows is what the function draws, and what cannot work is refused."""

from __future__ import annotations

import doctest
import itertools
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import panicsim as ps
from panicsim import style, svg
from panicsim.explore import Exploration
from panicsim.explore.frames import Frame, pack, unpack
from panicsim.explore.knobs import places

CHOICES = [0.1, 0.5, 0.9]


def staircase(gain=0.5, shock=0.04):
    fig, (left, right) = style.figure(640, 300, ncols=2)
    falls = [shock]
    while len(falls) < 12 and gain * falls[-1] + shock - falls[-1] > 0.002:
        falls.append(gain * falls[-1] + shock)
    for before, after in itertools.pairwise(falls):  # one artist a step: artists come and go
        left.plot([before, before, after], [before, after, after], color=style.ORANGE)
    left.set(xlim=(0, 0.6), ylim=(0, 0.6))
    line = right.step(range(len(falls)), falls, where="post", **style.pen("blue"))[0]
    style.label_end(right, line, f"{falls[-1]:.0%}")
    right.set(xlim=(0, 12), ylim=(0, 0.6))
    style.percent(right.yaxis)
    return fig, f"ends {falls[-1]:.0%} lower after {len(falls)} rounds"


def bars(gain=0.5, shock=0.04):
    fig, ax = style.figure()
    left = 0.0
    for colour, size in (("blue", gain), ("orange", shock), ("green", 0.2), ("purple", 0.1), ("grey", 0.1)):
        ax.barh([0], [size], left=left, **style.area(colour))
        left += size
    ax.set(xlim=(0, 2), ylim=(-1, 1))
    ax.set_title("Loop gain, $ sold per $ absorbed")
    return fig, f"total gain {left:.2f}"


def histogram(gain=0.5, shock=0.04):
    fig, ax = style.figure()
    values = np.random.default_rng(3).normal(shock, gain, 400)
    ax.hist(values, bins=np.linspace(-2, 2, 21), **style.area("green"))
    ax.set(xlim=(-2, 2), ylim=(0, 400))
    return fig, f"mean {values.mean():.3f}"


def heat(gain=0.5, shock=0.04):
    fig, ax = style.figure()
    y, x = np.mgrid[0:1:12j, 0:1:20j]
    ax.imshow(np.sin(9 * gain * x + shock) * y, cmap=style.CIVIDIS, vmin=-1, vmax=1, aspect="auto")
    return fig, f"gain {gain:.1f}"


def notes(gain=0.5, shock=0.04):
    fig, ax = style.figure()
    hours = np.linspace(0, 10, 200)
    ax.plot(
        hours, np.exp(-gain * hours), label=f"gain {gain:.1f} & shock <{shock:.2f}>", **style.pen("purple")
    )
    ax.fill_between(hours, 0, np.exp(-gain * hours), color=style.PURPLE, alpha=0.2, linewidth=0)
    if gain > 0.4:
        ax.axhline(shock, label="shock", color=style.INK)
        ax.annotate("here", (5, shock), (6, 0.5), arrowprops={"arrowstyle": "->", "color": style.GREY})
    ax.scatter(hours[::20], np.exp(-hours[::20]), color=style.BLUE)
    ax.set(xlim=(0, 10), ylim=(0, 1.1), xlabel="hours")
    ax.legend()
    return fig, f"half after {np.log(2) / gain:.1f} hours, from $5 to $6"


KINDS = [staircase, bars, histogram, heat, notes]


def explored(function=staircase, **options):
    options = {"alt": "The echo adds to the news.", "gain": CHOICES, "shock": [0.02, 0.04], **options}
    return ps.explore(**options)(function)


def tiny(function=None, **options):
    """Explore a figure with one knob of three values."""

    def draw(level=2):
        fig, ax = style.figure()
        ax.plot([0, 1], [0, level])
        ax.set(xlim=(0, 1), ylim=(0, 4))
        return fig, f"level {level}"

    return ps.explore(**{"alt": "A line.", "level": [1, 2, 3], **options})(function or draw)


def page_frames(page):
    return unpack(re.search(r'class="ps-data">([^<]+)<', page)[1])


def bare(text):
    return re.sub(r"</?b>", "", text)


# --- The page shows what the function draws ---


@pytest.mark.parametrize("function", KINDS, ids=lambda f: f.__name__)
def test_page_and_live_view_show_the_same_at_every_point(function):
    figure = explored(function, ghost=True)
    frames = page_frames(figure.html())
    fresh = explored(function, ghost=True)  # its live view draws in another order
    assert len(frames) == 6
    for place, frame in reversed(list(zip(places(figure.knobs), frames, strict=True))):
        fresh.live.go(place)
        shown = fresh.live.picture.value
        assert f'<g class="ps-frame">{frame.svg}</g>' in shown
        assert f'<output aria-live="polite">{frame.text}</output>' in shown


def test_frame_is_the_figure_that_the_function_returns():
    figure = tiny()
    drawn, text = figure(level=3)
    boxes = [ax.get_position().bounds for ax in figure.stage.default.axes]
    drawn.set_layout_engine("none")
    for ax, box in zip(drawn.axes, boxes, strict=True):
        ax.set_position(box)
    assert figure.frame(level=3) == Frame(svg.drawing(drawn, figure.stage.uid), text)
    assert figure.frame() == figure.frame(level=2) != figure.frame(level=1)


def test_moving_a_live_slider_changes_picture_and_key():
    live = tiny(presets={"low": {"level": 1}}, play="level").live
    before = live.picture.value
    live.sliders[0].index = 2
    assert live.picture.value != before and "level <b>3</b>" in live.picture.value
    live.buttons["low"].click()
    assert live.place == (0,) and "level <b>1</b>" in live.picture.value
    live.buttons["Reset"].click()
    assert live.picture.value == before


def test_live_bet_locks_the_knobs_until_it_is_placed():
    live = tiny(predict=("How high?", "m")).live
    assert live.sliders[0].disabled and "ps-locked" in live.picture.value
    live.place_bet.click()  # nothing guessed yet
    assert live.sliders[0].disabled
    live.answer.value = "7"
    live.place_bet.click()
    assert not live.sliders[0].disabled
    assert (
        "ps-locked" not in live.picture.value and "You said <b>7\N{NO-BREAK SPACE}m</b>" in live.picture.value
    )


def test_live_draws_only_the_default_frame_at_first():
    calls = []

    def draw(level=2):
        calls.append(level)
        return style.figure()[0], "text"

    figure = tiny(draw)
    figure._repr_mimebundle_()
    assert calls == [2]
    figure.live.go((0,))
    figure.live.go((1,))
    figure.live.go((0,))
    assert calls == [2, 1]


def test_live_bundle_is_the_widget_view_alone():
    shown = tiny()._repr_mimebundle_()
    shown = shown[0] if isinstance(shown, tuple) else shown
    assert "application/vnd.jupyter.widget-view+json" in shown and "text/html" not in shown


def test_static_bundle_is_page_and_print(monkeypatch):
    monkeypatch.setenv("PANICSIM_STATIC", "1")
    shown = tiny()._repr_mimebundle_()
    assert set(shown) == {"text/html", "image/png", "text/plain"}
    assert shown["text/plain"] == "A line."


def test_without_ipywidgets_the_page_is_shown(monkeypatch):
    monkeypatch.setattr("panicsim.explore.find_spec", lambda name: None)
    assert '<input type="range"' in tiny()._repr_mimebundle_()["text/html"]


# --- The page ---


def test_page_needs_nothing_from_outside():
    for function in KINDS:
        page = explored(
            function, ghost=True, predict="How far?", play="gain", presets={"calm": {"gain": 0.1}}
        ).html()
        addresses = re.findall(r"(?:https?:)?//[\w.]+", re.sub(r"base64,[^\"]+|ps-data\">[^<]+", "", page))
        assert set(addresses) <= {"http://www.w3.org"}
        assert not re.search(r"@import|url\((?!#)|<link|\bsrc=", page)


def test_page_has_labels_units_texts_and_table():
    page = tiny(units={"level": "m"}, labels={"level": "Water level"}, format={"level": "{:.1f}"}).html()
    assert '<span class="ps-label">Water level</span>' in page
    assert 'aria-valuetext="2.0\N{NO-BREAK SPACE}m"' in page
    assert 'role="img" aria-label="A line."' in page
    assert page.count("<td data-cell=") == 3 and '<td data-cell="2">level 3</td>' in page
    assert "<noscript>" in page


def test_two_knobs_make_a_cross_table():
    page = explored().html()
    table = re.search(r"<table>.*</table>", page)[0]
    assert table.count("<tr>") == 4 and table.count('<th scope="col">') == 3 and table.count("<td") == 6


def test_only_hatches_have_ids_and_they_differ_between_figures():
    one, two = explored(bars).html(), explored(bars, alt="Another finding.").html()
    ids = [set(re.findall(r'\bid="([^"]+)"', page)) for page in (one, two)]
    assert ids[0] and all(name.startswith("ps") for name in ids[0]) and not ids[0] & ids[1]
    assert not re.findall(r'\bid="', explored(staircase).html())


def test_text_is_escaped():
    def draw(level=2):
        fig, ax = style.figure()
        ax.set_title("a < b & c")
        return fig, "level < 3 & more"

    page = tiny(draw, alt='"quoted" <alt>', labels={"level": "<Level>"}).html()
    assert "a &lt; b &amp; c" in page and "level &lt; <b>3</b> &amp; more" in page
    assert "&quot;quoted&quot; &lt;alt&gt;" in page and "<Level>" not in page


def test_money_is_not_mathematics():
    assert "from $5 to $6" in bare(explored(notes).html())
    fig, ax = style.figure()
    ax.annotate("from $5 to $6", (0, 0))
    assert ">from $5 to $6</text>" in style.svg(fig)


def test_ink_and_palette_follow_the_page():
    drawn = style.svg(bars()[0])
    assert 'fill="currentColor"' in drawn and "#000000" not in drawn and style.INK not in drawn
    for name in ("blue", "orange", "green", "purple", "grey"):
        assert f"var(--ps-{name}" in drawn


def test_ghost_is_the_default_in_grey():
    page = tiny(ghost=True).html()
    ghost = re.search(r'<g class="ps-ghost">(.*?)</g>', page)[1]
    assert ghost.count("<path") == 1 and "--ps-ghost" in ghost and "fill=" not in ghost
    assert "start: Level 2" in page
    assert "ps-ghost" not in re.sub(r"<style>.*?</style>", "", tiny().html())


def test_no_knobs_make_a_plain_figure():
    @ps.explore(alt="The finding.")
    def still():
        return style.figure()[0]

    shown = still._repr_mimebundle_()
    assert 'aria-label="The finding."' in shown["text/html"] and "<script" not in shown["text/html"]
    assert isinstance(still, Exploration) and still.__name__ == "still"


def test_house_figure_shows_itself_with_its_title_as_alt():
    fig, ax = style.figure()
    ax.set_title("Price, USD per coin")
    assert 'aria-label="Price, USD per coin"' in fig._repr_mimebundle_()["text/html"]


def test_pyplot_figures_are_closed_and_in_house_style():
    import matplotlib.pyplot as plt

    def draw(level=2):
        fig, ax = plt.subplots()
        ax.plot([0, 1])
        ax.set_ylim(0, 1)
        return fig, "text"

    figure = tiny(draw)
    assert not plt.get_fignums()
    assert 'viewBox="0 0 4800 2800"' in figure.html()


# --- Packing ---


def test_packing_is_reversible():
    frames = [
        Frame('<path d="M1 2l3-4"/><text>a &amp; b</text>', "one"),
        Frame("<g></g>", "ü"),
        Frame("", ""),
    ]
    assert unpack(pack(frames)) == frames
    for function in KINDS:
        figure = explored(function)
        frames = [figure.stage.frame(place) for place in places(figure.knobs)]
        assert unpack(pack(frames)) == frames


def test_same_bytes_from_any_process():
    program = textwrap.dedent("""
        import hashlib, sys
        sys.path.insert(0, sys.argv[1])
        import test_explore as t
        for function in t.KINDS:
            figure = t.explored(function, ghost=True)
            print(hashlib.sha256(figure.html().encode()).hexdigest())
            print(hashlib.sha256(t.style.png(figure.stage.default, "note")).hexdigest())
    """)
    folder = os.path.dirname(__file__)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program, folder],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert outputs[0] == outputs[1] and len(outputs[0].split()) == 2 * len(KINDS)


def test_static_figures_stay_small():
    for function in KINDS:
        assert len(explored(function).html().encode()) < 50_000


# --- What cannot work is refused, by name ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alt": ""}, "alt=''"),
        ({"alt": "  "}, "alt="),
        ({"alt": None}, "alt=None"),
        ({"level": [1, 3]}, "default: level=2 is not on its grid \\(1, 3\\)"),
        ({"level": [1.0, float("nan"), 2.0]}, "level: nan is not a finite number"),
        ({"level": [2, float("inf")]}, "level: inf"),
        ({"level": [2]}, "level=\\[2\\] needs at least two"),
        ({"level": [2, 2]}, "all different"),
        ({"level": 3}, "level=3 is not a list"),
        ({"level": "abc"}, "level='abc' is not a list"),
        ({"level": [[1], [2]]}, "level: \\[1\\] is neither"),
        ({"level": range(200)}, "200 \\(level\\) = 200 frames are more than 121"),
        ({"colour": [1, 2]}, "knob 'colour' is no parameter of draw"),
        ({"units": {"depth": "m"}}, "units: 'depth' is not a knob \\(level\\)"),
        ({"labels": {"depth": "m"}}, "labels: 'depth'"),
        ({"format": {"depth": "m"}}, "format: 'depth'"),
        ({"format": {"level": "{:q}"}}, "format: '{:q}' cannot write level=1"),
        ({"presets": {"high": {"level": 9}}}, "presets\\['high'\\]: level=9 is not on its grid"),
        ({"presets": {"high": {"depth": 9}}}, "presets\\['high'\\]: 'depth' is not a knob"),
        ({"play": "depth"}, "play: 'depth' is not a knob"),
        ({"predict": ""}, "predict=''"),
        ({"predict": ("Where?", ["one"])}, "choices"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_alt_is_required():
    with pytest.raises(TypeError, match="alt"):
        ps.explore(level=[1, 2])


def test_what_is_not_a_function_is_refused():
    with pytest.raises(ValueError, match="not 3"):
        ps.explore(alt="x")(3)


def test_parameters_without_knob_or_default_are_refused():
    with pytest.raises(ValueError, match="parameter 'other' of <lambda> has no knob"):
        tiny(lambda level=2, other=1: None)
    with pytest.raises(ValueError, match="parameter 'level' needs a default"):
        tiny(lambda level: None)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "must return a matplotlib Figure and a text, not NoneType"),
        (style.figure()[0], "must return the key number as a text"),
        ((style.figure()[0], 3.0), "must return the key number as a text beside the figure, not 3.0"),
    ],
)
def test_bad_results_name_the_knobs(result, message):
    with pytest.raises(ValueError, match=r"draw\(level=2\) " + message):

        def draw(level=2):
            return result

        tiny(draw)


def test_an_error_while_drawing_names_the_knobs():
    def draw(level=2):
        return style.figure()[0], f"{1 / (level - 3)}"

    with pytest.raises(RuntimeError, match=r"draw\(level=3\) raised ZeroDivisionError: division by zero"):
        tiny(draw).html()


@pytest.mark.parametrize("axis", ["x", "y"])
def test_limits_that_differ_name_the_knobs(axis):
    def draw(level=2):
        fig, ax = style.figure()
        ax.set(**{f"{axis}lim": (0, level)})
        return fig, "text"

    with pytest.raises(ValueError, match=rf"draw\(level=1\) has {axis} limits \(0.0, 1.0\).*set_{axis}lim"):
        tiny(draw).html()


def test_other_axes_and_sizes_are_refused():
    def columns(level=2):
        return style.figure(ncols=level)[0], "text"

    def size(level=2):
        return style.figure(100 * level)[0], "text"

    with pytest.raises(ValueError, match=r"columns\(level=1\) has 1 axes, the default frame has 2"):
        tiny(columns).html()
    with pytest.raises(ValueError, match=r"size\(level=1\) has another size"):
        tiny(size).html()


def test_a_figure_that_is_too_big_is_refused():
    def draw(level=2):
        fig, ax = style.figure()
        ax.plot(np.random.default_rng(level).random((2, 9000)), color=style.GREY, alpha=0.5)
        ax.set(xlim=(0, 1), ylim=(0, 1))
        return fig, "text"

    with pytest.raises(ValueError, match=r"draw takes \d+ kB in a page, more than 100 kB: 3 frames"):
        tiny(draw).html()


def test_unknown_colours_are_refused():
    with pytest.raises(ValueError, match="colour='pink'"):
        style.pen("pink")


def test_the_package_is_callable_after_its_parts_were_imported():
    program = "import panicsim.explore.frames, panicsim as ps; ps.explore(alt='x')"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_example_of_the_docstring_runs(monkeypatch):
    monkeypatch.setenv("PANICSIM_STATIC", "1")
    from panicsim.explore import explore

    names = {}
    for example in doctest.DocTestParser().get_examples(explore.__doc__):
        exec(example.source, names)
    assert names["echo"].frame(shock=0.06).text == "ends 15% lower"


def test_shading_that_would_fill_the_page_is_refused_with_the_way_out():
    fig, ax = style.figure()
    ax.pcolormesh(np.arange(9.0).reshape(3, 3), shading="gouraud")
    with pytest.raises(ValueError, match="imshow and CIVIDIS"):
        svg.svg(fig, alt="A field.")
