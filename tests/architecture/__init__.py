"""Tests of the shape of the source text: fast, by reading it; nothing of the program is imported."""
