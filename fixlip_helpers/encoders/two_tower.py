"""Anybody's two-tower model: functions in, a model that a game can play out.

:class:`TwoTower` wraps an image encoder and a text encoder that are called as functions (OpenCLIP, MobileCLIP, a
fine-tuned network, a service behind an address) and offers what
:class:`~fixlip_helpers.encoders.vision_language.VisionLanguageGame` and the removals ask of a model. What can be
found out by asking is not asked of the user:

* size and normalisation of the pixels: ``preprocess`` is given a black and a white picture;
* where in a picture the encoder looks: ``preprocess`` is given a picture whose colours are coordinates;
* which tokens are the caption: ``tokenize`` is given an empty caption, and what differs are the players.

Patches are painted over in the pixels, so any encoder will do; tokens of an image transformer cannot be
dropped from outside. A text token is hidden by the attention mask where the text encoder takes one; otherwise
another id, the padding's say, takes its place, and the encoder reads *that* there: a different removal, and
``text_removal`` tells which.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from fixlip_helpers.encoders.models import (
    Caption,
    Picture,
    Preparation,
    Scoring,
    check_caption,
    fingerprint,
    short_digest,
    unit_rows,
)
from fixlip_helpers.encoders.pictures import open_for_encoder
from fixlip_helpers.encoders.pieces import Words, name_players, name_spans

if TYPE_CHECKING:
    import torch

PROBE = 64  # pixels of a side of the flat pictures that show what preprocessing does to colours


class TwoTower(Scoring):
    """Two encoders, given as functions, as a model that can be explained.

    Parameters
    ----------
    encode_image : function
        Pixels, a tensor (m, 3, H, W) -> embeddings (m, d), tensor or array; any norm. Or an output of
        transformers (``image_embeds``, else ``pooler_output``) or OpenCLIP (``image_features``) that holds them.
    encode_text : function
        Token ids, a tensor (m, L) int64 -> embeddings (m, d). With ``takes_mask`` it is called with ids and
        attention masks (m, L) int64.
    scale, bias : float
        ``score = scale * cosine + bias``: ``exp(logit_scale)`` and, for SigLIP's kind, ``logit_bias``.
    preprocess : function
        A PIL picture, RGB -> normalised pixels (3, H, W), H = W, tensor or array, or what an image processor of
        transformers gives.
    tokenize : function
        A string -> token ids, (1, L) or (L,), with special tokens and padding as the encoder wants them; or a
        pair of ids and attention mask; or what a tokenizer of transformers gives, so that the tokenizer itself
        will do. Of an encoder that was trained on padded text, as SigLIP's, it is
        ``functools.partial(tokenizer, padding="max_length", max_length=64)``.
    grid : (int, int)
        Rows and columns of patches, equally many: the encoder's own, or any others.
    takes_mask : bool
        Whether ``encode_text`` takes an attention mask.
    hidden_token : int, optional
        Without ``takes_mask``: the id that takes the place of a removed token. CLIP's kind reads its text at
        the largest id of a row, so it must not be that one; 0, OpenCLIP's padding, does.
    pieces : function, optional
        Ids, a list of int -> their pieces of text, with the tokenizer's marks of where words end or begin
        (``ant</w>``, ``▁dog``). Without it tokens are named as a fast tokenizer of transformers tells, or after the
        caption's words if each is one token, else by number.
    name : str
        What to call the model.
    network : torch.nn.Module, optional
        The network behind the functions, of both towers: tells device, type and fingerprint. Default: those that
        ``encode_image`` and ``encode_text`` are, or are methods of, if they are networks.
    version : str, optional
        In place of weights, where there is no network at hand. A checkpoint needs one of the two; without, the
        model is known as itself in this process only.

    Attributes
    ----------
    image_size, patch_size : int
        In pixels.
    covered : float
        The share of the picture's width and height that the patches cover. A strip beside them is always visible.
    n_patches : int
    text_removal : str
        ``"attention mask"``, or ``"token 0 in its place"`` where that is the hidden token.
    device : torch.device
    dtype : torch.dtype
        Of the pixels that ``encode_image`` gets.

    Raises
    ------
    ValueError
        If ``preprocess`` gives no square picture that the grid divides or treats colours in another way than pixel
        by pixel; if neither ``takes_mask`` nor ``hidden_token`` is given, or both.

    Examples
    --------
    OpenCLIP, with ``model, _, preprocess = open_clip.create_model_and_transforms(...)``::

        TwoTower(
            model.encode_image,
            model.encode_text,
            scale=model.logit_scale.exp().item(),
            preprocess=preprocess,
            tokenize=open_clip.get_tokenizer("ViT-B-32"),
            grid=(7, 7),
            hidden_token=0,
        )
    """

    def __init__(
        self,
        encode_image: Callable[[torch.Tensor], Any],
        encode_text: Callable[..., Any],
        scale: float,
        bias: float = 0.0,
        *,
        preprocess: Callable[[Image.Image], Any],
        tokenize: Callable[[str], Any],
        grid: tuple[int, int],
        takes_mask: bool = False,
        hidden_token: int | None = None,
        pieces: Callable[[list[int]], Sequence[str]] | None = None,
        name: str = "two towers",
        network: torch.nn.Module | None = None,
        version: str | None = None,
    ) -> None:
        import torch

        if takes_mask == (hidden_token is not None):
            raise ValueError(
                f"takes_mask is {takes_mask} and hidden_token {hidden_token}; expected one of the two: an encoder "
                "that takes a mask, or the id that takes the place of a removed token"
            )
        self._encode_image, self._encode_text = encode_image, encode_text
        self.seeing, self.reading = Preparation(name, (preprocess,)), Preparation(name, (tokenize,))
        self._preprocess, self._pieces = preprocess, pieces
        self._tokenize = tokenize if callable(tokenize) else tokenize.encode  # of the package tokenizers
        self.scale, self.bias, self.name, self.version = float(scale), float(bias), name, version
        self.takes_mask, self.hidden_token = takes_mask, hidden_token
        self.text_removal = "attention mask" if takes_mask else f"token {hidden_token} in its place"
        behind = [_network_behind(encode) for encode in (encode_image, encode_text)]
        self.network = behind[0] if network is None else network
        # what a fingerprint is of: both towers, unless somebody says that one network is all there is
        self._networks = [network] if network is not None else behind
        for module in self._networks:
            if module is not None:
                module.eval()
        weight = None if self.network is None else next(self.network.parameters(), None)
        self.device = torch.device("cpu") if weight is None else weight.device
        self.dtype = torch.float32 if weight is None else weight.dtype
        black, white = (self._pixels(Image.new("RGB", (PROBE, PROBE), c)) for c in ("black", "white"))
        self._black, self._white = (pixels.reshape(3, -1).mean(axis=1) for pixels in (black, white))
        self.image_size = black.shape[1]
        self._check_pixels(black, white, grid)
        self.grid, self.n_patches = (int(grid[0]), int(grid[1])), int(grid[0]) * int(grid[1])
        self.patch_size = self.image_size // self.grid[0]
        self.covered = self.grid[0] * self.patch_size / self.image_size

    def __repr__(self) -> str:
        rows, columns = self.grid
        return (
            f"<{self.name}: two towers, {rows}×{columns} patches of {self.patch_size} pixels, removed tokens: "
            f"{self.text_removal}, on {self.device}>"
        )

    # Pictures

    def prepare_image(self, image: str | os.PathLike | Image.Image | np.ndarray) -> Picture:
        """Open a picture and preprocess it.

        Raises
        ------
        ValueError
            As :func:`~fixlip_helpers.encoders.pictures.open_image`, and for a picture more than ``MAX_ASPECT_RATIO``
            times as long as wide.
        """
        import torch

        original = open_for_encoder(image)
        pixels = torch.from_numpy(self._pixels(original))
        seen, box = self.seen(pixels), self._covered_box(self._box(original.size))
        return Picture(pixels.to(self.dtype).to(self.device), seen, original, box, self.seeing)

    def to_colours(self, pixels: torch.Tensor) -> np.ndarray:
        """Undo the normalisation: (..., 3, H, W) pixels -> (..., H, W, 3) uint8 colours."""
        pixels = np.moveaxis(pixels.detach().cpu().double().numpy(), -3, -1)
        colours = (pixels - self._black) / (self._white - self._black)
        return np.clip(np.round(255 * colours), 0, 255).astype(np.uint8)

    def from_colour(self, colour: tuple[float, float, float]) -> np.ndarray:
        """Normalise one colour: RGB in 0 to 255 -> (3,) float64 as the encoder gets it."""
        return self._black + np.asarray(colour, dtype=float) / 255 * (self._white - self._black)

    def embed_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Image embeddings: normalised pixels (m, 3, H, W) -> (m, d), unit norm, float32 or float64."""
        return _embeddings(self._encode_image(pixels.to(self.dtype).to(self.device)), "image")

    def _pixels(self, picture: Image.Image) -> np.ndarray:
        """What ``preprocess`` makes of a picture, (3, H, W) float64."""
        import torch

        made = self._preprocess(picture)
        made = made["pixel_values"] if isinstance(made, Mapping) else made
        made = made if isinstance(made, torch.Tensor) else np.asarray(made)
        pixels = torch.as_tensor(made).detach().cpu().double().numpy()
        pixels = pixels[0] if pixels.ndim == 4 and len(pixels) == 1 else pixels
        if pixels.ndim != 3 or len(pixels) != 3 or pixels.shape[1] != pixels.shape[2]:
            raise ValueError(
                f"preprocess gives pixels of shape {pixels.shape}; expected (3, H, W) with H = W"
            )
        return pixels

    def _check_pixels(self, black: np.ndarray, white: np.ndarray, grid: tuple[int, int]) -> None:
        """Make sure that colours can be undone and that patches fit."""
        flat = max(np.ptp(pixels.reshape(3, -1), axis=1).max() for pixels in (black, white))
        if not flat < 1e-3 < np.abs(self._white - self._black).min():
            raise ValueError(
                "preprocess does not map the colours of a flat picture to flat pixels: expected resizing, cropping "
                "and normalising each channel"
            )
        rows, columns = grid
        if (
            rows != columns
            or not 1 <= rows <= self.image_size
            or self.image_size // (self.image_size // rows) != rows
        ):
            raise ValueError(
                f"grid is {tuple(grid)}; expected equally many rows and columns of square patches in "
                f"{self.image_size} × {self.image_size} pixels"
            )

    def _box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Which part of an original of ``size`` (width, height) the encoder sees, in its pixels.

        Preprocessing a picture of the same size whose red grows to the right and whose green grows
        downwards tells where each pixel comes from; a straight line through the middle ones gives the edges.
        """
        width, height = size
        ramps = [np.linspace(0, 255, length) for length in size]
        red, green = np.meshgrid(*ramps)
        probe = Image.fromarray(np.dstack([red, green, 0 * red]).round().astype(np.uint8))
        pixels = self._pixels(probe)
        share = (pixels - self._black[:, None, None]) / (self._white - self._black)[:, None, None]
        edges = []
        for along, length in ((share[0].mean(axis=0), width), (share[1].mean(axis=1), height)):
            middle = np.arange(len(along) // 8, len(along) - len(along) // 8)
            slope, start = np.polyfit(middle + 0.5, along[middle] * (length - 1) + 0.5, 1)
            edges.append((start, start + slope * len(along)) if length > 1 else (0.0, 1.0))
        (left, right), (upper, lower) = edges
        return float(left), float(upper), float(right), float(lower)

    # Captions

    def tokenize(self, caption: str) -> Caption:
        """Split a caption into players: the ids in which it differs from an empty caption.

        Raises
        ------
        ValueError
            If the caption is empty or fills the tokenizer's length, which may have cut it off.
        TypeError
            If it is no string.
        """
        import torch

        check_caption(caption)
        (ids, mask), (empty, _) = self._ids(caption), self._ids("")
        first, n = _content(ids, empty)
        if n == 0:
            raise ValueError(
                f"caption {caption!r} has no word left after tokenisation; expected at least one"
            )
        if len(ids) == len(empty) and first + n >= len(ids) - 1:
            raise ValueError(
                f"caption has {n} tokens or more, which fill the {len(ids)} positions of {self.name!r} and may have "
                "been cut off: shorten it"
            )
        names, words = self._names_and_words(caption, ids[first : first + n], slice(first, first + n))
        rows = (torch.tensor([row], device=self.device) for row in (ids, mask))
        return Caption(caption, *rows, tuple(range(first, first + n)), names, words, self.reading)

    def _names_and_words(self, caption: str, content: list[int], where: slice) -> tuple[list[str], Words]:
        """Names of the caption's tokens, and its words: as ``pieces`` or the tokenizer itself tells."""
        if self._pieces is not None:
            return name_players(list(self._pieces(content)), caption)
        made = self._tokenize(caption)
        (made,) = getattr(made, "encodings", None) or [made]  # of a fast tokenizer of transformers
        if hasattr(made, "offsets"):
            lower = self._content_of("DOG") == self._content_of("dog")
            return name_spans(caption, made.offsets[where], made.tokens[where], made.word_ids[where], lower)
        spelt = caption.split()
        one_each = [self._content_of(word) for word in spelt] == [[token] for token in content]
        names = spelt if one_each else [f"token {i}" for i in range(len(content))]
        return names, [(name, (i,)) for i, name in enumerate(names)]

    def _content_of(self, text: str) -> list[int]:
        """The ids of a text, without those of an empty one."""
        ids, empty = self._ids(text)[0], self._ids("")[0]
        first, n = _content(ids, empty)
        return ids[first : first + n]

    def embed_tokens(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Text embeddings: ids and masks, each (m, L) -> (m, d), unit norm, float32 or float64.

        A token whose mask is 0 is hidden as ``text_removal`` says; it keeps its position, as do all others.
        """
        input_ids, attention_mask = input_ids.to(self.device), attention_mask.to(self.device)
        if self.takes_mask:
            return _embeddings(self._encode_text(input_ids, attention_mask), "text")
        hidden = input_ids.masked_fill(attention_mask == 0, self.hidden_token)
        return _embeddings(self._encode_text(hidden), "text")

    def _ids(self, text: str) -> tuple[list[int], list[int]]:
        """What ``tokenize`` makes of a text: ids and attention mask (all ones where it gives none)."""
        ids, mask = (
            None if part is None else np.asarray(part).reshape(-1).tolist()
            for part in _ids_and_mask(self._tokenize(text))
        )
        return ids, mask or [1] * len(ids)

    def fingerprint(self) -> str:
        """What the model is: the version, or else in 16 digits the weights of both towers, with all that was told of
        them: scale, bias, sizes, what preprocessing does to colours, how a token is hidden.

        Raises
        ------
        ValueError
            If there is no version, and a tower's network is not known.
        """
        if self.version is not None:
            return self.version
        if None in self._networks:
            raise ValueError(
                f"{self.name!r} cannot be told from another model: give TwoTower its network or a version"
            )
        colours = [self._black.round(6).tolist(), self._white.round(6).tolist()]
        told = [self.scale, self.bias, self.image_size, self.text_removal, str(self.dtype)]
        return short_digest([[fingerprint(network) for network in self._networks], told, colours])


def _network_behind(function: Callable) -> torch.nn.Module | None:
    """The network that a function is, or is a method of."""
    import torch

    owner = function if isinstance(function, torch.nn.Module) else getattr(function, "__self__", None)
    return owner if isinstance(owner, torch.nn.Module) else None


def _ids_and_mask(made: Any) -> tuple[Any, Any]:
    """Token ids and attention mask (or None) of what a tokenizer made: ids, a pair, or an object that has them."""
    if isinstance(made, Mapping):  # of transformers, whose object can be called as it is
        return made["input_ids"], made.get("attention_mask")
    if hasattr(made, "ids"):  # of the package tokenizers
        return made.ids, made.attention_mask
    return made if isinstance(made, tuple) else (made, None)


def _embeddings(made: Any, side: str) -> torch.Tensor:
    """What an encoder made, tensor or array (m, d) or an object that has it, as rows of unit norm."""
    import torch

    if isinstance(made, Mapping):  # the outputs of transformers are dictionaries; OpenCLIP can give one
        keys = (f"{side}_embeds", f"{side}_features", "pooler_output")
        found = next((made[key] for key in keys if made.get(key) is not None), None)
        if found is None:
            raise ValueError(
                f"the {side} encoder gives an object with {', '.join(made)}; expected embeddings (m, d), or an object "
                f"with {', '.join(keys[:-1])} or {keys[-1]}"
            )
        made = found
    made = torch.as_tensor(np.asarray(made) if not isinstance(made, torch.Tensor) else made)
    if made.ndim != 2:
        raise ValueError(f"the {side} encoder gives embeddings of shape {tuple(made.shape)}; expected (m, d)")
    return unit_rows(made)


def _content(ids: list[int], empty: list[int]) -> tuple[int, int]:
    """Where the caption's own ids start and how many they are: what is put into an empty caption."""
    first = 0
    while first < min(len(ids), len(empty)) and ids[first] == empty[first]:
        first += 1
    for n in range(len(ids) - first + 1):
        rest = ids[first + n :]
        if rest == empty[first : first + len(rest)]:
            return first, n
    raise AssertionError("an empty rest is the end of any caption")
