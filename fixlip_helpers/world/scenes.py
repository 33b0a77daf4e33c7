"""The picture world: small captioned scenes whose truth is known.

A *scene* is a picture of 128 × 128 pixels, seen by the embedded encoders as 8 × 8 patches of 16 pixels. It shows
one to four objects, each one of :data:`NOUNS`, drawn in one of three styles, perhaps tinted in one of
:data:`COLOURS`, on one of :data:`BACKGROUNDS`. Whoever makes a scene knows what is in it, so a scene can tell, for
each word of its caption, to which patches that word refers. No photograph can.

Everything is seeded and drawn with whole-number arithmetic from Python's own ``random.Random(seed).random()``, whose
sequence Python promises to keep: a seed gives the same pixels on every machine.

The drawings are emoji from three free sets (a fourth is for evaluation only); ``NOTICE`` states whose they are.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from fixlip_helpers.metrics import quarter_cells

SIZE = 128  # pixels along one side of a scene
PATCH = 16  # pixels along one side of a patch
GRID = (SIZE // PATCH, SIZE // PATCH)  # patches down, patches across
N_PATCHES = GRID[0] * GRID[1]

SPRITE = 80  # pixels along one side of a stored drawing
_ATLAS_COLUMNS = 12
_SPRITES = Path(__file__).parents[1] / "assets" / "sprites"

#: Drawing styles seen in training; the last one, ``openmoji``, is for evaluation only.
STYLES = ("noto", "twemoji", "fluent")
EVALUATION_STYLE = "openmoji"

# noun -> (plural, name of the drawing in the emoji sets); the order is that of the sprite atlases
_NOUNS = {
    "dog": ("dogs", "dog"),
    "cat": ("cats", "cat"),
    "horse": ("horses", "horse"),
    "cow": ("cows", "cow"),
    "pig": ("pigs", "pig"),
    "rabbit": ("rabbits", "rabbit"),
    "elephant": ("elephants", "elephant"),
    "giraffe": ("giraffes", "giraffe"),
    "tiger": ("tigers", "tiger"),
    "bear": ("bears", "bear"),
    "panda": ("pandas", "panda"),
    "fox": ("foxes", "fox"),
    "frog": ("frogs", "frog"),
    "monkey": ("monkeys", "monkey"),
    "penguin": ("penguins", "penguin"),
    "owl": ("owls", "owl"),
    "duck": ("ducks", "duck"),
    "rooster": ("roosters", "rooster"),
    "flamingo": ("flamingos", "flamingo"),
    "turtle": ("turtles", "turtle"),
    "snake": ("snakes", "snake"),
    "crocodile": ("crocodiles", "crocodile"),
    "unicorn": ("unicorns", "unicorn"),
    "whale": ("whales", "spouting-whale"),
    "fish": ("fishes", "fish"),
    "shark": ("sharks", "shark"),
    "octopus": ("octopuses", "octopus"),
    "crab": ("crabs", "crab"),
    "snail": ("snails", "snail"),
    "butterfly": ("butterflies", "butterfly"),
    "bee": ("bees", "honeybee"),
    "ladybug": ("ladybugs", "lady-beetle"),
    "spider": ("spiders", "spider"),
    "zebra": ("zebras", "zebra"),
    "camel": ("camels", "camel"),
    "apple": ("apples", "red-apple"),
    "banana": ("bananas", "banana"),
    "grape": ("grapes", "grapes"),
    "watermelon": ("watermelons", "watermelon"),
    "strawberry": ("strawberries", "strawberry"),
    "cherry": ("cherries", "cherries"),
    "pineapple": ("pineapples", "pineapple"),
    "avocado": ("avocados", "avocado"),
    "carrot": ("carrots", "carrot"),
    "broccoli": ("broccolis", "broccoli"),
    "mushroom": ("mushrooms", "mushroom"),
    "cheese": ("cheeses", "cheese-wedge"),
    "pizza": ("pizzas", "pizza"),
    "hamburger": ("hamburgers", "hamburger"),
    "doughnut": ("doughnuts", "doughnut"),
    "cake": ("cakes", "birthday-cake"),
    "lollipop": ("lollipops", "lollipop"),
    "lemon": ("lemons", "lemon"),
    "house": ("houses", "house"),
    "church": ("churches", "church"),
    "castle": ("castles", "castle"),
    "tent": ("tents", "tent"),
    "car": ("cars", "automobile"),
    "bus": ("buses", "bus"),
    "tractor": ("tractors", "tractor"),
    "train": ("trains", "locomotive"),
    "bicycle": ("bicycles", "bicycle"),
    "motorcycle": ("motorcycles", "motorcycle"),
    "helicopter": ("helicopters", "helicopter"),
    "rocket": ("rockets", "rocket"),
    "plane": ("planes", "airplane"),
    "sailboat": ("sailboats", "sailboat"),
    "anchor": ("anchors", "anchor"),
    "ball": ("balls", "soccer-ball"),
    "balloon": ("balloons", "balloon"),
    "kite": ("kites", "kite"),
    "drum": ("drums", "drum"),
    "guitar": ("guitars", "guitar"),
    "trumpet": ("trumpets", "trumpet"),
    "camera": ("cameras", "camera"),
    "television": ("televisions", "television"),
    "telephone": ("telephones", "telephone"),
    "laptop": ("laptops", "laptop"),
    "candle": ("candles", "candle"),
    "book": ("books", "closed-book"),
    "hammer": ("hammers", "hammer"),
    "key": ("keys", "key"),
    "umbrella": ("umbrellas", "umbrella"),
    "hat": ("hats", "top-hat"),
    "crown": ("crowns", "crown"),
    "shoe": ("shoes", "running-shoe"),
    "dress": ("dresses", "dress"),
    "shirt": ("shirts", "t-shirt"),
    "chair": ("chairs", "chair"),
    "bed": ("beds", "bed"),
    "door": ("doors", "door"),
    "bell": ("bells", "bell"),
    "trophy": ("trophies", "trophy"),
    "gift": ("gifts", "wrapped-gift"),
    "robot": ("robots", "robot"),
    "ghost": ("ghosts", "ghost"),
    "snowman": ("snowmen", "snowman"),
    "cactus": ("cactuses", "cactus"),
    "palm": ("palms", "palm-tree"),
    "tree": ("trees", "evergreen-tree"),
    "sunflower": ("sunflowers", "sunflower"),
    "rose": ("roses", "rose"),
    "star": ("stars", "star"),
    "broom": ("brooms", "broom"),
    "skateboard": ("skateboards", "skateboard"),
    "wheel": ("wheels", "wheel"),
    "magnet": ("magnets", "magnet"),
    "teapot": ("teapots", "teapot"),
}
NOUNS = tuple(_NOUNS)
PLURALS = {noun: plural for noun, (plural, _) in _NOUNS.items()}
DRAWINGS = {noun: drawing for noun, (_, drawing) in _NOUNS.items()}

#: Colour words and the RGB value towards which a tinted object is drawn.
COLOURS = {
    "red": (225, 30, 40),
    "orange": (250, 130, 10),
    "yellow": (250, 220, 20),
    "green": (40, 165, 60),
    "blue": (40, 90, 225),
    "purple": (145, 50, 195),
    "black": (28, 28, 32),
    "white": (246, 246, 250),
}

#: Backgrounds that have a word, and the phrase that a caption uses for each; ``plain`` has none.
BACKGROUNDS = {
    "grass": "on grass",
    "sand": "on sand",
    "snow": "on snow",
    "water": "on water",
    "night": "at night",
    "sky": "in the sky",
}
PLAIN = "plain"
COUNTS = {2: "two", 3: "three", 4: "four"}
RELATIONS = ("left of", "right of", "above", "below", "next to")

#: Every word that a caption can hold: the vocabulary of the embedded encoders.
WORDS = (
    *("a", "an", "and", "on", "in", "at", "the", "of", "to", "next", "left", "right", "above", "below"),
    *COUNTS.values(),
    *COLOURS,
    *BACKGROUNDS,
    *NOUNS,
    *PLURALS.values(),
)


def withheld(noun: str, other: str) -> bool:
    """Whether training never shows ``noun`` with ``other``, a colour or a background (one pair in ten is withheld)."""
    i = NOUNS.index(noun)
    if other in COLOURS:
        return (i + 3 * list(COLOURS).index(other)) % 10 == 0
    if other in BACKGROUNDS:
        return (i + 3 * list(BACKGROUNDS).index(other) + 5) % 10 == 0
    return False


# --------------------------------------------------------------------------- pixels


@cache
def _atlas(style: str) -> Image.Image:
    with Image.open(_SPRITES / f"{style}.png") as image:
        return image.convert("RGBA")


@cache
def sprite(noun: str, style: str, size: int) -> np.ndarray:
    """One drawing, ``(size, size, 4)`` uint8 RGBA, its longer side filling the square."""
    _check("noun", noun, NOUNS)
    _check("style", style, (*STYLES, EVALUATION_STYLE))
    row, column = divmod(NOUNS.index(noun), _ATLAS_COLUMNS)
    box = (column * SPRITE, row * SPRITE, (column + 1) * SPRITE, (row + 1) * SPRITE)
    cell = _atlas(style).crop(box)
    # resized with premultiplied alpha, so that transparent pixels lend no colour to the rim
    return np.asarray(cell.convert("RGBa").resize((size, size), Image.Resampling.BOX).convert("RGBA"))


def tint(rgb: np.ndarray, colour: str) -> np.ndarray:
    """Draw an object in a colour word, keeping part of its own drawing so that it can still be told apart.

    The tinted pixel is a quarter the drawing and three quarters the colour at the drawing's own brightness:
    ``(h, w, 3)`` uint8 in and out, whole-number arithmetic throughout.
    """
    own = rgb.astype(np.int32)
    light = (77 * own[..., 0] + 150 * own[..., 1] + 29 * own[..., 2]) >> 8  # 0..255, ITU-R BT.601
    target = np.array(COLOURS[colour], np.int32)
    # white objects lose light only in half of the range, black ones gain little: both stay what their word says
    shade = 110 + ((146 * light) >> 8)
    painted = np.minimum((target * shade[..., None]) >> 8, 255) + (light[..., None] >> 4)
    return np.minimum((64 * own + 192 * painted) >> 8, 255).astype(np.uint8)


@cache
def _texture(background: str) -> np.ndarray:
    """A ``(256, 256, 3)`` uint8 sheet from which every picture with this background is cut."""
    side = 256
    rng = random.Random(f"texture {background}")
    noise = np.array([int(rng.random() * 256) for _ in range(side * side)], np.int32).reshape(side, side)
    y, x = np.mgrid[0:side, 0:side]
    wave = np.array([0, 3, 6, 8, 9, 8, 6, 3, 0, -3, -6, -8, -9, -8, -6, -3], np.int32)

    def paint(*rgb):
        return np.stack([np.zeros((side, side), np.int32) + np.asarray(c) for c in rgb], -1)

    def smooth(values, width):  # the mean over a wrapped square: soft blobs of about that width
        total = sum(np.roll(values, k, 0) for k in range(width)) // width
        return sum(np.roll(total, k, 1) for k in range(width)) // width

    if background == "grass":
        blades = np.maximum(noise, np.maximum(np.roll(noise, 1, 0), np.roll(noise, 2, 0)))
        picture = paint(70 + blades // 8, 120 + blades // 3, 50 + blades // 10)
    elif background == "sand":
        dunes = wave[(y // 2 + smooth(noise, 16) // 4) % 16]
        picture = paint(214 + dunes + noise // 16, 184 + dunes + noise // 16, 128 + dunes + noise // 20)
    elif background == "snow":
        hills = smooth(noise, 24) - 128
        picture = paint(230 + hills, 236 + hills, 244 + hills // 2)
        picture[noise > 252] = (180, 200, 230)
    elif background == "water":
        ripples = wave[(y + wave[(x // 3) % 16] // 2) % 16]
        picture = paint(50 + 3 * ripples, 120 + 4 * ripples, 175 + 4 * ripples)
    elif background == "night":
        picture = paint(18 + noise // 40, 20 + noise // 40, 58 + noise // 24)
        picture[(noise > 253) | (np.roll(noise, 1, 0) > 254) | (np.roll(noise, 1, 1) > 254)] = (240, 236, 190)
    elif background == "sky":
        clouds = np.clip((smooth(smooth(noise, 20), 12) - 126) * 22, 0, 110)
        picture = paint(130 + clouds, 190 + clouds // 2, 240 + clouds // 9)
    else:
        picture = paint(*[205 + smooth(noise, 8) // 8] * 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene: what it is, how it is drawn, and where (pixels, from the top left corner)."""

    noun: str
    colour: str | None = None
    style: str = STYLES[0]
    size: int = 56
    x: int = 36
    y: int = 36
    flip: bool = False

    @property
    def centre(self) -> tuple[int, int]:
        return self.x + self.size // 2, self.y + self.size // 2


