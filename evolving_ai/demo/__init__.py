"""The demonstration: the whole loop on real data, within minutes."""
