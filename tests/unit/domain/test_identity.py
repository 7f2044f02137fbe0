"""Who acts: each role may do what the lower ones may."""

import dataclasses

import pytest

from evolving_ai.domain.identity import Principal, Role


def test_roles_are_ordered() -> None:
    assert Role.VIEWER < Role.OPERATOR < Role.ADMIN
    assert sorted(Role) == [Role.VIEWER, Role.OPERATOR, Role.ADMIN]


def test_a_principal_cannot_be_changed_and_stands_for_itself() -> None:
    principal = Principal("key-1", "tenant-1", Role.VIEWER)

    with pytest.raises(dataclasses.FrozenInstanceError):
        principal.role = Role.ADMIN  # type: ignore[misc]
    assert principal == Principal("key-1", "tenant-1", Role.VIEWER)
    assert {principal: 1}[Principal("key-1", "tenant-1", Role.VIEWER)] == 1