@dataclass(frozen=True)
class Scene:
    """A picture, its caption and its truth.

    Attributes
    ----------
    objects : tuple of SceneObject
        Painted in this order; a later object hides an earlier one.
    backgrounds : tuple of str
        One background for the whole picture, or four, for the quarters of a 2 × 2 scene.
    offset : (int, int)
        Where the background's texture is cut.
    caption : str
        A true caption, in the words of :data:`WORDS`.
    """

    objects: tuple[SceneObject, ...]
    backgrounds: tuple[str, ...] = (PLAIN,)
    offset: tuple[int, int] = (0, 0)
    caption: str = ""
    _rendered: list = field(default_factory=list, init=False, repr=False, compare=False)

    def _render(self) -> tuple[np.ndarray, np.ndarray]:
        if not self._rendered:
            self._rendered.append(_paint(self))
        return self._rendered[0]

    @property
    def background(self) -> str:
        """The background's word, ``plain`` if it has none, ``mixed`` for the quarters of a 2 × 2 scene."""
        return self.backgrounds[0] if len(set(self.backgrounds)) == 1 else "mixed"

    @property
    def pixels(self) -> np.ndarray:
        """The picture as ``(128, 128, 3)`` uint8."""
        return self._render()[0]

    @property
    def coverage(self) -> np.ndarray:
        """``(objects, 64)`` float32: the share of each patch's pixels on which each object is seen."""
        return self._render()[1]

    @cached_property
    def image(self) -> Image.Image:
        return Image.fromarray(self.pixels)

    @cached_property
    def cells(self) -> dict[str, np.ndarray]:
        """For a 2 × 2 scene: each noun's quarter as ``(64,)`` bool; empty for any other scene."""
        if len(self.backgrounds) != 4:
            return {}
        return {thing.noun: cell for thing, cell in zip(self.objects, quarter_cells(GRID), strict=True)}

    def patches(
        self, word: str, at_least: float = 0.1, grid: tuple[int, int] = GRID, covered: float = 1.0
    ) -> np.ndarray:
        """The truth: to which patches a word refers.

        Parameters
        ----------
        word : str
            A noun or its plural, a colour or a background of this scene. Words that name no place ("and", "left")
            and things that are not there refer to no patch.
        at_least : float
            The share of a patch that must show the object.
        grid : tuple of int
            Rows and columns of an encoder's patches, ``model.grid``. A patch of another grid than the scene's
            own 8 × 8 has the truth of the patch of the scene in which its centre lies.
        covered : float
            The share of the picture's width and height that those patches cover, ``model.covered``.

        Returns
        -------
        numpy.ndarray
            ``(rows * columns,)`` bool, row by row from the top left.
        """
        rows, columns = (
            ((np.arange(k) + 0.5) * covered * own / k).astype(int) for k, own in zip(grid, GRID, strict=True)
        )
        return self._truth(word, at_least).reshape(GRID)[np.ix_(rows, columns)].ravel()

    def _truth(self, word: str, at_least: float) -> np.ndarray:
        """:meth:`patches` on the scene's own grid."""
        nothing = np.zeros(N_PATCHES, bool)
        if word in BACKGROUNDS:
            if word not in self.backgrounds:
                return nothing
            free = 1 - self.coverage.sum(0)
            if len(self.backgrounds) == 1:
                return free >= 0.5
            quarters = list(self.cells.values())
            here = np.any([q for q, b in zip(quarters, self.backgrounds, strict=True) if b == word], 0)
            return here & (free >= 0.5)
        chosen = [word in (thing.noun, PLURALS[thing.noun], thing.colour) for thing in self.objects]
        return (self.coverage[chosen] >= at_least).any(0) if any(chosen) else nothing


