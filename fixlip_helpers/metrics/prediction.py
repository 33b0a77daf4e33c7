"""p-faithfulness (Definition 4 of the FIxLIP paper): does an explanation predict the game?

:func:`faithfulness` asks about whole coalitions. :func:`block_faithfulness` asks where the prediction is right. ``P_p``
is a product of one measure for the picture and one for the caption, so every game splits into parts that are
uncorrelated (Hoeffding's decomposition, *Annals of Mathematical Statistics* 1948)::

    ν(x, y) = constant + patches(x) + words(y) + cross-modal(x, y)

``patches`` is the mean over captions, ``words`` the mean over pictures, ``cross-modal`` what remains. Within the
picture the part is split once more, into what is linear in the single patches and the rest, which is what patches do to
each other; the same within the caption.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fixlip_helpers.coalitions import STREAMS, Design, check_count, check_p, draw, enumeration
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.games import Game, TwoSidedGame, checked_embeddings
from fixlip_helpers.metrics.statistics import (
    check_level,
    intervals_of,
    kendall_tau,
    pearson_correlation,
    quantiles,
    resample,
    spearman_correlation,
)
from fixlip_helpers.shapley import shapley_design
from fixlip_helpers.show import framed, safe, table
from fixlip_helpers.sides import r_squared

MOST_EXACT = 12
"""Up to so many players all coalitions are asked, unless a number of draws is given."""

MOST_EXACT_SIDE = 8
"""Up to so many players a side is enumerated where blocks are judged."""

BLOCKS = ("all", "patches", "words", "cross-modal", "within patches", "within words")
"""What an explanation is judged on, see the top of this module."""


# --- Whole coalitions ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How well an explanation predicts a game on coalitions ``M ~ P_p``.

    Attributes
    ----------
    r2 : float or None
        ``1 - E(ν - ν̂)² / Var ν``; can be negative. None where the game does not vary.
    pearson, spearman : float
        Correlations of ν(M) with ν̂(M), of values and of ranks; NaN where either does not vary.
    p : float or None
        None under Shapley weights.
    values, predictions, weights : ndarray, shape (m,)
        ν(M) and ν̂(M), and the share of each coalition.
    exact : bool
        Whether these are all coalitions; then nothing was drawn.
    intervals : dict of str to (low, high), or None
        Bootstrap intervals of ``r2``, ``pearson`` and ``spearman`` over the draws; None where exact or not asked for.
    """

    r2: float | None
    pearson: float
    spearman: float
    p: float | None
    values: np.ndarray = field(repr=False)
    predictions: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    exact: bool = False
    intervals: dict[str, tuple[float, float]] | None = None

    def others(self) -> dict[str, float]:
        """What else the FIxLIP release reports, from the same coalitions and with their weights.

        Returns
        -------
        dict
            ``mse`` and ``mae``, in the game's unit (squared); ``cosine`` of the two series; ``kendall``, tau-b over
            all pairs of coalitions, NaN where either series does not vary. The release subtracts ν(∅) from the values
            first; what is in ν̂'s baseline counts here.
        """
        wrong = self.values - self.predictions
        length = np.sqrt((self.weights @ self.values**2) * (self.weights @ self.predictions**2))
        return {
            "mse": float(self.weights @ wrong**2),
            "mae": float(self.weights @ np.abs(wrong)),
            "cosine": float((self.weights * self.values) @ self.predictions / length)
            if length
            else float("nan"),
            "kendall": kendall_tau(self.values, self.predictions, self.weights),
        }

    def __str__(self) -> str:
        how = "all" if self.exact else "drawn"
        parts = [
            f"{title} {_shown(getattr(self, name), (self.intervals or {}).get(name))}"
            for name, title in (("r2", "R²"), ("pearson", "Pearson"), ("spearman", "Spearman"))
        ]
        where = "Shapley weights" if self.p is None else f"p = {self.p:g}"
        return f"{where}, {len(self.values)} coalitions, {how}: " + ", ".join(parts)

    __repr__ = __str__


