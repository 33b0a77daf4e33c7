"""The self-checks of chapter 07 accept right answers and reject wrong ones."""

import numpy as np
import pytest

from fixlip_helpers import TableGame, checks, fixlip
from fixlip_helpers.games import random_game
from fixlip_helpers.masking import Painting


def test_passes():
    assert checks.ch07_passes(90_000, 1_500, 60)
    assert "values" in checks.ch07_passes(30_000, 1_500, 60).hint
    assert "each masked picture" in checks.ch07_passes(90_000, 500, 60).hint
    assert "text passes" in checks.ch07_passes(90_000, 1_500, 180).hint
    assert not checks.ch07_passes(90_000, 90_000, 90_000)
    assert not checks.ch07_passes(None, None, None)


def own_mean(model, pixels):
    return Painting(model, pixels, filler=pixels.mean(dim=(1, 2), keepdim=True).expand_as(pixels))


def test_removal():
    assert checks.ch07_removal(own_mean)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda model, pixels: Painting(model, pixels, filler=pixels * 0), "mean colour of this picture"),
        (
            lambda model, pixels: Painting(model, pixels, filler=pixels.mean().expand_as(pixels)),
            "each channel",
        ),
        (lambda model, pixels: Painting(model, pixels * 0.5, filler=pixels), "must stay"),
        (lambda model, pixels: own_mean(model, pixels.mul_(1.01)), "changes the pixels"),
        (lambda model, pixels: pixels, "expected a Painting"),
        (lambda pixels: pixels, "could not use"),
        (None, "no answer yet"),
    ],
)
def test_wrong_removals(wrong, hint):
    verdict = checks.ch07_removal(wrong)
    assert not verdict and hint in verdict.hint


def test_reading():
    assert checks.ch07_reading({"A", "D", "E"})
    assert checks.ch07_reading(["e", "d", "a"])
    assert checks.ch07_reading({"A"}).hint.startswith("2 of the five")
    assert not checks.ch07_reading({"A", "B", "C", "D", "E"})
    assert not checks.ch07_reading({"F"})


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 1], [[0, 1], [2]]),
        ([1, 0, 0, 0, 0, 0, 0, 0], [[2, 0], [1]]),
        (random_game(3, seed=1).values, [[1], [0, 2]]),
        (random_game(4, seed=2).values, [[0, 3], [1, 2]]),
        (random_game(4, seed=3).values, [[0], [1], [2, 3]]),
    ],
)
def test_merging_fails(values, groups):
    verdict = checks.ch07_merging_fails(values, groups)
    assert verdict
    # independent truth: the package's own merge against its own explanation of the grouped table
    game = TableGame(values)
    member = np.array([np.isin(np.arange(game.n_players), group) for group in groups])
    bits = (np.arange(2 ** len(groups))[:, None] >> np.arange(len(groups)) & 1).astype(bool)
    own = fixlip(TableGame(game(bits @ member)), sampling="joint")
    merged = fixlip(game, sampling="joint").pairs
    merged = member @ merged @ member.T
    off = ~np.eye(len(groups), dtype=bool)
    main = member @ fixlip(game, sampling="joint").main + merged.diagonal() / 2
    apart = max(np.abs(main - own.main).max(), np.abs(merged - own.pairs)[off].max())
    assert f"{apart:.2f}" in verdict.hint


@pytest.mark.parametrize(
    ("values", "groups", "hint"),
    [
        (np.arange(8.0), [[0, 1], [2]], "agree"),  # bits as numbers: additive
        ([0, 0, 0, 1, 0, 1, 1, 3], [[0, 1], [2]], "agree"),  # 1 for each visible pair
        ([0, 0, 0, 0, 0, 0, 0, 1], [[0], [1], [2]], "one player only"),
        ([0, 0, 0, 0, 0, 0, 0, 1], [[0, 1, 2]], "two groups or more"),
        ([0, 0, 0, 0, 0, 0, 0, 1], [[0, 1], [1, 2]], "once"),
        ([0, 0, 0, 0, 0, 0, 0, 1], [[0, 1]], "once"),
        ([0, 0, 0, 1], [[0], [1]], "three or four"),
        (np.arange(6.0), [[0], [1]], "three or four"),
        ([0, 0, 0, 0, 0, 0, 0, np.nan], [[0, 1], [2]], "finite"),
        (None, None, "no answer yet"),
    ],
)
def test_merging_that_does_not_fail(values, groups, hint):
    verdict = checks.ch07_merging_fails(values, groups)
    assert not verdict and hint in verdict.hint


def test_above_full():
    game = TableGame([0.0, 2.0, 1.2, 1.0])
    assert checks.ch07_above_full(game, [True, False])
    assert "0.20 logits more" in checks.ch07_above_full(game, [False, True]).hint
    assert "1.00 logits less" in checks.ch07_above_full(game, [False, False]).hint
    assert not checks.ch07_above_full(game, [True, True])
    assert not checks.ch07_above_full(game, np.array([[True, False], [True, False]]))
    assert not checks.ch07_above_full(game, [True])
    assert not checks.ch07_above_full(game, None)
