"""Independent truth for the tests: least squares in the set basis, written without the package's solvers."""

from itertools import combinations

import numpy as np

from fixlip_helpers.coalitions import draw
from fixlip_helpers.explanation import Explanation, player_names
from fixlip_helpers.games import random_game


def brute_force(coalitions, values, weights):
    """Weighted least squares on 1, x_i, x_i x_j by NumPy's SVD solver: baseline, main (n,), pairs (n, n)."""
    x = coalitions.astype(float)
    n = x.shape[1]
    couples = list(combinations(range(n), 2))
    columns = [np.ones(len(x)), *x.T, *(x[:, i] * x[:, j] for i, j in couples)]
    root = np.sqrt(weights)
    solution = np.linalg.lstsq(np.stack(columns, axis=1) * root[:, None], values * root, rcond=None)[0]
    pairs = np.zeros((n, n))
    for (i, j), value in zip(couples, solution[n + 1 :], strict=True):
        pairs[i, j] = pairs[j, i] = value
    return solution[0], solution[1 : n + 1], pairs


def random_surrogate(n_image, n_text, p=0.5, seed=0):
    """A second-order explanation with normal terms: as an ``ExplanationGame`` it is its own answer."""
    rng = np.random.default_rng(seed)
    n = n_image + n_text
    pairs = np.triu(rng.normal(size=(n, n)), 1)
    names = player_names(n_image, n_text)
    return Explanation(-0.4, None, rng.normal(size=n), pairs + pairs.T, "FWBII", p, names, n_image, n_text)


def everything(n, p):
    """All coalitions of n players and their probabilities under P_p."""
    coalitions = np.array([[r >> i & 1 for i in range(n)] for r in range(2**n)], dtype=bool)
    sizes = coalitions.sum(axis=1)
    return coalitions, p**sizes * (1.0 - p) ** (n - sizes)


def weighted_banzhaf(game, n, p):
    """p-weighted Banzhaf value of each player, by definition: mean gain over coalitions of the others."""
    coalitions, weights = everything(n, p)
    values = []
    for i in range(n):
        with_i, without_i = coalitions.copy(), coalitions.copy()
        with_i[:, i], without_i[:, i] = True, False
        values.append(weights @ (game(with_i) - game(without_i)))
    return np.array(values)


def weighted_banzhaf_interaction(game, n, p, i, j):
    """p-weighted Banzhaf interaction of two players: mean second difference over coalitions of the others."""
    coalitions, weights = everything(n, p)
    total = 0.0
    for a, b in ((1, 1), (1, 0), (0, 1), (0, 0)):
        rows = coalitions.copy()
        rows[:, i], rows[:, j] = a, b
        total += (1 if a == b else -1) * (weights @ game(rows))
    return total


def pairs_of(images, texts):
    """All whole coalitions (image coalition, text coalition), the text running fastest."""
    return np.hstack([np.repeat(images, len(texts), axis=0), np.tile(texts, (len(images), 1))])


def assert_terms(got, expected, tolerance=1e-8):
    """Two triples (baseline, main, pairs) agree."""
    for name, a, b in zip(("baseline", "main", "pairs"), got, expected, strict=True):
        error = np.abs(np.asarray(a) - np.asarray(b)).max()
        assert error < tolerance, f"{name} differs by {error:.1e}"


def terms(explanation):
    return explanation.baseline, explanation.main, explanation.pairs


def problem(n=9, m=150, p=0.4, seed=0):
    """Random coalitions, values of every order, and uneven weights that do not sum to one."""
    rows, rng = draw(n, p, m, seed), np.random.default_rng(seed)
    return rows, 5 + random_game(n, seed)(rows), rng.uniform(0.2, 3, m)
