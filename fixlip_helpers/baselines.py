"""What FIxLIP is compared with: gradient maps, values without pairs, and exCLIP.

Each method gives an :class:`~fixlip_helpers.explanation.Explanation` of one picture and one caption:

* first order, by gradients: :func:`game_relevance` (GAME) and :func:`grad_eclip`;
* first order, by removal: :func:`shapley` and :func:`banzhaf` values;
* pairs across, by gradients: :func:`exclip`.

:func:`explain_with` calls any of them, FIxLIP itself, and the controls of :mod:`~fixlip_helpers.metrics.controls` by
name (:data:`METHODS`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fixlip_helpers.coalitions import at_least_one, check_count, check_p, default_draws, empty_and_full
from fixlip_helpers.explanation import Explanation, player_names, to_fourier_basis
from fixlip_helpers.fixlip import fixlip
from fixlip_helpers.games import Game, VisionLanguageGame, checked_values, digest
from fixlip_helpers.metrics.controls import counts_only, random_explanation, shuffled_patches, words_only
from fixlip_helpers.shapley import shapley_design, solve_enforced
from fixlip_helpers.sides import check_same_model, evaluate_once
from fixlip_helpers.switches import SWITCHES
from fixlip_helpers.towers import (
    Attention,
    Tower,
    lay_open,
    open_image_tower,
    open_text_tower,
    open_towers,
)

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from fixlip_helpers.models import Caption, Picture, VisionLanguageModel


# --- Gradients: one map for the picture, one for the caption ------------------------------------------------


def game_relevance(
    model: VisionLanguageModel,
    image: Image.Image | Picture | str,
    caption: Caption | str,
    start_layer: int = -1,
) -> Explanation:
    """GAME, generic attention-model explainability (Chefer, Gur and Wolf, ICCV 2021).

    In each tower relevance starts as the identity, and passes each layer from ``start_layer`` on as
    ``R ← R + Ā R`` with ``Ā = mean over heads of relu(∇A ∘ A)``: attention A times the gradient of the logit with
    respect to it. A player's number is its entry in the row of the position that is read (CLS, EOS, the last one).
    SigLIP's image is read by a probe: its own ``Ā`` times R, with nothing added.

    Parameters
    ----------
    model : VisionLanguageModel
    image, caption
        As :func:`~fixlip_helpers.towers.open_towers` takes them.
    start_layer : int
        First layer whose attention counts; negative numbers count from the end. The FIxLIP paper's runs, and the
        default of the CLIP code by the method's author, start at the last layer.

    Returns
    -------
    Explanation
        Of index "first-order"; numbers are not negative, and in no unit that compares across towers.

    Raises
    ------
    ValueError
        If there is no such layer, or picture, caption or model cannot be used.
    """
    towers = open_towers(model, image, caption)
    watched = _watch(model, towers, [tower.layer(start_layer, "start_layer") for tower in towers])
    heat = []
    for tower, attentions in zip(towers, watched, strict=True):
        probed = tower.read is None
        relevance = np.eye(tower.hidden[0].shape[1])
        for attention, gradient in attentions[: -1 if probed else None]:
            relevance = relevance + _weighed(attention, gradient) @ relevance
        if probed:
            row = (_weighed(*attentions[-1]) @ relevance)[0]
        else:
            row = relevance[tower.read]
        heat.append(row[tower.players])
    return _map(model, caption, "GAME", heat, {"start_layer": int(start_layer)})


def grad_eclip(
    model: VisionLanguageModel, image: Image.Image | Picture | str, caption: Caption | str
) -> Explanation:
    """Grad-ECLIP (Zhao et al., ICML 2024).

    In the last attention that reads a tower, with the heads side by side: channel weights ``w`` are the gradient of
    the logit with respect to the heads' output at the position that is read; ``λ_i`` is the cosine of its query and
    the key of player i, brought to 0 to 1 over the players ("loosened" attention, without a softmax); and a
    player's number is ``relu(Σ_c w_c λ_i v_ic)`` with its value v.

    Parameters
    ----------
    model, image, caption
        As for :func:`game_relevance`.

    Returns
    -------
    Explanation
        Of index "first-order"; numbers are not negative.
    """
    towers = open_towers(model, image, caption)
    heat = []
    last = [tower.depth - 1 for tower in towers]
    for tower, attentions in zip(towers, _watch(model, towers, last, of="heads"), strict=True):
        attention, gradient = attentions[-1]
        read = 0 if tower.read is None else tower.read  # a probe is one query
        query, keys = _array(attention.queries[0, read]), _array(attention.keys[0])[tower.players]
        cosines = keys @ query / (np.linalg.norm(keys, axis=1) * np.linalg.norm(query))
        span = np.ptp(cosines)
        loosened = (cosines - cosines.min()) / span if span > 0 else np.ones(len(cosines))
        weighed = _array(attention.values[0])[tower.players] @ gradient[0, read]
        heat.append(np.maximum(weighed * loosened, 0))
    return _map(model, caption, "Grad-ECLIP", heat)


def _watch(
    model: VisionLanguageModel, towers: tuple[Tower, Tower], first: list[int], of: str = "probabilities"
) -> list[list[tuple[Attention, np.ndarray]]]:
    """For each tower, what attention did from layer ``first`` on, with the logit's gradient with respect to ``of``."""
    import torch

    with torch.enable_grad():
        runs = [
            tower.embed_and_watch(tower.hidden[start].clone().requires_grad_(True), start)
            for tower, start in zip(towers, first, strict=True)
        ]
        logit = model.scale * (runs[0][0] * runs[1][0]).sum()
        parts = [getattr(attention, of) for _, attentions in runs for attention in attentions]
        gradients = iter(_array(each) for each in torch.autograd.grad(logit, parts))
    return [[(attention, next(gradients)) for attention in attentions] for _, attentions in runs]


