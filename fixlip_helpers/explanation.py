"""Explanations: a constant, a number for every player, a number for every pair.

A second-order explanation is the *surrogate game*

    predict(x) = baseline + Σ_i main_i x_i + Σ_{i<j} pairs_ij x_i x_j

over visible players x. The same game can be written in the p-biased Fourier basis, where
``z_i = (x_i - p) / σ``, ``σ² = p (1 - p)``, and the products ``1, z_i, z_i z_j`` are orthonormal
under ``P_p``; :func:`to_set_basis` and :func:`to_fourier_basis` go from one to the other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fixlip_helpers.coalitions import as_coalitions, check_count, check_p, plain
from fixlip_helpers.files import written_whole
from fixlip_helpers.show import (
    POOR_FIT,
    Pictured,
    colour_limit,
    count,
    digits_for,
    explanation_html,
    explanation_text,
    framed,
    signed,
    terms_table,
)

if TYPE_CHECKING:
    import shapiq

INDICES = ("FWBII", "FSII", "exCLIP", "first-order")
"""Kinds of explanation, which differ in how a pair is shared among its players (see ``first_order``):
faithful weighted Banzhaf (FIxLIP-p), faithful Shapley, exCLIP, and methods without pairs."""

FORMAT, VERSION = "fixlip-explanation", 1
SCHEMA = Path(__file__).parent / "assets" / "explanation.schema.json"


# --- Two bases for the same surrogate -----------------------------------------------------


def to_set_basis(constant: float, linear: np.ndarray, pairs: np.ndarray, p: float) -> tuple:
    """From Fourier coefficients ``c`` to the terms ``e`` of an explanation.

    ``e_ij = c_ij / σ²``, ``e_i = c_i / σ - p Σ_j e_ij``,
    ``e_∅ = c_∅ - (p / σ) Σ_i c_i + (p² / σ²) Σ_{i<j} c_ij``.

    Parameters
    ----------
    constant : float
    linear : ndarray, shape (n,)
    pairs : ndarray, shape (n, n), symmetric with zero diagonal
    p : float

    Returns
    -------
    baseline, main, pairs
        Of the same shapes.
    """
    sigma = np.sqrt(p * (1 - p))
    e_pairs = pairs / sigma**2
    e_main = linear / sigma - p * e_pairs.sum(axis=1)
    baseline = constant - p / sigma * linear.sum() + p**2 * e_pairs.sum() / 2
    return float(baseline), e_main, e_pairs


def to_fourier_basis(baseline: float, main: np.ndarray, pairs: np.ndarray, p: float) -> tuple:
    """The inverse of :func:`to_set_basis`: Fourier coefficients ``constant, linear, pairs``."""
    sigma = np.sqrt(p * (1 - p))
    linear = sigma * (main + p * pairs.sum(axis=1))
    constant = baseline + p * main.sum() + p**2 * pairs.sum() / 2
    return float(constant), linear, sigma**2 * pairs


# --- The explanation ----------------------------------------------------------------------


class Term(NamedTuple):
    """One term of an explanation: its players (numbers), their names, and its value in logits."""

    players: tuple[int, ...]
    names: tuple[str, ...]
    value: float

    def __repr__(self) -> str:
        return f"<{' × '.join(self.names)}: {signed(self.value, digits_for(colour_limit(self.value)))}>"


class Terms(list):
    """Terms, strongest first: a list that shows itself as a table."""

    def __repr__(self) -> str:
        limit = colour_limit(np.array([term.value for term in self]))
        numbers = [signed(term.value, digits_for(limit)) for term in self]
        width = max(map(len, numbers), default=0)
        lines = [
            f"{number:>{width}}  {' × '.join(term.names)}" for number, term in zip(numbers, self, strict=True)
        ]
        return "\n".join(lines) or "no terms"

    def _repr_html_(self) -> str:
        return framed(terms_table(self)) if self else "no terms"


@dataclass(eq=False, repr=False)
class StandardErrors:
    """Standard errors of an explanation's numbers, in the game's unit (see :mod:`~fixlip_helpers.uncertainty`).

    Attributes
    ----------
    baseline : float
    main, first_order : ndarray, shape (n,)
        Of the main effects, and of the values ``e_i + p Σ_j e_ij``.
    pairs : ndarray, shape (n, n)
    cross_totals : ndarray, shape (n,)
        Of each player's sum of interactions with all players of the other modality.
    degrees_of_freedom : int or None
        Of Student's t for intervals; None where nothing was drawn, and the errors are 0.
    """

    baseline: float
    main: np.ndarray
    pairs: np.ndarray
    first_order: np.ndarray
    cross_totals: np.ndarray
    degrees_of_freedom: int | None

    def __repr__(self) -> str:
        largest = self.pairs.max(initial=0)
        return f"<standard errors of {count(len(self.main), 'player')}: a pair's at most {largest:.3g}>"

    def multiplier(self, level: float = 0.95) -> float:
        """How many standard errors an interval of that level extends to each side."""
        if not 0 < level < 1:
            raise ValueError(f"level = {level!r}; expected a number between 0 and 1")
        if self.degrees_of_freedom is None:
            return 0.0
        from scipy.stats import t

        return float(t.ppf((1 + level) / 2, self.degrees_of_freedom))

    def to_dict(self) -> dict:
        """JSON-able; ``pairs`` as in :meth:`Explanation.to_dict`."""
        return {
            "baseline": float(self.baseline),
            "main": self.main.tolist(),
            "pairs": self.pairs[np.triu_indices(len(self.main), 1)].tolist(),
            "first_order": self.first_order.tolist(),
            "cross_totals": self.cross_totals.tolist(),
            "degrees_of_freedom": plain(self.degrees_of_freedom),
        }

    @classmethod
    def from_dict(cls, record: dict) -> StandardErrors:
        """The inverse of :meth:`to_dict`."""
        arrays = {
            name: np.array(record[name], dtype=float) for name in ("main", "first_order", "cross_totals")
        }
        pairs = from_upper_triangle(record["pairs"], len(arrays["main"]))
        return cls(record["baseline"], pairs=pairs, degrees_of_freedom=record["degrees_of_freedom"], **arrays)


def from_upper_triangle(numbers: Sequence[float], n: int) -> np.ndarray:
    """Symmetric (n, n) with zero diagonal from its upper triangle, row by row; ValueError for another count."""
    upper = np.triu_indices(n, 1)
    if len(numbers) != len(upper[0]):
        raise ValueError(f"pairs has {len(numbers)} numbers; expected {len(upper[0])}, the upper triangle")
    pairs = np.zeros((n, n))
    pairs[upper] = numbers
    return pairs + pairs.T


@dataclass(eq=False, repr=False)
class Explanation(Pictured):
    """A second-order explanation of a game on image and text players.

    Parameters
    ----------
    baseline : float
        The constant term ``e_∅``; not the game's value of the empty coalition.
    empty_value : float or None
        The game's own value of the empty coalition, where known.
    main : array_like, shape (n,)
        ``e_i``, float64, in the game's unit (logits); image players first, then text players.
    pairs : array_like, shape (n, n)
        ``e_ij``, float64, symmetric with zero diagonal.
    index : str
        What the terms are: one of :data:`INDICES`.
    p : float or None
        The ``p`` of FIxLIP-p; needed for index ``"FWBII"``.
    players : list of str
        Names of the n players.
    n_image, n_text : int
        How many players are patches and how many are tokens.
    meta : dict
        JSON-able facts: method, model, caption, grid ``[rows, columns]``, design, solver, passes,
        seconds, held_out_r2, full_value, seed, ...
    errors : StandardErrors, optional
        Where they were asked for.

    Attributes
    ----------
    picture : Picture or picture, optional
        What is drawn on, in a notebook and by ``plots``: of the game that was explained; neither saved nor compared.

    Raises
    ------
    ValueError
        If a shape, the symmetry, the index or ``p`` is wrong, or a number is not finite.
    """

    baseline: float
    empty_value: float | None
    main: np.ndarray
    pairs: np.ndarray
    index: str
    p: float | None
    players: list[str]
    n_image: int
    n_text: int
    meta: dict = field(default_factory=dict)
    errors: StandardErrors | None = None

    def __post_init__(self) -> None:
        self.baseline = float(self.baseline)
        self.empty_value = None if self.empty_value is None else float(self.empty_value)
        self.n_image, self.n_text = check_count("n_image", self.n_image), check_count("n_text", self.n_text)
        self.main = np.array(self.main, dtype=float)
        self.pairs = np.array(self.pairs, dtype=float)
        self.players = [str(name) for name in self.players]
        n = self.n_image + self.n_text
        if self.main.shape != (n,) or self.pairs.shape != (n, n) or len(self.players) != n:
            raise ValueError(
                f"main {self.main.shape}, pairs {self.pairs.shape} and {len(self.players)} players do not "
                f"fit n_image + n_text = {self.n_image} + {self.n_text} players"
            )
        if not (
            np.isfinite(self.baseline) and np.isfinite(self.main).all() and np.isfinite(self.pairs).all()
        ):
            raise ValueError("an explanation's numbers must be finite; found NaN or infinity")
        if not np.allclose(self.pairs, self.pairs.T, rtol=1e-9, atol=1e-12) or self.pairs.diagonal().any():
            raise ValueError("pairs must be symmetric with a zero diagonal")
        if self.index not in INDICES:
            raise ValueError(f"index = {self.index!r}; expected one of {', '.join(INDICES)}")
        if self.p is not None or self.index == "FWBII":
            self.p = check_p(self.p)

    @property
    def n_players(self) -> int:
        """Number of players, image and text together."""
        return self.n_image + self.n_text

    # How it shows itself

    def __repr__(self) -> str:
        return explanation_text(self)

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return explanation_html(self)

    # What it says

    def predict(self, coalitions: np.ndarray) -> np.ndarray:
        """The surrogate's values of coalitions: (m, n) bool -> (m,) float64, in the game's unit.

        Examples
        --------
        >>> from fixlip_helpers.datasets import published_clip
        >>> clip = published_clip()[1]["FIxLIP"]
        >>> import numpy as np
        >>> everyone = np.ones((1, clip.n_players), bool)
        >>> round(clip.predict(everyone)[0].item(), 2)
        13.59
        """
        x = as_coalitions(coalitions, self.n_players).astype(float)
        return self.baseline + x @ self.main + 0.5 * ((x @ self.pairs) * x).sum(axis=1)

    def predict_pairs(self, image_coalitions: np.ndarray, text_coalitions: np.ndarray) -> np.ndarray:
        """Values of all pairs of coalitions: (m_I, n_image) and (m_T, n_text) bool -> (m_I, m_T) float64."""
        x = as_coalitions(image_coalitions, self.n_image).astype(float)
        y = as_coalitions(text_coalitions, self.n_text).astype(float)
        image, text = slice(self.n_image), slice(self.n_image, None)
        h_image = x @ self.main[image] + 0.5 * ((x @ self.pairs[image, image]) * x).sum(axis=1)
        h_text = y @ self.main[text] + 0.5 * ((y @ self.pairs[text, text]) * y).sum(axis=1)
        return self.baseline + h_image[:, None] + h_text + x @ self.cross_modal() @ y.T

    def first_order(self) -> np.ndarray:
        """One number for each player: its main effect plus its share of its pairs, shape (n,).

        The share depends on the index: ``p`` for FIxLIP-p, which gives the p-weighted Banzhaf values
        of the surrogate (Theorem 1 of the FIxLIP paper); one half for FSII, which gives Shapley values;
        for exCLIP ``1 / n_text`` to the patch and ``1 / n_image`` to the token.
        """
        if self.index == "exCLIP":
            share = np.repeat(
                [1 / max(self.n_text, 1), 1 / max(self.n_image, 1)], [self.n_image, self.n_text]
            )
        else:
            share = {"FWBII": self.p, "FSII": 0.5, "first-order": 0.0}[self.index]
        return self.main + share * self.pairs.sum(axis=1)

    def cross_modal(self) -> np.ndarray:
        """Interactions of patches (rows) with tokens (columns), shape (n_image, n_text)."""
        return self.pairs[: self.n_image, self.n_image :]

    def largest_error(self) -> float:
        """Largest standard error of a cross-modal interaction; ValueError where the explanation has no errors."""
        if self.errors is None:
            raise ValueError("the explanation has no standard errors; fixlip(..., errors=True) computes them")
        return float(self.errors.pairs[: self.n_image, self.n_image :].max(initial=0.0))

    def variance(self, p: float) -> float:
        """Variance of the surrogate under ``P_p``: the sum of its squared Fourier coefficients."""
        _, linear, pairs = to_fourier_basis(self.baseline, self.main, self.pairs, check_p(p))
        return float((linear**2).sum() + (pairs**2).sum() / 2)

    def top(self, k: int = 10, kind: str = "cross") -> Terms:
        """The ``k`` terms of largest absolute value, largest first.

        ``kind`` is ``"cross"``, ``"image"`` or ``"text"`` (pairs across or within a modality),
        ``"main"`` (single players) or ``"all"``.

        Examples
        --------
        >>> from fixlip_helpers.datasets import published_clip
        >>> for term in published_clip()[1]["FIxLIP"].top(2):
        ...     print(term.players, round(term.value, 2))
        (33, 55) 1.52
        (28, 50) 1.28
        """
        first, second = np.triu_indices(self.n_players, 1)
        tokens = (first >= self.n_image).astype(int) + (second >= self.n_image)
        wanted = {
            "image": tokens == 0,
            "cross": tokens == 1,
            "text": tokens == 2,
            "main": tokens < 0,
            "all": tokens >= 0,
        }
        if kind not in wanted:
            raise ValueError(f"kind = {kind!r}; expected one of {', '.join(wanted)}")
        sets = list(zip(first[wanted[kind]].tolist(), second[wanted[kind]].tolist(), strict=True))
        values = self.pairs[first, second][wanted[kind]]
        if kind in ("main", "all"):
            sets = [(i,) for i in range(self.n_players)] + sets
            values = np.concatenate([self.main, values])
        order = np.argsort(-np.abs(values), kind="stable")[:k]
        return Terms(Term(sets[t], tuple(self.players[i] for i in sets[t]), float(values[t])) for t in order)

    def summary(self, seconds: bool = False) -> str:
        """A few lines of text: what was computed, from how many passes, and how far it can be trusted.

        ``seconds`` adds how long it took, which differs from run to run.
        """
        meta, lines = self.meta, []
        of = f" of {meta['model']}" if "model" in meta else ""
        lines.append(
            f"{meta.get('method', 'Explanation')} ({self.index}"
            f"{'' if self.p is None else f', p = {self.p:g}'}){of}: {self.n_image} image and {self.n_text} text players"
        )
        if "caption" in meta:
            lines.append(f"caption: {meta['caption']}")
        how = [f"sampling {meta['sampling']}"] if "sampling" in meta else []
        if "solver" in meta:
            by = ", ".join(f"{what}: {method}" for what, method in meta.get("solved_by", {}).items())
            how.append(f"solver {meta['solver']}{f' ({by})' if by else ''}")
        how += [
            f"{side}: {design['name']}, {design['coalitions']} coalitions"
            for side, design in meta.get("design", {}).items()
        ]
        if how:
            lines.append("; ".join(how))
        for side, ridge in meta.get("ridge", {}).items():
            if ridge:
                shrunk = f" (an array's are divided by {1 + ridge:g})" * _is_array(meta, side)
                lines.append(f"penalty: ridge {ridge:g} on the pairs of the {side} side{shrunk}")
        if "passes" in meta:
            lines.append("passes: " + ", ".join(f"{count} {side}" for side, count in meta["passes"].items()))
        if meta.get("held_out_r2") is not None:
            low, high = meta.get("held_out_r2_interval") or (None, None)
            span = "" if low is None else f" (95 % interval {low:.3f} to {high:.3f})"
            lines.append(f"held-out R²: {meta['held_out_r2']:.3f}{span}")
        for side, r2 in meta.get("side_r2", {}).items():
            if r2 is not None and r2 < POOR_FIT:
                lines.append(
                    f"POOR FIT of the {side} side: its embeddings' held-out R² is {r2:.3f}, below {POOR_FIT:g}; "
                    f"more {side} coalitions, coarser players or a larger p may help"
                )
        if self.errors is not None:
            lines.append(f"standard error of a cross-modal interaction: {self.largest_error():.3g} at most")
        if "tolerance" in meta:
            asked, stopped = meta["tolerance"]["asked"], meta["tolerance"]["stopped"]
            lines.append(f"asked for {asked:g}; stopped as the {stopped} was reached")
        if seconds and "seconds" in meta:
            parts = [f"{time:.1f} {where}" for where, time in meta["seconds"].items()]
            lines.append(f"seconds: {', '.join(parts)}")
        return "\n".join(lines)

    # What can be done with it

    def merge(self, groups: Mapping[str, Sequence[int]] | Sequence[Sequence[int]]) -> Explanation:
        """Treat each group of players as one: ``hydr`` + ``ant`` become *hydrant*, patches a region.

        ``e_G = Σ_{i∈G} e_i + Σ_{i<j∈G} e_ij`` and ``e_GH = Σ_{i∈G, j∈H} e_ij``; predictions stay the same on
        coalitions that are constant on every group. A group stands where its first member stood. Standard errors are
        dropped, since those of a sum are not the sum of those of its terms.

        Parameters
        ----------
        groups : dict of name -> player numbers, or list of lists of player numbers
            Without names, a group is called after its members, joined by ``+``. Players in no group stay
            alone.

        Raises
        ------
        ValueError
            If a player is unknown or in two groups, or a group is empty or mixes patches with tokens.

        Examples
        --------
        >>> from fixlip_helpers.datasets import published_clip
        >>> clip = published_clip()[1]["FIxLIP"]
        >>> clip.merge({"hydrant": [55, 56]}).players[-3:]
        ['a', 'yellow', 'hydrant']
        """
        named = (
            list(groups.items()) if isinstance(groups, Mapping) else [(None, members) for members in groups]
        )
        parts = [(name, sorted(int(i) for i in members)) for name, members in named]
        grouped = [i for _, members in parts for i in members]
        if len(set(grouped)) < len(grouped) or not set(grouped) <= set(range(self.n_players)):
            raise ValueError(
                f"groups must hold distinct players from 0 to {self.n_players - 1}; got {grouped}"
            )
        for name, members in parts:
            if not members or (members[0] < self.n_image <= members[-1]):
                raise ValueError(f"group {name or members} is empty or mixes patches with tokens")
        parts = [(name or "+".join(self.players[i] for i in members), members) for name, members in parts]
        parts += [(self.players[i], [i]) for i in range(self.n_players) if i not in set(grouped)]
        parts.sort(key=lambda part: part[1][0])
        member = np.zeros((len(parts), self.n_players))
        for row, (_, members) in enumerate(parts):
            member[row, members] = 1
        pairs = member @ self.pairs @ member.T
        main = member @ self.main + pairs.diagonal() / 2
        np.fill_diagonal(pairs, 0)
        n_image = sum(members[0] < self.n_image for _, members in parts)
        stale = (
            {"words"} if n_image == self.n_image else {"words", "grid", "image_groups"}
        )  # they number the players of before
        meta = {key: value for key, value in self.meta.items() if key not in stale}
        names, n_text = [name for name, _ in parts], len(parts) - n_image
        merged = replace(
            self,
            main=main,
            pairs=pairs,
            players=names,
            n_image=n_image,
            n_text=n_text,
            meta=meta,
            errors=None,
        )
        merged.picture = self.picture
        return merged

    def __sub__(self, other: Explanation) -> Explanation:
        """The explanation of the difference of two games with the same number of patches and tokens.

        Players whose names differ are called ``this/that``, and two models ``this − that``, whether or not they have
        one name. Standard errors are dropped: the two may share their coalitions.
        """
        if not isinstance(other, Explanation):
            return NotImplemented
        mine, theirs = ((e.n_image, e.n_text, e.index, e.p) for e in (self, other))
        if mine != theirs:
            raise ValueError(f"explanations differ in (n_image, n_text, index, p): {mine} and {theirs}")
        known = self.empty_value is not None and other.empty_value is not None
        meta = {key: value for key, value in self.meta.items() if other.meta.get(key) == value}
        if "model" in self.meta and "model" in other.meta:
            one_model = same_model(self.meta, other.meta)
            meta["model"] = (
                self.meta["model"] if one_model else " − ".join(model_names(self.meta, other.meta))
            )
        difference = replace(
            self,
            baseline=self.baseline - other.baseline,
            empty_value=self.empty_value - other.empty_value if known else None,
            main=self.main - other.main,
            pairs=self.pairs - other.pairs,
            players=[a if a == b else f"{a}/{b}" for a, b in zip(self.players, other.players, strict=True)],
            meta=meta,
            errors=None,
        )
        if self.picture is other.picture:
            difference.picture = self.picture
        return difference

    # Other forms

    def to_shapiq(self) -> shapiq.InteractionValues:
        """As ``shapiq.InteractionValues`` of order two.

        The index is ``FBII`` for FIxLIP-0.5 and ``FSII`` for FSII. shapiq has no name for the others; their
        terms are passed on as what they are of the surrogate, its ``Moebius`` coefficients.
        """
        import shapiq

        index = (
            "FBII"
            if (self.index, self.p) == ("FWBII", 0.5)
            else "FSII"
            if self.index == "FSII"
            else "Moebius"
        )
        first, second = np.triu_indices(self.n_players, 1)
        values = {(): self.baseline} | {(i,): float(v) for i, v in enumerate(self.main)}
        values |= {(int(i), int(j)): float(self.pairs[i, j]) for i, j in zip(first, second, strict=True)}
        return shapiq.InteractionValues(
            values,
            index=index,
            max_order=2,
            min_order=0,
            n_players=self.n_players,
            baseline_value=self.baseline,
        )

    @classmethod
    def from_shapiq(
        cls,
        values: shapiq.InteractionValues,
        n_image: int | None = None,
        players: list[str] | None = None,
        p: float | None = None,
    ) -> Explanation:
        """From ``shapiq.InteractionValues``: shapiq's own, and those that the FIxLIP release stores.

        Parameters
        ----------
        values : shapiq.InteractionValues
            Of order one (SV, BV, ...) or two: FBII, FSII, and from the release FWBII and exCLIP ("exclip", "xclip").
            The release takes the empty value off first, so that ``baseline`` is then less by that much.
        n_image : int, optional
            How many of the players are patches (default: all of them); the rest are tokens.
        players : list of str, optional
        p : float, optional
            Of FWBII, which the release does not store with the values; default 0.5, as for FBII.

        Raises
        ------
        ValueError
            If the values are of another index or of higher order, or ``p`` is given for an index that has none.
        """
        index = "first-order"
        if values.max_order > 1:
            known = {"FBII": "FWBII", "FWBII": "FWBII", "FSII": "FSII", "exclip": "exCLIP", "xclip": "exCLIP"}
            if values.index not in known or values.max_order > 2:
                raise ValueError(
                    f"values have index {values.index} up to order {values.max_order}; "
                    f"expected {', '.join(known)} of order 2, or order 1"
                )
            index = known[values.index]
        if p is not None and (index != "FWBII" or (values.index == "FBII" and p != 0.5)):
            raise ValueError(f"p = {p!r}; values of index {values.index!r} have no p to choose: leave it out")
        n = values.n_players
        n_image = n if n_image is None else n_image
        baseline, main, pairs = float(values.baseline_value), np.zeros(n), np.zeros((n, n))
        stored = vars(values)
        if "interaction_lookup" in stored:  # pickled by an older shapiq, whose attributes are properties now
            found = {
                members: stored["values"][place] for members, place in stored["interaction_lookup"].items()
            }
        else:
            found = values.interactions
        for members, value in found.items():
            if len(members) == 0:
                baseline = float(value)
            elif len(members) == 1:
                main[members[0]] = value
            else:
                pairs[members] = pairs[members[::-1]] = value
        names = player_names(n_image, n - n_image) if players is None else players
        p = (0.5 if p is None else p) if index == "FWBII" else None
        meta = {"method": f"shapiq {values.index}".strip()}
        return cls(baseline, None, main, pairs, index, p, names, n_image, n - n_image, meta)

    def to_dict(self) -> dict:
        """As JSON-able dictionary, described by ``assets/explanation.schema.json``; ``meta`` in Python's own types.

        ``pairs`` is the upper triangle row by row: (0, 1), (0, 2), ..., (0, n-1), (1, 2), ...
        """
        return {
            "format": FORMAT,
            "version": VERSION,
            "index": self.index,
            "p": self.p,
            "n_image": self.n_image,
            "n_text": self.n_text,
            "players": self.players,
            "baseline": self.baseline,
            "empty_value": self.empty_value,
            "main": self.main.tolist(),
            "pairs": self.pairs[np.triu_indices(self.n_players, 1)].tolist(),
            "meta": plain(self.meta),
        } | ({"errors": self.errors.to_dict()} if self.errors is not None else {})

    @classmethod
    def from_dict(cls, record: dict) -> Explanation:
        """The inverse of :meth:`to_dict`; a picture that a file holds (:meth:`save`) is left there.

        Raises
        ------
        ValueError
            If the record is not an explanation of a known version, or a field is missing or does not fit.
        """
        if not isinstance(record, dict) or (record.get("format"), record.get("version")) != (FORMAT, VERSION):
            raise ValueError(f'not an explanation: expected "format": "{FORMAT}" and "version": {VERSION}')
        record = {key: value for key, value in record.items() if key not in ("format", "version")}
        fields = set(cls.__dataclass_fields__)
        if set(record) | {"errors"} != fields:
            raise ValueError(
                f"fields {sorted((set(record) | {'errors'}) ^ fields)} of the explanation are missing or unknown"
            )
        pairs = from_upper_triangle(record["pairs"], record["n_image"] + record["n_text"])
        errors = StandardErrors.from_dict(record["errors"]) if record.get("errors") else None
        if isinstance(record["meta"], dict):
            record["meta"] = {key: value for key, value in record["meta"].items() if key != "picture"}
        return cls(**{**record, "pairs": pairs, "errors": errors})

    def save(self, path: str | os.PathLike, image: Any = None) -> Path:
        """Write as JSON, whole or not at all; returns the path.

        Parameters
        ----------
        path : path
            Usually ``explanation.json``.
        image : picture or Picture, optional
            As for :func:`fixlip_helpers.showing.plots.heat`. It goes into the file as ``meta["picture"]``, at most
            1 000 pixels wide or high, so that the page *Try it* can open the file by itself.
        """
        record = self.to_dict()
        if image is not None:
            record["meta"] = {**self.meta, "picture": self.artist.picture_record(image)}
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
        with written_whole(path) as part:
            # half a surrogate pair, which no file can hold, becomes JSON's own \\udddd
            part.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Explanation:
        """Read what :meth:`save` wrote; ValueError names the file if it is not an explanation."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: {error}") from error


