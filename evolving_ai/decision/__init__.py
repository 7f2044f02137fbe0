"""Deciding: which target should answer a request, learned from recorded outcomes. No Ray, no I/O at decision time."""
