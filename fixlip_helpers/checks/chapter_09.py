"""Self-checks of chapter 09, gradients of pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, wrong_ones


@answered
def ch09_square(integrated_value: float, end_value: float) -> Verdict:
    """Exercise "Integrate one": f(x) = x² from 1 to 3."""
    if abs(integrated_value - 12) < 1e-6 and abs(end_value - 8) < 1e-6:
        return Verdict(False, "the two are exchanged.")
    if abs(integrated_value - 4) < 1e-6:
        return Verdict(False, "the mean gradient is to be multiplied with a − r.")
    if abs(integrated_value - 9) < 1e-6:
        return Verdict(False, "that is f(a); the reference has a value too.")
    if abs(integrated_value + 8) < 1e-6:
        return Verdict(False, "the sign is turned round: from the reference to the input.")
    if abs(integrated_value - 8) > 1e-6:
        return Verdict(False, "the integrated gradient is off. What must it add up to?")
    if abs(end_value - 6) < 1e-6:
        return Verdict(False, "the gradient at the input is right; multiply it with a − r.")
    if abs(end_value - 12) > 1e-6:
        return Verdict(False, "the integrated gradient is right, the other number is off.")
    return Verdict(True)


@answered
def ch09_table(function: Callable) -> Verdict:
    """Exercise "The table from the sides": players' part and the rest."""
    rng = np.random.default_rng(9)
    U, V, scale, image, text = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)), 2.5, [1, 2, 3, 4], [1, 2]
    answer = function(U.copy(), V.copy(), scale, list(image), list(text))
    if answer is None:
        return Verdict(False, "the function returns nothing yet.")
    if not isinstance(answer, tuple) or len(answer) != 2:
        return Verdict(False, "two things are asked: the players' table, and the sum of the rest.")
    table, rest = np.asarray(answer[0], dtype=float), float(answer[1])
    everything = scale * U @ V.T
    players = everything[np.ix_(image, text)]
    if table.shape == players.T.shape and np.allclose(table, players.T):
        return Verdict(False, "the table is turned: patches are rows, words are columns.")
    if table.shape == everything.shape:
        return Verdict(False, "that is the table of all positions; special ones are no players.")
    if table.shape != players.shape:
        return Verdict(
            False, f"the table has shape {table.shape}; expected a row for each patch, a column a word."
        )
    if np.allclose(table * scale, players):
        return Verdict(False, "the scale is missing.")
    if not np.allclose(table, players):
        return Verdict(False, "the table is off. Each cell is an inner product of a row of U and a row of V.")
    if np.isclose(rest, players.sum() - everything.sum()):
        return Verdict(False, "the table is right; the rest has its sign turned round.")
    if np.isclose(rest, everything.sum()):
        return Verdict(
            False, "the table is right; the rest is the sum of all positions less that of the players."
        )
    if not np.isclose(rest, everything.sum() - players.sum()):
        return Verdict(False, "the table is right, the rest is off.")
    return Verdict(True)


@answered
def ch09_wrong_everywhere(table: Sequence[Sequence[float]]) -> Verdict:
    """Exercise "Complete and wrong everywhere"."""
    table = np.asarray(table, dtype=float)
    if table.shape != (2, 2) or not np.isfinite(table).all():
        return Verdict(False, "two rows of two finite numbers are needed.")
    wrong = np.sign(table) == -np.array([[1, -1], [1, -1]])
    if not wrong.all():
        return Verdict(False, f"{int(wrong.sum())} of 4 cells have the wrong sign; all should.")
    if abs(table.sum() - 1) > 1e-9:
        return Verdict(False, "every sign is wrong, as asked, but the sum is not 1.")
    return Verdict(True)


@answered
def ch09_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?" of chapter 09."""
    return wrong_ones(wrong, "acef", "abcdef")
