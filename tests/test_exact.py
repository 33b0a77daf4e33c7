"""Exact values of small games against definitions written out, shapiq's exact computer, and laws."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from truth import brute_force, everything, weighted_banzhaf, weighted_banzhaf_interaction

from fixlip_helpers.coalitions import all_coalitions
from fixlip_helpers.exact import (
    all_values,
    banzhaf_interactions,
    banzhaf_values,
    mobius,
    multilinear_extension,
    shapley_interactions,
    shapley_values,
)
from fixlip_helpers.games import TableGame, random_game, unanimity

games = st.integers(1, 6).flatmap(lambda n: st.builds(random_game, st.just(n), st.integers(0, 10_000)))


@given(games)
def test_mobius_by_its_definition_and_back(game):
    a, n = mobius(game), game.n_players
    for big in range(2**n):
        subsets = [small for small in range(2**n) if small & ~big == 0]
        signs = [(-1) ** (big.bit_count() - small.bit_count()) for small in subsets]
        assert a[big] == pytest.approx(np.dot(signs, game.values[subsets]), abs=1e-9)
        assert game.values[big] == pytest.approx(a[subsets].sum(), abs=1e-9)


@given(games, st.floats(0.05, 0.95))
def test_banzhaf_values_and_interactions_by_their_definition(game, p):
    n = game.n_players
    np.testing.assert_allclose(banzhaf_values(game, p), weighted_banzhaf(game, n, p), atol=1e-9)
    pairs = banzhaf_interactions(game, p)
    for i in range(n):
        for j in range(i):
            truth = weighted_banzhaf_interaction(game, n, p, i, j)
            assert pairs[i, j] == pairs[j, i] == pytest.approx(truth, abs=1e-9)
    assert not pairs.diagonal().any()


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_banzhaf_interactions_are_the_pairs_of_the_regression(p):
    game, (coalitions, weights) = random_game(5, 1), everything(5, p)
    _, _, pairs = brute_force(coalitions, game(coalitions), weights)
    np.testing.assert_allclose(banzhaf_interactions(game, p), pairs, atol=1e-9)


def test_shapley_interactions_are_the_mean_over_p():
    game = random_game(6, 3)
    nodes, weights = np.polynomial.legendre.leggauss(4)  # exact for the degree 4 that 6 players can have
    mean = sum(w / 2 * banzhaf_interactions(game, (1 + x) / 2) for x, w in zip(nodes, weights, strict=True))
    np.testing.assert_allclose(shapley_interactions(game), mean, atol=1e-9)


@given(games)
def test_shapley_values_are_mean_gains_over_orders(game):
    n = game.n_players
    if n > 5:
        return
    gains = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        row = 0
        for player in order:
            gains[player] += game.values[row | 1 << player] - game.values[row]
            row |= 1 << player
    np.testing.assert_allclose(shapley_values(game), gains / len(orders), atol=1e-9)


@pytest.mark.parametrize("n", [3, 5])
def test_against_shapiq(n):
    import shapiq

    game = random_game(n, seed=4)
    computer = shapiq.ExactComputer(game, n)
    first = computer("SV", order=1)
    np.testing.assert_allclose(shapley_values(game), [first[(i,)] for i in range(n)], atol=1e-9)
    first = computer("BV", order=1)
    np.testing.assert_allclose(banzhaf_values(game), [first[(i,)] for i in range(n)], atol=1e-9)
    for index, ours in (("SII", shapley_interactions(game)), ("BII", banzhaf_interactions(game))):
        theirs = computer(index, order=2)
        for i in range(n):
            for j in range(i + 1, n):
                assert ours[i, j] == pytest.approx(theirs[(i, j)], abs=1e-9), index
    moebius = computer("Moebius", order=n)
    for row, members in enumerate(all_coalitions(n)):
        if row:
            assert mobius(game)[row] == pytest.approx(moebius[tuple(np.flatnonzero(members))], abs=1e-9)


@given(games, st.integers(0, 1000))
def test_multilinear_extension(game, seed):
    n, rng = game.n_players, np.random.default_rng(seed)
    corners = all_coalitions(n).astype(float)
    np.testing.assert_allclose(multilinear_extension(game, corners), game.values, atol=1e-9)
    q, step = rng.uniform(size=n), rng.normal(size=n)
    one = np.arange(n) == rng.integers(n)  # along one axis it is a straight line
    low, middle, high = multilinear_extension(game, q + np.outer([-1, 0, 1], step * one))
    assert low + high == pytest.approx(2 * middle, abs=1e-8)


def test_a_pure_interaction_is_shared_by_its_members():
    game = unanimity(4, [0, 2, 3])
    np.testing.assert_allclose(shapley_values(game), [1 / 3, 0, 1 / 3, 1 / 3])
    np.testing.assert_allclose(banzhaf_values(game, 0.3), [0.09, 0, 0.09, 0.09])
    assert shapley_interactions(game)[0, 2] == pytest.approx(1 / 2)
    assert mobius(game).tolist() == [float(row == 0b1101) for row in range(16)]


def test_what_cannot_be_enumerated_is_refused():
    class Large:
        n_players = 21

    with pytest.raises(ValueError, match=r"the game has 21 players; .* at most 20 players"):
        all_values(Large())
    with pytest.raises(ValueError, match=r"q has shape \(2,\); expected \(3,\) or \(m, 3\)"):
        multilinear_extension(random_game(3), [0.5, 0.5])
    with pytest.raises(ValueError, match="gave NaN"):
        all_values(TableGame([0.0, np.nan]))


@given(st.integers(2, 6), st.integers(0, 1000), st.floats(0.05, 0.95))
def test_a_merged_pair_has_both_values_and_a_part_of_their_interaction(n, seed, p):
    """``β_i + β_j + (1 - 2p) β_ij``: only at p = ½ is the value of a merged pair the sum of both."""
    game = random_game(n, seed)
    together = np.column_stack([np.eye(n - 1), np.eye(n - 1)[:, -1]]).astype(
        bool
    )  # the last two are one player
    merged = TableGame(game(all_coalitions(n - 1) @ together))
    values = banzhaf_values(game, p)
    expected = values[-2] + values[-1] + (1 - 2 * p) * banzhaf_interactions(game, p)[-2, -1]
    assert banzhaf_values(merged, p)[-1] == pytest.approx(expected, abs=1e-9)
