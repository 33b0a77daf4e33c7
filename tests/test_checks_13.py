"""The self-checks of chapter 13: each accepts right answers and names the mistake of wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks


@pytest.mark.parametrize("answer, hint", [
    ((2, 8, 1 / 3), None),
    ((2, 8, 0.333), None),
    ((8, 2, 1 / 3), "exchanged"),
    ((8, 8, 1 / 3), "not whole"),
    ((-10, 8, 1 / 3), "not taken off"),
    ((3, 8, 1 / 3), "value is off"),
    ((2, 20, 1 / 3), "counts once"),
    ((2, 9, 1 / 3), "marginal is off"),
    ((2, 8, -1 / 3), "not negative"),
    ((2, 8, 3), "turned over"),
    ((2, 8, 0.5), "zero of the line"),
    ((..., ..., ...), "no answer"),
])  # fmt: skip
def test_three(answer, hint):
    verdict = checks.ch13_three(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def share(column, region):
    negative = np.minimum(column, 0)
    return negative[region].sum() / negative.sum()


@pytest.mark.parametrize("function, hint", [
    (share, None),
    (lambda c, r: -share(c, r), "share is positive"),
    (lambda c, r: c[r].sum() / c.sum(), "cut them off"),
    (lambda c, r: np.minimum(c, 0)[r].sum() / -np.abs(c).sum(), "not by all"),
    (lambda c, r: (c[r] < 0).sum() / (c < 0).sum(), "counts patches"),
    (lambda c, r: np.minimum(c, 0)[r].sum(), "not yet its share"),
    (lambda c, r: 0.1, "not the share"),
    (lambda c, r: None, "nothing yet"),
    (lambda c: 1, "could not use"),
])  # fmt: skip
def test_negative_share(function, hint):
    verdict = checks.ch13_negative_share(function)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


@pytest.mark.parametrize("terms, hint", [
    ((0, 2, -1, 0), None),
    ((5, 0, -2, 2), None),
    ((0, -1, 2, 0), "exchanged"),
    ((0, 0.3, -1, 0), "main effects have the signs"),
    ((0, 2, 2, 0), "word 2 +1.50"),
    ((0, 2), "four finite"),
    (None, "no answer"),
])  # fmt: skip
def test_two_kinds(terms, hint):
    verdict = checks.ch13_two_kinds(terms)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def test_reading():
    assert checks.ch13_reading({"A", "c", "d ", "f"})
    for other in ({"a", "c", "d"}, {"a", "b", "c", "d", "f"}, {"x"}, None):
        assert not checks.ch13_reading(other)


def test_a_verdict_does_not_show_the_answer():
    assert "acdf" not in repr(checks.ch13_reading({"b"})).replace(",", "").replace(" ", "")
