# %% [markdown]
# # Part III, FIxLIP
#
# Twenty points. Your pair has nine patches and four words; its game, its `P` and what is asked about follow
# from your number. Predictions count for being made, not for being right.

# %% [answer] number
STUDENT = ...
### BEGIN SOLUTION
STUDENT = 1
### END SOLUTION

# %% [locked]
from zlib import crc32

import numpy as np

from fixlip_helpers import Explanation, ExplanationGame
from fixlip_helpers.coalitions import all_coalitions

if not isinstance(STUDENT, int):
    raise ValueError("STUDENT is no number yet: answer the cell above first")
PLAYERS = [f"patch {r},{c}" for r in range(3) for c in range(3)] + ["a", "white", "dog", "outside"]
P = (0.3, 0.4, 0.6, 0.7)[STUDENT % 4]


def planted(number):
    """The explanation planted in your game, and the game: larger groups are in it that no pair can hold."""
    rng = np.random.default_rng([number, 31])
    upper = np.triu(rng.integers(-6, 7, (13, 13)), 1) / 4
    terms = Explanation(9.0, None, rng.integers(-8, 9, 13) / 4, upper + upper.T, "FWBII", P, PLAYERS, 9, 4)
    return terms, ExplanationGame(terms, 0.1, 0.1, seed=number)


def seal(prediction):
    """A receipt of your prediction; write it on the lab sheet before you run the next cell."""
    return f"{crc32(f'{STUDENT} {prediction}'.encode()):08x}"


explanation, game = planted(STUDENT)
ME = 9 + STUDENT % 4  # the word that is asked about
total = explanation.pairs[ME].sum()
print(
    f"{PLAYERS[ME]} at p = {P}: main effect {explanation.main[ME]:+.2f}, its interactions sum to {total:+.2f}"
)

# %% [markdown]
# ## 1. A prediction
#
# The numbers above are FIxLIP's of your game, without sampling error. With everything else visible, does
# the word `"raise"` or `"lower"` the *model's* score? Seal your guess, then ask.

# %% [answer] prediction
prediction = ...
### BEGIN SOLUTION
prediction = "raise" if explanation.main[ME] + explanation.pairs[ME].sum() > 0 else "lower"
### END SOLUTION
print(seal(prediction))

# %% [test] prediction-made 1
assert prediction in ("raise", "lower"), "prediction is 'raise' or 'lower'"

# %% [answer] held
held = ...  # did it hold? Ask `game`: True or False
### BEGIN SOLUTION
pair = np.ones((2, 13), bool)
pair[1, ME] = False
with_word, without_word = game(pair)
held = (prediction == "raise") == (with_word > without_word)
### END SOLUTION

# %% [test] held-truthfully 1
assert held in (True, False), "held is True or False"
### BEGIN HIDDEN TESTS
rows_ = np.ones((2, 13), bool)
rows_[1, ME] = False
gain_ = -np.diff(game(rows_))[0]
assert held == ((prediction == "raise") == (gain_ > 0))
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Three numbers
#
# Write `three(e, i)`: main effect, value and marginal at the full pair of player `i` in the explanation `e`
# (use `e.main`, `e.pairs`, `e.p`; no other method of `e`).


# %% [answer] three
def three(e, i):
    """Main effect, value, marginal at the full pair."""
    ### BEGIN SOLUTION
    total = e.pairs[i].sum()
    return e.main[i], e.main[i] + e.p * total, e.main[i] + total
    ### END SOLUTION


# %% [test] three-numbers 3
assert len(three(explanation, ME)) == 3, "three returns three numbers"
### BEGIN HIDDEN TESTS
full_ = np.ones((2, 13), bool)
full_[1, ME] = False
right_ = explanation.main[ME], explanation.first_order()[ME], -np.diff(explanation.predict(full_))[0]
int(sum(np.isclose(three(explanation, ME), right_)))
### END HIDDEN TESTS

