"""Run all of `fixlip reproduce --as-released` once, on random weights and real photographs, and store that it ran.

    python scripts/rehearse.py            minutes on two cores; writes results/rehearsal.json and results/rehearsal.md

What lacks for the paper's tables are trained weights and its data sets. Everything else is here: a CLIP of 4 x 4
patches with random weights in a folder as the hub has them, class folders with ImageNet's numbers and a folder with
captions as COCO has them, filled with the ImageNet photographs that shapiq brings. The numbers mean nothing, and are
not stored.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from datetime import date
from importlib.util import find_spec
from pathlib import Path

from click.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import stand_ins  # noqa: E402

from fixlip_helpers.cli import fixlip  # noqa: E402
from fixlip_helpers.datasets import _IMAGENET, _IMAGENET_RELEASED  # noqa: E402

OUT = ROOT / "results"
BUDGET = 2**11  # values for each explanation, in place of 2^17 to 2^21
PHOTOGRAPHS = 1  # of each class; 4 pictures with captions


def photographs() -> list[Path]:
    """Those that shapiq brings, in the order of their names."""
    found = find_spec("shapiq_games").submodule_search_locations[0]
    return sorted(Path(found, "benchmark", "imagenet_examples").glob("*.[jJ][pP]*[gG]"))


def model_folder(folder: Path) -> Path:
    """A CLIP with random weights, as a folder of the hub."""
    stand_ins.clip_network(vocab_size=49408, max_position_embeddings=77, eos_token_id=2).save_pretrained(
        folder
    )
    stand_ins.clip_tokenizer().save_pretrained(folder)
    stand_ins.clip_processor().save_pretrained(folder)
    return folder


def data_folders(folder: Path) -> tuple[Path, Path]:
    """Class folders for the pointing game, and pictures with captions."""
    pictures, numbers = photographs(), {**_IMAGENET, **_IMAGENET_RELEASED}
    classes, coco = folder / "val", folder / "coco"
    for k, number in enumerate(sorted(set(numbers.values()))):
        (classes / number).mkdir(parents=True)
        for one in range(PHOTOGRAPHS):
            shutil.copy(pictures[(PHOTOGRAPHS * k + one) % len(pictures)], classes / number)
    (coco / "val2017").mkdir(parents=True)
    for one in pictures[:4]:
        shutil.copy(one, coco / "val2017")
    images = [{"id": k, "file_name": one.name} for k, one in enumerate(pictures[:4])]
    captions = ("black dog next to a yellow dog", "a yellow dog")
    notes = [{"image_id": k, "caption": text} for k in range(4) for text in captions]
    (coco / "captions_val2017.json").write_text(json.dumps({"images": images, "annotations": notes}))
    return classes, coco


def rehearse(folder: Path) -> list[dict]:
    """Each experiment as released, and what came of it."""
    model, (classes, coco) = model_folder(folder / "random-clip"), data_folders(folder)
    rows = []
    for what, data in (("figure3", coco), ("figure4", coco), ("table1", classes)):
        began = time.perf_counter()
        command = [
            "reproduce",
            what,
            "--as-released",
            "--data",
            str(data),
            "--model",
            str(model),
            "--device",
            "cpu",
        ]
        result = CliRunner().invoke(fixlip, [*command, "--budget", str(BUDGET), "--out", str(folder / what)])
        if result.exit_code:
            raise SystemExit(f"{what}: exit code {result.exit_code}\n{result.output}")
        import pandas

        found = pandas.read_parquet(folder / what / "rows.parquet")
        rows.append({
            "experiment": what, "inputs": int(found["input"].nunique()), "methods": int(found["method"].nunique()),
            "metrics": sorted(found["metric"].unique()), "rows": len(found),
            "undefined": int(found["value"].isna().sum()), "seconds": round(time.perf_counter() - began),
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def as_table(found: dict) -> str:
    """The table of the page on reproduction."""
    lines = [
        "| experiment | inputs | methods | metrics | rows, of them undefined | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for one in found["rows"]:
        rows = f"{one['rows']:,}".replace(",", "\u00a0") + f", {one['undefined']}"
        metrics = ", ".join(one["metrics"])
        lines.append(
            f"| {one['experiment']} | {one['inputs']} | {one['methods']} | {metrics} | {rows} | {one['seconds']} |"
        )
    said = f"Run on {found['date']}, {found['budget']} values for each explanation, by `{found['command']}`."
    return "\n".join(lines) + f"\n\n{said}\n"


def main() -> None:
    """Rehearse, and write both files."""
    with tempfile.TemporaryDirectory() as folder:
        rows = rehearse(Path(folder))
    found = {
        "command": "python scripts/rehearse.py",
        "date": str(date.today()),
        "budget": BUDGET,
        "rows": rows,
    }
    (OUT / "rehearsal.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (OUT / "rehearsal.md").write_text(as_table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
