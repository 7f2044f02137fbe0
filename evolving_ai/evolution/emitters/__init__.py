"""Emitters: strategies that propose candidates (ask) and learn from their results (tell)."""