def _is_array(meta: dict, side: str) -> bool:
    """Whether the pairs of a side come from an orthogonal array, in which a ridge divides them all alike."""
    return meta.get("design", {}).get(side, {}).get("name", "").startswith("orthogonal_array")


def same_model(one: Mapping, other: Mapping) -> bool:
    """Whether two ``meta`` are of one model: by fingerprint, or by name where one of them has none."""
    prints = one.get("fingerprint"), other.get("fingerprint")
    return prints[0] == prints[1] if None not in prints else one.get("model") == other.get("model")


def model_names(*metas: Mapping) -> list[str]:
    """Names of the models of several ``meta``, with fingerprints where two models have one name."""
    names = [str(meta.get("model")) for meta in metas]
    shared = {
        name
        for name, meta in zip(names, metas, strict=True)
        for other in metas
        if str(other.get("model")) == name and not same_model(meta, other)
    }
    return [
        f"{name} ({meta.get('fingerprint')})" if name in shared else name
        for name, meta in zip(names, metas, strict=True)
    ]


def player_names(n_image: int, n_text: int) -> list[str]:
    """Names for players that have none: ``patch 0, patch 1, ..., token 0, ...``."""
    return [f"patch {i}" for i in range(n_image)] + [f"token {j}" for j in range(n_text)]
