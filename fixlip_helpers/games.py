"""Games: anything that gives a coalition of visible players a number.

A *game* takes coalitions, a boolean array of shape (m, n), and returns m numbers, the same
calling convention as ``shapiq.Game``. A *two-sided game* also knows that its players are of
two kinds, image patches first and text tokens after them, and that its value is an inner
product of two embeddings::

    value(x, y) = scale * <f(x), g(y)> + bias

Everything fast in this package follows from that line: each side is encoded by itself, once.
Both kinds are protocols: any object that has these members can be explained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from fixlip_helpers.coalitions import all_coalitions, as_coalitions, coalition_number
from fixlip_helpers.encoding import check_finite
from fixlip_helpers.show import count, shortened

if TYPE_CHECKING:
    import shapiq

    from fixlip_helpers.explanation import Explanation


@runtime_checkable
class Game(Protocol):
    """A value for every coalition of ``n_players`` players."""

    n_players: int

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """Values, shape (m,), float64, of boolean coalitions of shape (m, n_players)."""
        ...


@runtime_checkable
class TwoSidedGame(Protocol):
    """A game whose value is ``scale * <f(x), g(y)> + bias``; x: image players, y: text players.

    Optional members: ``players``, a list of ``n_players`` names; ``meta``, a dictionary
    that is copied into the explanation (model, caption, grid, ...); and ``identity()``, a dictionary of
    JSON-able facts that decide every embedding, by which a checkpoint knows the game again
    (:class:`~fixlip_helpers.checkpoints.Checkpointed`).
    """

    n_image: int
    n_text: int
    n_players: int
    scale: float
    bias: float

    def encode_images(self, coalitions: np.ndarray) -> np.ndarray:
        """Image embeddings, shape (m, d), of boolean coalitions of shape (m, n_image)."""
        ...

    def encode_texts(self, coalitions: np.ndarray) -> np.ndarray:
        """Text embeddings, shape (m, d), of boolean coalitions of shape (m, n_text)."""
        ...

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """Values, shape (m,), of whole coalitions, shape (m, n_image + n_text)."""
        ...


class SideBySide:
    """What every two-sided game can derive from its sides: its size and its values.

    A subclass provides ``n_image``, ``n_text``, ``scale``, ``bias``, ``encode_images`` and
    ``encode_texts``.
    """

    @property
    def n_players(self) -> int:
        """Image players and text players together."""
        return self.n_image + self.n_text

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """Values of whole coalitions, (m, n_players) bool -> (m,) float64; equal halves are encoded once.

        Raises
        ------
        ValueError
            If the two sides differ in width, or an embedding is not finite.
        """
        coalitions = as_coalitions(coalitions, self.n_players)
        images, image_of = np.unique(coalitions[:, : self.n_image], axis=0, return_inverse=True)
        texts, text_of = np.unique(coalitions[:, self.n_image :], axis=0, return_inverse=True)
        f = checked_embeddings(self, "image", images, self.encode_images(images))[image_of.ravel()]
        g = checked_embeddings(self, "text", texts, self.encode_texts(texts))[text_of.ravel()]
        if f.shape != g.shape:
            raise ValueError(
                f"image embeddings have {f.shape[1]} numbers, text embeddings {g.shape[1]}; expected equally many"
            )
        return self.scale * np.einsum("md,md->m", f, g) + self.bias

    def __repr__(self) -> str:
        sides = f"{count(self.n_image, 'image player')} and {count(self.n_text, 'text player')}"
        return f"<{type(self).__name__}: {sides}>"

    def full_value(self) -> float:
        """The value with every player visible, one pass a side."""
        return float(self(np.ones((1, self.n_players), dtype=bool))[0])

    def empty_value(self) -> float:
        """The game's own value with every player removed, one pass a side."""
        return float(self(np.zeros((1, self.n_players), dtype=bool))[0])


def checked_embeddings(
    game: TwoSidedGame, side: str, coalitions: np.ndarray, embeddings: np.ndarray
) -> np.ndarray:
    """What one side of anybody's game gave for coalitions, as float64, or what is wrong with it.

    Parameters
    ----------
    game : TwoSidedGame
    side : "image" or "text"
    coalitions : ndarray of bool, shape (m, n)
    embeddings : array_like, shape (m, d)

    Returns
    -------
    ndarray of float64, shape (m, d)

    Raises
    ------
    ValueError
        If the shape is another one; if a number is NaN or infinite: the side and the visible players of the
        first such coalition are named.
    """
    embeddings = np.asarray(embeddings, dtype=float)
    encoder = f"encode_{side}s of {type(game).__name__}"
    if embeddings.ndim != 2 or len(embeddings) != len(coalitions):
        raise ValueError(
            f"{encoder} gave shape {embeddings.shape} for {len(coalitions)} coalitions; "
            f"expected ({len(coalitions)}, d)"
        )
    check_finite(embeddings, coalitions, side_names(game, side), encoder)
    return embeddings


