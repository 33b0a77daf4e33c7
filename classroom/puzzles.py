"""Make the data of the page "Guess the sign": fifty interactions of a word and a region, each certain of its sign.

    python -m classroom puzzles

A puzzle shows a picture, its caption, a word and a marked region; asked is the sign of the word's interactions with
the patches of the region, summed. For the embedded encoders the sum is estimated from repeated explanations, as
``classroom.claims`` has it. The published explanation of the real CLIP came without
errors and cannot be asked again; there the standard error is that of a stand-in, a game of the same size whose
explanation is the published one, with noise of third and fourth order, explained anew by the authors' rule.

Only sums of more than SMALLEST logits and CERTAIN standard errors are asked. Of these WANTED are taken, from every kind
of puzzle, "raises" and "lowers" by turns.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from classroom.claims import REPEATS, mean_and_error, repeated_sides
from fixlip_helpers import ExplanationGame, VisionLanguageGame, combine, fit_side, load_model
from fixlip_helpers.coalitions import authors_split, border
from fixlip_helpers.datasets import published_clip
from fixlip_helpers.scenes import BACKGROUNDS, COLOURS, NOUNS, Example, describe, examples, make_scene
from fixlip_helpers.showing.maps import data_uri
from fixlip_helpers.wls import solve_product

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "book" / "_static" / "puzzles" / "data.js"
CERTAIN, SMALLEST = 4, 0.5  # standard errors, logits
WANTED = 50

# For each kind: what the word is to the marked patches, and the chapter that says more.
KINDS = {
    "its noun": ("The word names the thing that the marked patches show.", "10_fixlip"),
    "another noun": ("The word names another thing of the picture, not the marked one.", "13_reading_explanations"),
    "its colour": ("The word is the colour of the marked thing.", "03_interactions"),
    "another colour": ("The word is the colour of another thing of the picture.", "03_interactions"),
    "a wrong colour": ("The caption gives the marked thing a colour that it has not.", "18_debugging"),
    "a colour elsewhere": ("A colour that the caption gives, wrongly, to another thing.", "18_debugging"),
    "an absent noun": ("The word names something that is nowhere in the picture.", "13_reading_explanations"),
    "its place": ("The word names the place, and the marked patches show it.", "18_debugging"),
    "a place, on a thing": ("The word names the place; the marked patches show a thing.", "18_debugging"),
    "a wrong place": ("The word names a place that the picture does not show.", "18_debugging"),
    "elsewhere": ("The marked patches show none of the things of the picture.", "13_reading_explanations"),
    "real CLIP": ("Real CLIP ViT-B/32, as its explanation was published; marks by eye.", "13_reading_explanations"),
}  # fmt: skip


def captioned() -> Iterator[tuple[str, Example]]:
    """Named pictures with captions: fixed examples, and pairs of coloured things with three captions each."""
    for name, example in examples().items():
        if name not in ("count", "left", "right", "grid"):
            yield name, example
    for number in range(6):
        scene = make_scene(f"puzzle {number}", 2, tinted=1.0, repeats=0.0)
        a, b = scene.objects
        absent = next(noun for noun in NOUNS[7 * number :] if noun not in (a.noun, b.noun))
        for kind, named in (
            ("true", (a, b)),
            ("swapped", (replace(a, colour=b.colour), replace(b, colour=a.colour))),
            ("absent", (replace(a, noun=absent, colour=None), replace(b, colour=None))),
        ):
            caption = describe(named)
            yield f"pair {number}, {kind}", Example(f"pair {number}", "", scene, caption, "")


def kind_of(example: Example, word: str, thing: int | None) -> str | None:
    """What a word is to a region of a drawn scene (a thing's number, None: the rest); None: nothing that is asked."""
    objects, background = example.scene.objects, example.scene.background
    if word in BACKGROUNDS:
        if word != background:
            return "a wrong place" if thing is None else None
        return "its place" if thing is None else "a place, on a thing"
    if thing is None:
        return "elsewhere" if word in COLOURS or word in NOUNS else None
    if word in COLOURS:
        if word == objects[thing].colour:
            return "its colour"
        words = example.caption.split()
        given_to = words[words.index(word) + 1]
        if given_to == objects[thing].noun:
            return "a wrong colour"
        others = [other.colour for number, other in enumerate(objects) if number != thing]
        return (
            "another colour"
            if word in others and given_to in [o.noun for o in objects]
            else "a colour elsewhere"
        )
    if word in NOUNS:
        nouns = [other.noun for other in objects]
        return "its noun" if word == nouns[thing] else "another noun" if word in nouns else "an absent noun"
    return None


def regions(example: Example) -> dict[int | None, np.ndarray]:
    """Patches that are half of a thing or more (its number), and those with next to nothing of any (None)."""
    coverage = example.scene.coverage
    found = {number: coverage[number] >= 0.5 for number in range(len(coverage))}
    return found | {None: coverage.sum(axis=0) <= 0.1}


def drawn(model: str) -> Iterator[dict]:
    """All candidates of one embedded encoder."""
    encoder, sides, names = load_model(model), {}, {}
    for name, example in captioned():
        game = VisionLanguageGame(encoder, example.image, example.caption)
        if example.scene not in sides:
            sides[example.scene] = repeated_sides(game)
        text = fit_side(game, "text")
        maps = np.array([combine(side, text).cross_modal() for side in sides[example.scene]])
        tokens = example.caption.split()
        if len(tokens) != maps.shape[2]:
            raise SystemExit(f"{example.caption!r}: {maps.shape[2]} tokens for {len(tokens)} words")
        for column, word in enumerate(tokens):
            for thing, patches in regions(example).items():
                kind = kind_of(example, word, thing)
                if kind and patches.any() and tokens.count(word) == 1:
                    value, error = mean_and_error(maps[:, patches, column].sum(axis=1))
                    what = "the place around" if thing is None else f"the {example.scene.objects[thing].noun}"
                    yield {
                        "id": f"{model}-{name}-{word}-{what}".replace(", ", "-").replace(" ", "-").replace("the-", ""),
                        "kind": kind,
                        "model": model,
                        "picture": names.setdefault(example.scene, name.split(",")[0]),
                        "caption": tokens,
                        "word": column,
                        "region": what,
                        "patches": np.flatnonzero(patches).tolist(),
                        "value": round(value, 3),
                        "error": round(error, 4),
                    }  # fmt: skip


def published() -> Iterator[dict]:
    """Candidates of the real CLIP, with the errors of the stand-in."""
    clip = published_clip()[1]["FIxLIP"]
    dog = [28, 29, 30, 35, 36, 37, 42, 43]  # by eye, as in chapter 10
    hydrant = [5, 6, 11, 12, 13, 18, 19, 20, 26, 27, 33, 40]
    m_image, m_text = authors_split(2**21, clip.n_image, clip.n_text)
    games = [
        ExplanationGame(clip, noise_order3=0.05, noise_order4=0.03, seed=seed) for seed in range(REPEATS)
    ]
    maps = []
    for seed, game in enumerate(games):
        image, text = (border(n, 0.5, m, seed, stream=s) for n, m, s in ((49, m_image, 1), (8, m_text, 2)))
        f, g = game.encode_images(image.coalitions), game.encode_texts(text.coalitions)
        _, _, pairs = solve_product(f, g, image, text, game.scale, game.bias)
        maps.append(pairs[:49, 49:] - clip.cross_modal())
    tokens = ["black", "dog", "next", "to", "a", "yellow", "hydrant"]
    members = [[0], [1], [2], [3], [4], [5], [6, 7]]
    for word in ("black", "dog", "yellow", "hydrant"):
        for what, patches in (("the dog", dog), ("the hydrant", hydrant)):
            cells = np.ix_(patches, members[tokens.index(word)])
            misses = np.array([miss[cells].sum() for miss in maps])
            yield {
                "id": f"clip-{word}-{what}".replace("the ", ""),
                "kind": "real CLIP",
                "model": "CLIP ViT-B/32",
                "picture": "photograph",
                "caption": tokens,
                "word": tokens.index(word),
                "region": what,
                "patches": patches,
                "value": round(float(clip.cross_modal()[cells].sum()), 3),
                "error": round(float(np.sqrt(np.mean(misses**2))), 4),
            }


def candidates() -> list[dict]:
    """All sums that are certain of their sign."""
    found = [*published(), *drawn("mini-clip"), *drawn("mini-siglip")]
    return [one for one in found if abs(one["value"]) > max(SMALLEST, CERTAIN * one["error"])]


def chosen(found: list[dict]) -> list[dict]:
    """WANTED puzzles: by turns from every kind and sign, of pictures and models that were taken least so far.

    In an order without a meaning, but for the first, which is easy.
    """
    number = lambda one: sha256(one["id"].encode()).hexdigest()  # noqa: E731  (an order without a meaning)
    groups = defaultdict(list)
    for one in sorted(found, key=number):
        groups[one["kind"], one["value"] > 0].append(one)
    taken, seen = [], Counter()
    while len(taken) < min(WANTED, len(found)):
        for group in sorted(groups, key=lambda group: (len(groups[group]), group)):
            if groups[group] and len(taken) < WANTED:
                one = min(
                    groups[group], key=lambda one: (seen[one["picture"]], seen[one["model"]], number(one))
                )
                groups[group].remove(one)
                seen.update((one["picture"], one["model"]))
                taken.append(one)
    return sorted(taken, key=lambda one: (one["picture"] != "hero" or one["kind"] != "its noun", number(one)))


def pictures(names: set[str]) -> dict[str, dict]:
    """The pictures of these names as ``data:`` URIs, with a description and the side of their grid of patches."""
    found = {}
    for name, example in captioned():
        short = name.split(",")[0]
        if short in names and short not in found:
            shown = describe(example.scene.objects, example.scene.background)
            alt = f"A drawing of {shown}."
            found[short] = {"src": data_uri(example.image), "alt": alt, "grid": 8}
    if "photograph" in names:
        alt = "A photograph of a small white dog at the lower left, beside a tall yellow fire hydrant."
        found["photograph"] = {"src": data_uri(published_clip()[0].resize((384, 384))), "alt": alt, "grid": 7}
    return found


def title(chapter: str) -> str:
    """A chapter's number and title, as its notebook has it."""
    cells = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    head = next(line for line in "".join(cells[0]["source"]).splitlines() if line.startswith("# "))
    return f"{chapter[:2]} {head[2:]}"


def main() -> None:
    """Measure, choose, and write the data of the page."""
    found = candidates()
    puzzles = chosen(found)
    signs = Counter((one["kind"], one["value"] > 0) for one in found)
    kinds = {
        kind: {
            "what": what,
            "chapter": chapter,
            "title": title(chapter),
            "raises": signs[kind, True],
            "lowers": signs[kind, False],
        }
        for kind, (what, chapter) in KINDS.items()
    }
    data = {
        "command": "python -m classroom puzzles",
        "p": 0.5,
        "puzzles": puzzles,
        "kinds": {kind: kinds[kind] for kind in sorted({one["kind"] for one in puzzles})},
        "pictures": pictures({one["picture"] for one in puzzles}),
    }
    text = json.dumps(data, ensure_ascii=False, indent=0, separators=(",", ":"))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(f"window.guessTheSign = {text};\n", encoding="utf-8")
    print(f"{OUT}: {len(puzzles)} puzzles, {OUT.stat().st_size // 1000} kB")
