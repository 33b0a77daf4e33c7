# Wrong solutions, as students write them: what is wrong and what it costs, test by test; then the answers in which
# it shows. tests/test_assignments.py runs each of them.

# %% [mistake] half of each pair, whatever p | three-numbers 1
# %% [answer] three
def three(e, i):
    total = e.pairs[i].sum()
    return e.main[i], e.main[i] + total / 2, e.main[i] + total


# %% [mistake] pairs counted twice | three-numbers 2
# %% [answer] three
def three(e, i):
    total = 2 * e.pairs[i].sum()
    return e.main[i], e.main[i] + e.p * total, e.main[i] + total


# %% [mistake] plain means at any p | maps-right 3
# %% [answer] maps
def maps(game, p):
    x, y = all_coalitions(game.n_image), all_coalitions(game.n_text)
    f, g = game.encode_images(x), game.encode_texts(y)
    return 4 * game.scale * ((2.0 * x - 1).T @ f / len(x)) @ ((2.0 * y - 1).T @ g / len(y)).T


# %% [mistake] the picture anew for each word | maps-passes 2
# %% [answer] maps
def maps(game, p):
    x, y = all_coalitions(game.n_image), all_coalitions(game.n_text)
    side = lambda rows, e: (
        (np.where(rows, 1 / p, -1 / (1 - p)) * np.where(rows, p, 1 - p).prod(1)[:, None]).T @ e
    )
    return np.stack(
        [game.scale * side(x, game.encode_images(x)) @ column for column in side(y, game.encode_texts(y))],
        axis=1,
    )


# %% [mistake] second order for first-order maps | least-identified 1
# %% [answer] least
n = ROWS**2
least_pictures = least_for_maps = 1 + n + n * (n - 1) // 2
least_captions = 1 + TOKENS + TOKENS * (TOKENS - 1) // 2

# %% [mistake] a false alarm | readings-judged 2
# %% [answer] readings
too_much = {"a": 1, "b": 0, "c": 0, "d": 1, "e": 0}
wrong = {k for k, v in CHOSEN.items() if v == too_much[k]}
wrong.add(min(set(CHOSEN) - wrong))

# %% [mistake] values that vanish at one half | built-values 1
# %% [answer] built
pairs = np.zeros((4, 4))
pairs[:2, 2:] = pairs[2:, :2] = 1.0
main = np.array([TARGET - 2.0, 0.0, -1.0, -1.0])
