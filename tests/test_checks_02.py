"""The self-checks of chapter 02: each accepts right answers and names the mistake of wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks
from fixlip_helpers.datasets import part_one_game
from fixlip_helpers.exact import banzhaf_values, shapley_values


@pytest.mark.parametrize("answer, hint", [
    ((1.34, 1.5, 2), None),
    ((2.14, 1.5, 2), "exchanged"),
    ((0.402, 1.5, 2), "too many"),
    ((1.34, 0.75, 2), "too many"),
    ((1.34, 1.5, 4), "share of its group"),
    ((1.34, 1.5, 1.5), "height"),
    ((1.34, 1.5, 2.67), "among its members"),
    ((1.34, -1.5, 2), "sign"),
    ((1.34, 1.5, 9), "Sh_a is off"),
    ((..., ..., ...), "no answer"),
    (("x", 1.5, 2), "could not use"),
])  # fmt: skip
def test_curve(answer, hint):
    verdict = checks.ch02_curve(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def arrival_values(game, times, earlier=np.less):
    values = np.zeros(times.shape[1])
    for i in range(times.shape[1]):
        company = earlier(times, times[:, [i]])
        company[:, i] = False
        joined = company.copy()
        joined[:, i] = True
        values[i] = (game(joined) - game(company)).mean()
    return values


@pytest.mark.parametrize("function, hint", [
    (arrival_values, None),
    (lambda game, times: -arrival_values(game, times), "sign"),
    (lambda game, times: arrival_values(game, times, np.greater), "earlier"),
    (lambda game, times: arrival_values(game, times, lambda t, _: t < 0.5), "clock"),
    (lambda game, times: len(times) * arrival_values(game, times), "sum over the runs"),
    (lambda game, times: shapley_values(game), "exact Shapley"),
    (lambda game, times: arrival_values(game, times) + 1, "are off"),
    (lambda game, times: times, "one number for each"),
    (lambda game, times: None, "nothing yet"),
    (lambda: None, "could not use"),
])  # fmt: skip
def test_arrivals(function, hint):
    verdict = checks.ch02_arrivals(function)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


@pytest.mark.parametrize("values, hint", [
    ([0, -3.5, 0, -3.5, 0, -3.5, 0, 8.5], None),
    ([0, 3.5, 0, 3.5, 0, 3.5, 0, -8.5], "other way round"),
    ([0, 1, 0, 1, 0, 1, 0, 1], "one sign"),
    ([0, 0, 0, 0, 0, 0, 0, 0], "is 0"),
    ([0, 1], "eight finite"),
    ([0, np.inf, 0, 0, 0, 0, 0, 0], "eight finite"),
    (None, "no answer"),
])  # fmt: skip
def test_two_signs(values, hint):
    verdict = checks.ch02_two_signs(values)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def test_reading():
    game = part_one_game()
    assert abs(banzhaf_values(game).sum() - (game.values[63] - game.values[0])) > 0.1  # statement b: no sum
    assert checks.ch02_reading({"A", "b", "e ", "g"})
    for other in ({"a", "b", "e"}, {"a", "b", "c", "e", "g"}, {"x"}, None):
        assert not checks.ch02_reading(other)


def test_a_verdict_does_not_show_the_answer():
    assert "abeg" not in repr(checks.ch02_reading({"c"})).replace(",", "").replace(" ", "")
    assert not {"1.34", "2.0", "2"} & set(repr(checks.ch02_curve(9, 9, 9)).split())
