# Wrong solutions, as students write them: what is wrong and what it costs, test by test; then the answers in which
# it shows. tests/test_assignments.py runs each of them.

# %% [mistake] squared correlation for R² | whole-right 2
# %% [answer] whole
def whole_r2(said, predicted):
    return np.corrcoef(said.ravel(), predicted.ravel() + 1e-9 * said.ravel())[0, 1] ** 2


# %% [mistake] R² of the whole for the block | cross-right 3
# %% [answer] cross
def cross_r2(said, predicted):
    return whole_r2(said, predicted)


# %% [mistake] a greedy chain | best-sets 3
# %% [answer] best
def best(main, pairs, k):
    kept = []
    while len(kept) < k:
        gain = main + pairs[:, kept].sum(1)
        gain[kept] = -np.inf
        kept.append(int(np.argmax(gain)))
    return set(kept)


# %% [mistake] heat inside, whatever its sign | pgr-right 2
# %% [answer] pgr
def pgr(heat, own):
    heat = np.abs(heat)
    return heat[own].sum() / heat.sum() if heat.any() else 0.5


# %% [mistake] nothing divided by nothing | pgr-of-nothing 1
# %% [answer] pgr
def pgr(heat, own):
    right = heat[own & (heat > 0)].sum() - heat[~own & (heat < 0)].sum()
    return right / np.abs(heat).sum()


# %% [mistake] a pointer that explains | built-explains-nothing 2
# %% [answer] built
own = np.isin(np.arange(8), [0, 1, 4, 5])
cross = explanation.cross_modal()
cross[:, 1] = np.abs(cross[:, 1]) * np.where(own, 0.05, -0.05)

# %% [mistake] a reading missed | sentences-judged 2
# %% [answer] sentences
too_much = {"a": 0, "b": 1, "c": 1, "d": 0, "e": 1}
wrong = {k for k, v in CHOSEN.items() if v == too_much[k]}
wrong.remove(min(wrong))
