"""Self-checks that exercises call: each tells right from wrong without showing the answer.

A check takes a reader's answer and returns a :class:`Verdict`, which a notebook shows as one line and which is
true or false in tests. An answer that is still ``None`` or ``...`` is no answer yet, and no error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from types import SimpleNamespace

import numpy as np

from fixlip_helpers.coalitions import all_coalitions, as_coalitions, coalition_number
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.wls import solve_dense


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and what to look at if it is not."""

    right: bool
    hint: str = ""

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return f"Right. {self.hint}".strip() if self.right else f"Not yet: {self.hint}"


def _answered(check: Callable[..., Verdict]) -> Callable[..., Verdict]:
    """Let a check meet only answers that were given, and turn what breaks them into a verdict."""

    @wraps(check)
    def wrapper(*answer, **named):
        if any(part is None or part is ... for part in answer):
            return Verdict(False, "no answer yet.")
        try:
            return check(*answer, **named)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            return Verdict(False, f"the check could not use this answer ({type(error).__name__}: {error}).")

    return wrapper


def _wrong_ones(given: set[str], truth: str, letters: str) -> Verdict:
    """Whether an answer names the wrong statements, ``truth``, among those with these ``letters``."""
    given = {str(letter).strip().lower() for letter in given}
    if not given <= set(letters):
        return Verdict(False, f"the statements have the letters a to {letters[-1]}.")
    accused, missed = len(given - set(truth)), len(set(truth) - given)
    if not accused + missed:
        return Verdict(True)
    return Verdict(False, f"accused though they are right: {accused}; wrong ones not found: {missed}.")


# --- 05 Sampling ----------------------------------------------------------------------------------------------------


@_answered
def ch05_budgets(at_least: int, draws: float) -> Verdict:
    """Exercise 05.1: unknowns of 40 players; independent draws for a standard error of 0.1 when E ν² = 100."""
    if at_least != 1 + 40 + 40 * 39 // 2:
        if at_least == 40 * 39 // 2:
            return Verdict(False, "(a) counts the pairs only; an explanation has more terms than that.")
        return Verdict(False, "(a) is off: one coalition for each unknown. Which unknowns are there?")
    if abs(draws - 100 / 0.1**2) > 0.5:
        if abs(draws - 100 / 0.1) < 0.5:
            return Verdict(False, "(a) is right. (b): a standard error is the root of a variance.")
        return Verdict(False, "(a) is right; (b) is off. What is the variance of one term of the average?")
    return Verdict(True)


@_answered
def ch05_interaction_error(function: Callable[[np.ndarray, float], tuple[float, float]]) -> Verdict:
    """Exercise 05.2: an interaction and its standard error from repeated estimates of a Fourier coefficient."""
    rng = np.random.default_rng(5)
    for k, p in ((2, 0.5), (8, 0.5), (5, 0.3)):
        estimates = rng.normal(0.4, 1, size=k)
        answer = function(estimates.copy(), p)
        if answer is None:
            return Verdict(False, "the function returns nothing yet.")
        value, error = (float(number) for number in answer)
        variance = p * (1 - p)
        spread = estimates.std(ddof=1)
        if abs(value - estimates.mean()) < 1e-9:
            return Verdict(False, "that is the Fourier coefficient; the interaction has another scale.")
        if abs(value - estimates.mean() / variance) > 1e-9:
            return Verdict(False, f"the interaction is off at p = {p}.")
        if abs(error - spread / variance) < 1e-9:
            return Verdict(
                False, "the interaction is right; this is the spread of one estimate, not of their mean."
            )
        if abs(error - estimates.std() / np.sqrt(k) / variance) < 1e-9:
            return Verdict(False, "the interaction is right; for the spread, the mean is itself estimated.")
        if abs(error - spread / np.sqrt(k)) < 1e-9:
            return Verdict(False, "the interaction is right; its error has the scale of the interaction too.")
        if abs(error - spread / np.sqrt(k) / variance) > 1e-9:
            return Verdict(False, "the interaction is right, its standard error is off.")
    return Verdict(True)