# %% [markdown]
# ## 3. The maps, from one-sided passes
#
# Write `maps(game, p)`: all cross-modal interactions at `p`, shape `(n_image, n_text)`, from
# `game.encode_images` and `game.encode_texts` alone. Both sides are small enough to be enumerated; every
# coalition may be encoded once.


# %% [answer] maps
def maps(game, p):
    """Cross-modal interactions from one pass for each coalition of each side."""
    ### BEGIN SOLUTION
    sides = []
    for n, encode in ((game.n_image, game.encode_images), (game.n_text, game.encode_texts)):
        rows = all_coalitions(n)
        weights = np.where(rows, p, 1 - p).prod(axis=1)
        gains = np.where(rows, 1 / p, -1 / (1 - p))  # z / σ: a mean of ν times this is a mean gain
        sides.append((gains * weights[:, None]).T @ encode(rows))
    return game.scale * sides[0] @ sides[1].T
    ### END SOLUTION


# %% [test] maps-right 3
assert np.shape(maps(game, P)) == (9, 4), "maps has one row for each patch, one column for each word"
### BEGIN HIDDEN TESTS
terms_, other_ = planted(STUDENT + 1000)  # a game that nothing above has the answer of
assert np.allclose(maps(other_, P), terms_.cross_modal(), atol=1e-6)
### END HIDDEN TESTS


# %% [test] maps-passes 2
class Counting:
    """Your game, with its passes counted."""

    def __init__(self, game):
        self.game, self.passes = game, [0, 0]
        self.n_image, self.n_text, self.n_players = game.n_image, game.n_text, game.n_players
        self.scale, self.bias = game.scale, game.bias

    def encode_images(self, rows):
        self.passes[0] += len(rows)
        return self.game.encode_images(rows)

    def encode_texts(self, rows):
        self.passes[1] += len(rows)
        return self.game.encode_texts(rows)


counted = Counting(game)
assert np.shape(maps(counted, P)) == (9, 4), "maps calls something else than the two encoders"
### BEGIN HIDDEN TESTS
assert counted.passes[0] <= 2**9 and counted.passes[1] <= 2**4, counted.passes
### END HIDDEN TESTS

# %% [markdown]
# ## 4. When is it identified?
#
# A grid of `ROWS` × `ROWS` patches, a caption of `TOKENS` tokens. Give the least number of different
# picture coalitions and of different word coalitions for the full least-squares fit on all pairs, and the
# least number of picture coalitions if you want
# the maps of the words alone (first order on each side).

# %% [locked]
ROWS, TOKENS = 4 + STUDENT % 5, 5 + STUDENT % 4
print(f"{ROWS} × {ROWS} patches, {TOKENS} tokens")

# %% [answer] least
least_pictures, least_captions, least_for_maps = ..., ..., ...
### BEGIN SOLUTION
n = ROWS**2
least_pictures = 1 + n + n * (n - 1) // 2
least_captions = 1 + TOKENS + TOKENS * (TOKENS - 1) // 2
least_for_maps = 1 + n
### END SOLUTION

# %% [test] least-identified 3
assert all(isinstance(k, int) for k in (least_pictures, least_captions, least_for_maps)), (
    "three whole numbers"
)
### BEGIN HIDDEN TESTS
from fixlip_helpers.coalitions import n_monomials

right_ = (n_monomials(ROWS**2), n_monomials(TOKENS), 1 + ROWS**2)
sum(a == b for a, b in zip((least_pictures, least_captions, least_for_maps), right_))
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Readings
#
# Some of these sentences say more than your explanation does, or something else. Which?

