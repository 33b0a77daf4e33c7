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
from fixlip_helpers.encoders.towers import (
    Attention,
    Tower,
    lay_open,
    one_head,
    open_image_tower,
    open_text_tower,
    open_towers,
)
from fixlip_helpers.encoders.vision_language import VisionLanguageGame, how_it_sees
from fixlip_helpers.explanation import Explanation, player_names, to_fourier_basis
from fixlip_helpers.fixlip import fixlip
from fixlip_helpers.games import Game, checked_values, digest
from fixlip_helpers.metrics.controls import counts_only, random_explanation, shuffled_patches, words_only
from fixlip_helpers.shapley import shapley_design, solve_enforced
from fixlip_helpers.sides import check_same_model, evaluate_once
from fixlip_helpers.switches import SWITCHES

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from fixlip_helpers.encoders.models import Caption, Picture, VisionLanguageModel


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
        As :func:`~fixlip_helpers.encoders.towers.open_towers` takes them.
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
    model: VisionLanguageModel,
    image: Image.Image | Picture | str,
    caption: Caption | str,
    text_layers: int | None = None,
    variant: str = "paper",
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
    text_layers : int, optional
        Of how many last layers of the text tower the numbers are summed before the relu. Default: 1, and 8 for
        ``variant="released"``, or all where there are fewer.
    variant : "paper" or "released"
        ``"released"``, for CLIP: as the released code computes it (``generate_emap.py``), which made the numbers that
        are published with FIxLIP. The layers that are explained compute with *one head* as wide as all; queries and
        keys go through the output projection before λ; λ of a token runs from 0 to 1 over all 77 positions, padding
        (token 0) among them; and the cosine is explained in place of the logit, which changes the unit alone.

    Returns
    -------
    Explanation
        Of index "first-order"; numbers are not negative.

    Raises
    ------
    ValueError
        If the variant is unknown or not for this model, there are not so many layers, or picture, caption or model
        cannot be used.
    """
    if variant not in ("paper", "released"):
        raise ValueError(f"variant = {variant!r}; expected 'paper' or 'released'")
    towers = open_towers(model, image, caption)
    released = variant == "released"
    layers = _text_layers(towers[1], text_layers, 8 if released else 1)
    if released:
        heat = _grad_eclip_released(model, towers, caption, layers)
    else:
        heat, counts = [], (1, layers)
        starts = [tower.depth - count for tower, count in zip(towers, counts, strict=True)]
        watched = _watch(model, towers, starts, of="heads")
        for tower, attentions, count in zip(towers, watched, counts, strict=True):
            maps = [_loosened(tower, *each, tower.players) for each in attentions[-count:]]
            heat.append(np.maximum(sum(maps), 0))
    return _map(model, caption, "Grad-ECLIP", heat, {"variant": variant, "text_layers": layers})


def _text_layers(tower: Tower, asked: int | None, default: int) -> int:
    """Of how many last layers, checked."""
    if asked is None:
        return min(default, tower.depth)
    if not 1 <= check_count("text_layers", asked) <= tower.depth:
        raise ValueError(
            f"text_layers = {asked}; the text tower has {tower.depth} layers: expected 1 to {tower.depth}"
        )
    return int(asked)


def _loosened(
    tower: Tower,
    attention: Attention,
    gradient: np.ndarray,
    over: np.ndarray,
    project: Callable[[torch.Tensor], torch.Tensor] = lambda rows: rows,
) -> np.ndarray:
    """``Σ_c w_c λ_i v_ic`` of each player of a tower, λ from 0 to 1 over the positions ``over``, (n,)."""
    read = 0 if tower.read is None else tower.read  # a probe is one query
    query, keys = _array(project(attention.queries[0, read])), _array(project(attention.keys[0]))
    cosines = keys @ query / (np.linalg.norm(keys, axis=1) * np.linalg.norm(query))
    low, span = cosines[over].min(), np.ptp(cosines[over])
    loosened = (cosines[tower.players] - low) / span if span > 0 else np.ones(len(tower.players))
    return _array(attention.values[0])[tower.players] @ gradient[0, read] * loosened


def _grad_eclip_released(
    model: VisionLanguageModel, towers: tuple[Tower, Tower], caption: Caption | str, layers: int
) -> list[np.ndarray]:
    """Both maps as the released code computes them: one tower with a single head against the other as it is."""
    if model.family != "clip":
        raise ValueError(
            f"variant = 'released' is code for CLIP; {model.name!r} is of the family {model.family}"
        )
    import torch

    image, text = towers
    caption = model.own_caption(caption)
    length = model.network.config.text_config.max_position_embeddings
    ids = caption.input_ids.new_zeros(1, length)
    ids[:, : caption.input_ids.shape[1]] = caption.input_ids
    padded = open_text_tower(model, caption, ids=ids, read=text.read)
    heat = []
    for tower, other, count in ((image, text, 1), (padded, image, layers)):
        first = tower.depth - count
        with torch.no_grad():
            fixed = other.embed(other.hidden[-1], other.depth - 1)
        with one_head(tower.layers[first:]), torch.enable_grad():
            embedding, watched = tower.embed_and_watch(
                tower.hidden[first].clone().requires_grad_(True), first
            )
            gradients = torch.autograd.grad((embedding * fixed).sum(), [each.heads for each in watched])
        over = tower.players if tower is image else np.arange(length)
        maps = [
            _loosened(tower, attention, _array(gradient), over, layer.self_attn.out_proj)
            for layer, attention, gradient in zip(tower.layers[first:], watched, gradients, strict=True)
        ]
        heat.append(np.maximum(sum(maps), 0))
    return heat


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
    facts |= how_it_sees(model)
    return names, {**facts, "grid": [rows, columns], "words": words}


# --- Gradients: pairs of a patch and a token ----------------------------------------------------------------


def exclip(
    model: VisionLanguageModel,
    image: Image.Image | Picture | str,
    caption: Caption | str,
    layer: int | tuple[int, int] = -1,
    steps: int | None = None,
    batch_size: int = 64,
    image_part: ImagePart | None = None,
    *,
    reference: str = "black",
    variant: str = "complete",
) -> Explanation:
    """exCLIP: second-order attributions by integrated Jacobians (Möller et al. 2024).

    With hidden states a of the picture and b of the caption before ``layer``, and those of a reference picture and of
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
    layer : int, or a pair of them for image and text
        Before which layer the hidden states are taken; negative numbers count from the end.
    steps : int, optional
        Points of the integral, at least 1. Default: 32 of Gauss and Legendre's; 20 of the right-hand sum for
        ``variant="released"``.
    batch_size : int
        Passes at a time; decides memory.
    image_part : ImagePart, optional
        What :func:`exclip_image_part` gave for this model, this picture and the same options: several captions of a
        picture share it.
    reference : "black" or "mean"
        The reference picture: black, or the mean colour of the training data (zeros after normalisation, FIxLIP's own
        filler).
    variant : "complete" or "released"
        ``"complete"`` as above. ``"released"``, for CLIP: as the released code computes it (``exclip/wrapper.py`` in
        github.com/hbaniecki/fixlip), which made the published numbers. There the reference picture is always the mean
        colour; the reference caption is BOS, token 0 twice, EOS, then token 0; f is the embedding *before* its division
        by the norm; each side is divided afterwards by the norm of its embedding less the reference's; the integral
        is the sum at α = 1, 1 - 1/steps, ..., 1/steps; and there is no scale. Nothing adds up to the score.

    Returns
    -------
    Explanation
        Of index "exCLIP": interactions of patches with tokens, everything else 0. ``meta["outside_players"]`` is
        the sum over pairs with a special position; for ``"complete"`` ``meta["completeness"]`` is the sum over all
        positions with what it should be.

    Raises
    ------
    ValueError
        If there is no such layer, reference or variant, ``steps`` or ``batch_size`` is not allowed, picture, caption or
        model cannot be used, or ``image_part`` is of something else.
    """
    how = _Integral.of(model, layer, steps, batch_size, reference, variant)
    model = lay_open(model)  # once for the four towers
    if image_part is not None:
        _check_image_part(image_part, how.facts(model, model.own_picture(image)))
    text = model.own_caption(caption)
    towers = open_towers(model, image, text)
    references = how.reference_picture(model), how.reference_caption(model, text)
    of_image = how.part(towers[0], references[0], 0) if image_part is None else image_part.jacobian
    everything = how.scale * of_image @ how.part(towers[1], references[1], 1).T  # positions of both
    ends = [how.ends(*both, side) for side, both in enumerate(zip(towers, references, strict=True))]
    cross = everything[np.ix_(towers[0].players, towers[1].players)]
    n_image, n_text = cross.shape
    pairs = np.zeros((n_image + n_text, n_image + n_text))
    pairs[:n_image, n_image:], pairs[n_image:, :n_image] = cross, cross.T
    players, meta = _names_and_facts(model, text)
    meta |= {
        "method": "exCLIP",
        "layer": int(how.layers[0]) if how.layers[0] == how.layers[1] else [int(each) for each in how.layers],
        "steps": how.steps,
        "reference": how.reference,
        "variant": variant,
        "outside_players": float(everything.sum() - cross.sum()),
    }
    if not how.released:
        (own_image, no_image), (own_text, no_text) = ends
        meta["completeness"] = {
            "sum": float(everything.sum()),
            "expected": float(model.scale * (own_image - no_image) @ (own_text - no_text)),
        }
    main = np.zeros(n_image + n_text)
    return Explanation(0.0, None, main, pairs, "exCLIP", None, players, n_image, n_text, meta)


def exclip_image_part(
    model: VisionLanguageModel,
    image: Image.Image | Picture | str,
    layer: int | tuple[int, int] = -1,
    steps: int | None = None,
    batch_size: int = 64,
    *,
    reference: str = "black",
    variant: str = "complete",
) -> ImagePart:
    """The picture's part in :func:`exclip`, the same for all captions."""
    how = _Integral.of(model, layer, steps, batch_size, reference, variant)
    model = lay_open(model)
    picture = model.own_picture(image)
    tower = open_image_tower(model, picture.pixels[None])
    return ImagePart(how.part(tower, how.reference_picture(model), 0), how.facts(model, picture))


