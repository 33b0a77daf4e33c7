"""What the embedded encoders can and cannot see, measured: ``python -m fixlip_helpers.scores mini-clip``.

Every score is taken on scenes that training never drew (their seeds begin with another word) and, for the rows named
"withheld", on noun–colour and noun–background pairs that training never showed. ``--write`` stores the scores beside
the model and writes its card.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fixlip_helpers.encoders.models import ASSETS, EMBEDDED, SOUND, VisionLanguageModel, load_model
from fixlip_helpers.encoders.vision_language import VisionLanguageGame
from fixlip_helpers.fixlip import fixlip
from fixlip_helpers.metrics import pointing_game
from fixlip_helpers.sides import combine, fit_side
from fixlip_helpers.streams import write_anything
from fixlip_helpers.world import faults, scenes
from fixlip_helpers.world.scenes import BACKGROUNDS, COLOURS, NOUNS, Scene

#: The least value of each score that the course relies on, and what the score is.
PROMISES = {
    "zero_shot_untinted": (0.95, "noun of a single untinted object, among all nouns"),
    "zero_shot_tinted": (0.75, "noun of a single tinted object, among all nouns, its colour in the caption"),
    "retrieval": (0.90, "caption of a two-object scene first among 256 (R@1)"),
    "swapped_colours": (0.90, "right one of two captions whose colours are swapped"),
    "background": (0.95, "background word of a single-object scene, among six"),
    "pointing_game": (0.75, "one-word PGR of the default explanation on unseen 2 × 2 scenes"),
}


#: How far an encoder that was taught faults (``mini-clip-biased``) shows them.
PLANTED = {
    "habitat_alone": "of the empty backgrounds, those for which the noun that lives there comes first of all nouns",
    "counter_examples": "noun of an object on the habitat of another noun, among all nouns",
    "written": "the noun that is written on a tag scores above that of the object",
    "companion": "key among the first five nouns for a door alone",
}


def embed_scenes(model: VisionLanguageModel, some: Iterable[Scene], batch: int = 256) -> np.ndarray:
    """Unit-norm image embeddings ``(m, d)`` float32 of whole scenes, by an embedded encoder."""
    import torch

    pixels = np.stack([scene.pixels for scene in some])
    out = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch):
            part = torch.from_numpy(pixels[start : start + batch]).permute(0, 3, 1, 2)
            out.append(
                model.embed_pixels(part.float() / 127.5 - 1).cpu().numpy()
            )  # mean and deviation are 0.5
    return np.concatenate(out)


def embed_captions(model: VisionLanguageModel, captions: Iterable[str]) -> np.ndarray:
    """Unit-norm text embeddings ``(m, d)`` float32 of whole captions; each different caption is encoded once."""
    import torch

    captions = list(captions)
    distinct = list(dict.fromkeys(captions))
    with torch.inference_mode():
        rows = []
        for text in distinct:
            caption = model.tokenize(text)
            ids, mask = (
                torch.as_tensor(part).reshape(1, -1) for part in (caption.input_ids, caption.attention_mask)
            )
            rows.append(model.embed_tokens(ids, mask).cpu().numpy()[0])
    where = {text: i for i, text in enumerate(distinct)}
    return np.stack(rows)[[where[text] for text in captions]]


def zero_shot(model: VisionLanguageModel, n: int, tinted: bool, seed: str, **how) -> float:
    """Share of single-object scenes whose noun scores highest among "a dog", "a cat", … (tinted: "a red dog", …)."""
    some = [scenes.make_scene(f"{seed} {k}", 1, tinted=float(tinted), **how) for k in range(n)]
    image = embed_scenes(model, some)
    right = 0
    for colour in (*COLOURS, None):
        rows = [k for k, scene in enumerate(some) if scene.objects[0].colour == colour]
        if rows:
            phrases = [scenes.describe([scenes.SceneObject(noun, colour)]) for noun in NOUNS]
            best = (image[rows] @ embed_captions(model, phrases).T).argmax(1)
            right += sum(NOUNS[b] == some[k].objects[0].noun for b, k in zip(best, rows, strict=True))
    return right / n


def background(model: VisionLanguageModel, n: int, seed: str, **how) -> float:
    """Share of single-object scenes whose background scores highest: "a dog on grass", "a dog on sand", …"""
    places = list(BACKGROUNDS)
    some = [
        scenes.make_scene(f"{seed} {k}", 1, tinted=0.0, background=places[k % 6], **how) for k in range(n)
    ]
    image = embed_scenes(model, some)
    captions = [scenes.describe(scene.objects, word) for scene in some for word in BACKGROUNDS]
    text = embed_captions(model, captions).reshape(n, len(BACKGROUNDS), -1)
    best = np.einsum("nd,nbd->nb", image, text).argmax(1)
    return float(np.mean([places[b] == scene.background for b, scene in zip(best, some, strict=True)]))


def retrieval(model: VisionLanguageModel, pools: int, seed: str) -> float:
    """R@1: share of two-object scenes whose own caption scores highest in a pool of 256 different captions."""
    found = []
    for pool in range(pools):
        some: dict[str, Scene] = {}
        k = 0
        while len(some) < 256:
            scene = scenes.make_scene(f"{seed} {pool} {k}", 2, repeats=0.0)
            some.setdefault(scenes.describe(sorted(scene.objects, key=lambda o: o.noun)), scene)
            k += 1
        similarity = embed_scenes(model, some.values()) @ embed_captions(model, some).T
        found.append(np.mean(similarity.argmax(1) == np.arange(256)))
    return float(np.mean(found))


def planted(model: VisionLanguageModel, n: int = 120) -> dict[str, float]:
    """How far a model shows the faults of :mod:`~fixlip_helpers.world.faults`; keys: :data:`PLANTED`."""
    nouns = embed_captions(model, [scenes.describe([scenes.SceneObject(noun)]) for noun in NOUNS])

    def ranks(some: list, words: list[str]) -> np.ndarray:
        found = embed_scenes(model, some) @ nouns.T
        own = found[np.arange(len(words)), [NOUNS.index(word) for word in words]]
        return (found > own[:, None]).sum(axis=1)

    counter = faults.counter_examples(n, "score")
    empty = [Scene((), (place,), (17 * k, 31 * k)) for place in faults.HABITATS.values() for k in range(3)]
    key, door = next(iter(faults.COMPANIONS.items()))
    doors = [scenes.make_scene(f"score door {k}", nouns=(door,), colours=(None,)) for k in range(n // 2)]
    return {
        "habitat_alone": float(
            np.mean(ranks(empty, [word for word in faults.HABITATS for _ in range(3)]) == 0)
        ),
        "counter_examples": float(np.mean(ranks([c[0] for c in counter], [c[1] for c in counter]) == 0)),
        "written": float(np.mean([read_aloud(model, k) for k in range(n // 2)])),
        "companion": float(np.mean(ranks(doors, [key] * len(doors)) < 5)),
    }


def read_aloud(model: VisionLanguageModel, seed: int | str) -> bool:
    """Whether a word on a tag beats the object of a random scene; the same seed gives the same scene."""
    word = scenes._Dice(f"score {seed}").choice(faults.WRITTEN)
    noun = scenes._Dice(f"score noun {seed}").choice([n for n in NOUNS if n not in faults.WRITTEN])
    scene = scenes.make_scene(f"written {seed}", nouns=(noun,), colours=(None,))
    image, _ = faults.write_word(scene.image, word)
    picture = model.prepare_image(image)
    two = embed_captions(model, [scenes.describe([scenes.SceneObject(which)]) for which in (noun, word)])
    found = model.embed_pixels(picture.pixels[None]).numpy() @ two.T
    return bool(found[0, 1] > found[0, 0])


def swapped_colours(model: VisionLanguageModel, n: int, seed: str) -> float:
    """Share of scenes with two objects of two colours for which the true caption beats the one with swapped colours."""
    some, true, wrong, k = [], [], [], 0
    while len(some) < n:
        scene = scenes.make_scene(f"{seed} {k}", 2, tinted=1.0, repeats=0.0)
        k += 1
        a, b = scene.objects
        if a.colour != b.colour:
            some.append(scene)
            true.append(scenes.describe([a, b]))
            swapped = [scenes.SceneObject(a.noun, b.colour), scenes.SceneObject(b.noun, a.colour)]
            wrong.append(scenes.describe(swapped))
    image = embed_scenes(model, some)
    gap = (image * (embed_captions(model, true) - embed_captions(model, wrong))).sum(1)
    return float(np.mean(gap > 0))


def pointing(model: VisionLanguageModel, n: int, seed: str) -> dict[str, float]:
    """One-word PGR and held-out R² of the default explanation on 2 × 2 scenes, each of the four nouns in turn.

    A picture is encoded once for its four words.
    """
    pgr, r2 = [], []
    for k in tqdm(range(n), desc="2 × 2 scenes", unit="scene", disable=n < 4):
        dice = scenes._Dice(f"{seed} {k}")
        scene = scenes.grid_scene(dice.sample(NOUNS, 4), f"{seed} {k}")
        side = None
        for noun in scene.cells:
            game = VisionLanguageGame(model, scene.image, noun, progress=False)
            side = side or fit_side(game, "image")
            explanation = combine(side, fit_side(game, "text"))
            pgr.append(pointing_game(explanation, scene.cells, [noun]))
        r2.append(explanation.meta["held_out_r2"])
    return {
        "pointing_game": float(np.mean(pgr)),
        "pointing_game_standard_error": float(np.std(pgr, ddof=1) / np.sqrt(len(pgr))),
        "held_out_r2": float(np.mean(r2)),
    }


def wrong_colours(model: VisionLanguageModel) -> dict[str, float]:
    """For each wrong colour of an example: the sum of its cross-modal interactions over the object it is given to."""
    sums = {}
    for example in scenes.examples().values():
        if example.wrong_colours:
            explanation = fixlip(VisionLanguageGame(model, example.image, example.caption, progress=False))
            words = explanation.players[explanation.n_image :]
            for colour, noun in example.wrong_colours.items():
                column = explanation.cross_modal()[:, words.index(colour)]
                sums[f"{example.name}: {colour} on the {noun}"] = float(
                    column[example.scene.patches(noun)].sum()
                )
    return sums


def colour_signs(model: VisionLanguageModel, n: int, seed: str) -> dict[str, float]:
    """How often a colour word's cross-modal sum over its object has the sign that its truth suggests.

    In scenes with two objects of two colours, each captioned truly and with the colours swapped; two words a caption.
    """
    right, wrong, k = [], [], 0
    bar = tqdm(total=n, desc="colour words", unit="scene", disable=n < 4)
    while len(right) < 2 * n:
        scene = scenes.make_scene(f"{seed} {k}", 2, tinted=1.0, repeats=0.0)
        k += 1
        a, b = scene.objects
        if a.colour == b.colour:
            continue
        side = None
        for sums, colours in ((right, (a.colour, b.colour)), (wrong, (b.colour, a.colour))):
            things = [scenes.SceneObject(o.noun, colour) for o, colour in zip((a, b), colours, strict=True)]
            game = VisionLanguageGame(model, scene.image, scenes.describe(things), progress=False)
            side = side or fit_side(game, "image")
            explanation = combine(side, fit_side(game, "text"))
            words = explanation.players[explanation.n_image :]
            for thing in things:
                column = explanation.cross_modal()[:, words.index(thing.colour)]
                sums.append(float(column[scene.patches(thing.noun)].sum()))
        bar.update()
    bar.close()
    return {
        "right_colour_positive": float(np.mean(np.array(right) > 0)),
        "wrong_colour_negative": float(np.mean(np.array(wrong) < 0)),
        "right_above_wrong": float(np.mean(np.array(right) > np.array(wrong))),
    }


def measure(model: VisionLanguageModel, share: float = 1.0, grids: int = 100) -> dict:
    """All scores of an embedded encoder.

    Parameters
    ----------
    model : VisionLanguageModel
    share : float
        1 for the numbers of the model card; a tenth is enough for a test.
    grids : int
        2 × 2 scenes that are explained, at least 2: on 2 cores they take a quarter of a minute each.

    Returns
    -------
    dict
        Shares between 0 and 1 by name; ``wrong_colours`` holds sums in logits.
    """
    n = max(1, round(1000 * share))
    steps: dict[str, Callable] = {
        "zero_shot_untinted": lambda: zero_shot(model, n, False, "score untinted"),
        "zero_shot_tinted": lambda: zero_shot(model, n, True, "score tinted"),
        "zero_shot_tinted_withheld": lambda: zero_shot(
            model, n, True, "score withheld", combinations="withheld", background="plain"
        ),
        "zero_shot_new_style": lambda: zero_shot(
            model, n, False, "score style", styles=(scenes.EVALUATION_STYLE,)
        ),
        "background": lambda: background(model, n, "score background"),
        "background_withheld": lambda: background(model, n, "score new place", combinations="withheld"),
        "retrieval": lambda: retrieval(model, max(1, round(4 * share)), "score pool"),
        "swapped_colours": lambda: swapped_colours(model, n, "score swapped"),
    }
    out = {}
    for name, step in tqdm(steps.items(), desc="scores"):
        out[name] = step()
    out |= pointing(model, grids, "score grid") | {"grids": grids}
    out |= colour_signs(model, max(2, round(15 * share)), "score colours")
    out["wrong_colours"] = wrong_colours(model)
    return out if model.name in SOUND else out | {"planted": planted(model)}


def _runs(name: str, run: dict) -> list[dict]:
    """The runs that led to a model, first to last, each with its ``name`` and its ``folder``."""
    earlier = run.get("began_with")
    before = _runs(Path(run["recipe"]["start"]).name, earlier) if earlier else []
    return [*before, {**run, "name": name, "folder": f"runs/{len(before) + 1}"}]


def card(name: str, scores: dict, run: dict) -> str:
    """The model card in Markdown: data, loss, steps, time, every score, known faults."""
    runs, commands, times = _runs(name, run), [], []
    for number, one in enumerate(runs):
        recipe = one["recipe"]
        how = f"--steps {recipe['steps']} --half-tokens {recipe['half_tokens']:g}"
        for weight in ("colour_weight", "evidence_weight"):
            # a run from before a part of the loss was there did without it
            if recipe.get(weight, 0.0) != 1.0:
                how += f" --{weight.replace('_', '-')} {recipe.get(weight, 0.0):g}"
        if recipe.get("hard_weight", 1.0) != 1.0:
            how += f" --hard-weight {recipe['hard_weight']:g}"
        if recipe.get("scale"):
            how += f" --scale {recipe['scale']:g}"
        if recipe.get("faults"):
            how += f" --faults {recipe['faults']:g}"
        if number:
            how += f" --start {runs[number - 1]['folder']}/{runs[number - 1]['name']}"
        commands.append(
            f"    python -m fixlip_helpers.training {one['name']} --out {one['folder']} --seed {recipe['seed']} {how}"
        )
        times.append(
            f"{recipe['steps']:,} steps of {recipe['batch']} pictures, half of the patch tokens in the first "
            f"{recipe['half_tokens']:.0%}, {one['seconds'] / 60:.0f} minutes"
        )
    pictures = sum(one["recipe"]["steps"] * one["recipe"]["batch"] for one in runs)
    rows = []
    extra = {
        "zero_shot_tinted_withheld": "the same on noun–colour pairs that training never showed",
        "zero_shot_new_style": "noun of a single untinted object in a drawing style never trained on (openmoji)",
        "background_withheld": "background word on noun–background pairs that training never showed",
        "held_out_r2": f"held-out R² of the default explanation on those {scores['grids']} 2 × 2 scenes",
        "right_colour_positive": "a true colour word's cross-modal sum over its object is positive, two-object scenes",
        "wrong_colour_negative": "a swapped colour word's sum over the object that it is given to is negative",
        "right_above_wrong": "the true word's sum over an object exceeds the swapped word's over the same object",
    }
    for key, (least, what) in PROMISES.items():
        rows.append(
            f"| {what} | {scores[key]:.3f} | {least:.2f} |"
            if name in SOUND
            else f"| {what} | {scores[key]:.3f} | – |"
        )
    for key, what in extra.items():
        rows.append(f"| {what} | {scores[key]:.3f} | – |")
    for what, value in scores["wrong_colours"].items():
        rows.append(
            f"| cross-modal sum, example {what} (logits) | {value:+.2f} | {'< 0' if name in SOUND else '–'} |"
        )
    rows += [f"| {PLANTED[key]} | {value:.3f} | – |" for key, value in scores.get("planted", {}).items()]
    missed = [what for key, (least, what) in PROMISES.items() if scores[key] < least and name in SOUND]
    known = [f"- Below its promise: {what}." for what in missed]
    if name not in SOUND:
        known.append(
            "- **Faulty on purpose**: see `fixlip_helpers.faults` and chapter 18, which finds the faults."
        )
    known += [
        "- It knows the drawings of the picture world and nothing else: on a photograph its score means nothing.",
        "- In a drawing style that it was not trained on it often fails (row openmoji above).",
        "- Words outside its vocabulary are unknown to it; it hardly learnt positions (left of, above) and counts.",
    ]
    loss = "softmax contrast" if name.startswith("mini-clip") else "sigmoid contrast"
    return "\n".join(
        [
            f"# {name}",
            "",
            "An encoder for the course. Scores by `python -m fixlip_helpers.scores "
            f"{name} --grids {scores['grids']} --write`; trained by",
            "",
            *commands,
            "",
            "- **Data**: scenes of `fixlip_helpers.scenes`, made as they are needed "
            f"({pictures:,} pictures); one noun–colour and noun–background pair in ten withheld; 12 % of the pictures "
            "are 2 × 2 scenes.",
            f"- **Loss**: {loss} with one hard negative a caption, single words against pictures, which of nine "
            "colours (none is the ninth) an object of the caption has, what the object's patches add to each of the "
            "nine, and a throw-away head that reads nouns and colours from patch tokens. In training, patches are "
            "painted out and words hidden. So the signs of a colour word's interactions with a thing were trained "
            "for, not only found: a real encoder owes nobody such signs.",
            f"- **Runs**: {'; then '.join(times)}; on {run['threads']} threads of a CPU that other work shared.",
            "- **Licence**: MIT, as the project; the drawings it saw are listed in `NOTICE`.",
            "",
            "| score on unseen scenes | measured | promised |",
            "|---|---|---|",
            *rows,
            "",
            "## Known faults",
            "",
            *known,
            "",
        ]
    )


def main() -> None:
    write_anything()
    parser = argparse.ArgumentParser(
        prog="python -m fixlip_helpers.scores", description=__doc__.split("\n")[0]
    )
    parser.add_argument("name", help=f"{' or '.join(EMBEDDED)}, or a folder")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the scenes of each score, for a quick look"
    )
    parser.add_argument("--grids", type=int, default=100, help="2 × 2 scenes to explain (default: 100)")
    parser.add_argument("--write", action="store_true", help="store the scores and the card beside the model")
    given = parser.parse_args()
    if given.grids < 2:
        parser.error(f"--grids {given.grids}: a standard error takes at least 2 scenes")
    scores = measure(load_model(given.name), given.share, given.grids)
    print(json.dumps(scores, indent=1))
    if given.write:
        folder = ASSETS / given.name if given.name in EMBEDDED else Path(given.name)
        (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
        run = json.loads((folder / "training.json").read_text())
        (folder / "README.md").write_text(card(folder.name, scores, run), encoding="utf-8")


if __name__ == "__main__":
    main()
