"""Pictures and explanations that come with the package.

So far one pair: what the real CLIP ViT-B/32 (``openai/clip-vit-base-patch32``) makes of a photograph
of a *white* dog captioned "black dog next to a yellow hydrant". The four explanations were published
with the release of the FIxLIP paper and were computed by its authors.

Source: files ``results/dog_and_hydrant_*.pkl`` and ``assets/dog_and_hydrant.jpg`` of the repository
``hbaniecki/fixlip`` (MIT licence), converted once to JSON. Cite: H. Baniecki, M. Muschalik,
F. Fumagalli, B. Hammer, E. Hüllermeier, P. Biecek, *Explaining Similarity in Vision-Language Encoders
with Weighted Banzhaf Interactions*, NeurIPS 2025.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from fixlip_helpers.explanation import Explanation

# The file's key, the method's name in the book, our name of its index, its p.
_PUBLISHED = (
    ("fixlip", "FIxLIP", "FWBII", 0.5),
    ("exclip", "exCLIP", "exCLIP", None),
    ("game", "GAME", "first-order", None),
    ("gradeclip", "Grad-ECLIP", "first-order", None),
)


def published_clip() -> tuple[Image.Image, dict[str, Explanation]]:
    """The published explanations of the real CLIP ViT-B/32 on one photograph and caption.

    Returns
    -------
    image : PIL.Image.Image
        The photograph, RGB, 511 x 511 pixels. The encoder sees all of it.
    explanations : dict of str to Explanation
        Keys ``"FIxLIP"`` (p = 0.5), ``"exCLIP"``, ``"GAME"`` and ``"Grad-ECLIP"``. Each has
        7 x 7 = 49 image players, row by row, and 8 text players; ``hydrant`` is two of them,
        ``hydr`` and ``ant``. Units: FIxLIP's numbers are logits, the others have units of their own.

    Notes
    -----
    The authors subtract the empty input's value before they fit, and did not publish that value.
    So FIxLIP's ``baseline`` here is the constant of ``game - game(empty)``: predictions are logits
    *above the empty input*. ``empty_value`` is ``None``, and so is every number that needs it.

    Examples
    --------
    >>> image, explanations = published_clip()
    >>> explanations["FIxLIP"].n_image, explanations["FIxLIP"].n_text
    (49, 8)
    """
    from fixlip_helpers.explanation import Explanation

    assets = files("fixlip_helpers") / "assets"
    published = json.loads((assets / "clip_dog_and_hydrant.json").read_text(encoding="utf-8"))
    with (assets / published["image"]).open("rb") as file:
        image = Image.open(file).convert("RGB")

    rows, columns = published["grid"]
    n_image, n_text = published["n_image"], len(published["tokens"])
    patches = [f"patch {row},{column}" for row in range(rows) for column in range(columns)]
    words = _words(published["caption"], published["tokens"], n_image)
    explanations = {}
    for key, name, index, p in _PUBLISHED:
        stored = published["methods"][key]
        pairs = np.zeros((n_image + n_text, n_image + n_text))
        for i, j, value in stored["pairs"]:
            pairs[int(i), int(j)] = pairs[int(j), int(i)] = value
        explanations[name] = Explanation(
            baseline=float(stored["baseline"]),
            empty_value=None,
            main=np.array(stored["main"], dtype=float),
            pairs=pairs,
            index=index,
            p=p,
            players=patches + published["tokens"],
            n_image=n_image,
            n_text=n_text,
            meta={
                "method": name,
                "model": published["model"],
                "caption": published["caption"],
                "grid": [rows, columns],
                "words": words,
                "source": published["source"],
                "relative_to_empty": True,
            }
            | ({"budget": 2_096_976} if name == "FIxLIP" else {}),
        )
    return image, explanations


def _words(caption: str, tokens: list[str], first: int) -> list[list]:
    """Each word of a caption with the players that spell it: ``["hydrant", [55, 56]]``."""
    words, player = [], first
    for word in caption.split():
        members, spelt = [], ""
        while spelt != word:
            spelt += tokens[player - first]
            members.append(player)
            player += 1
        words.append([word, members])
    return words
