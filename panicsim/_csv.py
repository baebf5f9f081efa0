"""A reader's own table: comma-separated text with a header, read whole or refused by file and line.

A file is UTF-8, with or without a byte order mark. Its first line that is not blank names the columns, in
any order and case; columns that nobody asked for are passed over. A field may be quoted, but it ends on its
line. A number is written plainly: a decimal point, no thousands separator, no sign of a unit.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from panicsim._check import Array

Made = TypeVar("Made")

# Rows are parsed so many at once: longer lists would keep the garbage collector busy.
ROWS_AT_ONCE = 4096
# `float` also takes nan, inf, 1_000 and the digits of other scripts; a table may not hold them.
OF_A_NUMBER = "0123456789+-.eE \t"
UTC = "UTC"
ISO = re.compile(
    r"\s*(\d{4}-\d\d-\d\d([T ]\d\d:\d\d(?::\d\d(?:\.\d{1,3}0{0,6})?)?)?)"  # to the millisecond
    r"(?(2)(?: ?(?:Z|UTC|([+-])(0\d|1[0-4]):?([0-5]\d)))?)\s*",  # a zone only where there is a time
    re.ASCII,
)
# Nine digits at least: 20200312 would be a day of 1970.
# And 2020031210 is an hour to a reader, but unix seconds of the year 2034: neither is taken.
COMPACT = re.compile(
    r"\s*(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])(?:[0-5]\d){0,2}\s*", re.ASCII
)
UNIX = re.compile(r"\s*([1-9]\d{8,13})(?:\.0*)?\s*", re.ASCII)


@dataclass(frozen=True, eq=False)
class Table:
    """What was read, and where it stood.

    Attributes
    ----------
    file : str
        Name of the file.
    lines : list of int
        Line of each row in the file; the first line is 1.
    values : dict of arrays (rows,)
        By column: floats, or datetime64[ms] where the unit is UTC.
    """

    file: str
    lines: list[int]
    values: dict[str, NDArray[Any]]

    def make(self, maker: Callable[..., Made]) -> Made:
        """Return `maker(**values)`. If it refuses them, name the row that it refuses.

        What is made must judge a row by itself, or beside the row before it.
        """
        try:
            return maker(**self.values)
        except ValueError as error:
            refusal = error
        # All rows before `good` are accepted; between it and `bad` there is one that is not.
        good, bad = 0, len(self.lines)
        while bad - good > 1:
            middle = (good + bad) // 2
            rows = slice(max(good - 1, 0), middle)
            try:
                maker(**{name: column[rows] for name, column in self.values.items()})
            except ValueError as error:
                refusal, bad = error, middle
            else:
                good = middle
        row = ", ".join(f"{name} {column[good]}" for name, column in self.values.items())
        raise ValueError(f"{self.file}, line {self.lines[good]}: {refusal}, in the row {row}")


def columns(path: Any, needed: Mapping[str, str], optional: Mapping[str, str] | None = None) -> Table:
    """Read columns of a file of comma-separated values.

    Parameters
    ----------
    path : str, path or open file
        An open file is read from where it stands; lines are counted from there.
    needed, optional : dict
        Unit of each column by its name in small letters. A column in UTC holds times, the others numbers.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        At the first defect of the file: its line, the column and its unit, what was expected and what stands
        there. A file that is not there stays a FileNotFoundError.
    """
    file, text = _text(path)
    every = text.split("\n")
    lines = [number for number, line in enumerate(every, 1) if line and not line.isspace()]
    header, *rows = [every[number - 1] for number in lines] or [""]
    units = {**needed, **(optional or {})}
    try:
        places, width = _places(header, needed, units)
    except ValueError as error:
        raise ValueError(f"{file}, line {lines[0] if lines else 1}: {error}") from None
    if not rows:
        raise ValueError(
            f"{file}, line {lines[0]}: must be followed by at least one row, got the header alone"
        )
    lines = lines[1:]

    def parsed(rows: Sequence[str]) -> list[NDArray[Any]]:
        fields = _fields(rows, width)
        return [
            _instants(name, [row[place] for row in fields])
            if units[name] == UTC
            else _numbers(name, units[name], [row[place] for row in fields])
            for name, place in places.items()
        ]

    parts = []
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[begin : begin + ROWS_AT_ONCE]
        try:
            parts.append(parsed(part))
        except ValueError:
            # Rows are accepted together if each of them is: one of them says what is wrong.
            for line, row in zip(lines[begin:], part, strict=False):
                try:
                    parsed([row])
                except ValueError as error:
                    raise ValueError(f"{file}, line {line}: {error}") from None
            raise
    read = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
    return Table(file, lines, dict(zip(places, read, strict=True)))


def _text(path: Any) -> tuple[str, str]:
    """Return the name of a file and its text, lines ended by a line feed."""
    if hasattr(path, "read"):
        file = str(getattr(path, "name", "the open file"))
    elif isinstance(path, (str, os.PathLike)):
        file = str(path)
        if os.path.isdir(path):
            raise ValueError(f"{file}: path must lead to a file, got a directory")
    else:
        raise ValueError(f"path (name of a file, or an open one) must lead to a table, got {path!r}")
    try:
        if hasattr(path, "read"):
            read = path.read()
        else:
            with open(path, "rb") as opened:
                read = opened.read()
        if not isinstance(read, (str, bytes)):
            raise ValueError(f"{file}: path must give text, got {type(read).__name__}")
        text = read.decode("utf-8") if isinstance(read, bytes) else read
    except UnicodeDecodeError as error:
        line = _line_feeds(error.object[: error.start].decode("latin-1")).count("\n") + 1
        byte = error.object[error.start]
        raise ValueError(f"{file}, line {line}: must be text in UTF-8, got the byte 0x{byte:02x}") from None
    text = _line_feeds(text.removeprefix("\ufeff"))
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"{file}, line {line}: must be text in UTF-8, got the byte 0x00")
    return file, text


def _line_feeds(text: str) -> str:
    """Return text whose lines all end alike."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _shown(text: str) -> str:
    """Return text as a message quotes it."""
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _places(header: str, needed: Mapping[str, str], units: Mapping[str, str]) -> tuple[dict[str, int], int]:
    """Return where the wanted columns stand, and how many columns there are."""
    wanted = ", ".join(f"{name} ({unit})" for name, unit in needed.items())
    if not header:
        raise ValueError(f"must name the columns {wanted}, got an empty file")
    names = [name.strip().lower() for name in _fields([header])[0]]
    if len(names) == 1:
        raise ValueError(f"must name the columns {wanted}, between commas, got {_shown(header)}")
    for name, unit in units.items():
        if names.count(name) > 1 or (name in needed and name not in names):
            raise ValueError(f"must name the column {name} ({unit}) once, got {_shown(header)}")
    return {name: names.index(name) for name in units if name in names}, len(names)


