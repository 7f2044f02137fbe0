"""`framework.keys`: who may use the platform. For administrators."""

from evolving_ai.sdk.access_calls import create_key_call, keys_call, revoke_key_call, rotate_key_call
from evolving_ai.sdk.results import Key, NewKey
from evolving_ai.sdk.synchronous.transport import SyncTransport

__all__ = ["Keys"]


class Keys:
    """Every call raises an ApiError when it fails; a change is known to all replicas within seconds."""

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    def create(
        self,
        tenant: str,
        *,
        role: str = "viewer",
        name: str = "unnamed",
        expires_in_days: float | None = None,
        requests_per_minute: int | None = None,
        max_concurrent: int | None = None,
    ) -> NewKey:
        """Make a key; its secret is in the result, and never shown again. `role`: viewer, operator or admin."""
        return self._transport.send(
            create_key_call(
                tenant,
                role=role,
                name=name,
                expires_in_days=expires_in_days,
                requests_per_minute=requests_per_minute,
                max_concurrent=max_concurrent,
            )
        )

    def list(self, *, tenant: str | None = None) -> tuple[Key, ...]:
        """Every key that this one may see, or those of one tenant; without secrets."""
        return self._transport.send(keys_call(tenant))

    def rotate(self, key_id: str, *, grace_s: float = 3600.0) -> NewKey:
        """Give a key another secret; the one before stays valid for `grace_s` seconds."""
        return self._transport.send(rotate_key_call(key_id, grace_s))

    def revoke(self, key_id: str) -> Key:
        """End a key at once and for ever; the same once more is no change."""
        return self._transport.send(revoke_key_call(key_id))
