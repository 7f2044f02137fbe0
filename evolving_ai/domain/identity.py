"""Who acts, for whom, and what it may do."""

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Principal", "Role"]


class Role(IntEnum):
    """What a principal may do; each role may do what the lower ones may.

    A viewer uses models and reads; an operator also changes what runs (DNA, campaigns, rollouts); an administrator also
    manages keys, budgets and configuration.
    """

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts: a key of a tenant. `key_id` is public, the secret is not here."""

    key_id: str
    tenant: str
    role: Role
