"""Files: written whole or not at all, and arrays with facts beside them."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np


@contextmanager
def written_whole(path: str | os.PathLike, new: bool = False) -> Iterator[Path]:
    """Give a path to write to; the file gets its own name when all went well, and else is removed.

    Until then its name, which ends in ``.part``, is nobody else's: threads and processes that write one file leave
    the whole of what one of them wrote. With ``new`` it is FileExistsError if the file is there by then.
    """
    path = Path(path)
    part = path.with_name(f"{path.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        yield part
        if new:
            _named_once(part, path)
        else:
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _named_once(part: Path, path: Path) -> None:
    """Give a file its name, or raise FileExistsError; where links are unknown two at once may both succeed."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.replace(part, path)


def save_arrays(path: str | os.PathLike, kind: str, arrays: Mapping[str, np.ndarray], facts: dict) -> Path:
    """Write arrays as safetensors, whole or not at all; ``kind`` names what they are, with ``facts`` as JSON."""
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with written_whole(path) as part:
        save_file(contiguous, part, {kind: json.dumps(facts)})
    return Path(path)


def load_arrays(path: str | os.PathLike, kind: str) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and facts that :func:`save_arrays` wrote; ValueError if the file is of no or of another kind."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})[kind])
            return {name: file.get_tensor(name) for name in file.keys()}, facts
    except (SafetensorError, KeyError) as error:
        raise ValueError(str(error)) from error
