# %% [markdown]
# # Part V, use
#
# Twenty points, six of them for the report at the end, which a human marks. Predictions count for being
# made, not for being right. This notebook needs the folder `classroom` of the course's repository in its
# path.

# %% [answer] number
STUDENT = ...
### BEGIN SOLUTION
STUDENT = 1
### END SOLUTION

# %% [locked]
from zlib import crc32

import numpy as np
import torch

from classroom.blind import COLOURS, LETTERS, NOUNS, six_encoders
from fixlip_helpers import VisionLanguageGame, exact, load_model
from fixlip_helpers.coalitions import all_coalitions
from fixlip_helpers.scenes import describe, make_scene

if not isinstance(STUDENT, int):
    raise ValueError("STUDENT is no number yet: answer the cell above first")


def seal(prediction):
    """A receipt of your prediction; write it on the lab sheet before you run the next cell."""
    return f"{crc32(f'{STUDENT} {prediction}'.encode()):08x}"


def coloured_pair(k):
    """Your k-th scene: two things, two colours."""
    return make_scene(f"assignment {STUDENT} {k}", 2, tinted=1.0, repeats=0.0)


def scores(encoder, pictures, captions):
    """Logits, one row for each picture (PIL) and one column for each caption."""
    with torch.inference_mode():
        f = encoder.embed_pixels(torch.stack([encoder.prepare_image(picture).pixels for picture in pictures]))
        texts = [encoder.tokenize(caption) for caption in captions]
        g = torch.stack([encoder.embed_tokens(text.input_ids, text.attention_mask)[0] for text in texts])
    return encoder.scale * (f.double() @ g.double().T).numpy() + encoder.bias


sound = load_model("mini-clip")

# %% [markdown]
# ## 1. A prediction
#
# Of your ten scenes `coloured_pair(0)` … `coloured_pair(9)`: in how many does `mini-clip` score the true
# caption (`describe(scene.objects)`) higher than the one with the two colours exchanged? A whole number.
# Seal it, then count.

# %% [answer] prediction
prediction = ...
### BEGIN SOLUTION
prediction = 9
### END SOLUTION
print(seal(prediction))

# %% [test] prediction-made 1
assert prediction in range(11), "prediction is a whole number from 0 to 10"


# %% [answer] counted
def swapped(scene):
    """The true caption of a scene and the one with its colours exchanged."""
    a, b = scene.objects
    true = describe(scene.objects)
    exchanged = {a.colour: b.colour, b.colour: a.colour}
    return true, " ".join(exchanged.get(word, word) for word in true.split())


counted = ...  # in how many of the ten scenes the true one scores higher
### BEGIN SOLUTION
counted = 0
for k in range(10):
    true_score, other_score = scores(sound, [coloured_pair(k).image], swapped(coloured_pair(k)))[0]
    counted += int(true_score > other_score)
### END SOLUTION

# %% [test] counted-right 1
assert counted in range(11), "counted is a whole number from 0 to 10"
### BEGIN HIDDEN TESTS
found_ = 0
for k_ in range(10):
    true_, other_ = scores(sound, [coloured_pair(k_).image], swapped(coloured_pair(k_)))[0]
    found_ += int(true_ > other_)
assert counted == found_
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Six encoders
#
# `encoders["A"]` to `encoders["F"]` are copies of `mini-siglip` (`base`) in whose *text* towers something
# may have been changed. A **fault** is a change of what the encoder answers: two of the words in `NOUNS`
# taken for each other (`"nouns"`), two of the words in `COLOURS` (`"colours"`), or the order of words lost
# (`"order"`). Other changes of weights are no fault. Say for each letter what it has, or `None`.
#
# Two points for each fault that you name; **one point less for each encoder that you accuse without
# reason**, one less for a wrong kind of fault, never below 0.

# %% [locked]
base = load_model("mini-siglip")  # what they are copies of
encoders = six_encoders(STUDENT)

# %% [answer] verdicts
verdicts = ...  # a dictionary from "A" to "F": None, "nouns", "colours" or "order"
### BEGIN SOLUTION
things = [make_scene(f"thing {noun}", nouns=[noun], tinted=0.0, background="plain").image for noun in NOUNS]
tints = [
    make_scene(f"tint {c}", nouns=["house"], colours=[c], background="plain", combinations="any").image
    for c in COLOURS
]
pairs = [coloured_pair(k) for k in range(4)]


def chosen(encoder):
    """Which caption it chooses for each picture of a thing, and of a colour."""
    nouns = scores(encoder, things, [f"a {noun}" for noun in NOUNS]).argmax(axis=1)
    return nouns, scores(encoder, tints, [f"a {colour} house" for colour in COLOURS]).argmax(axis=1)


