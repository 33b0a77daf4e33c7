"""Run every benchmark and say whether each keeps its promise; exit code 1 if one does not."""

import os
import sys

from benchmarks import default_call, large, matrix, solver

print(f"{os.cpu_count()} cores, OMP_NUM_THREADS = {os.environ.get('OMP_NUM_THREADS', 'not set')}\n")
kept = {"solver": solver.run()}
print()
kept["large games"] = large.run()
print()
kept["default call"] = default_call.run()
print()
kept["all pairs"] = matrix.run()
print()
for name, holds in kept.items():
    print(f"{name}: {'holds' if holds else 'DOES NOT HOLD'}")
sys.exit(not all(kept.values()))
