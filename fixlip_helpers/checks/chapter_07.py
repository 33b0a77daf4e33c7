"""Self-checks of chapter 07, Masking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered
from fixlip_helpers.coalitions import all_coalitions, as_coalitions, coalition_number
from fixlip_helpers.wls import solve_dense


@answered
def ch07_passes(values: int, image_passes: int, text_passes: int) -> Verdict:
    """Exercise 07.1: 500 sets of patches and 60 sets of words, all pairs, for three ways to remove patches."""
    given, right = (values, image_passes, text_passes), (90_000, 1_500, 60)
    if given == right:
        return Verdict(True)
    if given[0] != right[0]:
        return Verdict(False, "the number of values is off: every pair, for each removal.")
    if given[1] != right[1]:
        return Verdict(False, "the values are right; how often does each removal need each masked picture?")
    return Verdict(
        False, "only the text passes are off: does a masked caption depend on how patches are removed?"
    )


@answered
def ch07_removal(function: Callable) -> Verdict:
    """Exercise 07.2: a removal that paints with the picture's own mean colour, tried on a picture of 2 × 2 patches."""
    import torch

    model = SimpleNamespace(grid=(2, 2), patch_size=3, image_size=6)
    pixels = torch.linspace(-2, 1, 3 * 6 * 6).reshape(3, 6, 6) ** 3
    before = pixels.clone()
    removal = function(model, pixels)
    if not hasattr(removal, "pixels"):
        return Verdict(False, f"it returns a {type(removal).__name__}; expected a Painting.")
    if not torch.equal(pixels, before):
        return Verdict(False, "it changes the pixels that it was given.")
    whole, part = removal.pixels(torch.tensor([[True] * 4, [True, False, True, True]]))
    if not torch.equal(whole, before):
        return Verdict(False, "with all patches visible the picture must stay as it is.")
    if part.shape == before.shape and torch.allclose(
        part[:, :3, 3:], before.mean().expand(3, 3, 3), atol=1e-5
    ):
        return Verdict(False, "that is the mean over all channels: a grey. Take one mean for each channel.")
    right = before.clone()
    right[:, :3, 3:] = before.mean(dim=(1, 2))[:, None, None]
    if not torch.allclose(part, right, atol=1e-5):
        return Verdict(False, "the removed patch has not the mean colour of this picture's pixels.")
    return Verdict(True)


@answered
def ch07_reading(statements: set[str]) -> Verdict:
    """Exercise 07.3: the letters of the true statements about a black piano removed by black paint."""
    letters = {str(letter).strip().upper() for letter in statements}
    if not letters <= set("ABCDE"):
        return Verdict(False, "give a set of letters from A to E.")
    wrong = len(letters ^ {"A", "D", "E"})
    return Verdict(wrong == 0, f"{wrong} of the five statements judged wrongly." if wrong else "")


@answered
def ch07_merging_fails(values: Sequence[float], groups: Sequence[Sequence[int]]) -> Verdict:
    """Exercise 07.4: a game whose merged explanation is not the explanation of its grouped game, at p = 0.5."""
    values, groups = np.asarray(values, dtype=float), [sorted(int(i) for i in group) for group in groups]
    n = values.size.bit_length() - 1
    if n not in (3, 4) or values.shape != (2**n,) or not np.isfinite(values).all():
        return Verdict(False, "give 8 or 16 finite values: a game of three or four players.")
    if sorted(i for group in groups for i in group) != list(range(n)) or not all(groups) or len(groups) < 2:
        return Verdict(
            False, f"groups must hold each of the players 0 to {n - 1} once, in two groups or more."
        )
    if len(groups) == n:
        return Verdict(False, "every group has one player only: the grouped game is the game itself.")

    def explained(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        k = table.size.bit_length() - 1
        _, main, pairs = solve_dense(all_coalitions(k), table, np.full(2**k, 0.5**k), 0.5)
        return main, pairs

    member = np.array([np.isin(np.arange(n), group) for group in groups])
    grouped = values[coalition_number(all_coalitions(len(groups)) @ member)]
    main, pairs = explained(values)
    merged = member @ pairs @ member.T
    merged_main = member @ main + merged.diagonal() / 2
    own_main, own = explained(grouped)
    apart = max(
        np.abs(merged_main - own_main).max(), np.abs((merged - own)[~np.eye(len(groups), dtype=bool)]).max()
    )
    if apart < 1e-6 * max(1.0, np.abs(values).max()):
        return Verdict(False, "for this game the two agree. What must a game have that no pair can express?")
    return Verdict(True, f"The largest difference between the two is {apart:.2f}.")


@answered
def ch07_above_full(game: Callable, coalition: Sequence[bool]) -> Verdict:
    """Exercise 07.5: a coalition that scores at least half a logit more than the whole pair."""
    rows = np.vstack([as_coalitions(coalition, game.n_players), np.ones(game.n_players, bool)])
    if len(rows) != 2:
        return Verdict(False, "give one coalition: a row of booleans, one for each player.")
    gain = float(np.subtract(*game(rows)))
    if gain < 0.5:
        return Verdict(
            False, f"it scores {abs(gain):.2f} logits {'more' if gain > 0 else 'less'} than the whole pair."
        )
    return Verdict(True, f"It scores {gain:.1f} logits more than the whole pair.")
