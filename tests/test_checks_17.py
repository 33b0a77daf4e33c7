"""The self-checks of chapter 17: each accepts right answers and names the mistake of wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks


@pytest.mark.parametrize("answer, hint", [
    ((-0.5, -0.6, "B"), None),
    ((-0.5, -0.6, "b "), None),
    ((-2, -5 / 3, "A"), "turned over"),
    ((0.5, 0.6, "B"), "sign is lost"),
    ((-0.4, -0.6, "B"), "are off"),
    ((-0.5, -0.6, "A"), "sizes"),
    ((..., ..., ...), "no answer"),
    (("x", 1, "A"), "could not use"),
])  # fmt: skip
def test_rulers(answer, hint):
    verdict = checks.ch17_rulers(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


@pytest.mark.parametrize("function, hint", [
    (lambda e, p: e.pairs / np.sqrt(e.variance(p)), None),
    (lambda e, p: e.pairs / e.variance(p), "its root"),
    (lambda e, p: e.pairs * np.sqrt(e.variance(p)), "do not multiply"),
    (lambda e, p: e.pairs / np.sqrt(e.variance(1 - p)), "exchanged"),
    (lambda e, p: e.pairs / np.sqrt(e.variance(0.5)), "that is given"),
    (lambda e, p: e.pairs, "as they were"),
    (lambda e, p: e.pairs + 1, "not the pairs"),
    (lambda e, p: e.main, "all pairs are asked"),
    (lambda e, p: None, "nothing yet"),
    (lambda e: e, "could not use"),
])  # fmt: skip
def test_standard_pairs(function, hint):
    verdict = checks.ch17_standard_pairs(function)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


LOUD, XOR = [0, 10, 10, 22], [0, 0.5, 0.5, 0]


@pytest.mark.parametrize("games, hint", [
    ((LOUD, XOR), None),
    ((XOR, LOUD), "exchanged"),
    ((XOR, XOR), "first game is to have"),
    (([0, 0, 0, 8], [0, 5, 5, 11]), "ahead in both"),
    ((LOUD, [1, 1, 1, 1]), "does not vary"),
    ((LOUD, [0, 1]), "four finite"),
    ((LOUD, None), "no answer"),
])  # fmt: skip
def test_two_games(games, hint):
    verdict = checks.ch17_two_games(*games)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def test_reading():
    assert checks.ch17_reading({"A", "c", "d ", "e"})
    for other in ({"a", "c", "d"}, {"a", "b", "c", "d", "e"}, {"x"}, None):
        assert not checks.ch17_reading(other)


def test_a_verdict_does_not_show_the_answer():
    assert "acde" not in repr(checks.ch17_reading({"b"})).replace(",", "").replace(" ", "")
