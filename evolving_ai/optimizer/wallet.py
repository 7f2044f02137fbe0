"""The money of one scope on one replica: its lease, and how much of it there should be.

The rule kept here: `free` is what was granted less what was settled, returned and is reserved; nothing reserves from a
lease that has ended or may have ended on the other side.
"""

import asyncio
import math
from dataclasses import dataclass

from evolving_ai.optimizer.ports import LeaseGrant, LeaseRefusal

__all__ = ["LocalLease", "Wallet", "WalletSizes"]

_NEVER_S = -math.inf


@dataclass(frozen=True, slots=True)
class WalletSizes:
    """How much money a replica keeps at hand for a scope.

    It asks for more below `low_s` seconds of the recent rate of spend and `low_requests` of the largest reservations,
    fills up to twice that, and gives back what is more than four times that. A first lease is for `first_requests`.
    A wallet that nobody used for `idle_s` is emptied.
    """

    low_s: float = 60.0
    low_requests: int = 2
    first_requests: int = 16
    most_requests: int = 256
    rate_window_s: float = 30.0
    calm_s: float = 10.0
    idle_s: float = 600.0


class LocalLease:
    """A lease as its holder sees it. `amount` is all that was ever put into it; times are monotonic seconds."""

    __slots__ = ("amount", "ends_s", "free", "id", "is_open", "wallet", "window_ends_s")

    def __init__(self, lease_id: str, wallet: "Wallet") -> None:
        self.id = lease_id
        self.wallet = wallet
        self.amount = 0
        self.free = 0
        self.ends_s = _NEVER_S
        self.window_ends_s = math.inf
        self.is_open = True

    def take(self, grant: LeaseGrant, asked_s: float, skew_s: float) -> int:
        """Take a grant over that was asked for at `asked_s`; how much more there is in the lease than was known.

        Answers may come late and in any order: the amount only grows, and each end that was promised holds.
        """
        more = max(0, grant.amount_nano_usd - self.amount)
        self.amount += more
        if self.is_open:
            self.free += more
        if grant.window_left_s is not None:
            self.window_ends_s = asked_s + grant.window_left_s
        self.ends_s = max(self.ends_s, min(asked_s + grant.lasts_s - skew_s, self.window_ends_s))
        return more


class Wallet:
    """What a replica knows about the money of one scope."""

    __slots__ = (
        "_born_s",
        "_rate",
        "_sizes",
        "_updated_s",
        "asked_s",
        "asking",
        "boost",
        "largest",
        "lease",
        "refusal",
        "refused_s",
        "scope",
        "spent",
        "used_s",
        "vain_s",
    )

    def __init__(self, scope: str, sizes: WalletSizes, now_s: float) -> None:
        self.scope = scope
        self.lease: LocalLease | None = None
        self.asking: asyncio.Task[LeaseRefusal | Exception | None] | None = None
        self.refusal: LeaseRefusal | None = None
        self.refused_s = _NEVER_S
        self.asked_s = _NEVER_S
        self.vain_s = _NEVER_S
        self.used_s = now_s
        self.spent = 0
        self.largest = 0.0
        self.boost = sizes.first_requests
        self._sizes = sizes
        self._rate = 0.0
        self._born_s = now_s
        self._updated_s = now_s

    @property
    def free(self) -> int:
        """What can be reserved while the lease lasts, in nano-dollars."""
        return 0 if self.lease is None else self.lease.free

    def is_short(self, amount: int, now_s: float) -> bool:
        """Whether `amount` cannot be reserved now."""
        return self.lease is None or self.lease.free < amount or now_s >= self.lease.ends_s

    def wanted_for(self, amount: int, now_s: float) -> int:
        """How much to ask for when `amount` is short: more and more while that goes on happening."""
        self.largest = max(self.largest, amount)
        wanted = max(amount * self.boost, 2 * self._low())
        self.boost = min(2 * self.boost, self._sizes.most_requests)
        self.asked_s = now_s
        return max(0, wanted - self.free)

    def update(self, now_s: float) -> None:
        """Learn the rate of spend; call it every second or so."""
        elapsed_s = now_s - self._updated_s
        if elapsed_s <= 0:
            return
        # The first seconds weigh more, or a wallet would believe for half a minute that it is hardly used.
        weight = 1 - math.exp(-elapsed_s / self._sizes.rate_window_s)
        weight = max(weight, elapsed_s / max(elapsed_s, now_s - self._born_s))
        self._rate += weight * (self.spent / elapsed_s - self._rate)
        self.largest *= 0.5 ** (elapsed_s / self._sizes.idle_s)  # a rare large request is not waited for for ever
        if self.spent:
            self.used_s = now_s
        self.spent = 0
        self._updated_s = now_s
        if now_s - self.asked_s > self._sizes.calm_s:
            self.boost = self._sizes.first_requests

    def is_idle(self, now_s: float) -> bool:
        """Whether nobody has spent anything for long."""
        return now_s - max(self.used_s, self.asked_s) > self._sizes.idle_s

    def shortfall(self) -> int:
        """What to ask for before it is short; 0 while there is enough."""
        low = self._low()
        return 2 * low - self.free if self.free < low else 0

    def surplus(self, now_s: float) -> int:
        """What others can have back."""
        low = self._low()
        is_calm = now_s - self.asked_s > self._sizes.calm_s
        return self.free - 2 * low if is_calm and self.free > 4 * low else 0

    def _low(self) -> int:
        return math.ceil(self._rate * self._sizes.low_s + self.largest * self._sizes.low_requests)
