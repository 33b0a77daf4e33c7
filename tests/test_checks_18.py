"""The self-checks of chapter 18: each accepts right answers and names the mistake of wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks
from fixlip_helpers.coalitions import all_coalitions


@pytest.mark.parametrize("answer, hint", [
    ((0.75, -0.25), None),
    ((0.25, -0.25), "the object's share"),
    ((0.5, -0.25), "first is off"),
    ((0.75, 0.25), "lost its sign"),
    ((0.75, -0.5), "sizes add up"),
    ((0.75, 0), "second is off"),
    ((..., ...), "no answer"),
])  # fmt: skip
def test_shares(answer, hint):
    verdict = checks.ch18_shares(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def by_name(one, two):
    columns = [two.players.index(name) - two.n_image for name in one.players[one.n_image :]]
    return np.abs(one.cross_modal() - two.cross_modal()[:, columns])


@pytest.mark.parametrize("function, hint", [
    (lambda one, two: by_name(one, two).max(), None),
    (lambda one, two: by_name(one, two).mean(), "not the largest"),
    (lambda one, two: by_name(one, two), "one number"),
    (lambda one, two: np.abs(one.cross_modal() - two.cross_modal()).max(), "by their place"),
    (lambda one, two: 0.0, "no difference"),
    (lambda one, two: 1.0, "yours is not"),
    (lambda one, two: None, "nothing yet"),
    (lambda one: one, "could not use"),
])  # fmt: skip
def test_swapped_apart(function, hint):
    verdict = checks.ch18_swapped_apart(function)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


BITS = all_coalitions(4)


@pytest.mark.parametrize("values, hint", [
    (BITS[:, 0] & BITS[:, 2], None),
    (3.0 * (BITS[:, 0] & BITS[:, 2]) - (BITS[:, 1] & BITS[:, 2]), None),
    (BITS[:, 0] & BITS[:, 2] & BITS[:, 3], "third-order"),
    (BITS[:, 0] & BITS[:, 3], "not positive"),
    (-1.0 * (BITS[:, 0] & BITS[:, 2]), "not positive"),
    ([1, 2, 3], "16 finite"),
    (None, "no answer"),
])  # fmt: skip
def test_no_binding(values, hint):
    verdict = checks.ch18_no_binding(values)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def test_reading():
    assert checks.ch18_reading({"A", "b", "c ", "e", "g"})
    for other in ({"a", "b"}, {"a", "b", "c", "e", "f", "g"}, {"x"}, None):
        assert not checks.ch18_reading(other)


@pytest.mark.parametrize("answer, hint", [
    (("key", "door"), None),
    (("Key", " door"), None),
    (("door", "key"), None),
    (("camel", "sand"), "found above"),
    (("robot", "door"), "found above"),
    (("key", "lock"), "one of them is right"),
    (("dog", "cat"), "not that pair"),
    ((..., ...), "no answer"),
])  # fmt: skip
def test_fourth(answer, hint):
    verdict = checks.ch18_fourth(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def test_a_verdict_does_not_show_the_answer():
    assert "abceg" not in repr(checks.ch18_reading({"d"})).replace(",", "").replace(" ", "")
    assert "door" not in repr(checks.ch18_fourth("key", "dog")).lower()
