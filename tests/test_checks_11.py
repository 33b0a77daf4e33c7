"""The self-checks of chapter 11: each accepts right answers and rejects wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import EmbeddingTableGame, checks, fixlip
from fixlip_helpers.coalitions import all_coalitions


def two_way(v):
    return np.sqrt(v.mean(axis=1).var(ddof=1) / v.shape[0] + v.mean(axis=0).var(ddof=1) / v.shape[1])


def corrected(v):
    """Unbiased variance: by the mean squares of the two-way analysis of variance."""
    m, n = v.shape
    rest = v - v.mean(axis=1, keepdims=True) - v.mean(axis=0) + v.mean()
    both = (rest**2).sum() / (m - 1) / (n - 1)
    return np.sqrt(max(two_way(v) ** 2 - both / (m * n), 0))


def random_answers(n_tries=200, seed=0):
    """Embeddings, and by brute force what the exercise asks of them: interaction and two variances."""
    rng = np.random.default_rng(seed)
    z = 2 * all_coalitions(2)[:, 0] - 1
    for k in range(n_tries):
        f, g = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
        if k % 2:
            f = z[:, None] * rng.normal(size=2)
        if k % 3 == 0:
            g = z[:, None] * rng.normal(size=2)
        game = EmbeddingTableGame(f, g)
        values = {(a, b): f[a] @ g[b] * z[a] * z[b] for a in range(4) for b in range(4)}
        rows = [np.mean([values[a, b] for b in range(4)]) for a in range(4)]
        columns = [np.mean([values[a, b] for a in range(4)]) for b in range(4)]
        yield (f, g), fixlip(game).pairs[0, 2], np.var(rows), np.var(columns)


@pytest.mark.parametrize("bill, right", [
    ((20480, 51200, 4096000), True),
    ((20480, 51200, 20480), False),
    ((4096000, 51200, 4096000), False),
    ((20480, 256000, 4096000), False),
    ((20480, 200 * 8, 4096000), False),
    ((4096, 51200, 4096000), False),
    ((20480, 51200), False),
    (None, False),
    (..., False),
])  # fmt: skip
def test_bill(bill, right):
    assert bool(checks.ch11_bill(bill)) is right


@pytest.mark.parametrize("answer", [two_way, corrected])
def test_two_way_error_accepts(answer):
    assert checks.ch11_two_way_error(answer)


@pytest.mark.parametrize("wrong, hint", [
    (lambda v: v.std() / np.sqrt(v.size), "cells"),
    (lambda v: v.std(ddof=1) / np.sqrt(v.size), "cells"),
    (lambda v: v.mean(axis=1).std(ddof=1) / np.sqrt(len(v)), "one side"),
    (lambda v: v.mean(axis=0).std(ddof=1) / np.sqrt(v.shape[1]), "one side"),
    (lambda v: two_way(v) ** 2, "root"),
    (lambda v: np.sqrt(v.mean(axis=1).var() / len(v) + v.mean(axis=0).var() / v.shape[1]), "estimated"),
    (lambda v: two_way(v.T.reshape(v.shape)), "off"),
    (lambda v: 0.0, "off"),
    (lambda v: None, "nothing"),
    (lambda: 1.0, "could not"),
    (None, "no answer"),
])  # fmt: skip
def test_two_way_error_rejects(wrong, hint):
    verdict = checks.ch11_two_way_error(wrong)
    assert not verdict and hint in repr(verdict)


def test_pictures_do_not_help_agrees_with_brute_force():
    seen = set()
    for embeddings, interaction, of_pictures, of_captions in random_answers():
        asked = bool(abs(interaction) >= 0.5 and of_pictures < 1e-12 and of_captions > 1e-6)
        assert bool(checks.ch11_pictures_do_not_help(embeddings)) is asked
        seen.add(asked)
    assert seen == {True, False}


Z = 2.0 * all_coalitions(2)[:, :1] - 1


@pytest.mark.parametrize("embeddings, right", [
    ((Z, Z + 1), True),
    ((np.hstack([Z, 0 * Z]), np.hstack([3 * Z - 2, np.ones((4, 1))])), True),
    ((Z + 1, Z + 1), False),  # pictures matter
    ((Z, Z), False),  # nothing matters
    ((Z, 0.1 * Z + 5), False),  # hardly any interaction
    ((Z, np.array([[np.nan]] * 4)), False),
    ((Z, np.ones((4, 2))), False),
    ((Z[:3], Z[:3]), False),
    ((Z,), False),
    (None, False),
    ("f and g", False),
])  # fmt: skip
def test_pictures_do_not_help(embeddings, right):
    assert bool(checks.ch11_pictures_do_not_help(embeddings)) is right


@pytest.mark.parametrize("wrong, right", [
    ({"a", "c", "e", "g"}, True),
    (["A", "C", "E ", "G"], True),
    ({"a", "c", "e"}, False),
    ({"a", "c", "d", "e", "g"}, False),
    (set(), False),
    ({"x"}, False),
    (None, False),
])  # fmt: skip
def test_reading(wrong, right):
    assert bool(checks.ch11_reading(wrong)) is right


def test_a_verdict_does_not_show_the_answer():
    assert not set("aceg") & set(repr(checks.ch11_reading({"b"})).split(":")[-1].replace(",", "").split())
    assert "51200" not in repr(checks.ch11_bill((20480, 1, 1)))
