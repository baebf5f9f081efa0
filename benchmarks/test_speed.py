"""Speed of `simulate` with one `Longs`, beside the same work in compiled and in plain Python loops.

Nothing here asserts a time. What is asserted, before each measurement, is that both sides compute the same
film. The two take turns, so that a machine that speeds up or slows down does so under both. At the end stands
the reading of a reader's own table, alone.
"""

from functools import cache, partial
from statistics import median
from time import perf_counter

import loops
import numpy as np
import pytest

import panicsim as ps
from panicsim.bars import Bars
from panicsim.market import HOURS_PER_YEAR
from panicsim.participants.level_map import ROWS_PER_UNIT

STEPS, DT = 1000, 0.05
MARKET = ps.Market(price=100.0, depth=2e6, volatility=0.8)
SCALE = -MARKET.volatility * np.sqrt(DT / HOURS_PER_YEAR)
IMPACT = 1.0 / MARKET.depth_coins()
ROUNDS = {1: 51, 1000: 21, 10_000: 9}


@cache
def longs(positions):
    return ps.Longs.spread(notional=40e6, n=positions)


def terms(crowd):
    """Return what a loop needs: scale of the noise, the map, its first row, rows per unit, impact, pace."""
    offset = 0.5 - (np.log(MARKET.price) + crowd._map.top) * ROWS_PER_UNIT
    return SCALE, crowd._map.table, offset, ROWS_PER_UNIT, IMPACT, -np.expm1(-DT / crowd.lag)


def simulate(crowd, paths, noise=None):
    return ps.simulate(MARKET, [crowd], hours=STEPS * DT, dt=DT, paths=paths, noise=noise)


def path_major(paths):
    """Return the draws of seed 0 as `simulate` orders them, (steps, paths)."""
    return np.ascontiguousarray(np.random.Generator(np.random.SFC64(0)).standard_normal((paths, STEPS)).T)


def check(film, arrays):
    """Refuse two films that differ, and a film in which nobody was liquidated."""
    records = film.fall, film.value_fall, film.sold["Longs"]
    assert records[2].max() > 0
    for record, values in zip(records, arrays, strict=True):
        values = np.reshape(values, record.shape)
        np.testing.assert_allclose(record, values, rtol=1e-9, atol=1e-9 * np.abs(record).max())


def compare(benchmark, report, case, ours, peer):
    """Time the two in turns; report their medians in ns per path-step and the median ratio of a turn."""
    positions, paths, noise, other = case
    times, others = [], []

    def timed(call, into):
        begin = perf_counter()
        result = call()
        into.append((perf_counter() - begin) / (STEPS * paths) * 1e9)
        return result

    def take_turns():
        timed(peer, others)

    benchmark.pedantic(timed, args=(ours, times), setup=take_turns, rounds=ROUNDS[paths], warmup_rounds=1)
    times, others = times[-ROUNDS[paths] :], others[-ROUNDS[paths] :]  # without the warm-up
    ratio = median(a / b for a, b in zip(times, others, strict=True))
    report.append((positions, paths, noise, other, median(times), median(others), ratio))


@pytest.mark.parametrize("positions", [10**4, 10**6])
@pytest.mark.parametrize("paths", [1, 1000, 10_000])
@pytest.mark.parametrize("noise", ["included", "excluded"])
def test_against_numba(benchmark, report, positions, paths, noise):
    crowd = longs(positions)
    constants = terms(crowd)
    draws = path_major(paths)
    if noise == "excluded":
        ours = partial(simulate, crowd, paths, draws)
        peer = partial(loops.given, draws, *constants)
    else:
        ours = partial(simulate, crowd, paths)
        peer = partial(loops.drawn, 0, STEPS, paths, 64, *constants)
    check(ours(), peer())
    compare(benchmark, report, (positions, paths, noise, "numba"), ours, peer)


@pytest.mark.parametrize("paths", [1000, 10_000])
def test_against_numba_with_draws_in_any_order(benchmark, report, paths):
    crowd = longs(10**4)
    peer = partial(loops.drawn, 0, STEPS, paths, 0, *terms(crowd))
    check(
        simulate(crowd, paths, np.random.Generator(np.random.SFC64(0)).standard_normal((STEPS, paths))),
        peer(),
    )
    ours = partial(simulate, crowd, paths)
    compare(benchmark, report, (10**4, paths, "included", "numba, draws step by step"), ours, peer)


@pytest.mark.parametrize("positions", [10**4, 10**6])
def test_against_plain_python(benchmark, report, positions):
    crowd = longs(positions)
    scale, _, offset, rows, impact, pace = terms(crowd)
    nearest = np.sort(np.rint((-np.log(crowd.liquidation_price) - crowd._map.top) * rows))
    levels = ((nearest - offset) / rows).tolist()
    size = np.broadcast_to(crowd.size, nearest.shape)  # all positions of a spread are equal
    coins = np.concatenate([[0.0], np.cumsum(size)]).tolist()
    draws = path_major(1)
    listed = draws[:, 0].tolist()
    plain = float(scale), levels, coins, impact, float(pace)
    ours = partial(simulate, crowd, 1, draws)
    peer = partial(loops.bisected, listed, *plain)
    check(ours(), peer())
    compare(benchmark, report, (positions, 1, "excluded", "Python, bisect"), ours, peer)


@pytest.mark.parametrize("kind", [ps.Longs, ps.LendingPool, Bars])
def test_a_table_of_a_million_rows(benchmark, capsys, tmp_path, kind):
    """The file is read, checked, and put into the liquidation map."""
    rows, rng = 10**6, np.random.default_rng(0)
    price = 100 * np.exp(np.cumsum(rng.normal(0, 1e-4, rows)))
    coins = rng.lognormal(3, 1, rows)
    columns = {
        ps.Longs: {"entry": price, "size": coins, "leverage": rng.uniform(3, 50, rows)},
        ps.LendingPool: {"collateral": coins, "debt": 60 * coins * rng.uniform(0.1, 0.9, rows)},
        Bars: {
            "time": np.datetime_as_string(np.datetime64("2018-01-01T00:00:00") + 60 * np.arange(rows)),
            "open": price,
            "high": price * 1.001,
            "low": price * 0.999,
            "close": price * rng.uniform(0.999, 1.001, rows),
            "volume": coins,
        },
    }[kind]
    table = tmp_path / "table.csv"
    with open(table, "w") as file:
        print("id", *columns, sep=",", file=file)
        for row in zip(range(rows), *(column.tolist() for column in columns.values()), strict=True):
            print(*row, sep=",", file=file)
    read = benchmark.pedantic(kind.read_csv, args=(table,), rounds=5, warmup_rounds=1)
    with capsys.disabled():
        print(f"\n{kind.__name__}.read_csv: {benchmark.stats.stats.median:.2f} s for {rows:,} rows")
    for name in columns.keys() - {"time"}:
        np.testing.assert_array_equal(getattr(read, name), columns[name])
