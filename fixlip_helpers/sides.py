"""Side fits: each tower is regressed once, an explanation is their inner product (the factorisation theorem).

For a two-sided game ``scale * <f(x), g(y)> + bias`` the measure ``P_p`` is a product, so every Fourier
coefficient of the game is an inner product of vector coefficients of its sides::

    c_(r, s) = scale * <f_r, g_s>,    f_r = E[f φ_r],    g_s = E[g φ_s]    (+ bias at the constant)

:func:`fit_side` estimates the vectors of one side up to order two, by one regression with d targets;
:func:`combine` takes the inner products. A picture's :class:`Side` is saved, loaded and combined with any
number of captions, and the reverse: nothing is encoded twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from fixlip_helpers.coalitions import (
    STREAMS,
    Design,
    UnderdeterminedError,
    blocks,
    check_count,
    choose_design,
    coalition_keys,
    draw,
    empty_and_full,
    enumeration,
    n_monomials,
    plain,
)
from fixlip_helpers.explanation import (
    Explanation,
    model_names,
    player_names,
    same_model,
    to_set_basis,
)
from fixlip_helpers.files import load_arrays, save_arrays
from fixlip_helpers.games import TwoSidedGame, checked_embeddings
from fixlip_helpers.regression import SideRegression, predict, shrink_pairs
from fixlip_helpers.show import POOR_FIT, Pictured, count, share
from fixlip_helpers.uncertainty import Spread, spread_of, standard_errors
from fixlip_helpers.wls import split_monomials, unpack

TEXT_FACTS = ("caption", "words", "text_removal")
"""What belongs to the caption in a game's ``meta``; :data:`SHARED_FACTS` belong to both, the rest to the image."""

SHARED_FACTS = ("model", "fingerprint")
"""What a game's ``meta`` says of its model, by which a side knows its partner."""


# --- A side, encoded ----------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class EncodedSide(Pictured):
    """One side of a game with every embedding that an estimator needs, each coalition encoded once.

    ``design`` and ``embeddings`` (m, d) are fitted; ``ridge_rows`` and their embeddings choose the
    penalty; ``held_out`` (a Design) and its embeddings judge the fit; ``ends`` (2, d) belong to the empty
    and the full coalition.
    """

    modality: str
    p: float
    players: list[str]
    design: Design
    embeddings: np.ndarray
    ridge_rows: np.ndarray
    ridge_embeddings: np.ndarray
    held_out: Design
    held_out_embeddings: np.ndarray
    ends: np.ndarray
    scale: float
    bias: float
    meta: dict


def encode_side(
    game: TwoSidedGame,
    modality: str,
    design: Design,
    seed: int = 0,
    n_ridge: int = 128,
    n_held_out: int = 256,
) -> EncodedSide:
    """Encode a design, ``n_ridge`` and ``n_held_out`` further draws, the empty and the full coalition."""
    start = perf_counter()
    if modality not in ("image", "text"):
        raise ValueError(f"modality = {modality!r}; expected 'image' or 'text'")
    is_image = modality == "image"
    n, encode = (game.n_image, game.encode_images) if is_image else (game.n_text, game.encode_texts)
    stream = STREAMS[modality]
    ridge_rows = draw(n, design.p, n_ridge, seed, stream + STREAMS["ridge"])
    held_out = draw_held_out(design, design.p, n_held_out, seed, stream + STREAMS["held_out"])
    rows = [design.coalitions, ridge_rows, held_out.coalitions, empty_and_full(n)]
    (fitted, ridge, judged, ends), passes, encoding = evaluate_once(
        lambda coalitions: checked_embeddings(game, modality, coalitions, encode(coalitions)), rows
    )
    names = list(getattr(game, "players", None) or player_names(game.n_image, game.n_text))
    facts = getattr(game, "meta", {})
    meta = {
        key: fact for key, fact in facts.items() if key in SHARED_FACTS or (key in TEXT_FACTS) != is_image
    }
    meta["design"] = {"name": design.name, "coalitions": len(design), "seed": design.seed}
    meta["passes"] = passes
    meta["seconds"] = {"encoder": encoding, "outside": perf_counter() - start - encoding}
    encoded = EncodedSide(
        modality=modality,
        p=design.p,
        players=names[:n] if is_image else names[-n:],
        design=design,
        embeddings=fitted,
        ridge_rows=ridge_rows,
        ridge_embeddings=ridge,
        held_out=held_out,
        held_out_embeddings=judged,
        ends=ends,
        scale=float(game.scale),
        bias=float(game.bias),
        meta=meta,
    )
    if is_image:
        encoded.picture = getattr(game, "picture", None)
    return encoded


