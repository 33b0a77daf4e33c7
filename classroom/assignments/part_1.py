# %% [markdown]
# # Part I, games
#
# Twenty points. Everything here follows from your number: your game is nobody else's. A cell that says
# `YOUR CODE HERE` is yours; the cells
# behind it check that your answer can be marked, and hold more tests when it is.
#
# Predictions count for being made, not for being right: what is marked is whether you say truthfully,
# afterwards, if yours held.

# %% [answer] number
STUDENT = ...
### BEGIN SOLUTION
STUDENT = 1
### END SOLUTION

# %% [locked]
from zlib import crc32

import numpy as np

from fixlip_helpers import Explanation, ExplanationGame, exact
from fixlip_helpers.coalitions import all_coalitions, draw
from fixlip_helpers.games import TableGame, random_game

if not isinstance(STUDENT, int):
    raise ValueError("STUDENT is no number yet: answer the cell above first")
PLAYERS = ["dog region", "bus region", "grass", "black", "dog", "bus"]


def planted(number):
    """Your game: six players with planted values and pairs, and larger groups that no pair can hold."""
    rng = np.random.default_rng([number, 1])
    upper = np.triu(rng.integers(-8, 9, (6, 6)), 1) / 2
    main = rng.integers(-6, 7, 6) / 2
    terms = Explanation(rng.integers(5, 15), None, main, upper + upper.T, "FWBII", 0.5, PLAYERS, 3, 3)
    return TableGame(exact.all_values(ExplanationGame(terms, 0.15, 0.05, seed=number)), PLAYERS)


def seal(prediction):
    """A receipt of your prediction; write it on the lab sheet before you run the next cell."""
    return f"{crc32(f'{STUDENT} {prediction}'.encode()):08x}"


game = planted(STUDENT)
ME = STUDENT % 3 + 3  # the word that the first questions are about
drift = exact.banzhaf_interactions(game, 0.5)[ME].sum()
print(
    f"{PLAYERS[ME]} at p = 0.5: value {exact.banzhaf_values(game, 0.5)[ME]:+.2f}, sum of interactions {drift:+.2f}"
)

# %% [markdown]
# ## 1. A prediction
#
# From the two numbers above: is the word's weighted Banzhaf value at $p=0.9$ `"higher"` or `"lower"` than
# at $p=0.5$? Seal your guess.

# %% [answer] prediction
prediction = ...
### BEGIN SOLUTION
prediction = "higher" if drift > 0 else "lower"
### END SOLUTION
print(seal(prediction))

# %% [test] prediction-made 1
assert prediction in ("higher", "lower"), "prediction is 'higher' or 'lower'"

# %% [markdown]
# ## 2. The value
#
# Write `value(values, i, p)`, the weighted Banzhaf value of player `i` from all values of a game (shape
# `(2**n,)`, in the order of `all_coalitions(n)`), from the definition: no call of `fixlip_helpers.exact`.


# %% [answer] value
def value(values, i, p):
    """The mean gain of player i, every other player visible with probability p."""
    ### BEGIN SOLUTION
    n = len(values).bit_length() - 1
    rows = all_coalitions(n)
    without = np.flatnonzero(~rows[:, i])
    others = rows[without].sum(axis=1)
    weights = p**others * (1 - p) ** (n - 1 - others)
    return weights @ (values[without + 2**i] - values[without])
    ### END SOLUTION


# %% [test] value-at-half 2
assert np.isfinite(value(game.values, 0, 0.5)), "value returns no number"
### BEGIN HIDDEN TESTS
for n_, seed_ in ((3, 1), (5, 2)):
    other_ = random_game(n_, seed_)
    assert np.allclose([value(other_.values, i_, 0.5) for i_ in range(n_)], exact.banzhaf_values(other_, 0.5))
### END HIDDEN TESTS

