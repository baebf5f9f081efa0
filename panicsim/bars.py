"""Bars: a price as it was, one row for each stretch of time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panicsim._check import Array, array, frozen
from panicsim._csv import columns, instants

PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, eq=False)
class Bars:
    """First, highest, lowest and last price of consecutive stretches of time.

    Parameters
    ----------
    time : array (rows,)
        When each bar begins, UTC: datetime64, dates, or text as in a file. Each later than the one before.
    open, high, low, close : array (rows,)
        USD per coin, above 0; open and close lie between low and high.
    volume : array (rows,), optional
        Coins traded.

    Attributes
    ----------
    time : array (rows,)
        datetime64[ms].

    Raises
    ------
    ValueError
        If a row breaks one of these rules, or if there is none.
    """

    time: Any
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any = None

    def __post_init__(self) -> None:
        time = _times(self.time)
        late = time[1:] <= time[:-1]
        if late.any():
            after, before = time[1:][late][0], time[:-1][late][0]
            raise ValueError(f"time (UTC) must be later than {before}, the row before, got {after}")
        known = {name: array(name, "USD per coin", getattr(self, name), above=0) for name in PRICES}
        if self.volume is not None:
            known["volume"] = array("volume", "coins", self.volume, at_least=0)
        for name, values in known.items():
            if values.shape != time.shape:
                raise ValueError(
                    f"{name} must have a value for each time, got shapes {values.shape} and {time.shape}"
                )
        for inner in ("open", "close"):
            for end, bound, beyond in (("low", "most", np.greater), ("high", "least", np.less)):
                wrong = beyond(known[end], known[inner])
                if wrong.any():
                    rule = f"at {bound} {inner}, {known[inner][wrong][0]}"
                    raise ValueError(f"{end} (USD per coin) must be {rule}, got {known[end][wrong][0]}")
        time.flags.writeable = False
        object.__setattr__(self, "time", time)
        for name, values in known.items():
            object.__setattr__(self, name, frozen(values))

    @classmethod
    def read_csv(cls, path: Any) -> Bars:
        """Read bars from a file of comma-separated values, oldest row first.

        Parameters
        ----------
        path : str, path or open file
            The first line names the columns, in any order; other columns are passed over.

            ========  ==================================================================
            column    holds
            ========  ==================================================================
            `time`    begin of the bar: an ISO date or date and time (UTC without a
                      zone), or unix seconds or milliseconds
            `open`    first price, USD per coin
            `high`    highest price, USD per coin
            `low`     lowest price, USD per coin
            `close`   last price, USD per coin
            `volume`  coins traded; may be missing
            ========  ==================================================================

        Raises
        ------
        ValueError
            At the first defect: file, line, column, what was expected and what stands there.
        """
        units = {"time": "UTC", **dict.fromkeys(PRICES, "USD per coin")}
        return columns(path, units, {"volume": "coins"}).make(cls)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def fall(self) -> Array:
        """Log fall of each close from the first, (rows,)."""
        return np.log(self.close[0] / self.close)

    def until(self, time: Any) -> Bars:
        """Return the bars that were complete at a time.

        Parameters
        ----------
        time : datetime64, date or str
            UTC.

        Raises
        ------
        ValueError
            If no bar was complete by then.

        Notes
        -----
        A bar is complete once the next one has begun, so the newest of all never is: how long it lasts is not
        known yet.
        """
        now = _times([time])[0]
        begun = int(np.searchsorted(self.time, now, side="right"))
        complete = begun - 1
        if complete < 1:
            raise ValueError(
                f"time (UTC) must leave a complete bar, the first begins at {self.time[0]}, got {now}"
            )
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        return Bars(**{name: None if values is None else values[:complete] for name, values in kept.items()})


def _times(times: Any) -> NDArray[np.datetime64]:
    """Return times as datetime64[ms], one at least, or raise a ValueError."""
    given = np.asarray(times)
    if given.ndim != 1 or not given.size:
        raise ValueError(f"time (UTC) must be one time a row and a row at least, got shape {given.shape}")
    if given.dtype.kind != "M":
        try:
            return instants([one.isoformat() if isinstance(one, date) else str(one) for one in given])
        except ValueError as error:
            raise ValueError(f"time (UTC) {error}") from None
    exact = given.astype("datetime64[ms]")
    wrong = exact != given  # also where it is no time at all
    if wrong.any():
        raise ValueError(f"time (UTC) must be a time in whole milliseconds, got {given[wrong][0]}")
    return exact
