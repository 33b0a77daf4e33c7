"""The self-checks of chapter 03: each accepts right answers and names the mistake of wrong ones."""

import numpy as np
import pytest
from truth import weighted_banzhaf, weighted_banzhaf_interaction

from fixlip_helpers import checks
from fixlip_helpers.datasets import part_one_game
from fixlip_helpers.games import TableGame


def interaction(values, i, j, p):
    game = TableGame(values)
    return weighted_banzhaf_interaction(game, game.n_players, p, i, j)


@pytest.mark.parametrize("value, hint", [
    (20.79, "sign"),
    (-36.49, "missing"),
    (-52.19, "other sign"),
    (-13.04, "first difference"),
    (-14.89, "first difference"),
    (-7.14, "together"),
    (-13.07, "mean"),
    (1.0, "four values"),
    (None, "no answer"),
    ("x", "could not use"),
])  # fmt: skip
def test_second_difference_names_the_mistake(value, hint):
    verdict = checks.ch03_second_difference(value)
    assert not verdict and hint in verdict.hint


def test_second_difference():
    values = part_one_game().values
    assert checks.ch03_second_difference(values[9] - values[8] - values[1] + values[0])
    assert checks.ch03_second_difference(-20.79)


def test_interaction():
    assert checks.ch03_interaction(interaction)


@pytest.mark.parametrize("wrong, hint", [
    (lambda v, i, j, p: -interaction(v, i, j, p), "sign"),
    (lambda v, i, j, p: interaction(v, i, j, 1 - p), "exchanged"),
    (lambda v, i, j, p: interaction(v, i, j, 0.5), "0.5 only"),
    (lambda v, i, j, p: 2 * interaction(v, i, j, p), "twice"),
    (lambda v, i, j, p: interaction(v, i, j, p) / 2, "half"),
    (lambda v, i, j, p: p * (1 - p) * interaction(v, i, j, p), "not random"),
    (lambda v, i, j, p: interaction(v, i, j, p) / 4, "four times"),
    (lambda v, i, j, p: 1.0, "not the weighted"),
    (lambda v, i, j, p: None, "nothing yet"),
    (lambda v: 1.0, "could not use"),
])  # fmt: skip
def test_interaction_names_the_mistake(wrong, hint):
    verdict = checks.ch03_interaction(wrong)
    assert not verdict and hint in verdict.hint


@pytest.mark.parametrize("values, hint", [
    ([0, 1, 1, 0, 1, 0, 0, 1], None),
    ([5, 2, 2, 5, 2, 5, 5, 2], None),
    ([0] * 8, "constant"),
    ([0, 1, 1, 2, 1, 2, 2, 3], "3 of the 3 players"),
    ([0, 1, 1, 0, 0, 1, 1, 0], "1 of the 3 pairs"),
    ([0, 1, 1, 0], "eight values"),
    ([0, 1, 1, 0, 1, 0, 0, np.nan], "finite"),
])  # fmt: skip
def test_hidden(values, hint):
    verdict = checks.ch03_hidden(values)
    assert bool(verdict) is (hint is None)
    if hint:
        assert hint in verdict.hint
    else:
        game = TableGame(values)
        assert np.allclose(weighted_banzhaf(game, 3, 0.5), 0)


@pytest.mark.parametrize("wrong, right", [
    ({"a", "c", "d", "e"}, True),
    ({"a", "c", "d", "e", "f"}, False),
    ({"a"}, False),
    ({"x"}, False),
    (None, False),
])  # fmt: skip
def test_reading(wrong, right):
    assert bool(checks.ch03_reading(wrong)) is right


def test_no_verdict_shows_the_answer():
    assert "20.79" not in repr(checks.ch03_second_difference(20.79))