# %% [test] value-elsewhere 2
assert np.isfinite(value(game.values, 0, 0.2)), "value returns no number"
### BEGIN HIDDEN TESTS
for n_, p_ in ((4, 0.2), (5, 0.9)):
    other_ = random_game(n_, STUDENT)
    assert np.allclose([value(other_.values, i_, p_) for i_ in range(n_)], exact.banzhaf_values(other_, p_))
### END HIDDEN TESTS

# %% [markdown]
# Did your prediction hold? `held` is `True` or `False`.

# %% [answer] held
held = ...
### BEGIN SOLUTION
held = (prediction == "higher") == (value(game.values, ME, 0.9) > value(game.values, ME, 0.5))
### END SOLUTION

# %% [test] held-truthfully 1
assert held in (True, False), "held is True or False"
### BEGIN HIDDEN TESTS
rises_ = exact.banzhaf_values(game, 0.9)[ME] > exact.banzhaf_values(game, 0.5)[ME]
assert held == ((prediction == "higher") == rises_)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Readings of your game
#
# Some of the following sentences say more than the numbers do, or something else. Which?

# %% [locked]
values, pairs = exact.banzhaf_values(game, 0.5), exact.banzhaf_interactions(game, 0.5)
i, j = ME, int(np.argmin(pairs[ME]))
X, Y = PLAYERS[i], PLAYERS[j]
share = (values**2 / 4).sum() / game.values.var()
rng = np.random.default_rng([STUDENT, 2])
VERSIONS = {  # of each sentence you get one version
    "a": (f"Averaged over random company at p = 0.5, {X} changes the score by {values[i]:+.2f}.",
          f"With everything else visible, {X} changes the score by {values[i]:+.2f}."),
    "b": (f"{X} and {Y} together change the score by {pairs[i, j]:+.2f}.",
          f"When {Y} enters, the gain of {X} changes by {pairs[i, j]:+.2f} on average."),
    "c": ("The Möbius term of the two is another number: other players in the company change what they do together.",
          "The Möbius term of the two is another number: one of the two was computed wrongly."),
    "d": (f"The Banzhaf values add up to {game.values[-1] - game.values[0]:+.2f}, the full score less the empty one.",
          f"The Shapley values add up to {game.values[-1] - game.values[0]:+.2f}, the full score less the empty one."),
    "e": (f"Single players hold {share:.0%} of the variance at p = 0.5; the rest is noise.",
          f"Single players hold {share:.0%} of the variance at p = 0.5; the rest is what they do in groups."),
}  # fmt: skip
DRAWN = rng.choice([0, 1, 2, 5, 6, 7, 8, 12, 13, 14, 17, 18, 19, 23, 24, 25, 26, 29, 30, 31])
CHOSEN = dict(zip(VERSIONS, map(int, f"{DRAWN:05b}")))
for letter, version in CHOSEN.items():
    print(letter, VERSIONS[letter][version])

# %% [answer] readings
wrong = ...  # a set of letters
### BEGIN SOLUTION
says_too_much = {"a": 1, "b": 0, "c": 1, "d": 0, "e": 0}
wrong = {letter for letter, version in CHOSEN.items() if version == says_too_much[letter]}
### END SOLUTION

# %% [test] readings-judged 4
assert isinstance(wrong, set) and wrong <= set("abcde"), "wrong is a set of the letters a to e"
### BEGIN HIDDEN TESTS
too_much_ = {"a": 1, "b": 0, "c": 1, "d": 0, "e": 0}
mistakes_ = len(wrong ^ {letter for letter, version in CHOSEN.items() if version == too_much_[letter]})
max(0, 4 - 2 * mistakes_)
### END HIDDEN TESTS

# %% [markdown]
# Repair the sentence "With everything else visible, … changes the score by …": which number belongs there
# for your word `ME`?

# %% [answer] repaired
repaired = ...
### BEGIN SOLUTION
repaired = game.values[-1] - game.values[-1 - 2**ME]
### END SOLUTION

