"""Evaluators of the tests: small problems with known answers, and one that misbehaves on purpose."""
