"""The embedded encoders and the code around them as files for a browser: ``python -m fixlip_helpers.export FOLDER``.

The page *Try it* of the book explains a picture on the reader's own device. This module writes what it loads:

* ``facts.js``: the pictures and captions of :func:`~fixlip_helpers.world.scenes.examples`, stored explanations of
  those that are shown (``results/try_it_examples.json``), and of each model all but weights;
* ``mini-clip.js``, ``mini-siglip.js``: each model's weights, float16 as they are stored, loaded when they are wanted;
* ``try_it.js``: the modules of ``web/try_it`` and of the explorer as one script, with the worker and the compiled
  kernels inside, so that the page works from a folder too, where a browser fetches nothing;
* ``tokenizers.js``: the tokenizers of others, loaded when the reader opens a model;
* ``published.js``: the published photograph, caption and explanation, loaded when the reader compares with it;
* ``scenes.js``: drawings, tints and backgrounds of the picture world, to build scenes from; ``try_it.css``.

Nothing is computed here: the browser's encoders, coalitions and solver are in ``web/try_it`` and are compared with the
package in ``tests/test_try_it.py``.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fixlip_helpers.coalitions import authors_split
from fixlip_helpers.encoders.models import SOUND, VisionLanguageModel, load_model
from fixlip_helpers.encoders.pictures import (
    COLOURED_SHARE,
    GREY_LEVELS,
    MOST_COLOURS_OF_A_DRAWING,
    MOST_GREYS_OF_A_DRAWING,
)
from fixlip_helpers.experiments.datasets import published_clip
from fixlip_helpers.experiments.released import PUBLISHED_BUDGET
from fixlip_helpers.showing.choices import web
from fixlip_helpers.showing.maps import data_uri
from fixlip_helpers.streams import write_anything
from fixlip_helpers.world import scenes

ACTIVATIONS = ("gelu", "quick_gelu", "gelu_pytorch_tanh")
"""Nonlinearities of the kernels, by their names in transformers."""

WORKER = (
    "coalitions.js", "numerics.js", "encoder.js", "checkpoint.js", "gpu.js", "sides.js", "agreement.js", "captions.js",
    "worker.js"
)  # fmt: skip
PAGE = (
    "../explanation.js", "../explorer.js", "address.js", "captions.js", "numerics.js", "checkpoint.js", "hub.js",
    "shelf.js", "pieces.js", "pictures.js", "numbers.js", "drawing.js", "field.js", "engine.js", "result.js",
    "scenes.js", "verify.js", "page.js"
)  # fmt: skip
"""Modules of ``web/try_it`` in an order in which each finds above it what it imports."""

SHOWN = {
    "hero": ("Colour", "a white dog next to a yellow bus", "a black dog next to a yellow bus"),
    "pair": ("Binding", "a red car and a blue house", "a blue car and a red house"),
    "left": ("Side", "a fish left of a crab", "a fish right of a crab"),
    "place": ("Ground", "a camel on sand", "a camel on grass"),
    "absent": ("Thing", "a cat and a drum", "a cat and a guitar"),
    "count": ("Number", "three red balloons in the sky", "two red balloons in the sky"),
}
"""The examples that the page shows, by name: what differs, a true caption and a false one."""
STORED = ("mini-clip", 0.5, "good")
"""Encoder, p and accuracy of the stored explanations of those."""

HUB = {
    "base": "https://huggingface.co",
    "servers": "*.hf.co",
    "wait": 1000,
    "models": [
        {
            "name": "openai/clip-vit-base-patch32",
            "revision": "c237dc49a33fc61debc9276459120b7eac67e7ef",
            "bytes": 608_000_000,
        },
        {
            "name": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
            "revision": "1a25a446712ba5ee05982a381eed697ef9b435cf",
            "bytes": 608_000_000,
        },
        {
            "name": "google/siglip-base-patch16-224",
            "revision": "7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed",
            "bytes": 816_000_000,
        },
    ],
}
"""Where the page fetches models from once its reader has agreed: the hub's address, the servers that its large files
come from, milliseconds before a second try, and the models, each at a commit that holds ``model.safetensors`` and
``tokenizer.json``, with the bytes that the reader is told. The first one's commit is that which converts its weights:
its branch ``main`` has a PyTorch file only."""


def model_record(model: VisionLanguageModel) -> dict:
    """What the browser must know of a model, and its weights, as a JSON-able dictionary.

    Parameters
    ----------
    model : VisionLanguageModel
        CLIP or SigLIP with a word-level vocabulary, heads of a multiple of 32 numbers, one of the ``ACTIVATIONS`` and
        widths that are multiples of 16, as the embedded models have.

    Returns
    -------
    dict
        ``tensors`` lists (name, shape, first number) of the float16 numbers in ``weights`` (base64 of all their high
        bytes, then of all their low ones), under the names of transformers; ``vocabulary`` maps words to token ids.

    Raises
    ------
    ValueError
        If the model is of another kind, or float16 would change its weights.
    """
    config = model.network.config
    for side in (config.vision_config, config.text_config):
        if (
            side.hidden_size % (32 * side.num_attention_heads)
            or side.intermediate_size % 16
            or side.hidden_act not in ACTIVATIONS
        ):
            raise ValueError(
                f"{model.name!r} has {side.num_attention_heads} heads on {side.hidden_size} numbers, "
                f"{side.intermediate_size} hidden ones and {side.hidden_act!r}; the browser's kernels are for heads "
                f"of a multiple of 32 numbers, a multiple of 16 hidden ones and {', '.join(map(repr, ACTIVATIONS))}"
            )
    if model.vocabulary is None:
        raise ValueError(f"{model.name!r} spells words out of pieces; expected a word-level vocabulary")
    tensors, parts, start = [], [], 0
    weights = model.network.state_dict()
    for name, tensor in weights.items():
        if name in ("logit_scale", "logit_bias"):
            continue
        numbers = tensor.numpy()
        half = numbers.astype("<f2")
        if (half.astype(numbers.dtype) != numbers).any():
            raise ValueError(f"float16 would change {name} of {model.name!r}")
        tensors.append([name, list(numbers.shape), start])
        parts.append(half.ravel())
        start += numbers.size
    # all high bytes, then all low ones: signs and exponents by themselves compress better
    numbers = np.concatenate(parts).view(np.uint8).reshape(-1, 2)[:, ::-1].T
    vision, text = config.vision_config, config.text_config
    mean, std = model._normalisation()
    tokenizer = model.tokenizer
    frame = tokenizer("").input_ids  # the special tokens around every caption, EOS last
    known = tokenizer.get_vocab()
    return {
        "name": model.name,
        "family": model.family,
        "scale": model.scale,
        "bias": model.bias,
        "dimension": len(
            weights["text_projection.weight" if model.family == "clip" else "text_model.head.weight"]
        ),
        "context": model.context,
        "most_words": model.max_players,
        "vision": {
            **_tower(vision),
            "patches": model.n_patches,
            "patchSize": model.patch_size,
            "size": model.image_size,
            "mean": mean.tolist(),
            "std": std.tolist(),
        },
        "text": _tower(text),
        "before": frame[:-1],
        "after": frame[-1],
        "padding": tokenizer.pad_token_id if model.family != "clip" else None,
        "vocabulary": {word: known[word] for word in sorted(model.vocabulary) if "<" not in word},
        "tensors": tensors,
        "weights": base64.b64encode(numbers.tobytes()).decode(),
    }


def _tower(config: Any) -> dict:
    """What the encoder in the browser must know of a transformer; ``head`` and ``wide`` are numbers of one token."""
    return {
        "width": config.hidden_size,
        "wide": config.intermediate_size,
        "head": config.hidden_size // config.num_attention_heads,
        "layers": config.num_hidden_layers,
        "epsilon": config.layer_norm_eps,
        "activation": config.hidden_act,
    }


def joined(names: tuple[str, ...]) -> str:
    """Modules of ``web/try_it`` as one script: what they import from each other is simply above."""
    sources = [(web() / "try_it" / name).read_text(encoding="utf-8") for name in names]
    return re.sub(r"^export |^import [^;]*;\n", "", "\n".join(sources), flags=re.MULTILINE)


def tokenizers_script() -> str:
    """The tokenizers of others, as a classic script that sets ``fixlipTokenizers``."""
    source = (web() / "try_it/vendor/tokenizers/tokenizers.min.cjs").read_text(encoding="utf-8")
    return f"globalThis.fixlipTokenizers = ((module) => {{{source}\nreturn module.exports; }})({{}});\n"


def script() -> str:
    """All code of the page as one classic script."""
    kernels = {
        name: base64.b64encode((web() / "try_it" / file).read_bytes()).decode()
        for name, file in (("fma", "kernels.fma.wasm"), ("plain", "kernels.wasm"))
    }
    return (
        '"use strict";\n(() => {\n'
        f"const KERNELS = {json.dumps(kernels)};\n"
        f"const WORKER = {json.dumps(joined(WORKER))};\n{joined(PAGE)}\n}})();\n"
    )


def stored_explanations() -> dict[str, list[dict]]:
    """The explanations of :data:`SHOWN` as ``scripts/store_examples.py`` stored them: a true and a false one each.

    Raises
    ------
    ValueError
        If the captions have changed since.
    """
    stored = Path(__file__).parents[2] / "results" / "try_it_examples.json"
    records = json.loads(stored.read_text(encoding="utf-8"))["explanations"]
    captions = {name: [record["meta"]["caption"] for record in pair] for name, pair in records.items()}
    if captions != {name: list(shown[1:]) for name, shown in SHOWN.items()}:
        raise ValueError(f"{stored} explains other captions: run scripts/store_examples.py")
    return records


def example_records() -> list[dict]:
    """Name, title, caption, note and picture (data URI) of each example; label and captions of those that are shown."""

    def shown(name: str) -> dict:
        if name not in SHOWN:
            return {}
        label, true, false = SHOWN[name]
        return {"label": label, "captions": [{"text": true, "fits": True}, {"text": false, "fits": False}]}

    return [
        {
            "name": example.name,
            "title": example.title,
            "caption": example.caption,
            "note": example.note,
            "picture": data_uri(example.image),
            **shown(example.name),
        }
        for example in scenes.examples().values()
    ]


def drawings() -> dict:
    """One style's drawings (an atlas, lossless WebP), the colours, and each background's sheet, as data URIs."""
    atlas = io.BytesIO()
    scenes._atlas(scenes.STYLES[0]).save(atlas, "WEBP", lossless=True, quality=100)
    return {
        "nouns": scenes.NOUNS,
        "atlas": f"data:image/webp;base64,{base64.b64encode(atlas.getvalue()).decode()}",
        "columns": scenes._ATLAS_COLUMNS,
        "side": scenes.SPRITE,
        "colours": scenes.COLOURS,
        "backgrounds": {
            name: data_uri(Image.fromarray(scenes._texture(name)[:192, :192]))
            for name in (*scenes.BACKGROUNDS, scenes.PLAIN)
        },
    }


def published() -> dict:
    """The published explanation that ``fixlip verify`` compares with: what the page needs of it.

    ``picture`` is a data URI of the photograph as it is shipped, ``cross`` (n_image, n_text) and ``first`` (n_players,)
    are its numbers in logits, ``coalitions`` how many of each side the authors drew.
    """
    explanation = published_clip()[1]["FIxLIP"]
    asset = Path(__file__).parents[1] / "assets" / "dog_and_hydrant.jpg"
    n = explanation.n_image
    image, text = authors_split(PUBLISHED_BUDGET, n, explanation.n_text)
    return {
        "caption": explanation.meta["caption"],
        "tokens": explanation.players[n:],
        "p": explanation.p,
        "picture": f"data:image/jpeg;base64,{base64.b64encode(asset.read_bytes()).decode()}",
        "cross": explanation.cross_modal().tolist(),
        "first": explanation.first_order().tolist(),
        "coalitions": {"image": image, "text": text},
    }


def write(folder: Path) -> list[Path]:
    """Write all files of the page into a folder, which is made where it is missing; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    models = {name: model_record(load_model(name, "cpu")) for name in SOUND}
    weights = {name: {key: models[name].pop(key) for key in ("tensors", "weights")} for name in SOUND}
    files = {
        f"{name}.js": f'(globalThis.fixlipWeights ??= {{}})["{name}"] = {json.dumps(weights[name])};\n'
        for name in SOUND
    }
    for name in SOUND:
        models[name]["bytes"] = len(files[f"{name}.js"])
    model, p, accuracy = STORED
    facts = {
        "examples": example_records(),
        "stored": {"model": model, "p": p, "accuracy": accuracy, "records": stored_explanations()},
        "models": models,
        "hub": HUB,
        "photograph": {
            "mostColours": MOST_COLOURS_OF_A_DRAWING,
            "mostGreys": MOST_GREYS_OF_A_DRAWING,
            "greyLevels": GREY_LEVELS,
            "colouredShare": COLOURED_SHARE,
        },
    }
    files |= {
        "facts.js": f"globalThis.fixlipFacts = {json.dumps(facts)};\n",
        "scenes.js": f"globalThis.fixlipDrawings = {json.dumps(drawings())};\n",
        "try_it.js": script(),
        "tokenizers.js": tokenizers_script(),
        "published.js": f"globalThis.fixlipPublished = {json.dumps(published())};\n",
        "try_it.css": "".join(
            (web() / name).read_text(encoding="utf-8") for name in ("explorer.css", "try_it/try_it.css")
        ),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]


def main() -> None:
    write_anything()
    parser = argparse.ArgumentParser(description="Write the files that the page 'Try it' loads.")
    parser.add_argument("folder", type=Path)
    for path in write(parser.parse_args().folder):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
