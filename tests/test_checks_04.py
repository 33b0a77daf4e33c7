"""The self-checks of chapter 04: each accepts right answers and names the mistake of wrong ones."""

import numpy as np
import pytest
from truth import brute_force, everything

from fixlip_helpers import checks


def main_terms(values, pairs, p):
    return values - p * pairs.sum(axis=1)


def test_xor():
    coalitions, weights = everything(2, 0.3)
    _, main, pairs = brute_force(coalitions, np.array([0.0, 1, 1, 0]), weights)
    assert checks.ch04_xor(0.4, pairs[0, 1], main[0])


@pytest.mark.parametrize("answer, hint", [
    ((-0.4, -2, 1), "exchanged"),
    ((0, -2, 1), "0.5 only"),
    ((1, -2, 1), "mean gain"),
    ((0.4, 2, 1), "wrong sign"),
    ((0.4, -4, 1), "factor of two"),
    ((0.4, -1, 1), "factor of two"),
    ((0.4, 7, 1), "second difference"),
    ((0.4, -2, 0.4), "kept from order one"),
    ((0.4, -2, -0.2), "wrong way"),
    ((0.4, -2, 1.6), "twice"),
    ((0.4, -2, 1.8), "1 − p"),
    ((0.4, -2, 1.4), "half"),
    ((0.4, -2, 9), "order two is not"),
    ((0.4, -2, None), "no answer"),
    (("x", -2, 1), "could not use"),
])  # fmt: skip
def test_xor_names_the_mistake(answer, hint):
    verdict = checks.ch04_xor(*answer)
    assert not verdict and hint in verdict.hint


def test_main_terms():
    assert checks.ch04_main_terms(main_terms)


@pytest.mark.parametrize("wrong, hint", [
    (lambda v, e, p: v, "as they came"),
    (lambda v, e, p: v + p * e.sum(axis=1), "sign"),
    (lambda v, e, p: main_terms(v, e, 1 - p), "exchanged"),
    (lambda v, e, p: v - 2 * p * e.sum(axis=1), "twice"),
    (lambda v, e, p: v - p * np.triu(e).sum(axis=1), "multiply out"),
    (lambda v, e, p: v - p * e.sum(axis=1) / 2, "half"),
    (lambda v, e, p: main_terms(v, e, 0.5), "0.5 only"),
    (lambda v, e, p: main_terms(v, e, 1), "missing"),
    (lambda v, e, p: v[:2], "shape"),
    (lambda v, e, p: None, "nothing yet"),
    (lambda v: v, "could not use"),
])  # fmt: skip
def test_main_terms_names_the_mistake(wrong, hint):
    verdict = checks.ch04_main_terms(wrong)
    assert not verdict and hint in verdict.hint


@pytest.mark.parametrize("signs, hint", [
    ({(0, 1): 1, (1, 2): -1, (2, 3): 1, (0, 3): -1}, None),
    ({(0, 1): 1}, "2 of the 4"),
    ({(0, 1): 1, (0, 2): -1}, "2 of the 4"),
    ({}, "no interactions"),
])  # fmt: skip
def test_still(signs, hint):
    coalitions, weights = everything(4, 0.5)
    x = coalitions.astype(float)
    values = x @ [1.0, -2, 0, 3] + sum(sign * x[:, i] * x[:, j] for (i, j), sign in signs.items())
    verdict = checks.ch04_still(values)
    assert bool(verdict) is (hint is None)
    if hint:
        assert hint in verdict.hint
    else:
        alone = np.linalg.lstsq(np.column_stack([np.ones(16), x]), values, rcond=None)[0][1:]
        assert np.allclose(alone, brute_force(coalitions, values, weights)[1])


@pytest.mark.parametrize("values", [[0] * 8, [np.nan] * 16, None, "ring"])
def test_still_rejects_what_is_no_game(values):
    assert not checks.ch04_still(values)


@pytest.mark.parametrize("wrong, right", [
    ({"a", "d", "e", "f"}, True),
    ({"a", "d", "e"}, False),
    ({"a", "b", "d", "e", "f"}, False),
    ({"x"}, False),
    (None, False),
])  # fmt: skip
def test_reading(wrong, right):
    assert bool(checks.ch04_reading(wrong)) is right
