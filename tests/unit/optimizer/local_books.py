"""Books and replicas in one process: a lease source that calls the books, and can fail as a network does."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from evolving_ai.domain.identity import Principal, Role
from evolving_ai.errors import PlatformError
from evolving_ai.optimizer.budgets import BudgetBook
from evolving_ai.optimizer.ports import LeaseGrant, LeaseRefusal, LeaseRequest

__all__ = ["ANN", "BOB", "Fault", "LocalSource"]

ANN = Principal("ann", "acme", Role.VIEWER)
BOB = Principal("bob", "acme", Role.VIEWER)


class Fault(StrEnum):
    """What happens to the next calls."""

    NONE = "none"
    LOST_REQUEST = "lost request"
    LOST_ANSWER = "lost answer"
    TWICE = "twice"


class LocalSource:
    """A `LeaseSource` without a network. `asked` and `renewed` are what it was asked."""

    def __init__(self, books: BudgetBook, replica: str) -> None:
        self.books = books
        self.fault = Fault.NONE
        self.asked: list[LeaseRequest] = []
        self.renewed: list[tuple[str, ...]] = []
        self._replica = replica

    async def lease(self, request: LeaseRequest) -> LeaseGrant | LeaseRefusal:
        self.asked.append(request)
        self._lose_request()
        answer = self.books.lease(self._replica, request)
        if self.fault is Fault.TWICE:
            answer = self.books.lease(self._replica, request)
        self._lose_answer()
        return answer

    async def renew(self, leases: Sequence[str]) -> Mapping[str, LeaseGrant]:
        self.renewed.append(tuple(leases))
        self._lose_request()
        answer = self.books.renew(self._replica, leases)
        self._lose_answer()
        return answer

    def _lose_request(self) -> None:
        if self.fault is Fault.LOST_REQUEST:
            raise PlatformError("control did not get the request")

    def _lose_answer(self) -> None:
        if self.fault is Fault.LOST_ANSWER:
            raise PlatformError("control did not answer in time")
