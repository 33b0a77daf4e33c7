"""Self-checks of chapter 06, Encoders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered


@answered
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


@answered
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


@answered
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


@answered
def ch06_reading(statements: set[str]) -> Verdict:
    """Exercise 06.4: the letters of the true statements about a softmax over three false captions."""
    letters = {str(letter).strip().upper() for letter in statements}
    if not letters <= set("ABCDE"):
        return Verdict(False, "give a set of letters from A to E.")
    wrong = len(letters ^ {"A", "C"})
    return Verdict(wrong == 0, f"{wrong} of the five statements judged wrongly." if wrong else "")


@answered
def ch06_blind_spot(model, scene, true_caption: str, false_caption: str) -> Verdict:
    """Exercise 06.5: a scene on which the model prefers the caption with the opposite relation."""
    from fixlip_helpers.world.scenes import relation

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
