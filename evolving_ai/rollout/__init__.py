"""Rollouts: whether a candidate may serve, how much of the traffic it gets, and when that is over. Pure, no I/O."""
