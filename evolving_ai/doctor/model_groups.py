"""The models of the doctor's own platform: groups that do not share targets, so that a fault in one is not felt in
another. A model is called like its provider; replay providers answer for all of them.
"""

from dataclasses import dataclass

__all__ = ["FAILING", "GROUPS", "LIMITED", "STALLING", "STEADY", "STORMY", "ModelGroup"]


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """An alias over models that can stand in for each other. `timeout_s` is how long an attempt may take."""

    alias: str
    models: tuple[str, ...]
    timeout_s: float = 30.0

    def model_of(self, target: str) -> str:
        """The model of a target's name."""
        return target.rpartition("/")[2]


STEADY = ModelGroup("steady", ("steady-a", "steady-b"))
FAILING = ModelGroup("failing", ("failing-a", "failing-b"))
STALLING = ModelGroup("stalling", ("stalling-a", "stalling-b"), timeout_s=2.0)
LIMITED = ModelGroup("limited", ("limited-a", "limited-b"))
STORMY = ModelGroup("stormy", ("stormy-a", "stormy-b", "stormy-c"), timeout_s=1.5)
GROUPS = (STEADY, FAILING, STALLING, LIMITED, STORMY)
