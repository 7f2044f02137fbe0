"""Secrets: chance that nobody can guess."""

import secrets

__all__ = ["SECRET_CHARS", "new_secret"]

SECRET_CHARS = 43
_SECRET_BYTES = 32


def new_secret() -> str:
    """256 random bits of the operating system, as 43 characters of base64url without padding."""
    return secrets.token_urlsafe(_SECRET_BYTES)
