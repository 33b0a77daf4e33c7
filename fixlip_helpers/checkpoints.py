"""Checkpoints: encoder passes that are done stay done, whatever happens to the process.

:class:`Remembered` keeps embeddings as long as the process lives. :class:`Checkpointed` puts a folder between
an estimator and a two-sided game. Coalitions are encoded in blocks; each finished block is on disk before the
next one starts. A run that was interrupted or killed is started again as it was, and encodes only what is
missing; so does any other run on the same game, with another design, budget or ``p``: embeddings are found by
coalition.

The folder holds ``game.json``, the facts that decide the embeddings (model, weights, picture, caption, ...), and
files ``image-….safetensors`` and ``text-….safetensors``, one for each block: the coalitions, 8 players to a
byte, and their embeddings, with a SHA-256 over both in the metadata. Files are written under another name
and renamed, so that one with its own name is whole; several processes may share a folder.

Started again with the same block size, batch size, device and threads, a run gives bit-identical embeddings: what is
missing is cut into the same blocks. Otherwise they agree to rounding, 1e-6.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import reprlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fixlip_helpers.coalitions import as_coalitions, at_least_one, blocks, plain
from fixlip_helpers.files import written_whole
from fixlip_helpers.games import SideBySide, TwoSidedGame, checked_embeddings
from fixlip_helpers.show import count

FORMAT, VERSION = "fixlip-checkpoint", 1


class Remembered(SideBySide):
    """A two-sided game that encodes no coalition twice: what was asked before is answered from memory.

    So an explanation is refined at the price of what is new: ``fixlip`` with a larger budget on the same remembered
    game encodes only the coalitions that the smaller one lacked.

    Attributes
    ----------
    game : TwoSidedGame
        The game itself; ``n_image``, ``n_text``, ``scale``, ``bias``, ``players`` and ``meta`` are its own.
    """

    def __init__(self, game: TwoSidedGame) -> None:
        self.game = game
        self.n_image, self.n_text = game.n_image, game.n_text
        self.scale, self.bias = game.scale, game.bias
        self.players, self.meta = getattr(game, "players", None), getattr(game, "meta", {})
        self.picture = getattr(game, "picture", None)
        self._known: dict[str, dict[bytes, np.ndarray]] = {"image": {}, "text": {}}

    def __repr__(self) -> str:
        known = ", ".join(
            f"{count(len(rows), 'coalition')} of the {side}" for side, rows in self._known.items()
        )
        return f"<{type(self).__name__}, {known} known: {self.game!r}>"

    def encode_images(self, coalitions: np.ndarray) -> np.ndarray:
        """Image embeddings, (m, n_image) bool -> (m, d); only coalitions that are not known are encoded."""
        return self._look_up("image", self.game.encode_images, as_coalitions(coalitions, self.n_image))

    def encode_texts(self, coalitions: np.ndarray) -> np.ndarray:
        """Text embeddings, (m, n_text) bool -> (m, d); only coalitions that are not known are encoded."""
        return self._look_up("text", self.game.encode_texts, as_coalitions(coalitions, self.n_text))

    def knows(self, side: str, coalitions: np.ndarray) -> np.ndarray:
        """Which coalitions of a side, ``"image"`` or ``"text"``, are known: (m, n) bool -> (m,) bool."""
        known = self._known[side]
        return np.array([row.tobytes() in known for row in np.packbits(coalitions, axis=1)], dtype=bool)

    def _look_up(
        self, side: str, encode: Callable[[np.ndarray], np.ndarray], coalitions: np.ndarray
    ) -> np.ndarray:
        """Embeddings from memory, which first gets those that it lacks."""
        if len(coalitions) == 0:
            return encode(coalitions)  # the game says what it thinks of that
        known, keys = self._known[side], [row.tobytes() for row in np.packbits(coalitions, axis=1)]
        lacking = list({key: row for row, key in enumerate(keys) if key not in known}.values())
        if lacking:
            self._learn(side, encode, coalitions[lacking])
        return np.stack([known[key] for key in keys])

    def _learn(self, side: str, encode: Callable[[np.ndarray], np.ndarray], coalitions: np.ndarray) -> None:
        """Encode distinct coalitions that are not known, and remember them."""
        _remember(self._known[side], np.packbits(coalitions, axis=1), np.asarray(encode(coalitions)))


def _remember(known: dict[bytes, np.ndarray], coalitions: np.ndarray, embeddings: np.ndarray) -> None:
    """Add embeddings by packed coalition; what is known stays."""
    for row, embedding in zip(coalitions, embeddings, strict=True):
        known.setdefault(row.tobytes(), embedding)


class Checkpointed(Remembered):
    """A two-sided game whose embeddings are kept in a folder.

    Parameters
    ----------
    game : TwoSidedGame
    path : path
        A folder: of an earlier run on the same game, empty, or still to be made.
    block_size : int
        Coalitions that are encoded between two writes; at most that much work is lost. A multiple of the game's
        batch size loses no speed.
    identity : dict, optional
        JSON-able facts that decide the embeddings, for a game that has no ``identity()`` of its own:
        a model's version, a file's checksum.

    Attributes
    ----------
    game : TwoSidedGame
        As of :class:`Remembered`.
    path : Path

    Raises
    ------
    TypeError
        If the game has no identity and none is given, or one that JSON cannot hold.
    ValueError
        If the folder belongs to another game (the message says what differs), or is no checkpoint.
    OSError
        When encoding, if a block cannot be written: the disk is full, say. What was written stays readable.

    Warns
    -----
    UserWarning
        If a block is damaged: it is removed, and encoded again when it is needed.
    """

    def __init__(
        self,
        game: TwoSidedGame,
        path: str | os.PathLike,
        block_size: int = 256,
        identity: dict | None = None,
    ) -> None:
        block_size = at_least_one("block_size", block_size)
        super().__init__(game)
        self.path, self.block_size = Path(path), block_size
        self._facts = _open(self.path, _identity(game, identity))
        self._known = {side: self._read(side) for side in ("image", "text")}

    def stored(self, side: str) -> int:
        """How many coalitions of a side, ``"image"`` or ``"text"``, the folder has embeddings of."""
        return len(self._known[side])

    def _learn(self, side: str, encode: Callable[[np.ndarray], np.ndarray], coalitions: np.ndarray) -> None:
        """Encode what is lacking block by block, and write each block."""
        # by size: a removal that shortens sequences can then encode whole batches of one length
        coalitions = coalitions[np.argsort(coalitions.sum(axis=1), kind="stable")]
        parts = blocks(len(coalitions), self.block_size)
        for part in tqdm(parts, f"blocks of {side} passes", delay=2, leave=False):
            rows = coalitions[part]
            embeddings = np.asarray(encode(rows))
            checked_embeddings(self, side, rows, embeddings)
            self._write(side, np.packbits(rows, axis=1), embeddings)

    # The folder

    def _checksum(self, side: str, coalitions: np.ndarray, embeddings: np.ndarray) -> str:
        """SHA-256 of a block, of the side and of the game that it belongs to."""
        found = hashlib.sha256(f"{self._facts} {side} {embeddings.dtype.str} {embeddings.shape} ".encode())
        found.update(np.ascontiguousarray(coalitions).tobytes())
        found.update(np.ascontiguousarray(embeddings).tobytes())
        return found.hexdigest()

    def _write(self, side: str, coalitions: np.ndarray, embeddings: np.ndarray) -> None:
        """Put one block on disk, named after its checksum, and remember it."""
        from safetensors.numpy import save

        checksum = self._checksum(side, coalitions, embeddings)
        arrays = {"coalitions": coalitions, "embeddings": np.ascontiguousarray(embeddings)}
        _write_durably(
            self.path / f"{side}-{checksum[:16]}.safetensors", save(arrays, {"checksum": checksum})
        )
        _remember(self._known[side], coalitions, embeddings)

    def _read(self, side: str) -> dict[bytes, np.ndarray]:
        """All embeddings of a side that the folder holds undamaged, by packed coalition."""
        from safetensors import SafetensorError, safe_open

        known: dict[bytes, np.ndarray] = {}
        for path in sorted(self.path.glob(f"{side}-*.safetensors")):
            try:
                with safe_open(path, framework="numpy") as file:
                    coalitions, embeddings = file.get_tensor("coalitions"), file.get_tensor("embeddings")
                    whole = (
                        self._checksum(side, coalitions, embeddings) == (file.metadata() or {})["checksum"]
                    )
            except FileNotFoundError:  # another process found it damaged, too, and has removed it
                continue
            except (SafetensorError, KeyError, ValueError, TypeError):
                whole = False
            if whole:
                _remember(known, coalitions, embeddings)
            else:
                warnings.warn(f"{path} is damaged (its checksum is wrong): it is encoded again", stacklevel=3)
                path.unlink(missing_ok=True)
        return known


def _identity(game: TwoSidedGame, given: dict | None) -> dict:
    """What decides a game's embeddings, as JSON gives it back."""
    if given is None and not hasattr(game, "identity"):
        raise TypeError(
            f"{type(game).__name__} has no identity(), so a checkpoint cannot tell it from another game: "
            "give Checkpointed identity={...}, facts that decide its embeddings"
        )
    facts = game.identity() if given is None else given
    facts = {"n_image": game.n_image, "n_text": game.n_text, **facts}
    try:
        return json.loads(json.dumps(facts, default=_numpy))
    except (TypeError, ValueError) as error:
        raise TypeError(f"identity must be a dictionary that JSON can hold: {error}") from None