def _weighed(attention: Attention, gradient: np.ndarray) -> np.ndarray:
    """``Ā``: mean over heads of relu(∇A ∘ A), (queries, positions)."""
    return np.maximum(gradient * _array(attention.probabilities), 0)[0].mean(axis=0)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _map(
    model: VisionLanguageModel, caption: Caption | str, method: str, heat: list, facts: dict | None = None
) -> Explanation:
    """Two maps as an explanation without pairs."""
    players, meta = _names_and_facts(model, caption)
    main = np.concatenate(heat)
    pairs = np.zeros((len(main), len(main)))
    meta |= {"method": method, **(facts or {})}
    return Explanation(0.0, None, main, pairs, "first-order", None, players, len(heat[0]), len(heat[1]), meta)


def _names_and_facts(model: VisionLanguageModel, caption: Caption | str) -> tuple[list[str], dict]:
    """Names of the players, and what a game of the model and the caption would say of itself."""
    text = model.own_caption(caption)
    rows, columns = model.grid
    names = [f"patch {i // columns},{i % columns}" for i in range(rows * columns)] + list(text.names)
    words = [[word, [model.n_patches + i for i in members]] for word, members in text.words]
    facts = {"model": model.name, "fingerprint": model.fingerprint_or_token, "caption": text.text}
    return names, {**facts, "grid": [rows, columns], "words": words}


# --- Gradients: pairs of a patch and a token ----------------------------------------------------------------