@dataclass(frozen=True, eq=False)
class ImagePart:
    """What a picture contributes to exCLIP with any caption.

    Attributes
    ----------
    jacobian : ndarray, shape (positions, d), float64
        ``∫ J_i (a - r_a)_i dα`` for each position i.
    facts : dict
        What it was computed for: fingerprints of model and pixels, layer, steps, reference, variant.
    """

    jacobian: np.ndarray
    facts: dict


def _check_image_part(part: ImagePart, facts: dict) -> None:
    if differ := [name for name, fact in facts.items() if part.facts[name] != fact]:
        raise ValueError(f"image_part was computed for another {' and another '.join(differ)}")


@dataclass(frozen=True)
class _Integral:
    """How exCLIP integrates: between what, where, and of which function."""

    layers: tuple[int, int]
    steps: int
    batch_size: int
    reference: str
    released: bool
    scale: float

    @classmethod
    def of(
        cls,
        model: VisionLanguageModel,
        layer: int | tuple[int, int],
        steps: int | None,
        batch_size: int,
        reference: str,
        variant: str,
    ) -> _Integral:
        """From the arguments of :func:`exclip`, checked."""
        if variant not in ("complete", "released"):
            raise ValueError(f"variant = {variant!r}; expected 'complete' or 'released'")
        if reference not in ("black", "mean"):
            raise ValueError(f"reference = {reference!r}; expected 'black' or 'mean'")
        released = variant == "released"
        if released and model.family != "clip":
            raise ValueError(
                f"variant = 'released' is code for CLIP; {model.name!r} is of the family {model.family}"
            )
        steps = (20 if released else 32) if steps is None else steps
        steps, batch_size = at_least_one("steps", steps), at_least_one("batch_size", batch_size)
        layers = tuple(layer) if isinstance(layer, (tuple, list)) else (layer, layer)
        if len(layers) != 2:
            raise ValueError(f"layer = {layer!r}; expected a number, or a pair for image and text")
        scale = 1.0 if released else model.scale
        return cls(layers, steps, batch_size, "mean" if released else reference, released, scale)

    def facts(self, model: VisionLanguageModel, picture: Picture) -> dict:
        """What a picture's part depends on."""
        depth = len(model.network.vision_model.encoder.layers)
        return {
            "model": model.fingerprint(),
            "picture": digest(picture.pixels.detach().cpu().double().numpy()),
            "layer": int(self.layers[0]) % depth,
            "steps": self.steps,
            "reference": self.reference,
            "variant": "released" if self.released else "complete",
        }

    def reference_picture(self, model: VisionLanguageModel) -> Tower:
        """The image tower with the reference picture."""
        import torch

        shape = 1, 3, model.image_size, model.image_size
        if self.reference == "mean":
            return open_image_tower(model, torch.zeros(shape, device=model.device, dtype=model.dtype))
        black = torch.as_tensor(model.from_colour((0, 0, 0))).to(model.device, model.dtype)
        return open_image_tower(model, black[None, :, None, None].expand(shape))

    def reference_caption(self, model: VisionLanguageModel, caption: Caption) -> Tower:
        """The text tower with the reference caption."""
        if not self.released:
            return open_text_tower(model, caption, emptied=True)
        ids = caption.input_ids.new_zeros(1, max(4, caption.input_ids.shape[1]))
        ids[0, 0], ids[0, 3] = caption.input_ids[0, 0], caption.input_ids[0, -1]  # BOS and EOS
        return open_text_tower(model, caption, ids=ids, read=3)

    def ends(self, tower: Tower, reference: Tower, side: int) -> np.ndarray:
        """Embeddings of the input and of the reference, (2, d)."""
        import torch

        first = tower.layer(self.layers[side])
        with torch.no_grad():
            both = [each.embed(each.hidden[first], first, not self.released) for each in (tower, reference)]
        return _array(torch.cat(both))

    def part(self, tower: Tower, reference: Tower, side: int) -> np.ndarray:
        """``∫ J_i (a - r)_i dα`` for each position i, (L, d) float64: how the embedding moves as position i does."""
        import torch
        from torch.autograd import forward_ad

        first = tower.layer(self.layers[side])
        end = tower.hidden[first]
        start = reference.hidden[first][:, : end.shape[1]]  # causal: what comes after has no part
        towards, length = end - start, end.shape[1]
        directions = torch.eye(length, device=end.device, dtype=end.dtype)[:, :, None] * towards
        total = 0.0
        with torch.no_grad(), SWITCHES, forward_ad.dual_level():  # one level at a time in the whole process
            for node, weight in self._points():
                point = start + float(node) * towards
                moved = []
                for some in directions.split(self.batch_size):
                    dual = forward_ad.make_dual(point.repeat(len(some), 1, 1), some)
                    embedding = tower.embed(dual, first, not self.released)
                    moved.append(_array(forward_ad.unpack_dual(embedding).tangent))
                total = total + weight * np.concatenate(moved)
        if self.released:
            own, none = self.ends(tower, reference, side)
            total = total / np.linalg.norm(own - none)
        return total

    def _points(self) -> list[tuple[float, float]]:
        """Points of the integral over α with their weights."""
        if self.released:
            return [(1 - k / self.steps, 1 / self.steps) for k in range(self.steps)]
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        return list(zip((nodes + 1) / 2, weights / 2, strict=True))


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
    explanation = Explanation(
        baseline, empty, main, pairs, "first-order", None, players, n_image, n_text, meta
    )
    explanation.picture = getattr(game, "picture", None)
    return explanation


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
        Of the three, else it is a ValueError; default: a
        :class:`~fixlip_helpers.encoders.vision_language.VisionLanguageGame`.
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
            _check_game(game, model, image, caption)
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


