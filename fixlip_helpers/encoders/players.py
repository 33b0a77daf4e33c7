"""Who plays: patches and tokens, or coarser players that people think in.

A region of the picture, a superpixel, an object's box, a word or a phrase can be one player: its patches or
tokens then come and go together. Fewer players need fewer encoder passes, and a player that is an object answers a
question about the object. The game of groups has the values of the fine game on coalitions that are constant
on each group; its explanation is a fit of its own, not the fine explanation with terms added up (that is
``Explanation.merge``), except where the fine game is itself of second order.

Patches are whole: a player owns patches, not pixels, so that every way to remove patches works for it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fixlip_helpers.encoders.pictures import ImageWarning
from fixlip_helpers.show import count

if TYPE_CHECKING:
    from fixlip_helpers.encoders.models import Picture

ALWAYS_VISIBLE = -1


@dataclass(frozen=True, eq=False)
class Players:
    """The players of one side and the pieces (patches or tokens) that each one owns.

    Attributes
    ----------
    owner : ndarray of int, shape (n_pieces,)
        The player of each piece, from 0; ``-1`` for a piece that is always visible.
    names : list of str
        Of the players.
    """

    owner: np.ndarray
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"<{count(len(self), 'player')} of {count(len(self.owner), 'piece')}>"

    def pieces(self, coalitions: np.ndarray) -> np.ndarray:
        """Coalitions of players as coalitions of pieces: (m, n_players) bool -> (m, n_pieces) bool."""
        always = np.ones((len(coalitions), 1), dtype=bool)
        return np.concatenate([coalitions, always], axis=1)[:, self.owner]  # owner -1 is the last column


# --- The picture --------------------------------------------------------------------------


def image_players(
    which: str | Sequence[int] | np.ndarray, grid: tuple[int, int], image_size: int, patch_size: int
) -> tuple[Players, dict]:
    """Players of a picture of ``grid`` patches.

    Parameters
    ----------
    which : "patches", (rows, columns), or array of labels
        A pair of numbers cuts the grid into that many blocks of patches, as even as can be. An array of
        whole numbers has one label for each patch, shape ``grid``, or one for each pixel that the encoder
        sees (``Picture.seen``) or gets, shape ``(image_size, image_size)``: each patch then goes to the label that
        covers most of it (of several, the smallest). Players are the labels in ascending order; ``-1`` is always
        visible.
    grid : tuple of int
        Rows and columns of patches.
    image_size, patch_size : int
        In pixels.

    Returns
    -------
    players : Players
    facts : dict
        For a game's ``meta``: ``grid``, rows and columns of players, where they tile the picture evenly, and,
        unless players are patches, ``image_groups`` with the patch ``grid`` and the player of each patch,
        row by row, as ``owner``, and, where players are blocks, their rows and columns as ``blocks``.

    Raises
    ------
    ValueError
        If ``which`` is none of these, or no patch has a player.

    Examples
    --------
    >>> players, facts = image_players((2, 2), grid=(8, 8), image_size=64, patch_size=8)
    >>> len(players), facts["grid"]
    (4, [2, 2])
    """
    rows, columns = grid
    if isinstance(which, str):
        if which != "patches":
            raise ValueError(
                f"image_players is {which!r}; expected 'patches', (rows, columns), or labels of shape {grid} "
                f"or {(image_size, image_size)}"
            )
        names = [f"patch {row},{column}" for row in range(rows) for column in range(columns)]
        return Players(np.arange(rows * columns), names), {"grid": [rows, columns]}
    labels = np.asarray(which)
    if labels.shape == (2,):
        return _blocks(labels, grid)
    seen = (rows * patch_size, columns * patch_size)
    if labels.shape not in (grid, seen, (image_size, image_size)) or labels.dtype.kind not in "iub":
        raise ValueError(
            f"image_players has shape {labels.shape} and dtype {labels.dtype}; expected (rows, columns), or an "
            f"array of whole numbers of shape {grid}, a label per patch, or {seen}, a label "
            "per pixel that the encoder sees"
        )
    labels = labels.astype(np.int64)
    if labels.min() < ALWAYS_VISIBLE:
        raise ValueError(
            f"image_players has the label {labels.min()}; expected labels from 0, or -1 for always visible"
        )
    of_patch = labels.ravel() if labels.shape == grid else _majority(labels, grid, patch_size)
    kept = np.unique(of_patch[of_patch != ALWAYS_VISIBLE])
    if len(kept) == 0:
        raise ValueError("image_players leaves no player: every patch is always visible (-1)")
    if lost := sorted(set(np.unique(labels).tolist()) - set(kept.tolist()) - {ALWAYS_VISIBLE}):
        warnings.warn(
            f"image_players: {len(lost)} of the labels cover most of no patch and are no players: "
            f"{', '.join(map(str, lost[:8]))}{', ...' if len(lost) > 8 else ''}",
            ImageWarning,
            stacklevel=3,
        )
    owner = np.where(of_patch == ALWAYS_VISIBLE, ALWAYS_VISIBLE, np.searchsorted(kept, of_patch))
    facts = {"image_groups": {"grid": [rows, columns], "owner": owner.tolist()}}
    return Players(owner, [f"region {label}" for label in kept]), facts


def _blocks(shape: np.ndarray, grid: tuple[int, int]) -> tuple[Players, dict]:
    """Blocks of patches in ``shape`` rows and columns."""
    whole = shape.dtype.kind in "iu"
    if not whole or not all(1 <= size <= most for size, most in zip(shape, grid, strict=True)):
        raise ValueError(
            f"image_players is {tuple(shape.tolist())}; expected rows from 1 to {grid[0]} and columns from 1 to "
            f"{grid[1]}, as whole numbers"
        )
    rows, columns = shape.tolist()
    row_of, column_of = (np.arange(most) * size // most for size, most in zip(shape, grid, strict=True))
    owner = (row_of[:, None] * columns + column_of).ravel()
    names = [f"region {row},{column}" for row in range(rows) for column in range(columns)]
    facts = {"image_groups": {"grid": list(grid), "owner": owner.tolist(), "blocks": [rows, columns]}}
    if grid[0] % rows == 0 and grid[1] % columns == 0:  # what is drawn as even tiles must be even tiles
        facts["grid"] = [rows, columns]
    return Players(owner, names), facts


def read_labels(path: str | os.PathLike, picture: Picture) -> np.ndarray:
    """A label image as labels of the pixels that the encoder sees, which ``image_players`` takes.

    Parameters
    ----------
    path : path
        A picture with one flat colour for each region (PNG, GIF, TIFF; not JPEG, which blurs colours), or an array
        of whole numbers saved by ``numpy.save``. It has the size or the proportions of the picture that is explained;
        or the size of what the encoder sees. Labels are the values of a greyscale or palette picture or an array,
        else colours are numbered from 1 as they appear, row by row. What is transparent, or -1 in an array, is
        always visible.
    picture : Picture
        From the model's ``prepare_image``.

    Returns
    -------
    ndarray of int64, of the shape of ``picture.seen``

    Raises
    ------
    ValueError
        If the file cannot be read, holds no labels, or has other proportions.
    """
    labels = _load_labels(Path(path))
    height, width = labels.shape
    whole, seen, box = picture.original.size, picture.seen.size, picture.box
    if (width, height) != whole and (width, height) == seen:
        return labels
    across, down = whole[0] / width, whole[1] / height
    if abs(across / down - 1) > max(0.01, 1 / min(width, height)):
        raise ValueError(
            f"labels are {width} × {height} pixels, the picture {whole[0]} × {whole[1]}: expected the same "
            f"proportions, or {seen[0]} × {seen[1]}, what the encoder sees"
        )
    left, top, right, bottom = box
    columns = (left + (np.arange(seen[0]) + 0.5) * (right - left) / seen[0]) / across
    rows = (top + (np.arange(seen[1]) + 0.5) * (bottom - top) / seen[1]) / down
    columns, rows = (
        np.clip(places.astype(int), 0, most - 1) for places, most in ((columns, width), (rows, height))
    )
    return labels[np.ix_(rows, columns)]


def _load_labels(path: Path) -> np.ndarray:
    """The labels in a file, (height, width) int64, in its own pixels."""
    from PIL import Image

    try:
        labels = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _labels_of_picture(path)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ValueError(f"labels cannot be read: {reason}") from error
    if labels.ndim != 2 or labels.size == 0 or labels.dtype.kind not in "iub":
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape}; expected whole numbers, (height, width)"
        )
    return labels.astype(np.int64)


def _labels_of_picture(path: Path) -> np.ndarray:
    """Grey values, palette numbers, or the numbers of colours as they appear; -1 where it is transparent."""
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened)
    hidden = np.zeros((picture.height, picture.width), dtype=bool)
    if picture.has_transparency_data:
        hidden = np.asarray(picture.convert("RGBA").getchannel("A")) < 128
    if picture.mode in ("1", "L", "P") or picture.mode.startswith("I"):
        labels = np.asarray(picture).astype(np.int64)
    else:
        colours = np.asarray(picture.convert("RGB")) @ np.array([1 << 16, 1 << 8, 1])
        colours[hidden] = ALWAYS_VISIBLE
        distinct, first, which = np.unique(colours, return_index=True, return_inverse=True)
        first[distinct == ALWAYS_VISIBLE] = (
            ALWAYS_VISIBLE  # comes first of all, so that the others count from 1
        )
        labels = np.argsort(np.argsort(first))[which.reshape(colours.shape)] + (not hidden.any())
    return np.where(hidden, ALWAYS_VISIBLE, labels)


def _majority(labels: np.ndarray, grid: tuple[int, int], patch_size: int) -> np.ndarray:
    """The label that covers most of each patch: (H, W) int -> (n_patches,) int."""
    rows, columns = grid
    patches = labels[: rows * patch_size, : columns * patch_size]
    patches = (
        patches.reshape(rows, patch_size, columns, patch_size).swapaxes(1, 2).reshape(rows * columns, -1)
    )
    distinct = np.unique(labels)
    covered = np.stack([(patches == label).sum(axis=1) for label in distinct])
    return distinct[covered.argmax(axis=0)]


def on_patches(values: np.ndarray, meta: Mapping) -> np.ndarray:
    """Numbers of image players as numbers of patches, to draw: (n_image,) -> (rows, columns) float64.

    Every patch shows the number of its player, and 0 where it is always visible.

    Parameters
    ----------
    values : array_like, shape (n_image,)
    meta : mapping
        Of the game or its explanation: with ``image_groups``, or with the ``grid`` of players that are patches.

    Raises
    ------
    ValueError
        If ``meta`` has neither, or the number of values does not fit.
    """
    values = np.asarray(values, dtype=float)
    groups = meta.get("image_groups")
    if groups is None and "grid" not in meta:
        raise ValueError('meta has neither "image_groups" nor "grid"; expected that of a picture\'s game')
    rows, columns = groups["grid"] if groups else meta["grid"]
    owner = np.asarray(groups["owner"]) if groups else np.arange(rows * columns)
    if values.shape != (owner.max() + 1,):
        raise ValueError(f"values has shape {values.shape}; expected ({owner.max() + 1},), one per player")
    return np.append(values, 0.0)[owner].reshape(rows, columns)


# --- The caption --------------------------------------------------------------------------


def text_players(
    which: str | Sequence[Sequence[int]] | Mapping[str, Sequence[int]],
    names: Sequence[str],
    words: Sequence[tuple[str, Sequence[int]]],
) -> tuple[Players, list[tuple[str, list[int]]]]:
    """Players of a caption.

    Parameters
    ----------
    which : "tokens", "words", or groups of tokens
        A group is a sequence of token numbers, from 0; groups with names are a dictionary. Tokens in no group are
        players of their own. A group stands where its first token stood.
    names : sequence of str
        Of the tokens.
    words : sequence of (str, token numbers)
        The caption's words, as :class:`~fixlip_helpers.encoders.models.Caption` has them.

    Returns
    -------
    players : Players
    words : list of (str, list of int)
        Words with the players that spell them. Words that share a player count as one, joined by spaces.

    Raises
    ------
    ValueError
        If ``which`` is none of these, a group is empty, or a token unknown or in two groups.
    """
    n = len(names)
    if isinstance(which, str):
        if which not in ("tokens", "words"):
            raise ValueError(f"text_players is {which!r}; expected 'tokens', 'words', or groups of tokens")
        parts = [(word, list(pieces)) for word, pieces in words] if which == "words" else []
    elif not isinstance(which, Iterable):
        raise ValueError(f"text_players is {which!r}; expected 'tokens', 'words', or groups of tokens")
    else:
        named = which.items() if isinstance(which, Mapping) else [(None, group) for group in which]
        parts = [(name, _token_numbers(group)) for name, group in named]
    grouped = [i for _, group in parts for i in group]
    if len(set(grouped)) < len(grouped) or not set(grouped) <= set(range(n)):
        raise ValueError(f"text_players must hold distinct tokens from 0 to {n - 1}; got {grouped}")
    parts += [(names[i], [i]) for i in range(n) if i not in grouped]
    parts.sort(key=lambda part: part[1][0])
    owner = np.empty(n, dtype=int)
    for player, (_, group) in enumerate(parts):
        owner[group] = player
    titles = [_title(group, names, words) if name is None else name for name, group in parts]
    return Players(owner, titles), _words_of_players(words, owner)


def _token_numbers(group: Sequence[int]) -> list[int]:
    """The sorted token numbers of one group."""
    numbers = np.asarray(list(group) if not isinstance(group, str) else group)
    if numbers.ndim != 1 or len(numbers) == 0 or numbers.dtype.kind not in "iu":
        raise ValueError(f"text_players has the group {group!r}; expected one or more token numbers")
    return sorted(numbers.tolist())


def _title(group: Sequence[int], names: Sequence[str], words: Sequence[tuple[str, Sequence[int]]]) -> str:
    """The words of a group, if it is made of whole ones, else its pieces joined by ``+``."""
    inside = [(word, pieces) for word, pieces in words if set(pieces) <= set(group)]
    if sum(len(pieces) for _, pieces in inside) == len(group):
        return " ".join(word for word, _ in inside)
    return "+".join(names[i] for i in group)


def _words_of_players(
    words: Sequence[tuple[str, Sequence[int]]], owner: np.ndarray
) -> list[tuple[str, list[int]]]:
    """Each word with its players, words that share one taken together."""
    found: list[tuple[str, set[int]]] = []
    for word, pieces in words:
        players = set(owner[list(pieces)].tolist())
        sharing = [entry for entry in found if entry[1] & players]
        found = [entry for entry in found if entry not in sharing]
        whole = " ".join([*(text for text, _ in sharing), word])
        found.append((whole, players.union(*(members for _, members in sharing))))
    found.sort(key=lambda entry: min(entry[1]))
    return [(word, sorted(players)) for word, players in found]
