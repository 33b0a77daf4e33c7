# Wrong solutions, as students write them: what is wrong and what it costs, test by test; then the answers in which
# it shows. tests/test_assignments.py runs each of them.

# %% [mistake] multiplies by the temperature | softmax-right 2, sigmoid-right 1, readings-stable 1
# %% [answer] readings
def readings(cosines, temperature, bias):
    logits = np.asarray(cosines) * temperature
    return np.exp(logits) / np.exp(logits).sum(), 1 / (1 + np.exp(-logits - bias))


# %% [mistake] powers overflow | readings-stable 1
# %% [answer] readings
def readings(cosines, temperature, bias):
    logits = np.asarray(cosines) / temperature
    return np.exp(logits) / np.exp(logits).sum(), 1 / (1 + np.exp(-logits - bias))


# %% [mistake] each pair is encoded | table-passes 2
# %% [answer] table
def table(game, pictures, captions):
    return [[float(game(np.r_[a, b][None])[0]) for b in captions] for a in pictures]


# %% [mistake] the gradient at the end | integrated-complete 2, integrated-parts 1
# %% [answer] integrated
def integrated(gradient, reference, point):
    d = np.asarray(point, float) - reference
    return gradient(np.asarray(point, float)) * d


# %% [mistake] a reading missed | sentences-judged 2
# %% [answer] sentences
too_much = {"a": 0, "b": 1, "c": 0, "d": 1, "e": 1}
wrong = {k for k, v in CHOSEN.items() if v == too_much[k]}
wrong.remove(min(wrong))

# %% [mistake] embeddings of length 2 | built-unit 1
# %% [answer] built
turn = lambda d: [2 * np.cos(np.radians(d)), 2 * np.sin(np.radians(d))]
picture_rows, caption_rows = [turn(60), turn(30)], [turn(0), turn(30), turn(30), turn(180)]
