"""Six encoders of which some are faulty and some only look changed: the blind set of assignment V.

All are copies of ``mini-siglip`` with the same image tower. In three the text tower has a *fault*, a change of what it
answers:

* ``"nouns"``: two nouns have changed places, so that it takes each for the other;
* ``"colours"``: the same with two colours;
* ``"order"``: the position embeddings are zero, so that the order of words is lost (a bag of words).

In three nothing of this kind is the matter, though the weights of two of them differ: the hidden units of a layer have
changed places (the same function), or every number of a layer moved by a thousandth.
"""

from __future__ import annotations

import copy

import numpy as np

from fixlip_helpers import load_model
from fixlip_helpers.models import VisionLanguageModel

LETTERS = "ABCDEF"
#: The words that may have changed places.
NOUNS = ("dog", "cat", "horse", "owl", "fish", "bus", "car", "house", "apple", "pizza", "guitar", "robot")
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange")
FAULTS = ("nouns", "colours", "order")
HARMLESS = ("nothing", "units", "thousandth")


def _order(number: int) -> list[str]:
    return np.random.default_rng([number, 51]).permutation([*FAULTS, *HARMLESS]).tolist()


def truth(number: int) -> dict[str, str | None]:
    """What ails each encoder of a student: one of :data:`FAULTS`, or None."""
    return {
        letter: kind if kind in FAULTS else None for letter, kind in zip(LETTERS, _order(number), strict=True)
    }


def _change(model: VisionLanguageModel, kind: str, rng: np.random.Generator) -> None:
    """Change the text tower in place."""
    import torch

    text = model.network.text_model
    words = {"nouns": NOUNS, "colours": COLOURS}.get(kind)
    layer = text.encoder.layers[0].mlp
    with torch.no_grad():
        if words:
            table = text.embeddings.token_embedding.weight
            rows = [model.tokenizer.get_vocab()[word] for word in rng.choice(words, 2, replace=False)]
            table[rows] = table[rows[::-1]].clone()
        elif kind == "order":
            text.embeddings.position_embedding.weight.zero_()
        elif kind == "units":
            order = torch.from_numpy(rng.permutation(layer.fc1.out_features))
            layer.fc1.weight.copy_(layer.fc1.weight[order].clone())
            layer.fc1.bias.copy_(layer.fc1.bias[order].clone())
            layer.fc2.weight.copy_(layer.fc2.weight[:, order].clone())
        elif kind == "thousandth":
            layer.fc1.weight.mul_(
                1 + 0.001 * torch.from_numpy(rng.choice([-1.0, 1.0], layer.fc1.weight.shape)).float()
            )


def six_encoders(number: int) -> dict[str, VisionLanguageModel]:
    """A student's six encoders, by letter.

    Parameters
    ----------
    number : int
        The student's number.
    """
    sound = load_model("mini-siglip")
    encoders = {}
    for place, (letter, kind) in enumerate(zip(LETTERS, _order(number), strict=True)):
        network = copy.deepcopy(sound.network)
        encoders[letter] = VisionLanguageModel(
            network, sound.tokenizer, sound.image_processor, f"encoder {letter}"
        )
        _change(encoders[letter], kind, np.random.default_rng([number, 52, place]))
    return encoders
