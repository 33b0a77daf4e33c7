"""The self-checks of chapter 01: each accepts right answers and names the mistake of wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks
from fixlip_helpers.datasets import part_one_game


@pytest.mark.parametrize("answer, hint", [
    ((16, 80), None),
    ((32, 80), "without player 2"),
    ((15, 80), "one off"),
    ((5, 80), "left to choose"),
    ((16, 160), "both of its ends"),
    ((16, 32), "(b) is off"),
    ((None, None), "no answer"),
])  # fmt: skip
def test_counts(answer, hint):
    verdict = checks.ch01_counts(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def gains(values, i):
    without = np.array([row for row in range(len(values)) if not row >> i & 1])
    return values[without | 1 << i] - values[without]


@pytest.mark.parametrize("function, hint", [
    (gains, None),
    (lambda v, i: -gains(v, i), "sign"),
    (lambda v, i: gains(v, i)[::-1], "order"),
    (lambda v, i: gains(v, len(v).bit_length() - 2 - i), "another player"),
    (lambda v, i: gains(v, i)[1:], "one gain for each"),
    (lambda v, i: gains(v, i) + 1, "are off"),
    (lambda v, i: None, "nothing yet"),
    (lambda v: v, "could not use"),
])  # fmt: skip
def test_gains(function, hint):
    verdict = checks.ch01_gains(function)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


@pytest.mark.parametrize("values, hint", [
    ([0, 1, 1, 1, 0, 0, 0, 1], None),
    ([5, 1, 0, -5, 0, 0, 0, 1], None),
    ([0, 0, 0, 1, 0, 1, 1, 1], "other way round"),
    ([0, 1, 1, 1, 0, 1, 1, 1], "alike"),
    ([0, 1, 1, 1, 0, 1, 1, 2], "neither help nor hinder"),
    ([0, 1, 1], "eight finite"),
    ([0, 1, 1, 1, 0, 0, 0, np.nan], "eight finite"),
    (None, "no answer"),
])  # fmt: skip
def test_fickle(values, hint):
    verdict = checks.ch01_fickle(values)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def test_the_reading_is_judged_as_the_game_says():
    """What the statements claim, from the 64 values."""
    nothing, black, dog, _, bus, black_bus, dog_bus, everything = v = part_one_game().values[0b111::8]
    bus_gains, black_gains = gains(v, 2), gains(v, 0)
    synergy = dog_bus - dog - bus + nothing
    beside_black = everything - v[3] - black_bus + black
    wrong = {
        "a": abs(bus_gains).max() < 0.01,
        "b": (black_gains < 0).all(),
        "c": np.isclose(synergy, dog_bus),
        "d": np.isclose(synergy, beside_black),
        "f": np.isclose(everything - (beside_black - synergy), nothing),
    }
    assert wrong == {"a": False, "b": True, "c": False, "d": False, "f": False}
    assert checks.ch01_reading({"A", "c ", "d", "f"})
    for other in ({"a", "c", "d"}, {"a", "b", "c", "d", "f"}, {"x"}, None):
        assert not checks.ch01_reading(other)


def test_a_verdict_does_not_show_the_answer():
    assert "acdf" not in repr(checks.ch01_reading({"b"})).replace(",", "").replace(" ", "")
    assert not {"16", "80"} & set(repr(checks.ch01_counts(1, 1)).split())
