"""Checks of exercises say what is wrong, and their verdict can be asserted."""

import numpy as np
import pytest

from panicsim.exercises import check


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (0.625, "Right."),
        (np.float64(0.6251), "Right."),
        (0.375, "Not yet: that is the news."),
        (0.7, "Not yet: too high."),
        (0.5, "Not yet: too low."),
        (..., "Not yet: a number is asked for, this is Ellipsis."),
        ([1, 2], "Not yet: 1 number(s) are asked for, this is of shape (2,)."),
    ],
)
def test_check_names_what_is_wrong(answer, said, capsys):
    verdict = check(answer, 0.625, wrong={0.375: "that is the news"})
    assert capsys.readouterr().out.strip() == said
    assert bool(verdict) == (said == "Right.")


def test_several_numbers_are_compared_together(capsys):
    assert check([1, 2], [1, 2])
    assert not check([1, 3], [1, 2], wrong={(1, 3): "the second counts twice"})
    assert "the second counts twice" in capsys.readouterr().out
