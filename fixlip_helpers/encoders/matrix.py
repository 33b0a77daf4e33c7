"""All pairs of N pictures and M captions from N + M side fits.

By the factorisation theorem an interaction of a patch and a word is the inner product of two vectors, one of the
picture's side alone and one of the caption's. So nothing about a pair needs to be encoded that its picture and its
caption do not need by themselves: the passes of N·M explanations shrink to those of N + M sides, and one interaction
over all pairs is one product of two small matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from fixlip_helpers.encoders.vision_language import VisionLanguageGame
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.show import count, framed, safe, signed, table
from fixlip_helpers.sides import Side, check_partners, combine, fit_side

if TYPE_CHECKING:
    from fixlip_helpers.encoders.models import VisionLanguageModel

MOST_ROWS, MOST_COLUMNS = 20, 8
"""Captions and pictures that a notebook shows."""


@dataclass(eq=False, repr=False)
class ExplanationMatrix:
    """The explanations of all pairs of some pictures and captions, each made when it is asked for.

    ``matrix[i, j]`` is the :class:`~fixlip_helpers.explanation.Explanation` of picture ``i`` and caption ``j``.

    Attributes
    ----------
    images, texts : list of Side
        Of one encoder and one ``p``, as :func:`~fixlip_helpers.sides.fit_side` gives them.

    Raises
    ------
    ValueError
        If the sides belong to different encoders, or differ in ``p``, scale, bias or width.
    """

    images: list[Side]
    texts: list[Side]

    def __post_init__(self) -> None:
        self.images, self.texts = list(self.images), list(self.texts)
        first = self.images[0]
        for side in (*self.images, *self.texts):
            check_partners(first, side)

    def __repr__(self) -> str:
        model = self.images[0].meta.get("model", "an encoder")
        sizes = f"{count(len(self.images), 'picture')} × {count(len(self.texts), 'caption')}"
        passes = ", ".join(f"{number:,} {side}" for side, number in self.passes.items())
        return f"<explanations of {sizes} by {model}: p = {self.images[0].p:g}, passes {passes}>"

    def _repr_html_(self) -> str:
        scores, head = self.scores(), [f"picture {i}" for i in range(len(self.images))]
        captions = [safe(side.meta.get("caption", f"caption {j}")) for j, side in enumerate(self.texts)]
        shown = min(len(captions), MOST_ROWS)
        rows = [[captions[j], *map(signed, scores[:MOST_COLUMNS, j].tolist())] for j in range(shown)]
        left_out = f"<p>{count(len(captions), 'caption')} in all</p>" if shown < len(captions) else ""
        left_out += f"<p>{count(len(head), 'picture')} in all</p>" if MOST_COLUMNS < len(head) else ""
        return framed(
            f"<p>{safe(repr(self)[1:-1])}</p>", table(["score", *head[:MOST_COLUMNS]], rows), left_out
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of pictures and of captions."""
        return len(self.images), len(self.texts)

    @property
    def passes(self) -> dict[str, int]:
        """Encoder passes that all of it took."""
        return {
            name: sum(side.meta["passes"] for side in sides)
            for name, sides in (("image", self.images), ("text", self.texts))
        }

    def __getitem__(self, pair: tuple[int, int]) -> Explanation:
        image, text = pair
        return combine(self.images[image], self.texts[text])

    def scores(self) -> np.ndarray:
        """The encoder's own value of each whole pair, shape (N, M), float64, in logits."""
        first = self.images[0]
        whole = [np.stack([side.ends[1] for side in sides]) for sides in (self.images, self.texts)]
        return first.scale * whole[0] @ whole[1].T + first.bias

    def interaction(self, patches: int | Sequence[int], word: str) -> np.ndarray:
        """The interaction of some patches with a word, over all pairs.

        Parameters
        ----------
        patches : int or sequence of int
            Image players, whose interactions are added up; the same in every picture.
        word : str
            Name of a text player, or of several in one caption, whose interactions are added up.

        Returns
        -------
        ndarray, shape (N, M), float64
            In logits; NaN in the columns of captions that lack the word.

        Raises
        ------
        ValueError
            If a patch does not exist in some picture, or no caption has the word.
        """
        patches = np.atleast_1d(np.asarray(patches, dtype=int))
        fewest = min(len(side.players) for side in self.images)
        if patches.size == 0 or patches.min() < 0 or patches.max() >= fewest:
            raise ValueError(f"patches = {patches.tolist()}; expected numbers from 0 to {fewest - 1}")
        if not any(word in side.players for side in self.texts):
            raise ValueError(f"word = {word!r}; no caption has a text player of that name")
        p, scale = self.images[0].p, self.images[0].scale
        left = np.stack([side.coefficients[1 + patches].sum(axis=0) for side in self.images])
        right = [
            side.coefficients[[1 + j for j, name in enumerate(side.players) if name == word]].sum(axis=0)
            if word in side.players
            else np.full(side.coefficients.shape[1], np.nan)
            for side in self.texts
        ]
        return scale * left @ np.stack(right).T / (p * (1 - p))


def explain_matrix(
    model: VisionLanguageModel,
    pictures: Sequence,
    captions: Sequence,
    p: float = 0.5,
    *,
    removal: str | Callable = "mean",
    n_image_coalitions: int | None = None,
    n_text_coalitions: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> ExplanationMatrix:
    """Explain every picture with every caption.

    Parameters
    ----------
    model : VisionLanguageModel
    pictures, captions : sequence
        What :class:`~fixlip_helpers.encoders.vision_language.VisionLanguageGame` takes as image and as text.
    p : float
    removal, batch_size
        As for ``VisionLanguageGame``.
    n_image_coalitions, n_text_coalitions : int, optional
        Sizes of each side's design, in place of the default's.
    seed : int

    Returns
    -------
    ExplanationMatrix
        Its N + M sides take some memory: at 64 patches and 128 columns 2 MB a picture, mostly coefficients.

    Raises
    ------
    ValueError
        If there is no picture or no caption, and as :func:`~fixlip_helpers.sides.fit_side`.
    """
    given = {"pictures": pictures, "captions": captions}
    # in order, whatever labels a table gave its rows
    pictures, captions = ([] if isinstance(each, str) else list(each) for each in given.values())
    for (name, each), some in zip(given.items(), (pictures, captions), strict=True):
        if not some:
            raise ValueError(f"{name} = {each!r}; expected a sequence of at least one")
    # A side asks nothing of its partner, so that any one will do.
    any_caption, any_picture = model.own_caption(captions[0]), model.own_picture(pictures[0])

    def fit(picture: object, caption: object, modality: str, m: int | None, n_held_out: int) -> Side:
        game = VisionLanguageGame(model, picture, caption, removal, batch_size, progress=False)
        return fit_side(game, modality, p, m=m, seed=seed, n_held_out=n_held_out)

    return ExplanationMatrix(
        [
            fit(picture, any_caption, "image", n_image_coalitions, 256)
            for picture in tqdm(pictures, "pictures", delay=2, leave=False)
        ],
        [
            fit(any_picture, caption, "text", n_text_coalitions, 64)
            for caption in tqdm(captions, "captions", delay=2, leave=False)
        ],
    )
