"""API keys: made, rotated, revoked in one place, and looked up in every replica.

A secret is `evai_<key id>_<43 characters>`, the characters being 256 random bits. It is shown once; what is stored is
its SHA-256, which is enough because so many random bits cannot be guessed, however fast the hash is.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from evolving_ai._common.clock import Clock
from evolving_ai._common.ids import new_id
from evolving_ai._common.secrets_source import new_secret
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.errors import CorruptionError, RequestError
from evolving_ai.security.admin_token import LOCAL_ADMIN, LOCAL_TENANT
from evolving_ai.stores.ports import KeyLimits, KeyRecord, KeyStore, KeyTable
from evolving_ai.stores.ports.keys import NO_LIMITS

__all__ = ["TENANT_FORM", "HashedKeyRing", "KeyService", "NewKey", "is_valid", "snapshot_limits"]

TENANT_FORM = "^[a-z0-9-]{1,40}$"
"""What the name of a tenant looks like, as a regular expression."""

_TENANT = re.compile(TENANT_FORM)
_MAX_NAME_CHARS = 100
_MAX_GRACE_S = 90 * 24 * 3600


class NewKey(NamedTuple):
    """A key with its secret, which nobody will see again."""

    record: KeyRecord
    secret: str


def is_valid(record: KeyRecord, now: datetime) -> bool:
    """Whether the key's newest secret opens anything."""
    return record.revoked is None and (record.expires is None or now < record.expires)


class KeyService:
    """The keys of an installation, the administrator's own among them. Threads may share it; one for each store.

    A change takes a `witness`: it is called with the record that is about to be stored, and what it raises stops the
    change. What is written of a change (in the audit log) is thus there before the change counts.
    """

    def __init__(self, store: KeyStore, clock: Clock, admin_secret: str) -> None:
        self._store = store
        self._clock = clock
        self._admin_hash = _hash(admin_secret).hex()
        self._turn = threading.RLock()
        self._table: KeyTable | None = None

    def create(
        self,
        name: str,
        tenant: str,
        role: Role,
        *,
        expires: datetime | None = None,
        limits: KeyLimits = NO_LIMITS,
        witness: Callable[[KeyRecord], None] | None = None,
    ) -> NewKey:
        """A new key; the only time that its secret is seen. RequestError `invalid_request` for what cannot be."""
        now = self._clock.now()
        _check(name, tenant, expires, limits, now)
        key_id = new_id("key")
        secret = _new_secret(key_id)
        record = KeyRecord(key_id, name, tenant, role, _hash(secret).hex(), now, expires, limits=limits)
        with self._turn:
            self._commit(record, witness)
        return NewKey(record, secret)

    def rotate(self, key_id: str, grace_s: float, *, witness: Callable[[KeyRecord], None] | None = None) -> NewKey:
        """A new secret for a key, valid at once; the one before stays valid for `grace_s` seconds.

        RequestError `not_found` for an unknown key; `conflict` for one that is no longer valid, or that was rotated so
        lately that the secret before the last one is still valid (with `grace_s` 0 all older ones end at once).
        """
        _check_grace(grace_s)
        with self._turn:
            record, now = self._changeable(key_id), self._clock.now()
            if not is_valid(record, now):
                raise RequestError("conflict", f"the key {key_id} is revoked or expired: create another one")
            is_in_grace = record.former_until is not None and now < record.former_until
            if is_in_grace and grace_s > 0:
                raise RequestError(
                    "conflict",
                    f"the key {key_id} was rotated a moment ago: its former secret is valid until "
                    f"{record.former_until:%Y-%m-%d %H:%M:%S} UTC",
                    hint="wait until then, or rotate without grace, which ends all older secrets",
                )
            secret = _new_secret(key_id)
            rotated = replace(
                record,
                secret_hash=_hash(secret).hex(),
                rotated=now,
                former_hash=record.secret_hash if grace_s > 0 else None,
                former_until=now + timedelta(seconds=grace_s) if grace_s > 0 else None,
            )
            self._commit(rotated, witness)
        return NewKey(rotated, secret)

    def revoke(self, key_id: str, *, witness: Callable[[KeyRecord], None] | None = None) -> KeyRecord:
        """End every secret of a key, for ever; once more is no change. RequestError `not_found` for an unknown key."""
        with self._turn:
            record = self._changeable(key_id)
            if record.revoked is not None:
                return record
            revoked = replace(record, revoked=self._clock.now(), former_hash=None, former_until=None)
            self._commit(revoked, witness)
        return revoked

    def get(self, key_id: str) -> KeyRecord:
        """A key. RequestError `not_found` when there is none of that id."""
        for record in self._loaded().records:
            if record.key_id == key_id:
                return record
        raise RequestError(
            "not_found", f"there is no key {key_id[:64]!r}", hint="`evolving-ai keys list` shows the keys there are"
        )

    def list_keys(self, tenant: str | None = None) -> tuple[KeyRecord, ...]:
        """The keys of a tenant (None: of all), oldest first, also those that are no longer valid."""
        wanted = [record for record in self._loaded().records if tenant in (None, record.tenant)]
        return tuple(sorted(wanted, key=lambda record: (record.created, record.key_id)))

    def snapshot(self) -> dict[str, Any]:
        """What replicas need, as JSON: `version`, which grows with every change, and `keys` that are not revoked.

        Each has `key_id`, `tenant`, `role` (a number), its limits, and `secrets`: pairs of a SHA-256 in hexadecimal
        and the time, in seconds since the epoch, until which it is valid (None: for ever). No secrets are in it.
        """
        table, now = self._loaded(), self._clock.now()
        keys = [_snapshot_of(record) for record in table.records if is_valid(record, now)]
        return {"version": table.revision, "keys": keys}

    def _changeable(self, key_id: str) -> KeyRecord:
        if key_id == LOCAL_ADMIN:
            raise RequestError(
                "conflict",
                f"the key {LOCAL_ADMIN} is the file admin.token",
                hint="to replace it, stop the platform, remove the file, and start again",
            )
        return self.get(key_id)

    def _loaded(self) -> KeyTable:
        """Every key, kept because this process is the only writer. Waits for a change only the first time."""
        if self._table is not None:
            return self._table
        with self._turn:
            table = self._store.load()
            admin = next((record for record in table.records if record.key_id == LOCAL_ADMIN), None)
            if admin is None or admin.secret_hash != self._admin_hash:
                table = self._with_admin()
            self._table = table
            return table

    def _with_admin(self) -> KeyTable:
        """The administrator's key as the file says: `admin.token` is new, or was replaced."""
        now = self._clock.now()
        self._store.commit([KeyRecord(LOCAL_ADMIN, "admin.token", LOCAL_TENANT, Role.ADMIN, self._admin_hash, now)])
        return self._store.load()

    def _commit(self, record: KeyRecord, witness: Callable[[KeyRecord], None] | None) -> None:
        self._loaded()
        if witness is not None:
            witness(record)
        self._store.commit([record])
        self._table = self._store.load()


