"""Checks for exercises: they say what is wrong, not only that something is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """True if the answer is right. A notebook shows nothing of it, for the sentence was printed already."""

    right: bool

    def __bool__(self) -> bool:
        return self.right

    def _ipython_display_(self) -> None:
        """Show nothing."""


def check(answer: Any, right: Any, wrong: Mapping[Any, str] | None = None, near: float = 1e-3) -> Verdict:
    """Compare an answer with the right one, print what is wrong, if anything, and return the verdict.

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
        return _not_yet(f"a number is asked for, this is {answer!r}")
    expected = np.asarray(right, dtype=float)
    if given.shape != expected.shape:
        return _not_yet(f"{expected.size} number(s) are asked for, this is of shape {given.shape}")
    if np.allclose(given, expected, rtol=near, atol=1e-12):
        print("Right.")
        return Verdict(True)
    for number, reason in (wrong or {}).items():
        known = np.asarray(number, dtype=float)
        if known.shape == given.shape and np.allclose(given, known, rtol=near, atol=1e-12):
            return _not_yet(reason)
    off = np.ravel(given - expected)
    return _not_yet(f"too {'high' if off[np.argmax(np.abs(off))] > 0 else 'low'}")


def _not_yet(reason: str) -> Verdict:
    print(f"Not yet: {reason}.")
    return Verdict(False)
