"""The self-checks of chapter 06 accept right answers and reject wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import checks, scenes


def test_a_missing_answer_is_no_error():
    for verdict in (checks.ch06_shares(None, None), checks.ch06_recall(...), checks.ch06_reading(None)):
        assert not verdict
        assert "no answer" in repr(verdict)


def test_an_answer_that_breaks_the_check_is_wrong():
    assert not checks.ch06_shares("much", "little")
    assert not checks.ch06_recall(lambda c: c.no_such_method())


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ((0.95, 0.57), True),
        ((0.9526, 0.5744), True),
        ((0.57, 0.95), False),
        ((0.51, 0.51), False),
        ((0.95, 0.95), False),
    ],
)
def test_shares(answer, right):
    assert bool(checks.ch06_shares(*answer)) is right


@pytest.mark.parametrize(
    ("function", "right"),
    [
        (lambda c: np.mean(c.argmax(0) == np.arange(len(c))), True),
        (lambda c: np.mean([np.argsort(-c[:, k])[0] == k for k in range(len(c))]), True),
        (lambda c: np.mean(c.argmax(1) == np.arange(len(c))), False),
        (lambda c: 100 * np.mean(c.argmax(0) == np.arange(len(c))), False),
        (lambda c: np.sum(c.argmax(0) == np.arange(len(c))), False),
        (lambda c: 0.5, False),
    ],
)
def test_recall(function, right):
    assert bool(checks.ch06_recall(function)) is right


def _pair(k=4, cosine=0.1):
    own, rest, nothing = np.sqrt(cosine) * np.eye(k), np.sqrt(1 - cosine) * np.eye(k), np.zeros((k, k))
    return np.hstack([own, rest, nothing]), np.hstack([own, nothing, rest])


def test_low_cosines():
    f, g = _pair()
    assert checks.ch06_low_cosines(f, g, 100)
    assert checks.ch06_low_cosines(*_pair(6, 0.05), 200)
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    assert checks.ch06_low_cosines(f @ turn, g @ turn, 100)  # any rotation of a right answer is right
    assert not checks.ch06_low_cosines(f, g, 10)  # shares too small
    assert not checks.ch06_low_cosines(*_pair(4, 0.2), 100)  # cosines too large
    assert not checks.ch06_low_cosines(f, np.roll(g, 1, 0), 100)  # captions of other pictures
    assert not checks.ch06_low_cosines(2 * f, g, 100)  # not of length 1
    assert not checks.ch06_low_cosines(f[:3], g[:3], 100)  # too few
    assert not checks.ch06_low_cosines(f, g, -100)


@pytest.mark.parametrize(
    ("answer", "right"),
    [({"A", "C"}, True), ("ca", True), ({"A"}, False), ({"A", "C", "D"}, False), (set(), False)],
)
def test_reading(answer, right):
    assert bool(checks.ch06_reading(answer)) is right


class _Prefers:
    """A model whose score is 1 for captions with one phrase and 0 for all others."""

    def __init__(self, words):
        self.words = words

    def score(self, image, caption):
        return float(self.words in caption)


def test_blind_spot():
    thing = scenes.SceneObject
    scene = scenes.Scene((thing("dog", size=40, x=0, y=40), thing("cat", size=40, x=80, y=40)))
    true, false = "a dog left of a cat", "a dog right of a cat"
    assert checks.ch06_blind_spot(_Prefers("right of"), scene, true, false)
    assert not checks.ch06_blind_spot(_Prefers("left of"), scene, true, false)  # no blind spot
    assert not checks.ch06_blind_spot(_Prefers("left of"), scene, false, true)  # the captions exchanged
    assert not checks.ch06_blind_spot(_Prefers("a fox"), scene, true, "a fox right of a cat")  # other objects
    assert not checks.ch06_blind_spot(_Prefers("above"), scene, true, "a dog above a cat")  # not the opposite
    assert not checks.ch06_blind_spot(_Prefers("cat"), scene, "a dog", "a cat")  # no relation
