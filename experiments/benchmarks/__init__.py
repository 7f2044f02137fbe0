"""Benchmarks: a folder each, whose `benchmark.py` has `run(folder, *, is_full, note) -> Outcome`."""
