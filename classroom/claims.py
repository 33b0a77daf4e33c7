"""Claims of an explanation, put to the model: the one that is most wrong, and one of your own.

An explanation at ``p`` speaks of half-hidden pairs. What it says of the whole pair is an extrapolation, and cheap to
check: showing one player last, does the model's score rise or fall as the explanation says? The largest claim with a
wrong sign is what embarrasses it most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fixlip_helpers import Explanation, Side, TwoSidedGame, combine, fit_side

REPEATS, COALITIONS = 8, 400  # fits of a picture's side, and image coalitions of each


@dataclass(frozen=True)
class WrongClaim:
    """A player of which an explanation says the wrong sign at the whole pair, in logits.

    ``said`` is the explanation's marginal at the full pair, ``found`` the model's.
    """

    player: str
    said: float
    found: float


def wrong_claims(game: TwoSidedGame, explanation: Explanation) -> list[WrongClaim]:
    """All wrong signs at the whole pair, the largest difference first.

    One pass for each player and two for the whole pair: the model is asked with everything visible, and with
    everything but one player.
    """
    n = explanation.n_players
    rows = np.vstack([np.ones(n, bool), ~np.eye(n, dtype=bool)])
    values, predicted = game(rows), explanation.predict(rows)
    found, said = values[0] - values[1:], predicted[0] - predicted[1:]
    wrong = np.flatnonzero(found * said < 0)
    order = wrong[np.argsort(-np.abs(found - said)[wrong])]
    return [WrongClaim(explanation.players[i], float(said[i]), float(found[i])) for i in order]


def repeated_sides(game: TwoSidedGame) -> list[Side]:
    """REPEATS first-order fits of a picture's side, each from coalitions of its own.

    First order on each side is all that cross-modal interactions need; their spread over the fits is an honest error.
    """
    return [
        fit_side(game, "image", design="paired", m=COALITIONS, seed=seed, order=1, n_held_out=2)
        for seed in range(REPEATS)
    ]


def mean_and_error(estimates: np.ndarray) -> tuple[float, float]:
    """Mean of independent estimates, shape (k,), and its standard error."""
    return float(np.mean(estimates)), float(np.std(estimates, ddof=1) / np.sqrt(len(estimates)))


def measured(game: TwoSidedGame, word: int, patches: Sequence[int]) -> tuple[float, float]:
    """The sum of a word's interactions with some patches at p = ½, and its standard error, in logits.

    Parameters
    ----------
    game : TwoSidedGame
    word : int
        Number of the token in the caption, from 0.
    patches : sequence of int
    """
    text = fit_side(game, "text")
    maps = np.array([combine(side, text).cross_modal() for side in repeated_sides(game)])
    return mean_and_error(maps[:, list(patches), word].sum(axis=1))
