"""Operators: pure functions (parents, rng) -> child."""