class HashedKeyRing:
    """A `router.ports.KeyRing` out of a snapshot of `KeyService`, as of which it stays: another is put in its place.

    A secret is looked up by its hash. Nothing secret is compared byte by byte, so the time that a lookup takes says
    nothing about how much of a guess was right. A microsecond.
    """

    def __init__(self, snapshot: Mapping[str, Any], clock: Clock) -> None:
        self._clock = clock
        self._found: dict[bytes, tuple[Principal, float | None]] = {}
        try:
            for key in snapshot["keys"]:
                principal = Principal(key["key_id"], key["tenant"], Role(key["role"]))
                for digest, until_s in key["secrets"]:
                    self._found[bytes.fromhex(digest)] = (principal, until_s)
        except (KeyError, TypeError, ValueError) as exc:
            raise _damaged() from exc

    def principal(self, secret: str) -> Principal | None:
        found = self._found.get(_hash(secret))
        if found is None:
            return None
        principal, until_s = found
        if until_s is not None and self._clock.now().timestamp() >= until_s:
            return None
        return principal


def snapshot_limits(snapshot: Mapping[str, Any]) -> dict[str, KeyLimits]:
    """The limits in a snapshot of `KeyService`, by key; keys without limits are not in it."""
    try:
        limits = {
            str(key["key_id"]): KeyLimits(key["requests_per_minute"], key["max_concurrent"]) for key in snapshot["keys"]
        }
    except (KeyError, TypeError) as exc:
        raise _damaged() from exc
    return {key_id: limit for key_id, limit in limits.items() if limit != NO_LIMITS}


def _damaged() -> CorruptionError:
    return CorruptionError("the list of valid keys is damaged: are all deployments of one release?")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _new_secret(key_id: str) -> str:
    return f"evai_{key_id}_{new_secret()}"


def _check(name: str, tenant: str, expires: datetime | None, limits: KeyLimits, now: datetime) -> None:
    if not name or len(name) > _MAX_NAME_CHARS or not name.isprintable():
        text = f"the name of a key is 1 to {_MAX_NAME_CHARS} printable characters"
        raise RequestError("invalid_request", text, param="name")
    if not _TENANT.fullmatch(tenant):
        text = f"{tenant[:60]!r} is no name of a tenant: expected 1 to 40 of a-z, 0-9 and -"
        raise RequestError("invalid_request", text, param="tenant")
    if expires is not None and expires <= now:
        raise RequestError("invalid_request", "the key would be expired at once: expected a later time")
    for field in ("requests_per_minute", "max_concurrent"):
        limit = getattr(limits, field)
        if limit is not None and limit < 1:
            raise RequestError("invalid_request", f"{field} cannot be {limit}: expected 1 or more", param=field)


def _check_grace(grace_s: float) -> None:
    if not 0 <= grace_s <= _MAX_GRACE_S:
        raise RequestError(
            "invalid_request", f"a grace of {grace_s} s cannot be: expected 0 to {_MAX_GRACE_S}", param="grace_s"
        )


def _snapshot_of(record: KeyRecord) -> dict[str, Any]:
    ends = _seconds(record.expires)
    secrets: list[list[Any]] = [[record.secret_hash, ends]]
    if record.former_hash is not None and record.former_until is not None:
        until = record.former_until.timestamp()
        secrets.append([record.former_hash, until if ends is None else min(until, ends)])
    return {
        "key_id": record.key_id,
        "tenant": record.tenant,
        "role": int(record.role),
        "requests_per_minute": record.limits.requests_per_minute,
        "max_concurrent": record.limits.max_concurrent,
        "secrets": secrets,
    }


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
