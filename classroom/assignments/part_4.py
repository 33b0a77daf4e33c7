# %% [markdown]
# # Part IV, evaluation
#
# Twenty points. Your game has eight patches and four words, and follows from your number, as does the
# explanation that you judge. Predictions count for being made, not for being right.

# %% [answer] number
STUDENT = ...
### BEGIN SOLUTION
STUDENT = 1
### END SOLUTION

# %% [locked]
from itertools import combinations
from zlib import crc32

import numpy as np

from fixlip_helpers import Explanation, ExplanationGame, faithfulness, pointing_game
from fixlip_helpers.coalitions import all_coalitions
from fixlip_helpers.metrics.controls import shuffled_patches, words_only
from fixlip_helpers.metrics.prediction import block_faithfulness
from fixlip_helpers.metrics.subsets import best_subsets

if not isinstance(STUDENT, int):
    raise ValueError("STUDENT is no number yet: answer the cell above first")
PLAYERS = [f"patch {r},{c}" for r in range(2) for c in range(4)] + ["red", "owl", "blue", "drum"]


def planted(number):
    """An explanation and the game that it explains, with larger groups that no pair can hold."""
    rng = np.random.default_rng([number, 41])
    pairs = np.zeros((12, 12))
    pairs[:8, :8] = rng.normal(0, 0.3, (8, 8))
    pairs[:8, 8:] = rng.normal(0, 0.9, (8, 4))
    pairs[8:, 8:] = rng.normal(0, 1.0, (4, 4))
    pairs = np.triu(pairs, 1)
    main = np.r_[rng.normal(0, 0.6, 8), rng.normal(0, 2.0, 4)]
    terms = Explanation(9.0, None, main, pairs + pairs.T, "FWBII", 0.5, PLAYERS, 8, 4)
    return terms, ExplanationGame(terms, 0.05, 0.03, seed=number)


def seal(prediction):
    """A receipt of your prediction; write it on the lab sheet before you run the next cell."""
    return f"{crc32(f'{STUDENT} {prediction}'.encode()):08x}"


explanation, game = planted(STUDENT)
print(faithfulness(explanation, game))

# %% [markdown]
# ## 1. A prediction
#
# Two controls of the explanation: `words_only` never looks at a patch, `shuffled_patches` gives every patch
# another one's numbers. Which reaches the higher $R^2$ on the whole game, `"words"` or `"shuffled"`? Seal
# your guess, then measure with `faithfulness`.

# %% [answer] prediction
prediction = ...
### BEGIN SOLUTION
prediction = "words"
### END SOLUTION
print(seal(prediction))

# %% [test] prediction-made 1
assert prediction in ("words", "shuffled"), "prediction is 'words' or 'shuffled'"

# %% [answer] held
held = ...  # did it hold? True or False
### BEGIN SOLUTION
reached = [faithfulness(control(explanation), game).r2 for control in (words_only, shuffled_patches)]
held = (prediction == "words") == (reached[0] > reached[1])
### END SOLUTION

# %% [test] held-truthfully 1
assert held in (True, False), "held is True or False"
### BEGIN HIDDEN TESTS
reached_ = [faithfulness(control_(explanation), game).r2 for control_ in (words_only, shuffled_patches)]
assert held == ((prediction == "words") == (reached_[0] > reached_[1]))
### END HIDDEN TESTS

# %% [markdown]
# ## 2. R² of the whole and of the cross-modal block
#
# `whole_r2(said, predicted)` and `cross_r2(said, predicted)` get what the model says and what an
# explanation predicts for *all* pairs of picture and word coalitions: two arrays `(m_I, m_T)`, every pair
# equally likely.


# %% [answer] whole
def whole_r2(said, predicted):
    """R² over all pairs."""
    ### BEGIN SOLUTION
    return 1 - np.mean((said - predicted) ** 2) / np.var(said)
    ### END SOLUTION