def exclip(
    model: VisionLanguageModel,
    image: Image.Image | Picture | str,
    caption: Caption | str,
    layer: int = -1,
    steps: int = 32,
    batch_size: int = 64,
    image_part: ImagePart | None = None,
) -> Explanation:
    """exCLIP: second-order attributions by integrated Jacobians (Möller et al. 2024).

    With hidden states a of the picture and b of the caption before ``layer``, and those of a black picture and of
    as long an empty caption, r_a and r_b, as references::

        A_ij = scale · <J_a,i (a - r_a)_i, J_b,j (b - r_b)_j>,   J = ∫ ∂f/∂a (r + α (a - r)) dα

    summed over the channels of each position. f ends with the division by the norm, so that A over *all* positions
    adds up to ``s(a, b) - s(a, r_b) - s(r_a, b) + s(r_a, r_b)`` (completeness).

    A Jacobian is never formed: what is needed of it are its products with one direction for each position, and
    forward-mode differentiation takes a batch of those at the price of a few passes.

    Parameters
    ----------
    model, image, caption
        As for :func:`game_relevance`.
    layer : int
        Before which layer the hidden states are taken; negative numbers count from the end.
    steps : int
        Points of the integral (Gauss and Legendre's), at least 1.
    batch_size : int
        Passes at a time; decides memory.
    image_part : ImagePart, optional
        What :func:`exclip_image_part` gave for this model, picture, ``layer`` and ``steps``: several captions of a
        picture share it.

    Returns
    -------
    Explanation
        Of index "exCLIP": interactions of patches with tokens, everything else 0. ``meta["outside_players"]`` is
        the sum over pairs with a special position, ``meta["completeness"]`` the sum over all positions with
        what it should be.

    Raises
    ------
    ValueError
        If there is no such layer, ``steps`` or ``batch_size`` is not allowed, picture, caption or model
        cannot be used, or ``image_part`` is of something else.
    """
    import torch

    steps, batch_size = at_least_one("steps", steps), at_least_one("batch_size", batch_size)
    model = lay_open(model)  # once for the four towers
    if image_part is not None:
        _check_image_part(image_part, _facts_of_image_part(model, model.own_picture(image), layer, steps))
    towers = open_towers(model, image, caption)
    text = model.own_caption(caption)
    references = _black_tower(model), open_text_tower(model, text, emptied=True)
    parts, embedded = [None if image_part is None else image_part.jacobian], []
    for tower, reference in zip(towers, references, strict=True):
        first = tower.layer(layer)
        both = torch.cat([tower.hidden[first], reference.hidden[first]])
        with torch.no_grad():
            embedded.append(_array(tower.embed(both, first)))
    if image_part is None:
        parts[0] = _integrated(towers[0], references[0], layer, steps, batch_size)
    parts.append(_integrated(towers[1], references[1], layer, steps, batch_size))
    everything = model.scale * parts[0] @ parts[1].T  # all positions of the picture x all of the caption
    (own_image, no_image), (own_text, no_text) = embedded
    cross = everything[np.ix_(towers[0].players, towers[1].players)]
    n_image, n_text = cross.shape
    pairs = np.zeros((n_image + n_text, n_image + n_text))
    pairs[:n_image, n_image:], pairs[n_image:, :n_image] = cross, cross.T
    players, meta = _names_and_facts(model, text)
    meta |= {
        "method": "exCLIP",
        "layer": int(layer),
        "steps": int(steps),
        "outside_players": float(everything.sum() - cross.sum()),
        "completeness": {
            "sum": float(everything.sum()),
            "expected": float(model.scale * (own_image - no_image) @ (own_text - no_text)),
        },
    }
    main = np.zeros(n_image + n_text)
    return Explanation(0.0, None, main, pairs, "exCLIP", None, players, n_image, n_text, meta)


def exclip_image_part(
    model: VisionLanguageModel,
    image: Image.Image | Picture | str,
    layer: int = -1,
    steps: int = 32,
    batch_size: int = 64,
) -> ImagePart:
    """The picture's part in :func:`exclip`, the same for all captions."""
    steps, batch_size = at_least_one("steps", steps), at_least_one("batch_size", batch_size)
    model = lay_open(model)
    picture = model.own_picture(image)
    tower = open_image_tower(model, picture.pixels[None])
    jacobian = _integrated(tower, _black_tower(model), layer, steps, batch_size)
    return ImagePart(jacobian, _facts_of_image_part(model, picture, layer, steps))


@dataclass(frozen=True, eq=False)
class ImagePart:
    """What a picture contributes to exCLIP with any caption.

    Attributes
    ----------
    jacobian : ndarray, shape (positions, d), float64
        ``∫ J_i (a - r_a)_i dα`` for each position i.
    facts : dict
        What it was computed for: fingerprints of model and pixels, layer, steps.
    """

    jacobian: np.ndarray
    facts: dict


def _facts_of_image_part(model: VisionLanguageModel, picture: Picture, layer: int, steps: int) -> dict:
    depth = len(model.network.vision_model.encoder.layers)
    return {
        "model": model.fingerprint(),
        "picture": digest(picture.pixels.detach().cpu().double().numpy()),
        "layer": int(layer) % depth,
        "steps": int(steps),
    }


def _check_image_part(part: ImagePart, facts: dict) -> None:
    if differ := [name for name, fact in facts.items() if part.facts[name] != fact]:
        raise ValueError(f"image_part was computed for another {' and another '.join(differ)}")


def _black_tower(model: VisionLanguageModel) -> Tower:
    """The image tower with a black picture."""
    import torch

    black = torch.tensor(model.from_colour((0, 0, 0)), dtype=model.dtype).to(model.device)
    return open_image_tower(
        model, black[None, :, None, None].expand(1, 3, model.image_size, model.image_size)
    )


