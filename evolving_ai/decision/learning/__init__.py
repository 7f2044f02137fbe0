"""Learning online: from the outcome of each choice to the next one."""

from evolving_ai.decision.learning.stream_learner import Choice, StreamLearner

__all__ = ["Choice", "StreamLearner"]
