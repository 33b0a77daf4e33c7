"""Ways to remove players.

A removed text token is hidden by the attention mask and keeps its position; there is one way to
do that (see ``VisionLanguageModel.embed_tokens``). A removed image patch can be removed in several
ways, and each makes a *different game* of the same model. They are functions of ``(model, pixels)``
that prepare one picture, kept by name in :data:`REMOVALS`:

``mean``
    Paint with the mean colour of the model's image processor: normalised pixels times 0. The paper's choice.
``constant``
    Paint with any one colour.
``blur``
    Replace by a blurred copy of the picture.
``drop``
    Take the patch's token out of the sequence, after its position was added. Nothing is painted, and
    shorter sequences are cheaper: 2 to 3 times at p = 0.5.

What they return is a :class:`Removal`: it encodes coalitions of patches, and shows what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, ImageColor

if TYPE_CHECKING:
    import torch

    from fixlip_helpers.encoders.models import VisionLanguageModel
    from fixlip_helpers.encoders.two_tower import TwoTower


class Removal(Protocol):
    """A picture that is ready to lose patches."""

    def batches(self, keep: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
        """Rows of ``keep``, (m, n_patches) bool, by number, in batches that are cheap to encode together."""
        ...

    def encode(self, keep: torch.Tensor) -> torch.Tensor:
        """Embeddings, (b, d) of unit norm, of the picture with patches ``keep``, (b, n_patches) bool."""
        ...

    def show(self, keep: np.ndarray) -> Image.Image:
        """What one coalition, (n_patches,) bool, leaves of what the patches cover of the picture."""
        ...


# --- Painting patches over ----------------------------------------------------------------


class Painting:
    """Removal by paint: removed patches show ``filler``, (3, H, W) normalised pixels, in their place."""

    def __init__(
        self, model: VisionLanguageModel | TwoTower, pixels: torch.Tensor, filler: torch.Tensor
    ) -> None:
        self.model, self.resident, self.filler = model, pixels, filler.to(pixels)

    def batches(self, keep: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
        """In the order given: every painted picture costs the same."""
        for start in range(0, len(keep), batch_size):
            yield np.arange(start, min(start + batch_size, len(keep)))

    def pixels(self, keep: torch.Tensor) -> torch.Tensor:
        """Painted pictures: (b, n_patches) bool -> (b, 3, H, W), from the one copy on the model's device."""
        import torch

        visible = patch_mask(keep.to(self.resident.device), self.model)[:, None]
        return torch.where(visible, self.resident, self.filler)

    def encode(self, keep: torch.Tensor) -> torch.Tensor:
        """Embeddings of painted pictures, (b, n_patches) bool -> (b, d)."""
        return self.model.embed_pixels(self.pixels(keep))

    def show(self, keep: np.ndarray) -> Image.Image:
        """The painted picture, RGB."""
        import torch

        return self.model.seen(self.pixels(torch.tensor(np.array(keep, dtype=bool)[None]))[0])


def patch_mask(keep: torch.Tensor, model: VisionLanguageModel | TwoTower) -> torch.Tensor:
    """Patches to pixels: (b, n_patches) bool -> (b, H, W) bool.

    A strip at the right and lower edge that is too narrow for a patch, which the encoder never
    sees, counts as visible.
    """
    import torch

    rows, columns = model.grid
    mask = keep.reshape(len(keep), rows, columns)
    mask = mask.repeat_interleave(model.patch_size, 1).repeat_interleave(model.patch_size, 2)
    rest = model.image_size - rows * model.patch_size
    return torch.nn.functional.pad(mask, (0, rest, 0, rest), value=True) if rest else mask


def mean(model: VisionLanguageModel | TwoTower, pixels: torch.Tensor) -> Painting:
    """Paint with the processor's mean colour, which is 0 after normalisation (Baniecki et al. 2025)."""
    return Painting(model, pixels, filler=pixels.new_zeros(pixels.shape))


def constant(
    model: VisionLanguageModel | TwoTower, pixels: torch.Tensor, colour: str | tuple[int, int, int] = "black"
) -> Painting:
    """Paint with one colour: a name or ``#rrggbb`` that Pillow knows, or RGB values in 0 to 255.

    Raises
    ------
    ValueError
        If the colour is neither.
    """
    rgb = ImageColor.getrgb(colour)[:3] if isinstance(colour, str) else tuple(colour)
    if len(rgb) != 3 or not all(0 <= value <= 255 for value in rgb):
        raise ValueError(f"colour is {colour!r}; expected a colour's name or three values in 0 to 255")
    import torch

    colour = torch.tensor(model.from_colour(rgb), dtype=pixels.dtype)
    filler = colour.to(pixels.device)[:, None, None].expand_as(pixels)
    return Painting(model, pixels, filler)


