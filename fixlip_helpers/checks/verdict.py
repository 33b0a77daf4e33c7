"""What a self-check says, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and what to look at if it is not."""

    right: bool
    hint: str = ""

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return f"Right. {self.hint}".strip() if self.right else f"Not yet: {self.hint}"


def answered(check: Callable[..., Verdict]) -> Callable[..., Verdict]:
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


def compared(
    given: float | np.ndarray,
    right: float | np.ndarray,
    mistakes: Iterable[tuple[float | np.ndarray, str]],
    otherwise: str,
    within: float | None = None,
) -> Verdict:
    """Whether an answer is right; if not, the hint of the first known mistake that gives it, or ``otherwise``.

    ``within`` is how far off it may be, in absolute terms; default: ``np.allclose``.
    """

    def same(other: float | np.ndarray) -> bool:
        return np.allclose(given, other) if within is None else bool(np.all(np.abs(given - other) < within))

    if same(right):
        return Verdict(True)
    return Verdict(False, next((hint for mistaken, hint in mistakes if same(mistaken)), otherwise))


def wrong_ones(given: set[str], truth: str, letters: str) -> Verdict:
    """Whether an answer names the wrong statements, ``truth``, among those with these ``letters``."""
    given = {str(letter).strip().lower() for letter in given}
    if not given <= set(letters):
        return Verdict(False, f"the statements have the letters a to {letters[-1]}.")
    accused, missed = len(given - set(truth)), len(set(truth) - given)
    if not accused + missed:
        return Verdict(True)
    return Verdict(False, f"accused though they are right: {accused}; wrong ones not found: {missed}.")
