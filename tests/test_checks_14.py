"""The self-checks of chapter 14: each accepts right answers and says what is wrong with wrong ones."""

import pytest

from fixlip_helpers import checks


@pytest.mark.parametrize("answer, right, hint", [
    ((0.7, 1), True, ""),
    ((7 / 10, 1.0), True, ""),
    ((0.3, 1), False, "missed"),
    ((1.0, 1), False, "no wrong unit"),
    ((0.775, 1), False, "one n for both"),
    ((-0.7, 1), False, "off"),
    ((0.7, 0.7), False, "on a line"),
    ((None, None), False, "no answer"),
])  # fmt: skip
def test_by_hand(answer, right, hint):
    verdict = checks.ch14_by_hand(*answer)
    assert bool(verdict) is right and hint in verdict.hint


@pytest.mark.parametrize("share, right, hint", [
    (1 / 3, True, ""),
    (0.333, True, ""),
    (1, False, "Möbius"),
    (0.5, False, "one of them missing"),
    (2 / 3, False, "other two"),
    (33.3, False, "between 0 and 1"),
    (0, False, "mean squares"),
    (..., False, "no answer"),
])  # fmt: skip
def test_share(share, right, hint):
    verdict = checks.ch14_share(share)
    assert bool(verdict) is right and hint in verdict.hint


@pytest.mark.parametrize("predictions, right, hint", [
    ([10, 20, 40, 80, 160], True, ""),
    ([101, 102, 103, 104, 105], True, ""),
    ([1, 2, 4, 8, 16], False, "R² is 1.00"),
    ([160, 80, 40, 20, 10], False, "order"),
    ([10, 20, 20, 80, 160], False, "order"),
    ([1, 2, 3], False, "five"),
    (None, False, "no answer"),
])  # fmt: skip
def test_order_only(predictions, right, hint):
    verdict = checks.ch14_order_only(predictions)
    assert bool(verdict) is right and hint in verdict.hint


@pytest.mark.parametrize(
    "wrong, right", [({"b", "c", "e"}, True), ({"b", "c"}, False), ({"a", "b", "c", "e"}, False)]
)
def test_reading(wrong, right):
    assert bool(checks.ch14_reading(wrong)) is right


def test_no_verdict_shows_the_answer():
    assert "0.7" not in repr(checks.ch14_by_hand(1.0, 1.0)) and "0.33" not in repr(checks.ch14_share(1))
