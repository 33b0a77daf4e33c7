"""Self-checks of chapter 02, Shapley and Banzhaf values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, compared, wrong_ones
from fixlip_helpers.exact import banzhaf_values, shapley_values
from fixlip_helpers.games import TableGame, random_game


@answered
def ch02_curve(low: float, banzhaf: float, shapley: float) -> Verdict:
    """Exercise "One curve by hand": m(a) = 2, m(ab) = -4, m(abc) = 6."""

    def curve(p: float) -> float:
        return 2 - 4 * p + 6 * p**2

    asked = (("β_a(0.3)", low, curve(0.3)), ("β_a(½)", banzhaf, curve(0.5)), ("Sh_a", shapley, 2.0))
    mistakes = (
        (curve(0.7), "β_a(0.3)", "p and 1 − p are exchanged: p belongs to the visible players."),
        (
            2 * 0.3 - 4 * 0.3**2 + 6 * 0.3**3,
            "β_a(0.3)",
            "one factor p too many: player a itself is not random.",
        ),
        (2 * 0.5 - 4 * 0.25 + 6 * 0.125, "β_a(½)", "one factor p too many: player a itself is not random."),
        (4.0, "Sh_a", "each member gets a share of its group's term, not the whole of it."),
        (curve(0.5), "Sh_a", "that is the height at ½; asked is the area."),
        (2 - 4 / 3 + 6 / 3, "Sh_a", "a group's term is shared among its members, not among all players."),
    )
    for name, given, right in asked:
        if abs(given - right) < 0.006:
            continue
        for mistaken, where, hint in mistakes:
            if where == name and abs(given - mistaken) < 0.006:
                return Verdict(False, f"{name}: {hint}")
        if abs(given + right) < 0.006:
            return Verdict(False, f"{name}: the sign is turned round.")
        return Verdict(False, f"{name} is off. Which groups hold a, and with how many others?")
    return Verdict(True)


@answered
def ch02_arrivals(function: Callable) -> Verdict:
    """Exercise "The clock lets you sample": mean gains at arrival, for given times."""
    game = random_game(4, seed=5)
    times = np.random.default_rng(6).uniform(size=(40, 4))
    given = function(game, times.copy())
    if given is None:
        return Verdict(False, "the function returns nothing yet.")
    given = np.asarray(given, dtype=float)
    if given.shape != (4,):
        return Verdict(False, f"shape {given.shape}; one number for each of the 4 players is asked.")

    def mean_gains(company: Callable) -> np.ndarray:
        found = np.zeros(4)
        for i in range(4):
            rows = company(i) & (np.arange(4) != i)
            found[i] = (game(rows | (np.arange(4) == i)) - game(rows)).mean()
        return found

    right = mean_gains(lambda i: times < times[:, [i]])
    mistakes = (
        (-right, "the sign is turned round: with the player minus without it."),
        (mean_gains(lambda i: times > times[:, [i]]), "the company are those who came earlier, not later."),
        (mean_gains(lambda i: times < 0.5), "that stops the clock at ½: Banzhaf values."),
        (right * len(times), "that is the sum over the runs, not the mean."),
        (shapley_values(game), "these are the exact Shapley values; asked is the mean over the given runs."),
    )
    return compared(given, right, mistakes, "the numbers are off. Whom does player i meet in run r?")


@answered
def ch02_two_signs(values: Sequence[float]) -> Verdict:
    """Exercise "A friend at the ends": Shapley value of a positive, Banzhaf value negative."""
    values = np.asarray(values, dtype=float)
    if values.shape != (8,) or not np.isfinite(values).all():
        return Verdict(False, "eight finite numbers are needed: ∅, a, b, ab, c, ac, bc, abc.")
    game = TableGame(values)
    shapley, banzhaf = shapley_values(game)[0], banzhaf_values(game)[0]
    if shapley > 1e-9 and banzhaf < -1e-9:
        return Verdict(True)
    if shapley < -1e-9 and banzhaf > 1e-9:
        return Verdict(False, "the other way round.")
    if abs(shapley) <= 1e-9 or abs(banzhaf) <= 1e-9:
        return Verdict(False, "one of the two is 0; it is to have a sign.")
    return Verdict(False, "both have one sign. Which Möbius term tells them apart?")


@answered
def ch02_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?" of chapter 02."""
    return wrong_ones(wrong, "abeg", "abcdefg")
