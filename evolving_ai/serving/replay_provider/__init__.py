"""Replay providers: recorded outcomes, answered as if their models were there. For trying out, tests and benchmarks.

Run one with `python -m evolving_ai.serving.replay_provider`. Every answer says that it is no model's.
"""
