# %% [markdown]
# # Part II, encoders
#
# Twenty points. Your picture is drawn from your number, and `mini-clip` scores it. Predictions count for
# being made, not for being right.

# %% [answer] number
STUDENT = ...
### BEGIN SOLUTION
STUDENT = 1
### END SOLUTION

# %% [locked]
from zlib import crc32

import numpy as np

from fixlip_helpers import EmbeddingTableGame, VisionLanguageGame, load_model
from fixlip_helpers.coalitions import all_coalitions, draw
from fixlip_helpers.scenes import describe, make_scene

if not isinstance(STUDENT, int):
    raise ValueError("STUDENT is no number yet: answer the cell above first")
model = load_model("mini-clip")
scene = make_scene(f"assignment {STUDENT}", 2, tinted=1.0, repeats=0.0)
caption = describe(scene.objects)


def seal(prediction):
    """A receipt of your prediction; write it on the lab sheet before you run the next cell."""
    return f"{crc32(f'{STUDENT} {prediction}'.encode()):08x}"


def score(visible_patches, visible_words, removal="mean"):
    """The score of one coalition of your pair: two lists of booleans, or True for all, False for none."""
    game = VisionLanguageGame(model, scene.image, caption, removal=removal)
    rows = np.zeros((1, game.n_players), bool)
    rows[0, : game.n_image] = visible_patches
    rows[0, game.n_image :] = visible_words
    return float(game(rows)[0])


print(caption, "| whole pair:", round(score(True, True), 2))

# %% [markdown]
# ## 1. A prediction
#
# All patches are removed, and all words: once with patches painted in the `"mean"` colour, once with a
# `"blur"` of the picture in their place. Which empty input scores more? Seal your guess, then ask with
# `score(False, False, removal=…)`.

# %% [answer] prediction
prediction = ...
### BEGIN SOLUTION
prediction = "blur"
### END SOLUTION
print(seal(prediction))

# %% [test] prediction-made 1
assert prediction in ("mean", "blur"), "prediction is 'mean' or 'blur'"

# %% [answer] held
held = ...  # did it hold? True or False
### BEGIN SOLUTION
held = (prediction == "blur") == (score(False, False, "blur") > score(False, False, "mean"))
### END SOLUTION

# %% [test] held-truthfully 1
assert held in (True, False), "held is True or False"
### BEGIN HIDDEN TESTS
assert held == ((prediction == "blur") == (score(False, False, "blur") > score(False, False, "mean")))
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Shares and readings
#
# `readings(cosines, temperature, bias)` gets the cosines of one picture with a list of captions. Return the
# softmax shares and the sigmoid readings, two arrays of that length. It must not fail for a temperature of
# 0.001.


# %% [answer] readings
def readings(cosines, temperature, bias):
    """Softmax shares over the list, and the sigmoid reading of each pair."""
    ### BEGIN SOLUTION
    logits = np.asarray(cosines) / temperature
    powers = np.exp(logits - logits.max())
    return powers / powers.sum(), 0.5 * (1 + np.tanh((logits + bias) / 2))
    ### END SOLUTION


# %% [test] softmax-right 2
assert np.shape(readings([0.3, 0.2], 0.02, -10.0)) == (2, 2), "two arrays of the list's length"
### BEGIN HIDDEN TESTS
cosines_ = np.random.default_rng([STUDENT, 21]).uniform(-0.1, 0.5, 6)
with np.errstate(all="ignore"):
    for temperature_ in (0.02, 0.5):
        powers_ = [1 / sum(np.exp((other - one) / temperature_) for other in cosines_) for one in cosines_]
        assert np.allclose(readings(cosines_, temperature_, -7.0)[0], powers_)
### END HIDDEN TESTS

# %% [test] sigmoid-right 1
assert np.shape(readings([0.3, 0.2], 0.02, -10.0)) == (2, 2), "two arrays of the list's length"
### BEGIN HIDDEN TESTS
cosines_ = np.random.default_rng([STUDENT, 21]).uniform(-0.1, 0.5, 6)
expected_ = 1 / (1 + np.exp(-(cosines_ / 0.02 - 7.0)))
assert np.allclose(readings(cosines_, 0.02, -7.0)[1], expected_)
### END HIDDEN TESTS

