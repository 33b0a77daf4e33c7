"""Keep a finished `fixlip evaluate` under results/: the rows as Parquet, the summary as JSON for the chapters.

    python scripts/store_evaluation.py FOLDER NAME "COMMAND"

FOLDER is the --out of the evaluation, COMMAND what made it. Writes results/evaluation_NAME.parquet and .json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas

from fixlip_helpers.experiments import summary

ROOT = Path(__file__).resolve().parent.parent


def main(folder: str, name: str, command: str) -> None:
    request = json.loads((Path(folder) / "request.json").read_text(encoding="utf-8"))
    rows = pandas.read_parquet(Path(folder) / "rows.parquet")
    table = summary(rows).round(6)
    record = {
        "command": command,
        "request": request,
        "summary": json.loads(table.to_json(orient="records")),
    }
    out = ROOT / "results" / f"evaluation_{name}"
    rows.to_parquet(out.with_suffix(".parquet"), index=False, compression="zstd")
    out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    counts = rows.groupby("model")["input"].nunique().to_dict()
    print(f"{out.name}: {len(rows)} rows, inputs {counts}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
