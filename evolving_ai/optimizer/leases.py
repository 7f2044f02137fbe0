"""Money at hand on a replica: reservations out of leases that were taken ahead, without a word to anybody.

The rules kept here: a request gets money of all its scopes or of none; what is settled, returned, reserved and free of
a lease is never more than what was granted; a reservation ends exactly once, and one that its owner forgets is spent in
full; what a lease is not used for any more is given back. With the books out of reach a replica lives on what it
holds, which is meant to last a minute, and then refuses.

Implements `router.ports.Purse`. Not done here: batches on their way (`serving`), the books (`optimizer.budgets`).
One event loop, no threads.
"""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, NoReturn

from evolving_ai._common.clock import Clock
from evolving_ai.domain.identity import Principal
from evolving_ai.domain.money import format_usd
from evolving_ai.errors import EvolvingAIError, RequestError
from evolving_ai.optimizer.ports import (
    LeaseGrant,
    LeaseRefusal,
    LeaseRequest,
    LeaseSource,
    LeaseUse,
    Refusal,
    SettlementBatch,
)
from evolving_ai.optimizer.wallet import LocalLease, Wallet, WalletSizes
from evolving_ai.stores.ports.spend import SpendLine

__all__ = ["LeaseBook", "LeaseOptions"]

_FORGOTTEN = "unsettled"
"""The target in the roll-up of a reservation that nobody settled."""
_MAX_ROUNDS = 64


@dataclass(frozen=True, slots=True)
class LeaseOptions:
    """Durations in seconds.

    `skew_s`: how long before its end a lease is no longer used. `reservation_s`: how long a reservation waits for its
    owner. `renew_below_s`: a lease with less than that is renewed. `refused_s`: how long a refusal is believed.
    """

    skew_s: float = 5.0
    reservation_s: float = 900.0
    renew_below_s: float = 60.0
    refused_s: float = 1.0
    sizes: WalletSizes = field(default_factory=WalletSizes)


class _Reservation(NamedTuple):
    amount: int
    deadline_s: float
    leases: tuple[LocalLease, ...]
    tenant: str
    key_id: str


