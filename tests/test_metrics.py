"""Metrics: p-faithfulness, best subsets, insertion and deletion, the pointing game, controls, sanity checks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from truth import everything

from fixlip_helpers import VisionLanguageGame, faithfulness, fixlip, load_model, pointing_game, scenes
from fixlip_helpers.coalitions import STREAMS, all_coalitions, draw, independent
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.games import ExplanationGame, TableGame, random_embeddings
from fixlip_helpers.metrics import (
    best_subsets,
    block_faithfulness,
    bootstrap_interval,
    counts_only,
    greedy_chains,
    has_aid,
    insertion_deletion,
    oracle_explanation,
    pearson_correlation,
    quarter_cells,
    random_explanation,
    randomised_weights,
    ranks,
    seed_agreement,
    shapley_faithfulness,
    shuffled_patches,
    words_only,
)
from fixlip_helpers.metrics.statistics import kendall_tau
from fixlip_helpers.metrics.subsets import quadratic


def make(pairs_cross, main=None, index="FWBII", words=("cat", "dog")):
    cross = np.asarray(pairs_cross, dtype=float)
    n_image, n_text = cross.shape
    n = n_image + n_text
    pairs = np.zeros((n, n))
    pairs[:n_image, n_image:], pairs[n_image:, :n_image] = cross, cross.T
    main = np.zeros(n) if main is None else main
    names = [f"patch {i}" for i in range(n_image)] + list(words)
    return Explanation(0.0, None, main, pairs, index, 0.5, names, n_image, n_text)


def dense(n_image, n_text, seed):
    """An explanation with every term."""
    rng = np.random.default_rng(seed)
    n = n_image + n_text
    upper = np.triu(rng.normal(size=(n, n)), 1)
    names = [f"player {i}" for i in range(n)]
    return Explanation(1.0, None, rng.normal(size=n), upper + upper.T, "FWBII", 0.5, names, n_image, n_text)


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
    drawn = [faithfulness(explanation, game, p=p, m=500).values.mean() for p in (0.3, 0.9)]
    assert drawn[0] != pytest.approx(drawn[1])
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


@pytest.mark.parametrize("n_image, n_text", [(2, 2), (4, 3)])
def test_faithfulness_under_shapley_weights_by_hand(n_image, n_text):
    game, n = random_embeddings(n_image, n_text, seed=5), n_image + n_text
    found = fixlip(game, index="FSII")
    sets = all_coalitions(n)[1:-1]
    weights = np.array([1 / math.comb(n - 2, kept.sum() - 1) for kept in sets])
    true, said = game(sets), found.predict(sets)
    mean = np.average(true, weights=weights)
    r2 = 1 - np.average((true - said) ** 2, weights=weights) / np.average((true - mean) ** 2, weights=weights)
    judged = shapley_faithfulness(found, game)
    assert judged.r2 == pytest.approx(r2) and judged.exact and judged.p is None and judged.intervals is None
    assert str(judged).startswith(f"Shapley weights, {2**n - 2} coalitions, all")
    for value in (1, 2.5):
        with pytest.raises((ValueError, TypeError), match=f"m = {value}|m"):
            shapley_faithfulness(found, game, value)


def test_drawn_shapley_weights_estimate_all_of_them():
    game = random_embeddings(9, 5, seed=5)
    found = fixlip(game, n_image_coalitions=300)
    exact = shapley_faithfulness(found, game, 2**14)
    drawn = [shapley_faithfulness(found, game, 2000, seed).r2 for seed in range(6)]
    assert not shapley_faithfulness(found, game, 2000).exact and exact.exact
    assert exact.r2 == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn, ddof=1) / np.sqrt(6))


# --- Pointing game ------------------------------------------------------------------------

CELLS = {
    "cat": np.array([1, 1, 0, 0, 0], bool),
    "dog": np.array([0, 0, 1, 1, 0], bool),
}  # the last patch belongs to no cell


def test_pgr_by_hand():
    # cat: right 2 + 1 inside, 4 outside (negative); wrong 3 outside. dog: right 1; wrong 1 inside, 2 outside.
    explanation = make([[2, 2], [1, 0], [3, 1], [-4, -1], [100, 100]])
    assert pointing_game(explanation, CELLS) == pytest.approx((7 / 10 + 1 / 4) / 2)
    assert pointing_game(explanation, CELLS, ["dog"]) == pytest.approx(1 / 4)


def test_cells_may_be_patch_numbers():
    explanation = make([[2, 2], [1, 0], [3, 1], [-4, -1], [100, 100]])
    by_number = {"cat": [0, 1], "dog": np.array([3, 2])}
    assert pointing_game(explanation, by_number) == pointing_game(explanation, CELLS)


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
        ({"cat": [True, False]}, None, r"shape \(2,\)"),
        ({"cat": [0, 5]}, None, "patch numbers from 0 to 4"),
        ({"cat": [0, 0]}, None, "distinct"),
        (CELLS, ["owl"], "'owl' is 0 times"),
        ({"cat": CELLS["cat"]}, ["dog"], "'dog' has no cell"),
        (CELLS, {"cat": [1]}, "not all text players"),
        ({"owl": CELLS["cat"]}, None, "no word to score"),
    ):
        with pytest.raises(ValueError, match=message):
            pointing_game(explanation, cells, words)
    with pytest.raises(ValueError, match="'cat' is 2 times"):
        pointing_game(make(np.zeros((5, 2)), words=("cat", "cat")), CELLS, ["cat"])


@pytest.mark.parametrize("side, middle", [(7, 13), (8, 0), (14, 0), (16, 0)])
def test_quarters_of_a_grid(side, middle):
    cells = np.array([cell.reshape(side, side) for cell in quarter_cells((side, side))])
    assert cells.sum(axis=0).max() == 1 and (cells.sum(axis=0) == 0).sum() == middle
    assert all(cell.sum() == (side // 2) ** 2 for cell in cells)
    corners = [
        cell[row, column] for cell, row, column in zip(cells, (0, 0, -1, -1), (0, -1, 0, -1), strict=True)
    ]
    assert all(corners)
    if middle:
        assert not cells[:, 3].any() and not cells[:, :, 3].any()
    with pytest.raises(ValueError, match="at least two rows"):
        quarter_cells((1, 4))


@pytest.mark.parametrize(("pixels", "patch"), [(30, 8), (384, 14), (72, 16), (50, 7), (64, 16)])
def test_quarters_of_patches_that_do_not_fill_the_picture(pixels, patch):
    """A patch belongs to a quarter if all of its pixels do."""
    n = pixels // patch
    cells = quarter_cells((n, n), n * patch / pixels)
    for k in range(n * n):
        row, column = divmod(k, n)
        first, last = np.array([row, column]) * patch, np.array([row, column]) * patch + patch
        own = [
            all(
                (first[axis] >= pixels / 2) if half else (last[axis] <= pixels / 2)
                for axis, half in enumerate(quarter)
            )
            for quarter in ((0, 0), (0, 1), (1, 0), (1, 1))
        ]
        assert [bool(cell[k]) for cell in cells] == own


def test_the_oracle_of_a_scene_points_perfectly():
    scene = scenes.grid_scene(["pizza", "dog", "bus", "owl"], "oracle")
    players = [f"patch {i}" for i in range(64)] + ["a", "dog", "and", "a", "bus"]
    oracle = oracle_explanation(scene.cells, players, 64)
    assert pointing_game(oracle, scene.cells) == 1
    assert np.allclose(oracle.cross_modal().sum(axis=0), 0) and not oracle.cross_modal()[:, 0].any()
    exactly = oracle_explanation({word: scene.patches(word) for word in scene.cells}, players, 64)
    assert 0.5 < pointing_game(exactly, scene.cells) <= 1
    with pytest.raises(ValueError, match="truth of 'dog'"):
        oracle_explanation({"dog": [True]}, players, 64)


# --- Intervals ----------------------------------------------------------------------------


def test_bootstrap_interval_is_that_of_the_normal_law():
    values = np.random.default_rng(0).normal(3, 2, size=400)
    mean, low, high = bootstrap_interval(values, draws=4000)
    half = 1.96 * values.std() / 20
    assert mean == values.mean()
    assert (mean - low, high - mean) == pytest.approx((half, half), rel=0.1)
    narrow = bootstrap_interval(values, level=0.5)
    assert low < narrow[1] < narrow[2] < high
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval([2.0, 2.0, 2.0]) == (2, 2, 2)
    assert np.isnan(bootstrap_interval([2.0])[1:]).all()


@pytest.mark.parametrize("values, how, message", [
    ([], {}, "at least one"),
    ([1.0, None], {}, "1 of them missing"),
    ([1.0, np.inf], {}, "1 of them"),
    ([1.0, 2.0], {"level": 95}, "level = 95"),
    ([1.0, 2.0], {"draws": 0}, "draws = 0"),
])  # fmt: skip
def test_bad_values_have_no_interval(values, how, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(values, **how)


# --- Exact faithfulness, intervals, blocks ------------------------------------------------


@pytest.mark.parametrize("p", [0.3, 0.7])
def test_few_players_are_judged_on_all_coalitions(p):
    game = random_embeddings(4, 3, seed=8)
    explanation = fixlip(game, p)
    coalitions, weights = everything(7, p)
    values, error = game(coalitions), game(coalitions) - explanation.predict(coalitions)
    variance = weights @ (values - weights @ values) ** 2
    result = faithfulness(explanation, game)
    assert result.exact and result.intervals is None
    assert result.r2 == pytest.approx(1 - weights @ error**2 / variance)
    # each coalition repeated as often as its weight says
    copies = np.round(weights / weights.min()).astype(int)
    both = [np.repeat(series, copies) for series in (values, values - error)]
    assert result.spearman == pytest.approx(stats.spearmanr(*both).statistic, abs=0.01)
    assert result.pearson == pytest.approx(
        np.cov(values, values - error, aweights=weights)[0, 1]
        / np.sqrt(np.cov(values, aweights=weights) * np.cov(values - error, aweights=weights))
    )
    assert "R²" in str(result) and "128 coalitions, all" in str(result)


def test_intervals_of_drawn_faithfulness_hold_the_truth():
    game = random_embeddings(5, 4, seed=3)
    explanation = fixlip(game)
    truth = faithfulness(explanation, game)
    found = {name: 0 for name in ("r2", "pearson", "spearman")}
    for seed in range(60):
        drawn = faithfulness(explanation, game, m=300, seed=seed)
        for name, (low, high) in drawn.intervals.items():
            found[name] += low <= getattr(truth, name) <= high
    assert all(50 <= count for count in found.values()), found  # of 60; 95 % would be 57
    assert faithfulness(explanation, game, m=300, bootstrap=0).intervals is None


def test_blocks_are_those_of_the_definition():
    """Means over the other side, one conditional mean at a time."""
    p, game = 0.3, random_embeddings(3, 3, seed=5)
    explanation = random_explanation(fixlip(game, p), seed=1)
    coalitions, weights = everything(6, p)
    numbers = (coalitions[:, :3] @ [1, 2, 4], coalitions[:, 3:] @ [1, 2, 4])

    def blocks(values):
        centred = values - weights @ values
        patches, words = (
            np.array([weights[one == k] @ centred[one == k] / weights[one == k].sum() for k in one])
            for one in numbers
        )
        return {"patches": patches, "words": words, "cross-modal": centred - patches - words}

    own, theirs = blocks(game(coalitions)), blocks(explanation.predict(coalitions))
    result = block_faithfulness(explanation, game)
    total = sum(weights @ part**2 for part in own.values())
    for name, part in own.items():
        assert result[name].share == pytest.approx(weights @ part**2 / total)
        assert result[name].r2 == pytest.approx(
            1 - weights @ (part - theirs[name]) ** 2 / (weights @ part**2)
        )
        assert result[name].r2_interval is None
    assert result["all"].r2 == pytest.approx(faithfulness(explanation, game).r2)
    assert sum(result[name].share for name in ("patches", "words", "cross-modal")) == pytest.approx(1)
    assert "cross-modal" in str(result) and "8 image × 8 text" in str(result)


def test_within_a_modality_first_order_is_left_out():
    truth = dense(4, 3, seed=3)
    pairs = np.triu(truth.pairs)
    silent = make(
        truth.cross_modal(), words="abc", main=truth.main + 5
    )  # no pairs within a side, other main effects
    result = block_faithfulness(silent, ExplanationGame(truth), p=0.5)
    for name, couples in (("within patches", pairs[:4, :4]), ("within words", pairs[4:, 4:])):
        assert result[name].r2 == pytest.approx(0) and np.isnan(result[name].pearson)
        assert result[name].share == pytest.approx((couples**2).sum() / 16 / truth.variance(0.5))
    assert result["cross-modal"].r2 == pytest.approx(1)


def test_a_perfect_explanation_is_perfect_in_every_block_and_interval():
    truth = dense(12, 6, seed=0)
    result = block_faithfulness(truth, ExplanationGame(truth), m_image=200, m_text=50)
    for score in result.values():
        assert (score.r2, score.pearson, score.spearman) == pytest.approx((1, 1, 1))
        assert (*score.r2_interval, *score.pearson_interval) == pytest.approx((1, 1, 1, 1))
    assert faithfulness(truth, ExplanationGame(truth)).intervals["r2"] == pytest.approx((1, 1))
    few = block_faithfulness(truth, ExplanationGame(truth), m_image=13, m_text=50)
    assert "within patches" not in few and "within words" in few


def test_block_intervals_hold_the_truth():
    game = ExplanationGame(dense(6, 5, seed=4), noise_order3=0.2, noise_order4=0.1)
    explanation = random_explanation(fixlip(game), seed=2)
    explanation.main += game.explanation.main
    explanation.pairs += game.explanation.pairs
    truth = block_faithfulness(explanation, game)
    held = dict.fromkeys(truth, 0)
    for seed in range(40):
        drawn = block_faithfulness(explanation, game, m_image=300, m_text=200, seed=seed, bootstrap=100)
        for name, score in drawn.items():
            held[name] += score.r2_interval[0] <= truth[name].r2 <= score.r2_interval[1]
    assert all(count >= 32 for count in held.values()), held  # of 40


@pytest.mark.filterwarnings("error")
def test_a_silent_explanation_has_no_correlation_and_no_interval_of_it():
    game = random_embeddings(6, 5, seed=4)
    result = block_faithfulness(words_only(fixlip(game)), game, m_image=50, m_text=30)
    for name in ("patches", "cross-modal", "within patches"):
        assert np.isnan(result[name].pearson) and result[name].pearson_interval is None
        assert result[name].r2 == pytest.approx(0) and result[name].r2_interval == pytest.approx((0, 0))
    assert result["words"].pearson_interval is not None


def test_bad_block_requests_are_refused():
    explanation = fixlip(random_embeddings(3, 3))
    with pytest.raises(TypeError, match="no two-sided game"):
        block_faithfulness(explanation, TableGame(np.zeros(64)))
    with pytest.raises(ValueError, match="3 image players, the game 2"):
        block_faithfulness(explanation, random_embeddings(2, 4))
    with pytest.raises(ValueError, match="m_text = 1"):
        block_faithfulness(explanation, random_embeddings(3, 3), m_text=1)
    with pytest.raises(ValueError, match="level = 2"):
        block_faithfulness(explanation, random_embeddings(3, 3), level=2)


# --- Best subsets -------------------------------------------------------------------------


def instance(n, seed, strength=1.0):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(n, n)), 1)
    return rng.normal(size=n) * 2, strength * (upper + upper.T)


def brute(main, pairs):
    """Best value of each size by looking at every subset."""
    coalitions, _ = everything(len(main), 0.5)
    values, sizes = quadratic(coalitions, main, pairs), coalitions.sum(axis=1)
    return np.array([values[sizes == k].max() for k in range(len(main) + 1)])


def plain_greedy(main, pairs):
    x, values = np.zeros(len(main), dtype=bool), [0.0]
    for _ in main:
        gain = np.where(x, -np.inf, main + pairs @ x)
        x[gain.argmax()] = True
        values.append(quadratic(x[None], main, pairs)[0])
    return np.array(values)


@pytest.mark.parametrize("seed", range(6))
def test_few_players_are_compared_completely(seed):
    main, pairs = instance(9, seed)
    found, lowest = best_subsets((main, pairs)), best_subsets((main, pairs), largest=False)
    assert found.exact and (found.sets.sum(axis=1) == np.arange(10)).all()
    assert found.values == pytest.approx(brute(main, pairs))
    assert lowest.values == pytest.approx(-brute(-main, -pairs))
    assert quadratic(found.sets, main, pairs) == pytest.approx(found.values)


@pytest.mark.parametrize(
    "n, seed, strength", [(n, s, w) for n in (6, 12, 15) for s in range(5) for w in (0.3, 1, 4)]
)
def test_search_is_within_one_percent_of_the_best(n, seed, strength):
    main, pairs = instance(n, seed, strength)
    searched = best_subsets((main, pairs), exact=False)
    best, worst = brute(main, pairs), -brute(-main, -pairs)
    assert not searched.exact and (searched.sets.sum(axis=1) == np.arange(n + 1)).all()
    assert (best - searched.values <= 0.01 * (best - worst) + 1e-9).all()


@pytest.mark.parametrize("seed", range(3))
def test_search_is_within_one_percent_at_eighteen_players(seed):
    main, pairs = instance(18, seed)
    searched, exact = best_subsets((main, pairs), exact=False), best_subsets((main, pairs))
    worst = best_subsets((main, pairs), largest=False).values
    assert exact.exact
    assert (exact.values - searched.values <= 0.01 * (exact.values - worst) + 1e-9).all()


@pytest.mark.parametrize("n, seed", [(30, 0), (40, 1), (72, 2)])
def test_search_is_at_least_as_good_as_plain_greedy(n, seed):
    main, pairs = instance(n, seed)
    searched, greedy = best_subsets((main, pairs)), plain_greedy(main, pairs)
    assert (searched.values >= greedy - 1e-9).all()
    assert (searched.values > greedy + 1e-6).any()
    # no exchange of one player for another gains
    for x in searched.sets[1:-1:7]:
        gain = main + pairs @ x
        change = gain[~x][None] - gain[x][:, None] - pairs[np.ix_(x, ~x)]
        assert change.max() < 1e-9


@pytest.mark.parametrize("largest", [True, False])
def test_greedy_chains_are_those_of_the_definition(largest):
    """Players added one by one, from each in turn; the search beyond them is never behind, and ahead at some sizes."""
    behind = []
    for seed in range(6):
        main, pairs = instance(9, seed)
        sign = 1 if largest else -1
        best = np.full(10, -np.inf)
        best[0] = 0
        for first in range(9):
            x = np.arange(9) == first
            for k in range(1, 10):
                best[k] = max(best[k], sign * (x @ main + x @ pairs @ x / 2))
                x = x | (np.arange(9) == np.where(x, -np.inf, sign * (main + pairs @ x)).argmax())
        found = greedy_chains((main, pairs), largest=largest)
        assert found.sets.sum(axis=1).tolist() == list(range(10)) and not found.exact
        assert sign * found.values == pytest.approx(best)
        behind.append(sign * (best_subsets((main, pairs), largest=largest).values - found.values))
    assert np.min(behind) > -1e-9 and np.max(behind) > 0.1


def test_without_pairs_best_subsets_are_a_sort():
    main = np.array([3.0, -1, 2, 5])
    found = best_subsets((main, np.zeros((4, 4))))
    assert found.values.tolist() == [0, 5, 8, 10, 9] and found.nested
    assert best_subsets((main, np.zeros((4, 4))), largest=False).values.tolist() == [0, -1, 1, 4, 9]


def test_the_best_pair_need_not_hold_the_best_player():
    main, pairs = np.array([2.0, 1, 1]), np.zeros((3, 3))
    pairs[1, 2] = pairs[2, 1] = 3
    found = best_subsets((main, pairs))
    assert found.sets[1].tolist() == [True, False, False] and found.sets[2].tolist() == [False, True, True]
    assert found.leaving == [[], [0], []] and not found.nested
    assert "leave at the steps from k = 1" in str(found)


def test_bad_subsets_are_refused():
    with pytest.raises(ValueError, match=r"main \(3,\)"):
        best_subsets((np.zeros(3), np.zeros((2, 2))))
    with pytest.raises(ValueError, match="symmetric"):
        best_subsets((np.zeros(2), np.array([[0, 1], [0, 0]])))
    with pytest.raises(ValueError, match="exact = True for 25"):
        best_subsets(instance(25, 0), exact=True)


# --- Insertion and deletion ---------------------------------------------------------------


def test_curves_by_hand():
    # additive game 3, 1, -1: insertion 0 3 4 3, deletion 0 -1 0 3, normalised by 3
    explanation = make(np.zeros((2, 1)), main=np.array([1.0, 3, -1]), words="a")
    result = insertion_deletion(explanation, ExplanationGame(explanation))
    assert result.insertion == pytest.approx([0, 1, 4 / 3, 1])
    assert result.deletion == pytest.approx([0, -1 / 3, 0, 1])
    assert result.insertion_area == pytest.approx((0.5 + 7 / 6 + 7 / 6) / 3)
    assert result.deletion_area == pytest.approx((-1 / 6 - 1 / 6 + 0.5) / 3)
    assert result.aid == pytest.approx(result.insertion_area - result.deletion_area)
    assert result.inserted.sum(axis=1).tolist() == result.deleted.sum(axis=1).tolist() == [0, 1, 2, 3]
    assert result.exact and str(result).startswith("AID +0.")


def test_an_exact_explanation_has_the_largest_aid():
    truth = dense(6, 3, seed=1)
    truth.main += 2
    game = ExplanationGame(truth)
    best = insertion_deletion(truth, game)
    others = [insertion_deletion(random_explanation(truth, seed), game).aid for seed in range(200)]
    assert best.aid > max(others)
    reverse = make(-truth.cross_modal(), main=-truth.main, words="abc")
    reverse.pairs = -truth.pairs
    assert insertion_deletion(reverse, game).aid == pytest.approx(-best.aid)


def test_random_explanations_have_aid_zero():
    game = random_embeddings(5, 4, seed=6)
    explanation = fixlip(game)
    found = [insertion_deletion(random_explanation(explanation, seed), game, seed).aid for seed in range(300)]
    mean, low, high = bootstrap_interval(found, level=0.99)
    assert low < 0 < high and abs(mean) < 0.1 * np.abs(found).max()


def test_inputs_that_the_players_do_not_raise_have_no_aid():
    falling = make(np.zeros((2, 1)), main=-np.ones(3), words="a")
    constant = make(np.zeros((2, 1)), words="a")
    flat = make(np.zeros((2, 1)), main=np.array([10.0, -10, 0.1]), words="a")
    for explanation in (falling, constant, flat):
        result = insertion_deletion(explanation, ExplanationGame(explanation))
        assert result.aid is None and result.insertion is None and "no AID" in str(result)
    with pytest.raises(ValueError, match="3 players, the game 5"):
        insertion_deletion(constant, random_embeddings(3, 2))


def test_curves_as_released():
    """Every input has an AID, read at 51 points; by hand: 0, 1, ½ and 0, ½ stretched to 51 points."""
    rising, falling = (
        make(np.zeros((2, 1)), main=main, words="a") for main in (np.array([2.0, 1, 0]), -np.ones(3))
    )
    assert insertion_deletion(falling, ExplanationGame(falling), variant="released").aid == pytest.approx(0)
    result = insertion_deletion(rising, ExplanationGame(rising), variant="released")
    at = np.arange(51) / 50
    heights = [np.interp(at, np.arange(4) / 3, curve) for curve in ([0, 2 / 3, 1, 1], [0, 0, 1 / 3, 1])]
    assert result.aid == pytest.approx(np.subtract(*(((h[1:] + h[:-1]) / 2).sum() / 50 for h in heights)))
    with pytest.raises(ValueError, match="variant = 'theirs'"):
        insertion_deletion(rising, ExplanationGame(rising), variant="theirs")


def test_the_game_decides_whether_there_is_an_aid():
    """Whatever the explanation and its curves: all methods have the same inputs."""
    game = random_embeddings(6, 3, seed=6)
    good = fixlip(game)
    worst = make(-good.cross_modal(), main=-good.main, words="abc")
    spread = game(draw(9, 0.5, 128, 0, STREAMS["evaluation"])).std()

    class Bent:
        """The game, with another value of the full coalition."""

        n_players = 9

        def __init__(self, rise):
            self.full = game.empty_value() + rise * spread

        def __call__(self, rows):
            return np.where(np.asarray(rows).all(axis=1), self.full, game(rows))

    for rise, defined in ((1.1, True), (0.9, False), (-2.0, False)):
        assert has_aid(Bent(rise)) == defined
        for explanation in (good, worst, random_explanation(good, 1), counts_only(good)):
            for seed in (0, 1):
                assert (insertion_deletion(explanation, Bent(rise), seed).aid is not None) == defined


def test_the_seed_decides_among_equals():
    equal = make(np.zeros((4, 2)), main=np.ones(6))
    game = random_embeddings(4, 2)
    first = {tuple(insertion_deletion(equal, game, seed).inserted[1].tolist()) for seed in range(30)}
    assert len(first) == 6


# --- Controls -----------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_controls_are_projections(p):
    """Words only and counts only predict best among all functions of what they see."""
    explanation = fixlip(random_embeddings(4, 3, seed=2), p)
    coalitions, weights = everything(7, p)
    values = explanation.predict(coalitions)
    words = coalitions[:, 4:] @ [1, 2, 4]
    counts = 10 * coalitions[:, :4].sum(axis=1) + coalitions[:, 4:].sum(axis=1)
    for control, seen in ((words_only(explanation), words), (counts_only(explanation), counts)):
        mean = [weights[seen == k] @ values[seen == k] / weights[seen == k].sum() for k in seen]
        assert control.predict(coalitions) == pytest.approx(np.array(mean))
    assert words_only(explanation).meta["method"] == "words only"


def test_shuffled_patches_keep_the_numbers_and_lose_their_places():
    explanation = fixlip(random_embeddings(6, 2, seed=2))
    shuffled = shuffled_patches(explanation, seed=1)
    assert sorted(shuffled.main[:6]) == sorted(explanation.main[:6])
    assert (shuffled.main[6:] == explanation.main[6:]).all()
    assert np.sort(shuffled.cross_modal(), axis=0) == pytest.approx(
        np.sort(explanation.cross_modal(), axis=0)
    )
    assert not np.allclose(shuffled.cross_modal(), explanation.cross_modal())
    assert shuffled.variance(0.5) == pytest.approx(explanation.variance(0.5))


# --- Sanity checks ------------------------------------------------------------------------


def test_seeds_agree_within_their_intervals_and_other_games_do_not():
    game, other = (ExplanationGame(dense(8, 4, seed), noise_order3=0.1) for seed in (1, 2))
    designs = [independent(8, 0.5, 150, seed) for seed in range(2)]
    one, two = (fixlip(game, design=(design, "enumeration"), errors=True) for design in designs)
    stranger = fixlip(other, design=(designs[1], "enumeration"), errors=True)
    same, different = seed_agreement(one, two), seed_agreement(one, stranger)
    assert same.within >= 0.8 and same.cross_modal > 0.9
    assert different.within < 0.6 and abs(different.cross_modal) < 0.5
    assert seed_agreement(one, one).within == 1 and seed_agreement(fixlip(game), one).within is None
    assert "intervals allow" in str(same)
    with pytest.raises(ValueError, match="image and text players"):
        seed_agreement(one, fixlip(random_embeddings(5, 5)))


def test_randomised_weights_change_the_explanation():
    model, hero = load_model(), scenes.examples()["hero"]

    def coarse(model):
        game = VisionLanguageGame(model, hero.image, "black dog", progress=False, image_players=(3, 3))
        return fixlip(game)

    before, trained = model.fingerprint(), coarse(model)
    others = (coarse(randomised_weights(model, seed)) for seed in range(4))
    results = [seed_agreement(trained, other) for other in others]
    assert model.fingerprint() == before
    assert abs(np.mean([result.cross_modal for result in results])) < 0.5
    assert seed_agreement(trained, coarse(model)).values > 0.999


# --- What the release reports besides -------------------------------------------------------


def test_other_scores_of_faithfulness_are_scipys():
    game = random_embeddings(8, 6, seed=3)
    judged = faithfulness(fixlip(game, n_image_coalitions=64), game, m=150)
    found, values, predictions = judged.others(), judged.values, judged.predictions
    assert found["kendall"] == pytest.approx(stats.kendalltau(values, predictions)[0])
    assert found["mse"] == pytest.approx(np.mean((values - predictions) ** 2))
    assert found["mae"] == pytest.approx(np.mean(np.abs(values - predictions)))
    assert found["cosine"] == pytest.approx(
        values @ predictions / np.linalg.norm(values) / np.linalg.norm(predictions)
    )


def test_kendalls_tau_with_ties_and_weights():
    rng = np.random.default_rng(0)
    a, b = rng.integers(4, size=(2, 60)).astype(float)
    assert kendall_tau(a, b) == pytest.approx(stats.kendalltau(a, b)[0])
    counts = rng.integers(1, 4, size=60)
    copies = stats.kendalltau(np.repeat(a, counts), np.repeat(b, counts))[0]
    assert kendall_tau(a, b, counts) == pytest.approx(copies)
    assert np.isnan(kendall_tau(a, np.ones(60)))


def test_pointing_by_signs_and_pooled():
    """Two words: 3 of 4 and 2 of 4 signs right, masses 6 of 8 and 10 of 20."""
    cells = {"a": [0], "b": [1]}
    maps = np.array([[3.0, -1, -2, 2], [-9, 1, 5, 5]]).T
    explanation = make(maps, words="ab")
    everywhere = cells | {"c": [2], "d": [3]}
    assert pointing_game(explanation, everywhere, "ab") == pytest.approx((6 / 8 + 10 / 20) / 2)
    assert pointing_game(explanation, everywhere, "ab", pooled=True) == pytest.approx(16 / 28)
    assert pointing_game(explanation, everywhere, "ab", by="signs") == pytest.approx((3 / 4 + 2 / 4) / 2)
    with pytest.raises(ValueError, match="by = 'count'; expected 'mass' or 'signs'"):
        pointing_game(explanation, everywhere, "ab", by="count")
