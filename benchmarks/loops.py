"""The same film written out as loops: compiled with numba, and in plain Python with `bisect`.

One `Longs` in a market of constant depth, without recovery, events or rules: the step of `simulate` and
nothing else, with the same records in the same memory order, so that all give the same numbers.
"""

from bisect import bisect_right

import numba
import numpy as np


def records(steps, paths):
    """Return room for fall, value and coins sold, (steps + 1, paths) each.

    From numpy, which asks the system for large pages. What numba allocates itself comes in small ones;
    where memory is fresh, that alone makes the loop two to four times slower.
    """
    return tuple(np.empty((steps + 1, paths)) for _ in range(3))


def given(noise, *terms):
    """Run the film on normal draws (steps, paths): fall, value, coins sold."""
    film = records(*noise.shape)
    _given(noise, *film, *terms)
    return film


def drawn(seed, steps, paths, block, *terms):
    """Run the film on draws of its own, by numba's `Generator`.

    With a `block` the draws come path after path, in blocks of so many paths that fit the cache: the very
    draws of `simulate`, so that path j does not depend on how many there are. With `block=0` they come
    step after step, which is quicker and does not promise that.
    """
    film = records(steps, paths)
    draws = np.random.Generator(np.random.SFC64(seed))
    if block:
        _drawn_by_path(draws, block, *film, *terms)
    else:
        _drawn_by_step(draws, *film, *terms)
    return film


@numba.njit
def _step(k, first, noise, fall, value, sold, worst, scale, table, offset, rows, impact, pace):
    """Go from row k to row k + 1, for as many paths from `first` on as there are draws."""
    for i in range(noise.size):
        j = first + i
        worst[j] = max(worst[j], fall[k, j])
        row = min(max(int(worst[j] * rows + offset), 0), table.size - 1)
        flow = (table[row] - sold[k, j]) * pace
        move = noise[i] * scale
        sold[k + 1, j] = sold[k, j] + flow
        value[k + 1, j] = value[k, j] + move
        fall[k + 1, j] = min(fall[k, j] + flow * impact + move, 700.0)


@numba.njit
def _given(noise, fall, value, sold, scale, table, offset, rows, impact, pace):
    steps, paths = noise.shape
    fall[0], value[0], sold[0] = 0.0, 0.0, 0.0
    worst = np.zeros(paths)
    for k in range(steps):
        _step(k, 0, noise[k], fall, value, sold, worst, scale, table, offset, rows, impact, pace)


@numba.njit
def _drawn_by_step(draws, fall, value, sold, scale, table, offset, rows, impact, pace):
    steps, paths = fall.shape[0] - 1, fall.shape[1]
    fall[0], value[0], sold[0] = 0.0, 0.0, 0.0
    worst, noise = np.zeros(paths), np.empty(paths)
    for k in range(steps):
        for j in range(paths):
            noise[j] = draws.standard_normal()
        _step(k, 0, noise, fall, value, sold, worst, scale, table, offset, rows, impact, pace)


@numba.njit
def _drawn_by_path(draws, block, fall, value, sold, scale, table, offset, rows, impact, pace):
    steps, paths = fall.shape[0] - 1, fall.shape[1]
    fall[0], value[0], sold[0] = 0.0, 0.0, 0.0
    worst, noise = np.zeros(paths), np.empty((block, steps))
    for first in range(0, paths, block):
        width = min(block, paths - first)
        for i in range(width):
            for k in range(steps):
                noise[i, k] = draws.standard_normal()
        for k in range(steps):
            now = noise[:width, k]
            _step(k, first, now, fall, value, sold, worst, scale, table, offset, rows, impact, pace)


def bisected(noise, scale, levels, coins, impact, pace):
    """Run one path in plain Python: a search among the sorted levels of all positions in each step.

    `levels` (positions,) are log falls in rising order, `coins` (positions + 1,) what is sold once the
    first so many have been reached, `noise` (steps,) normal draws; all are lists.
    """
    x = worst = v = done = 0.0
    fall, value, sold = [x], [v], [done]
    for draw in noise:
        worst = max(worst, x)
        flow = (coins[bisect_right(levels, worst)] - done) * pace
        move = draw * scale
        done += flow
        v += move
        x = min(x + flow * impact + move, 700.0)
        fall.append(x)
        value.append(v)
        sold.append(done)
    return fall, value, sold
