"""Metrics: p-faithfulness and the pointing game."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fixlip_helpers import faithfulness, fixlip, pointing_game
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.games import ExplanationGame, TableGame, random_embeddings
from fixlip_helpers.metrics import pearson_correlation, ranks


def make(pairs_cross, main=None, index="FWBII", words=("cat", "dog")):
    cross = np.asarray(pairs_cross, dtype=float)
    n_image, n_text = cross.shape
    n = n_image + n_text
    pairs = np.zeros((n, n))
    pairs[:n_image, n_image:], pairs[n_image:, :n_image] = cross, cross.T
    main = np.zeros(n) if main is None else main
    names = [f"patch {i}" for i in range(n_image)] + list(words)
    return Explanation(0.0, None, main, pairs, index, 0.5, names, n_image, n_text)


# --- Faithfulness -------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_faithfulness_estimates_the_share_of_variance(p):
    game = random_embeddings(5, 4, seed=3)
    explanation = fixlip(game, p)
    result = faithfulness(explanation, game, m=20_000)
    assert result.p == p
    assert result.r2 == pytest.approx(explanation.meta["held_out_r2"], abs=0.03)
    # The best fit is uncorrelated with its error: then R² is the squared correlation.
    assert result.r2 == pytest.approx(result.pearson**2, abs=0.02)


def test_correlations_are_those_of_scipy():
    game = random_embeddings(4, 3, seed=1)
    result = faithfulness(fixlip(game), game, m=200)
    assert len(result.values) == 200
    assert result.pearson == pytest.approx(stats.pearsonr(result.values, result.predictions).statistic)
    assert result.spearman == pytest.approx(stats.spearmanr(result.values, result.predictions).statistic)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
@settings(deadline=None)
def test_ranks_are_those_of_scipy(values):
    assert ranks(np.array(values)) + 1 == pytest.approx(stats.rankdata(values))


def test_faithfulness_of_a_perfect_a_reversed_and_a_shifted_explanation():
    truth = make(np.random.default_rng(0).normal(size=(6, 2)))
    game = ExplanationGame(truth)
    perfect = faithfulness(truth, game)
    assert (perfect.r2, perfect.pearson, perfect.spearman) == pytest.approx((1, 1, 1))
    reversed_ = faithfulness(make(-truth.cross_modal()), game)
    assert (
        reversed_.r2 < 0
        and reversed_.pearson == pytest.approx(-1)
        and reversed_.spearman == pytest.approx(-1)
    )
    shifted = make(truth.cross_modal())
    shifted.baseline += 100
    assert faithfulness(shifted, game).r2 < -100 and faithfulness(shifted, game).pearson == pytest.approx(1)


def test_p_decides_where_one_looks():
    game = random_embeddings(5, 3, seed=2)
    explanation = fixlip(game, 0.3)
    assert faithfulness(explanation, game).p == 0.3
    best = faithfulness(explanation, game, m=5000).r2
    assert best > faithfulness(explanation, game, p=0.9, m=5000).r2
    assert faithfulness(explanation, game, p=0.9).values.mean() != pytest.approx(
        faithfulness(explanation, game).values.mean()
    )
    first_order = make(np.zeros((5, 3)), main=np.ones(8), index="first-order", words="abc")
    first_order.p = None
    assert faithfulness(first_order, game).p == 0.5


def test_a_game_that_never_varies_has_no_r2():
    result = faithfulness(make(np.zeros((2, 2))), TableGame(np.full(16, 3.0)))
    assert result.r2 is None and np.isnan(result.pearson) and np.isnan(result.spearman)
    assert np.isnan(pearson_correlation(np.arange(3.0), np.ones(3)))


def test_bad_faithfulness_arguments_are_refused():
    game = random_embeddings(2, 2)
    with pytest.raises(ValueError, match="4 players, the game 5"):
        faithfulness(make(np.zeros((2, 2))), random_embeddings(3, 2))
    with pytest.raises(ValueError, match="m = 1"):
        faithfulness(make(np.zeros((2, 2))), game, m=1)
    with pytest.raises(ValueError, match="p = 1"):
        faithfulness(make(np.zeros((2, 2))), game, p=1)


# --- Pointing game ------------------------------------------------------------------------

CELLS = {"cat": [1, 1, 0, 0, 0], "dog": [0, 0, 1, 1, 0]}  # the last patch belongs to no cell


def test_pgr_by_hand():
    # cat: right 2 + 1 inside, 4 outside (negative); wrong 3 outside. dog: right 1; wrong 1 inside, 2 outside.
    explanation = make([[2, 2], [1, 0], [3, 1], [-4, -1], [100, 100]])
    assert pointing_game(explanation, CELLS) == pytest.approx((7 / 10 + 1 / 4) / 2)
    assert pointing_game(explanation, CELLS, ["dog"]) == pytest.approx(1 / 4)


def test_perfect_reversed_and_empty():
    perfect = np.array([[1, -1], [1, -1], [-1, 1], [-1, 1], [0, 0]])
    assert pointing_game(make(perfect), CELLS) == 1
    assert pointing_game(make(-perfect), CELLS) == 0
    assert pointing_game(make(0 * perfect), CELLS) == 0.5


def test_pieces_of_a_word_are_added_up():
    explanation = make([[2, -1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]], words=("ca", "##t", "dog"))
    assert pointing_game(explanation, CELLS, {"cat": [5, 6]}) == 1
    assert pointing_game(explanation, CELLS, {"cat": [6]}) == 0


def test_a_first_order_method_uses_its_patches_for_every_word():
    main = np.array([3, 0, 1, 0, 9, 7, 7])
    explanation = make(np.zeros((5, 2)), main, "first-order")
    assert pointing_game(explanation, CELLS, ["cat"]) == 3 / 4
    assert pointing_game(explanation, CELLS, ["dog"]) == 1 / 4


def test_random_explanations_score_one_half():
    rng = np.random.default_rng(0)
    cells = {w: np.arange(16) // 4 == k for k, w in enumerate(("cat", "dog", "bee", "owl"))}
    scores = [pointing_game(make(rng.normal(size=(16, 4)), words=list(cells)), cells) for _ in range(400)]
    assert abs(np.mean(scores) - 0.5) < 0.015


def test_bad_pointing_arguments_are_refused():
    explanation = make(np.zeros((5, 2)))
    for cells, words, message in (
        ({"cat": [1, 0]}, None, r"shape \(2,\)"),
        (CELLS, ["owl"], "'owl' is 0 times"),
        ({"cat": CELLS["cat"]}, ["dog"], "'dog' has no cell"),
        (CELLS, {"cat": [1]}, "not all text players"),
        ({"owl": CELLS["cat"]}, None, "no word to score"),
    ):
        with pytest.raises(ValueError, match=message):
            pointing_game(explanation, cells, words)
    with pytest.raises(ValueError, match="'cat' is 2 times"):
        pointing_game(make(np.zeros((5, 2)), words=("cat", "cat")), CELLS, ["cat"])
