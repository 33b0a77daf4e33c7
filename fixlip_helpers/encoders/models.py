"""Encoders: CLIP, SigLIP and SigLIP 2 as one small object with two towers and a score.

:func:`load_model` returns a :class:`VisionLanguageModel`, which knows everything a game needs: the
patch grid, the tokenizer, which tokens are players and which are special, both encoders, and the
two numbers that make a logit of a cosine::

    score(image, caption) = scale * <f(image), g(caption)> + bias

``scale`` is ``exp(logit_scale)``; ``bias`` is SigLIP's ``logit_bias`` and zero for CLIP. Both
encoders return embeddings of unit norm.

The three families read text differently, and a game must respect how each was trained:

========  =======================  =========================  ===========================
family    tokens                   padding                    text is read at
========  =======================  =========================  ===========================
clip      BOS, caption, EOS        none needed                the EOS position
siglip    caption, EOS             to 64, visible             the last position
siglip2   lower case caption, EOS  to 64, visible             the last position
========  =======================  =========================  ===========================

Sources: Radford et al. 2021 (CLIP), Zhai et al. 2023 (SigLIP), Tschannen et al. 2025 (SigLIP 2).
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import re
import secrets
import string
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fixlip_helpers.coalitions import check_count
from fixlip_helpers.encoders.pictures import one_line, open_for_encoder
from fixlip_helpers.encoders.pieces import Words, name_players, name_spans
from fixlip_helpers.switches import one_at_a_time

if TYPE_CHECKING:
    import torch

ASSETS = Path(__file__).parents[1] / "assets"
SOUND = ("mini-clip", "mini-siglip")
EMBEDDED = (*SOUND, "mini-clip-biased")  # the last with the faults of fixlip_helpers.faults
WHAT_EMBEDDED_MODELS_SEE = (
    "drawn scenes of fixlip_helpers.scenes: emoji drawings, 8 colours, backgrounds; no photographs"
)
WHAT_HUB_MODELS_SEE = "photographs and drawings; English captions"
WHAT_MULTILINGUAL_MODELS_SEE = "photographs and drawings; captions in many languages"

# The models of the paper's experiments: hub id -> (family, image size, patch size) in pixels.
HUB_MODELS = {
    "openai/clip-vit-base-patch32": ("clip", 224, 32),
    "openai/clip-vit-base-patch16": ("clip", 224, 16),
    "google/siglip-base-patch16-224": ("siglip", 224, 16),
    "google/siglip-large-patch16-256": ("siglip", 256, 16),
    "google/siglip2-base-patch32-256": ("siglip2", 256, 32),
    "google/siglip2-base-patch16-224": ("siglip2", 224, 16),
    "google/siglip2-large-patch16-256": ("siglip2", 256, 16),
}

GEMMA_VOCABULARY = 256_000  # only SigLIP 2 has a text tower of this size
WHOLE_FINGERPRINT = 10_000_000  # networks up to this many numbers are fingerprinted each time they are asked
SAMPLE = 16_384  # numbers of each tensor that are looked at to see whether a larger one was changed since


# --- A picture as a model prepared it ------------------------------------------------------


class Preparation:
    """By what a picture became pixels, or a caption tokens; equal where the same input becomes the same.

    Parameters
    ----------
    model : str
        Name of the model, for messages.
    key : str or tuple, or a function that gives one
        What is compared. A function is called when two different preparations meet for the first time.
    """

    def __init__(self, model: str, key: str | tuple | Callable[[], str]) -> None:
        self.model, self._key = model, key

    @property
    def key(self) -> str | tuple:
        """What is compared."""
        if callable(self._key):
            self._key = self._key()
        return self._key

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Preparation) and self.key == other.key)

    __hash__ = None

    def __reduce__(self) -> tuple:
        # a copy in another process knows the content; functions of somebody's are nobody's there
        key = self.key if isinstance(self.key, str) else secrets.token_hex(8)
        return Preparation, (self.model, key)


@dataclass(frozen=True)
class Picture:
    """A picture as the encoder sees it, and where that lies in the original.

    Attributes
    ----------
    pixels : torch.Tensor, shape (3, H, W)
        Normalised pixels, of the model's device and type; 0 is the image processor's mean colour.
    seen : PIL.Image.Image
        What the patches cover of these pixels, as 8-bit RGB: resized and cropped as the encoder gets them, less
        the strip at the right and lower edge that is too narrow for a patch (so400m-patch14-384: 6 of 384 pixels).
    original : PIL.Image.Image
        The whole picture, upright RGB.
    box : tuple of 4 floats
        Left, upper, right, lower edge of ``seen`` in pixels of ``original``: where to draw heat on it.
    prepared_by : Preparation, optional
        A model that prepares pictures in another way refuses it. None, of a picture made by hand: any model takes it.
    """

    pixels: torch.Tensor
    seen: Image.Image
    original: Image.Image
    box: tuple[float, float, float, float]
    prepared_by: Preparation | None = None

    def __repr__(self) -> str:
        (width, height), (wide, high) = self.original.size, self.seen.size
        return f"<picture of {width} × {height} pixels, seen as {wide} × {high}>"


# --- Captions -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Caption:
    """A caption as the encoder reads it.

    Attributes
    ----------
    text : str
        The caption as given.
    input_ids : torch.Tensor, shape (1, L), int64
        Token ids with special tokens and, for the SigLIP families, padding.
    attention_mask : torch.Tensor, shape (1, L), int64
        All ones: padding was visible in training and stays visible. Removing a player sets its column to 0.
    players : tuple of int
        Position of each player in the sequence, in order. Special tokens are never players.
    names : list of str
        Name of each player: the text that it stands for (:mod:`~fixlip_helpers.encoders.pieces`), not the tokenizer's
        spelling. A character of several tokens gives its name to each.
    words : list of (str, tuple of int)
        Each word with the players that it is made of: ``("hydrant", (6, 7))`` for ``hydr`` + ``ant``.
        Positions among the players, ready for ``Explanation.merge`` after adding ``n_image``.
    prepared_by : Preparation, optional
        A model that reads text in another way refuses it. None, of a caption made by hand: any model takes it.
    """

    text: str
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    players: tuple[int, ...]
    names: list[str]
    words: list[tuple[str, tuple[int, ...]]]
    prepared_by: Preparation | None = None

    def __repr__(self) -> str:
        return f"<{self.text!r}: tokens {' | '.join(self.names)}>"


def check_caption(caption: str) -> None:
    """TypeError for a caption that is no string, ValueError for an empty one."""
    if not isinstance(caption, str):
        raise TypeError(f"caption is a {type(caption).__name__}; expected a string")
    if not caption.strip():
        raise ValueError("caption is empty; expected at least one word")


# --- The model ----------------------------------------------------------------------------


class Scoring:
    """What every model with two encoders can do: score a picture and a caption, and know what it has prepared.

    A subclass has a grid with its sizes, ``name``, and the :class:`Preparation` of its pictures and of its captions,
    ``seeing`` and ``reading``.
    """

    def score(
        self, image: str | os.PathLike | Image.Image | np.ndarray | Picture, caption: str | Caption
    ) -> float:
        """The logit of one picture and one caption: ``scale * cosine + bias``."""
        import torch

        picture, text = self.own_picture(image), self.own_caption(caption)
        with torch.inference_mode():
            f = self.embed_pixels(picture.pixels[None])[0]
            g = self.embed_tokens(text.input_ids, text.attention_mask)[0]
        return (
            self.scale * float(f.cpu().double() @ g.cpu().double()) + self.bias
        )  # not every device has float64

    def own_picture(self, image: str | os.PathLike | Image.Image | np.ndarray | Picture) -> Picture:
        """A picture as this model sees it: prepared now, or before.

        Raises
        ------
        ValueError
            If it was prepared by a model that prepares pictures in another way, or cannot be prepared.
        """
        if not isinstance(image, Picture):
            return self.prepare_image(image)
        self._check_prepared("picture", image.prepared_by, self.seeing, "original")
        return image

    def own_caption(self, caption: str | Caption) -> Caption:
        """A caption as this model reads it: tokenized now, or before.

        Raises
        ------
        ValueError
            If it was tokenized by a model that reads text in another way, or cannot be tokenized.
        """
        if not isinstance(caption, Caption):
            return self.tokenize(caption)
        self._check_prepared("caption", caption.prepared_by, self.reading, "text")
        return caption

    def seen(self, pixels: torch.Tensor) -> Image.Image:
        """What the patches cover of pixels, (3, H, W), as RGB."""
        rows, columns = self.grid
        return Image.fromarray(
            self.to_colours(pixels[:, : rows * self.patch_size, : columns * self.patch_size])
        )

    def _covered_box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Of the part of an original that becomes pixels, the part that patches cover."""
        left, upper, right, lower = box
        return left, upper, left + self.covered * (right - left), upper + self.covered * (lower - upper)

    def _check_prepared(self, what: str, by: Preparation | None, own: Preparation, source: str) -> None:
        if by is not None and by != own:
            raise ValueError(
                f"the {what} was prepared by {by.model!r}, and {self.name!r} prepares a {what} in another way: "
                f"give {what}.{source} in its place"
            )

    @property
    def fingerprint_or_token(self) -> str:
        """What tells the model from every other: its fingerprint, or, where it has none, what holds in this process."""
        try:
            return self.fingerprint()
        except ValueError:
            self.__dict__.setdefault("_token", f"without fingerprint {secrets.token_hex(8)}")
            return self._token