@_answered
def ch05_phantom(values: Sequence[float]) -> Verdict:
    """Exercise 05.3: player 2 of three is a dummy, and yet the runs a, b, a⊕b give it a coefficient."""
    values = np.asarray(values, dtype=float)
    if values.shape != (8,) or not np.isfinite(values).all():
        return Verdict(False, "a game of three players has eight values, all of them finite.")
    changes = np.abs(values[4:] - values[:4]) > 1e-9
    if changes.any():
        return Verdict(
            False, f"player c changes the value of {changes.sum()} of the 4 coalitions of a and b."
        )
    runs = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=bool)
    found = float(np.mean(values[coalition_number(runs)] * (2.0 * runs[:, 2] - 1)))
    if abs(found) < 0.5 - 1e-9:
        return Verdict(
            False, f"player c changes nothing, as asked; the four runs give it {abs(found):.2f} in size."
        )
    return Verdict(True, f"Player c is a dummy, and the four runs give it {found:+.2f}.")


@_answered
def ch05_reading(wrong: set[str]) -> Verdict:
    """Exercise 05.4: the letters of the wrong statements about samples."""
    return _wrong_ones(wrong, "abdfh", "abcdefgh")


# --- 06 Encoders ------------------------------------------------------------------------------------------


@_answered
def ch06_shares(share_at_100: float, share_at_10: float) -> Verdict:
    """Exercise 06.1: softmax share of the first of two captions with given cosines, at scales 100 and 10."""
    given = np.array([share_at_100, share_at_10], float)
    right = 1 / (1 + np.exp(-0.03 * np.array([100.0, 10.0])))
    if np.allclose(given, right, atol=0.006):
        return Verdict(True)
    if np.allclose(given, right[::-1], atol=0.006):
        return Verdict(False, "the two shares are the wrong way round.")
    if np.any(np.abs(given - 1 / (1 + np.exp(-0.03))) < 0.006):
        return Verdict(False, "that is a softmax of the cosines; it is taken of the logits.")
    if np.any((given <= 0) | (given >= 1)):
        return Verdict(False, "shares lie between 0 and 1.")
    return Verdict(False, "how many logits lie between the two captions?")


@_answered
def ch06_recall(function: Callable[[np.ndarray], float]) -> Verdict:
    """Exercise 06.2: the share of captions (columns) whose own picture (its row) comes first."""
    rng = np.random.default_rng(0)
    for k in (2, 5, 40):
        cosines = rng.uniform(-1, 1, (k, k)) + np.diag(rng.uniform(0, 1, k))
        of_captions, of_pictures = (
            sum(all(row[i] >= other for other in row) for i, row in enumerate(matrix)) / k
            for matrix in (cosines.T, cosines)
        )
        given = float(function(cosines.copy()))
        if abs(given - of_captions) > 1e-9:
            if abs(given - 100 * of_captions) < 1e-9:
                return Verdict(False, "a share lies between 0 and 1, not between 0 and 100.")
            if abs(given - of_pictures) < 1e-9:
                return Verdict(
                    False, "this asks for the caption of a picture; ask for the picture of a caption."
                )
            return Verdict(False, f"wrong on a matrix of {k} pictures and {k} captions.")
    return Verdict(True)


@_answered
def ch06_low_cosines(f: np.ndarray, g: np.ndarray, s: float) -> Verdict:
    """Exercise 06.3: embeddings of pictures and captions with small cosines and a perfect choice."""
    f, g, s = np.asarray(f, float), np.asarray(g, float), float(s)
    if f.ndim != 2 or f.shape != g.shape or len(f) < 4:
        return Verdict(
            False, f"f and g have shapes {f.shape} and {g.shape}; give two of (k, d), k at least 4."
        )
    if not np.allclose([np.linalg.norm(f, axis=1), np.linalg.norm(g, axis=1)], 1):
        return Verdict(False, "a row has not length 1.")
    if not (np.isfinite(s) and s > 0):
        return Verdict(False, "the scale is a positive number.")
    cosines = f @ g.T
    if np.abs(cosines).max() > 0.1 + 1e-9:
        return Verdict(False, f"the largest cosine is {np.abs(cosines).max():.2f} in absolute value.")
    own = np.diag(cosines)
    if (np.where(np.eye(len(f), dtype=bool), -np.inf, cosines) >= own[:, None]).any():
        return Verdict(False, "for some picture another caption scores as high as its own.")
    shares = 1 / np.exp(s * (cosines - own[:, None])).sum(1)
    if shares.min() < 0.99:
        return Verdict(False, f"the softmax share of some picture's own caption is only {shares.min():.2f}.")
    return Verdict(True)


@_answered
def ch06_reading(statements: set[str]) -> Verdict:
    """Exercise 06.4: the letters of the true statements about a softmax over three false captions."""
    letters = {str(letter).strip().upper() for letter in statements}
    if not letters <= set("ABCDE"):
        return Verdict(False, "give a set of letters from A to E.")
    wrong = len(letters ^ {"A", "C"})
    return Verdict(wrong == 0, f"{wrong} of the five statements judged wrongly." if wrong else "")