def faithfulness(
    explanation: Explanation,
    game: Game,
    p: float | None = None,
    m: int | None = None,
    seed: int = 0,
    *,
    level: float = 0.95,
    bootstrap: int = 200,
) -> Faithfulness:
    """p-faithfulness on fresh coalitions of all players, or on all of them.

    Parameters
    ----------
    explanation : Explanation
        Predicts with the terms that it has.
    game : Game
        Of the same players. To judge many explanations of one game without new encoder passes, give a
        :class:`~fixlip_helpers.checkpoints.Remembered` one.
    p : float, optional
        Default: the explanation's own, or 0.5 if it has none.
    m : int, optional
        Number of draws, at least 2; they come from a random stream of their own, which no fit uses. Default: all
        coalitions with their weights for up to :data:`MOST_EXACT` players, else 1024.
    seed : int
    level : float
        Of the bootstrap intervals.
    bootstrap : int
        How often the draws are drawn anew; 0: no intervals.

    Returns
    -------
    Faithfulness

    Raises
    ------
    ValueError
        If the numbers of players differ, or ``p``, ``m``, ``level`` or ``bootstrap`` is not allowed.

    Examples
    --------
    >>> from fixlip_helpers import fixlip
    >>> from fixlip_helpers.games import random_embeddings
    >>> game = random_embeddings(5, 3)
    >>> judged = faithfulness(fixlip(game), game)
    >>> round(judged.r2, 2), round(judged.pearson, 2)
    (0.16, 0.4)
    """
    p, exact = _checked(explanation, game, p, level, bootstrap), m is None and game.n_players <= MOST_EXACT
    if exact:
        design = enumeration(game.n_players, p)
        coalitions, weights = design.coalitions, design.weights
    else:
        m = 1024 if m is None else m
        if check_count("m", m) < 2:
            raise ValueError(f"m = {m}; expected at least 2")
        coalitions = draw(game.n_players, p, m, seed, STREAMS["evaluation"])
        weights = np.full(m, 1 / m)
    values, predictions = np.asarray(game(coalitions), dtype=float), explanation.predict(coalitions)
    scores = _scores(values, predictions)
    found = {name: score(weights) for name, score in scores.items()}
    varies = found["r2"] is not None
    intervals = None
    if not exact and bootstrap and varies:
        intervals = intervals_of(scores, weights, level, bootstrap, seed)
    return Faithfulness(
        **found,
        p=p,
        values=values,
        predictions=predictions,
        weights=weights,
        exact=exact,
        intervals=intervals,
    )


def shapley_faithfulness(explanation: Explanation, game: Game, m: int = 1024, seed: int = 0) -> Faithfulness:
    """Faithfulness under the Shapley weights, under which FIxLIP-SI and Shapley values are fitted.

    A coalition of t of n players weighs ``1 / C(n - 2, t - 1)``, so that the smallest and the largest count most.
    Nobody and everybody, whose values FIxLIP-SI takes as they are, do not count.

    Parameters
    ----------
    explanation : Explanation
    game : Game
        Of the same players, at least 2.
    m : int
        Number of coalitions, at least 2, listed or drawn as by :func:`~fixlip_helpers.shapley.shapley_design`, from a
        random stream that no fit uses; from ``2**n - 2`` on all of them, once each.
    seed : int

    Returns
    -------
    Faithfulness
        With ``p`` None, and without intervals: sizes that are listed in full are not drawn.

    Raises
    ------
    ValueError
        If the numbers of players differ, or ``m`` is not allowed.

    Examples
    --------
    Of explanations that are exact for nobody and everybody, FIxLIP-SI is the best second-order one, Shapley values
    the best of first order; one that misses these two coalitions may be ahead of both.

    >>> from fixlip_helpers import fixlip
    >>> from fixlip_helpers.baselines import shapley
    >>> from fixlip_helpers.games import random_embeddings
    >>> game = random_embeddings(5, 3)
    >>> pairs, singles = fixlip(game, index="FSII"), shapley(game)
    >>> shapley_faithfulness(pairs, game).r2 > shapley_faithfulness(singles, game).r2
    True
    """
    _checked(explanation, game, None, 0.95, 0)
    if check_count("m", m) < 2:
        raise ValueError(f"m = {m}; expected at least 2")
    design = shapley_design(game.n_players, m, seed, STREAMS["evaluation"])
    values, predictions = np.asarray(game(design.coalitions), float), explanation.predict(design.coalitions)
    weights = design.weights / design.weights.sum()
    found = {name: score(weights) for name, score in _scores(values, predictions).items()}
    exact = design.seed is None
    return Faithfulness(**found, p=None, values=values, predictions=predictions, weights=weights, exact=exact)