# %% [test] whole-right 2
assert np.isfinite(whole_r2(np.eye(3), np.ones((3, 3)))), "whole_r2 returns a number"
### BEGIN HIDDEN TESTS
rng_ = np.random.default_rng([STUDENT, 42])
said_, guess_ = rng_.normal(size=(2, 6, 5))
assert np.isclose(whole_r2(said_, 2 * said_ + 3), 1 - ((said_ + 3) ** 2).mean() / said_.var())
assert np.isclose(
    whole_r2(said_, guess_), 1 - ((said_ - guess_) ** 2).sum() / ((said_ - said_.mean()) ** 2).sum()
)
### END HIDDEN TESTS


# %% [answer] cross
def cross_r2(said, predicted):
    """R² of what picture and words do together."""

    ### BEGIN SOLUTION
    def together(v):
        return v - v.mean(axis=1, keepdims=True) - v.mean(axis=0, keepdims=True) + v.mean()

    said, predicted = together(said), together(predicted)
    return 1 - np.mean((said - predicted) ** 2) / np.mean(said**2)
    ### END SOLUTION


# %% [test] cross-right 3
assert np.isfinite(cross_r2(np.eye(3), np.ones((3, 3)))), "cross_r2 returns a number"
### BEGIN HIDDEN TESTS
rows_I_, rows_T_ = all_coalitions(8), all_coalitions(4)
said_ = game.scale * game.encode_images(rows_I_) @ game.encode_texts(rows_T_).T + game.bias
for judged_ in (explanation, shuffled_patches(explanation)):
    right_ = block_faithfulness(judged_, game)["cross-modal"].r2
    assert np.isclose(cross_r2(said_, judged_.predict_pairs(rows_I_, rows_T_)), right_, atol=1e-6)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. The best k
#
# Write `best(main, pairs, k)`: the set of the `k` players for which $\sum e_i+\sum e_{ij}$ is largest;
# there are few enough to look at all.


# %% [answer] best
def best(main, pairs, k):
    """The k players with the largest value, as a set."""

    ### BEGIN SOLUTION
    def worth(members):
        members = list(members)
        return main[members].sum() + pairs[np.ix_(members, members)].sum() / 2

    return set(max(combinations(range(len(main)), k), key=worth))
    ### END SOLUTION