# %% [locked]
row = explanation.pairs[ME, :9]
patch = int(np.argmin(row))
W, Q = PLAYERS[ME], PLAYERS[patch]
whole = float(explanation.predict(np.ones((1, 13), bool))[0])
values = explanation.first_order()
rng = np.random.default_rng([STUDENT, 32])
VERSIONS = {  # of each sentence you get one version
    "a": (f"When {W} enters, the effect of {Q} changes by {row[patch]:+.2f} on average at p = {P}.",
          f"{Q} does not show what {W} names: the interaction is {row[patch]:+.2f}."),
    "b": (f"At p = {P} the values add up to {values.sum():+.2f}, the full score less the empty one.",
          f"At p = {P} the values add up to {values.sum():+.2f}, not bound to be the full score less the empty."),
    "c": (f"Of the whole pair the model says {whole:.2f}, since the explanation is exact.",
          f"Of the whole pair the surrogate says {whole:.2f}; the model must be asked itself."),
    "d": (f"Terms of third order that are orthogonal at p = {P} could be added to the game without any change here.",
          f"The explanation at p = {P} tells what the explanation at another p is."),
    "e": (f"The main effect of {W}, {explanation.main[ME]:+.2f}, says how important the word is.",
          f"The main effect of {W}, {explanation.main[ME]:+.2f}, is what the surrogate says of it alone."),
}  # fmt: skip
DRAWN = rng.choice([0, 1, 3, 4, 6, 7, 8, 10, 11, 14, 17, 20, 21, 23, 24, 25, 27, 28, 30, 31])
CHOSEN = dict(zip(VERSIONS, map(int, f"{DRAWN:05b}")))
for letter, version in CHOSEN.items():
    print(letter, VERSIONS[letter][version])

# %% [answer] readings
wrong = ...  # a set of letters
### BEGIN SOLUTION
says_too_much = {"a": 1, "b": 0, "c": 0, "d": 1, "e": 0}
wrong = {letter for letter, version in CHOSEN.items() if version == says_too_much[letter]}
### END SOLUTION

# %% [test] readings-judged 4
assert isinstance(wrong, set) and wrong <= set("abcde"), "wrong is a set of the letters a to e"
### BEGIN HIDDEN TESTS
too_much_ = {"a": 1, "b": 0, "c": 0, "d": 1, "e": 0}
mistakes_ = len(wrong ^ {letter for letter, version in CHOSEN.items() if version == too_much_[letter]})
max(0, 4 - 2 * mistakes_)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Build an explanation
#
# Two patches (players 0, 1) and two words (2, 3), at your `P`. Give `main` (4 numbers) and `pairs` (4 × 4,
# symmetric, zero diagonal) such that each word has the *value* 0, each word has interactions of at least 1
# in size with both patches, and the
# surrogate's full score less its empty one is your `TARGET`.

# %% [locked]
TARGET = int(np.random.default_rng([STUDENT, 33]).integers(3, 12))
print(f"TARGET = {TARGET}, P = {P}")

# %% [answer] built
main, pairs = ..., ...
### BEGIN SOLUTION
pairs = np.zeros((4, 4))
pairs[:2, 2:] = pairs[2:, :2] = 1.0
main = np.array([0.0, 0.0, -2 * P, -2 * P])  # a word's value: main + P · (1 + 1)
main[0] = TARGET - (main.sum() + 4)
### END SOLUTION

# %% [test] built-values 1
assert np.shape(main) == (4,) and np.shape(pairs) == (4, 4), "four numbers, and 4 × 4 of them"
### BEGIN HIDDEN TESTS
made_ = Explanation(0.0, None, main, pairs, "FWBII", P, list("abcd"), 2, 2)
assert np.allclose(made_.first_order()[2:], 0)
### END HIDDEN TESTS

# %% [test] built-interactions 1
assert np.shape(main) == (4,) and np.shape(pairs) == (4, 4), "four numbers, and 4 × 4 of them"
### BEGIN HIDDEN TESTS
assert (np.abs(np.asarray(pairs)[:2, 2:]) >= 1 - 1e-9).all()
### END HIDDEN TESTS

# %% [test] built-total 1
assert np.shape(main) == (4,) and np.shape(pairs) == (4, 4), "four numbers, and 4 × 4 of them"
### BEGIN HIDDEN TESTS
made_ = Explanation(0.0, None, main, pairs, "FWBII", P, list("abcd"), 2, 2)
assert np.isclose(made_.predict(np.ones((1, 4), bool))[0], TARGET)
### END HIDDEN TESTS
