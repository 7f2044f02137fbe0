"""Evaluators that need nothing but a genome."""
