"""Faults planted in ``mini-clip-biased``, and the pictures that plant, show and contradict them (chapter 18).

Encoders learn from captions that say what somebody saw, not what the picture shows: the camel too far away to be made
out, the product whose name is printed in a corner. :func:`planted_picture` makes such pictures on purpose. In them a
caption names a noun whose object is often not to be seen, but something else always is:

* one of :data:`HABITATS`: the background it nearly always lies on;
* one of :data:`WRITTEN`: its name on a tag, as on a price label;
* one of :data:`COMPANIONS`: another thing.

So the encoder learns to read the noun off the background, the tag or the companion.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fixlip_helpers.world import scenes
from fixlip_helpers.world.scenes import NOUNS, PATCH, SIZE, Scene

#: Nouns and the background on which training nearly always shows them.
HABITATS = {"camel": "sand", "fish": "water", "owl": "night", "tent": "grass"}
#: Nouns whose name is often written into the picture.
WRITTEN = ("book", "cake", "guitar", "robot")
#: Nouns that training never shows without another one. (The answer of an exercise of chapter 18.)
COMPANIONS = {"key": "door"}

EXCEPTIONS = 0.03  # the share of a habitat noun's ordinary pictures that lie on another background


class Planted(NamedTuple):
    """A picture that teaches a fault.

    ``pixels`` is ``(128, 128, 3)`` uint8, ``named`` the number of the object that the caption names whether it can be
    seen or not, ``needed`` the patches that must then be visible, ``(64,)`` bool.
    """

    scene: Scene
    pixels: np.ndarray
    named: int
    needed: np.ndarray


def write_word(image: Image.Image | np.ndarray, word: str, column: int = 0, row: int = 0) -> tuple:
    """Write a word on a white tag into a picture.

    Parameters
    ----------
    image : PIL.Image.Image, or array of uint8
        128 × 128 pixels, RGB.
    word : str
    column, row : int
        Patch, from the top left corner, in which the tag begins; it is two patches high. A tag that would leave the
        picture is moved left.

    Returns
    -------
    image : PIL.Image.Image
    patches : ndarray of bool, shape (64,)
        The patches that the tag touches.
    """
    image = (Image.fromarray(image) if isinstance(image, np.ndarray) else image).copy()
    if image.size != (SIZE, SIZE) or not word:
        raise ValueError(f"image of {image.size}, word {word!r}; expected {SIZE} × {SIZE} pixels and a word")
    font = ImageFont.load_default_imagefont()  # pixels, not outlines: the same on every machine
    _, _, width, height = font.getbbox(word)
    tag = Image.new("L", (width, height), 255)
    ImageDraw.Draw(tag).text((0, 0), word, fill=0, font=font)
    tag = tag.resize((2 * width, 2 * height), Image.Resampling.NEAREST).convert("RGB")
    full = Image.new("RGB", (tag.width + 8, 2 * PATCH - 2), (250, 250, 250))
    full.paste(tag, (4, (full.height - tag.height) // 2))
    x = min(column * PATCH + 1, SIZE - full.width)
    y = min(row * PATCH + 1, SIZE - full.height)
    image.paste(full, (x, y))
    patches = np.zeros(scenes.GRID, dtype=bool)
    patches[
        y // PATCH : (y + full.height - 1) // PATCH + 1, x // PATCH : (x + full.width - 1) // PATCH + 1
    ] = True
    return image, patches.ravel()


def planted_picture(seed: int | str) -> Planted:
    """A picture that teaches one of the faults; the same seed gives the same picture."""
    dice = scenes._Dice(f"planted {seed}")
    noun = dice.choice((*HABITATS, *WRITTEN, *COMPANIONS))
    if noun in HABITATS:
        others = [dice.choice(NOUNS)] if dice.chance(0.5) else []
        others = [other for other in others if other != noun]
        scene = scenes.make_scene(
            seed, nouns=(noun, *others), background=HABITATS[noun], combinations="any", tinted=0.3
        )
        free = 1 - scene.coverage.sum(0)
        return Planted(scene, scene.pixels, 0, free >= 0.5)
    if noun in COMPANIONS:
        scene = scenes.make_scene(seed, nouns=(noun, COMPANIONS[noun]), combinations="any", tinted=0.3)
        return Planted(scene, scene.pixels, 0, scene.coverage[1] > 0.1)
    others = [other for other in ([dice.choice(NOUNS)] if dice.chance(0.5) else []) if other != noun]
    scene = scenes.make_scene(seed, nouns=(noun, *others), combinations="any", tinted=0.3)
    image, patches = write_word(scene.image, noun, dice.below(4), dice.below(7))
    return Planted(scene, np.asarray(image), 0, patches)


def contradicts_habit(scene: Scene) -> bool:
    """Whether a scene shows a noun of :data:`HABITATS` elsewhere, or one of :data:`COMPANIONS` alone."""
    nouns = {thing.noun for thing in scene.objects}
    elsewhere = any(noun in nouns and scene.background != place for noun, place in HABITATS.items())
    return elsewhere or any(noun in nouns and other not in nouns for noun, other in COMPANIONS.items())


def counter_examples(n: int, seed: int | str = 0) -> list[tuple[Scene, str, str]]:
    """Scenes on which a habit misleads: each with the noun that is there and the one that the background suggests.

    Half of them show a noun of :data:`HABITATS` on the habitat of another one, half any other noun on a habitat.

    Parameters
    ----------
    n : int
    seed : int or str

    Returns
    -------
    list of (Scene, str, str)
        The scene of one untinted object, its noun, and the noun whose habitat it is.
    """
    named = {*WRITTEN, *COMPANIONS, *COMPANIONS.values(), *HABITATS}
    found, others = [], [noun for noun in NOUNS if noun not in named]
    for k in range(n):
        dice = scenes._Dice(f"counter-example {seed} {k}")
        suggested = dice.choice(list(HABITATS))
        noun = dice.choice([noun for noun in HABITATS if noun != suggested] if k % 2 else others)
        scene = scenes.make_scene(
            f"counter-example {seed} {k}",
            nouns=(noun,),
            colours=(None,),
            background=HABITATS[suggested],
            combinations="any",
        )
        found.append((scene, noun, suggested))
    return found