def _paint(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    ox, oy = scene.offset
    if len(scene.backgrounds) == 1:
        canvas = _texture(scene.backgrounds[0])[oy : oy + SIZE, ox : ox + SIZE].astype(np.int32)
    else:
        half = SIZE // 2
        q = [_texture(b)[oy : oy + half, ox : ox + half].astype(np.int32) for b in scene.backgrounds]
        canvas = np.vstack([np.hstack(q[:2]), np.hstack(q[2:])])
    seen = np.zeros((len(scene.objects), SIZE, SIZE), np.int32)
    for k, thing in enumerate(scene.objects):
        drawing = sprite(thing.noun, thing.style, thing.size)
        drawing = drawing[:, ::-1] if thing.flip else drawing
        rgb = tint(drawing[..., :3], thing.colour) if thing.colour else drawing[..., :3]
        alpha = drawing[..., 3:].astype(np.int32)
        here = (slice(thing.y, thing.y + thing.size), slice(thing.x, thing.x + thing.size))
        under = canvas[here]
        canvas[here] = under + ((rgb - under) * alpha + 127) // 255
        seen[:k, here[0], here[1]] = seen[:k, here[0], here[1]] * (255 - alpha[..., 0]) // 255
        seen[k, here[0], here[1]] = alpha[..., 0]
    rows, columns = GRID
    shares = seen.reshape(-1, rows, PATCH, columns, PATCH).sum((2, 4)).reshape(-1, N_PATCHES)
    return canvas.astype(np.uint8), (shares / (255.0 * PATCH * PATCH)).astype(np.float32)


# --------------------------------------------------------------------------- scenes


class _Dice:
    """Draws from ``random.Random(seed).random()`` alone, the one sequence that Python promises not to change."""

    def __init__(self, seed: int | str):
        self._random = random.Random(seed).random

    def chance(self, share: float) -> bool:
        return self._random() < share

    def below(self, n: int) -> int:
        return int(self._random() * n)

    def between(self, low: int, high: int, step: int = 1) -> int:
        return low + step * self.below((high - low) // step + 1)

    def choice(self, options: Sequence):
        return options[self.below(len(options))]

    def sample(self, options: Sequence, k: int) -> list:
        pool = list(options)
        return [pool.pop(self.below(len(pool))) for _ in range(k)]


_SIZES = {1: (48, 88), 2: (40, 64), 3: (36, 56), 4: (36, 52)}  # pixels, in steps of 4


def _place(dice: _Dice, sizes: Sequence[int]) -> list[tuple[int, int, int]]:
    """Random squares ``(x, y, size)`` that overlap by no more than a few pixels, shrunk if they do not fit."""
    while True:
        boxes: list[tuple[int, int, int]] = []
        for size in sizes:
            for _ in range(30):
                x, y = dice.below(SIZE - size + 1), dice.below(SIZE - size + 1)
                if all(
                    x + size - 6 <= bx or bx + bs - 6 <= x or y + size - 6 <= by or by + bs - 6 <= y
                    for bx, by, bs in boxes
                ):
                    boxes.append((x, y, size))
                    break
            else:
                break
        else:
            return boxes
        sizes = [max(32, size - 4) for size in sizes]


MOST_DRAWS = 2000  # of nouns, colours and a background, before combinations count as impossible
_NOT_MET = "combinations={!r} cannot be met by the nouns, colours and background given"


def make_scene(
    seed: int | str,
    n_objects: int | None = None,
    *,
    tinted: float = 0.5,
    background: str | None = None,
    nouns: Sequence[str] | None = None,
    colours: Sequence[str | None] | None = None,
    combinations: str = "seen",
    styles: Sequence[str] = STYLES,
    repeats: float = 0.12,
) -> Scene:
    """Make one random scene.

    Parameters
    ----------
    seed : int or str
        The same seed gives the same scene, pixel by pixel.
    n_objects : int, optional
        1 to 4; drawn at random if not given.
    tinted : float
        The chance of each object to be tinted.
    background : str, optional
        One of :data:`BACKGROUNDS` or ``"plain"``; drawn at random if not given.
    nouns, colours : sequences, optional
        What to draw instead of a random choice; a colour may be None.
    combinations : {"seen", "withheld", "any"}
        Noun–colour and noun–background pairs: only those that training shows, only those that it does not (where the
        object is tinted or the background has a word), or any.
    styles : sequence of str
        Drawing styles to choose from.
    repeats : float
        The chance that all objects have one noun and one colour, so that the caption counts them.

    Returns
    -------
    Scene

    Raises
    ------
    ValueError
        If an argument is not one of the values above.

    Examples
    --------
    >>> make_scene("a seed", n_objects=2).caption
    'a kite right of a mushroom on snow'
    """
    _check("combinations", combinations, ("seen", "withheld", "any"))
    if background is not None:
        _check("background", background, (*BACKGROUNDS, PLAIN))
    dice = _Dice(f"scene {seed}")
    given = len(nouns) if nouns is not None else n_objects
    n = given if given is not None else dice.choice((1, 1, 2, 2, 3, 4))
    _check("n_objects", n, (1, 2, 3, 4))
    for noun in () if nouns is None else nouns:
        _check("nouns", noun, NOUNS)
    for colour in () if colours is None else colours:
        _check("colours", colour, (*COLOURS, None))
    if colours is not None and len(colours) != n:
        raise ValueError(f"colours: {len(colours)} given for {n} objects; give one (or None) for each object")

    repeated = nouns is None and n > 1 and dice.chance(repeats)
    for _ in range(MOST_DRAWS):
        where = background or dice.choice((*BACKGROUNDS, PLAIN))
        if nouns is not None:
            what = list(nouns)
        else:
            what = [dice.choice(NOUNS)] * n if repeated else dice.sample(NOUNS, n)
        if colours is not None:
            hues = list(colours)
        else:
            hues = [dice.choice(list(COLOURS)) if dice.chance(tinted) else None for _ in range(n)]
            hues = [hues[0]] * n if repeated else hues
        pairs = [(noun, hue) for noun, hue in zip(what, hues, strict=True) if hue]
        pairs += [(noun, where) for noun in what if where != PLAIN]
        new = [withheld(*pair) for pair in pairs]
        if combinations == "any" or (not any(new) if combinations == "seen" else any(new)):
            break
        if nouns is not None and colours is not None and background is not None:  # all draws are alike
            raise ValueError(_NOT_MET.format(combinations))
    else:
        raise ValueError(_NOT_MET.format(combinations))

    low, high = _SIZES[n]
    sizes = [dice.between(low, high, 4) for _ in range(n)]
    objects = tuple(
        SceneObject(noun, hue, dice.choice(styles), size, x, y, dice.chance(0.5))
        for noun, hue, (x, y, size) in zip(what, hues, _place(dice, sizes), strict=True)
    )
    offset = (dice.below(SIZE), dice.below(SIZE))
    scene = Scene(objects, (where,), offset)
    return Scene(objects, (where,), offset, full_caption(scene, dice))


def random_nouns(k: int, seed: int | str) -> list[str]:
    """``k`` different nouns; the same seed draws the same ones on every machine."""
    _check("k", k, range(1, len(NOUNS) + 1))
    return _Dice(f"nouns {seed}").sample(NOUNS, k)


def grid_scene(nouns: Sequence[str], seed: int | str = 0, styles: Sequence[str] = STYLES) -> Scene:
    """A 2 × 2 scene for the pointing game: four nouns, each on its own quarter with its own background.

    The quarters of ``scene.cells`` are those of the nouns, in reading order; the caption names all four.
    """
    if len(nouns) != 4 or len(set(nouns)) != 4:
        raise ValueError(f"nouns: {list(nouns)!r} given; a 2 × 2 scene takes four different nouns")
    dice = _Dice(f"grid {seed}")
    half = SIZE // 2
    objects = []
    for k, noun in enumerate(nouns):
        size = dice.between(44, 60, 4)
        x, y = dice.below(half - size + 1), dice.below(half - size + 1)
        objects.append(
            SceneObject(
                noun,
                None,
                dice.choice(styles),
                size,
                x + half * (k % 2),
                y + half * (k // 2),
                dice.chance(0.5),
            )
        )
    backgrounds = tuple(dice.choice((*BACKGROUNDS, PLAIN)) for _ in nouns)
    caption = " and ".join(_noun_phrase(thing) for thing in objects)
    return Scene(tuple(objects), backgrounds, (dice.below(SIZE), dice.below(SIZE)), caption)


# --------------------------------------------------------------------------- captions


def _article(word: str) -> str:
    return "an" if word[0] in "aeio" or word == "umbrella" else "a"


def _noun_phrase(thing: SceneObject, count: int = 1) -> str:
    noun = thing.noun if count == 1 else PLURALS[thing.noun]
    words = [thing.colour, noun] if thing.colour else [noun]
    return " ".join([_article(words[0]) if count == 1 else COUNTS[count], *words])


def relation(a: SceneObject, b: SceneObject) -> str | None:
    """Where ``a`` lies from ``b``: one of the first four :data:`RELATIONS`, None if neither direction is clear."""
    dx, dy = a.centre[0] - b.centre[0], a.centre[1] - b.centre[1]
    if abs(dx) >= 2 * abs(dy) and abs(dx) >= 20:
        return "left of" if dx < 0 else "right of"
    if abs(dy) >= 2 * abs(dx) and abs(dy) >= 20:
        return "above" if dy < 0 else "below"
    return None


def describe(objects: Sequence[SceneObject], background: str = PLAIN, joint: str = "and") -> str:
    """A caption of the given objects in the given order, joined by ``joint`` ("and" or a relation)."""
    kinds = list(dict.fromkeys((o.noun, o.colour) for o in objects))
    phrases = []
    for noun, colour in kinds:
        group = [o for o in objects if (o.noun, o.colour) == (noun, colour)]
        phrases.append(_noun_phrase(group[0], len(group)))
    text = f" {joint} ".join(phrases)
    return f"{text} {BACKGROUNDS[background]}" if background in BACKGROUNDS else text


def full_caption(scene: Scene, dice: _Dice) -> str:
    """A caption that names all objects of a scene, and in half of the scenes its background or a relation."""
    things = dice.sample(scene.objects, len(scene.objects))
    kinds = {(o.noun, o.colour) for o in things}
    joint = "and"
    if len(things) == len(kinds) == 2 and dice.chance(0.4):
        joint = relation(*things) or "next to"
    return describe(things, scene.background if dice.chance(0.5) else PLAIN, joint)


def _check(name: str, given, allowed) -> None:
    if given not in allowed:
        shown = ", ".join(map(repr, list(allowed)[:12])) + (", …" if len(list(allowed)) > 12 else "")
        raise ValueError(f"{name}: {given!r} given; it must be one of {shown}")


# --------------------------------------------------------------------------- examples


@dataclass(frozen=True)
class Example:
    """A fixed picture with a caption that asks something of an encoder.

    Attributes
    ----------
    name, title : str
        How chapters refer to it, and what a reader sees.
    scene : Scene
        The picture and what is really in it.
    caption : str
        The caption to be explained, true or not.
    note : str
        What to look for, in one sentence.
    wrong_colours : dict of str to str
        For each colour word that the picture contradicts: the noun that the caption gives it to.
    """

    name: str
    title: str
    scene: Scene
    caption: str
    note: str
    wrong_colours: dict[str, str] = field(default_factory=dict)

    @property
    def image(self) -> Image.Image:
        return self.scene.image

    @property
    def truth(self) -> dict[str, np.ndarray]:
        """For each word of the caption that has a place, the patches it refers to: ``(64,)`` bool."""
        places = {word: self.scene.patches(word) for word in self.caption.split()}
        return {word: patches for word, patches in places.items() if patches.any()}


def examples() -> dict[str, Example]:
    """The fixed picture–caption pairs that the chapters return to, by name."""
    thing = SceneObject

    def scene(background: str, *objects: SceneObject, offset=(11, 37)) -> Scene:
        return Scene(objects, (background,), offset, describe(objects, background))

    hero = scene(
        "grass", thing("dog", "white", "noto", 60, 4, 52), thing("bus", "yellow", "noto", 60, 66, 44)
    )
    pair = scene(
        "sand", thing("car", "red", "noto", 60, 4, 60), thing("house", "blue", "twemoji", 60, 66, 20)
    )
    beach = scene(
        "sand", thing("fish", None, "noto", 52, 6, 44), thing("crab", None, "noto", 52, 70, 40, True)
    )
    camel = scene("sand", thing("camel", None, "noto", 80, 24, 30))
    grid = grid_scene(["cat", "tractor", "pizza", "church"], 3)
    party = scene(
        "sky",
        thing("balloon", "purple", "noto", 48, 6, 6),
        thing("helicopter", "green", "noto", 48, 72, 8),
        thing("plane", None, "twemoji", 48, 8, 72),
        thing("butterfly", "orange", "fluent", 44, 76, 76),
    )
    listed = (
        Example(
            "hero",
            "The wrong colour, twin of the published pair",
            hero,
            "a black dog next to a yellow bus",
            "The dog is white: what does the word black do with its patches?",
            {"black": "dog"},
        ),
        Example("pair", "Two objects, two colours", pair, "a red car and a blue house", "All of it is true."),
        Example(
            "swapped",
            "Colours that belong to the other object",
            pair,
            "a blue car and a red house",
            "The same words as in the true caption, bound the other way round.",
            {"blue": "car", "red": "house"},
        ),
        Example(
            "wrong-colour",
            "One object in a wrong colour",
            scene("plain", thing("elephant", "orange", "noto", 80, 24, 26)),
            "a purple elephant",
            "The noun is right and the colour is wrong.",
            {"purple": "elephant"},
        ),
        Example(
            "absent",
            "A word that matches nothing",
            scene("plain", thing("cat", None, "noto", 60, 4, 56), thing("drum", None, "twemoji", 52, 70, 12)),
            "a cat and a guitar",
            "There is a drum and no guitar.",
        ),
        Example(
            "snow",
            "One object, one place",
            scene("snow", thing("penguin", None, "noto", 72, 30, 36)),
            "a penguin on snow",
            "All of it is true.",
        ),
        Example("left", "Where things are", beach, "a fish left of a crab", "True; can the encoder tell?"),
        Example(
            "right",
            "Where things are not",
            beach,
            "a fish right of a crab",
            "One word differs from the true caption.",
        ),
        Example(
            "count",
            "A number",
            scene(
                "sky",
                *(thing("balloon", "red", "noto", 44, x, y) for x, y in ((8, 60), (44, 10), (78, 66))),
            ),
            "three red balloons in the sky",
            "Is there a patch that shows three?",
        ),
        Example("place", "The right background", camel, "a camel on sand", "All of it is true."),
        Example(
            "wrong-place", "The wrong background", camel, "a camel on grass", "There is no grass: only sand."
        ),
        Example(
            "crowd",
            "Four objects",
            party,
            "a purple balloon and a green helicopter",
            "Half of the picture is not in the caption.",
        ),
        Example(
            "grid", "Four pictures in one", grid, "a pizza", "One word and four places: where does it point?"
        ),
    )
    return {example.name: example for example in listed}
