"""Identifiers for what has no content to be named by: campaigns, mutations."""

import secrets

__all__ = ["new_id"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


def new_id(prefix: str) -> str:
    """`prefix`, a hyphen and ten characters (50 bits) that nobody can guess."""
    return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(10))
