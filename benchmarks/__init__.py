"""What `make bench` runs: ``python -m benchmarks`` from the top of the repository."""
