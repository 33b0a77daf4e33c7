"""Keep a finished `fixlip evaluate` under results/: the rows as Parquet, the summary as JSON for the chapters.

    python scripts/store_evaluation.py FOLDER NAME "COMMAND"

FOLDER is the --out of the evaluation, COMMAND what made it. Writes results/evaluation_NAME.parquet and .json, whose
"differences" are paired: to the best control and to the Banzhaf values, where they were asked.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas

from fixlip_helpers.experiments import CONTROLS, differences, summary

ROOT = Path(__file__).resolve().parent.parent


def tables_of(rows: pandas.DataFrame) -> dict[str, list[dict]]:
    """What the chapters read of the rows: ``summary``, and ``differences`` to the best control and to Banzhaf."""
    methods = set(rows["method"])
    paired = [differences(rows, to) for to in (CONTROLS, ("banzhaf-0.5",)) if methods & set(to)]
    found = {"summary": summary(rows)} | ({"differences": pandas.concat(paired)} if paired else {})
    return {key: json.loads(table.round(6).to_json(orient="records")) for key, table in found.items()}


def main(folder: str, name: str, command: str) -> None:
    request = json.loads((Path(folder) / "request.json").read_text(encoding="utf-8"))
    rows = pandas.read_parquet(Path(folder) / "rows.parquet")
    record = {"command": command, "request": request} | tables_of(rows)
    out = ROOT / "results" / f"evaluation_{name}"
    rows.to_parquet(out.with_suffix(".parquet"), index=False, compression="zstd")
    out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    counts = rows.groupby("model")["input"].nunique().to_dict()
    print(f"{out.name}: {len(rows)} rows, inputs {counts}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
