"""The game of a picture and a caption: what does a CLIP-like model say of parts of them?

:class:`VisionLanguageGame` is the two-sided game (:mod:`~fixlip_helpers.games`) that puts a model, a removal and
players together; all that explains games takes it as it takes any other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fixlip_helpers.coalitions import as_coalitions, at_least_one
from fixlip_helpers.encoders.masking import prepare_removal
from fixlip_helpers.encoders.pictures import warn_of_photograph
from fixlip_helpers.encoders.players import image_players as find_image_players
from fixlip_helpers.encoders.players import text_players as find_text_players
from fixlip_helpers.encoding import check_finite, encode_in_batches
from fixlip_helpers.games import SideBySide, digest, side_names
from fixlip_helpers.show import players_of, shortened

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from fixlip_helpers.encoders.masking import Removal
    from fixlip_helpers.encoders.models import Caption, Picture, VisionLanguageModel
    from fixlip_helpers.encoders.two_tower import TwoTower


class VisionLanguageGame(SideBySide):
    """One picture and one caption as a two-sided game: what does a CLIP-like model say of parts of them?

    Image players are the patches, row by row; text players are the tokens of the caption, special
    tokens excluded; both can be coarser (:mod:`~fixlip_helpers.encoders.players`). The value of a coalition is the
    model's logit for what it leaves visible (the paper's Definition 3). A removed token is hidden by the
    attention mask (or as the model's ``text_removal`` says) and keeps its position; a removed patch is treated as
    ``removal`` says.

    Where memory does not suffice for a batch, it is halved, with a warning, and encoding goes on; the
    size that worked is kept in ``batch_sizes``.

    Parameters
    ----------
    model : VisionLanguageModel or TwoTower
        From :func:`~fixlip_helpers.encoders.models.load_model`, or anybody's model in a
        :class:`~fixlip_helpers.encoders.two_tower.TwoTower`.
    image : path, PIL image, array of shape (H, W, 3), or Picture
        As :func:`~fixlip_helpers.encoders.pictures.open_image` takes it.
    text : str or Caption
    removal : str or callable
        ``"mean"``, ``"constant"``, ``"blur"``, ``"drop"``, or a function like those in
        :mod:`~fixlip_helpers.encoders.masking`; ``functools.partial`` sets their options.
    batch_size : int
        Coalitions that are encoded at a time.
    progress : bool
        Show a bar where encoding is expected to take more than two seconds.
    image_players : "patches", (rows, columns), or array of labels
        Blocks of patches, or one label for each patch or for each pixel of ``model.prepare_image(image).seen``
        (superpixels, boxes); patches with label -1 are always visible. See
        :func:`~fixlip_helpers.encoders.players.image_players`.
    text_players : "tokens", "words", or groups of token numbers
        See :func:`~fixlip_helpers.encoders.players.text_players`.

    Attributes
    ----------
    picture : Picture
        What the encoder sees, and where it lies in the original.
    caption : Caption
    image_passes, text_passes : int
        Coalitions encoded so far on each side.
    batch_sizes : dict
        Of each side, ``"image"`` and ``"text"``: what is encoded at a time, after memory had its say.
    players : list of str
        ``"patch row,column"`` (both from 0) or ``"region ..."``, then the tokens or groups of tokens.
    meta : dict
        Model and its fingerprint, caption, removal, words, and for the picture ``grid`` or ``image_groups``, which an
        explanation of the game keeps.

    Warns
    -----
    ImageWarning
        If an embedded encoder, which knows drawings only, is given what looks like a photograph.

    Raises
    ------
    ValueError, TypeError
        As ``open_image`` and ``tokenize`` say; for a Picture or Caption that another model prepared in another way;
        for an unknown removal; for a batch size below 1; for players that do not fit the picture or the caption.
        When encoding: if an embedding is NaN or infinite.
    MemoryError
        When encoding, if memory does not suffice for one coalition.

    Examples
    --------
    >>> from fixlip_helpers import load_model, scenes
    >>> hero = scenes.examples()["hero"]
    >>> game = VisionLanguageGame(load_model("mini-clip"), hero.image, hero.caption)
    >>> game.n_image, game.n_text, game.players[-2:]
    (64, 8, ['yellow', 'bus'])
    """

    def __init__(
        self,
        model: VisionLanguageModel | TwoTower,
        image: str | os.PathLike | Image | np.ndarray | Picture,
        text: str | Caption,
        removal: str | Callable[..., Removal] = "mean",
        batch_size: int = 64,
        progress: bool = True,
        image_players: str | Sequence[int] | np.ndarray = "patches",
        text_players: str | Sequence[Sequence[int]] | Mapping[str, Sequence[int]] = "tokens",
    ) -> None:
        batch_size = at_least_one("batch_size", batch_size)
        self.model, self.batch_size, self.progress = model, batch_size, progress
        self.picture = model.own_picture(image)
        if getattr(model, "embedded", False):
            warn_of_photograph(model.name, self.picture.seen)
        self.caption = model.own_caption(text)
        self.removal_name, self.removal = prepare_removal(model, self.picture.pixels, removal)
        self.image_players, picture_facts = find_image_players(
            image_players, model.grid, model.image_size, model.patch_size
        )
        self.text_players, words = find_text_players(text_players, self.caption.names, self.caption.words)
        self.n_image, self.n_text = len(self.image_players), len(self.text_players)
        self.scale, self.bias = model.scale, model.bias
        self.players = self.image_players.names + self.text_players.names
        self.meta = {
            "model": model.name,
            "fingerprint": model.fingerprint_or_token,
            **how_it_sees(model),
            "caption": self.caption.text,
            **picture_facts,
            "removal": self.removal_name,
            "words": [[word, [self.n_image + i for i in players]] for word, players in words],
        }
        if model.text_removal != "attention mask":
            self.meta["text_removal"] = model.text_removal
        self.image_passes = self.text_passes = 0
        self.batch_sizes = {"image": batch_size, "text": batch_size}
        # on further devices the same game, of which this one asks its share
        self._helpers = [
            VisionLanguageGame(
                replica,
                replace(self.picture, pixels=self.picture.pixels.to(replica.device)),
                self.caption.text,
                removal,
                batch_size,
                False,
                image_players,
                text_players,
            )
            for replica in getattr(model, "replicas", ())
        ]

    def __repr__(self) -> str:
        caption = shortened(self.caption.text, 60)
        return f"<{caption!r} with a picture by {self.model.name}: {players_of(self)}, removal {self.removal_name}>"

    def encode_images(self, coalitions: np.ndarray) -> np.ndarray:
        """Embeddings of partly removed pictures, (m, n_image) bool -> (m, d) of unit norm; m image passes."""
        keep = as_coalitions(coalitions, self.n_image)
        embeddings = self._on_all_devices(VisionLanguageGame._encode_images, keep)
        self.image_passes += len(keep)
        return embeddings

    def encode_texts(self, coalitions: np.ndarray) -> np.ndarray:
        """Embeddings of partly hidden captions, (m, n_text) bool -> (m, d) of unit norm; m text passes."""
        keep = as_coalitions(coalitions, self.n_text)
        embeddings = self._on_all_devices(VisionLanguageGame._encode_texts, keep)
        self.text_passes += len(keep)
        return embeddings

    def _on_all_devices(self, encode: Callable, keep: np.ndarray) -> np.ndarray:
        """Encode here, or equal shares here and on the further devices at the same time."""
        if not self._helpers or len(keep) < 2:
            return encode(self, keep)
        from concurrent.futures import ThreadPoolExecutor

        games = [self, *self._helpers]
        with ThreadPoolExecutor(len(games)) as pool:
            shares = [share for share in np.array_split(keep, len(games)) if len(share)]
            return np.concatenate(list(pool.map(encode, games, shares)))

    def _encode_images(self, keep: np.ndarray) -> np.ndarray:
        """Image embeddings of coalitions, on this game's own device."""
        import torch

        patches = self.image_players.pieces(keep)
        resident = torch.tensor(patches, device=self.model.device)
        batches = list(self.removal.batches(patches, self.batch_sizes["image"]))
        return self._encode("image", keep, batches, lambda rows: self.removal.encode(resident[rows]))

    def _encode_texts(self, keep: np.ndarray) -> np.ndarray:
        """Text embeddings of coalitions, on this game's own device."""
        import torch

        masks = self.caption.attention_mask.repeat(len(keep), 1)
        masks[:, list(self.caption.players)] = torch.tensor(self.text_players.pieces(keep)).to(masks)
        ids = self.caption.input_ids
        return self._encode(
            "text",
            keep,
            [np.arange(len(keep))],
            lambda rows: self.model.embed_tokens(ids.expand(len(rows), -1), masks[rows]),
        )

    def _encode(
        self,
        side: str,
        keep: np.ndarray,
        batches: list[np.ndarray],
        encode: Callable[[torch.Tensor], torch.Tensor],
    ) -> np.ndarray:
        """Encode the coalitions of one side, given by row numbers, in batches that memory suffices for."""
        import torch

        names, half = side_names(self, side), self.model.dtype == torch.float16
        advice = "float16 overflows above 65504: try bfloat16 or float32" if half else ""

        def embeddings(rows: np.ndarray) -> np.ndarray:
            part = encode(torch.from_numpy(rows).to(self.model.device)).cpu().numpy()
            check_finite(part, keep[rows], names, f"the {side} encoder of {self.model.name!r}", advice)
            return part

        with torch.inference_mode():
            found, self.batch_sizes[side] = encode_in_batches(
                batches, embeddings, self.batch_sizes[side], f"{side} passes", self.progress
            )
        return found

    def identity(self, side: str | None = None) -> dict:
        """What decides the embeddings: model and weights, picture, caption, removal, players.

        With ``side`` (``"image"`` or ``"text"``) what decides those of that side; the other may be any.

        A removal is known by its name and by what it leaves of the picture when all patches are gone, so that its
        options count. The device does not: on another one the same numbers are due, to rounding.
        """
        nothing = np.zeros(self.model.n_patches, dtype=bool)
        model = {
            "model": self.model.name,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "weights": self.model.fingerprint(),
        }
        image = {
            "image": digest(self.picture.pixels.detach().cpu().double().numpy()),
            "removal": self.removal_name,
            "emptied image": digest(np.asarray(self.removal.show(nothing))),
            "image players": self.image_players.owner.tolist(),
        }
        text = {
            "caption": self.caption.text,
            "tokens": self.caption.input_ids[0].tolist(),
            "text removal": self.model.text_removal,
            "text players": self.text_players.owner.tolist(),
        }
        if side is None:
            return model | image | text
        return model | {"image": image | {"n_text": None}, "text": text | {"n_image": None}}[side]


def how_it_sees(model: VisionLanguageModel | TwoTower) -> dict:
    """For a ``meta``: by what a figure knows a Picture of the explained model; nothing where functions prepare it."""
    key = model.seeing.key
    return {"seeing": key} if isinstance(key, str) else {}
