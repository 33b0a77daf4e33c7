"""Self-checks of chapter 18, debugging."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, wrong_ones
from fixlip_helpers.exact import banzhaf_interactions
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.games import TableGame
from fixlip_helpers.world import faults


@answered
def ch18_shares(first_share: float, second_share: float) -> Verdict:
    """Exercise "Two shares": (+2, +6) and (+6, -2) of object and background."""
    if abs(first_share - 0.25) < 1e-6:
        return Verdict(False, "that is the object's share; the background's is asked.")
    if abs(first_share - 0.75) > 1e-6:
        return Verdict(False, "the first is off: the background's interaction by the sum of both sizes.")
    if abs(second_share - 0.25) < 1e-6:
        return Verdict(False, "the first is right; the second has lost its sign.")
    if abs(second_share + 0.5) < 1e-6:
        return Verdict(False, "the first is right; for the second the sizes add up, not the signed numbers.")
    if abs(second_share + 0.25) > 1e-6:
        return Verdict(False, "the first is right, the second is off.")
    return Verdict(True)


def _explained(order: Sequence[int], noise: float) -> Explanation:
    """An explanation of 3 regions and 4 named words in some order, each word's numbers its own."""
    dice, names = np.random.default_rng(18), np.array(["red", "owl", "blue", "drum"])
    cross = dice.normal(size=(3, 4)) + noise * np.arange(12).reshape(3, 4)
    pairs = np.zeros((7, 7))
    pairs[:3, 3:] = cross[:, list(order)]
    players = ["a", "b", "c", *names[list(order)]]
    return Explanation(0.0, None, np.zeros(7), pairs + pairs.T, "FWBII", 0.5, players, 3, 4, {})


@answered
def ch18_swapped_apart(function: Callable) -> Verdict:
    """Exercise "The difference that a bag cannot make"."""
    bag = _explained((0, 1, 2, 3), 0), _explained((2, 1, 0, 3), 0)
    other = _explained((2, 1, 0, 3), 0.1)
    answer, apart = function(*bag), function(bag[0], other)
    if answer is None or apart is None:
        return Verdict(False, "the function returns nothing yet.")
    if np.ndim(answer):
        return Verdict(False, "one number is asked, the largest difference.")
    if abs(answer) > 1e-9:
        by_place = np.abs(bag[0].cross_modal() - bag[1].cross_modal()).max()
        if abs(answer - by_place) < 1e-9:
            return Verdict(
                False, "columns were compared by their place; a word stands elsewhere in the other."
            )
        return Verdict(False, "for a bag of words the difference is 0, and yours is not.")
    if abs(apart - 1.1) < 1e-9:
        return Verdict(True)
    if abs(apart) < 1e-9:
        return Verdict(False, "for an encoder that does tell the captions apart you find no difference.")
    return Verdict(
        False, "0 for a bag of words, as it should be; elsewhere it is not the largest difference."
    )


@answered
def ch18_no_binding(values: Sequence[float]) -> Verdict:
    """Exercise "Build an encoder that pairs but does not bind"."""
    values = np.asarray(values, dtype=float)
    if values.shape != (16,) or not np.isfinite(values).all():
        return Verdict(False, "16 finite numbers are needed, one for each coalition.")
    pair = banzhaf_interactions(TableGame(values))[0, 2]
    cube = values.reshape((2,) * 4)  # axes: noun, colour, other, own
    third = np.diff(np.diff(np.diff(cube, axis=0), axis=1), axis=3)
    if pair <= 1e-9:
        return Verdict(False, "the colour's interaction with its own region is not positive.")
    if np.abs(third).max() > 1e-9:
        return Verdict(False, "colour, noun and own region have a third-order interaction: that is binding.")
    return Verdict(True)


@answered
def ch18_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?" of chapter 18."""
    return wrong_ones(wrong, "abceg", "abcdefg")


@answered
def ch18_fourth(one: str, other: str) -> Verdict:
    """Exercise "Find the fourth": two nouns that training never showed apart, in any order."""
    nouns = {str(one).strip().lower(), str(other).strip().lower()}
    pairs = [set(pair) for pair in faults.COMPANIONS.items()]
    if nouns in pairs:
        return Verdict(True)
    if nouns & {*faults.HABITATS, *faults.WRITTEN}:
        return Verdict(False, "one of them has a background or a tag as its fault, and was found above.")
    if any(nouns & pair for pair in pairs):
        return Verdict(False, "one of them is right; what was never shown without it?")
    return Verdict(False, "not that pair. Compare both encoders on every noun and every thing.")
