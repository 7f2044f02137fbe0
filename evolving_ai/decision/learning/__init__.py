"""Learning online: from the outcome of each choice to the next one, and from live outcomes to the next snapshot."""

from evolving_ai.decision.learning.lesson import Lesson, lesson_of
from evolving_ai.decision.learning.live_learner import LearnerSettings, LiveLearner
from evolving_ai.decision.learning.stream_learner import Choice, StreamLearner

__all__ = ["Choice", "LearnerSettings", "Lesson", "LiveLearner", "StreamLearner", "lesson_of"]
