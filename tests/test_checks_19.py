"""The self-checks of chapter 19: each accepts right answers and names the mistake of wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks


@pytest.mark.parametrize("answer, hint", [
    ((10 / 5.5, 2), None),
    ((1.82, 2.0), None),
    ((5.5, 2), "divide ten"),
    ((10 / 6, 2), "m − 1"),
    ((5, 2), "not a share"),
    ((10, 2), "not what ten"),
    ((10 / 5.5, 10), "grow without end"),
    ((..., ...), "no answer"),
])  # fmt: skip
def test_worth(answer, hint):
    verdict = checks.ch19_worth(*answer)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def needed(sigma, rho, half_width, extra=0, twice=2, floor=True):
    room = (half_width / (twice * sigma)) ** 2 - rho
    if room <= 0:
        return (1 if room + rho >= 1 - 1e-12 else None) if floor else 10_000
    return max(1, int(np.ceil((1 - rho) / room - 1e-9))) + extra


@pytest.mark.parametrize("function, hint", [
    (needed, None),
    (lambda s, r, h: needed(s, 0, h), "correlation was left out"),
    (lambda s, r, h: needed(s, r, h, extra=1), "off by one"),
    (lambda s, r, h: needed(s, r, h, twice=1), "not one"),
    (lambda s, r, h: needed(s, r, h, floor=False), "leave a floor"),
    (lambda s, r, h: None, "some number is enough"),
    (lambda s, r, h: 77, "number is wrong"),
    (lambda s: 1, "could not use"),
])  # fmt: skip
def test_needed(function, hint):
    verdict = checks.ch19_needed(function)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


@pytest.mark.parametrize("values, hint", [
    ([-0.1] * 9 + [5.0, 5.5, 6.0] * 5, None),
    ([1.0] * 20, "more than a third"),
    ([-1.0] * 10 + [1.0] * 10, "does not lie above"),
    ([1.0] * 5, "at least 12"),
    ([np.nan] * 20, "finite"),
    (None, "no answer"),
])  # fmt: skip
def test_convincing(values, hint):
    verdict = checks.ch19_convincing(values)
    assert bool(verdict) is (hint is None) and (hint or "") in verdict.hint


def test_reading():
    assert checks.ch19_reading({"A", "b", "c ", "e", "g"})
    for other in ({"a", "b"}, {"a", "b", "c", "e", "f", "g"}, {"x"}, None):
        assert not checks.ch19_reading(other)


def test_a_verdict_does_not_show_the_answer():
    assert "abceg" not in repr(checks.ch19_reading({"d"})).replace(",", "").replace(" ", "")
