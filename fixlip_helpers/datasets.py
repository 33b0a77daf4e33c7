"""Games, pictures, explanations and tables that come with the package.

The game of Part I: all 64 values of ``mini-clip`` on three words and three regions of the hero scene.

The published pair: what the real CLIP ViT-B/32 (``openai/clip-vit-base-patch32``) makes of a photograph
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
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fixlip_helpers.games import TableGame

if TYPE_CHECKING:
    from fixlip_helpers.explanation import Explanation

# The file's key, the method's name in the book, our name of its index, its p.
_PUBLISHED = (
    ("fixlip", "FIxLIP", "FWBII", 0.5),
    ("exclip", "exCLIP", "exCLIP", None),
    ("game", "GAME", "first-order", None),
    ("gradeclip", "Grad-ECLIP", "first-order", None),
)


def part_one_game() -> TableGame:
    """The running game of Part I: three regions of a picture and three words, with all 64 values.

    Returns
    -------
    TableGame
        Six players. Players 0 to 2 are regions of the example ``hero`` of
        :func:`fixlip_helpers.scenes.examples`: the patches of the (white) dog, the patches of the (yellow) bus,
        and the background. Players 3 to 5 are the words of the caption "black dog bus". Values are logits of
        ``mini-clip``, rounded to hundredths, so that every number in Part I can be worked out by hand.

    Notes
    -----
    Made by ``python scripts/part_one_game.py``, in the order of
    :func:`~fixlip_helpers.coalitions.all_coalitions`: row ``r`` shows player ``i`` if bit ``i`` of ``r`` is set.

    Examples
    --------
    >>> game = part_one_game()
    >>> game.players
    ['dog region', 'bus region', 'background', 'black', 'dog', 'bus']
    >>> game.values.shape
    (64,)
    """
    stored = stored_result("part_one_game")
    return TableGame(stored["values"], stored["players"])


def stored_result(name: str) -> dict:
    """A stored table that took too long to compute in a chapter, with the command that made it.

    Parameters
    ----------
    name : str
        Of a file in the repository's folder ``results``, without ``.json``.

    Returns
    -------
    dict
        The file's content: ``command`` and what its own key names say.

    Raises
    ------
    ValueError
        If there is no such table; the message lists those that there are.
    """
    package = Path(__file__).resolve().parent
    folder = next(folder for folder in (package / "results", package.parent / "results") if folder.is_dir())
    path = folder / f"{name}.json"
    if not path.is_file():
        allowed = sorted(file.stem for file in folder.glob("*.json"))
        raise ValueError(f"name is {name!r}; the stored tables are {', '.join(allowed)}")
    return json.loads(path.read_text(encoding="utf-8"))


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