def _check_game(
    game: VisionLanguageGame, model: VisionLanguageModel, image: Picture | object, caption: Caption | str
) -> None:
    """ValueError if a game says that it is of another model, picture or caption."""
    facts = getattr(game, "meta", {})
    own = {"model": model.name, "fingerprint": model.fingerprint_or_token}
    if "model" in facts:
        check_same_model(own, facts, "the model and the game")
    text = getattr(caption, "text", caption)
    if facts.get("caption", text) != text:
        raise ValueError(f"the game is of the caption {facts['caption']!r}, not of {text!r}")
    picture = getattr(game, "picture", getattr(getattr(game, "game", None), "picture", None))
    if picture is not None and picture is not image:
        pixels = model.own_picture(image).pixels
        if pixels.shape != picture.pixels.shape or bool((pixels != picture.pixels).any()):
            raise ValueError("the game is of another picture")


@dataclass(frozen=True)
class Method:
    """A method by name: what it is in one line, and the function that explains a :class:`Subject` (and p, if any)."""

    about: str
    explain: Callable[..., Explanation]
    takes_p: bool = False


def _as_released(method: Callable, subject: Subject) -> Explanation:
    return method(subject.model, subject.image, subject.caption, variant="released")


METHODS = {
    "fixlip-P": Method("FIxLIP-p", lambda subject, p: subject.fixlip(p), takes_p=True),
    "fixlip-si": Method("FIxLIP-SI, faithful Shapley interactions", lambda subject: subject.fixlip_si()),
    "banzhaf-P": Method("p-weighted Banzhaf values", lambda subject, p: banzhaf(subject.fixlip(p)), takes_p=True),
    "shapley": Method("Shapley values", lambda subject: shapley(subject.game, subject.si_budget, subject.seed)),
    "exclip": Method("exCLIP", lambda subject: subject.exclip()),
    "exclip-released": Method("exCLIP as its code has it, of CLIP only", lambda subject: _as_released(exclip, subject)),
    "grad-eclip-released": Method("Grad-ECLIP likewise", lambda subject: _as_released(grad_eclip, subject)),
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
    subject = Subject(model, image, caption, seed, game)
    explanation = find_method(name)(subject)
    explanation.picture = getattr(subject.game, "picture", None)
    return explanation
