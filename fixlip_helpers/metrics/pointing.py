"""The pointing game: does a word's evidence lie where the word's picture is?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fixlip_helpers.explanation import Explanation


def quarter_cells(grid: tuple[int, int], covered: float = 1.0) -> list[np.ndarray]:
    """The quarters of a grid of patches in reading order, four (rows * columns,) bool.

    Patches that lie across two pictures, as the middle row and column of an odd grid, belong to no cell.

    Parameters
    ----------
    grid : tuple of int
        Rows and columns of patches.
    covered : float
        The share of the picture's width and height that the patches cover, ``model.covered``.

    Raises
    ------
    ValueError
        If the grid has fewer than two rows or columns.

    Examples
    --------
    >>> quarter_cells((2, 2))[1].astype(int).tolist()  # the upper right quarter
    [0, 1, 0, 0]
    """
    rows, columns = grid
    if rows < 2 or columns < 2:
        raise ValueError(f"grid = {grid!r}; expected at least two rows and two columns")
    (upper, lower), (left, right) = (_halves(n, covered) for n in grid)
    return [np.outer(vertical, across).ravel() for vertical in (upper, lower) for across in (left, right)]


def _halves(n: int, covered: float) -> tuple[np.ndarray, np.ndarray]:
    """Which of n patches in a line end before the middle of the picture, and which begin after it."""
    edges = np.arange(n + 1) * covered / n
    return edges[1:] <= 0.5 + 1e-9, edges[:-1] >= 0.5 - 1e-9


def pointing_game(
    explanation: Explanation,
    cells: Mapping[str, np.ndarray],
    pieces: Sequence[str] | Mapping[str, Sequence[int]] | None = None,
    *,
    by: str = "mass",
    pooled: bool = False,
) -> float:
    """Pointing game recognition (PGR): the share of a word's evidence that lies where the word's picture is.

    A picture is a grid of cells, each showing one word. Of the word's interactions with the patches,
    positive mass in its own cell and negative mass in the other cells is ``right``, the rest ``wrong``;
    PGR is ``right / (right + wrong)``, averaged over words. Random explanations score 0.5, and so does a
    word without any evidence.

    Parameters
    ----------
    explanation : Explanation
        Of a grid picture. A method without pairs (index "first-order") uses its patch values for every word.
    cells : mapping of word to ndarray of bool, shape (n_image,), or to patch numbers
        The patches of each word's cell; give all cells, of words in the caption or not. Patches in no cell count
        neither way.
    pieces : mapping of word to its text players, or sequence of words, optional
        Words to score; default: every word of ``cells`` that is a text player. A mapping gives the
        numbers of the players that spell each word, whose interactions are added up.
    by : "mass" or "signs"
        ``"signs"`` counts patches in place of their mass: those with the right sign, of all that lie in a cell (a patch
        with the number 0 has no right sign).
    pooled : bool
        Divide the words' sums of ``right`` and ``right + wrong``, as the FIxLIP release does for mass, in place of
        averaging their ratios: then words with more evidence count for more.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If a word has no cell or is not exactly one text player, a cell is no set of patches, or ``by`` is neither.
    """
    if by not in ("mass", "signs"):
        raise ValueError(f"by = {by!r}; expected 'mass' or 'signs'")
    cells = {word: _mask(word, cell, explanation.n_image) for word, cell in cells.items()}
    pieces = _find_words(explanation, cells, pieces)
    anywhere = np.any(list(cells.values()), axis=0)
    scores = []
    for word, players in pieces.items():
        if explanation.index == "first-order":
            heat = explanation.main[: explanation.n_image]
        else:
            heat = explanation.pairs[: explanation.n_image, players].sum(axis=1)
        inside, outside = heat[cells[word]], heat[anywhere & ~cells[word]]
        if by == "signs":
            scores.append([(inside > 0).sum() + (outside < 0).sum(), len(inside) + len(outside)])
        else:
            right = inside[inside > 0].sum() - outside[outside < 0].sum()
            scores.append([right, np.abs(inside).sum() + np.abs(outside).sum()])
    right, total = np.array(scores, dtype=float).T
    if pooled:
        right, total = right.sum(keepdims=True), total.sum(keepdims=True)
    return float(np.mean(np.divide(right, total, out=np.full(len(right), 0.5), where=total > 0)))


def _mask(word: str, cell: np.ndarray | Sequence[int], n_image: int) -> np.ndarray:
    """A cell as (n_image,) bool, from that or from patch numbers."""
    cell = np.asarray(cell)
    if cell.dtype == bool:
        if cell.shape != (n_image,):
            raise ValueError(f"the cell of {word!r} has shape {cell.shape}; expected ({n_image},)")
        return cell
    numbers = cell.ravel().tolist()
    if len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(n_image)):
        raise ValueError(
            f"the cell of {word!r} is {numbers}; expected a boolean for each of {n_image} patches, or distinct "
            f"patch numbers from 0 to {n_image - 1}"
        )
    return np.isin(np.arange(n_image), numbers)


def _find_words(
    explanation: Explanation, cells: Mapping, words: Sequence | Mapping | None
) -> dict[str, list[int]]:
    """The text players of each word to score."""
    tokens = explanation.players[explanation.n_image :]
    if words is None:
        words = [word for word in cells if word in tokens]
    if not isinstance(words, Mapping):
        for word in words:
            if tokens.count(word) != 1:
                raise ValueError(
                    f"{word!r} is {tokens.count(word)} times among the tokens {tokens}; expected once"
                )
        words = {word: [explanation.n_image + tokens.index(word)] for word in words}
    for word, players in words.items():
        if word not in cells:
            raise ValueError(f"{word!r} has no cell; the cells are {', '.join(cells)}")
        if not all(explanation.n_image <= i < explanation.n_players for i in players):
            raise ValueError(f"players {list(players)} of {word!r} are not all text players")
    if not words:
        raise ValueError(f"no word to score: none of {', '.join(cells)} is among the tokens {tokens}")
    return {word: list(players) for word, players in words.items()}
