"""The self-checks of chapter 05 accept right answers and reject wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks


def test_a_missing_answer_is_no_error():
    for verdict in (
        checks.ch05_budgets(None, None),
        checks.ch05_interaction_error(...),
        checks.ch05_phantom(None),
        checks.ch05_reading(None),
    ):
        assert not verdict
        assert "no answer" in repr(verdict)
    assert "nothing yet" in repr(checks.ch05_interaction_error(lambda estimates, p: None))


def test_an_answer_that_breaks_the_check_is_wrong():
    assert not checks.ch05_budgets("many", "more")
    assert not checks.ch05_interaction_error(lambda estimates, p: estimates.no_such_method())
    assert not checks.ch05_interaction_error(lambda estimates, p: estimates.mean())  # one number
    assert not checks.ch05_phantom(["a"] * 8)
    assert not checks.ch05_reading(5)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ((821, 10_000), True),
        ((821, 1e4), True),
        ((780, 10_000), False),  # pairs only
        ((820, 10_000), False),
        ((821, 1_000), False),  # no square
        ((10_000, 821), False),
    ],
)
def test_budgets(answer, right):
    assert bool(checks.ch05_budgets(*answer)) is right


def right_error(estimates, p):
    k, variance = len(estimates), p * (1 - p)
    spread = np.sqrt(((estimates - estimates.sum() / k) ** 2).sum() / (k - 1))
    return estimates.sum() / k / variance, spread / k**0.5 / variance


@pytest.mark.parametrize(
    ("function", "right"),
    [
        (right_error, True),
        (lambda e, p: np.array(right_error(e, p)), True),
        (lambda e, p: right_error(e, 0.5), False),  # right at p = 0.5 only
        (lambda e, p: (e.mean(), e.std(ddof=1) / len(e) ** 0.5), False),  # of the coefficient
        (lambda e, p: (right_error(e, p)[0], e.std(ddof=1) / (p * (1 - p))), False),  # of one estimate
        (lambda e, p: (right_error(e, p)[0], e.std() / len(e) ** 0.5 / (p * (1 - p))), False),  # divided by k
        (lambda e, p: (right_error(e, p)[0], e.std(ddof=1) / len(e) ** 0.5), False),  # other scale
        (lambda e, p: right_error(e, p)[::-1], False),
        (lambda e, p: (right_error(e, p)[0], 0.0), False),
    ],
)
def test_interaction_error(function, right):
    assert bool(checks.ch05_interaction_error(function)) is right


def test_interaction_error_keeps_its_own_numbers():
    def spoils(estimates, p):
        answer = right_error(estimates, p)
        estimates[:] = 0
        return answer

    assert checks.ch05_interaction_error(spoils)


@pytest.mark.parametrize(
    ("values", "right"),
    [
        ([0, 1, 1, 0, 0, 1, 1, 0], True),
        ([1, 0, 0, 1, 1, 0, 0, 1], True),  # the other sign
        ([0, 0, 0, 2, 0, 0, 0, 2], True),  # a unanimity game
        ([7, 9, 5, 3, 7, 9, 5, 3], True),
        ([0, 0, 0, 1, 0, 0, 0, 1], False),  # too small
        ([0, 1, 2, 3, 0, 1, 2, 3], False),  # first order
        ([0, 1, 1, 0, 1, 2, 2, 1], False),  # player c does something
        ([0, 0, 0, 0, 1, 1, 1, 1], False),  # an effect that is there
        ([0, 1, 1, 0], False),
        ([0, 1, 1, 0, 0, 1, 1, np.nan], False),
    ],
)
def test_phantom(values, right):
    assert bool(checks.ch05_phantom(values)) is right


@pytest.mark.parametrize("seed", range(20))
def test_phantom_agrees_with_the_definition(seed):
    """On random games with a dummy: the pair's coefficient is what is read as the dummy's."""
    rng = np.random.default_rng(seed)
    half = rng.normal(0, 1.5, size=4)
    pair = half @ [1, -1, -1, 1] / 4
    assert bool(checks.ch05_phantom(np.tile(half, 2))) is bool(abs(pair) >= 0.5)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (set("abdfh"), True),
        ("hFdBa", True),
        (set("abdf"), False),
        (set("abdfhc"), False),
        (set("ceg"), False),
        (set(), False),
        ({"z"}, False),
    ],
)
def test_reading(answer, right):
    assert bool(checks.ch05_reading(answer)) is right
