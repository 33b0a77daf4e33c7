"""A transformer tower laid open: what gradient methods need to see and to change inside an encoder.

A :class:`Tower` is one encoder (image or text) with one input, from the hidden states before any of its layers to the
embedding. :func:`open_towers` makes both for a picture and a caption. They compute what the model's own forward pass
computes, and can besides start from hidden states of one's own, and keep what happens inside attention.

Attention probabilities exist only where attention is computed step by step ("eager"). A tower belongs to a twin of the
network in which it is (:func:`lay_open`), so that looking inside changes nothing for those who use the model besides.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from fixlip_helpers.encoders.models import Caption, Picture, VisionLanguageModel


def lay_open(model: VisionLanguageModel) -> VisionLanguageModel:
    """The same model with a network of its own to look into: the weights are shared, nothing else is.

    In it attention is computed step by step, and hooks and settings touch nobody else's passes: gradient methods
    run in several threads on one model, beside its ordinary passes. A model that was laid open is returned as it is.

    Raises
    ------
    ValueError
        If the model is none of the three families.
    """
    from fixlip_helpers.encoders.models import VisionLanguageModel

    if not isinstance(model, VisionLanguageModel):
        raise ValueError(
            "gradient methods look inside CLIP, SigLIP and SigLIP 2 as load_model gives them; "
            f"a {type(model).__name__} shows its embeddings only"
        )
    if getattr(model, "_laid_open", False):
        return model
    network = model.network
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    opened = copy.copy(model)
    opened.network, opened._laid_open = copy.deepcopy(network, shared), True
    for module in opened.network.modules():
        if hasattr(module, "config"):
            module.config._attn_implementation = "eager"
    return opened


@dataclass
class Attention:
    """What one attention layer did with a batch of one; all parts of the graph, heads h, positions L, channels c.

    Attributes
    ----------
    probabilities : Tensor, shape (1, h, L_query, L)
    queries : Tensor, shape (1, L_query, c)
    keys, values : Tensor, shape (1, L, c)
        Heads one after the other.
    heads : Tensor, shape (1, L_query, c)
        The concatenated outputs of the heads, before the output projection.
    """

    probabilities: torch.Tensor
    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    heads: torch.Tensor


@dataclass
class Tower:
    """One encoder with one input.

    Attributes
    ----------
    layers : list of Module
        The transformer's layers.
    hidden : list of Tensor, each of shape (1, L, width)
        Hidden states before each layer.
    players : ndarray of int
        Positions of the players in the sequence; all others are special.
    read : int or None
        The position whose last hidden state becomes the embedding: CLS, EOS, the last one; None where a probe
        attends to all positions (SigLIP's image).
    """

    layers: list[torch.nn.Module]
    hidden: list[torch.Tensor]
    players: np.ndarray
    read: int | None
    _arguments: list[tuple[tuple, dict]] = field(repr=False)
    _finish: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)
    _probe: _Probe | None = field(repr=False, default=None)
    _norm: Callable[[torch.Tensor], torch.Tensor] = field(repr=False, default=lambda rows: _unit(rows))

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    def layer(self, number: int, name: str = "layer") -> int:
        """A layer's number from 0; negative ones count from the end. ValueError if there is none."""
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise ValueError(f"{name} = {number!r}; expected a whole number")
        if not -self.depth <= number < self.depth:
            raise ValueError(f"{name} = {number}; the tower has {self.depth} layers: expected {-self.depth} to "
                             f"{self.depth - 1}")  # fmt: skip
        return int(number) % self.depth

    def embed(self, hidden: torch.Tensor, first: int, unit: bool = True) -> torch.Tensor:
        """Embeddings from hidden states before layer ``first``: (b, L, width) -> (b, d), unit norm if ``unit``."""
        return self._run(hidden, first, unit)[0]

    def embed_and_watch(self, hidden: torch.Tensor, first: int) -> tuple[torch.Tensor, list[Attention]]:
        """The same for a batch of one, with what attention did in each layer from ``first`` on.

        Where a probe reads the image, its attention comes last.
        """
        seen: list[dict] = []
        handles = []
        for layer in self.layers[first:]:
            part, module = {}, layer.self_attn
            seen.append(part)
            for name in ("q_proj", "k_proj", "v_proj"):
                handles.append(getattr(module, name).register_forward_hook(_keep_output(part, name)))
            handles.append(module.out_proj.register_forward_pre_hook(_keep_input(part, "heads")))
            handles.append(module.register_forward_hook(_keep_output(part, "probabilities", 1)))
        try:
            embedding, probe = self._run(hidden, first)
        finally:
            for handle in handles:
                handle.remove()
        watched = [
            Attention(part["probabilities"], part["q_proj"], part["k_proj"], part["v_proj"], part["heads"])
            for part in seen
        ]
        return embedding, watched + ([probe] if probe else [])

    def _run(
        self, hidden: torch.Tensor, first: int, unit: bool = True
    ) -> tuple[torch.Tensor, Attention | None]:
        from torch.utils._pytree import tree_map

        for layer, (rest, named) in zip(self.layers[first:], self._arguments[first:], strict=True):
            if "output_attentions" in named:  # transformers 4 hands probabilities out where it is asked to
                named = named | {"output_attentions": True}
            rest, named = tree_map(partial(_for_batch, size=len(hidden)), (rest, named))
            output = layer(hidden, *rest, **named)
            hidden = output[0] if isinstance(output, tuple) else output  # a tuple before transformers 5
        pooled, attention = (hidden, None) if self._probe is None else self._probe(hidden)
        embedding = self._finish(pooled)
        return self._norm(embedding) if unit else embedding, attention


def open_towers(
    model: VisionLanguageModel, image: Image.Image | Picture | str, caption: Caption | str
) -> tuple[Tower, Tower]:
    """The image tower and the text tower of a model, with a picture and a caption.

    Parameters
    ----------
    model : VisionLanguageModel
        CLIP, SigLIP or SigLIP 2; anybody else's two towers (``TwoTower``) cannot be laid open.
    image : path, PIL image, array or Picture
    caption : str or Caption

    Raises
    ------
    ValueError
        If the model is none of the three families, or picture or caption cannot be used.
    """
    model = lay_open(model)
    picture, text = model.own_picture(image), model.own_caption(caption)
    return open_image_tower(model, picture.pixels[None]), open_text_tower(model, text)


def open_image_tower(model: VisionLanguageModel, pixels: torch.Tensor) -> Tower:
    """The image tower with normalised pixels, (1, 3, H, W)."""
    model = lay_open(model)
    vision = model.network.vision_model
    clip = model.family == "clip"
    layers = list(vision.encoder.layers)
    hidden, arguments = _watch_inputs(layers, lambda: model.embed_pixels(pixels))
    if clip:
        return Tower(
            layers, hidden, 1 + np.arange(model.n_patches), 0, arguments,
            lambda last: model.network.visual_projection(vision.post_layernorm(last[:, 0])),
        )  # fmt: skip
    probe = _Probe(vision.post_layernorm, vision.head)
    return Tower(layers, hidden, np.arange(model.n_patches), None, arguments, lambda pooled: pooled, probe)


def open_text_tower(
    model: VisionLanguageModel,
    caption: Caption,
    emptied: bool = False,
    *,
    ids: torch.Tensor | None = None,
    read: int | None = None,
) -> Tower:
    """The text tower with a caption, with as long a one whose players are all padding, or with other token ids (1, L).

    It is read at position ``read``; by default that is the last one of the caption: CLIP's ends with its EOS, SigLIP
    reads the last position.
    """
    import torch

    model = lay_open(model)
    text = model.network.text_model
    if emptied:
        ids = _emptied(model, caption)
    ids = caption.input_ids if ids is None else ids
    read = caption.input_ids.shape[1] - 1 if read is None else read
    layers = list(text.encoder.layers)
    hidden, arguments = _watch_inputs(layers, lambda: model.embed_tokens(ids, torch.ones_like(ids)))
    project = model.network.text_projection if model.family == "clip" else text.head
    return Tower(
        layers, hidden, np.array(caption.players), read, arguments,
        lambda last: project(text.final_layer_norm(last)[:, read]),
    )  # fmt: skip


def _emptied(model: VisionLanguageModel, caption: Caption) -> torch.Tensor:
    """Token ids of as long a caption whose players are all padding, (1, L)."""
    padding = model.tokenizer.pad_token_id
    ids = caption.input_ids.clone()
    ids[0, list(caption.players)] = model.tokenizer.eos_token_id if padding is None else padding
    return ids


@contextlib.contextmanager
def one_head(layers: list[torch.nn.Module]) -> Iterator[None]:
    """Let attention in these layers of CLIP have a single head as wide as all; what was before comes back."""
    modules = [layer.self_attn for layer in layers]
    before = [(each, each.head_dim, each.num_heads, each.scale) for each in modules]
    try:
        for each, head_dim, heads, _ in before:
            each.head_dim, each.num_heads, each.scale = head_dim * heads, 1, (head_dim * heads) ** -0.5
        yield
    finally:
        for each, head_dim, heads, scale in before:
            each.head_dim, each.num_heads, each.scale = head_dim, heads, scale


# --- Inside ---------------------------------------------------------------------------------


class _Probe:
    """SigLIP's attention pooling, written out, since its attention module hands out no probabilities."""

    def __init__(self, norm: torch.nn.Module, head: torch.nn.Module) -> None:
        self.norm, self.head = norm, head

    def __call__(self, last: torch.Tensor) -> tuple[torch.Tensor, Attention]:
        """Last hidden states (b, L, width) -> pooled (b, width) and what the probe's attention did."""
        import torch

        hidden, module = self.norm(last), self.head.attention
        parts = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
        probe = self.head.probe.expand(len(hidden), -1, -1)
        queries, keys, values = (
            torch.nn.functional.linear(given, weight, bias)
            for given, weight, bias in zip((probe, hidden, hidden), *parts, strict=True)
        )

        def split(rows: torch.Tensor) -> torch.Tensor:
            return rows.unflatten(-1, (module.num_heads, -1)).transpose(1, 2)

        weights = split(queries) @ split(keys).transpose(-1, -2) * module.head_dim**-0.5
        probabilities = weights.softmax(dim=-1)
        heads = (probabilities @ split(values)).transpose(1, 2).flatten(2)
        pooled = module.out_proj(heads)
        pooled = pooled + self.head.mlp(self.head.layernorm(pooled))
        return pooled[:, 0], Attention(probabilities, queries, keys, values, heads)


def _watch_inputs(layers: list, run: Callable[[], object]) -> tuple[list, list]:
    """What each layer is given while ``run()`` runs: hidden states, and all other arguments."""
    import torch

    hidden, arguments = [], []

    def keep(_module: torch.nn.Module, given: tuple, named: dict) -> None:
        given, named = list(given), dict(named)
        hidden.append((given.pop(0) if given else named.pop("hidden_states")).detach())
        arguments.append((tuple(given), named))

    handles = [layer.register_forward_pre_hook(keep, with_kwargs=True) for layer in layers]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return hidden, arguments


def _for_batch(argument: object, size: int) -> object:
    """An argument that a layer got for one input, for several: its mask, which some versions want as often."""
    is_mask = hasattr(argument, "shape") and len(argument.shape) == 4 and len(argument) == 1
    return argument.expand(size, -1, -1, -1) if is_mask else argument


def _keep_output(part: dict, name: str, entry: int | None = None) -> Callable:
    def keep(_module: torch.nn.Module, _given: tuple, output: torch.Tensor) -> None:
        part[name] = output if entry is None else output[entry]

    return keep


def _keep_input(part: dict, name: str) -> Callable:
    def keep(_module: torch.nn.Module, given: tuple) -> None:
        part[name] = given[0]

    return keep


def _unit(rows: torch.Tensor) -> torch.Tensor:
    from fixlip_helpers.encoders.models import unit_rows

    return unit_rows(rows)
