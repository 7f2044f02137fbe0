"""Campaigns that run beside the platform: started as processes of their own, looked at, asked to stop.

The rule kept here: a campaign's ledger belongs to the process that runs it. This one starts that process and reads;
whatever it knows of a campaign is in files, so that a platform that was started again knows as much. It blocks
while it reads: call it in a thread. Nothing that runs is ended when the caller ends.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evolving_ai._common.clock import Clock
from evolving_ai._common.ids import new_id
from evolving_ai.errors import CampaignError, EvolvingAIError, RefNotFoundError, RequestError, StorageError, UsageError
from evolving_ai.evolution.folder import CampaignFolder, campaign_folders
from evolving_ai.wiring.campaign_file import RoutingCampaignFile
from evolving_ai.wiring.campaign_process import CampaignProcess, Launch, launch_campaign
from evolving_ai.wiring.campaign_request import CampaignRequest, requested_campaign, requested_path, write_requested
from evolving_ai.wiring.campaign_status import CampaignStatus, log_error, log_path, read_status, unreadable_status
from evolving_ai.wiring.campaign_winner import open_winners
from evolving_ai.wiring.campaigns import campaigns_path, open_ledger, runner_of

__all__ = ["Beginning", "CampaignJobs"]

_POLL_S = 0.05
_START_S = 170.0
"""How long a process may take until its ledger is there: it imports, and reads its table, perhaps beside many others.
Less than the gateway waits for control's answer."""
_MOST = 20
_WRONG_USE = 2


class Beginning(NamedTuple):
    """A campaign whose process has been started; it has until `give_up_s` (monotonic) to make its ledger."""

    id: str
    process: CampaignProcess
    give_up_s: float


