"""What is printed must not end a command: characters that a stream cannot write are written in others.

Python takes the encoding of a pipe from the system: cp1252 on many a Windows, ASCII in a bare container. A true minus,
an R² or a caption in another script would raise UnicodeEncodeError there, after the work.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import unicodedata

_NAMES = {
    "−": "-", "–": "-", "—": "-", "×": "x", "·": "*", "•": "*", "±": "+/-", "…": "...", "≈": "~", "≤": "<=", "≥": ">=",
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "→": "->", "←": "<-", "½": "1/2", "²": "^2", "³": "^3",
    "∅": "empty", "ν": "v", "φ": "phi", "λ": "lambda", "σ": "sigma", "Σ": "sum", "\u0302": "",
    "█": "#", "│": "|", "─": "-", "\u202f": " ", "\u00a0": " ",
}  # fmt: skip


def spelt(character: str) -> str:
    """A character in ASCII: what it looks like, without its accents, or ``?``."""
    if character in _NAMES:
        return _NAMES[character]
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if c.isascii())
    return plain or ("" if unicodedata.combining(character) else "?")


def _handler(error: UnicodeError) -> tuple[str, int]:
    """An error handler for codecs: see :func:`spelt`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(spelt, error.object[error.start : error.end])), error.end


codecs.register_error("spelt", _handler)


def write_anything() -> None:
    """Let this process's output and error streams write any text, each in its own encoding."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(
            AttributeError, ValueError, OSError
        ):  # none, another kind of object, or closed
            stream.reconfigure(errors="spelt")


def nobody_reads() -> None:
    """After BrokenPipeError: let the interpreter end without a second one."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
