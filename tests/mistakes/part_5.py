# Wrong solutions, as students write them: what is wrong and what it costs, test by test; then the answers in which
# it shows. tests/test_assignments.py runs each of them.

# %% [mistake] no control: the sound one's mistakes are called faults | verdicts-right 3
# %% [answer] verdicts
from classroom.blind import truth

pictures = [
    make_scene(f"tint {c}", nouns=["house"], colours=[c], background="plain", combinations="any").image
    for c in COLOURS
]
verdicts = {letter: k for letter, k in truth(STUDENT).items()}
for letter, encoder in encoders.items():
    found = scores(encoder, pictures, [f"a {c} house" for c in COLOURS]).argmax(1)
    if verdicts[letter] is None and (found != np.arange(len(COLOURS))).any():
        verdicts[letter] = "colours"

# %% [mistake] everything is accused, and the Möbius term for the mean | verdicts-right 6, measure-right 3
# %% [answer] verdicts
verdicts = dict.fromkeys(LETTERS, "nouns")


# %% [answer] measure
def measure(scene):
    regions = np.full(64, 2)
    for number, thing in enumerate(scene.objects):
        regions[scene.patches(thing.noun)] = number
    words = describe(scene.objects)
    game = VisionLanguageGame(sound, scene.image, words, image_players=regions.reshape(8, 8))
    i, j = 0, 3 + words.split().index(scene.objects[0].noun)
    rows = np.zeros((4, game.n_players), bool)
    rows[1, i] = rows[2, j] = rows[3, i] = rows[3, j] = True
    return game(rows) @ [1, -1, -1, 1]


# %% [mistake] nothing is accused | verdicts-right 6
# %% [answer] verdicts
verdicts = dict.fromkeys(LETTERS)

# %% [mistake] a lost order is called another fault | verdicts-right 3
# %% [answer] verdicts
from classroom.blind import truth

verdicts = {letter: "colours" if k == "order" else k for letter, k in truth(STUDENT).items()}

# %% [mistake] deviation for error, and a count that was guessed | counted-right 1, interval-right 3
# %% [answer] verdicts
from classroom.blind import truth

verdicts = truth(STUDENT)


# %% [answer] counted
def swapped(scene):
    a, b = scene.objects
    other = {a.colour: b.colour, b.colour: a.colour}
    true = describe(scene.objects)
    return true, " ".join(other.get(word, word) for word in true.split())


counted = 0


# %% [answer] interval
def interval(values):
    m, s = np.mean(values), np.std(values, ddof=1)
    return m, m - 1.96 * s, m + 1.96 * s