def _numpy(fact: object) -> object:
    """NumPy's numbers and arrays for JSON; of anything else the text might be the same for two games."""
    if isinstance(fact, (np.generic, np.ndarray)):
        return plain(fact)
    raise TypeError(f"a {type(fact).__name__}")


def _open(path: Path, identity: dict) -> str:
    """Make the folder, or make sure that it belongs to the game; returns the game's facts as JSON."""
    facts = json.dumps(identity, sort_keys=True)
    if path.exists() and not path.is_dir():
        raise ValueError(f"checkpoint {str(path)!r} is a file; expected a folder")
    path.mkdir(parents=True, exist_ok=True)
    record = path / "game.json"
    if not record.exists():
        if any(entry.suffix != ".part" for entry in path.iterdir()):
            raise ValueError(
                f"checkpoint {str(path)!r} is a folder with other files; expected a new or empty one"
            )
        text = json.dumps(
            {"format": FORMAT, "version": VERSION, "game": identity}, ensure_ascii=False, indent=1
        )
        with contextlib.suppress(
            FileExistsError
        ):  # written at this moment by another process: compare, as below
            _write_durably(record, text.encode(), new=True)
            return facts
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        if (found["format"], found["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {found['format']!r}, version {found['version']!r}")
        other = dict(found["game"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{record} is not that of a checkpoint that this version reads: {error}") from None
    keys = [key for key in {**other, **identity} if other.get(key) != identity.get(key)]
    if keys:
        differences = "; ".join(
            f"{key} {reprlib.repr(other.get(key))} there, {reprlib.repr(identity.get(key))} here"
            for key in keys
        )
        raise ValueError(
            f"checkpoint {str(path)!r} belongs to another run: {differences}. Take another folder"
        )
    return facts


def _write_durably(path: Path, content: bytes, new: bool = False) -> None:
    """Write a file whole or not at all, and wait until it is on the disk; ``new`` as for ``written_whole``."""
    try:
        with written_whole(path, new) as part, open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else error.strerror or str(error)
        raise OSError(
            error.errno,
            f"the checkpoint cannot be written: {what}. What is in {str(path.parent)!r} stays readable; "
            "mend that and start the run again",
        ) from error
