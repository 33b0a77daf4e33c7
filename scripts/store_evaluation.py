"""The stored evaluations that the chapters read, made anew: `python scripts/store_evaluation.py`.

    python scripts/store_evaluation.py [--work FOLDER] [--part NAME]...

Runs each command of COMMANDS (or only the parts that are named) and writes results/evaluation_NAME.parquet, its rows,
and .json: the command, the day, what was asked, how many picture passes each fit took, the summary, and "differences",
paired: to the best control and to the Banzhaf values, where they were asked. A finished input is kept under FOLDER
(default: _evaluations); the same call goes on where it was stopped. It takes hours of one core.
"""

from __future__ import annotations

import json
import os
import shlex
from datetime import UTC, datetime
from pathlib import Path

import click
import pandas

from fixlip_helpers.cli import fixlip
from fixlip_helpers.experiments.evaluation import CONTROLS, Request, differences, fit_passes, summary

ROOT = Path(__file__).resolve().parent.parent
MODELS = "--model mini-clip --model mini-siglip"


def methods(*names: str) -> str:
    return " ".join(f"--method {name}" for name in names)


COMMANDS = {
    "pairs": f"fixlip evaluate --data scenes:pairs:0:50 {MODELS} "
    + methods("fixlip-0.5", "banzhaf-0.5", "exclip", "game", "grad-eclip", "counts", "words")
    + " --metric faithfulness --metric aid --coalitions 512 --out pairs",
    "grids": f"fixlip evaluate --data scenes:grids:0:50 {MODELS} "
    + methods("fixlip-0.5", "banzhaf-0.5", "exclip", "game", "grad-eclip", "counts", "words")
    + " --metric pgr --out grids",
    # Every p from as many passes, judged at every p, beside the controls that are drawn.
    "sweep": "fixlip evaluate --data scenes:pairs:0:16 --model mini-clip "
    + methods(
        "fixlip-0.3", "fixlip-0.5", "fixlip-0.7", "banzhaf-0.5", "words", "counts", "shuffled", "random"
    )
    + " --metric faithfulness --metric blocks --coalitions 512 --image-coalitions 4096 --out sweep",
    # Maps in units of their own, within the patches and within the words; and the Shapley variant.
    "blocks": "fixlip evaluate --data scenes:pairs:0:50 --model mini-clip "
    + methods("game", "grad-eclip")
    + " --metric blocks --p 0.5 --coalitions 512 --out blocks",
    "si": f"fixlip evaluate --data scenes:pairs:0:20 {MODELS} "
    + methods("fixlip-si", "shapley")
    + " --metric faithfulness --coalitions 512 --si-budget 8192 --out si",
}


def tables_of(rows: pandas.DataFrame) -> dict[str, list[dict]]:
    """What the chapters read of the rows: ``summary``, and ``differences``.

    To the best control and to the Banzhaf values; where several p were fitted, to each of them.
    """
    there = list(dict.fromkeys(rows["method"]))
    fits = [(name,) for name in there if name.startswith("fixlip-0")]
    to = [CONTROLS, ("banzhaf-0.5",), *(fits if len(fits) > 1 else [])]
    paired = [differences(rows, names) for names in to if set(there) & set(names)]
    found = {"summary": summary(rows)} | ({"differences": pandas.concat(paired)} if paired else {})
    return {key: json.loads(table.round(6).to_json(orient="records")) for key, table in found.items()}


def store(name: str, command: str, folder: Path) -> None:
    """Keep a finished evaluation under results/."""
    asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    rows = pandas.read_parquet(folder / "rows.parquet")
    request = Request(**asked)
    record = {
        "command": command,
        "made": datetime.now(UTC).date().isoformat(),
        "request": asked,
        "passes": {model: fit_passes(request, model) for model in request.models},
    }
    out = ROOT / "results" / f"evaluation_{name}"
    rows.to_parquet(out.with_suffix(".parquet"), index=False, compression="zstd")
    out.with_suffix(".json").write_text(
        json.dumps(record | tables_of(rows), indent=1) + "\n", encoding="utf-8"
    )
    counts = rows.groupby("model")["input"].nunique().to_dict()
    print(f"{out.name}: {len(rows)} rows, inputs {counts}")


@click.command(help=__doc__)
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "_evaluations")
@click.option("--part", "parts", multiple=True, type=click.Choice(list(COMMANDS)))
def main(work: Path, parts: tuple[str, ...]) -> None:
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)
    for name in parts or COMMANDS:
        fixlip.main(shlex.split(COMMANDS[name])[1:], standalone_mode=False)
        store(name, COMMANDS[name], work / name)


if __name__ == "__main__":
    main()
