"""Arguments are checked at the door: every refusal names the argument, its unit and the value.

What modules share about arrays stands here too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def array(
    name: str,
    unit: str,
    value: Any,
    *,
    at_least: float = -np.inf,
    above: float = -np.inf,
    at_most: float = np.inf,
    below: float = np.inf,
) -> Array:
    """Return `value` as a float array, all of it finite and within the bounds, or raise a ValueError."""
    try:
        given = np.asarray(value)
    except ValueError:
        given = np.asarray(None)
    # Text, None and complex numbers would all turn into floats of some kind.
    if (given.dtype.kind not in "iuf" and given.size) or isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{name} ({unit}) must be a number or an array of numbers, got {value!r}")
    numbers = np.asarray(given, dtype=float)
    checks = [(~np.isfinite(numbers), "finite")]
    # Rules ask at every step: a bound that is not there costs nothing.
    if at_least > -np.inf:
        checks.append((numbers < at_least, f"at least {at_least:g}"))
    if above > -np.inf:
        checks.append((numbers <= above, f"above {above:g}"))
    if at_most < np.inf:
        checks.append((numbers > at_most, f"at most {at_most:g}"))
    if below < np.inf:
        checks.append((numbers >= below, f"below {below:g}"))
    for broken, rule in checks:
        if broken.any():
            raise ValueError(f"{name} ({unit}) must be {rule}, got {float(numbers[broken].flat[0])!r}")
    return numbers


def whole(name: str, unit: str, value: Any, at_least: int) -> int:
    """Return `value` as a whole number of at least `at_least`, or raise a ValueError."""
    refusal = f"{name} ({unit}) must be a whole number of at least {at_least}, got {value!r}"
    try:
        number = int(value)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(refusal) from None
    if isinstance(value, (bool, str)) or number != value or number < at_least:
        raise ValueError(refusal)
    return number


def listed(name: str, unit: str, things: Any, kind: type | tuple[type, ...]) -> list[Any]:
    """Return `things`, one or several, as a list of a kind, or raise a ValueError."""
    if isinstance(things, kind):
        return [things]
    try:
        members = list(things)
    except TypeError:
        members = [things]
    for member in members:
        if not isinstance(member, kind):
            raise ValueError(f"{name} ({unit}) must not hold {member!r}")
    return members


def broadcast(**terms: Array) -> list[Array]:
    """Return arrays in their common shape, or raise a ValueError that names them."""
    try:
        return list(np.broadcast_arrays(*terms.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {term.shape}" for name, term in terms.items())
        raise ValueError(f"{', '.join(terms)} must broadcast, got shapes {shapes}") from None


def frozen(values: Array) -> Array:
    """Return a copy that nobody can change."""
    copy = np.array(values)
    copy.flags.writeable = False
    return copy


def summed(rows: Array) -> Array:
    """Sum of rows, (n, paths) -> (paths,), one after the other: a path must not notice those beside it.

    Numpy adds rows in turn, but a single column in halves.
    """
    if rows.shape[1] == 1 and len(rows):
        return np.cumsum(rows[:, 0])[-1:]
    return np.asarray(rows.sum(axis=0))


def scalar(name: str, unit: str, value: Any, **bounds: float) -> float:
    """Return `value` as one finite float within its bounds, or raise a ValueError."""
    number = array(name, unit, value, **bounds)
    if number.ndim:
        raise ValueError(f"{name} ({unit}) must be one number, got an array of shape {number.shape}")
    return float(number)
