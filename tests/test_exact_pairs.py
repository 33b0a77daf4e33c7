"""Exact interactions of pairs against definitions, shapiq's exact computer and a regression."""

import numpy as np
import pytest
from shapiq import ExactComputer
from truth import brute_force, everything, weighted_banzhaf_interaction

from fixlip_helpers.exact_pairs import banzhaf_interactions, shapley_interactions
from fixlip_helpers.games import TableGame


def random_game(n, seed=0):
    return TableGame(np.random.default_rng(seed).normal(size=2**n))


def shapiq_pairs(game, index):
    values = ExactComputer(game=game, n_players=game.n_players)(index, order=2)
    pairs = np.zeros((game.n_players,) * 2)
    for i in range(game.n_players):
        for j in range(i):
            pairs[i, j] = pairs[j, i] = values[(j, i)]
    return pairs


@pytest.mark.parametrize("p", [0.2, 0.5, 0.7])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_banzhaf_interactions_by_definition(n, p):
    game, pairs = random_game(n), banzhaf_interactions(random_game(n), p)
    for i in range(n):
        for j in range(n):
            truth = 0.0 if i == j else weighted_banzhaf_interaction(game, n, p, i, j)
            assert pairs[i, j] == pytest.approx(truth, abs=1e-12)


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_banzhaf_interactions_are_the_pairs_of_the_regression(p):
    game, (coalitions, weights) = random_game(5, 1), everything(5, p)
    assert banzhaf_interactions(game, p) == pytest.approx(
        brute_force(coalitions, game(coalitions), weights)[2]
    )


def test_both_equal_shapiqs():
    game = random_game(5, 2)
    assert banzhaf_interactions(game) == pytest.approx(shapiq_pairs(game, "BII"))
    assert shapley_interactions(game) == pytest.approx(shapiq_pairs(game, "SII"))


def test_shapley_interactions_are_the_mean_over_p():
    game = random_game(6, 3)
    nodes, weights = np.polynomial.legendre.leggauss(4)  # exact for the degree 4 that 6 players can have
    mean = sum(w / 2 * banzhaf_interactions(game, (1 + x) / 2) for x, w in zip(nodes, weights, strict=True))
    assert shapley_interactions(game) == pytest.approx(mean)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, "half", True])
def test_refuses_p(p):
    with pytest.raises(ValueError, match="p = "):
        banzhaf_interactions(random_game(3), p)


@pytest.mark.parametrize("n", [1, 17])
def test_refuses_numbers_of_players(n):
    class Sized:
        n_players = n

    with pytest.raises(ValueError, match=f"game has {n} players"):
        shapley_interactions(Sized())