class VisionLanguageModel(Scoring):
    """A CLIP-like model: two encoders, a tokenizer, an image processor, and how to use them together.

    Made by :func:`load_model`; the constructor is for networks that are already in memory.

    Parameters
    ----------
    network : transformers.CLIPModel or transformers.SiglipModel
        Put in evaluation mode, its parameters frozen (gradients with respect to activations still flow).
    tokenizer, image_processor
        The transformers objects that belong to it.
    name : str
        What to call it in explanations.

    Attributes
    ----------
    family : "clip", "siglip" or "siglip2"
    grid : tuple of int
        Patch rows and columns; patch ``i`` is in row ``i // columns``.
    n_patches, patch_size, image_size : int
        The last two in pixels.
    covered : float
        The share of the picture's width and height that the patches cover, at most 1.
    scale, bias : float
        ``score = scale * cosine + bias``.
    max_players : int
        The longest caption that fits, in tokens, special tokens not counted.
    device, dtype
        Where the network is, and the type of its weights.
    n_parameters : int
    vocabulary : frozenset of str, or None
        All words of a word-level tokenizer; ``None`` for one that spells words out of pieces.
    embedded : bool
        Whether it is one of the models that came with the package, which know drawings only.

    Raises
    ------
    ValueError
        If the network is of another kind, or pools its text anywhere but at EOS (see :meth:`_check_pooling`).
    """

    hidden_token: int | None = None  # the id that takes a removed token's place; None: nobody attends to it
    replicas: tuple[VisionLanguageModel, ...] = ()  # the same model on further devices

    def __init__(self, network: Any, tokenizer: Any, image_processor: Any, name: str = "model") -> None:
        self.network = network.eval().requires_grad_(False)
        self.tokenizer, self.image_processor, self.name = tokenizer, image_processor, name
        self.family = _family(network.config, tokenizer)
        vision, text = network.config.vision_config, network.config.text_config
        self.image_size, self.patch_size = _one_size(vision.image_size), _one_size(vision.patch_size)
        side = self.image_size // self.patch_size
        self.grid, self.n_patches = (side, side), side * side
        self.covered = side * self.patch_size / self.image_size
        self.scale = float(network.logit_scale.detach().cpu().double().exp())  # not every device has float64
        self.bias = float(network.logit_bias.detach()) if hasattr(network, "logit_bias") else 0.0
        self.context = text.max_position_embeddings
        self.n_parameters = sum(p.numel() for p in network.parameters())
        self.seeing = Preparation(name, lambda: short_digest([self._how_it_sees(), str(self.dtype)]))
        self.reading = Preparation(name, lambda: short_digest(self._how_it_reads()))
        self._weights: tuple[tuple, str] | None = None
        # CLIP's unknown token is its EOS, and what it would pad with (never needed) may be an ordinary "!"
        ordinary = {tokenizer.unk_token_id} | ({tokenizer.pad_token_id} if self.family == "clip" else set())
        self._special = set(tokenizer.all_special_ids) - ordinary | {
            tokenizer.bos_token_id,
            tokenizer.eos_token_id,
        }
        self.vocabulary = self._word_level_vocabulary()
        # the name alone says nothing: anybody's folder can be called mini-clip
        self.embedded = name in EMBEDDED and self.vocabulary is not None
        self._known_tokens = network.text_model.embeddings.token_embedding.num_embeddings
        self.max_players = self.context - (1 if self.family == "siglip2" else len(tokenizer("").input_ids))
        if self.family == "clip":
            self._check_pooling()

    @property
    def text_removal(self) -> str:
        """What hides a removed token."""
        return "attention mask" if self.hidden_token is None else f"token {self.hidden_token} in its place"

    def __repr__(self) -> str:
        rows, columns = self.grid
        return (
            f"<{self.name}: {self.family}, {rows}×{columns} patches of {self.patch_size} pixels, "
            f"{self.n_parameters / 1e6:.1f} M parameters, on {self.device}>"
        )

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.logit_scale.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the network's weights (the logit's scale and bias, two numbers, are kept more exactly)."""
        return next(self.network.vision_model.parameters()).dtype

    def fingerprint(self) -> str:
        """What the model is, in 16 digits: its weights and their type, and all settings that a score depends on.

        These are the architecture's (heads, activation, ...), the tokenizer's and the image processor's. Two models
        of one name that differ in any of them have two fingerprints; a copy under another name has the same. The
        device and the order of numbers in memory do not count.
        """
        config = self.network.config
        towers = [
            [getattr(part, name, None) for name in _SETTINGS]
            for part in (config.text_config, config.vision_config)
        ]
        hidden = [] if self.hidden_token is None else [self.hidden_token]
        return short_digest(
            [self._fingerprint_of_weights(), towers, self._how_it_sees(), self.reading.key, *hidden]
        )

    def _fingerprint_of_weights(self) -> str:
        """:func:`fingerprint` of the network; of a large one it is kept as long as its weights seem untouched."""
        if self.n_parameters <= WHOLE_FINGERPRINT:
            return fingerprint(self.network)
        versions = [(t.data_ptr(), t._version, str(t.dtype)) for t in self.network.state_dict().values()]
        state = (versions, fingerprint(self.network, SAMPLE))
        if self._weights is None or self._weights[0] != state:
            self._weights = state, fingerprint(self.network)
        return self._weights[1]

    def with_shuffled_weights(self, seed: int = 0) -> VisionLanguageModel:
        """A copy in which the numbers of every weight tensor have changed places, but for scale and bias."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        network = copy.deepcopy(self.network)
        with torch.no_grad():
            for name, weights in network.named_parameters():
                if name not in ("logit_scale", "logit_bias"):
                    order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
                    weights.copy_(weights.reshape(-1)[order].reshape(weights.shape))
        return type(self)(network, self.tokenizer, self.image_processor, f"{self.name}, weights shuffled")

    def _how_it_sees(self) -> list:
        """What decides the pixels of a picture."""
        settings = self.image_processor.to_dict()
        names = ("size", "crop_size", "resample", "rescale_factor", "image_mean", "image_std")
        names += tuple(key for key in sorted(settings) if key.startswith("do_"))
        return [self.image_size, self.patch_size, {name: settings.get(name) for name in names}]

    def _how_it_reads(self) -> list:
        """What decides the tokens of a caption."""
        tokenizer = self.tokenizer
        special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            rules = sorted(tokenizer.get_vocab().items())
        else:  # not its own to_str(), which tells of padding and truncation as the last call left them
            parts = (backend.normalizer, backend.pre_tokenizer, backend.model, backend.post_processor)
            rules = [hashlib.sha256(part.__getstate__()).hexdigest() for part in parts if part is not None]
        return [self.family, self.context, special, rules]

    # Pictures

    def prepare_image(self, image: str | os.PathLike | Image.Image | np.ndarray) -> Picture:
        """Open, resize, crop and normalise a picture with the model's own image processor.

        Raises
        ------
        ValueError
            As :func:`open_image`, and for a picture more than ``MAX_ASPECT_RATIO`` times as long as wide.
        """
        import torch

        original = open_for_encoder(image)
        pixels = torch.as_tensor(np.asarray(self.image_processor(images=original)["pixel_values"][0]))
        expected = (3, self.image_size, self.image_size)
        if tuple(pixels.shape) != expected:
            raise ValueError(
                f"the image processor of {self.name!r} gives pixels of shape {tuple(pixels.shape)}, "
                f"its encoder takes {expected}; mend preprocessor_config.json in its folder"
            )
        seen, box = self.seen(pixels), self._covered_box(self._box(original.size))
        pixels = pixels.to(self.dtype).to(self.device)  # in this order: a processor may give float64
        return Picture(pixels, seen, original, box, self.seeing)

    def to_colours(self, pixels: torch.Tensor) -> np.ndarray:
        """Undo the normalisation: (..., 3, H, W) pixels -> (..., H, W, 3) uint8 colours."""
        mean, std = self._normalisation()
        colours = np.moveaxis(pixels.detach().cpu().double().numpy(), -3, -1) * std + mean
        return np.clip(np.round(255 * colours), 0, 255).astype(np.uint8)

    def from_colour(self, colour: tuple[float, float, float]) -> np.ndarray:
        """Normalise one colour: RGB in 0 to 255 -> (3,) float64 as the encoder gets it."""
        mean, std = self._normalisation()
        return (np.asarray(colour, dtype=float) / 255 - mean) / std

    def _normalisation(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the image processor, each (3,), for colours in 0 to 1."""
        if not self.image_processor.do_normalize:
            return np.zeros(3), np.ones(3)
        return np.asarray(self.image_processor.image_mean), np.asarray(self.image_processor.image_std)

    def _box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Which part of an original of ``size`` (width, height) the processor keeps, in its pixels."""
        processor, (width, height) = self.image_processor, size
        resized = [width, height]
        if processor.do_resize and _size(processor.size, "shortest_edge"):
            edge = _size(processor.size, "shortest_edge")
            resized = [int(edge * length / min(size)) for length in size]
        elif processor.do_resize:
            resized = [_size(processor.size, "width"), _size(processor.size, "height")]
        if not getattr(processor, "do_center_crop", False):
            return 0.0, 0.0, float(width), float(height)
        kept = _size(processor.crop_size, "width"), _size(processor.crop_size, "height")
        left, upper = ((whole - part) // 2 for whole, part in zip(resized, kept, strict=True))
        x, y = width / resized[0], height / resized[1]
        return left * x, upper * y, (left + kept[0]) * x, (upper + kept[1]) * y

    def embed_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Image embeddings: normalised pixels (m, 3, H, W) -> (m, d), unit norm, float32 or float64."""
        return unit_rows(
            _pooled(self.network.get_image_features(pixel_values=pixels.to(self.dtype).to(self.device)))
        )

    def patch_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """What the image transformer starts from: (m, 3, H, W) -> (m, n_patches (+ 1), width).

        One token a patch, with its position embedding; CLIP's CLS token comes first. Dropping tokens
        here removes patches without painting anything in their place.
        """
        return self.network.vision_model.embeddings(pixels.to(self.dtype).to(self.device))

    def embed_patch_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """The rest of the image encoder: any number k >= 1 of tokens, (m, k, width) -> (m, d), unit norm."""
        vision = self.network.vision_model
        if self.family == "clip":
            hidden = vision.encoder(inputs_embeds=vision.pre_layrnorm(tokens)).last_hidden_state
            return unit_rows(self.network.visual_projection(vision.post_layernorm(hidden[:, 0])))
        hidden = vision.post_layernorm(vision.encoder(inputs_embeds=tokens).last_hidden_state)
        return unit_rows(vision.head(hidden))

    # Captions

    def tokenize(self, caption: str) -> Caption:
        """Split a caption into players and frame it with the special tokens that the encoder expects.

        Raises
        ------
        ValueError
            If the caption is empty, too long (limit and length are named), contains a special token or one
            that the text encoder lacks, is in a script that the text encoder was not trained on, or, for a word-level
            vocabulary, has a word that it lacks (the nearest known words are named).
        TypeError
            If it is no string.
        """
        import torch

        check_caption(caption)
        text = " ".join(caption.split())
        if (
            self.family == "siglip2"
        ):  # trained on lower-case text, which not every version of its tokenizer sees to
            text = text.lower()
        self._check_script(text)
        if self.vocabulary is not None:
            self._check_words(text)
            text = " ".join(self._split(text))
        content = self.tokenizer(text, add_special_tokens=False).input_ids
        eos = self.tokenizer.eos_token_id
        if special := [i for i in content if i in self._special]:
            token = self.tokenizer.convert_ids_to_tokens(special[0])
            raise ValueError(
                f"caption contains {token!r}, a special token of {self.name!r}; expected plain text"
            )
        if not content:
            raise ValueError(
                f"caption {caption!r} has no word left after tokenisation; expected at least one"
            )
        if len(content) > self.max_players:
            raise ValueError(
                f"caption has {len(content)} tokens; {self.name!r} reads at most {self.max_players}: "
                "shorten it"
            )
        if self.vocabulary is None and self.tokenizer.unk_token_id in content:
            raise ValueError(
                f"caption {caption!r} has characters that the tokenizer of {self.name!r} does not know"
            )
        if max(content) >= self._known_tokens:
            token = self.tokenizer.convert_ids_to_tokens(max(content))
            raise ValueError(
                f"caption has the token {token!r} with id {max(content)}; the text encoder of {self.name!r} knows "
                f"{self._known_tokens} ids: was it added without network.resize_token_embeddings?"
            )
        # Versions of Gemma's tokenizer differ in which special tokens they add: SigLIP 2 wants EOS, once
        ids = [*content, eos] if self.family == "siglip2" else self.tokenizer(text).input_ids
        players = tuple(i for i, token in enumerate(ids) if token not in self._special)
        if self.family != "clip":
            ids = ids + [self.tokenizer.pad_token_id] * (self.context - len(ids))
        names, words = self._names_and_words(text, content)
        input_ids = torch.tensor([ids], device=self.device)
        attention_mask = torch.ones_like(input_ids)
        return Caption(caption, input_ids, attention_mask, players, names, words, self.reading)

    def embed_tokens(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Text embeddings: ids and masks, each (m, L) -> (m, d), unit norm, float32 or float64.

        A token whose mask is 0 is hidden as ``text_removal`` says; it keeps its position, as do all others.
        """
        input_ids, attention_mask = input_ids.to(self.device), attention_mask.to(self.device)
        if self.hidden_token is not None:
            input_ids = input_ids.masked_fill(attention_mask == 0, self.hidden_token)
            attention_mask = attention_mask.new_ones(attention_mask.shape)
        return unit_rows(
            _pooled(self.network.get_text_features(input_ids=input_ids, attention_mask=attention_mask))
        )

    def unknown_words(self, caption: str) -> dict[str, list[str]]:
        """Words of a caption that a word-level vocabulary lacks, each with up to 3 nearest known words.

        Empty for tokenizers that can spell any word out of pieces.
        """
        if self.vocabulary is None:
            return {}
        return {
            word: get_close_matches(word, sorted(self.vocabulary), n=3, cutoff=0.5)
            for word in dict.fromkeys(self._split(caption))
            if word not in self.vocabulary
        }

    # What the above needs

    def _names_and_words(self, text: str, content: list[int]) -> tuple[list[str], Words]:
        """Names of a caption's tokens and its words, from where they are in the text."""
        pieces = self.tokenizer.convert_ids_to_tokens(content)
        if not self.tokenizer.is_fast:
            return name_players(pieces, text)
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        numbers = encoded.word_ids(0) if encoded.encodings else encoded.word_ids()
        return name_spans(text, encoded["offset_mapping"], pieces, numbers, self._reads_small_letters)

    @cached_property
    def _reads_small_letters(self) -> bool:
        """Whether capitals make no difference to the tokenizer."""
        capital, small = (self.tokenizer(text, add_special_tokens=False).input_ids for text in ("DOG", "dog"))
        return capital == small

    def _word_level_vocabulary(self) -> frozenset[str] | None:
        """All words of a word-level tokenizer, ``None`` for one that works with pieces."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None or type(backend.model).__name__ != "WordLevel":
            return None
        unknown = {self.tokenizer.unk_token_id}
        return frozenset(w for w, i in self.tokenizer.get_vocab().items() if i not in self._special | unknown)

    def _split(self, caption: str) -> list[str]:
        """The words of a caption as a word-level tokenizer cuts them, without punctuation."""
        backend = self.tokenizer.backend_tokenizer
        text = backend.normalizer.normalize_str(caption) if backend.normalizer else caption
        words = [word.strip(string.punctuation) for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)]
        return [word for word in words if word]

    def _check_words(self, caption: str) -> None:
        """Refuse words that a word-level vocabulary lacks: the encoder has never seen them."""
        if unknown := self.unknown_words(caption):
            near = [
                f"{word!r}" + (f" (nearest: {', '.join(known)})" if known else "")
                for word, known in unknown.items()
            ]
            raise ValueError(f"caption has words that {self.name!r} does not know: {'; '.join(near)}")

    def _check_script(self, caption: str) -> None:
        """Refuse letters of scripts that the text encoder was not trained on; SigLIP 2 is multilingual."""
        foreign = [c for c in caption if c.isalpha() and not unicodedata.name(c, "").startswith("LATIN")]
        english = self.family == "clip" or self.vocabulary is not None
        if foreign and english:
            raise ValueError(
                f"caption {caption!r} has letters outside the Latin script ({foreign[0]!r}); {self.name!r} "
                "reads English: translate it, or use a multilingual model, google/siglip2-base-patch32-256"
            )

    def _check_pooling(self) -> None:
        """Make sure that CLIP's text is read at EOS, whatever the configuration says.

        With ``eos_token_id == 2`` in its text configuration (as in OpenAI's own checkpoints)
        transformers reads the position of the *largest id*, otherwise the first position that
        holds that id. The former is right only where EOS has the largest id of the vocabulary;
        the latter only where configuration and tokenizer agree.
        """
        configured, eos = self.network.config.text_config.eos_token_id, self.tokenizer.eos_token_id
        right = eos == max(self.tokenizer.get_vocab().values()) if configured == 2 else eos == configured
        if not right:
            rule = "largest token id" if configured == 2 else f"token id {configured}"
            raise ValueError(
                f"{self.name!r} would read its text at the {rule}, not at EOS (id {eos}): give EOS an id "
                "other than 2 and set eos_token_id in text_config to it"
            )


def unit_rows(embeddings: torch.Tensor) -> torch.Tensor:
    """Scale rows to unit norm, (m, d) of any type -> float64 where it was, else float32."""
    import torch

    embeddings = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
    return torch.nn.functional.normalize(embeddings, dim=-1)


def fingerprint(network: torch.nn.Module, sample: int | None = None) -> str:
    """A network's weights as 16 hexadecimal digits of SHA-256: names, shapes, types and bytes of all tensors.

    With ``sample`` every tensor gives only about so many evenly spaced numbers. The device and the order in memory
    do not count.
    """
    import torch

    found = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        numbers = tensor.detach().reshape(-1)
        numbers = numbers if sample is None else numbers[:: max(1, len(numbers) // sample)]
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        found.update(memoryview(numbers.contiguous().cpu().view(torch.uint8).numpy()))
    return found.hexdigest()[:16]


# The entries of a tower's configuration that change what its weights compute.
_SETTINGS = (
    *("hidden_act", "num_attention_heads", "layer_norm_eps", "num_hidden_layers", "max_position_embeddings"),
    *("image_size", "patch_size", "eos_token_id", "projection_size", "vision_use_head"),
)


def short_digest(facts: object) -> str:
    """Facts that JSON can hold, as 16 hexadecimal digits of SHA-256; anything else counts by its text."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _pooled(output: Any) -> torch.Tensor:
    """The embedding in what ``get_*_features`` returns: a tensor before transformers 5, an object since."""
    return getattr(output, "pooler_output", output)


def _one_size(size: Any) -> int:
    """A size that may be written as a number or as a pair of equal numbers."""
    sizes = set(size) if isinstance(size, (list, tuple)) else {size}
    if len(sizes) != 1:
        raise ValueError(f"the encoder's size is {size}; only square pictures and patches are supported")
    return int(sizes.pop())


def _size(sizes: Any, key: str) -> int | None:
    """One entry of a processor's size, a dictionary or an object by version of transformers."""
    return sizes.get(key) if isinstance(sizes, dict) else getattr(sizes, key, None)


def _check_kind(config: Any) -> None:
    """Refuse networks that are neither CLIP nor SigLIP."""
    if config.model_type == "siglip2":
        raise ValueError(
            "SigLIP 2 NaFlex checkpoints have no fixed patch grid and are not supported; "
            "use a fixed-resolution one such as google/siglip2-base-patch32-256"
        )
    if config.model_type not in ("clip", "siglip"):
        raise ValueError(f"the model is of type {config.model_type!r}; expected CLIP, SigLIP or SigLIP 2")


def _family(config: Any, tokenizer: Any) -> str:
    """Which of the three families a network belongs to."""
    _check_kind(config)
    # Fixed-resolution SigLIP 2 is a SiglipModel whose text tower has Gemma's vocabulary and tokenizer
    gemma = type(tokenizer).__name__.removesuffix("Fast") in ("GemmaTokenizer", "Siglip2Tokenizer")
    if config.model_type == "siglip" and (gemma or config.text_config.vocab_size == GEMMA_VOCABULARY):
        return "siglip2"
    return config.model_type


# --- Loading ------------------------------------------------------------------------------


def load_model(
    name_or_path: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    compile: bool = False,
    devices: Sequence[str | torch.device] | None = None,
    hidden_token: int | None = None,
) -> VisionLanguageModel:
    """Load an embedded model, a local folder, or a hub id of CLIP, SigLIP or SigLIP 2.

    The network is touched only for a hub id that is not in the local cache.

    Parameters
    ----------
    name_or_path : str or path, optional
        ``"mini-clip"``, ``"mini-siglip"``, a transformers folder, or a hub id such as
        ``"openai/clip-vit-base-patch32"``. Default: environment variable ``FIXLIP_MODEL``, else
        ``"mini-clip"``.
    device : str or torch.device, optional
        Default: environment variable ``FIXLIP_DEVICE``, else ``"cpu"``.
    dtype : str or torch.dtype, optional
        Type of the weights: ``"float32"`` (default), ``"float64"``, ``"float16"``, ``"bfloat16"``. Embeddings come
        as float32 (float64 of float64 weights), the logit's scale and bias are not rounded;
        :func:`~fixlip_helpers.games.precision_report` says what a reduced type changes.
    compile : bool
        Compile the layers of both transformers with ``torch.compile``. The first batches then take a minute or
        more, later ones less time: for thousands of passes, on a GPU. Needs a C++ compiler on a CPU.
    devices : sequence of str or torch.device, optional
        In place of ``device``: several, such as ``["cuda:0", "cuda:1"]``. Each gets a copy of the network, and a
        game's coalitions are split over them (``model.replicas``).
    hidden_token : int, optional
        A removed token is replaced by the token of this id, which the encoder then reads. Default: it is hidden by the
        attention mask, and nobody attends to it. These are two games. FIxLIP's release uses both: the mask with
        transformers' CLIP, id 289 with OpenAI's, on which it judges GAME, Grad-ECLIP and exCLIP.

    Returns
    -------
    VisionLanguageModel

    Raises
    ------
    ValueError
        One line: no such model, a hub that cannot be reached, an incomplete folder, another kind of model,
        a device that is not there.

    Examples
    --------
    >>> model = load_model("mini-clip")
    >>> model.family, model.grid
    ('clip', (8, 8))
    """
    if devices is not None:
        if device is not None or isinstance(devices, str) or not len(devices):
            raise ValueError(
                f"devices is {devices!r}; expected a list of at least one device, and no device besides"
            )
        copies = [
            load_model(name_or_path, each, dtype, compile, hidden_token=hidden_token) for each in devices
        ]
        copies[0].replicas = tuple(copies[1:])
        return copies[0]
    name = os.fspath(name_or_path or os.environ.get("FIXLIP_MODEL") or "mini-clip")
    device = _device(device or os.environ.get("FIXLIP_DEVICE") or "cpu")
    dtype = _dtype(dtype or "float32")
    if name in EMBEDDED:
        folder = ASSETS / name
        if not (folder / "config.json").is_file():
            raise ValueError(
                f"the embedded model {name!r} is missing from this installation; install fixlip-helpers again"
            )
        parts = _load_folder(folder, name, "its files here are damaged: install fixlip-helpers again")
    elif Path(name).expanduser().is_dir():
        folder = Path(name).expanduser()
        name = folder.resolve().name
        parts = _load_folder(
            folder, name, "if a file is missing or half-downloaded, download the folder again"
        )
    elif re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*", name):
        parts = _load_from_hub(name)
    else:
        raise ValueError(
            f"unknown model {name!r}: it is no folder and no hub id (owner/name); "
            f"embedded models: {', '.join(EMBEDDED)}"
        )
    network, tokenizer, image_processor = parts
    network = _placed(network, device, dtype)
    if compile:
        for tower in (network.vision_model, network.text_model):
            tower.encoder.compile(dynamic=True)  # dropping tokens gives sequences of many lengths
    model = VisionLanguageModel(network, tokenizer, image_processor, name)
    if hidden_token is not None:
        size = network.config.text_config.vocab_size
        if check_count("hidden_token", hidden_token) >= size:
            raise ValueError(f"hidden_token = {hidden_token}; {name!r} knows the ids 0 to {size - 1}")
        model.hidden_token = int(hidden_token)
    return model


def _placed(network: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The network on its device in its type; the logit's scale and bias are never rounded to fewer than 32 bits."""
    import torch

    if dtype == torch.float64:
        _check_has_float64(device)
    exact = {name: p.data for name, p in network.named_parameters() if name in ("logit_scale", "logit_bias")}
    layout = torch.channels_last if device.type == "cuda" else torch.preserve_format
    network = network.to(dtype).to(device=device, memory_format=layout)  # in this order: see above
    if torch.finfo(dtype).bits < 32:  # bfloat16 would make a scale of 100 one of 98.9
        for name, number in exact.items():
            getattr(network, name).data = number.to(torch.float32).to(device)
    return network


def _check_has_float64(device: torch.device) -> None:
    """ValueError on a device without float64, such as Apple's."""
    import torch

    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):
        raise ValueError(
            f"dtype is 'float64', which device {str(device)!r} has not; take 'float32'"
        ) from None


def _load_folder(folder: Path, name: str, advice: str) -> tuple[Any, Any, Any]:
    """From a folder, or one line that says why not and what to do."""
    try:
        return _load_parts(str(folder), name)
    except _Incomplete as error:
        raise ValueError(f"{str(error).rstrip('.:')}; {advice}") from None


@one_at_a_time
def _load_parts(source: str, name: str, local: bool = True) -> tuple[Any, Any, Any]:
    """Network, tokenizer, image processor from a folder or the hub's cache, or one line that says why not."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    with _quiet(), _offline() if local else contextlib.nullcontext():
        try:
            config = AutoConfig.from_pretrained(source, local_files_only=local)
        except Exception as error:  # missing, unreadable, of no known type: transformers raises many kinds
            raise _Incomplete(f"model {name!r} cannot be loaded: {one_line(error)}") from None
        _check_kind(config)
        try:
            network, info = AutoModel.from_pretrained(
                source, local_files_only=local, output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
            image_processor = _image_processor(source, local)
        except ImportError as error:  # SigLIP's tokenizer needs two packages that no other model does
            wanted = [package for package in ("sentencepiece", "protobuf") if package in str(error).lower()]
            advice = f"pip install {' '.join(wanted)}" if wanted else one_line(error)
            raise ValueError(f"model {name!r} needs a package that is not installed: {advice}") from None
        except Exception as error:
            raise _Incomplete(f"model {name!r} cannot be loaded: {one_line(error)}") from None
    special = set(tokenizer.all_special_tokens)
    if all(token in special or re.fullmatch(r"<.*>|\[.*\]", token) for token in tokenizer.get_vocab()):
        raise _Incomplete(  # transformers makes an empty one where there are no files
            f"model {name!r} cannot be loaded: its tokenizer knows no word, as its files are missing "
            f"({' or '.join(sorted(set(tokenizer.vocab_files_names.values())))})"
        )
    if missing := sorted(info["missing_keys"]):  # transformers would go on with random numbers in their place
        raise ValueError(f"the weights of model {name!r} lack {len(missing)} tensors, such as {missing[0]}")
    return network, tokenizer, image_processor


def _image_processor(source: str, local: bool) -> Any:
    """The image processor that works with Pillow alone: torchvision, there or not, changes no result."""
    import transformers
    from transformers import AutoImageProcessor

    pillow_only = (
        {"use_fast": False} if int(transformers.__version__.split(".")[0]) < 5 else {"backend": "pil"}
    )
    return AutoImageProcessor.from_pretrained(source, local_files_only=local, **pillow_only)


class _Incomplete(ValueError):
    """Files are missing: an error for a folder, a reason to go to the network for a hub id."""


@one_at_a_time
def _load_from_hub(name: str) -> tuple[Any, Any, Any]:
    """From the local cache where it is complete, else from the network, asked once and briefly."""
    try:
        return _load_parts(name, name)
    except _Incomplete:
        pass
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=5)  # unlike a download, it is not tried again and again
    except Exception as error:  # the ways in which a network can fail are not ours to list
        near = get_close_matches(name, HUB_MODELS, n=1, cutoff=0.8) if name not in HUB_MODELS else []
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"model {name!r} is no folder here and not in the local cache, and {_why_not_from_hub(error)}{meant}; "
            f"models that need no network: {', '.join(EMBEDDED)}"
        ) from None
    return _load_parts(name, name, local=False)


_STATUS = {
    401: "the token is not valid (hf auth login)",
    403: "the token does not allow it",
    407: "the proxy asks for a password",
    429: "too many requests, wait a while",
}


def _why_not_from_hub(error: Exception) -> str:
    """What kept the hub from telling of a model, and what to do: the switch, the proxy, the name, the network."""
    from huggingface_hub import errors

    said = one_line(error)
    if isinstance(error, errors.OfflineModeIsEnabled):
        switches = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
        names = [name for name in switches if os.environ.get(name)] or switches[:1]
        return f"{' and '.join(names)} keeps the hub switched off: unset it to download the model"
    if "socks" in said.lower():  # an ImportError, or another class with another client
        package = "socksio" if "socksio" in said else "pysocks"
        return f"a SOCKS proxy is set (ALL_PROXY, HTTPS_PROXY), for which a package is missing: pip install {package}"
    if isinstance(error, errors.GatedRepoError):
        return "the hub gives it only to those who accepted its terms: do so on its page, and log in (hf auth login)"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has no public model of that name: see how it is spelt (a private one needs hf auth login)"
    if isinstance(error, errors.HFValidationError):
        return f"it is no name that the hub allows ({said})"
    if (status := getattr(getattr(error, "response", None), "status_code", None)) is not None:
        return f"the hub answers with status {status}: {_STATUS.get(status, 'try again later')}"
    return f"the hub cannot be reached ({said}): see to the network or the proxy"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' bars and advice while loading; errors still come through."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Keep huggingface_hub off the network: even with ``local_files_only`` it may fetch telemetry lists."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _device(device: str | torch.device) -> torch.device:
    """A device that is there."""
    import torch

    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(
            f"device {str(device)!r} is not available here; use 'cpu', or 'cuda' on a machine with a GPU"
        ) from None
    return found


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    """A floating type by name."""
    import torch

    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise ValueError(f"dtype is {dtype!r}; expected 'float32', 'float64', 'float16' or 'bfloat16'")
    return found


# --- What there is ------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelInfo:
    """One line of :func:`available_models`.

    ``megabytes`` is the size of the weights on disk (``None`` for a hub id), ``sees`` what the encoder was
    trained on, ``embedded`` whether it needs no network.
    """

    name: str
    family: str
    grid: tuple[int, int]
    image_size: int
    embedded: bool
    megabytes: float | None
    sees: str


def available_models() -> list[ModelInfo]:
    """The embedded models that are installed, then the hub ids of the paper's models.

    Any other CLIP, SigLIP or fixed-resolution SigLIP 2 checkpoint loads as well.
    """
    models = []
    for name in EMBEDDED:
        folder = ASSETS / name
        if not (folder / "config.json").is_file():
            continue
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        vision = config["vision_config"]
        side = vision["image_size"] // vision["patch_size"]
        megabytes = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6
        models.append(
            ModelInfo(
                name,
                config["model_type"],
                (side, side),
                vision["image_size"],
                True,
                megabytes,
                WHAT_EMBEDDED_MODELS_SEE + ("" if name in SOUND else "; faulty on purpose (chapter 18)"),
            )
        )
    for name, (family, size, patch) in HUB_MODELS.items():
        sees = WHAT_MULTILINGUAL_MODELS_SEE if family == "siglip2" else WHAT_HUB_MODELS_SEE
        models.append(ModelInfo(name, family, (size // patch, size // patch), size, False, None, sees))
    return models
