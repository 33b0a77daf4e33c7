"""Self-checks of chapter 03, interactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, compared, wrong_ones
from fixlip_helpers.coalitions import all_coalitions
from fixlip_helpers.exact import banzhaf_interactions
from fixlip_helpers.experiments.datasets import part_one_game
from fixlip_helpers.games import TableGame


@answered
def ch03_second_difference(value: float) -> Verdict:
    """Exercise "One second difference by hand": dog region and "black", nothing else visible."""
    nothing, region, black, both = part_one_game().values[[0, 1, 8, 9]]
    mistakes = {
        -(
            both - region - black + nothing
        ): "the size is right, the sign is not: both, minus each, plus nothing.",
        both - region - black: "the empty coalition is missing: its value is not zero.",
        both - region - black - nothing: "the empty coalition enters with the other sign.",
        both - region: "that is the gain from one player when the other is there, a first difference.",
        both - black: "that is the gain from one player when the other is there, a first difference.",
        both - nothing: "that is what both bring together, not what they bring beyond each alone.",
        banzhaf_interactions(part_one_game())[
            0, 3
        ]: "that is the mean over all coalitions of the others; asked is one.",
    }
    otherwise = "four values, two with a plus and two with a minus."
    return compared(value, both - region - black + nothing, mistakes.items(), otherwise, within=0.006)


@answered
def ch03_interaction(interaction: Callable) -> Verdict:
    """Exercise "The interaction at any p": a function of values, two players and p."""
    values = np.random.default_rng(3).normal(size=16)
    game, p = TableGame(values), 0.3
    right = banzhaf_interactions(game, p)
    mistakes = (
        (-right, "the sizes are right, the sign is not."),
        (banzhaf_interactions(game, 1 - p), "p and 1 − p are exchanged: p belongs to the visible players."),
        (banzhaf_interactions(game, 0.5), "that is right at p = 0.5 only: coalitions need their weights."),
        (2 * right, "each pair is counted twice."),
        (right / 2, "each number is half of what it should be."),
        (p * (1 - p) * right, "the pair itself is not random: only the others get a weight."),
        (right / 4, "a mean over all coalitions counts each M four times: once for each state of the pair."),
    )
    given = np.zeros((4, 4))
    for i, j in zip(*np.nonzero(~np.eye(4, dtype=bool)), strict=True):
        number = interaction(values, i, j, p)
        if number is None:
            return Verdict(False, "the function returns nothing yet.")
        given[i, j] = number
    otherwise = "its numbers are not the weighted Banzhaf interactions of a game of four players."
    return compared(given, right, mistakes, otherwise)


@answered
def ch03_hidden(values: Sequence[float]) -> Verdict:
    """Exercise "Build a game": no value and no pair at p = 0.5, and yet not constant."""
    values = np.asarray(values, dtype=float)
    if values.shape != (8,) or not np.isfinite(values).all():
        return Verdict(False, "a game of three players has eight values, all of them finite.")
    if np.ptp(values) < 1e-9:
        return Verdict(False, "all values and pairs are zero, but the game is constant.")
    tolerance = 1e-9 * np.ptp(values)
    alone = (2 * all_coalitions(3) - 1).T @ values / 4
    if np.abs(alone).max() > tolerance:
        seen = int((np.abs(alone) > tolerance).sum())
        return Verdict(False, f"{seen} of the 3 players have a Banzhaf value that is not zero.")
    pairs = np.abs(banzhaf_interactions(TableGame(values))[np.triu_indices(3, 1)])
    if pairs.max() > tolerance:
        return Verdict(
            False, f"the values are zero; {int((pairs > tolerance).sum())} of the 3 pairs are not."
        )
    return Verdict(True, "Neither values nor pairs see anything of this game.")


@answered
def ch03_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?": the letters of the wrong statements."""
    return wrong_ones(wrong, "acde", "abcdef")
