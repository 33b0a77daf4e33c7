# Wrong solutions, as students write them: what is wrong and what it costs, test by test; then the answers in which
# it shows. tests/test_assignments.py runs each of them.

# %% [mistake] p is forgotten | value-elsewhere 2
# %% [answer] value
def value(values, i, p):
    gains = values.reshape(-1, 2, 2**i)
    return np.mean(gains[:, 1] - gains[:, 0])


# %% [answer] held
later, now = (exact.banzhaf_values(game, p)[ME] for p in (0.9, 0.5))
held = (prediction == "higher") == (later > now)


# %% [mistake] Shapley in place of Banzhaf | value-at-half 2, value-elsewhere 2
# %% [answer] value
def value(values, i, p):
    return exact.shapley_values(TableGame(values))[i]


# %% [answer] held
later, now = (exact.banzhaf_values(game, p)[ME] for p in (0.9, 0.5))
held = (prediction == "higher") == (later > now)

# %% [mistake] claims that the prediction held | held-truthfully 1
# %% [answer] held
later, now = (exact.banzhaf_values(game, p)[ME] for p in (0.9, 0.5))
held = (prediction == "higher") == (later > now)
held = not held

# %% [mistake] a false alarm | readings-judged 2
# %% [answer] readings
too_much = {"a": 1, "b": 0, "c": 1, "d": 0, "e": 0}
wrong = {k for k, v in CHOSEN.items() if v == too_much[k]}
wrong.add(min(set(CHOSEN) - wrong))

# %% [mistake] all are called wrong | readings-judged 4
# %% [answer] readings
wrong = set("abcde")

# %% [mistake] the value in place of the marginal | reading-repaired 2
# %% [answer] repaired
repaired = values[ME]

# %% [mistake] a game without triples | built-shapley 1
# %% [answer] built
s = -TARGET / 2
built = [0, s, s, 2 * s + TARGET, 0, s, s, 2 * s + TARGET]


# %% [mistake] the deviation for the error of the mean | estimate-honest-error 2
# %% [answer] estimate
def estimate(ask, i, j, seed):
    found = []
    for k in range(8):
        rows = draw(6, 0.5, 64, seed=8 * seed + k)
        z = 2.0 * rows - 1
        found.append(4 * np.mean(ask(rows) * z[:, i] * z[:, j]))
    return np.mean(found), np.std(found, ddof=1)


# %% [mistake] one seed for all repetitions | estimate-honest-error 2
# %% [answer] estimate
def estimate(ask, i, j, seed):
    rows = draw(6, 0.5, 64, seed=seed)
    z = 2.0 * rows - 1
    found = [4 * np.mean(ask(rows) * z[:, i] * z[:, j]) for _ in range(8)]
    return np.mean(found), np.std(found) / np.sqrt(8)