# %% [test] readings-stable 1
assert np.shape(readings([0.3, 0.2], 0.02, -10.0)) == (2, 2), "two arrays of the list's length"
### BEGIN HIDDEN TESTS
with np.errstate(all="ignore"):
    assert (
        np.allclose(readings([0.9, 0.1], 0.001, 0.0)[0], [1, 0])
        and np.isfinite(readings([0.9, -0.9], 0.001, 0.0)).all()
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 3. All combinations
#
# Write `table(game, pictures, captions)`: the scores of all combinations of picture coalitions `(m_I,
# n_image)` and word coalitions `(m_T, n_text)`, shape `(m_I, m_T)`, with the fewest passes.


# %% [answer] table
def table(game, pictures, captions):
    """Scores of all combinations, each coalition encoded once."""
    ### BEGIN SOLUTION
    return game.scale * game.encode_images(pictures) @ game.encode_texts(captions).T + game.bias
    ### END SOLUTION


# %% [test] table-right 2
game = VisionLanguageGame(model, scene.image, caption)
pictures = draw(game.n_image, 0.5, 3, seed=STUDENT)
captions = draw(game.n_text, 0.5, 2, seed=STUDENT)
assert np.shape(table(game, pictures, captions)) == (3, 2), (
    "a row for each picture, a column for each caption"
)
### BEGIN HIDDEN TESTS
both_ = np.hstack([np.repeat(pictures, 2, axis=0), np.tile(captions, (3, 1))])
assert np.allclose(np.ravel(table(game, pictures, captions)), game(both_), atol=1e-3)
### END HIDDEN TESTS

# %% [test] table-passes 2
game = VisionLanguageGame(model, scene.image, caption)
assert np.shape(table(game, pictures, captions)) == (3, 2), (
    "a row for each picture, a column for each caption"
)
### BEGIN HIDDEN TESTS
assert (game.image_passes, game.text_passes) == (3, 2), (game.image_passes, game.text_passes)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. A gradient, integrated
#
# Write `integrated(gradient, reference, point)`: the parts of $f(\text{point})-f(\text{reference})$, one
# for each coordinate, by the midpoint rule with 200 steps. `gradient` takes one point and returns its
# gradient there.


# %% [answer] integrated
def integrated(gradient, reference, point):
    """The integrated gradient along the straight line."""
    ### BEGIN SOLUTION
    reference, point = np.asarray(reference, float), np.asarray(point, float)
    shares = (np.arange(200) + 0.5) / 200
    mean = np.mean([gradient(reference + share * (point - reference)) for share in shares], axis=0)
    return mean * (point - reference)
    ### END SOLUTION


# %% [test] integrated-complete 2
assert np.shape(integrated(lambda x: 2 * x, [0.0, 0.0], [1.0, 2.0])) == (2,), "one part for each coordinate"
### BEGIN HIDDEN TESTS
a_, r_ = np.random.default_rng([STUDENT, 22]).uniform(0.2, 2, (2, 3))
found_ = integrated(lambda x: x.prod() / x, r_, a_)
assert np.isclose(found_.sum(), a_.prod() - r_.prod(), atol=1e-3)
### END HIDDEN TESTS

# %% [test] integrated-parts 1
assert np.shape(integrated(lambda x: 2 * x, [0.0, 0.0], [1.0, 2.0])) == (2,), "one part for each coordinate"
### BEGIN HIDDEN TESTS
assert np.allclose(integrated(lambda x: 3 * x**2, [1.0, -1.0], [2.0, 3.0]), [7, 28], atol=1e-2)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Readings
#
# Some of these sentences say more than the numbers do. Which?

# %% [locked]
whole, empty, words_only = score(True, True), score(False, False), score(False, True)
cosine = (whole - model.bias) / model.scale
thing = scene.objects[0].noun
rng = np.random.default_rng([STUDENT, 23])
VERSIONS = {  # of each sentence you get one version
    "a": (f"The caption's cosine is {cosine:.2f}, so it fits the picture to {cosine:.0%}.",
          f"The caption's cosine is {cosine:.2f}; whether that is a good match, other captions of the picture tell."),
    "b": (f"With everything removed the score is {empty:.1f}, the model's answer to grey patches and special tokens.",
          f"With everything removed the score is {empty:.1f}; as nothing is there, that is an error of the masking."),
    "c": (f"With all patches painted grey the whole caption gets {words_only:.1f}: the words' own share of the score.",
          f"With all patches painted grey the whole caption gets {words_only:.1f}: what grey does."),
    "d": (f"A GAME map that is 0 on the {thing} says nothing of whether showing it lowers the score.",
          f"A GAME map that is 0 on the {thing} says that showing it or not makes no difference."),
    "e": ("A table of patches × words that adds up to a difference of scores exactly may still be wrong in each cell.",
          "A table of patches × words that adds up to a difference of scores exactly is right in each cell."),
}  # fmt: skip
DRAWN = rng.choice([0, 1, 2, 5, 6, 7, 8, 12, 13, 14, 17, 18, 19, 23, 24, 25, 26, 29, 30, 31])
CHOSEN = dict(zip(VERSIONS, map(int, f"{DRAWN:05b}")))
for letter, version in CHOSEN.items():
    print(letter, VERSIONS[letter][version])

# %% [answer] sentences
wrong = ...  # a set of letters
### BEGIN SOLUTION
says_too_much = {"a": 0, "b": 1, "c": 0, "d": 1, "e": 1}
wrong = {letter for letter, version in CHOSEN.items() if version == says_too_much[letter]}
### END SOLUTION

# %% [test] sentences-judged 4
assert isinstance(wrong, set) and wrong <= set("abcde"), "wrong is a set of the letters a to e"
### BEGIN HIDDEN TESTS
too_much_ = {"a": 0, "b": 1, "c": 0, "d": 1, "e": 1}
mistakes_ = len(wrong ^ {letter for letter, version in CHOSEN.items() if version == too_much_[letter]})
max(0, 4 - 2 * mistakes_)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Build a pair
#
# Give the embeddings of a picture with one patch (2 rows: hidden, shown) and a caption with two words (4
# rows: ∅, first, second, both), all of length 1, such that at scale 10 each of the three players *by
# itself* raises the score of the empty pair,
# and the whole pair scores at least your `TARGET` logits *less* than the empty one.

# %% [locked]
TARGET = 5 + STUDENT % 6
print("TARGET =", TARGET)

# %% [answer] built
picture_rows, caption_rows = ..., ...


### BEGIN SOLUTION
def at(degrees):
    return [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]


picture_rows = [at(60), at(30)]
caption_rows = [at(0), at(30), at(30), at(180)]
### END SOLUTION

# %% [test] built-unit 1
assert len(picture_rows) == 2 and len(caption_rows) == 4, "two rows and four rows"
### BEGIN HIDDEN TESTS
assert np.allclose(np.linalg.norm(np.vstack([picture_rows, caption_rows]), axis=1), 1)
### END HIDDEN TESTS

# %% [test] built-alone 1
assert len(picture_rows) == 2 and len(caption_rows) == 4, "two rows and four rows"
### BEGIN HIDDEN TESTS
made_ = EmbeddingTableGame(picture_rows, caption_rows, scale=10.0)(all_coalitions(3))
assert (made_[[1, 2, 4]] > made_[0] + 1e-9).all()
### END HIDDEN TESTS

# %% [test] built-together 1
assert len(picture_rows) == 2 and len(caption_rows) == 4, "two rows and four rows"
### BEGIN HIDDEN TESTS
made_ = EmbeddingTableGame(picture_rows, caption_rows, scale=10.0)(all_coalitions(3))
assert made_[0] - made_[7] >= TARGET - 1e-9
### END HIDDEN TESTS
