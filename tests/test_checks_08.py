"""The self-checks of chapter 08: each accepts right answers and names the mistake of wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks


@pytest.mark.parametrize("answer, hint", [
    ((0, 1), None),
    ((-1.2, 1), "relu is missing"),
    ((1.2, 1), "does not turn"),
    ((0, 5), "multiplied with the attention"),
    ((0.3, 0.2), "attention alone"),
    ((1, 2), "diagonal only"),
    ((9, 9), "then relu"),
    ((..., ...), "no answer"),
    (("x", 1), "could not use"),
])  # fmt: skip
def test_game(answer, hint):
    verdict = checks.ch08_game(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def relevance(layers):
    R = np.eye(len(layers[0]))
    for layer in layers:
        R = R + layer @ R
    return R


@pytest.mark.parametrize("function, hint", [
    (relevance, None),
    (lambda layers: relevance(layers[::-1]), "order"),
    (lambda layers: layers[2] @ layers[1] @ layers[0], "identity is missing"),
    (lambda layers: np.eye(4) + sum(layers), "adds the layers"),
    (lambda layers: relevance(layers[-1:]), "only the last"),
    (lambda layers: np.zeros((4, 4)), "not the R"),
    (lambda layers: np.zeros(4), "as large as"),
    (lambda layers: None, "nothing yet"),
    (lambda: None, "could not use"),
])  # fmt: skip
def test_relevance(function, hint):
    verdict = checks.ch08_relevance(function)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


@pytest.mark.parametrize("answer, hint", [
    ((0, 2, -2), None),
    ((1, 1, -3), None),
    ((3, -2, -4), None),
    ((0, -2, 2), "exchanged"),
    ((-2, 1, 3), "exchanged"),
    ((2, 1, -3), "not whole"),
    ((0, 2, -1), "not 0"),
    ((0, 0, 0), "does nothing"),
    ((..., ..., ...), "no answer"),
])  # fmt: skip
def test_silence(answer, hint):
    verdict = checks.ch08_silence(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def test_reading():
    assert checks.ch08_reading({"A", "c", "d ", "f"})
    for other in ({"a", "c", "d"}, {"a", "b", "c", "d", "f"}, {"x"}, None):
        assert not checks.ch08_reading(other)


def test_a_verdict_does_not_show_the_answer():
    assert "acdf" not in repr(checks.ch08_reading({"b"})).replace(",", "").replace(" ", "")