# %% [test] reading-repaired 2
assert np.isfinite(repaired), "repaired is a number"
### BEGIN HIDDEN TESTS
everything_ = np.ones((1, 6), bool)
without_ = everything_.copy()
without_[0, ME] = False
assert np.isclose(repaired, (game(everything_) - game(without_))[0], atol=0.005)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Build a game
#
# Give the eight values of a game of three players (order of `all_coalitions(3)`) in which players 0 and 1
# have the Banzhaf value 0, their interaction at $p=\tfrac12$ is your `TARGET`,
# and the Shapley value of player 0 is *not* 0 (at least 0.1 in size). Any right game passes.

# %% [locked]
TARGET = int(np.random.default_rng([STUDENT, 3]).integers(2, 9))
print("TARGET =", TARGET)

# %% [answer] built
built = ...
### BEGIN SOLUTION
single, pair, triple = -TARGET / 2, TARGET - 6, 12
built = [0, single, single, 2 * single + pair, 0, single, single, 2 * single + pair + triple]
### END SOLUTION

# %% [test] built-values 2
assert np.shape(built) == (8,), "built has eight numbers"
### BEGIN HIDDEN TESTS
made_ = TableGame(built)
assert np.allclose(exact.banzhaf_values(made_, 0.5)[:2], 0)
### END HIDDEN TESTS

# %% [test] built-interaction 1
assert np.shape(built) == (8,), "built has eight numbers"
### BEGIN HIDDEN TESTS
assert np.isclose(exact.banzhaf_interactions(TableGame(built), 0.5)[0, 1], TARGET)
### END HIDDEN TESTS

# %% [test] built-shapley 1
assert np.shape(built) == (8,), "built has eight numbers"
### BEGIN HIDDEN TESTS
assert abs(exact.shapley_values(TableGame(built))[0]) >= 0.1
### END HIDDEN TESTS

# %% [markdown]
# ## 5. An estimate with its error
#
# Write `estimate(ask, i, j, seed)`: eight independent repetitions of a plain average for the interaction of
# `i` and `j` at $p=\tfrac12$, each from 64 coalitions of six players (`draw(6, 0.5, 64, seed=…)`; every
# repetition needs a seed of its own,
# and no two calls of `estimate` with different seeds may share one). `ask` takes coalitions and returns
# their scores. Return the mean of the eight and its standard error.


# %% [answer] estimate
def estimate(ask, i, j, seed):
    """The interaction of i and j and its standard error, from 8 × 64 draws."""
    ### BEGIN SOLUTION
    found = []
    for k in range(8):
        rows = draw(6, 0.5, 64, seed=8 * seed + k)
        z = 2.0 * rows - 1
        found.append(4 * np.mean(ask(rows) * z[:, i] * z[:, j]))
    return np.mean(found), np.std(found, ddof=1) / np.sqrt(8)
    ### END SOLUTION


# %% [test] estimate-right-on-average 2
assert len(estimate(game, 0, 3, 0)) == 2, "estimate returns two numbers"
### BEGIN HIDDEN TESTS
found_ = np.array([estimate(game, 0, 3, seed_) for seed_ in range(200)])
truth_ = exact.banzhaf_interactions(game, 0.5)[0, 3]
assert abs(found_[:, 0].mean() - truth_) < 4 * found_[:, 0].std() / np.sqrt(200)
### END HIDDEN TESTS

# %% [test] estimate-honest-error 2
assert estimate(game, 0, 3, 0)[1] > 0, "the standard error is a positive number"
### BEGIN HIDDEN TESTS
found_ = np.array([estimate(game, 0, 3, seed_) for seed_ in range(200)])
ratio_ = found_[:, 1].mean() / found_[:, 0].std()
assert 0.8 < ratio_ < 1.25, "the errors are not those of the estimates"
### END HIDDEN TESTS
