"""What the audit log tells of."""

from enum import StrEnum

__all__ = ["AuditKind"]


class AuditKind(StrEnum):
    """A kind of change. A kind that stands in some log keeps its name for ever."""

    KEY_CREATED = "key_created"
    KEY_ROTATED = "key_rotated"
    KEY_REVOKED = "key_revoked"
    DNA_PROMOTED = "dna_promoted"
    DNA_ROLLED_BACK = "dna_rolled_back"
    ROLLOUT_STARTED = "rollout_started"
    ROLLOUT_MOVED = "rollout_moved"
    CONFIG_CHANGED = "config_changed"
    BUDGET_CHANGED = "budget_changed"
    PLATFORM_STARTED = "platform_started"
    PLATFORM_STOPPED = "platform_stopped"