def evaluate_once(evaluate: Callable, parts: list[np.ndarray]) -> tuple[list[np.ndarray], int, float]:
    """Encode (or evaluate a game on) several arrays of coalitions at once, each distinct coalition once.

    Returns
    -------
    results : list of ndarray, float64, one for each part
    passes : int
        Number of distinct coalitions.
    seconds : float
        Time in ``evaluate``.
    """
    rows = np.concatenate(parts)
    _, first, back = np.unique(coalition_keys(rows), return_index=True, return_inverse=True)
    start = perf_counter()
    distinct = np.asarray(evaluate(rows[first]), dtype=float)
    seconds = perf_counter() - start
    return np.split(distinct[back], np.cumsum([len(part) for part in parts])[:-1]), len(first), seconds


def draw_held_out(design: Design, p: float, m: int, seed: int, stream: int) -> Design:
    """Draws from ``P_p`` that the design lacks; all coalitions, where it lacks none or they are few."""
    if design.name == "enumeration":
        return design
    if 2**design.n <= m:
        return enumeration(design.n, p)
    rows = draw(design.n, p, m, seed, stream)
    rows = rows[~np.isin(coalition_keys(rows), coalition_keys(design.coalitions))]
    if len(rows) == 0:
        return enumeration(design.n, p)
    return Design(rows, np.full(len(rows), 1 / len(rows)), p, "held_out", seed)


