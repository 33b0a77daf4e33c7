"""The self-checks of chapter 16: each accepts right answers and says what is wrong with wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks


@pytest.mark.parametrize("score, right, hint", [
    (0.7, True, ""),
    (7 / 10, True, ""),
    (7, False, "divide"),
    (0.6, False, "blue in the other"),
    (0.4, False, "both signs"),
    (70, False, "between 0 and 1"),
    (0.5, False, "absolute"),
    (None, False, "no answer"),
])  # fmt: skip
def test_by_hand(score, right, hint):
    verdict = checks.ch16_by_hand(score)
    assert bool(verdict) is right and hint in verdict.hint and "0.7" not in verdict.hint


@pytest.mark.parametrize("number, right, hint", [
    (17, True, ""),
    (18, False, "twice"),
    (9, False, "both"),
    (0, False, "odd"),
    (16, False, "count"),
    (..., False, "no answer"),
])  # fmt: skip
def test_outside(number, right, hint):
    verdict = checks.ch16_outside(number)
    assert bool(verdict) is right and hint in verdict.hint


PATTERN = np.tile([[-3.0, -1], [0, -2]], (2, 2))


@pytest.mark.parametrize("heat, right, hint", [
    ([-1] * 16, True, ""),
    (PATTERN, True, ""),
    ([1] * 16, False, "red"),
    ([0] * 16, False, "0.50"),
    (np.r_[1.0, 1, -np.ones(14)], False, "tell them apart"),
    ([-1] * 9, False, "16 finite"),
    (None, False, "no answer"),
])  # fmt: skip
def test_blind(heat, right, hint):
    verdict = checks.ch16_blind(heat)
    assert bool(verdict) is right and hint in verdict.hint


@pytest.mark.parametrize("wrong, right", [({"a", "c", "e"}, True), ({"a", "c"}, False), (set("abce"), False)])
def test_reading(wrong, right):
    assert bool(checks.ch16_reading(wrong)) is right