def _fields(rows: Sequence[str], width: int | None = None) -> list[list[str]]:
    """Split rows into so many fields, or raise a ValueError (about the row, if there is but one)."""
    try:
        fields = list(csv.reader(rows, strict=True, skipinitialspace=True))
    except csv.Error as error:
        raise ValueError(
            f"must be fields between commas, a quote closed on its line ({error}), got {_shown(rows[0])}"
        ) from None
    # Where a quote is left open lines run together; if it is closed later, nothing else tells.
    if len(fields) != len(rows) or (width is not None and set(map(len, fields)) != {width}):
        raise ValueError(
            f"must have {width} fields like the header, got {len(fields[0])}: {_shown(rows[0])}"
            " (a number takes a decimal point and no thousands separator)"
        )
    return fields


def _numbers(name: str, unit: str, cells: list[str]) -> Array:
    """Return cells as floats, or raise a ValueError (about the cell, if there is but one)."""
    if not "".join(cells).strip(OF_A_NUMBER):
        try:
            numbers = np.array(list(map(float, cells)))
        except ValueError:
            pass
        else:
            if np.isfinite(numbers).all():
                return numbers
    raise ValueError(f"{name} ({unit}) must be a plain number such as 1234.5, got {_shown(cells[0])}")


def _instants(name: str, cells: list[str]) -> NDArray[np.datetime64]:
    """Return cells as datetime64[ms], or raise a ValueError (about the cell, if there is but one)."""
    try:
        return instants(cells)
    except ValueError as error:
        raise ValueError(f"{name} ({UTC}) {error}") from None


def instants(texts: list[str]) -> NDArray[np.datetime64]:
    """Return times as datetime64[ms], UTC.

    Parameters
    ----------
    texts : list of str
        Each an ISO date, an ISO date and time, or whole unix seconds or milliseconds (from 1973 on). A time
        without a zone is in UTC.
    """
    iso = [ISO.fullmatch(text) for text in texts]
    try:
        if all(iso):
            times = np.array([found[1] for found in iso if found], dtype="datetime64[ms]")
            if any(found[3] for found in iso if found):
                east = [
                    int(f"{found[3]}1") * (60 * int(found[4]) + int(found[5])) if found and found[3] else 0
                    for found in iso
                ]
                times = times - np.array(east, dtype="timedelta64[m]")
            return times
    except ValueError:  # 30 February, or 25 o'clock
        pass
    unix = [None if COMPACT.fullmatch(text) else UNIX.fullmatch(text) for text in texts]
    if all(unix):
        count = np.array([int(found[1]) for found in unix if found], dtype=np.int64)
        return np.where(count < 10**11, count * 1000, count).astype("datetime64[ms]")
    if len(texts) == 1:
        raise ValueError(
            "must be an ISO date or time such as 2020-03-12 or 2020-03-12T10:45Z,"
            f" or unix seconds or milliseconds, got {_shown(texts[0])}"
        )
    return np.concatenate([instants([text]) for text in texts])