def diagnosis(encoder):
    """What the encoder answers otherwise than the sound one, whose own mistakes are no fault."""
    margins = [np.ptp(scores(encoder, [scene.image], swapped(scene))[0]) for scene in pairs]
    if max(margins) < 0.001:
        return "order"
    for fault, mine, its in zip(("nouns", "colours"), chosen(encoder), chosen(base)):
        if (mine != its).any():
            return fault
    return None


verdicts = {letter: diagnosis(encoder) for letter, encoder in encoders.items()}
### END SOLUTION

# %% [test] verdicts-right 6
assert set(verdicts) == set(LETTERS) and set(verdicts.values()) <= {None, "nouns", "colours", "order"}, (
    "a verdict for each letter"
)
### BEGIN HIDDEN TESTS
from classroom.blind import truth

faults_ = truth(STUDENT)
named_ = sum(2 for letter in LETTERS if faults_[letter] and verdicts[letter] == faults_[letter])
false_ = sum(1 for letter in LETTERS if verdicts[letter] and verdicts[letter] != faults_[letter])
max(0, named_ - false_)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. A claim, measured
#
# Claim: *in `mini-clip`, a noun interacts positively with the region of its own thing.* Write
# `measure(scene)`: the interaction of the first noun of the caption with the region of its thing, from
# *all* coalitions of three regions (first thing, second thing, rest; patches by `scene.patches`) and the
# caption's words at $p=\tfrac12$. Then `interval(values)`: the mean of the values and the ends of its 95 %
# interval, mean ± 1.96 standard errors.


# %% [answer] measure
def measure(scene):
    """The interaction of the first noun and its region, exactly, over regions and words."""
    ### BEGIN SOLUTION
    regions = np.full(64, 2)
    for number, thing in enumerate(scene.objects):
        regions[scene.patches(thing.noun)] = number
    caption = describe(scene.objects)
    game = VisionLanguageGame(sound, scene.image, caption, image_players=regions.reshape(8, 8))
    rows_I, rows_T = all_coalitions(3), all_coalitions(game.n_text)
    f, g = game.encode_images(rows_I), game.encode_texts(rows_T)
    z_I, z_T = 2.0 * rows_I[:, 0] - 1, 2.0 * rows_T[:, caption.split().index(scene.objects[0].noun)] - 1
    return 4 * game.scale * (z_I @ f / len(f)) @ (z_T @ g / len(g))
    ### END SOLUTION


# %% [test] measure-right 3
assert np.isfinite(measure(coloured_pair(0))), "measure returns a number"
### BEGIN HIDDEN TESTS
for k_ in (2, 5):
    scene_ = coloured_pair(k_)
    labels_ = np.full(64, 2)
    for number_, thing_ in enumerate(scene_.objects):
        labels_[scene_.patches(thing_.noun)] = number_
    words_ = describe(scene_.objects)
    game_ = VisionLanguageGame(sound, scene_.image, words_, image_players=labels_.reshape(8, 8))
    place_ = 3 + words_.split().index(scene_.objects[0].noun)
    assert np.isclose(measure(scene_), exact.banzhaf_interactions(game_, 0.5)[0, place_], atol=0.01)
### END HIDDEN TESTS


# %% [answer] interval
def interval(values):
    """Mean, lower end and upper end."""
    ### BEGIN SOLUTION
    values = np.asarray(values, float)
    error = values.std(ddof=1) / np.sqrt(len(values))
    return values.mean(), values.mean() - 1.96 * error, values.mean() + 1.96 * error
    ### END SOLUTION


# %% [test] interval-right 3
assert len(interval([1.0, 2.0, 4.0])) == 3, "interval returns three numbers"
### BEGIN HIDDEN TESTS
sample_ = np.random.default_rng([STUDENT, 53]).normal(3, 2, 20)
half_ = 1.96 * np.std(sample_, ddof=1) / np.sqrt(20)
assert np.allclose(
    interval(sample_), [sample_.mean(), sample_.mean() - half_, sample_.mean() + half_], atol=1e-6
)
### END HIDDEN TESTS

# %% [essay] report 6
# ## 4. Report
#
# Half a page on the claim, from at least twelve of your scenes. One mark each: the claim is stated so that
# it could be wrong; the evidence is the number that the claim is about, with how scenes were drawn; the
# interval, and what it is an interval *over*; a control (for example the other thing's region), with its
# number;
# what would have refuted the claim; one limit, with the measurement that would settle it. A refuted claim
# can have all six.