# %% [test] best-sets 3
assert len(best(explanation.main, explanation.pairs, 3)) == 3, "best returns k players"
### BEGIN HIDDEN TESTS
main_ = np.array([3.0, 2.0, 2.0, 0.0])
pairs_ = np.zeros((4, 4))
pairs_[0, 1] = pairs_[1, 0] = pairs_[0, 2] = pairs_[2, 0] = -2
pairs_[1, 2] = pairs_[2, 1] = 1.5
assert set(best(main_, pairs_, 2)) == {1, 2}
exact_ = best_subsets(explanation, exact=True).sets
assert all(
    set(best(explanation.main, explanation.pairs, k_)) == set(np.flatnonzero(exact_[k_])) for k_ in (2, 5, 8)
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Pointing
#
# Write `pgr(heat, own)`: the pointing game recognition of one word, from its map and a boolean array that
# marks its own cell (all other patches belong to other cells).


# %% [answer] pgr
def pgr(heat, own):
    """Share of the heat that is right: red on the own cell, blue elsewhere."""
    ### BEGIN SOLUTION
    heat, own = np.asarray(heat, float), np.asarray(own, bool)
    right = heat[own & (heat > 0)].sum() - heat[~own & (heat < 0)].sum()
    total = np.abs(heat).sum()
    return right / total if total > 0 else 0.5
    ### END SOLUTION


# %% [test] pgr-right 2
assert 0 <= pgr(np.array([1.0, -1.0]), np.array([True, False])) <= 1, "pgr is a share"
### BEGIN HIDDEN TESTS
cells_ = {"owl": [0, 1, 4, 5], "drum": [2, 3, 6, 7]}
own_ = np.isin(np.arange(8), cells_["owl"])
right_ = pointing_game(explanation, cells_, {"owl": [9]})
assert np.isclose(pgr(explanation.pairs[:8, 9], own_), right_)
### END HIDDEN TESTS

# %% [test] pgr-of-nothing 1
assert 0 <= pgr(np.array([1.0, -1.0]), np.array([True, False])) <= 1, "pgr is a share"
### BEGIN HIDDEN TESTS
assert pgr(np.zeros(8), np.arange(8) < 4) == 0.5
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Build a good pointer that explains nothing
#
# Give `cross`, an array of interactions `(8, 4)`, such that the word `owl` (column 1, its cell: patches 0,
# 1, 4, 5) has a PGR of at least 0.95, and the explanation with these pairs in place of yours has a
# cross-modal $R^2$ *below 0* on your game.

# %% [answer] built
cross = ...
### BEGIN SOLUTION
cross = np.zeros((8, 4))
cross[:, 1] = np.where(np.isin(np.arange(8), [0, 1, 4, 5]), 20.0, -20.0)
### END SOLUTION

# %% [test] built-points 1
assert np.shape(cross) == (8, 4), "cross has a row for each patch, a column for each word"
### BEGIN HIDDEN TESTS
pairs_ = np.zeros((12, 12))
pairs_[:8, 8:], pairs_[8:, :8] = cross, np.transpose(cross)
made_ = Explanation(0.0, None, np.zeros(12), pairs_, "FWBII", 0.5, PLAYERS, 8, 4)
assert pointing_game(made_, {"owl": [0, 1, 4, 5], "drum": [2, 3, 6, 7]}, {"owl": [9]}) >= 0.95
### END HIDDEN TESTS

# %% [test] built-explains-nothing 2
assert np.shape(cross) == (8, 4), "cross has a row for each patch, a column for each word"
### BEGIN HIDDEN TESTS
pairs_ = explanation.pairs.copy()
pairs_[:8, 8:], pairs_[8:, :8] = cross, np.transpose(cross)
made_ = Explanation(explanation.baseline, None, explanation.main, pairs_, "FWBII", 0.5, PLAYERS, 8, 4)
assert block_faithfulness(made_, game)["cross-modal"].r2 < 0
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Readings
#
# Some of these sentences say more than the numbers do. Which?

# %% [locked]
own, other = faithfulness(explanation, game).r2, faithfulness(words_only(explanation), game).r2
rng = np.random.default_rng([STUDENT, 43])
VERSIONS = {  # of each sentence you get one version
    "a": (f"The explanation gets {own:.0%} of the whole pair's score right.",
          f"On masked pairs at p = 0.5 the explanation gets {own:.0%} of the variance right."),
    "b": (f"Words only reaches R² {other:.2f}: that much is no merit of the map.",
          f"Words only reaches R² {other:.2f}: the map is to {other:.0%} superfluous."),
    "c": ("A greedy chain may miss the best five players, and then the AID judges the search as well.",
          "A greedy chain finds the best five players, since each step takes the best one."),
    "d": ("An input whose whole pair scores no more than the empty one has the AID 0.",
          "An input whose whole pair scores no more than the empty one has no AID; say how many there were."),
    "e": ("Twice the interactions in logits may be twice the scale; divide by each game's standard deviation.",
          "Twice the interactions in logits mean that the model relies on the pair twice as much."),
}  # fmt: skip
DRAWN = rng.choice([0, 1, 3, 4, 6, 7, 8, 10, 11, 14, 17, 20, 21, 23, 24, 25, 27, 28, 30, 31])
CHOSEN = dict(zip(VERSIONS, map(int, f"{DRAWN:05b}")))
for letter, version in CHOSEN.items():
    print(letter, VERSIONS[letter][version])

# %% [answer] sentences
wrong = ...  # a set of letters
### BEGIN SOLUTION
says_too_much = {"a": 0, "b": 1, "c": 1, "d": 0, "e": 1}
wrong = {letter for letter, version in CHOSEN.items() if version == says_too_much[letter]}
### END SOLUTION

# %% [test] sentences-judged 4
assert isinstance(wrong, set) and wrong <= set("abcde"), "wrong is a set of the letters a to e"
### BEGIN HIDDEN TESTS
too_much_ = {"a": 0, "b": 1, "c": 1, "d": 0, "e": 1}
mistakes_ = len(wrong ^ {letter for letter, version in CHOSEN.items() if version == too_much_[letter]})
max(0, 4 - 2 * mistakes_)
### END HIDDEN TESTS