def blur(model: VisionLanguageModel | TwoTower, pixels: torch.Tensor, sigma: float | None = None) -> Painting:
    """Replace removed patches by a Gaussian blur of the whole picture, computed once.

    Parameters
    ----------
    sigma : float, optional
        Standard deviation in pixels; default one patch, which leaves colours but no shapes.

    Raises
    ------
    ValueError
        If ``sigma`` is not positive.
    """
    sigma = float(model.patch_size if sigma is None else sigma)
    if not 0 < sigma < np.inf:
        raise ValueError(f"sigma is {sigma}; expected a positive number of pixels")
    return Painting(model, pixels, filler=gaussian_blur(pixels, sigma))


def gaussian_blur(pixels: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur (3, H, W) pixels along one axis, then along the other; edges are continued outwards."""
    import torch

    radius = int(3 * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum())[None, None]
    blurred = pixels.cpu().double()  # once for a picture, and not every device has float64
    for _ in range(2):  # blur the columns of each row, then swap rows and columns
        channels, height, width = blurred.shape
        lines = torch.nn.functional.pad(blurred.reshape(-1, 1, width), (radius, radius), mode="replicate")
        blurred = torch.nn.functional.conv1d(lines, kernel).reshape(channels, height, width).transpose(1, 2)
    return blurred.to(pixels.dtype).to(pixels.device)


# --- Dropping tokens ----------------------------------------------------------------------


class Dropping:
    """Removal of tokens: the sequence that the transformer reads gets shorter.

    CLIP keeps its CLS token, which carries the picture's embedding, whatever else goes. SigLIP
    pools by attention over the tokens that are left, which is undefined over none: its empty
    coalition is the whole picture in mean colour, as in :func:`mean`.
    """

    def __init__(self, model: VisionLanguageModel, pixels: torch.Tensor) -> None:
        import torch

        self.model, self.resident = model, pixels
        self.n_special = 1 if model.family == "clip" else 0
        with torch.inference_mode():
            self.tokens = model.patch_tokens(pixels[None])[0]

    def batches(self, keep: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
        """Coalitions of one size together: each batch has one sequence length and needs no padding."""
        sizes = np.asarray(keep).sum(axis=1)
        for size in np.unique(sizes):
            rows = np.flatnonzero(sizes == size)
            yield from (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))

    def encode(self, keep: torch.Tensor) -> torch.Tensor:
        """Embeddings of shortened sequences, (b, n_patches) bool -> (b, d); rows must be of one size.

        Raises
        ------
        ValueError
            If the rows differ in size.
        """
        import torch

        keep = keep.to(self.tokens.device)
        sizes = keep.sum(dim=1)
        if (sizes != sizes[0]).any():
            raise ValueError("coalitions of several sizes in one batch; cut them with batches()")
        if sizes[0] == 0 and not self.n_special:
            return mean(self.model, self.resident).encode(keep)
        special = self.tokens[: self.n_special].expand(len(keep), -1, -1)
        patches = (
            self.tokens[self.n_special :]
            .expand(len(keep), -1, -1)[keep]
            .reshape(len(keep), int(sizes[0]), self.tokens.shape[1])
        )
        return self.model.embed_patch_tokens(torch.cat([special, patches], dim=1))

    def show(self, keep: np.ndarray) -> Image.Image:
        """The picture with dropped patches transparent, RGBA."""
        import torch

        seen = self.model.seen(self.resident)
        visible = patch_mask(torch.tensor(np.array(keep, dtype=bool)[None]), self.model)[0].numpy()
        seen.putalpha(Image.fromarray(visible[: seen.height, : seen.width]).convert("L"))
        return seen


def drop(model: VisionLanguageModel, pixels: torch.Tensor) -> Dropping:
    """Take the tokens of removed patches out of the sequence, after the position embedding.

    Raises
    ------
    ValueError
        If the model does not let anybody at its tokens, as one behind functions.
    """
    if not hasattr(model, "embed_patch_tokens"):
        raise ValueError(
            f"removal 'drop' takes tokens out of an image transformer, and {model.name!r} is known by its "
            "functions only; expected 'mean', 'constant' or 'blur'"
        )
    return Dropping(model, pixels)


REMOVALS: dict[str, Callable[..., Removal]] = {"mean": mean, "constant": constant, "blur": blur, "drop": drop}


def prepare_removal(
    model: VisionLanguageModel | TwoTower, pixels: torch.Tensor, removal: str | Callable[..., Removal]
) -> tuple[str, Removal]:
    """Look a removal up by name, or take any function of the same kind, and prepare one picture with it.

    ``functools.partial(constant, colour="white")`` sets an option.

    Returns
    -------
    str, Removal
        Its name, for the record, and the prepared picture.

    Raises
    ------
    ValueError
        If there is no removal of that name.
    """
    if isinstance(removal, str):
        if removal not in REMOVALS:
            raise ValueError(f"removal is {removal!r}; expected one of {', '.join(map(repr, REMOVALS))}")
        return removal, REMOVALS[removal](model, pixels)
    function = getattr(removal, "func", removal)  # a partial hides the name
    return getattr(function, "__name__", type(function).__name__), removal(model, pixels)
