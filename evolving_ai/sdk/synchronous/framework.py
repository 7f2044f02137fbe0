"""`SyncEvolutionFramework`: the platform from Python, synchronously."""

from types import TracebackType
from typing import Self

from evolving_ai.sdk.evolution_calls import evolutions_call, rollback_call, start_call, status_call, stop_call
from evolving_ai.sdk.options import ClientOptions
from evolving_ai.sdk.results import EvolutionStatus, LiveDna
from evolving_ai.sdk.synchronous.ai import Ai
from evolving_ai.sdk.synchronous.budgets import Budgets
from evolving_ai.sdk.synchronous.dna import Dna
from evolving_ai.sdk.synchronous.keys import Keys
from evolving_ai.sdk.synchronous.rollouts import Rollouts
from evolving_ai.sdk.synchronous.system import System
from evolving_ai.sdk.synchronous.transport import SyncTransport

__all__ = ["SyncEvolutionFramework"]


class SyncEvolutionFramework:
    """A client of one platform. Close it, or use it in a `with` block; nothing is sent before the first call.

    `api_key` is `$EVOLVING_AI_API_KEY` by default, `base_url` `$EVOLVING_AI_BASE_URL`, else http://127.0.0.1:8000;
    `region` restricts requests to targets there. A call waits `connect_timeout_s` for a connection and `timeout_s` for
    the answer or its next part, and is made again `max_retries` times where that cannot do harm (`sdk.retries`).
    Calls raise `sdk.errors.ApiError`; UsageError for arguments that cannot be.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        region: str | None = None,
        *,
        timeout_s: float = 600.0,
        connect_timeout_s: float = 5.0,
        max_retries: int = 2,
    ) -> None:
        options = ClientOptions.resolve(
            api_key,
            base_url,
            region,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            max_retries=max_retries,
        )
        self._transport = SyncTransport(options)
        self.ai = Ai(self._transport)
        self.system = System(self._transport)
        self.dna = Dna(self._transport)
        self.rollouts = Rollouts(self._transport)
        self.keys = Keys(self._transport)
        self.budgets = Budgets(self._transport)

    @property
    def base_url(self) -> str:
        """The address of the platform."""
        return self._transport.options.base_url

    def start_evolution(
        self,
        target_fitness: float | None = 0.95,
        max_iterations: int | None = 100,
        *,
        campaign: str | None = None,
        seed: int | None = None,
    ) -> str:
        """Start a campaign in the background, and return its id.

        It ends when a candidate's `fitness_score` (0 to 1) is `target_fitness`, or after `max_iterations`
        evaluations. `campaign` names a campaign file at the platform (None: evolve the live DNA on the outcomes that
        the platform serves from); the same `seed` finds the same.
        """
        return self._transport.send(start_call(target_fitness, max_iterations, campaign=campaign, seed=seed))

    def get_evolution_status(self, evolution_id: str) -> EvolutionStatus:
        """Where a campaign stands; cheap enough to ask every second."""
        return self._transport.send(status_call(evolution_id))

    def list_evolutions(self) -> tuple[EvolutionStatus, ...]:
        """All campaigns, the last to change first."""
        return self._transport.send(evolutions_call())

    def stop_evolution(self, evolution_id: str) -> EvolutionStatus:
        """Ask a campaign to end with its best so far; no change when it does not run."""
        return self._transport.send(stop_call(evolution_id))

    def rollback_evolution(self, evolution_id: str) -> LiveDna:
        """Make live again what was live before a campaign's winner; InvalidRequestError when that is not live."""
        return self._transport.send(rollback_call(evolution_id))

    def close(self) -> None:
        """Close every connection; the framework cannot be used any more."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
