"""Run a chapter's cells with patience: slowness is said and waited for, a hang is told from it and ended.

A cell that computes may take as long as it takes, on a machine of any speed. A cell whose kernel has used no processor
for :data:`PATIENCE` seconds waits for something that does not come: a network, a lock, another process.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

PATIENCE = 600.0  # seconds without work after which a cell hangs
WORK = 0.01  # the share of that while that counts as work: an idle kernel takes less, a starved one much more
FIRST_WORD = 120.0  # seconds of a cell after which it is said that it is slow; again after twice as long


class ChapterError(Exception):
    """A chapter that did not run to its end: which cell, why, and what to do."""


class _Watch(threading.Thread):
    """Looks at the kernel while a cell runs: says that it is slow, or ends it when it does nothing."""

    def __init__(self, client: NotebookClient, name: str, say: Callable, patience: float, first_word: float):
        super().__init__(daemon=True)
        self.client, self.name_, self.say = client, name, say
        self.patience, self.first_word = patience, first_word
        self.over, self.hung, self.longest = threading.Event(), False, 0.0
        self.cell, self.started, self.number = None, 0.0, 0

    def start_cell(self, cell: NotebookNode, cell_index: int, **_: object) -> None:
        self.cell, self.number, self.started = cell, cell_index + 1, time.monotonic()
        self.said, self.worked, self.last_work = self.first_word, self._work(), self.started

    def end_cell(self, **_: object) -> None:
        self.longest = max(self.longest, time.monotonic() - self.started)
        self.started = 0.0

    def where(self) -> str:
        """The cell, by its number among all cells and its first line."""
        if self.cell is None:
            return f"{self.name_}, before its first cell"
        lines = [line for line in self.cell.source.splitlines() if line.strip() and not line.startswith("%")]
        return f"{self.name_}, cell {self.number} (“{lines[0].strip()[:60] if lines else ''}”)"

    def run(self) -> None:
        while not self.over.wait(min(1.0, self.patience / 4)):
            if not self.started:
                continue
            now, work = time.monotonic(), self._work()
            if abs(work - self.worked) > max(0.1, WORK * self.patience):
                self.worked, self.last_work = work, now
            if now - self.started > self.said:
                self.said *= 2
                self.say(f"  {self.where()} has run for {now - self.started:.0f} s; it is slow, and goes on")
            if now - self.last_work > self.patience:
                self.hung = True
                for process in self._processes():
                    with contextlib.suppress(psutil.Error):
                        process.kill()
                return

    def _processes(self) -> list[psutil.Process]:
        """The kernel and what it has started."""
        with contextlib.suppress(psutil.Error, AttributeError):
            kernel = psutil.Process(self.client.km.provisioner.pid)
            return [kernel, *kernel.children(recursive=True)]
        return []

    def _work(self) -> float:
        """Seconds of processor time so far."""
        seconds = 0.0
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                seconds += times.user + times.system
        return seconds


def execute(
    notebook: NotebookNode,
    path: Path,
    say: Callable[[str], None] = print,
    patience: float = PATIENCE,
    first_word: float = FIRST_WORD,
) -> float:
    """Run a notebook's cells in place, in a fresh kernel, in the folder of its file.

    Parameters
    ----------
    notebook : notebook
    path : Path
        Where it lies; names it in what is said.
    say : callable
        Takes a line for the reader who waits.
    patience, first_word : float
        Seconds, see above.

    Returns
    -------
    float
        Seconds of the longest cell.

    Raises
    ------
    ChapterError
        If a cell raises, hangs, or its kernel dies.
    """
    client = NotebookClient(
        notebook,
        timeout=None,
        startup_timeout=max(120, int(patience)),
        record_timing=False,
        coalesce_streams=True,  # a cell's lines arrive in pieces, which would be stored as so many outputs
        resources={"metadata": {"path": str(path.parent)}},
    )
    watch = _Watch(client, path.name, say, patience, first_word)
    client.on_cell_start, client.on_cell_executed = watch.start_cell, watch.end_cell
    watch.start()
    again = (
        f"run the same command again, or only this chapter: python scripts/chapters.py notebooks/{path.name}"
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise ChapterError(f"{watch.where()} failed:\n{error}\nMend it, then {again}") from None
    except (DeadKernelError, RuntimeError) as error:
        if watch.hung:
            reason = (
                f"hangs: for {patience:.0f} s it has used no processor, so it was stopped. It waits for something: "
                "a network, a download, another process that holds a lock"
            )
        else:
            reason = f"ended with its kernel ({error}). Most often memory was short: close other programs"
        raise ChapterError(f"{watch.where()} {reason}; then {again}") from None
    finally:
        watch.over.set()
        watch.join()
    return watch.longest
