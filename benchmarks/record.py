"""What a benchmark found, as a file: ``results/NAME.json`` with the command, the machine and the date."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "results"
recording = False  # whether results are kept


def machine() -> dict:
    """What times depend on, as far as it says nothing of whose machine it is."""
    return {
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
        "processor": platform.machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def store(name: str, facts: dict) -> None:
    """Write ``results/NAME.json``, if this run is to be recorded."""
    if recording:
        content = {"command": f"python -m benchmarks --record {name}", "machine": machine(), **facts}
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
