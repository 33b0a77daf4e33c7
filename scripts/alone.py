"""One build at a time: two that write the same folder would each leave the other's half."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no make, and no such lock
    fcntl = None


@contextlib.contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock file while the block runs.

    The system lets go of it when the process ends, however it ends; the file itself stays and means nothing.

    Raises
    ------
    SystemExit
        With a sentence, if another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "a+", encoding="utf-8") as file:
        if fcntl:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise SystemExit(
                    f"Another run (process {file.read().strip() or 'unknown'}) is {what}: wait until it is done, "
                    "then start this one again; nothing was changed."
                ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
