"""Self-checks of chapter 01, coalitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, wrong_ones
from fixlip_helpers.games import random_game


@answered
def ch01_counts(holding: int, edges: int) -> Verdict:
    """Exercise 01.1: five players; coalitions that hold one of them, edges of the lattice."""
    if holding == 2**5:
        return Verdict(False, "(a) counts all coalitions, also those without player 2.")
    if holding == 2**4 - 1:
        return Verdict(False, "(a) is one off: player 2 alone is a coalition too.")
    if holding != 2**4:
        return Verdict(False, "(a) is off. Player 2 is in; what is left to choose?")
    if edges == 2 * 5 * 2**4:
        return Verdict(False, "(a) is right; (b) counts each edge from both of its ends.")
    if edges != 5 * 2**4:
        return Verdict(False, "(a) is right; (b) is off. How many gains has one player?")
    return Verdict(True)


@answered
def ch01_gains(function: Callable[[np.ndarray, int], np.ndarray]) -> Verdict:
    """Exercise 01.2: a player's gains from a table of values."""
    for n, i in ((3, 0), (3, 2), (4, 1)):
        values = random_game(n, seed=i).values
        answer = function(values.copy(), i)
        if answer is None:
            return Verdict(False, "the function returns nothing yet.")
        answer = np.asarray(answer, dtype=float)
        if answer.shape != (2 ** (n - 1),):
            return Verdict(
                False, f"{n} players: shape {answer.shape}; there is one gain for each coalition without i."
            )
        table = values.reshape(2 ** (n - 1 - i), 2, 2**i)
        right = (table[:, 1] - table[:, 0]).ravel()
        if np.allclose(answer, -right):
            return Verdict(False, "the sign is turned round: with the player minus without it.")
        mirrored = values.reshape(2**i, 2, 2 ** (n - 1 - i))
        if i != n - 1 - i and np.allclose(
            np.sort(answer), np.sort((mirrored[:, 1] - mirrored[:, 0]).ravel())
        ):
            return Verdict(
                False, "these are another player's gains: bit 0 is the last binary digit, not the first."
            )
        if not np.allclose(answer, right):
            if np.allclose(np.sort(answer), np.sort(right)):
                return Verdict(False, "the gains are right, their order is not.")
            return Verdict(False, f"the gains of player {i} of {n} are off.")
    return Verdict(True)


@answered
def ch01_fickle(values: Sequence[float]) -> Verdict:
    """Exercise 01.3: a and b redundant without c, with synergy beside c."""
    values = np.asarray(values, dtype=float)
    if values.shape != (8,) or not np.isfinite(values).all():
        return Verdict(False, "eight finite numbers are needed: ∅, a, b, ab, c, ac, bc, abc.")
    hidden, visible = (part[3] - part[1] - part[2] + part[0] for part in (values[:4], values[4:]))
    if hidden < -1e-9 and visible > 1e-9:
        return Verdict(True)
    if hidden > 1e-9 and visible < -1e-9:
        return Verdict(False, "the other way round: redundant while c is hidden.")
    if abs(hidden) <= 1e-9 or abs(visible) <= 1e-9:
        return Verdict(False, "in one of the two companies a and b neither help nor hinder each other.")
    return Verdict(False, "a and b behave alike with c and without it; one sign must change.")


@answered
def ch01_reading(wrong: set[str]) -> Verdict:
    """Exercise 01.4: the wrong statements about the words' game."""
    return wrong_ones(wrong, "acdf", "abcdefg")
