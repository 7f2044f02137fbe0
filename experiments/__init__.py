"""Experiments: campaigns, their data, and benchmarks. Part of the source tree, not of the installed package."""
