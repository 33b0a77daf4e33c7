"""What a benchmark found, as a file: ``results/NAME.json`` with the command, the machine and the date."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "results"


def machine() -> dict:
    """What times depend on, as far as it says nothing of whose machine it is."""
    return {
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
        "processor": platform.machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def store(name: str, facts: dict, command: str | None = None) -> Path:
    """Write ``results/NAME.json``; returns the path."""
    path = RESULTS / f"{name}.json"
    command = command or f"python -m benchmarks {name}"
    content = {"command": command, "machine": machine(), **facts}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