@_answered
def ch06_blind_spot(model, scene, true_caption: str, false_caption: str) -> Verdict:
    """Exercise 06.5: a scene on which the model prefers the caption with the opposite relation."""
    from .scenes import relation

    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}

    def parts(caption: str) -> tuple[str, str, str]:
        for words in opposite:
            before, found, after = caption.partition(f" {words} ")
            if found:
                return before.split()[-1], words, after.split()[-1]
        raise ValueError(f"“{caption}” has none of the four relations")

    (a, place, b), (c, turned, d) = parts(true_caption), parts(false_caption)
    if (a, b) != (c, d) or turned != opposite[place]:
        return Verdict(
            False, "the captions must name the same objects in one order, with opposite relations."
        )
    things = {thing.noun: thing for thing in scene.objects}
    if len(scene.objects) != 2 or set(things) != {a, b} or a == b:
        return Verdict(False, "the scene must show exactly the two objects of the captions.")
    if relation(things[a], things[b]) != place:
        return Verdict(False, "the scene does not show what the true caption says.")
    gap = model.score(scene.image, false_caption) - model.score(scene.image, true_caption)
    return Verdict(gap > 0, "" if gap > 0 else f"the true caption is ahead by {-gap:.1f} logits.")


# --- 07 Masking -----------------------------------------------------------------------------------------------------


@_answered
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


@_answered
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


@_answered
def ch07_reading(statements: set[str]) -> Verdict:
    """Exercise 07.3: the letters of the true statements about a black piano removed by black paint."""
    letters = {str(letter).strip().upper() for letter in statements}
    if not letters <= set("ABCDE"):
        return Verdict(False, "give a set of letters from A to E.")
    wrong = len(letters ^ {"A", "D", "E"})
    return Verdict(wrong == 0, f"{wrong} of the five statements judged wrongly." if wrong else "")


@_answered
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


@_answered
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


# --- 10 FIxLIP ------------------------------------------------------------------------------------------------------


@_answered
def ch10_sizes(mean: float, standard_deviation: float) -> Verdict:
    """Exercise "Sizes": the number of visible players among 72 at p = 0.3."""
    if abs(mean - 72 * 0.3) > 0.05:
        return Verdict(False, "the mean is off. Each of the 72 players is visible with probability p.")
    if abs(standard_deviation - np.sqrt(72 * 0.3 * 0.7)) > 0.05:
        return Verdict(False, "the mean is right. For the spread, the players come and go independently.")
    return Verdict(True)


@_answered
def ch10_crossing(crossing_share: Callable) -> Verdict:
    """Exercise "Where a line crosses zero": a function of an explanation and a player."""
    rng = np.random.default_rng(10)
    for _ in range(5):
        pairs = np.triu(rng.normal(size=(6, 6)), 1)
        players = [f"player {i}" for i in range(6)]
        explanation = Explanation(0.0, None, rng.normal(size=6), pairs + pairs.T, "FWBII", 0.3, players, 4, 2)
        for i in range(6):
            q = crossing_share(explanation, i)
            if q is None:
                return Verdict(False, "the function returns nothing yet.")
            if not abs(explanation.main[i] + q * explanation.pairs[i].sum()) < 1e-8:
                return Verdict(False, "at the share that it returns, the gain is not zero.")
    return Verdict(True)


@_answered
def ch10_helper(values: Sequence[float]) -> Verdict:
    """Exercise "Build a game": player 0 of three never lowers the value, and yet ``e_0 < 0`` at p = 0.5."""
    values = np.asarray(values, dtype=float)
    if values.shape != (8,) or not np.isfinite(values).all():
        return Verdict(False, "a game of three players has eight values, all of them finite.")
    coalitions = all_coalitions(3)
    gains = values[coalitions[:, 0]] - values[~coalitions[:, 0]]
    if gains.min() < 0:
        harmed = int((gains < 0).sum())
        return Verdict(False, f"player 0 lowers the value of {harmed} of the 4 coalitions of the others.")
    e_0 = solve_dense(coalitions, values, np.full(8, 1 / 8), 0.5)[1][0]
    if e_0 > -1e-9:
        return Verdict(False, "player 0 never lowers the value, as asked; but its main term is not negative.")
    return Verdict(True, "The main term is negative, and player 0 never does any harm.")


@_answered
def ch10_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?": the letters of the wrong statements."""
    return _wrong_ones(wrong, "acef", "abcdefg")