def _scores(values: np.ndarray, predictions: np.ndarray) -> dict[str, Callable[[np.ndarray], float | None]]:
    """R² and the two correlations of values and predictions, as functions of weights."""
    return {
        "r2": lambda w: r_squared(values, predictions, w),
        "pearson": lambda w: pearson_correlation(values, predictions, w),
        "spearman": lambda w: spearman_correlation(values, predictions, w),
    }


def _checked(explanation: Explanation, game: Game, p: float | None, level: float, bootstrap: int) -> float:
    """The p to judge at, once everything else has been checked."""
    if game.n_players != explanation.n_players:
        raise ValueError(f"the explanation has {explanation.n_players} players, the game {game.n_players}")
    check_level(level)
    check_count("bootstrap", bootstrap)
    return check_p(p if p is not None else explanation.p or 0.5)


def _shown(score: float | None, interval: tuple[float, float] | None, digits: int = 3) -> str:
    if score is None or np.isnan(score):
        return "–"
    return f"{score:.{digits}f}" + ("" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]")


# --- Blocks -------------------------------------------------------------------------------


@dataclass(frozen=True)
class BlockScore:
    """How well one block of the game is predicted.

    Attributes
    ----------
    share : float
        The block's part of the game's variance; ``within`` is a part of ``patches`` or ``words``.
    r2 : float or None
        ``1 - E(block of ν - block of ν̂)² / Var(block of ν)``; None where the block does not vary.
    pearson, spearman : float
        NaN where the block of ν or of ν̂ does not vary.
    r2_interval, pearson_interval : (low, high), or None
        Bootstrap intervals; None where nothing was drawn, it was not asked for, or there is no score.
    """

    share: float
    r2: float | None
    pearson: float
    spearman: float
    r2_interval: tuple[float, float] | None = None
    pearson_interval: tuple[float, float] | None = None


