"""The self-checks of chapter 15: each accepts right answers and says what is wrong with wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks


def swap(kept, main, pairs, meeting=1.0):
    gain = main + pairs @ kept
    change = gain[None, :] - gain[:, None] - meeting * pairs
    change[~kept] = -np.inf
    change[:, kept] = -np.inf
    out, into = np.unravel_index(change.argmax(), change.shape)
    kept = kept.copy()
    if change[out, into] > 1e-12:
        kept[out], kept[into] = False, True
    return kept


@pytest.mark.parametrize("aid, right, hint", [
    (1.0, True, ""),
    (1, True, ""),
    (10, False, "logits"),
    (-1, False, "sign"),
    (4, False, "width"),
    (0.8, False, "half"),
    (0.3, False, "normalise"),
    (None, False, "no answer"),
    ("1", False, "could not use"),
])  # fmt: skip
def test_aid(aid, right, hint):
    verdict = checks.ch15_aid(aid)
    assert bool(verdict) is right and hint in verdict.hint


def in_place(kept, main, pairs):
    kept[:] = swap(kept, main, pairs)
    return kept


@pytest.mark.parametrize("answer, right, hint", [
    (swap, True, ""),
    (lambda kept, main, pairs: swap(kept, main, pairs, meeting=0.0), False, "pair with the leaver"),
    (lambda kept, main, pairs: kept, False, "better exchange"),
    (lambda kept, main, pairs: ~kept, False, "at most one"),
    (lambda kept, main, pairs: None, False, "nothing yet"),
    (in_place, False, "copy it"),
    (None, False, "no answer"),
])  # fmt: skip
def test_swap(answer, right, hint):
    verdict = checks.ch15_swap(answer)
    assert bool(verdict) is right and hint in verdict.hint


@pytest.mark.parametrize("main, pairs, right, hint", [
    ([2, 1, 1], [0, 0, 3], True, ""),
    ([3, 2, 2], [-3, -3, 0], True, ""),
    ([1, 2, 1], [0, 0, 3], False, "single best"),
    ([2, 1, 1], [3, 0, 0], False, "as asked"),
    ([2, 1, 1], [0, 0, 1], False, "at least as good"),
    ([2, 1], [0, 0, 3], False, "three finite"),
    (None, None, False, "no answer"),
])  # fmt: skip
def test_leaver(main, pairs, right, hint):
    verdict = checks.ch15_leaver(main, pairs)
    assert bool(verdict) is right and hint in verdict.hint


@pytest.mark.parametrize(
    "wrong, right", [({"a", "b", "d", "f"}, True), ({"a", "b"}, False), (set("abcdf"), False)]
)
def test_reading(wrong, right):
    assert bool(checks.ch15_reading(wrong)) is right
