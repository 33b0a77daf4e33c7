"""Self-checks of chapter 15, insertion and deletion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, compared, wrong_ones
from fixlip_helpers.metrics.subsets import best_subsets, quadratic


@answered
def ch15_aid(aid: float) -> Verdict:
    """Exercise "An area by hand": insertion 10, 20, 25, 20, 20, deletion 10, 5, 10, 10, 20."""
    hints = {
        10.0: "that is in logits: divide by what all players gain.",
        -1.0: "the sign: insertion less deletion.",
        4.0: "the steps have width 1 / n.",
        0.8: "trapezoids: the two ends count half.",
        0.5: "are the curves shifted so that nothing scores 0?",
    }
    otherwise = "normalise both curves, then add trapezoids of width ¼."
    return compared(aid, 1.0, hints.items(), otherwise, within=0.005)


@answered
def ch15_swap(swap: Callable) -> Verdict:
    """Exercise "Greedy by program": the best exchange of one kept player for one outsider."""
    rng = np.random.default_rng(15)
    for _ in range(20):
        upper = np.triu(2 * rng.normal(size=(7, 7)), 1)
        main, pairs = rng.normal(size=7), upper + upper.T
        kept = rng.permutation(7) < 3
        before = kept.copy()
        new = swap(kept, main, pairs)
        if new is None:
            return Verdict(False, "the function returns nothing yet.")
        if (kept != before).any():
            return Verdict(False, "the function changes the row that it was given: copy it first.")
        new = np.asarray(new, dtype=bool)
        if new.shape != (7,) or new.sum() != 3 or (new & ~kept).sum() > 1:
            return Verdict(False, "the result must keep as many players, with at most one exchanged.")
        exchanges = []
        for i in np.flatnonzero(kept):
            for j in np.flatnonzero(~kept):
                row = kept.copy()
                row[i], row[j] = False, True
                exchanges.append(row)
        best = quadratic(np.array([kept, *exchanges]), main, pairs).max()
        value = quadratic(new[None], main, pairs)[0]
        if value < best - 1e-9:
            worse = value < quadratic(kept[None], main, pairs)[0] - 1e-9
            what = "the exchange made the set worse." if worse else "a better exchange was there."
            return Verdict(False, f"{what} Does the newcomer still count its pair with the leaver?")
    return Verdict(True)


@answered
def ch15_leaver(main: Sequence[float], pairs: Sequence[float]) -> Verdict:
    """Exercise "Build a game": best one is {0}, best two are {1, 2}; pairs are e01, e02, e12."""
    main, numbers = np.asarray(main, dtype=float), np.asarray(pairs, dtype=float)
    if main.shape != (3,) or numbers.shape != (3,) or not np.isfinite([main, numbers]).all():
        return Verdict(False, "three finite main effects and three finite pairs are needed.")
    table = np.zeros((3, 3))
    table[np.triu_indices(3, 1)] = numbers
    table += table.T
    if not main[0] > max(main[1:]):
        return Verdict(False, "player 0 is not the single best player.")
    two = {couple: main[list(couple)].sum() + table[couple] for couple in ((0, 1), (0, 2), (1, 2))}
    if not two[1, 2] > max(two[0, 1], two[0, 2]):
        return Verdict(
            False, "player 0 is best alone, as asked; but another two are at least as good as 1 and 2."
        )
    assert best_subsets((main, table)).leaving[1] == [0]
    return Verdict(True, "The best player leaves.")


@answered
def ch15_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?": the letters of the wrong statements."""
    return wrong_ones(wrong, "abdf", "abcdef")
