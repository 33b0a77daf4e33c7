"""Encoding many coalitions: in batches, with a bar, and with smaller batches when memory runs out."""

from __future__ import annotations

import gc
import sys
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np
from tqdm import tqdm

SECONDS_WITHOUT_BAR = 2.0  # encoding that is expected to take longer shows a progress bar
MOST_NAMES = 8  # players that an error lists by name


def encode_in_batches(
    batches: Sequence[np.ndarray],
    encode: Callable[[np.ndarray], np.ndarray],
    batch_size: int,
    what: str = "passes",
    progress: bool = True,
) -> tuple[np.ndarray, int]:
    """Encode batches of row numbers and put the embeddings back in the order of the rows.

    A batch for which memory does not suffice is halved, and so are all that follow; what was encoded before
    is kept.

    Parameters
    ----------
    batches : sequence of int arrays
        Together the numbers 0 to m - 1, each once.
    encode : function of row numbers, (b,) int -> (b, d)
    batch_size : int
        Batches that are longer are cut.
    what : str
        What a row is, for the bar and for messages: ``"image passes"``.
    progress : bool
        Show a bar where encoding is expected to take more than two seconds.

    Returns
    -------
    embeddings : ndarray, shape (m, d)
    batch_size : int
        The one given, or the smaller one that worked.

    Raises
    ------
    ValueError
        If there are no rows.
    MemoryError
        If memory does not suffice for a single row.
    """
    n_rows, done, start, bar = sum(map(len, batches)), 0, perf_counter(), None
    if n_rows == 0:
        raise ValueError("coalitions has no rows; expected at least one coalition")
    embeddings, queue = None, deque(batches)
    while queue:
        rows = queue.popleft()
        if len(rows) > batch_size:
            queue.appendleft(rows[batch_size:])
            rows = rows[:batch_size]
        part = _encode_if_it_fits(encode, rows, what)
        if part is None:
            batch_size = len(rows) // 2
            _release_memory()
            warnings.warn(
                f"out of memory with {len(rows)} {what} at a time; going on with {batch_size}", stacklevel=4
            )
            queue.appendleft(rows)
            continue
        if embeddings is None:
            embeddings = np.empty((n_rows, part.shape[1]), part.dtype)
        embeddings[rows] = part
        done += len(rows)
        elapsed = perf_counter() - start
        # the first batch warms things up: half a second must pass before its speed says anything
        slow = elapsed > 0.5 and elapsed * n_rows / done > SECONDS_WITHOUT_BAR
        if bar is None and progress and done < n_rows and slow:
            bar = tqdm(total=n_rows, initial=done, desc=what, unit="pass", leave=False)
        elif bar is not None:
            bar.update(len(rows))
    if bar is not None:
        bar.close()
    return embeddings, batch_size


def _encode_if_it_fits(
    encode: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, what: str
) -> np.ndarray | None:
    """Embeddings of the rows, or None where memory did not suffice.

    A function of its own: when it has returned, nothing holds on to the tensors of the failed attempt.
    """
    try:
        return encode(rows)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(rows) == 1:
            raise MemoryError(
                f"out of memory even with one of the {what} at a time: take a smaller model, a smaller dtype, or "
                f"a device with more memory ({str(error).splitlines()[0] if str(error) else 'no details'})"
            ) from error
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: the words of CUDA, of MPS, of the CPU, or Python's own error."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(
        words in text for words in ("out of memory", "not enough memory", "allocate memory", "alloc_failed")
    )


def _release_memory() -> None:
    """Give back what a failed attempt left behind, to Python and to the accelerator."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch is not None and torch.backends.mps.is_available():
        torch.mps.empty_cache()


# --- Numbers that are none ----------------------------------------------------------------


def check_finite(
    numbers: np.ndarray, coalitions: np.ndarray, names: Sequence[str], what: str, advice: str = ""
) -> None:
    """Refuse NaN and infinite embeddings or values, naming the first coalition that gave them.

    Parameters
    ----------
    numbers : ndarray, shape (m, d) or (m,)
        Embeddings or values.
    coalitions : ndarray of bool, shape (m, n)
    names : sequence of str
        Of the n players.
    what : str
        What gave the numbers: ``"the image encoder of 'mini-clip'"``.
    advice : str
        A sentence to end the message with.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    finite = np.isfinite(numbers).reshape(len(coalitions), -1).all(axis=1)
    if finite.all():
        return
    first = int(np.argmin(finite))
    kind = "NaN" if np.isnan(numbers[first]).any() else "an infinite number"
    visible = np.flatnonzero(coalitions[first])
    shown = ", ".join(repr(names[i]) for i in visible[:MOST_NAMES])
    more = f" and {len(visible) - MOST_NAMES} more" if len(visible) > MOST_NAMES else ""
    raise ValueError(
        f"{what} gave {kind} for the coalition of {len(visible)} visible of {coalitions.shape[1]} players"
        f"{': ' if len(visible) else ''}{shown}{more}. {advice}".rstrip()
    )
