"""Self-checks that exercises call: each tells right from wrong without showing the answer.

A check takes a reader's answer and returns a :class:`Verdict`, which a notebook shows as one line and which is true
or false in tests. An answer that is still ``None`` or ``...`` is no answer yet, and no error.
"""

from __future__ import annotations

from collections.abc import Callable
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


# --- 06 Encoders ----------------------------------------------------------------------------------------------------
