"""The self-checks of chapter 09: each accepts right answers and names the mistake of wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks


@pytest.mark.parametrize("answer, hint", [
    ((8, 12), None),
    ((12, 8), "exchanged"),
    ((4, 12), "multiplied with"),
    ((9, 12), "reference has a value"),
    ((-8, 12), "sign"),
    ((7, 12), "add up to"),
    ((8, 6), "multiply it"),
    ((8, 5), "other number"),
    ((..., ...), "no answer"),
    (("x", 12), "could not use"),
])  # fmt: skip
def test_square(answer, hint):
    verdict = checks.ch09_square(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def pair_table(U, V, scale, image, text):
    everything = scale * U @ V.T
    players = everything[np.ix_(image, text)]
    return players, everything.sum() - players.sum()


def changed(of_table=lambda t: t, of_rest=lambda r, t: r):
    def function(*sides):
        table, rest = pair_table(*sides)
        return of_table(table), of_rest(rest, table)

    return function


@pytest.mark.parametrize("function, hint", [
    (pair_table, None),
    (changed(np.transpose), "turned"),
    (lambda U, V, s, i, t: (s * U @ V.T, 0.0), "all positions"),
    (changed(lambda t: t / 2.5), "scale is missing"),
    (changed(lambda t: t + 1), "inner product"),
    (changed(lambda t: t[:1]), "a row for each patch"),
    (changed(of_rest=lambda r, t: -r), "sign turned"),
    (changed(of_rest=lambda r, t: r + t.sum()), "less that of the players"),
    (changed(of_rest=lambda r, t: r + 1), "rest is off"),
    (lambda *sides: pair_table(*sides)[0], "two things"),
    (lambda *sides: None, "nothing yet"),
    (lambda: None, "could not use"),
])  # fmt: skip
def test_table(function, hint):
    verdict = checks.ch09_table(function)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


@pytest.mark.parametrize("table, hint", [
    ([[-1, 2], [-1, 1]], None),
    ([[-1, 2], [-1, 2]], "sum is not 1"),
    ([[1, -1], [2, -1]], "0 of 4"),
    ([[-1, 2], [0, 0]], "2 of 4"),
    ([1, 2], "two rows"),
    ([[np.nan, 1], [1, 1]], "two rows"),
    (None, "no answer"),
])  # fmt: skip
def test_wrong_everywhere(table, hint):
    verdict = checks.ch09_wrong_everywhere(table)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def test_reading():
    assert checks.ch09_reading({"A", "c", "e ", "f"})
    for other in ({"a", "c", "e"}, {"a", "b", "c", "e", "f"}, {"x"}, None):
        assert not checks.ch09_reading(other)


def test_a_verdict_does_not_show_the_answer():
    assert "acef" not in repr(checks.ch09_reading({"b"})).replace(",", "").replace(" ", "")
    assert not {"8", "12"} & set(repr(checks.ch09_square(1, 1)).split())
