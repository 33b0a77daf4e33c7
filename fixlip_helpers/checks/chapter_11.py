"""Self-checks of chapter 11, Cross-modal sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, wrong_ones
from fixlip_helpers.coalitions import all_coalitions


@answered
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


@answered
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


@answered
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


@answered
def ch11_reading(wrong: set[str]) -> Verdict:
    """Exercise 11.4: the letters of the wrong statements about fifty captions of one picture."""
    return wrong_ones(wrong, "aceg", "abcdefg")
