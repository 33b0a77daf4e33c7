"""Self-checks of chapter 12, at scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fixlip_helpers.checks.verdict import Verdict, answered, wrong_ones
from fixlip_helpers.coalitions import n_monomials


@answered
def ch12_bill(terms: int, gigabytes: float) -> Verdict:
    """Exercise "A bill": 216 players."""
    right = n_monomials(216)
    if terms != right:
        if terms == 1 + 216 + 216 * 215:
            return Verdict(False, "every pair is counted twice.")
        if terms in (right - 1, right - 217, right + 216):
            return Verdict(
                False,
                "near: a constant, 216 single players, and each pair of two different players once.",
            )
        return Verdict(False, "that is not the number of terms up to order two.")
    if abs(gigabytes / (8 * right**2 / 1e9) - 1) < 0.01:
        return Verdict(True)
    if abs(gigabytes / (8 * right**2 / 2**30) - 1) < 0.01:
        return Verdict(False, "the terms are right; those are gibibytes, of 2³⁰ bytes.")
    if abs(gigabytes / (4 * right**2 / 1e9) - 1) < 0.01:
        return Verdict(False, "the terms are right; a number takes 8 bytes here.")
    return Verdict(False, "the terms are right; the matrix is square, 8 bytes an entry.")


@answered
def ch12_join(function: Callable) -> Verdict:
    """Exercise "Two runs make one"."""
    dice = np.random.default_rng(12)
    blocks = [(dice.normal(size=(m, 4)), dice.normal(size=m)) for m in (30, 10)]
    first, second, both = (
        (phi.T @ phi / len(phi), phi.T @ values / len(phi), len(phi))
        for phi, values in (*blocks, tuple(map(np.concatenate, zip(*blocks, strict=True))))
    )
    answer = function(first, second)
    if answer is None:
        return Verdict(False, "the function returns nothing yet.")
    gram, right, m = answer
    if m != both[2]:
        return Verdict(False, "the number of coalitions is that of both runs.")
    if np.allclose(gram, both[0]) and np.allclose(right, both[1]):
        return Verdict(True)
    if np.allclose(gram, (first[0] + second[0]) / 2):
        return Verdict(False, "a plain mean: the longer run must count for more.")
    if np.allclose(gram, first[0] + second[0]):
        return Verdict(False, "means do not add; sums do.")
    if np.allclose(gram, both[0] * both[2]):
        return Verdict(False, "that is the sum; the mean over both runs is asked.")
    if np.allclose(gram, both[0]):
        return Verdict(False, "the Gram matrix is right, the right-hand side is not.")
    return Verdict(False, "not the averages of both runs together.")


@answered
def ch12_plan(m_image: int, m_text: int, batch: int) -> Verdict:
    """Exercise "Build a run that fits": 49 patches, 8 tokens."""
    if any(int(number) != number or number < 1 for number in (m_image, m_text, batch)):
        return Verdict(False, "three whole numbers of at least 1 are needed.")
    if m_text > 2**8:
        return Verdict(False, "8 tokens have no more than 256 coalitions.")
    for side, m, n in (("image", m_image, 49), ("text", m_text, 8)):
        if m < n_monomials(n):
            return Verdict(False, f"the {side} side has more terms than that many coalitions can identify.")
    if m_image * m_text < 100_000:
        return Verdict(False, "that makes fewer than 100 000 pairs.")
    if m_image + m_text > 3_000:
        return Verdict(False, "those are more than 3 000 passes: image and text coalitions add up.")
    if batch * 3 * 224 * 224 * 4 > 64e6:
        return Verdict(False, "a batch of pictures takes more than 64 MB.")
    return Verdict(True)


@answered
def ch12_reading(wrong: set[str]) -> Verdict:
    """Exercise "What is wrong with this reading?" of chapter 12."""
    return wrong_ones(wrong, "abdef", "abcdefg")
