"""Faithful Shapley interactions: against shapiq, the definition, and the Shapley values themselves."""

from itertools import permutations
from math import comb

import numpy as np
import pytest
import shapiq
from hypothesis import given, settings
from hypothesis import strategies as st
from truth import assert_terms, everything, terms

from fixlip_helpers import fixlip
from fixlip_helpers.coalitions import UnderdeterminedError
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.games import ExplanationGame, parity, random_embeddings, random_game
from fixlip_helpers.shapley import shapley_design, size_shares, solve_enforced


def ends_of(n):
    return np.array([[False] * n, [True] * n])


def shapley_values(game, n):
    """Mean gain of each player over all orders in which they can arrive."""
    values = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        rows = np.zeros((n + 1, n), dtype=bool)
        for step, player in enumerate(order):
            rows[step + 1 :, player] = True
        values[list(order)] += np.diff(game(rows))
    return values / len(orders)


# --- Weights ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 7, 57])
def test_weights_are_those_of_the_definition(n):
    mu = np.array([1 / comb(n - 2, t - 1) for t in range(1, n)])  # of each coalition of size t
    of_size = mu * [comb(n, t) for t in range(1, n)]
    assert size_shares(n)[1:n] == pytest.approx(of_size / of_size.sum())
    assert size_shares(n)[[0, n]].tolist() == [0, 0]


def test_all_coalitions_are_listed_when_they_can_be():
    design = shapley_design(6, 62)
    sizes = design.coalitions.sum(axis=1)
    mu = np.array([1 / comb(4, t - 1) for t in sizes])
    assert len(design) == 62 and design.weights == pytest.approx(mu / mu.sum())
    assert (design.p, design.seed) == (None, None)


def test_drawn_coalitions_follow_the_weights_and_small_sizes_are_listed():
    n = 12
    design = shapley_design(n, 1000, seed=4)
    sizes = design.coalitions.sum(axis=1)
    assert len({tuple(row) for row in design.coalitions.tolist()}) == len(design) <= 1000
    assert sizes.min() == 1 and sizes.max() == n - 1
    assert [(sizes == t).sum() for t in (1, 2, n - 2, n - 1)] == [n, 66, 66, n]
    share = np.bincount(sizes, design.weights, n + 1)
    assert share[[1, 2, 10, 11]] == pytest.approx(size_shares(n)[[1, 2, 10, 11]])
    assert np.abs(share - size_shares(n)).max() < 3 * 0.5 / np.sqrt(1000)


def test_designs_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="n = 1"):
        shapley_design(1, 10)
    with pytest.raises(ValueError, match="m = 0"):
        shapley_design(12, 0)


# --- The index ----------------------------------------------------------------------------


@pytest.mark.parametrize(("n_image", "n_text"), [(1, 1), (2, 1), (4, 3), (8, 4)])
def test_enumerated_it_is_the_index_of_shapiq(n_image, n_text):
    game = random_embeddings(n_image, n_text, seed=21)
    explanation = fixlip(game, index="FSII")
    exact = shapiq.ExactComputer(game, game.n_players)("FSII", 2)  # holds both ends by a large weight
    assert_terms(terms(explanation), terms(Explanation.from_shapiq(exact, n_image)), 1e-7)
    assert (explanation.index, explanation.p) == ("FSII", None)
    ends = ends_of(game.n_players)
    assert explanation.predict(ends) == pytest.approx(game(ends), abs=1e-10)


@given(st.integers(2, 6), st.integers(0, 1000))
@settings(max_examples=20)
def test_halving_its_interactions_gives_the_shapley_values(n, seed):
    game = random_game(n, seed)
    explanation = fixlip(game, index="FSII")
    assert explanation.first_order() == pytest.approx(shapley_values(game, n), abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_order_one_is_the_shapley_values(n):
    game = random_game(n, 7)
    design = shapley_design(n, 2**n)
    values = game(design.coalitions)
    baseline, main, pairs = solve_enforced(
        design.coalitions, values, design.weights, game(ends_of(n)), order=1
    )
    assert main == pytest.approx(shapley_values(game, n), abs=1e-10)
    assert baseline == pytest.approx(game.values[0]) and not pairs.any()


def test_it_minimises_what_it_says():
    n = 5
    game = parity(n)
    explanation = fixlip(game, index="FSII")
    rows, _ = everything(n, 0.5)
    sizes = rows.sum(axis=1)
    mu = np.array([0 if t in (0, n) else 1 / comb(n - 2, t - 1) for t in sizes])

    def loss(main, pairs):
        fit = Explanation(
            explanation.baseline, None, main, pairs, "FSII", None, explanation.players, n, 0
        ).predict(rows)
        return mu @ (game(rows) - fit) ** 2

    best = loss(explanation.main, explanation.pairs)
    rng = np.random.default_rng(3)
    for _ in range(20):
        step = np.triu(rng.normal(size=(n, n)), 1)
        main = rng.normal(size=n)
        main -= (main.sum() + step.sum()) / n  # keeps the value of everybody
        assert loss(explanation.main + 1e-3 * main, explanation.pairs + 1e-3 * (step + step.T)) > best


def test_drawn_it_recovers_a_second_order_game():
    truth = fixlip(random_embeddings(9, 5, seed=2), 0.5)
    explanation = fixlip(ExplanationGame(truth), index="FSII", budget=600)
    assert explanation.meta["design"]["joint"]["coalitions"] < 600
    assert_terms(terms(explanation), terms(truth), 1e-8)


def test_more_draws_come_closer():
    game = random_embeddings(8, 6, d=4, seed=3)
    exact = fixlip(game, index="FSII", budget=2**14)
    far, near = (
        np.mean(
            [
                np.abs(fixlip(game, index="FSII", budget=m, seed=s).pairs - exact.pairs).mean()
                for s in range(4)
            ]
        )
        for m in (300, 4800)
    )
    assert near < far / 2


# --- Bad input ----------------------------------------------------------------------------


def test_what_cannot_be_is_refused():
    game = random_embeddings(6, 6)
    with pytest.raises(ValueError, match="whole coalitions"):
        fixlip(game, index="FSII", sampling="cross")
    with pytest.raises(ValueError, match="no design"):
        fixlip(game, index="FSII", design="paired")
    with pytest.raises(UnderdeterminedError, match="a budget of 316 is advised"):
        fixlip(game, index="FSII", budget=50)
