"""Run every benchmark, or those named, and say whether each keeps its promise; exit code 1 if one does not."""

import importlib
import os
import sys

BENCHMARKS = ("solver", "large", "default_call", "matrix", "penalty")

if unknown := [name for name in sys.argv[1:] if name not in BENCHMARKS]:
    sys.exit(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
print(f"{os.cpu_count()} cores, OMP_NUM_THREADS = {os.environ.get('OMP_NUM_THREADS', 'not set')}\n")
kept = {}
for name in sys.argv[1:] or BENCHMARKS:
    kept[name] = importlib.import_module(f"benchmarks.{name}").run()
    print()
for name, holds in kept.items():
    print(f"{name}: {'holds' if holds else 'DOES NOT HOLD'}")
sys.exit(not all(kept.values()))
