"""A reader's own table is read whole and exactly, or refused by file, line, column and value."""

import csv
import gzip
import io
import re
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import panicsim as ps
from panicsim import _csv
from panicsim.bars import Bars

LONGS = "entry,size,leverage\n100,5,10\n101.5,2,20\n99,1e3,3\n"
LOANS = "collateral,debt\n10,600\n3,0\n1.5,60\n"
BARS = (
    "time,open,high,low,close,volume\n"
    "2020-03-10,7900,8100,7700,7890,10\n"
    "2020-03-11,7890,8000,7600,7910,11\n"
    "2020-03-12,7910,7950,4600,4970,90\n"
    "2020-03-13,4970,5900,3900,5560,80\n"
)
LAST = "2020-03-13T00:00:00.000"
READERS = {"longs": (ps.Longs, LONGS), "loans": (ps.LendingPool, LOANS), "bars": (Bars, BARS)}
every_reader = pytest.mark.parametrize(("kind", "text"), READERS.values(), ids=READERS)
UNITS = {"entry": "USD per coin", "size": "coins", "leverage": "times"}


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a file and gives its path."""

    def write(content, name="book.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(params=[1, 2, 3, 4096])
def rows_at_once(request, monkeypatch):
    """Where one part ends and the next begins must not be noticed."""
    monkeypatch.setattr(_csv, "ROWS_AT_ONCE", request.param)


def held(thing):
    """Return what a reader made, as a list of arrays."""
    if isinstance(thing, ps.Longs):
        return [thing.entry, thing.size, thing.leverage, thing.maintenance]
    if isinstance(thing, ps.LendingPool):
        return [thing.collateral, thing.debt]
    return [thing.time, thing.open, thing.high, thing.low, thing.close] + (
        [] if thing.volume is None else [thing.volume]
    )


def assert_same(one, other):
    for a, b in zip(held(one), held(other), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype and a.shape == b.shape


# --- what is read is what was written ---


def table_of(**columns):
    """Return a table whose numbers are written to the last digit."""
    lists = [np.asarray(column).tolist() for column in columns.values()]
    return "\n".join([",".join(columns), *(",".join(map(repr, row)) for row in zip(*lists, strict=True))])


def test_longs_from_a_file_are_the_longs_of_the_constructor(written, rows_at_once):
    rng = np.random.default_rng(3)
    terms = {
        "entry": rng.uniform(80, 100, 300),
        "size": rng.lognormal(4, 1, 300),
        "leverage": rng.uniform(3, 25, 300),
    }
    upkeep = rng.uniform(0, 0.03, 300)
    for maintenance in ({"maintenance": upkeep}, {"maintenance": 0.01}, {}):
        columns = {**terms, **maintenance} if maintenance.get("maintenance") is upkeep else terms
        keywords = {} if columns is not terms else maintenance
        read = ps.Longs.read_csv(written(table_of(**columns)), lag=0.2, name="mine", **keywords)
        made = ps.Longs(**terms, **maintenance, lag=0.2, name="mine")
        assert_same(read, made)
        assert (read.lag, read.name) == (0.2, "mine")
        np.testing.assert_array_equal(read.liquidation_price, made.liquidation_price)
        np.testing.assert_array_equal(read._map.table, made._map.table)
        market = ps.Market(price=105)
        assert ps.cascade(market, [read], 0.1).fall == ps.cascade(market, [made], 0.1).fall
        assert ps.tipping_shock(market, [read]) == ps.tipping_shock(market, [made])


def test_loans_from_a_file_are_the_loans_of_the_constructor(written, rows_at_once):
    rng = np.random.default_rng(4)
    coins = rng.lognormal(3, 1, 300)
    debt = coins * 100 * rng.uniform(0.2, 0.7, 300) * (rng.random(300) > 0.1)
    path = written(table_of(debt=debt, collateral=coins))
    read = ps.LendingPool.read_csv(path, threshold=0.82, bonus=0.1, halt=0.95, cells=7, lag=0.1)
    made = ps.LendingPool(coins, debt, threshold=0.82, bonus=0.1, halt=0.95, cells=7, lag=0.1)
    assert_same(read, made)
    market = ps.Market()
    np.testing.assert_array_equal(read.liquidation_price, made.liquidation_price)
    assert ps.cascade(market, [read], 0.1).fall == ps.cascade(market, [made], 0.1).fall
    assert ps.tipping_shock(market, [read]) == ps.tipping_shock(market, [made])


def test_bars_from_a_file_are_the_bars_of_the_constructor(written, rows_at_once):
    bars = Bars.read_csv(written(BARS))
    days = np.arange("2020-03-10", "2020-03-14", dtype="datetime64[D]")
    made = Bars(
        days,
        [7900, 7890, 7910, 4970],
        [8100, 8000, 7950, 5900],
        [7700, 7600, 4600, 3900],
        [7890, 7910, 4970, 5560],
        [10, 11, 90, 80],
    )
    assert_same(bars, made)
    assert len(bars) == 4
    np.testing.assert_allclose(bars.fall, np.log(7890 / np.array([7890, 7910, 4970, 5560])), rtol=1e-15)
    assert Bars.read_csv(io.StringIO(re.sub(r",\w+$", "", BARS, flags=re.M))).volume is None


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@every_reader
def test_every_way_to_hand_over_the_same_file(kind, text, line_end, mark, written):
    plain = kind.read_csv(io.StringIO(text))
    content = (mark + text.replace("\n", line_end)).encode()
    path = written(content)
    assert_same(kind.read_csv(path), plain)
    assert_same(kind.read_csv(str(path)), plain)
    assert_same(kind.read_csv(io.BytesIO(content)), plain)
    for how in ({"encoding": "utf-8"}, {"encoding": "utf-8-sig"}, {"encoding": "utf-8", "newline": ""}):
        with open(path, **how) as file:
            assert_same(kind.read_csv(file), plain)
    with gzip.open(written(gzip.compress(content), "book.csv.gz")) as file:
        assert_same(kind.read_csv(file), plain)


def fields(draw, columns, rows):
    """Write a table in one of the dialects that programs and people write."""
    order = draw(st.permutations(range(len(columns))))
    names = [draw(st.sampled_from([str.lower, str.upper, str.title]))(columns[k]) for k in order]
    junk = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=6)
    lines = [names, *([row[k] for k in order] for row in rows)]
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(lines[0])))
        for number, line in enumerate(lines):
            line.insert(place, "position id" if number == 0 else draw(junk))

    def quoted(cell):
        if any(sign in cell for sign in ',"') or cell != cell.lstrip() or draw(st.booleans()):
            return '"' + cell.replace('"', '""') + '"'
        return draw(st.sampled_from(["", " "])) + cell

    written = []
    for line in lines:
        written += draw(st.lists(st.sampled_from(["", " ", "\t"]), max_size=1))
        written.append(",".join(map(quoted, line)))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    return (
        draw(st.sampled_from(["", "\ufeff"])) + end.join(written) + draw(st.sampled_from(["", end, end * 2]))
    )


@given(data=st.data())
def test_any_dialect_reads_back_equal(data):
    rows = data.draw(
        st.lists(st.tuples(st.floats(50, 200), st.floats(10, 1e3), st.floats(1, 100)), min_size=1, max_size=6)
    )
    text = fields(data.draw, ["entry", "size", "leverage"], [[*map(repr, row)] for row in rows])
    read = ps.Longs.read_csv(io.BytesIO(text.encode()))
    assert_same(read, ps.Longs(*np.array(rows).T))
    rows = [[repr(debt), repr(coins)] for coins, debt, _ in rows]
    text = fields(data.draw, ["debt", "collateral"], rows)
    loans = np.array(rows, dtype=float).T
    assert_same(ps.LendingPool.read_csv(io.StringIO(text)), ps.LendingPool(loans[1], loans[0]))
    days = [f"2020-03-{day:02} 10:00" for day in range(1, len(rows) + 1)]
    text = fields(
        data.draw,
        ["close", "low", "time", "open", "high"],
        [[price, "1", day, "1e0", "1000"] for day, (_, price) in zip(days, rows, strict=True)],
    )
    one = np.ones(len(days))
    assert_same(Bars.read_csv(io.StringIO(text)), Bars(days, one, 1000 * one, one, loans[1]))


@pytest.mark.parametrize("number", ["7", "+7.0", "7.", ".7e1", " 7 ", "70E-1", '"7"', ' "7"', "007", "\t7\t"])
def test_plain_numbers(number):
    assert ps.Longs.read_csv(io.StringIO(f"entry,size,leverage\n100,{number},3")).size == [7.0]


def test_a_wide_character_that_some_count_as_a_line_end_does_not_shift_the_lines():
    text = "entry,size,leverage,note\n1,1,2,\u2028\n1,1,2,\x0b\x0c\x85\n1,1,2.x,\n"
    with pytest.raises(ValueError, match=r"line 4: leverage \(times\)"):
        ps.Longs.read_csv(io.StringIO(text))


def test_keywords_are_refused_before_the_file_is_read(tmp_path):
    with pytest.raises(ValueError, match=r"^lag \(hours\)"):
        ps.Longs.read_csv(tmp_path / "none.csv", lag=-1)
    with pytest.raises(ValueError, match=r"^maintenance \(share of position\)"):
        ps.Longs.read_csv(tmp_path / "none.csv", maintenance=1.5)
    with pytest.raises(ValueError, match=r"^threshold \(share of collateral\)"):
        ps.LendingPool.read_csv(tmp_path / "none.csv", threshold=2)
    with pytest.raises(TypeError, match="entry"):
        ps.Longs.read_csv(tmp_path / "none.csv", entry=100)


# --- what is not read ---


def refusal(kind, source, **keywords):
    with pytest.raises(ValueError) as caught:
        kind.read_csv(source, **keywords)
    assert type(caught.value) is ValueError
    return str(caught.value)


@every_reader
def test_a_missing_file_stays_a_missing_file(kind, text, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        kind.read_csv(tmp_path / "none.csv")


@every_reader
def test_what_is_no_file(kind, text, tmp_path):
    assert refusal(kind, tmp_path) == f"{tmp_path}: path must lead to a file, got a directory"
    for nothing in (None, 5, b"book.csv", [1, 2]):
        assert refusal(kind, nothing).endswith(f"must lead to a table, got {nothing!r}")


def header_of(kind):
    usd = "(USD per coin)"
    return {
        ps.Longs: f"entry {usd}, size (coins), leverage (times)",
        ps.LendingPool: "collateral (coins), debt (USD)",
        Bars: f"time (UTC), open {usd}, high {usd}, low {usd}, close {usd}",
    }[kind]


@every_reader
def test_what_has_no_rows(kind, text, written):
    for content in ("", "\ufeff", "\n \r\n\t\n"):
        path = written(content)
        assert (
            refusal(kind, path)
            == f"{path}, line 1: must name the columns {header_of(kind)}, got an empty file"
        )
    path = written("\n\n" + text.split("\n")[0] + "\n\n")
    assert (
        refusal(kind, path) == f"{path}, line 3: must be followed by at least one row, got the header alone"
    )


@every_reader
def test_what_is_no_text(kind, text, written):
    for content, line, byte in [
        (text.encode("utf-16"), 1, "0xff"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), 1, "0x89"),
        (text.encode() + b"\r\r\n\xe9", text.count("\n") + 3, "0xe9"),
        (text.encode() + b"\r\n\0", text.count("\n") + 2, "0x00"),
        (text.encode("utf-16-le"), 1, "0x00"),
    ]:
        path = written(content)
        message = f"{path}, line {line}: must be text in UTF-8, got the byte {byte}"
        assert refusal(kind, path) == message
        with open(path, encoding="utf-8", newline="") as file:
            assert refusal(kind, file) == message


@every_reader
@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_other_signs_between_columns(kind, text, sign, written):
    path = written(text.replace(",", sign))
    first = text.replace(",", sign).split("\n")[0]
    expected = f"{path}, line 1: must name the columns {header_of(kind)}, between commas, got {first!r}"
    assert refusal(kind, path) == expected


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("entry,size", "leverage (times)"),
        ("price,size,leverage", "entry (USD per coin)"),
        ("100,5,10", "entry (USD per coin)"),
        ("entry,size,leverage,Size", "size (coins)"),
        ("entry,size,leverage,maintenance, MAINTENANCE ", "maintenance (share of position)"),
    ],
)
def test_columns_that_are_missing_or_stand_twice(header, column, written):
    path = written(f"\n{header}\n1,2,3\n")
    assert refusal(ps.Longs, path) == f"{path}, line 2: must name the column {column} once, got {header!r}"


CELLS = [
    "",
    " ",
    "x",
    "nan",
    "NaN",
    "inf",
    "-Infinity",
    "1e400",
    "1_000",
    "1 000",
    "1'000",
    "1\u00a0000",
    "0x10",
    "5%",
    "10x",
    "$5",
    "1.000.5",
    "--5",
    "1e",
    "None",
    "=A1",
    "\u0661",
    "\uff11",
    "true",
    "1j",
]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("column", [0, 1, 2])
def test_cells_that_are_no_plain_number(cell, column, written, rows_at_once):
    row = ["100", "5", "2"]
    row[column] = cell
    path = written("Entry, Size ,LEVERAGE\r\n100,5,2\r\n\r\n100,5,2\r\n" + ",".join(row) + "\r\n100,5,2\r\n")
    name = list(UNITS)[column]
    told = f"{name} ({UNITS[name]}) must be a plain number such as 1234.5, got {cell.lstrip(' ')!r}"
    assert refusal(ps.Longs, path) == f"{path}, line 5: {told}"


@pytest.mark.parametrize("cell", ['"1,5"', '"1,000.50"'])
def test_quoted_decimal_comma_or_thousands_separator(cell, written):
    path = written(f"entry,size,leverage\n100,{cell},2\n")
    message = f"{path}, line 2: size (coins) must be a plain number such as 1234.5, got {cell[1:-1]!r}"
    assert refusal(ps.Longs, path) == message


@pytest.mark.parametrize("row", ["100,5", "100,1,5,2", "100", "100,5,2,", "100;5;2", "# a remark"])
def test_rows_with_too_many_or_too_few_fields(row, written, rows_at_once):
    path = written(f"entry,size,leverage\n100,5,2\n\n{row}\n100,5,2\n")
    assert refusal(ps.Longs, path) == (
        f"{path}, line 4: must have 3 fields like the header, got {row.count(',') + 1}: {row!r}"
        " (a number takes a decimal point and no thousands separator)"
    )


@pytest.mark.parametrize(
    "rows",
    [
        '100,5,"2\n5"',
        '100,5,"2\n100,5,2',
        '100,5,"2\n100,5,2"',
        '100,5,2"1"\n"100,5,2',
        '"100"1,5,2',
        '"100" ,5,2',
    ],
)
def test_quotes_that_are_left_open_or_misplaced(rows, written, rows_at_once):
    path = written(f"entry,size,leverage\n100,5,2\n{rows}\n")
    message = refusal(ps.Longs, path)
    assert message.startswith(f"{path}, line 3: ")
    first = rows.split("\n")[0]
    assert repr(first) in message or message.endswith(
        f"leverage (times) must be a plain number such as 1234.5, got {first[6:]!r}"
    )


def test_a_quote_left_open_in_the_header(written):
    path = written('entry,size,"leverage\n1,2,3\n')
    assert refusal(ps.Longs, path).startswith(
        f"{path}, line 1: must be fields between commas, a quote closed"
    )


def test_long_rows_are_quoted_in_short(written):
    message = refusal(ps.Longs, written("entry,size,leverage\n" + "9" * 1000 + ",\n"))
    assert len(message) < 300 and "…" in message


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("0,5,2", "entry (USD per coin) must be above 0, got 0.0"),
        ("-1,5,2", "entry (USD per coin) must be above 0, got -1.0"),
        ("100,-5,2", "size (coins) must be at least 0, got -5.0"),
        ("100,5,0.5", "leverage (times) must be at least 1, got 0.5"),
        ("100,5,200", "maintenance (share of position) must be below 1/leverage, got 0.005"),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 2, 3, 50])
def test_positions_that_cannot_be(row, told, before, written):
    path = written("entry,size,leverage\n" + "\n100,5,2\n" * before + row + "\n100,0,1\n" * 20)
    terms = ", ".join(f"{n} {float(v)}" for n, v in zip(UNITS, row.split(","), strict=True))
    assert refusal(ps.Longs, path) == f"{path}, line {2 * before + 2}: {told}, in the row {terms}"


def test_the_first_of_several_bad_rows_is_named(written):
    good = ["100,5,2"] * 30
    rows = [*good, "100,5,0.1", *good, "-100,5,2", *good]
    path = written("\n".join(["entry,size,leverage", *rows]))
    assert f"{path}, line 32: leverage" in refusal(ps.Longs, path)
    rows = [*good, "100,5,2,5", *good, "x,5,2", *good]
    path = written("\n".join(["entry,size,leverage", *rows]))
    assert f"{path}, line 32: must have 3 fields" in refusal(ps.Longs, path)


def test_a_column_of_maintenance_comes_before_the_argument():
    text = "entry,size,leverage,maintenance\n100,5,20,0.01\n100,5,20,0.02\n"
    read = ps.Longs.read_csv(io.StringIO(text), maintenance=0.03)
    assert read.maintenance.tolist() == [0.01, 0.02]


def test_maintenance_of_a_position_beyond_its_leverage(written):
    path = written("maintenance,entry,size,leverage\n0.01,100,5,20\n0.05,100,5,20\n")
    told = "maintenance (share of position) must be below 1/leverage, got 0.05"
    assert refusal(ps.Longs, path).startswith(f"{path}, line 3: {told}, in the row entry 100.0, ")
    path = written(LONGS)
    told = "maintenance (share of position) must be below 1/leverage, got 0.06"
    assert refusal(ps.Longs, path, maintenance=0.06).startswith(f"{path}, line 3: {told}, in the row ")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("-1,5", "collateral (coins) must be at least 0, got -1.0"),
        ("1,-5", "debt (USD) must be at least 0, got -5.0"),
        ("0,5", "collateral (coins) must be above 0 where there is debt, got 0.0"),
    ],
)
def test_loans_that_cannot_be(row, told, written):
    path = written(LOANS + row + "\n1,1\n")
    terms = "collateral {}.0, debt {}.0".format(*row.split(","))
    assert refusal(ps.LendingPool, path) == f"{path}, line 5: {told}, in the row {terms}"
    assert ps.LendingPool.read_csv(written("collateral,debt\n0,0\n1,0\n")).debt.sum() == 0


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("2020-03-14,5,4,3,4,1", "high (USD per coin) must be at least open, 5.0, got 4.0"),
        ("2020-03-14,4,4,3,5,1", "high (USD per coin) must be at least close, 5.0, got 4.0"),
        ("2020-03-14,3,5,4,4,1", "low (USD per coin) must be at most open, 3.0, got 4.0"),
        ("2020-03-14,4,5,4,3,1", "low (USD per coin) must be at most close, 3.0, got 4.0"),
        ("2020-03-14,4,5,0,3,1", "low (USD per coin) must be above 0, got 0.0"),
        ("2020-03-14,4,5,3,3,-1", "volume (coins) must be at least 0, got -1.0"),
        (
            "2020-03-13,4,5,3,4,1",
            f"time (UTC) must be later than {LAST}, the row before, got {LAST}",
        ),
        (
            "2020-03-01,4,5,3,4,1",
            f"time (UTC) must be later than {LAST}, the row before, got 2020-03-01T00:00:00.000",
        ),
    ],
)
@pytest.mark.parametrize("after", [0, 1, 9])
def test_bars_that_cannot_be(row, told, after, written):
    more = "".join(f"2020-04-{day + 10},4,5,3,4,1\n" for day in range(after))
    path = written(f"{BARS}{row}\n{more}")
    day, *rest = row.split(",")
    names = ["open", "high", "low", "close", "volume"]
    terms = ", ".join(f"{name} {float(value)}" for name, value in zip(names, rest, strict=True))
    assert refusal(Bars, path) == f"{path}, line 6: {told}, in the row time {day}T00:00:00.000, {terms}"


@pytest.mark.parametrize("before", range(1, 9))
def test_the_row_out_of_order_is_named_wherever_it_stands(before, written):
    days = [f"2020-03-{day:02}" for day in range(10, 10 + before)] + [
        "2020-03-02",
        "2020-03-03",
        "2020-03-30",
    ]
    path = written("time,open,high,low,close\n" + "".join(f"{day},1,1,1,1\n" for day in days))
    assert refusal(Bars, path).startswith(f"{path}, line {before + 2}: time (UTC) must be later than")


# --- nothing is half read: a plain reader of one line at a time is the judge ---

NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)


def plainly(text, needed):
    """Read a table line by line. Return rows of floats, or the line that cannot be read."""
    width = places = None
    rows = []
    for number, line in enumerate(re.split("\r\n|\r|\n", text.removeprefix("\ufeff")), 1):
        if not line.strip():
            continue
        try:
            (cells,) = csv.reader([line], strict=True, skipinitialspace=True)
        except csv.Error:
            return number
        if width is None:
            names = [cell.strip().lower() for cell in cells]
            if any(names.count(name) != 1 for name in needed):
                return number
            width, places, header = len(cells), [names.index(name) for name in needed], number
            continue
        if len(cells) != width:
            return number
        if not all(NUMBER.fullmatch(cells[place]) for place in places):
            return number
        rows.append([float(cells[place]) for place in places])
        if not np.isfinite(rows[-1]).all():
            return number
    if width is None:
        return 1
    return rows or header


SIGNS = st.sampled_from(
    [*"0123456789eE+-._,;\"' \t\n\r%x\u00a0\u0661", "\r\n", "nan", "inf", "e999", '""', "\n\n"]
)


@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), SIGNS), min_size=1, max_size=4),
    at_once=st.sampled_from([1, 2, 3, 4096]),
    quirks=st.sampled_from(
        [LONGS, LONGS.replace("\n", "\r\n"), "id," + LONGS.replace("\n", '\n"a, b",')[:-7]]
    ),
)
def test_a_file_with_slips_is_read_as_a_plain_reader_reads_it(edits, at_once, quirks):
    text = quirks
    for where, removed, inserted in edits:
        place = int(where * len(text))
        text = text[:place] + inserted + text[place + removed :]
    expected = plainly(text, list(UNITS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_csv, "ROWS_AT_ONCE", at_once)
        if isinstance(expected, list):
            read = _csv.columns(io.StringIO(text, newline=""), UNITS)
            np.testing.assert_array_equal(np.array([*read.values.values()]).T, expected)
        else:
            with pytest.raises(ValueError, match=f"^the open file, line {expected}: "):
                _csv.columns(io.StringIO(text, newline=""), UNITS)


@given(
    cell=st.one_of(st.sampled_from(CELLS), st.text(max_size=5), st.floats().map(repr)),
    row=st.integers(0, 2),
    column=st.integers(0, 2),
)
def test_a_changed_cell_is_read_or_refused_with_its_place(cell, row, column):
    rows = [line.split(",") for line in LONGS.split()]
    rows[row + 1][column] = '"' + cell.replace('"', '""') + '"'
    text = "\n".join(",".join(line) for line in rows)
    bounds = [lambda v: v > 0, lambda v: v >= 0, lambda v: 1 <= v < 200]
    try:
        read = ps.Longs.read_csv(io.StringIO(text, newline=""))
    except ValueError as error:
        assert type(error) is ValueError and "\n" not in str(error)
        if not set(cell) & set('\r\n\0"') and not error.args[0].startswith("the open file, line 1:"):
            told = str(error)
            name = "maintenance" if column == 2 and "below 1/leverage" in told else list(UNITS)[column]
            assert told.startswith(f"the open file, line {row + 2}: {name} (")
            assert "got " in told
            assert not (NUMBER.fullmatch(cell) and bounds[column](float(cell)) and np.isfinite(float(cell)))
    else:
        assert bounds[column](held(read)[column][row])
        assert all(len(values) == 3 for values in held(read))
        assert NUMBER.fullmatch(cell) and float(cell) == held(read)[column][row]


# --- time ---


def bars_at(times):
    return Bars.read_csv(
        io.StringIO("\n".join(["time,open,high,low,close", *(f"{t},1,1,1,1" for t in times)]))
    )


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2020-03-12", "2020-03-12T00:00"),
        (" 2020-03-12 ", "2020-03-12T00:00"),
        ("2020-03-12 10:45", "2020-03-12T10:45"),
        ("2020-03-12T10:45:30", "2020-03-12T10:45:30"),
        ("2020-03-12T10:45:30Z", "2020-03-12T10:45:30"),
        ("2020-03-12 10:45:30 UTC", "2020-03-12T10:45:30"),
        ("2020-03-12T10:45:30.250", "2020-03-12T10:45:30.250"),
        ("2020-03-12T10:45:30.250000000", "2020-03-12T10:45:30.250"),
        ("2020-03-12T10:45+00:00", "2020-03-12T10:45"),
        ("2020-03-12T10:45+0130", "2020-03-12T09:15"),
        ("2020-03-12 22:45:00 -05:30", "2020-03-13T04:15"),
        ("1584009930", "2020-03-12T10:45:30"),
        ("1584009930.0", "2020-03-12T10:45:30"),
        ("1584009930250", "2020-03-12T10:45:30.250"),
        ("561600000", "1987-10-19"),
        ("561600000250", "1987-10-19T00:00:00.250"),
    ],
)
def test_times(text, meant, rows_at_once):
    assert bars_at([text]).time[0] == np.datetime64(meant)
    # Beside others, whatever they are written in.
    bars = bars_at(["1975-01-01", "200000000", text, "2100-01-01T00:00+01:00"])
    assert bars.time[2] == np.datetime64(meant) and bars.time[3] == np.datetime64("2099-12-31T23:00")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20200312",
        "2020",
        "2020-03",
        "2020-3-12",
        "12/03/2020",
        "12.03.2020",
        "2020-02-30",
        "2020-13-01",
        "2020-03-12T24:00",
        "2020-03-12T10:60",
        "2020-03-12T10",
        "2020-03-12 10:45:30.1234567",
        "2020-03-12 10:45 PM",
        "2020-03-12 10:45+25:00",
        "2020-03-12+01:00",
        "2020-W11-4",
        "NaT",
        "now",
        "today",
        "nan",
        "1.584e9",
        "1584009930.5",
        "1584009930250000",
        "-1584009930",
        "1_584_009_930",
        "\u0662020-03-12",
        "Mar 12 2020",
    ],
)
def test_what_is_no_time(text, written, rows_at_once):
    path = written(f"time,open,high,low,close\n1973-03-04,1,1,1,1\n{text},1,1,1,1\n2101-01-01,1,1,1,1\n")
    assert refusal(Bars, path) == (
        f"{path}, line 3: time (UTC) must be an ISO date or time such as 2020-03-12 or 2020-03-12T10:45Z,"
        f" or unix seconds or milliseconds, got {text!r}"
    )


def test_until_keeps_what_was_complete():
    bars = Bars.read_csv(io.StringIO(BARS))
    assert len(bars.until("2020-03-12")) == 2, "the bar of the 12th has just begun"
    assert len(bars.until("2020-03-12T23:59:59.999")) == 2, "and lasts until midnight"
    assert len(bars.until("2020-03-13")) == 3
    assert len(bars.until("2030-01-01")) == 3, "nobody knows how long the newest lasts"
    np.testing.assert_array_equal(bars.until("2020-03-13").fall, bars.fall[:3])
    assert bars.until("2020-03-13").volume.tolist() == [10, 11, 90]
    for same in (
        np.datetime64("2020-03-13"),
        date(2020, 3, 13),
        datetime(2020, 3, 13),
        datetime(2020, 3, 13, tzinfo=UTC),
        "2020-03-13T01:00+01:00",
        1584057600,
    ):
        assert len(bars.until(same)) == 3


def test_until_where_days_are_missing():
    bars = bars_at(["2020-03-10", "2020-03-13", "2020-03-14", "2020-03-16"])
    assert len(bars.until("2020-03-13")) == 1, "the next has begun, after whatever time"
    assert len(bars.until("2020-03-14")) == 2
    assert len(bars.until("2020-03-15")) == 2
    assert len(bars.until("2020-03-19")) == 3
    months = bars_at(["2021-02-01", "2021-03-01", "2021-04-01"])
    assert len(months.until("2021-03-29")) == 1, "March is longer than February"


def test_compact_times_are_not_taken_for_unix_seconds():
    for text in ("202003121045", "2020031210", "20200312104500"):
        with pytest.raises(ValueError, match=r"time \(UTC\) must be an ISO date"):
            bars_at([text])
    assert bars_at([1584057600, 1584061200]).time[0] == np.datetime64("2020-03-13T00:00")


@pytest.mark.parametrize(
    "time", ["2020-03-10", "2020-03-10T23:59", "1999-01-01", None, "NaT", np.datetime64("NaT"), 5]
)
def test_until_refuses_a_time_with_nothing_behind_it(time):
    with pytest.raises(ValueError, match=r"time \(UTC\) must"):
        Bars.read_csv(io.StringIO(BARS)).until(time)
    with pytest.raises(ValueError, match=r"time \(UTC\) must leave a complete bar"):
        bars_at(["2020-03-10"]).until("2030-01-01")


@given(
    steps=st.lists(st.integers(1, 10_000), min_size=2, max_size=12),
    cut=st.integers(1, 12),
    late=st.integers(0, 30_000),
    seed=st.integers(0, 9),
)
def test_until_does_not_know_what_comes(steps, cut, late, seed):
    """A file that ends, or goes on otherwise, after a time says the same of the time before."""
    time = np.datetime64("2020-01-01T00:00", "m") + np.cumsum(steps)
    price = np.exp(np.random.default_rng(seed).normal(size=len(time)))
    now = time[0] + np.timedelta64(late, "m")
    begun = time <= now
    other = np.where(begun, price, 7.0)

    def known(rows, price):
        bars = Bars(time[rows], *[price[rows]] * 4)
        try:
            return held(bars.until(now))
        except ValueError:
            return []

    everything = known(slice(None), price)
    for rows, prices in ((begun, price), (slice(None), other)):
        again = known(rows, prices)
        assert len(again) == len(everything)
        for a, b in zip(everything, again, strict=True):
            np.testing.assert_array_equal(a, b)
    if everything:
        assert everything[0][-1] < now


def test_bars_cannot_be_changed_and_copy_what_they_get():
    price = np.ones(3)
    days = np.arange("2020-01-01", "2020-01-04", dtype="datetime64[D]").astype("datetime64[ms]")
    bars = Bars(days, price, price, price, price, price)
    price[0], days[0] = 5, np.datetime64("1999-01-01")
    assert bars.close[0] == 1 and bars.time[0] == np.datetime64("2020-01-01")
    for values in held(bars):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = values[1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"time": []}, r"time \(UTC\) must be one time a row and a row at least"),
        ({"time": "2020-01-01"}, r"time \(UTC\) must be one time a row"),
        ({"time": ["2020-01-01", "NaT"]}, r"time \(UTC\) must be an ISO date .* got 'NaT'"),
        ({"time": np.array(["2020-01-01", "NaT"], "M8[s]")}, r"time \(UTC\) .* got NaT"),
        ({"time": np.array([0, 1], "M8[us]")}, r"time \(UTC\) .* whole milliseconds"),
        ({"open": [1.0]}, r"open must have a value for each time, got shapes \(1,\) and \(2,\)"),
        ({"volume": 1.0}, r"volume must have a value for each time, got shapes \(\)"),
        ({"close": [1.0, np.nan]}, r"close \(USD per coin\) must be finite"),
        ({"high": [1.0, 0.5]}, r"high \(USD per coin\) must be at least open, 1\.0, got 0\.5"),
    ],
)
def test_impossible_bars(change, told):
    one = [1.0, 1.0]
    good = {"time": ["2020-01-01", "2020-01-02"], "open": one, "high": one, "low": one, "close": one}
    assert len(Bars(**good)) == 2
    with pytest.raises(ValueError, match=told):
        Bars(**{**good, **change})