def _integrated(tower: Tower, reference: Tower, layer: int, steps: int, batch_size: int) -> np.ndarray:
    """``∫ J_i (a - r)_i dα`` for each position i, (L, d) float64: how the embedding moves as position i does."""
    import torch
    from torch.autograd import forward_ad

    first = tower.layer(layer)
    start, end = reference.hidden[first], tower.hidden[first]
    towards, length = end - start, end.shape[1]
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    directions = (
        torch.eye(length, device=end.device, dtype=end.dtype)[:, :, None] * towards
    )  # one position each
    total = 0.0
    with torch.no_grad(), SWITCHES, forward_ad.dual_level():  # one level at a time in the whole process
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            point = start + float(node) * towards
            moved = []
            for some in directions.split(batch_size):
                dual = forward_ad.make_dual(point.repeat(len(some), 1, 1), some)
                moved.append(_array(forward_ad.unpack_dual(tower.embed(dual, first)).tangent))
            total = total + weight * np.concatenate(moved)
    return total


# --- Removal: one value for each player ---------------------------------------------------------------------


def banzhaf(explanation: Explanation) -> Explanation:
    """p-weighted Banzhaf values, as the best additive surrogate, from a FIxLIP-p explanation of the same game.

    By Theorem 1 of the FIxLIP paper the value ``e_i + p Σ_j e_ij`` is the game's own, not only the surrogate's,
    and in the Fourier basis the additive surrogate is the second-order one without its pairs.

    Raises
    ------
    ValueError
        If the explanation is not of index "FWBII".
    """
    if explanation.index != "FWBII":
        raise ValueError(f"index = {explanation.index!r}; weighted Banzhaf values come from 'FWBII'")
    p = explanation.p
    mean, _, _ = to_fourier_basis(explanation.baseline, explanation.main, explanation.pairs, p)
    values = explanation.first_order()
    return _additive(explanation, mean - p * values.sum(), values, "Banzhaf values")


def shapley(game: Game, budget: int | None = None, seed: int = 0) -> Explanation:
    """Shapley values by the regression of KernelSHAP (Lundberg and Lee 2017).

    Parameters
    ----------
    game : Game
    budget : int, optional
        Coalitions that are drawn with Shapley weights, the smallest and largest listed in full; default: as many
        as ``fixlip(game, sampling="joint")`` takes. From ``2**n - 2`` on the values are exact.
    seed : int

    Returns
    -------
    Explanation
        Of index "first-order", exact for the empty and the full coalition.
    """
    n, seed = int(game.n_players), check_count("seed", seed)
    design = shapley_design(n, default_draws("joint", n) if budget is None else budget, seed)
    (values, ends), passes, _ = evaluate_once(
        lambda rows: checked_values(game, rows, game(rows)), [design.coalitions, empty_and_full(n)]
    )
    baseline, main, pairs = solve_enforced(design.coalitions, values, design.weights, ends, order=1)
    n_image, n_text = getattr(game, "n_image", n), getattr(game, "n_text", 0)
    players = list(getattr(game, "players", None) or player_names(n_image, n_text))
    meta = {
        **getattr(game, "meta", {}),
        "method": "Shapley values",
        "passes": {"joint": passes},
        "seed": seed,
    }
    empty = float(ends[0])
    return Explanation(baseline, empty, main, pairs, "first-order", None, players, n_image, n_text, meta)


def _additive(like: Explanation, baseline: float, values: np.ndarray, method: str) -> Explanation:
    """An explanation without pairs of the same game."""
    facts = {**like.meta, "method": method}
    none = np.zeros_like(like.pairs)
    return replace(
        like, baseline=baseline, main=values, pairs=none, index="first-order", meta=facts, errors=None
    )


# --- By name ------------------------------------------------------------------------------------------------


