"""One lock for what is switched for the whole process, not for one thread.

The hub's off-line switch, transformers' logging, matplotlib's settings, Python's filters of warnings and the level of
forward differentiation belong to everybody in the process. Whoever changes one for a while, and puts it back, does so
under :data:`SWITCHES`: of two threads that did so side by side, one would put back what the other had set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps

SWITCHES = threading.RLock()


def one_at_a_time(function: Callable) -> Callable:
    """Let one thread at a time run a function that flips such a switch; it may call others of its kind."""

    @wraps(function)
    def wrapper(*args, **kwargs):
        with SWITCHES:
            return function(*args, **kwargs)

    return wrapper
