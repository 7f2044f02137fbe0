"""Evolving: ask/tell population search with a ledger. Knows nothing of what a genome means."""
