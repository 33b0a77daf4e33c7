"""Make the running game of Part I: mini-clip's logits on three regions and three words of the hero scene."""

import json
from pathlib import Path

import numpy as np

from fixlip_helpers import VisionLanguageGame, load_model
from fixlip_helpers.coalitions import all_coalitions
from fixlip_helpers.scenes import GRID, examples

OUT = Path(__file__).resolve().parent.parent / "results" / "part_one_game.json"
CAPTION = "black dog bus"


def part_one_values() -> np.ndarray:
    """Values of all 64 coalitions, not yet rounded; the regions are the dog, the bus and the background."""
    hero = examples()["hero"]
    regions = np.full(GRID, 2)
    for number, thing in enumerate(hero.scene.objects):
        regions[hero.scene.patches(thing.noun).reshape(GRID)] = number
    game = VisionLanguageGame(load_model("mini-clip"), hero.image, CAPTION, image_players=regions)
    return game(all_coalitions(game.n_players))


if __name__ == "__main__":
    stored = {
        "command": "python scripts/part_one_game.py",
        "model": "mini-clip",
        "example": "hero",
        "caption": CAPTION,
        "players": ["dog region", "bus region", "background", *CAPTION.split()],
        "values": np.round(part_one_values(), 2).tolist(),
    }
    OUT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    print(OUT)
