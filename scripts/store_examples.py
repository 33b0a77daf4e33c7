"""Store the explanations that the page "Try it" draws at once: `python scripts/store_examples.py`.

For each picture that the page shows, of a true caption and of a false one, what the page itself would compute with its
own settings, by the package. Writes results/try_it_examples.json; takes a minute or two on two cores.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from fixlip_helpers import VisionLanguageGame, load_model
from fixlip_helpers.explanation import Explanation
from fixlip_helpers.export import SHOWN, STORED
from fixlip_helpers.scenes import examples
from fixlip_helpers.sides import combine, fit_side

ROOT = Path(__file__).resolve().parent.parent
DIGITS = 4  # of a logit


def explained(name: str) -> list[Explanation]:
    """The explanations of an example's two captions, as web/try_it/worker.js computes them with the accuracy "good"."""
    model, p, _ = STORED
    _, *captions = SHOWN[name]
    encoder, picture = load_model(model, "cpu"), examples()[name].image
    image = fit_side(
        VisionLanguageGame(encoder, picture, captions[0], progress=False),
        "image",
        p,
        "orthogonal_array",
        4096,
    )
    texts = (VisionLanguageGame(encoder, picture, caption, progress=False) for caption in captions)
    return [combine(image, fit_side(game, "text", p, n_held_out=64)) for game in texts]


def rounded(explanation: Explanation) -> dict:
    record = explanation.to_dict()
    for key in ("main", "pairs"):
        record[key] = [round(value, DIGITS) for value in record[key]]
    record.pop("errors", None)
    record["meta"]["computed_by"] = "scripts/store_examples.py"
    return record


def main() -> None:
    record = {
        "command": "python scripts/store_examples.py",
        "date": date.today().isoformat(),
        "explanations": {name: [rounded(one) for one in explained(name)] for name in SHOWN},
    }
    path = ROOT / "results" / "try_it_examples.json"
    path.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