# --- 11 Cross-modal sampling ----------------------------------------------------------------------------------------


@_answered
def ch11_bill(bill: Sequence[int]) -> Verdict:
    """Exercise 11.1: image, text and one-by-one image passes for 5 pictures × 200 captions of 8 words."""
    image_passes, text_passes, one_by_one = bill
    if image_passes != 5 * 4096:
        if image_passes == 5 * 200 * 4096:
            return Verdict(False, "the image passes are those of one explanation at a time.")
        return Verdict(False, "the image passes are off: what does a picture's side depend on?")
    if text_passes != 200 * 2**8:
        if text_passes == 5 * 200 * 2**8:
            return Verdict(False, "the image passes are right; does a caption's side depend on the picture?")
        return Verdict(False, "the image passes are right, the text passes are off.")
    if one_by_one != 5 * 200 * 4096:
        return Verdict(False, "with sides both are right; by itself, every explanation encodes its picture.")
    return Verdict(True)


@_answered
def ch11_two_way_error(function: Callable[[np.ndarray], float]) -> Verdict:
    """Exercise 11.2: a standard error of the mean over all pairs that counts rows and columns."""
    rng = np.random.default_rng(11)
    for m_image, m_text in ((12, 5), (40, 9), (6, 30)):
        v = rng.normal(size=(m_image, m_text)) + 2 * rng.normal(size=(m_image, 1)) + rng.normal(size=m_text)
        answer = function(v.copy())
        if answer is None:
            return Verdict(False, "the function returns nothing yet.")
        answer, rows, cols = float(answer), v.mean(axis=1), v.mean(axis=0)
        of_rows, of_cols = rows.var(ddof=1) / m_image, cols.var(ddof=1) / m_text
        rest = v - rows[:, None] - cols + v.mean()
        both = (rest**2).sum() / ((m_image - 1) * (m_text - 1)) / v.size
        if np.isclose(answer, [np.sqrt(of_rows + of_cols), np.sqrt(max(of_rows + of_cols - both, 0))]).any():
            continue
        if np.isclose(answer, np.sqrt(of_rows + of_cols + both)):
            return Verdict(False, "the row and column means hold the third term already, twice even.")
        if np.isclose(answer, [v.std() / np.sqrt(v.size), v.std(ddof=1) / np.sqrt(v.size)]).any():
            return Verdict(False, "that counts cells, as if the pairs were independent.")
        if np.isclose(answer, np.sqrt([of_rows, of_cols])).any():
            return Verdict(False, "that is one side only; both were drawn.")
        if np.isclose(answer, of_rows + of_cols):
            return Verdict(False, "that is a variance; a standard error is its root.")
        if np.isclose(answer, np.sqrt(rows.var() / m_image + cols.var() / m_text)):
            return Verdict(False, "nearly: the mean that is subtracted in each variance is itself estimated.")
        return Verdict(False, f"it is off on a sample of {m_image} × {m_text} values.")
    return Verdict(True)


@_answered
def ch11_pictures_do_not_help(embeddings: Sequence[np.ndarray]) -> Verdict:
    """Exercise 11.3: embeddings of 2 + 2 players for which the choice of pictures does not matter."""
    f, g = (np.asarray(side, dtype=float) for side in embeddings)
    if f.ndim != 2 or f.shape != g.shape or len(f) != 4:
        return Verdict(False, f"f and g have shapes {f.shape} and {g.shape}; expected two of (4, d).")
    if not (np.isfinite(f).all() and np.isfinite(g).all()):
        return Verdict(False, "an embedding is not finite.")
    z = 2.0 * all_coalitions(2)[:, 0] - 1
    v = (f @ g.T) * np.outer(z, z)
    interaction, of_pictures, of_captions = 4 * v.mean(), v.mean(axis=1).var(), v.mean(axis=0).var()
    if abs(interaction) < 0.5 - 1e-9:
        return Verdict(False, f"the interaction is only {abs(interaction):.2f} in size.")
    small = 1e-9 * max(1.0, np.square(v).max())
    if of_pictures > small:
        return Verdict(False, f"the choice of pictures still matters: its variance is {of_pictures:.2g}.")
    if of_captions <= small:
        return Verdict(False, "pictures do not matter, as asked; but neither do captions.")
    return Verdict(True, f"The variance is 0 from the pictures and {of_captions:.2g} from the captions.")


@_answered
def ch11_reading(wrong: set[str]) -> Verdict:
    """Exercise 11.4: the letters of the wrong statements about fifty captions of one picture."""
    return _wrong_ones(wrong, "aceg", "abcdefg")