def checked_values(game: Game, coalitions: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What anybody's game gave for coalitions, (m,) float64; refused as :func:`checked_embeddings` does."""
    values = np.asarray(values, dtype=float)
    if values.shape != (len(coalitions),):
        raise ValueError(
            f"{type(game).__name__} gave shape {values.shape} for {len(coalitions)} coalitions; "
            f"expected ({len(coalitions)},)"
        )
    names = getattr(game, "players", None) or [f"player {i}" for i in range(game.n_players)]
    check_finite(values[:, None], coalitions, list(names), type(game).__name__)
    return values


def side_names(game: TwoSidedGame, side: str) -> list[str]:
    """Names of the image players or of the text players, whether or not the game names them."""
    names = getattr(game, "players", None)
    own = slice(game.n_image) if side == "image" else slice(game.n_image, None)
    if names is not None:
        return list(names)[own]
    return [f"{side} player {i}" for i in range(game.n_image if side == "image" else game.n_text)]


# --- Games given by tables ----------------------------------------------------------------


class TableGame:
    """A game given by all its values.

    Parameters
    ----------
    values : array_like, shape (2**n,)
        Value of each coalition; player ``i`` is visible in row ``r`` if bit ``i`` of ``r`` is set,
        the order of :func:`~fixlip_helpers.coalitions.all_coalitions`.
    players : sequence of str, optional
        Their names.

    Raises
    ------
    ValueError
        If the number of values is not a power of two, or there is not one name for each player.

    Examples
    --------
    >>> game = TableGame([0.0, 2.0, 1.0, 5.0], ["dog", "bus"])
    >>> import numpy as np
    >>> game(np.array([[True, True], [False, True]])).tolist()
    [5.0, 1.0]
    """

    def __init__(self, values: np.ndarray, players: Sequence[str] | None = None) -> None:
        self.values = np.asarray(values, dtype=float)
        self.n_players = self.values.size.bit_length() - 1
        if self.values.shape != (2**self.n_players,):
            raise ValueError(f"values has shape {self.values.shape}; expected (2**n,), one per coalition")
        if players is not None and len(players) != self.n_players:
            raise ValueError(
                f"players has {len(players)} names; expected {self.n_players}, one for each player"
            )
        self.players = None if players is None else list(players)

    def __repr__(self) -> str:
        names = "" if self.players is None else f" ({shortened(', '.join(self.players), 60)})"
        low, high = self.values.min(), self.values.max()
        return f"<TableGame: {count(self.n_players, 'player')}{names}, values from {low:.4g} to {high:.4g}>"

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """Values, shape (m,), of boolean coalitions of shape (m, n_players)."""
        return self.values[coalition_number(as_coalitions(coalitions, self.n_players))]


class EmbeddingTableGame(SideBySide):
    """A two-sided game given by the embeddings of every coalition of each side.

    Parameters
    ----------
    image_embeddings : array_like, shape (2**n_image, d)
        Row ``r`` is the embedding of image coalition ``r`` (player ``i`` = bit ``i``). No unit norm needed.
    text_embeddings : array_like, shape (2**n_text, d)
        The same for the text side.
    scale, bias : float
        The value is ``scale * <f, g> + bias``.

    Raises
    ------
    ValueError
        If the widths differ or a number of rows is not a power of two.
    """

    def __init__(
        self, image_embeddings: np.ndarray, text_embeddings: np.ndarray, scale: float = 1.0, bias: float = 0.0
    ) -> None:
        self.image_embeddings = np.asarray(image_embeddings, dtype=float)
        self.text_embeddings = np.asarray(text_embeddings, dtype=float)
        self.scale, self.bias = float(scale), float(bias)
        images, texts = self.image_embeddings.shape, self.text_embeddings.shape
        self.n_image, self.n_text = images[0].bit_length() - 1, texts[0].bit_length() - 1
        if (images[0], texts[0]) != (2**self.n_image, 2**self.n_text) or images[1:] != texts[1:]:
            raise ValueError(
                f"embeddings have shapes {images} and {texts}; expected (2**n_image, d) and (2**n_text, d)"
            )

    def encode_images(self, coalitions: np.ndarray) -> np.ndarray:
        """Image embeddings, (m, n_image) bool -> (m, d) float64."""
        return self.image_embeddings[coalition_number(as_coalitions(coalitions, self.n_image))]

    def encode_texts(self, coalitions: np.ndarray) -> np.ndarray:
        """Text embeddings, (m, n_text) bool -> (m, d) float64."""
        return self.text_embeddings[coalition_number(as_coalitions(coalitions, self.n_text))]

    def identity(self) -> dict:
        """What decides the embeddings: the tables themselves."""
        return {"images": digest(self.image_embeddings), "texts": digest(self.text_embeddings)}


def digest(numbers: np.ndarray) -> str:
    """A fingerprint of an array: shape, type and every byte, as 16 hexadecimal digits of SHA-256."""
    numbers = np.ascontiguousarray(numbers)
    facts = f"{numbers.shape} {numbers.dtype.str} ".encode()
    return hashlib.sha256(facts + numbers.tobytes()).hexdigest()[:16]


# --- Toy games ----------------------------------------------------------------------------


def to_shapiq(game: Game) -> shapiq.Game:
    """A game as shapiq's own: to precompute and save its values, for exact values, and for orders above two.

    ``normalize`` is on: shapiq's values are less ν(∅), as in the FIxLIP release.

    Parameters
    ----------
    game : Game

    Returns
    -------
    shapiq.Game

    Examples
    --------
    >>> import shapiq
    >>> theirs = to_shapiq(random_game(5))
    >>> exact = shapiq.ExactComputer(theirs)("FBII", order=3)  # order three, which fixlip has not
    >>> exact.max_order
    3
    """
    import shapiq

    class AsShapiq(shapiq.Game):
        def value_function(self, coalitions: np.ndarray) -> np.ndarray:
            return np.asarray(game(np.asarray(coalitions, dtype=bool)), dtype=float)

    nobody = float(game(np.zeros((1, game.n_players), dtype=bool))[0])
    return AsShapiq(n_players=game.n_players, normalize=True, normalization_value=nobody)


def unanimity(n: int, members: list[int]) -> TableGame:
    """1 where all ``members`` are visible, else 0: the smallest game with one pure interaction."""
    return TableGame(all_coalitions(n)[:, members].all(axis=1))


def parity(n: int) -> TableGame:
    """1 where an odd number of players is visible (XOR): at p = 0.5 no single player has any effect."""
    return TableGame(all_coalitions(n).sum(axis=1) % 2)


def random_game(n: int, seed: int = 0) -> TableGame:
    """A game of ``n`` players with independent normal values: interactions of every order."""
    return TableGame(np.random.default_rng(seed).normal(size=2**n))


def random_embeddings(n_image: int, n_text: int, d: int = 4, seed: int = 0) -> EmbeddingTableGame:
    """A two-sided game with independent normal embeddings, scale 2 and bias -1."""
    rng = np.random.default_rng(seed)
    return EmbeddingTableGame(rng.normal(size=(2**n_image, d)), rng.normal(size=(2**n_text, d)), 2.0, -1.0)


# --- A game given by an explanation -------------------------------------------------------


class ExplanationGame(SideBySide):
    """The two-sided game whose second-order part is a given explanation: a test bed with known truth.

    With ``h_I`` and ``h_T`` the terms of the explanation inside the image and inside the text, and
    ``C`` its cross-modal interactions, the embeddings are ``f = [h_I(x), 1, x'C]`` and
    ``g = [1, h_T(y), y]``, so that ``<f, g> = h_I(x) + h_T(y) + x'Cy``; the baseline is the bias.

    Optional noise of order 3 and 4 is a sum of products ``φ_L`` of the p-biased Fourier basis over
    random sets L of players, within a side and across. They are orthogonal to everything of order
    two under ``P_p`` at the explanation's own ``p``: the exact FIxLIP-p of the game at that ``p``
    stays the given explanation, whatever the noise.

    Parameters
    ----------
    explanation : Explanation
        Its ``p`` (0.5 if it has none) is the one at which the noise is orthogonal.
    noise_order3, noise_order4 : float
        Variance of the noise of that order, as a multiple of the explanation's variance under ``P_p``.
    seed : int
        Chooses the random sets and coefficients.
    n_terms : int
        How many random sets of each order (fewer where there are not so many).

    Raises
    ------
    ValueError
        If a noise is negative, or asked of an order larger than the number of players.
    """

    scale = 1.0

    def __init__(
        self,
        explanation: Explanation,
        noise_order3: float = 0.0,
        noise_order4: float = 0.0,
        seed: int = 0,
        n_terms: int = 256,
    ) -> None:
        self.explanation = explanation
        self.n_image, self.n_text = explanation.n_image, explanation.n_text
        self.players, self.bias = list(explanation.players), explanation.baseline
        self.p = 0.5 if explanation.p is None else explanation.p
        rng = np.random.default_rng(seed)
        self.noise = []  # triples (image players, text players, coefficient)
        for order, share in ((3, noise_order3), (4, noise_order4)):
            if not share >= 0 or (share > 0 and order > self.n_players):
                raise ValueError(
                    f"noise_order{order} = {share}; expected 0 or more, and at least {order} players"
                )
            if share > 0:
                sets = self._random_sets(rng, order, n_terms)
                signs = rng.normal(size=len(sets))
                signs *= np.sqrt(share * explanation.variance(self.p) / (signs**2).sum())
                self.noise += [(*self._halves(members), c) for members, c in zip(sets, signs, strict=True)]

    def _random_sets(self, rng: np.random.Generator, order: int, n_terms: int) -> list[tuple[int, ...]]:
        """Up to ``n_terms`` distinct sets of ``order`` players, in ascending order."""
        if comb(self.n_players, order) <= 4 * n_terms:
            sets = list(combinations(range(self.n_players), order))
            return [sets[k] for k in rng.permutation(len(sets))[:n_terms]]
        sets = set()
        while len(sets) < n_terms:
            sets.add(tuple(sorted(rng.choice(self.n_players, order, replace=False).tolist())))
        return sorted(sets)

    def _halves(self, members: tuple[int, ...]) -> tuple[list[int], list[int]]:
        """The image players and the text players (numbered from 0) of a set."""
        n = self.n_image
        return [i for i in members if i < n], [i - n for i in members if i >= n]

    def _encode(self, coalitions: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For one side (0 image, 1 text): coalitions as 0/1, own part h, columns of the noise across."""
        e, own = self.explanation, slice(0, self.n_image) if side == 0 else slice(self.n_image, None)
        x = as_coalitions(coalitions, len(e.main[own])).astype(float)
        z = (x - self.p) / np.sqrt(self.p * (1 - self.p))
        h = x @ e.main[own] + 0.5 * np.einsum("mi,ij,mj->m", x, e.pairs[own, own], x, optimize=True)
        across = []
        for *halves, c in self.noise:
            mine, other = halves[side], halves[1 - side]
            if not other:
                h += c * z[:, mine].prod(axis=1)
            elif mine:
                across.append((c if side == 0 else 1.0) * z[:, mine].prod(axis=1))
        return x, h, np.stack(across, axis=1) if across else np.zeros((len(x), 0))

    def encode_images(self, coalitions: np.ndarray) -> np.ndarray:
        """``[h_I(x), 1, x'C, noise]``, (m, n_image) bool -> (m, d) float64."""
        x, h, across = self._encode(coalitions, 0)
        return np.column_stack([h, np.ones(len(x)), x @ self.explanation.cross_modal(), across])

    def encode_texts(self, coalitions: np.ndarray) -> np.ndarray:
        """``[1, h_T(y), y, noise]``, (m, n_text) bool -> (m, d) float64."""
        y, h, across = self._encode(coalitions, 1)
        return np.column_stack([np.ones(len(y)), h, y, across])


# --- Reduced precision --------------------------------------------------------------------


def precision_report(
    game: TwoSidedGame, exact: TwoSidedGame, coalitions: np.ndarray, share: float = 0.01, seed: int = 0
) -> dict:
    """How far a game in reduced precision is from the same game in float32, on a few of its coalitions.

    Parameters
    ----------
    game, exact : TwoSidedGame
        The same picture and caption with the model loaded twice: ``load_model(name, dtype="bfloat16")`` and
        ``load_model(name)``.
    coalitions : ndarray of bool, shape (m, n_players)
        Those that will be, or were, evaluated.
    share : float
        Part of the coalitions that is compared, in (0, 1]; at least 8, or all where there are fewer.
    seed : int
        Chooses which.

    Returns
    -------
    dict
        ``coalitions``, how many were compared; ``image`` and ``text``, the largest change of any number of an
        embedding; ``value``, the largest change of a value, in logits; ``value_spread``, the standard
        deviation of the exact values, to hold it against.

    Raises
    ------
    ValueError
        If the games differ in players, or ``share`` is out of range.
    """
    sizes = [(g.n_image, g.n_text) for g in (game, exact)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"the games differ in (n_image, n_text): {sizes[0]} and {sizes[1]}")
    if not 0 < share <= 1:
        raise ValueError(f"share = {share!r}; expected a number above 0, at most 1")
    rows = as_coalitions(coalitions, game.n_players)
    few = min(len(rows), max(8, int(np.ceil(share * len(rows)))))
    rows = rows[np.random.default_rng(seed).choice(len(rows), few, replace=False)]
    halves = {"image": rows[:, : game.n_image], "text": rows[:, game.n_image :]}
    reduced, full = (
        {
            side: checked_embeddings(g, side, half, getattr(g, f"encode_{side}s")(half))
            for side, half in halves.items()
        }
        for g in (game, exact)
    )
    values, exact_values = (
        g.scale * np.einsum("md,md->m", e["image"], e["text"]) + g.bias
        for g, e in ((game, reduced), (exact, full))
    )
    return {
        "coalitions": few,
        **{side: float(np.abs(reduced[side] - full[side]).max()) for side in halves},
        "value": float(np.abs(values - exact_values).max()),
        "value_spread": float(exact_values.std()),
    }
