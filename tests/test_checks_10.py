"""The self-checks of chapter 10: each accepts right answers and rejects wrong ones."""

import numpy as np
import pytest
from truth import brute_force

from fixlip_helpers import checks
from fixlip_helpers.coalitions import all_coalitions


def crossing(explanation, player):
    return -explanation.main[player] / explanation.pairs[player].sum()


def helper_games(n_tries=400, seed=0):
    """Random games in which player 0 never lowers the value, with their main effect of player 0."""
    rng = np.random.default_rng(seed)
    coalitions = all_coalitions(3)
    for _ in range(n_tries):
        values = np.zeros(8)
        values[~coalitions[:, 0]] = rng.normal(size=4)
        values[coalitions[:, 0]] = values[~coalitions[:, 0]] + rng.exponential(size=4) ** 3
        yield values, brute_force(coalitions, values, np.full(8, 1 / 8))[1][0]


@pytest.mark.parametrize("answer, right", [
    ((21.6, 3.9), True),
    ((21.6, np.sqrt(15.12)), True),
    ((36.0, 4.2), False),
    ((21.6, 15.1), False),
    ((50.4, 3.9), False),
    ((..., ...), False),
    (("21.6", 3.9), False),
])  # fmt: skip
def test_sizes(answer, right):
    assert bool(checks.ch10_sizes(*answer)) is right


def test_crossing_accepts_the_zero_of_the_line():
    assert checks.ch10_crossing(crossing)


@pytest.mark.parametrize("wrong", [
    lambda explanation, player: None,
    lambda explanation, player: -crossing(explanation, player),
    lambda explanation, player: -explanation.main[player] / (0.5 * explanation.pairs[player].sum()),
    lambda explanation, player: explanation.first_order()[player],
    lambda explanation: 0.5,
    None,
])  # fmt: skip
def test_crossing_rejects(wrong):
    assert not checks.ch10_crossing(wrong)


def test_helper_agrees_with_least_squares_on_many_games():
    verdicts = [(bool(checks.ch10_helper(values)), main < 0) for values, main in helper_games()]
    assert all(given == true for given, true in verdicts)
    assert {true for _, true in verdicts} == {True, False}


@pytest.mark.parametrize("values, right", [
    ([0, 0, 0, 0, 0, 0, 0, 1], True),
    ([0, 1, 0, 1, 0, 1, 0, 1], False),  # a helper whose main effect is positive
    ([0, -1, 0, 0, 0, 0, 0, 1], False),  # a negative main effect, but player 0 does harm
    ([0, 0, 0, 0, 0, 0, 0], False),
    ([0, 0, 0, 0, 0, 0, 0, np.nan], False),
    (None, False),
    ("unanimity", False),
])  # fmt: skip
def test_helper(values, right):
    assert bool(checks.ch10_helper(values)) is right


@pytest.mark.parametrize("wrong, right", [
    ({"a", "c", "e", "f"}, True),
    (["A", "C", "E", "F "], True),
    ({"a", "c", "e"}, False),
    ({"a", "b", "c", "e", "f"}, False),
    (set(), False),
    ({"x"}, False),
    (None, False),
])  # fmt: skip
def test_reading(wrong, right):
    assert bool(checks.ch10_reading(wrong)) is right


def test_a_verdict_does_not_show_the_answer():
    assert "acef" not in repr(checks.ch10_reading({"a"})).replace(",", "").replace(" ", "")
    assert "21.6" not in repr(checks.ch10_sizes(1.0, 1.0))