class BlockFaithfulness(dict):
    """A :class:`BlockScore` for each of :data:`BLOCKS`; printed as a table. ``p`` and ``sizes`` say what was asked."""

    def __init__(self, scores: dict[str, BlockScore], p: float, sizes: tuple[int, int]) -> None:
        super().__init__(scores)
        self.p, self.sizes = p, sizes

    def __str__(self) -> str:
        lines = [f"p = {self.p:g}, {self.sizes[0]} image × {self.sizes[1]} text coalitions"]
        lines.append(f"{'block':15s} {'of variance':>11s}  {'R²':22s} {'Pearson':22s} Spearman")
        lines += [
            f"{name:15s} {score.share:11.1%}  {_shown(score.r2, score.r2_interval):22s} "
            f"{_shown(score.pearson, score.pearson_interval):22s} {_shown(score.spearman, None, 2)}"
            for name, score in self.items()
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [
            [
                safe(name),
                f"{score.share:.1%}",
                _shown(score.r2, score.r2_interval),
                _shown(score.pearson, score.pearson_interval),
                _shown(score.spearman, None, 2),
            ]
            for name, score in self.items()
        ]
        asked = f"<p>p = {self.p:g}, {self.sizes[0]} image × {self.sizes[1]} text coalitions</p>"
        return framed(asked, table(("block", "of variance", "R²", "Pearson", "Spearman"), rows))


def block_faithfulness(
    explanation: Explanation,
    game: TwoSidedGame,
    p: float | None = None,
    m_image: int | None = None,
    m_text: int | None = None,
    seed: int = 0,
    *,
    level: float = 0.95,
    bootstrap: int = 200,
) -> BlockFaithfulness:
    """p-faithfulness of the whole and of each block, on all pairs of fresh image and text coalitions.

    Parameters
    ----------
    explanation : Explanation
    game : TwoSidedGame
    p : float, optional
        Default: the explanation's own, or 0.5 if it has none.
    m_image, m_text : int, optional
        Draws of each side, from streams that no fit uses. Default: all coalitions of a side with up to
        :data:`MOST_EXACT_SIDE` players, else 512 and 256. The blocks are those of the sample: with few draws of one
        side, what is cross-modal leaks into the other side's block, for game and explanation alike.
    seed : int
    level, bootstrap
        As in :func:`faithfulness`; both sides are drawn anew.

    Returns
    -------
    BlockFaithfulness
        ``within patches`` and ``within words`` are left out where there are not more draws than terms.

    Raises
    ------
    ValueError
        As :func:`faithfulness`.
    TypeError
        If the game is not two-sided.
    """
    if not isinstance(game, TwoSidedGame):
        raise TypeError(f"{type(game).__name__} is no two-sided game: it has no blocks of patches and words")
    p = _checked(explanation, game, p, level, bootstrap)
    if (game.n_image, game.n_text) != (explanation.n_image, explanation.n_text):
        raise ValueError(
            f"the explanation has {explanation.n_image} image players, the game {game.n_image} of {game.n_players}"
        )
    image = _fresh(game.n_image, p, "image", m_image, seed)
    text = _fresh(game.n_text, p, "text", m_text, seed)
    f = checked_embeddings(game, "image", image.coalitions, game.encode_images(image.coalitions))
    g = checked_embeddings(game, "text", text.coalitions, game.encode_texts(text.coalitions))
    values = game.scale * f @ g.T + game.bias
    tables = values, explanation.predict_pairs(image.coalitions, text.coalitions)
    own = _Blocks(tables, image, text)
    scores = own.scores()
    drawn = [side for side in (image, text) if side.name != "enumeration"]
    if drawn and bootstrap:
        rng = np.random.default_rng(seed)
        weights = [
            np.tile(side.weights, (bootstrap, 1))
            if side not in drawn
            else resample(side.weights, bootstrap, rng)
            for side in (image, text)
        ]
        found = own.bootstrapped(*weights)
        for name, score in scores.items():
            if score.r2 is not None:
                r2 = quantiles(found[name][0], level)
                pearson = None if np.isnan(score.pearson) else quantiles(found[name][1], level)
                scores[name] = BlockScore(score.share, score.r2, score.pearson, score.spearman, r2, pearson)
    return BlockFaithfulness(scores, p, (len(image), len(text)))


def _fresh(n: int, p: float, side: str, m: int | None, seed: int) -> Design:
    """Coalitions of a side to judge on: all of them where they are few, else draws that no fit uses."""
    if m is None and n <= MOST_EXACT_SIDE:
        return enumeration(n, p)
    m = {"image": 512, "text": 256}[side] if m is None else m
    if check_count(f"m_{side}", m) < 2:
        raise ValueError(f"m_{side} = {m}; expected at least 2")
    rows = draw(n, p, m, seed, STREAMS[side] + STREAMS["evaluation"])
    return Design(rows, np.full(m, 1 / m), p, "held_out", seed)


class _Blocks:
    """Sums of squares of each block of a game, of an explanation, and of their difference.

    The three give R² and the correlation: ``2 ν·ν̂ = ν·ν + ν̂·ν̂ - (ν - ν̂)·(ν - ν̂)``.
    """

    def __init__(self, tables: tuple[np.ndarray, np.ndarray], image: Design, text: Design) -> None:
        tables = [*tables, tables[0] - tables[1]]
        self.offset = tables[2].mean()  # a constant changes no block but counts as an error of the whole
        self.tables = [table - table.mean() for table in tables]
        self.image, self.text = image, text

    def parts(self, table: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Each block of a table as numbers (m,) with their weights (m,)."""
        a, b = self.image.weights, self.text.weights
        both = np.outer(a, b).ravel()
        rows, columns = table @ b, a @ table
        rows, columns = rows - a @ rows, columns - b @ columns
        centred = table - a @ table @ b
        found = {
            "all": (centred.ravel(), both),
            "patches": (rows, a),
            "words": (columns, b),
            "cross-modal": ((centred - rows[:, None] - columns).ravel(), both),
        }
        for name, series, side in self._sides(rows, columns):
            found[name] = beyond_first_order(series, side.coalitions, side.weights), side.weights
        return found

    def _sides(self, rows: np.ndarray, columns: np.ndarray) -> list:
        """The blocks within a modality that the draws suffice for: name, part, design."""
        both = (("within patches", rows, self.image), ("within words", columns, self.text))
        return [one for one in both if len(one[2]) > one[2].n + 1]

    def scores(self) -> dict[str, BlockScore]:
        """Of the sample as it is."""
        own, theirs, error = (self.parts(table) for table in self.tables)
        gap = self.image.weights @ self.tables[2] @ self.text.weights + self.offset
        total, found = own["all"][1] @ own["all"][0] ** 2, {}
        for name, (values, weights) in own.items():
            spread = weights @ values**2
            if total == 0 or spread <= 1e-18 * total:
                found[name] = BlockScore(0.0, None, float("nan"), float("nan"))
                continue
            wrong = weights @ error[name][0] ** 2 + (gap**2 if name == "all" else 0)
            guess = theirs[name][0]
            silent = (
                weights @ guess**2 <= 1e-18 * total
            )  # the explanation says nothing here; the rest is rounding
            found[name] = BlockScore(
                float(spread / total),
                float(1 - wrong / spread),
                float("nan") if silent else pearson_correlation(values, guess, weights),
                float("nan") if silent else spearman_correlation(values, guess, weights),
            )
        return found

    def bootstrapped(self, a: np.ndarray, b: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """R² and correlation of each block for bootstrap weights (draws, m_image) and (draws, m_text)."""
        own, theirs, error = (self._squares(table, a, b) for table in self.tables)
        gap = np.einsum("bi,ij,bj->b", a, self.tables[2], b, optimize=True) + self.offset
        found = {}
        for name in own:
            wrong = error[name] + (gap**2 if name == "all" else 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                pearson = (own[name] + theirs[name] - error[name]) / 2 / np.sqrt(own[name] * theirs[name])
                found[name] = 1 - wrong / own[name], pearson
        return found

    def _squares(self, table: np.ndarray, a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
        """Mean square of each block, (draws,): those of one table add up, as the blocks are orthogonal."""
        rows, columns = table @ b.T, (a @ table).T  # (m_image, draws), (m_text, draws)
        mean = np.einsum("bi,ib->b", a, rows)
        everything = np.einsum("bi,bi->b", a @ table**2, b) - mean**2
        patches = np.einsum("bi,ib->b", a, (rows - mean) ** 2)
        words = np.einsum("bj,jb->b", b, (columns - mean) ** 2)
        found = {"all": everything, "patches": patches, "words": words}
        found["cross-modal"] = np.maximum(everything - patches - words, 0)
        for name, series, side in self._sides(rows, columns):
            weights = a if side is self.image else b
            rest = [
                w @ beyond_first_order(one, side.coalitions, w) ** 2
                for one, w in zip(series.T, weights, strict=True)
            ]
            found[name] = np.array(rest)
        return found


def beyond_first_order(values: np.ndarray, coalitions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What is left of ``values`` (m,) after weighted regression on a constant and the single players, (m,)."""
    columns = np.column_stack([np.ones(len(values)), coalitions])
    gram = columns.T @ (weights[:, None] * columns)
    # a bootstrap draw may leave a player always visible: least squares of smallest norm
    return values - columns @ np.linalg.lstsq(gram, columns.T @ (weights * values), rcond=None)[0]