class LeaseBook:
    """The purse of one replica. `replica` is a name that no other process ever had: batches are told apart by it.

    Call `maintain` every second, and hand over what `drain` gives. `overruns` counts settlements above their
    reservation, `forgotten` reservations that were spent in full because nobody settled them.
    """

    def __init__(
        self, source: LeaseSource, clock: Clock, *, replica: str, options: LeaseOptions = LeaseOptions()
    ) -> None:
        self.overruns = 0
        self.forgotten = 0
        self._source = source
        self._clock = clock
        self._replica = replica
        self._options = options
        self._limits: frozenset[str] | None = None
        self._wallets: dict[str, Wallet] = {}
        self._wallets_of: dict[tuple[str, str], tuple[Wallet, ...]] = {}
        self._reservations: dict[int, _Reservation] = {}
        self._last_reservation = 0
        self._last_lease = 0
        self._lines: dict[tuple[str, str, str, str], list[int]] = {}
        self._settled: dict[LocalLease, int] = {}
        self._returned: dict[LocalLease, int] = {}
        self._sequence = 0
        self._batch: SettlementBatch | None = None
        self._day = ""
        self._day_ends_s = -math.inf

    # --- The request path ---------------------------------------------------------------------------------------------

    def update_limits(self, scopes: frozenset[str]) -> None:
        """Learn which scopes (`key:<key id>`, `tenant:<tenant>`) have a budget. Until then, nobody is served."""
        if scopes == self._limits:
            return
        self._limits = scopes
        self._wallets_of.clear()
        for scope in self._wallets.keys() - scopes:
            self._retire(self._wallets.pop(scope))

    def try_reserve(self, principal: Principal, amount_nano_usd: int) -> int | None:
        """A reservation out of what is at hand, at once; 0 when nobody limits this principal; None when short."""
        wallets = self._wallets_of.get((principal.key_id, principal.tenant))
        if wallets is None:
            wallets = self._known_wallets(principal)
            if wallets is None:
                return None
        if not wallets:
            return 0
        now_s = self._clock.monotonic_s()
        leases = []
        for wallet in wallets:
            lease = wallet.lease
            if lease is None or lease.free < amount_nano_usd or now_s >= lease.ends_s:
                return None
            leases.append(lease)
        if amount_nano_usd < 0:
            raise ValueError(f"a reservation of {amount_nano_usd} nano-dollars cannot be: expected 0 or more")
        for lease in leases:
            lease.free -= amount_nano_usd
        self._last_reservation = number = self._last_reservation + 1
        deadline_s = now_s + self._options.reservation_s
        self._reservations[number] = _Reservation(
            amount_nano_usd, deadline_s, tuple(leases), principal.tenant, principal.key_id
        )
        return number

    async def reserve(self, principal: Principal, amount_nano_usd: int) -> int:
        """The same, waiting for a lease. RequestError `budget_exceeded` or `budget_unavailable`."""
        for _ in range(_MAX_ROUNDS):
            reservation = self.try_reserve(principal, amount_nano_usd)
            if reservation is not None:
                return reservation
            wallets = self._known_wallets(principal)
            if wallets is None:
                break
            # One at a time: while one is filled, another may cease to be a limit.
            now_s = self._clock.monotonic_s()
            short = next((wallet for wallet in wallets if wallet.is_short(amount_nano_usd, now_s)), None)
            if short is not None:
                await self._fill(short, amount_nano_usd)
        raise _unavailable()

    def settle(self, reservation: int, principal: Principal, target: str, amount_nano_usd: int) -> None:
        """End a reservation (0 too) with what the attempt really cost; 0 gives all of it back.

        One that has already ended stays as it ended. ValueError for a negative amount.
        """
        if amount_nano_usd < 0:
            raise ValueError(f"a cost of {amount_nano_usd} nano-dollars cannot be: expected 0 or more")
        if reservation:
            held = self._reservations.pop(reservation, None)
            if held is None:
                return
            self._end(held, amount_nano_usd)
        self._add_line(principal.tenant, principal.key_id, target, amount_nano_usd)

    # --- Handing over -------------------------------------------------------------------------------------------------

    def drain(self) -> SettlementBatch | None:
        """The batch that is not acknowledged yet, unchanged, or a new one of all that came up since; None: nothing."""
        if self._batch is None and (self._lines or self._settled or self._returned):
            self._sequence += 1
            lines = tuple(SpendLine(*columns, *sums) for columns, sums in self._lines.items())
            self._batch = SettlementBatch(self._sequence, lines, self._uses())
            self._lines, self._settled, self._returned = {}, {}, {}
        return self._batch

    def acknowledge(self, sequence: int) -> None:
        """The batch of that number is in the books; any other number is no change."""
        if self._batch is not None and self._batch.sequence == sequence:
            self._batch = None

    def return_all(self) -> None:
        """Give everything back that is not reserved: the last thing before the last batch, or after being idle."""
        self._wallets_of.clear()
        for wallet in self._wallets.values():
            self._retire(wallet)
        self._wallets.clear()

    async def close(self) -> None:
        """Wait for leases that were asked for, then `return_all`."""
        while asking := [wallet.asking for wallet in self._wallets.values() if wallet.asking is not None]:
            await asyncio.wait(asking)
        self.return_all()

    # --- Once a second ------------------------------------------------------------------------------------------------

    async def maintain(self) -> None:
        """End forgotten reservations, give back what is too much, renew leases, ask for more before it is short.

        What the source raises passes (PlatformError when the books cannot be reached); the next call goes on.
        """
        now_s = self._clock.monotonic_s()
        self._sweep(now_s)
        for wallet in list(self._wallets.values()):
            self._tidy(wallet, now_s)
        await self._renew(now_s)
        for wallet in list(self._wallets.values()):
            shortfall = wallet.shortfall()
            is_in_vain = now_s - wallet.vain_s < self._options.sizes.calm_s
            if wallet.asking is None and wallet.lease is not None and shortfall > 0 and not is_in_vain:
                outcome = await asyncio.shield(self._start_asking(wallet, shortfall, 0))
                if isinstance(outcome, Exception):
                    raise outcome

    def _sweep(self, now_s: float) -> None:
        """Spend in full what nobody settled in time. Reservations are in the order of their deadlines."""
        overdue = []
        for number, held in self._reservations.items():
            if held.deadline_s > now_s:
                break
            overdue.append(number)
        for number in overdue:
            held = self._reservations.pop(number)
            self._end(held, held.amount)
            self._add_line(held.tenant, held.key_id, _FORGOTTEN, held.amount)
            self.forgotten += 1

    def _tidy(self, wallet: Wallet, now_s: float) -> None:
        wallet.update(now_s)
        lease = wallet.lease
        if lease is None or wallet.asking is not None:
            return
        if wallet.is_idle(now_s) or now_s >= lease.window_ends_s:
            self._retire(wallet)
            return
        surplus = wallet.surplus(now_s)
        if surplus > 0:
            lease.free -= surplus
            self._give_back(lease, surplus)

    async def _renew(self, now_s: float) -> None:
        soon_s = now_s + self._options.renew_below_s
        leases = {wallet.lease.id: wallet.lease for wallet in self._wallets.values() if wallet.lease is not None}
        due = {name: lease for name, lease in leases.items() if lease.amount and lease.ends_s < soon_s}
        if not due:
            return
        grants = await self._source.renew(tuple(due))
        for name, lease in due.items():
            grant = grants.get(name)
            if grant is not None:
                self._take(lease, grant, now_s)
            elif lease.wallet.lease is lease:
                self._retire(lease.wallet)

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _known_wallets(self, principal: Principal) -> tuple[Wallet, ...] | None:
        """The wallets that this principal pays from; None while it is not known who is limited."""
        if self._limits is None:
            return None
        scopes = (f"key:{principal.key_id}", f"tenant:{principal.tenant}")
        wallets = tuple(self._wallet(scope) for scope in scopes if scope in self._limits)
        self._wallets_of[principal.key_id, principal.tenant] = wallets
        return wallets

    def _wallet(self, scope: str) -> Wallet:
        wallet = self._wallets.get(scope)
        if wallet is None:
            wallet = self._wallets[scope] = Wallet(scope, self._options.sizes, self._clock.monotonic_s())
        return wallet

    async def _fill(self, wallet: Wallet, amount: int) -> None:
        """Get more into the wallet. RequestError when that cannot be enough for `amount`."""
        self._refuse_again(wallet, amount)
        task = wallet.asking
        if task is None:
            now_s = self._clock.monotonic_s()
            if wallet.lease is not None and now_s >= wallet.lease.window_ends_s:
                self._retire(wallet)
            task = self._start_asking(wallet, wallet.wanted_for(amount, now_s), max(0, amount - wallet.free))
        # Shielded: a caller who goes away must not take an answer with him that the others wait for.
        outcome = await asyncio.shield(task)
        if isinstance(outcome, Exception):
            raise _unavailable() from outcome
        self._refuse_again(wallet, amount)

    def _refuse_again(self, wallet: Wallet, amount: int) -> None:
        """Raise while a refusal is fresh that leaves less than `amount`."""
        refusal, now_s = wallet.refusal, self._clock.monotonic_s()
        if refusal is None or now_s - wallet.refused_s >= self._options.refused_s:
            return
        if wallet.is_short(amount, now_s) and refusal.remaining_nano_usd + wallet.free < amount:
            self._refuse(wallet, refusal, amount)

    def _refuse(self, wallet: Wallet, refusal: LeaseRefusal, amount: int) -> NoReturn:
        kind, _, name = wallet.scope.partition(":")
        left_s = refusal.window_left_s
        end = None if left_s is None else self._clock.now() + timedelta(seconds=left_s)
        until = "in all" if end is None else f"until {end:%Y-%m-%d %H:%M:%S} UTC"
        remaining = refusal.remaining_nano_usd + max(0, wallet.free)
        is_reserved = any(lease.wallet is wallet for held in self._reservations.values() for lease in held.leases)
        raise RequestError(
            "budget_exceeded",
            f"the budget of {kind} {name} is used up: {format_usd(remaining)} of {format_usd(refusal.cap_nano_usd)} "
            f"USD remain {until}, and this attempt may cost {format_usd(amount)}",
            hint="lower max_tokens, wait for the window to end, or ask an administrator for a larger budget",
            # What others have reserved in full is mostly given back when their answers are there.
            retry_after_s=1.0 if is_reserved else left_s,
        )

    def _start_asking(
        self, wallet: Wallet, wanted: int, minimum: int
    ) -> "asyncio.Task[LeaseRefusal | Exception | None]":
        lease = wallet.lease or self._new_lease(wallet)
        request = LeaseRequest(lease.id, wallet.scope, wanted, minimum, lease.amount)
        wallet.asking = asyncio.get_running_loop().create_task(self._ask(wallet, lease, request))
        return wallet.asking

    async def _ask(self, wallet: Wallet, lease: LocalLease, request: LeaseRequest) -> LeaseRefusal | Exception | None:
        """Ask for more money; what went wrong is the result, because nobody may be waiting any more."""
        asked_s = self._clock.monotonic_s()
        try:
            answer = await self._source.lease(request)
        except EvolvingAIError as exc:  # not there, or its disk is full: the next one who asks may be luckier
            return exc
        finally:
            wallet.asking = None
        wallet.refusal = None
        if isinstance(answer, LeaseGrant):
            if not self._take(lease, answer, asked_s):
                wallet.vain_s = asked_s
            return None
        if answer.reason is Refusal.EXHAUSTED:
            wallet.refusal, wallet.refused_s = answer, self._clock.monotonic_s()
        elif answer.reason is Refusal.NO_BUDGET:
            self.update_limits((self._limits or frozenset()) - {wallet.scope})
        elif wallet.lease is lease:
            self._retire(wallet)
        return answer

    def _new_lease(self, wallet: Wallet) -> LocalLease:
        self._last_lease += 1
        wallet.lease = LocalLease(f"{self._replica}.{self._last_lease}", wallet)
        return wallet.lease

    def _take(self, lease: LocalLease, grant: LeaseGrant, asked_s: float) -> int:
        more = lease.take(grant, asked_s, self._options.skew_s)
        if not lease.is_open:
            self._give_back(lease, more)
        return more

    def _retire(self, wallet: Wallet) -> None:
        """Use the wallet's lease no more; reservations out of it still settle against it."""
        lease, wallet.lease = wallet.lease, None
        if lease is not None:
            lease.is_open = False
            self._give_back(lease, max(0, lease.free))
            lease.free = 0

    def _give_back(self, lease: LocalLease, amount: int) -> None:
        if amount > 0:
            self._returned[lease] = self._returned.get(lease, 0) + amount

    def _end(self, held: _Reservation, amount: int) -> None:
        rest = held.amount - amount
        if rest < 0:
            self.overruns += 1
        for lease in held.leases:
            lease.wallet.spent += amount
            self._settled[lease] = self._settled.get(lease, 0) + amount
            if held.amount > lease.wallet.largest:
                lease.wallet.largest = held.amount
            if lease.is_open:
                lease.free += rest
            elif rest > 0:
                self._give_back(lease, rest)

    def _add_line(self, tenant: str, key_id: str, target: str, amount: int) -> None:
        if self._clock.monotonic_s() >= self._day_ends_s:
            self._turn_page()
        sums = self._lines.get((self._day, tenant, key_id, target))
        if sums is None:
            self._lines[self._day, tenant, key_id, target] = [1, amount]
        else:
            sums[0] += 1
            sums[1] += amount

    def _turn_page(self) -> None:
        now = self._clock.now()
        self._day = f"{now:%Y-%m-%d}"
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        # Asked again every minute, in case the wall clock is set.
        self._day_ends_s = self._clock.monotonic_s() + min(60.0, (midnight - now).total_seconds())

    def _uses(self) -> tuple[LeaseUse, ...]:
        return tuple(
            LeaseUse(lease.id, lease.wallet.scope, self._settled.get(lease, 0), self._returned.get(lease, 0))
            for lease in self._used_leases()
        )

    def _used_leases(self) -> Iterator[LocalLease]:
        yield from self._settled
        yield from (lease for lease in self._returned if lease not in self._settled)


def _unavailable() -> RequestError:
    return RequestError(
        "budget_unavailable",
        "the budget of this key cannot be asked for now, and what was leased ahead is used up",
        hint="try again in a moment",
        retry_after_s=1.0,
    )
