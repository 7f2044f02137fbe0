"""API keys: which secrets open what, from when, until when."""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from evolving_ai._common.clock import ManualClock
from evolving_ai.domain.identity import Principal, Role
from evolving_ai.errors import CorruptionError, RequestError, StorageError
from evolving_ai.security.api_keys import HashedKeyRing, KeyService, NewKey, snapshot_limits
from evolving_ai.stores.inmemory.key_store import InMemoryKeyStore
from evolving_ai.stores.ports import KeyLimits, KeyRecord

ADMIN_SECRET = "evai_local-admin_" + "A" * 43
SECRET_FORM = re.compile(r"evai_(key-[0-9a-z]{10})_[A-Za-z0-9_-]{43}")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def service(clock: ManualClock) -> KeyService:
    return KeyService(InMemoryKeyStore(), clock, ADMIN_SECRET)


def opens(service: KeyService, clock: ManualClock, secret: str) -> Principal | None:
    """Through JSON, as a snapshot travels."""
    return HashedKeyRing(json.loads(json.dumps(service.snapshot())), clock).principal(secret)


def refusal(call: Callable[[], object]) -> tuple[str, str | None]:
    with pytest.raises(RequestError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return caught.value.code, caught.value.param


def test_a_new_key_opens_what_it_was_made_for(service: KeyService, clock: ManualClock) -> None:
    made = service.create("ci", "acme", Role.OPERATOR)

    form = SECRET_FORM.fullmatch(made.secret)
    assert form is not None
    assert form[1] == made.record.key_id
    assert opens(service, clock, made.secret) == Principal(made.record.key_id, "acme", Role.OPERATOR)


def test_nothing_that_is_kept_or_handed_on_contains_a_secret(service: KeyService) -> None:
    made = service.create("ci", "acme", Role.VIEWER)
    rotated = service.rotate(made.record.key_id, 60)

    kept = repr(service.list_keys()) + json.dumps(service.snapshot())

    for secret in (made.secret, rotated.secret, ADMIN_SECRET):
        assert secret[-43:] not in kept
        assert hashlib.sha256(secret.encode()).hexdigest() in kept


def test_secrets_that_are_nearly_right_open_nothing(service: KeyService, clock: ManualClock) -> None:
    made = service.create("ci", "acme", Role.VIEWER)
    ring = HashedKeyRing(service.snapshot(), clock)
    wrong = ["", " ", "evai_", made.secret[:-1], made.secret + "A", made.secret.upper(), f" {made.secret}"]
    wrong += [made.record.secret_hash, made.record.key_id, made.secret[-43:], "\ud800", "é" * 1000, "\0"]

    assert [secret for secret in wrong if ring.principal(secret) is not None] == []


def test_the_installations_own_administrator_is_always_among_the_keys(service: KeyService, clock: ManualClock) -> None:
    assert opens(service, clock, ADMIN_SECRET) == Principal("local-admin", "local", Role.ADMIN)
    assert refusal(lambda: service.revoke("local-admin")) == ("conflict", None)
    assert refusal(lambda: service.rotate("local-admin", 0)) == ("conflict", None)


def test_another_token_in_the_file_takes_the_place_of_the_one_before(clock: ManualClock) -> None:
    store = InMemoryKeyStore()
    before = KeyService(store, clock, ADMIN_SECRET).snapshot()
    other = "evai_local-admin_" + "B" * 43

    after = KeyService(store, clock, other)

    assert opens(after, clock, other) is not None
    assert opens(after, clock, ADMIN_SECRET) is None
    assert after.snapshot()["version"] > before["version"]
    assert KeyService(store, clock, other).snapshot() == after.snapshot()


def test_a_key_ends_when_it_expires(service: KeyService, clock: ManualClock) -> None:
    made = service.create("ci", "acme", Role.VIEWER, expires=clock.now() + timedelta(seconds=10))
    ring = HashedKeyRing(service.snapshot(), clock)

    clock.advance(9.5)
    assert ring.principal(made.secret) is not None
    clock.advance(0.5)
    assert ring.principal(made.secret) is None
    assert opens(service, clock, made.secret) is None


def test_a_rotated_key_keeps_its_id_and_its_former_secret_for_the_grace(
    service: KeyService, clock: ManualClock
) -> None:
    made = service.create("ci", "acme", Role.VIEWER, limits=KeyLimits(60, 2))
    rotated = service.rotate(made.record.key_id, 30)
    ring = HashedKeyRing(service.snapshot(), clock)

    assert rotated.record.key_id == made.record.key_id
    assert rotated.record.limits == made.record.limits
    assert (
        ring.principal(rotated.secret)
        == ring.principal(made.secret)
        == Principal(made.record.key_id, "acme", Role.VIEWER)
    )
    clock.advance(30)
    assert ring.principal(made.secret) is None
    assert ring.principal(rotated.secret) is not None


def test_rotation_without_grace_ends_all_older_secrets_at_once(service: KeyService, clock: ManualClock) -> None:
    first = service.create("ci", "acme", Role.VIEWER)
    second = service.rotate(first.record.key_id, 3600)
    third = service.rotate(first.record.key_id, 0)

    assert [opens(service, clock, made.secret) is not None for made in (first, second, third)] == [False, False, True]


def test_rotation_that_would_silently_end_a_secret_in_grace_is_refused(service: KeyService, clock: ManualClock) -> None:
    made = service.create("ci", "acme", Role.VIEWER)
    service.rotate(made.record.key_id, 60)

    assert refusal(lambda: service.rotate(made.record.key_id, 60))[0] == "conflict"
    clock.advance(60)
    service.rotate(made.record.key_id, 60)


def test_the_grace_does_not_outlive_the_key(service: KeyService, clock: ManualClock) -> None:
    made = service.create("ci", "acme", Role.VIEWER, expires=clock.now() + timedelta(seconds=10))
    service.rotate(made.record.key_id, 3600)
    ring = HashedKeyRing(service.snapshot(), clock)

    clock.advance(10)

    assert ring.principal(made.secret) is None


def test_revoking_ends_every_secret_for_ever(service: KeyService, clock: ManualClock) -> None:
    made = service.create("ci", "acme", Role.VIEWER)
    rotated = service.rotate(made.record.key_id, 3600)

    revoked = service.revoke(made.record.key_id)

    assert revoked.revoked == clock.now()
    assert opens(service, clock, made.secret) is None
    assert opens(service, clock, rotated.secret) is None
    assert refusal(lambda: service.rotate(made.record.key_id, 0))[0] == "conflict"
    version = service.snapshot()["version"]
    assert service.revoke(made.record.key_id) == revoked
    assert service.snapshot()["version"] == version


def test_every_administrator_may_be_revoked_because_the_file_remains(service: KeyService, clock: ManualClock) -> None:
    made = service.create("boss", "local", Role.ADMIN)

    service.revoke(made.record.key_id)

    assert opens(service, clock, ADMIN_SECRET) is not None


def test_unknown_keys_are_told(service: KeyService) -> None:
    for call in (lambda: service.rotate("key-x", 0), lambda: service.revoke("key-x"), lambda: service.get("key-x")):
        assert refusal(call)[0] == "not_found"


@pytest.mark.parametrize("tenant", ["", "Acme", "a" * 41, "a_b", "a b", "acme\n", "ä"])
def test_a_tenant_that_cannot_be_is_refused(service: KeyService, tenant: str) -> None:
    assert refusal(lambda: service.create("ci", tenant, Role.VIEWER)) == ("invalid_request", "tenant")


@pytest.mark.parametrize("name", ["", "a" * 101, "two\nlines", "\x1b[31m"])
def test_a_name_that_cannot_be_is_refused(service: KeyService, name: str) -> None:
    assert refusal(lambda: service.create(name, "acme", Role.VIEWER)) == ("invalid_request", "name")


def test_numbers_that_cannot_be_are_refused(service: KeyService, clock: ManualClock) -> None:
    made = service.create("ci", "acme", Role.VIEWER)
    for grace_s in (-1, float("nan"), float("inf")):
        assert refusal(lambda grace_s=grace_s: service.rotate(made.record.key_id, grace_s))[1] == "grace_s"
    for field in ("requests_per_minute", "max_concurrent"):
        limits = KeyLimits(**{field: 0})
        assert refusal(lambda limits=limits: service.create("ci", "acme", Role.VIEWER, limits=limits))[1] == field
    assert refusal(lambda: service.create("ci", "acme", Role.VIEWER, expires=clock.now()))[0] == "invalid_request"


def test_a_change_is_witnessed_before_it_counts(service: KeyService) -> None:
    seen: list[tuple[str, int]] = []

    def witness(record: KeyRecord) -> None:
        seen.append((record.key_id, service.snapshot()["version"]))

    before = service.snapshot()["version"]
    made = service.create("ci", "acme", Role.VIEWER, witness=witness)
    service.rotate(made.record.key_id, 0, witness=witness)
    service.revoke(made.record.key_id, witness=witness)

    assert seen == [(made.record.key_id, before), (made.record.key_id, before + 1), (made.record.key_id, before + 2)]


def test_a_change_whose_witness_fails_does_not_happen(service: KeyService, clock: ManualClock) -> None:
    made = service.create("ci", "acme", Role.VIEWER)
    before = service.snapshot()

    def witness(record: KeyRecord) -> None:
        raise StorageError("no disk space left")

    for change in (
        lambda: service.create("other", "acme", Role.VIEWER, witness=witness),
        lambda: service.rotate(made.record.key_id, 0, witness=witness),
        lambda: service.revoke(made.record.key_id, witness=witness),
    ):
        with pytest.raises(StorageError):
            change()

    assert service.snapshot() == before
    assert opens(service, clock, made.secret) is not None


def test_keys_are_listed_oldest_first_and_by_tenant(service: KeyService, clock: ManualClock) -> None:
    for name, tenant in (("first", "b"), ("second", "a"), ("third", "b")):
        service.create(name, tenant, Role.VIEWER)
        clock.advance(1)

    assert [record.name for record in service.list_keys() if record.key_id != "local-admin"] == [
        "first",
        "second",
        "third",
    ]
    assert [record.name for record in service.list_keys("b")] == ["first", "third"]
    assert service.list_keys("c") == ()


def test_limits_travel_with_the_snapshot(service: KeyService) -> None:
    limited = service.create("ci", "acme", Role.VIEWER, limits=KeyLimits(None, 3))
    service.create("free", "acme", Role.VIEWER)

    assert snapshot_limits(json.loads(json.dumps(service.snapshot()))) == {limited.record.key_id: KeyLimits(None, 3)}


@pytest.mark.parametrize(
    "snapshot", [{}, {"keys": None}, {"keys": [{}]}, {"keys": [{"key_id": "k", "tenant": "t", "role": 9}]}]
)
def test_a_damaged_snapshot_is_told(snapshot: dict[str, object], clock: ManualClock) -> None:
    with pytest.raises(CorruptionError, match="list of valid keys is damaged"):
        HashedKeyRing(snapshot, clock)


class KeysAgainstModel(RuleBasedStateMachine):
    """After any changes at any times, a secret opens its key exactly when the model says so."""

    keys = Bundle("keys")

    @initialize()
    def start(self) -> None:
        self.clock = ManualClock()
        self.service = KeyService(InMemoryKeyStore(), self.clock, ADMIN_SECRET)
        self.until: dict[str, float] = {}
        self.ends: dict[str, float] = {}
        self.newest: dict[str, str] = {}
        self.version = 0

    @rule(target=keys, lifetime_s=st.none() | st.integers(1, 50))
    def create(self, lifetime_s: int | None) -> str:
        expires = None if lifetime_s is None else self.clock.now() + timedelta(seconds=lifetime_s)
        made = self.service.create("k", "acme", Role.VIEWER, expires=expires)
        end = float("inf") if lifetime_s is None else self.clock.monotonic_s() + lifetime_s
        self.ends[made.record.key_id] = end
        self._issue(made, end)
        return made.record.key_id

    def _issue(self, made: NewKey, end: float) -> None:
        self.newest[made.record.key_id] = made.secret
        self.until[made.secret] = end

    @rule(key_id=keys, grace_s=st.sampled_from([0, 5, 20]))
    def rotate(self, key_id: str, grace_s: int) -> None:
        now_s = self.clock.monotonic_s()
        former = [secret for secret in self.until if key_id in secret and secret != self.newest[key_id]]
        is_in_grace = any(now_s < self.until[secret] for secret in former)
        if now_s >= self.ends[key_id] or (is_in_grace and grace_s > 0):
            assert refusal(lambda: self.service.rotate(key_id, grace_s))[0] == "conflict"
            return
        made = self.service.rotate(key_id, grace_s)
        for secret in [*former, self.newest[key_id]]:
            if secret == self.newest[key_id]:
                self.until[secret] = min(self.until[secret], now_s + grace_s)
            elif grace_s == 0:
                self.until[secret] = min(self.until[secret], now_s)
        self._issue(made, self.ends[key_id])

    @rule(key_id=consumes(keys))
    def revoke(self, key_id: str) -> None:
        self.service.revoke(key_id)
        for secret in self.until:
            if key_id in secret:
                self.until[secret] = 0.0

    @rule(seconds=st.integers(1, 15))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "service"):
            return
        snapshot = self.service.snapshot()
        ring = HashedKeyRing(snapshot, self.clock)
        for secret, until in self.until.items():
            assert (ring.principal(secret) is not None) == (self.clock.monotonic_s() < until)
        assert snapshot["version"] >= self.version
        self.version = snapshot["version"]


TestKeysAgainstModel = KeysAgainstModel.TestCase
TestKeysAgainstModel.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
