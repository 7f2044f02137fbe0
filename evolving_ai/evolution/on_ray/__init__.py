"""Evaluation on Ray actors. The only place of this package that imports ray."""
