"""Checks for exercises: they say what is wrong, not only that something is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def check(answer: Any, right: Any, wrong: Mapping[Any, str] | None = None, near: float = 1e-3) -> None:
    """Compare an answer with the right one and print a sentence that says what is wrong, if anything.

    Parameters
    ----------
    answer : float or sequence of float
        The reader's answer.
    right : float or sequence of float
    wrong : mapping, optional
        Well-known wrong answers (a number, or a tuple of numbers) and what leads to them.
    near : float
        Relative distance up to which two numbers count as equal.
    """
    try:
        given = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        print(f"Not yet: a number is asked for, this is {answer!r}.")
        return
    expected = np.asarray(right, dtype=float)
    if given.shape != expected.shape:
        print(f"Not yet: {expected.size} number(s) are asked for, this is of shape {given.shape}.")
        return
    if np.allclose(given, expected, rtol=near, atol=1e-12):
        print("Right.")
        return
    for number, reason in (wrong or {}).items():
        known = np.asarray(number, dtype=float)
        if known.shape == given.shape and np.allclose(given, known, rtol=near, atol=1e-12):
            print(f"Not yet: {reason}.")
            return
    off = np.ravel(given - expected)[np.argmax(np.abs(np.ravel(given - expected)))]
    print(f"Not yet: too {'high' if off > 0 else 'low'}.")