# --- A side, fitted -----------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Side(Pictured):
    """What one tower contributes to every explanation that it takes part in.

    Attributes
    ----------
    modality : str
        ``"image"`` or ``"text"``.
    p : float
    players : list of str
        Names of the n players of this side.
    coefficients : ndarray, shape (K, d), float64
        Vector Fourier coefficients, in the order of :func:`~fixlip_helpers.coalitions.monomials`; those of pairs
        are left out, shape (n + 1, d), where the fit is of order one.
    ridge : float
        Penalty on the second-order block, 0 for least squares.
    held_out : Design
        Coalitions from ``P_p`` that were not fitted; all coalitions where the side was enumerated.
    held_out_embeddings : ndarray, shape (m_held_out, d)
    ends : ndarray, shape (2, d)
        Embeddings of the empty and of the full coalition.
    scale, bias : float
        The game's.
    meta : dict
        JSON-able: design, passes, seconds, solver, and the game's own facts (model, caption, grid, ...).
    spread : Spread, optional
        What standard errors are computed from, where they were asked for and anything was drawn.
    """

    modality: str
    p: float
    players: list[str]
    coefficients: np.ndarray
    ridge: float
    held_out: Design
    held_out_embeddings: np.ndarray
    ends: np.ndarray
    scale: float
    bias: float
    meta: dict
    spread: Spread | None = None

    @property
    def enumerated(self) -> bool:
        """Whether all coalitions were fitted, so that nothing was left to chance."""
        return self.meta["design"]["name"] == "enumeration"

    @property
    def order(self) -> int:
        """2, or 1 where pairs were left out."""
        return 2 if len(self.coefficients) == n_monomials(len(self.players)) else 1

    def predict(self, coalitions: np.ndarray) -> np.ndarray:
        """Embeddings by the fit: (m, n) bool -> (m, d) float64."""
        return predict(self.coefficients, coalitions, self.p)

    def vectors(self, numbers: np.ndarray) -> np.ndarray:
        """Coefficients of the monomials with these numbers, (k,) int -> (k, d): 0 for pairs that were left out."""
        vectors = np.zeros((len(numbers), self.coefficients.shape[1]))
        known = numbers < len(self.coefficients)
        vectors[known] = self.coefficients[numbers[known]]
        return vectors

    @property
    def held_out_r2(self) -> float | None:
        """Share of the embeddings' variance under ``P_p`` that the fit explains, on held-out coalitions."""
        return r_squared(
            self.held_out_embeddings, self.predict(self.held_out.coalitions), self.held_out.weights
        )

    def summary(self) -> str:
        """A few lines of text: what was fitted, how, from how many passes, and how well.

        A fit is called poor where its held-out R² is below :data:`~fixlip_helpers.explanation.POOR_FIT`.
        """
        meta, r2 = self.meta, self.held_out_r2
        of = f" of {meta['model']}" if "model" in meta else ""
        design = meta["design"]
        penalty = {"ridge": f"ridge {self.ridge:g}", "shrinkage": "pairs shrunken"}[meta["penalty"]]
        lines = [
            f"{self.modality} side{of}: {len(self.players)} players, p = {self.p:g}; "
            f"{design['name']}, {design['coalitions']} coalitions; {meta['passes']} passes",
            f"order {self.order}{f', {penalty}' if self.order == 2 else ''}; solver: {meta['solver']}",
            "held-out R²: " + ("unknown, the embeddings do not vary" if r2 is None else f"{r2:.3f}"),
        ]
        if r2 is not None and r2 < POOR_FIT:
            lines.append(
                f"poor fit: below {POOR_FIT:g}; more coalitions, coarser players or a larger p may help"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        of = f" of {self.meta['model']}" if "model" in self.meta else ""
        design, r2 = self.meta["design"], self.held_out_r2
        facts = [
            count(len(self.players), "player"),
            f"p = {self.p:g}",
            f"{design['name']} of {count(design['coalitions'], 'coalition')}",
            f"order {self.order}",
            *([f"ridge {self.ridge:g}"] if self.ridge else []),
            f"held-out R² {'unknown' if r2 is None else share(r2)}",
        ]
        return f"<{self.modality} side{of}: {', '.join(facts)}>"

    def __str__(self) -> str:
        return self.summary()

    def save(self, path: str | os.PathLike) -> Path:
        """Write as safetensors with JSON metadata, whole or not at all; returns the path."""
        arrays = {
            "coefficients": self.coefficients,
            "held_out_coalitions": self.held_out.coalitions,
            "held_out_weights": self.held_out.weights,
            "held_out_embeddings": self.held_out_embeddings,
            "ends": self.ends,
        }
        if self.spread is not None:
            design = self.spread.design
            arrays |= {"spread_coalitions": design.coalitions, "spread_weights": design.weights}
            arrays |= {"spread_changes": self.spread.changes}
            for name in ("groups", "draws"):
                if getattr(design, name) is not None:
                    arrays[f"spread_{name}"] = getattr(design, name)
        facts = {
            name: getattr(self, name)
            for name in ("modality", "p", "players", "ridge", "scale", "bias", "meta")
        }
        facts["held_out"] = [self.held_out.name, self.held_out.seed]
        return save_arrays(path, "fixlip-side", arrays, plain(facts))

    @classmethod
    def load(cls, path: str | os.PathLike) -> Side:
        """Read what :meth:`save` wrote; ValueError names the file if it is not a side."""
        try:
            arrays, facts = load_arrays(path, "fixlip-side")
            coalitions, weights = arrays.pop("held_out_coalitions"), arrays.pop("held_out_weights")
            held_out = Design(coalitions, weights, facts["p"], *facts.pop("held_out"))
            drawn = {
                k.removeprefix("spread_"): arrays.pop(k) for k in list(arrays) if k.startswith("spread_")
            }
            spread = None
            if drawn:
                changes, made = drawn.pop("changes"), facts["meta"]["design"]
                spread = Spread(Design(p=facts["p"], name=made["name"], seed=made["seed"], **drawn), changes)
            return cls(held_out=held_out, spread=spread, **arrays, **facts)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a saved side: {error}") from error


def fit_side(
    game: TwoSidedGame,
    modality: str,
    p: float = 0.5,
    design: str | Design = "auto",
    m: int | None = None,
    seed: int = 0,
    ridge: float | None = None,
    n_held_out: int = 256,
    errors: bool = False,
    order: int | None = None,
    penalty: str = "ridge",
) -> Side:
    """Fit the vector coefficients of one side of a two-sided game.

    Parameters
    ----------
    game : TwoSidedGame
    modality : str
        ``"image"`` or ``"text"``.
    p : float
    design : str or Design
        ``"auto"``, a key of :data:`~fixlip_helpers.coalitions.DESIGNS`, or the coalitions themselves (made
        for the same ``p``).
    m : int, optional
        Number of coalitions to draw; without it the design's own default.
    seed : int
    ridge : float, optional
        Penalty on the second-order block, added to the diagonal of its Gram matrix (0: least squares).
        Without it the best of :data:`~fixlip_helpers.regression.RIDGES` on ``n_held_out // 2`` further draws, and
        0 where the side is enumerated.
    n_held_out : int
        Coalitions that are encoded besides and never fitted, from which ``held_out_r2`` is computed.
    errors : bool
        Keep what standard errors are computed from (:mod:`~fixlip_helpers.uncertainty`). A penalty would bias what
        they are errors of: without ``ridge`` it is then 0. ``"auto"`` draws independently where it does not enumerate.

    Returns
    -------
    Side

    Raises
    ------
    UnderdeterminedError
        If there are fewer coalitions than terms of order one or, without penalty, than terms up to order two.
    NotConvergedError
        If the matrix-free solver does not converge.
    ValueError
        If an argument is not one of those listed.

    Examples
    --------
    >>> from fixlip_helpers.games import random_embeddings
    >>> game = random_embeddings(4, 3)
    >>> explanation = combine(fit_side(game, "image"), fit_side(game, "text"))
    >>> explanation.n_image, explanation.n_text
    (4, 3)
    """
    if modality not in ("image", "text"):
        raise ValueError(f"modality = {modality!r}; expected 'image' or 'text'")
    if errors and ridge:
        raise ValueError(f"ridge = {ridge!r}; standard errors are those of least squares: expected 0 or None")
    if ridge is not None and not 0 <= ridge < np.inf:
        raise ValueError(f"ridge = {ridge!r}; expected a number, 0 or more")
    if order not in (None, 1, 2):
        raise ValueError(f"order = {order!r}; expected 1, 2 or None")
    if penalty not in ("ridge", "shrinkage"):
        raise ValueError(f"penalty = {penalty!r}; expected 'ridge' or 'shrinkage'")
    if (order == 1 or penalty == "shrinkage") and (errors or ridge or (order == 1 and penalty != "ridge")):
        raise ValueError(
            "order = 1 and penalty = 'shrinkage' exclude each other, a ridge and errors: choose one of them"
        )
    if check_count("n_held_out", n_held_out) < 2:
        raise ValueError(f"n_held_out = {n_held_out}; expected at least 2")
    start = perf_counter()
    n = game.n_image if modality == "image" else game.n_text
    design = choose_design(modality, n, p, design, m, seed, independently=errors)
    if order == 1:
        ridge = np.inf
    elif ridge is None and (errors or penalty == "shrinkage" or design.name == "enumeration"):
        ridge = 0.0
    needed = n_monomials(design.n) if ridge == 0 else 1 + design.n
    if len(design) < needed:
        raise UnderdeterminedError(
            f"{len(design)} distinct {modality} coalitions do not identify {needed} terms of {design.n} "
            f"players: at least {needed} passes are needed"
        )
    drawing = perf_counter() - start
    side = encode_side(game, modality, design, seed, n_held_out // 2 if ridge is None else 0, n_held_out)
    start = perf_counter()
    regression = SideRegression(design, side.embeddings)
    if ridge is None:
        ridge, coefficients = regression.choose_ridge(side.ridge_rows, side.ridge_embeddings, order == 2)
    else:
        coefficients = regression(ridge)
    if penalty == "shrinkage" and design.name != "enumeration":
        coefficients = shrink_pairs(coefficients, design, side.embeddings)
    side.meta |= {"solver": regression.method, "penalty": penalty}
    spread = spread_of(design, side.embeddings, coefficients) if errors else None
    side.meta["seconds"]["outside"] += drawing + perf_counter() - start
    kept = ("modality", "p", "players", "held_out", "held_out_embeddings", "ends", "scale", "bias", "meta")
    own = {name: getattr(side, name) for name in kept}
    ridge = 0.0 if np.isinf(ridge) else float(ridge)  # of order one there is nothing to penalise
    fitted = Side(coefficients=coefficients, ridge=ridge, spread=spread, **own)
    fitted.picture = side.picture
    return fitted


# --- From two sides to an explanation -----------------------------------------------------


def combine(image: Side, text: Side, errors: bool = False) -> Explanation:
    """The explanation of a picture and a caption from their sides: inner products, no encoder pass.

    Parameters
    ----------
    image, text : Side
        Of the same encoder and the same ``p``.
    errors : bool
        Add standard errors; both sides must have been fitted with ``errors=True`` (or enumerated).

    Returns
    -------
    Explanation
        Index ``"FWBII"``; ``meta["held_out_r2"]`` is its R² on all pairs of held-out coalitions.

    Raises
    ------
    ValueError
        If the sides are not an image and a text side of the same model, ``p``, scale, bias and width.
    """
    start = perf_counter()
    if (image.modality, text.modality) != ("image", "text"):
        raise ValueError(f"expected an image side and a text side; got {image.modality} and {text.modality}")
    check_partners(image, text)
    n_image, n_text = len(image.players), len(text.players)
    r, s = split_monomials(n_image, n_text)
    products = [
        np.einsum("kd,kd->k", image.vectors(r[terms]), text.vectors(s[terms]))
        for terms in blocks(len(r), 16_384)
    ]
    coefficients = image.scale * np.concatenate(products)
    coefficients[0] += image.bias
    terms = to_set_basis(*unpack(coefficients, n_image + n_text), image.p)
    facts = {
        "solver": "sides",
        "solved_by": {side.modality: side.meta["solver"] for side in (image, text)},
        "order": {side.modality: side.order for side in (image, text)},
        "ridge": {"image": image.ridge, "text": text.ridge},
        "side_r2": {"image": image.held_out_r2, "text": text.held_out_r2},
    }
    explanation = assemble(terms, image, text, facts, start)
    if errors:
        start = perf_counter()
        explanation.errors = standard_errors(image, text)
        explanation.meta["seconds"]["outside"] += perf_counter() - start
    return explanation


def check_partners(one: Side, other: Side) -> None:
    """ValueError if two sides, of whatever modalities, are not of the same model, ``p``, scale, bias and width."""
    for name in ("p", "scale", "bias"):
        if getattr(one, name) != getattr(other, name):
            raise ValueError(f"the sides differ in {name}: {getattr(one, name)} and {getattr(other, name)}")
    if one.ends.shape[1] != other.ends.shape[1]:
        raise ValueError(
            f"{one.modality} embeddings have {one.ends.shape[1]} numbers, {other.modality} embeddings "
            f"{other.ends.shape[1]}; expected equally many"
        )
    check_same_model(one.meta, other.meta, "the sides")


def check_same_model(one: Mapping, other: Mapping, what: str) -> None:
    """ValueError if two ``meta`` belong to two models, whatever they are called (``what`` they are of: a plural)."""
    if not same_model(one, other):
        raise ValueError(f"{what} belong to different encoders: {' and '.join(model_names(one, other))}")


def assemble(
    terms: tuple, image: Side | EncodedSide, text: Side | EncodedSide, facts: dict, start: float
) -> Explanation:
    """An explanation from its terms, judged on all pairs of the sides' held-out coalitions."""
    values = image.scale * image.held_out_embeddings @ text.held_out_embeddings.T + image.bias
    empty_value, full_value = (image.scale * (image.ends * text.ends).sum(axis=1) + image.bias).tolist()
    own = ("design", "passes", "seconds", "solver", "penalty")
    meta = {key: v for side in (text, image) for key, v in side.meta.items() if key not in own}
    meta |= {"method": "FIxLIP", "sampling": "cross", **facts, "full_value": full_value}
    meta |= {name: {"image": image.meta[name], "text": text.meta[name]} for name in ("design", "passes")}
    baseline, main, pairs = terms
    explanation = Explanation(
        baseline=baseline,
        empty_value=empty_value,
        main=main,
        pairs=pairs,
        index="FWBII",
        p=image.p,
        players=image.players + text.players,
        n_image=len(image.players),
        n_text=len(text.players),
        meta=meta,
    )
    explanation.picture = image.picture
    predictions = explanation.predict_pairs(image.held_out.coalitions, text.held_out.coalitions)
    weights = np.outer(image.held_out.weights, text.held_out.weights)
    meta["held_out_r2"] = r_squared(values.ravel(), predictions.ravel(), weights.ravel())
    meta["held_out_r2_interval"] = r_squared_interval(values, predictions, image.held_out, text.held_out)
    seconds = [
        image.meta["seconds"],
        text.meta["seconds"],
        {"encoder": 0.0, "outside": perf_counter() - start},
    ]
    meta["seconds"] = {key: sum(part[key] for part in seconds) for key in ("encoder", "outside")}
    return explanation


def r_squared(values: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float | None:
    """``1 - Σ w |v - v̂|² / Σ w |v - mean|²`` of m numbers or vectors; None where the values do not vary."""
    values, predictions = (np.reshape(a, (len(weights), -1)) for a in (values, predictions))
    spread = weights @ (values - weights @ values / weights.sum()) ** 2
    if spread.sum() <= 1e-24 * (weights @ values**2).sum():
        return None
    return float(1 - (weights @ (values - predictions) ** 2).sum() / spread.sum())


def r_squared_interval(
    values: np.ndarray,
    predictions: np.ndarray,
    image: Design,
    text: Design,
    level: float = 0.95,
    times: int = 400,
) -> list[float] | None:
    """Bootstrap interval of R² on all pairs of held-out coalitions, which are drawn anew side by side.

    Parameters
    ----------
    values, predictions : ndarray, shape (m_I, m_T)
    image, text : Design
        The held-out coalitions of each side; one that lists all coalitions keeps them.
    level : float
    times : int
        How often.

    Returns
    -------
    [low, high], or None where the values do not vary
    """
    rng = np.random.default_rng(0)
    drawn = [
        np.tile(side.weights, (times, 1))
        if side.name == "enumeration"
        else rng.multinomial(len(side), side.weights / side.weights.sum(), times) / len(side)
        for side in (image, text)
    ]

    def mean(of: np.ndarray) -> np.ndarray:
        return np.einsum("bi,ij,bj->b", drawn[0], of, drawn[1], optimize=True)

    around = values - values.mean()
    spread = mean(around**2) - mean(around) ** 2
    if (spread <= 1e-12 * np.abs(values).max() ** 2).any():
        return None
    r2 = 1 - mean((values - predictions) ** 2) / spread
    return [float(q) for q in np.quantile(r2, [(1 - level) / 2, (1 + level) / 2])]