class Subject:
    """One picture and caption on one model, to be explained by many methods; what they share is computed once.

    Parameters
    ----------
    model : VisionLanguageModel
    image, caption
    seed : int
    game : TwoSidedGame, optional
        Of the three, else it is a ValueError; default: a :class:`~fixlip_helpers.games.VisionLanguageGame`.
    fixlip, exclip : callable, optional
        ``fixlip(p)`` and ``exclip()`` give these explanations where there is a quicker way to them.
    si_budget : int, optional
        Values of the game for FIxLIP-SI and Shapley values.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        image: Image.Image | Picture | str,
        caption: Caption | str,
        seed: int = 0,
        game: VisionLanguageGame | None = None,
        fixlip: Callable[[float], Explanation] | None = None,
        exclip: Callable[[], Explanation] | None = None,
        si_budget: int | None = None,
    ) -> None:
        self.model, self.image, self.caption, self.seed = model, image, caption, seed
        if game is not None:
            _check_game(game, model, caption)
        self.game = VisionLanguageGame(model, image, caption) if game is None else game
        self.si_budget, self._fixlip, self._exclip, self._known = si_budget, fixlip, exclip, {}

    def fixlip(self, p: float = 0.5) -> Explanation:
        """FIxLIP-p of the game, computed once for each p."""
        if p not in self._known:
            self._known[p] = self._fixlip(p) if self._fixlip else fixlip(self.game, p, seed=self.seed)
        return self._known[p]

    def exclip(self) -> Explanation:
        """exCLIP with its defaults."""
        return self._exclip() if self._exclip else exclip(self.model, self.image, self.caption)

    def fixlip_si(self) -> Explanation:
        """FIxLIP-SI of the game."""
        return fixlip(self.game, budget=self.si_budget or "auto", index="FSII", seed=self.seed)


def _check_game(game: VisionLanguageGame, model: VisionLanguageModel, caption: Caption | str) -> None:
    """ValueError if a game says that it is of another model or another caption."""
    facts = getattr(game, "meta", {})
    own = {"model": model.name, "fingerprint": model.fingerprint_or_token}
    if "model" in facts:
        check_same_model(own, facts, "the model and the game")
    text = getattr(caption, "text", caption)
    if facts.get("caption", text) != text:
        raise ValueError(f"the game is of the caption {facts['caption']!r}, not of {text!r}")


@dataclass(frozen=True)
class Method:
    """A method by name: what it is in one line, and the function that explains a :class:`Subject` (and p, if any)."""

    about: str
    explain: Callable[..., Explanation]
    takes_p: bool = False


METHODS = {
    "fixlip-P": Method("FIxLIP-p", lambda subject, p: subject.fixlip(p), takes_p=True),
    "fixlip-si": Method("FIxLIP-SI, faithful Shapley interactions", lambda subject: subject.fixlip_si()),
    "banzhaf-P": Method("p-weighted Banzhaf values", lambda subject, p: banzhaf(subject.fixlip(p)), takes_p=True),
    "shapley": Method("Shapley values", lambda subject: shapley(subject.game, subject.si_budget, subject.seed)),
    "exclip": Method("exCLIP", lambda subject: subject.exclip()),
    "game": Method("GAME", lambda subject: game_relevance(subject.model, subject.image, subject.caption)),
    "grad-eclip": Method("Grad-ECLIP", lambda subject: grad_eclip(subject.model, subject.image, subject.caption)),
    "random": Method("control: random numbers", lambda subject: random_explanation(subject.fixlip(), subject.seed)),
    "counts": Method("control: numbers of patches and words", lambda subject: counts_only(subject.fixlip())),
    "words": Method("control: the words among themselves", lambda subject: words_only(subject.fixlip())),
    "shuffled": Method("control: patches shuffled", lambda subject: shuffled_patches(subject.fixlip(), subject.seed)),
}  # fmt: skip
"""Methods by name; ``P`` stands for a number, as in ``fixlip-0.5``. Controls are made from FIxLIP at p = 0.5."""


def find_method(name: str) -> Callable[[Subject], Explanation]:
    """The method of a name such as ``"game"`` or ``"fixlip-0.3"``.

    Raises
    ------
    ValueError
        If there is none; the message lists the names.
    """
    if name in METHODS and not METHODS[name].takes_p:
        return METHODS[name].explain
    family, _, number = name.rpartition("-")
    method = METHODS.get(f"{family}-P")
    if method is None or not re.fullmatch(r"\d*\.?\d+", number):
        raise ValueError(
            f"method {name!r}; expected one of {', '.join(METHODS)}, with a number for P, as in fixlip-0.5"
        )
    p = check_p(float(number))
    return lambda subject: method.explain(subject, p)


def explain_with(
    name: str,
    model: VisionLanguageModel,
    image: Image.Image | Picture | str,
    caption: Caption | str,
    *,
    seed: int = 0,
    game: VisionLanguageGame | None = None,
) -> Explanation:
    """Explain a picture and a caption by any method of :data:`METHODS`.

    Examples
    --------
    >>> from fixlip_helpers import load_model, scenes
    >>> hero = scenes.examples()["hero"]
    >>> heat = explain_with("grad-eclip", load_model("mini-clip"), hero.image, hero.caption)
    >>> heat.index
    'first-order'

    Raises
    ------
    ValueError
        If the name is unknown, or picture, caption or model cannot be used.
    """
    return find_method(name)(Subject(model, image, caption, seed, game))
