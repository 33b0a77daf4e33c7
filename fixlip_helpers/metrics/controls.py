"""Explanations that a method must beat, and one that knows the picture and not the model.

Each control keeps one cheap part of a given explanation and throws the rest away. What a control scores, a method gets
no credit for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fixlip_helpers.coalitions import check_p
from fixlip_helpers.explanation import Explanation


def random_explanation(explanation: Explanation, seed: int = 0) -> Explanation:
    """Independent normal numbers, main effects and pairs with the root mean squares of the given explanation's."""
    rng = np.random.default_rng(seed)
    n = explanation.n_players
    main = rng.normal(size=n) * np.sqrt(np.mean(explanation.main**2))
    upper = np.triu(rng.normal(size=(n, n)), 1)
    root = np.sqrt((explanation.pairs**2).sum() / max(1, n * (n - 1)))
    return _control(explanation, "random", main=main, pairs=root * (upper + upper.T))


def counts_only(explanation: Explanation) -> Explanation:
    """Every patch counts as the mean patch, every word as the mean word, and so do the pairs.

    What is left depends on the numbers of visible patches and words alone: it is the projection of the surrogate on
    functions of the two counts, under ``P_p`` for every p.
    """
    n, sides = (
        explanation.n_players,
        [range(explanation.n_image), range(explanation.n_image, explanation.n_players)],
    )
    main, pairs = np.zeros(n), np.zeros((n, n))
    for a in sides:
        main[list(a)] = explanation.main[list(a)].mean() if len(a) else 0.0
        for b in sides:
            block = np.ix_(list(a), list(b))
            couples = len(a) * (len(a) - 1) if a is b else len(a) * len(b)
            pairs[block] = explanation.pairs[block].sum() / max(1, couples)
    np.fill_diagonal(pairs, 0)
    return _control(explanation, "counts only", main=main, pairs=pairs)


def words_only(explanation: Explanation, p: float | None = None) -> Explanation:
    """The surrogate's mean over pictures drawn from ``P_p`` (default: its own p, else 0.5): it never sees a patch."""
    p = check_p(p if p is not None else explanation.p or 0.5)
    image, text = slice(explanation.n_image), slice(explanation.n_image, None)
    main, pairs = np.zeros_like(explanation.main), np.zeros_like(explanation.pairs)
    within = explanation.pairs[image, image].sum() / 2
    baseline = explanation.baseline + p * explanation.main[image].sum() + p**2 * within
    main[text] = explanation.main[text] + p * explanation.pairs[text, image].sum(axis=1)
    pairs[text, text] = explanation.pairs[text, text]
    return _control(explanation, "words only", baseline=baseline, main=main, pairs=pairs)


def shuffled_patches(explanation: Explanation, seed: int = 0) -> Explanation:
    """The true numbers, each patch's given to another patch drawn at random."""
    order = np.arange(explanation.n_players)
    order[: explanation.n_image] = np.random.default_rng(seed).permutation(explanation.n_image)
    pairs = explanation.pairs[np.ix_(order, order)]
    return _control(explanation, "patches shuffled", main=explanation.main[order], pairs=pairs)


def _control(explanation: Explanation, method: str, **terms) -> Explanation:
    """The explanation with other terms; what was known of its fit is known no more."""
    facts = ("model", "fingerprint", "caption", "grid", "words")
    kept = {key: explanation.meta[key] for key in facts if key in explanation.meta}
    return replace(explanation, **terms, meta={**kept, "method": method}, errors=None)


def oracle_explanation(
    truth: Mapping[str, np.ndarray], players: Sequence[str], n_image: int, p: float = 0.5
) -> Explanation:
    """What is where in the picture, written as an explanation; no model is asked.

    A word's interaction is +1 with each patch of its thing and negative with the others, so that they sum to 0. A word
    that is nowhere in the picture has no interactions.

    Parameters
    ----------
    truth : mapping of word to ndarray of bool, shape (n_image,)
        The patches of each word's thing (``Scene.patches``, ``Scene.cells``). Words that are not there have none.
    players : sequence of str
        Names of all players, patches first, as an explanation has them.
    n_image : int
    p : float
        What ``first_order`` weighs pairs with.

    Raises
    ------
    ValueError
        If a mask has another shape.
    """
    cross = np.zeros((n_image, len(players) - n_image))
    for column, name in enumerate(players[n_image:]):
        inside = np.asarray(truth.get(name, np.zeros(n_image)), dtype=bool)
        if inside.shape != (n_image,):
            raise ValueError(f"truth of {name!r} has shape {inside.shape}; expected ({n_image},)")
        if inside.any():
            outside = -inside.sum() / max(1, (~inside).sum())
            cross[:, column] = np.where(inside, 1.0, outside)
    pairs = np.zeros((len(players), len(players)))
    pairs[:n_image, n_image:], pairs[n_image:, :n_image] = cross, cross.T
    n_text = len(players) - n_image
    main = np.zeros(len(players))
    return Explanation(
        0.0, None, main, pairs, "FWBII", p, list(players), n_image, n_text, {"method": "oracle"}
    )