class CampaignJobs:
    """The campaigns of one home. Threads may share it.

    `limit` bounds how many campaigns of the home run at once, those from the command line included; `library` is
    where named campaign files lie (default: `experiments/campaigns`).
    """

    def __init__(
        self,
        home: Path,
        clock: Clock,
        launch: Launch = launch_campaign,
        *,
        limit: int = _MOST,
        library: Path | None = None,
    ) -> None:
        self._home = home
        self._clock = clock
        self._launch = launch
        self._limit = limit
        self._library = library
        self._turn = threading.Lock()
        self._processes: dict[str, CampaignProcess] = {}

    def start(self, request: CampaignRequest) -> CampaignStatus:
        """Start a campaign and wait until it has begun; errors as from `launch` and `begun`."""
        beginning = self.launch(request)
        while (status := self.begun(beginning)) is None:
            beginning.process.wait(_POLL_S)
        return status

    def launch(self, request: CampaignRequest) -> Beginning:
        """Start a campaign's process. RequestError `conflict` when too many run."""
        campaign = requested_campaign(request, self._library)
        campaign_id = new_id(campaign.name)
        process = self._launch_one(campaign_id, campaign)
        return Beginning(campaign_id, process, self._clock.monotonic_s() + _START_S)

    def begun(self, beginning: Beginning) -> CampaignStatus | None:
        """Its status once it has a ledger, so that it can be looked at, stopped and resumed; None: not so far.

        Looks without waiting. When the process ended before it had a ledger, its own error: UsageError for what
        cannot be asked for, CampaignError for everything else, also when it took too long and was ended.
        """
        try:
            has_begun = self._has_begun(beginning)
        except EvolvingAIError:
            requested_path(self._home, beginning.id).unlink(missing_ok=True)
            raise
        return self.status(beginning.id) if has_begun else None

    def _has_begun(self, beginning: Beginning) -> bool:
        code = beginning.process.wait(0)  # first: one that made its ledger and ended since has begun
        if self._has_ledger(beginning.id):
            return True
        if code is not None:
            raise self._failure(beginning.id, code)
        if self._clock.monotonic_s() > beginning.give_up_s:
            beginning.process.kill()
            log = log_path(self._home, beginning.id)
            raise CampaignError(f"the campaign did not begin within {_START_S:g} s, and was ended: see {log}")
        return False

    def _launch_one(self, campaign_id: str, campaign: RoutingCampaignFile) -> CampaignProcess:
        with self._turn:  # counted and started in one go, or two at once would both be the last that may
            running = self._running()
            if len(running) >= self._limit:
                raise RequestError(
                    "conflict",
                    f"{len(running)} campaigns run already, and at most {self._limit} may at once",
                    hint="wait until one ends, or stop one: POST /api/v1/evolution/stop/ID",
                )
            file = write_requested(self._home, campaign_id, campaign)
            arguments = ["evolve", str(file), "--home", str(self._home), "--id", campaign_id]
            process = self._launch(arguments, log_path(self._home, campaign_id))
            self._processes[campaign_id] = process
            return process

    def _running(self) -> set[str]:
        """Campaigns at work: those started here that have not ended, and any whose ledger is held."""
        self._processes = {name: each for name, each in self._processes.items() if each.wait(0) is None}
        held = {folder.id for folder in self._folders() if runner_of(folder) is not None}
        return held | self._processes.keys()

    def _has_ledger(self, campaign_id: str) -> bool:
        try:
            with open_ledger(CampaignFolder(campaigns_path(self._home), campaign_id)):
                return True
        except (RefNotFoundError, StorageError):  # it is being made
            return False

    def _failure(self, campaign_id: str, code: int) -> EvolvingAIError:
        log = log_path(self._home, campaign_id)
        reason = log_error(log)
        if reason is None:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            return CampaignError(f"the campaign's process {how} before it began: see {log}")
        return UsageError(reason) if code == _WRONG_USE else CampaignError(reason)

    def status(self, campaign_id: str) -> CampaignStatus:
        """Where a campaign stands; UsageError for what is no id, RefNotFoundError when there is no such campaign."""
        folder = self._folder(campaign_id)
        self.reap()
        with open_winners(self._home) as winners:
            return read_status(self._home, folder, winners)

    def list(self) -> Sequence[CampaignStatus]:
        """Every campaign of the home, the last to change first; a damaged one tells what is wrong with it."""
        self.reap()
        found = []
        with open_winners(self._home) as winners:
            for folder in self._folders():
                try:
                    found.append(read_status(self._home, folder, winners))
                except EvolvingAIError as exc:
                    if folder.id in self._processes:  # its ledger is being made
                        continue
                    found.append(unreadable_status(folder.id, str(exc)))
        return sorted(found, key=lambda status: status.updated or "", reverse=True)

    def stop(self, campaign_id: str) -> CampaignStatus:
        """Ask a campaign to end; it commits its best so far, and can be resumed. No change when it does not run."""
        folder = self._folder(campaign_id)
        if runner_of(folder) is not None:
            folder.request_stop()
        return self.status(campaign_id)

    def has_led_to(self, campaign_id: str, commit: str) -> bool:
        """Whether `commit` is the winner of a campaign, or made from it. RefNotFoundError for an unknown campaign."""
        self._folder(campaign_id)
        with open_winners(self._home) as winners:
            return campaign_id in winners.origins(commit)

    def check_origin(self, campaign_id: str, commit: str) -> None:
        """RequestError `conflict` unless `commit` is the winner of the campaign, or was made from it."""
        self._folder(campaign_id)
        with open_winners(self._home) as winners:
            won = winners.improvement(campaign_id)
            if won is None:
                raise RequestError(
                    "conflict",
                    f"campaign {campaign_id} has committed nothing new: no live DNA can have come from it",
                    hint="POST /api/v1/dna/rollback restores the DNA that was live before",
                )
            origins = winners.origins(commit)
        if campaign_id not in origins:
            others = f"it came from campaign {', '.join(sorted(origins))}" if origins else "it came from no campaign"
            raise RequestError(
                "conflict",
                f"the live DNA {commit[:12]} did not come from campaign {campaign_id}: {others}",
                hint="POST /api/v1/dna/rollback restores the DNA that was live before",
            )

    def _folder(self, campaign_id: str) -> CampaignFolder:
        folder = CampaignFolder(campaigns_path(self._home), campaign_id)
        if not folder.ledger_path.is_file():
            raise RefNotFoundError(f"there is no campaign {campaign_id}")
        return folder

    def _folders(self) -> tuple[CampaignFolder, ...]:
        return campaign_folders(campaigns_path(self._home))

    def reap(self) -> None:
        """Let go of processes that have ended."""
        with self._turn:
            self._processes = {name: each for name, each in self._processes.items() if each.wait(0) is None}
