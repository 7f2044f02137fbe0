"""What calls return: the platform's answers, checked and typed.

A result is read tolerantly: fields that this release does not know stay reachable as attributes, and what an older
platform may not send has a default; a field of the wrong type is refused. They are the client's own models, not the
server's: a client must read answers of other releases, and must not load the server to do so.
Money is in dollars as an exact Decimal; times are seconds, or ISO 8601 where they are text.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Arm",
    "Assignment",
    "Attempt",
    "Budget",
    "Candidate",
    "ChatResult",
    "CompletionResult",
    "Config",
    "Cost",
    "CostLine",
    "Decision",
    "EvolutionStatus",
    "Exchange",
    "Feedback",
    "Gate",
    "GuardRail",
    "Health",
    "Key",
    "LiveDna",
    "LiveVersion",
    "Metrics",
    "NewKey",
    "Provider",
    "Rollout",
    "Route",
    "Target",
    "Transition",
    "Usage",
    "Version",
    "text_of",
]

_GOING_ON = frozenset({"created", "running"})
_ROLLING_OUT = frozenset({"gating", "awaiting_approval", "canary"})


class _Result(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)


# --- Answers of models ------------------------------------------------------------------------------------------------


class Usage(_Result):
    """Tokens, as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


class _Answer(_Result):
    """`decision_id` is the key of feedback and of explain; `dna` and `snapshot` are the first 12 digits of hashes.

    `target` is `provider/model`; `attempts` counts the calls to targets that it took; `cost_usd` is None where it is
    not known (a stream of a platform that does not tell it).
    """

    decision_id: str = Field(validation_alias="id")
    model: str
    target: str
    finish_reason: str | None = None
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    attempts: int = 1
    dna: str = ""
    snapshot: str = ""
    raw: dict[str, Any] = Field(default_factory=dict, repr=False, description="The answer's JSON as it came.")


class ChatResult(_Answer):
    """The answer of a conversation. `message` is OpenAI's, so it can be appended to the messages of the next call."""

    message: dict[str, Any]

    @property
    def text(self) -> str:
        """What was said, without tool calls; empty when nothing was."""
        return text_of(self.message.get("content"))


class CompletionResult(_Answer):
    """The answer to a prompt."""

    text: str


# --- Decisions --------------------------------------------------------------------------------------------------------


class Candidate(_Result):
    """A model as the policy saw it. `score` None: it was not allowed; the chosen one has a propensity above 0."""

    model: str
    quality: float
    cost_usd: float
    score: float | None = None
    targets: list[str] = Field(default_factory=list)
    propensity: float = 0.0
    is_chosen: bool = False


class Route(_Result):
    """A decision that nothing was done about; `relaxed` names the demands that no model met."""

    chosen: str
    candidates: list[Candidate]
    relaxed: list[str] = Field(default_factory=list)
    dna: str = ""
    snapshot: str = ""


class Attempt(_Result):
    """One call to one target; `result` is `ok` or what went wrong."""

    target: str
    result: str
    status: int | None = None
    first_byte_s: float | None = None
    latency_s: float
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)


class Feedback(_Result):
    """The feedback that stands about a decision: `score` is 0 (useless) to 1 (perfect)."""

    decision_id: str
    score: float
    comment: str | None = None


class Assignment(_Result):
    """The arm of a rollout that a request was in; `share` is the probability with which it was the canary."""

    rollout: str
    is_canary: bool
    share: float


class Decision(_Result):
    """A decision explained: what was known, what was chosen, with which propensity, and what came of it."""

    decision_id: str
    requested_model: str
    dna_hash: str
    snapshot_hash: str
    candidates: list[Candidate]
    propensity: float
    relaxed: list[str] = Field(default_factory=list)
    attempts: list[Attempt] = Field(default_factory=list)
    target: str | None = None
    status: int
    error_code: str | None = None
    finish_reason: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    first_byte_s: float | None = None
    latency_s: float
    overhead_s: float = 0.0
    time_s: float
    score: float | None = None
    tags: list[str] = Field(default_factory=list)
    content: str | None = None
    assignment: Assignment | None = None
    feedback: Feedback | None = None

    @property
    def chosen(self) -> Candidate | None:
        """The chosen candidate; None when the platform marks none."""
        return next((candidate for candidate in self.candidates if candidate.is_chosen), None)


class Target(_Result):
    """A model at a provider, with its price in dollars for a million tokens and the state of its breaker."""

    name: str
    model: str
    input_usd_per_million: float | None = None
    output_usd_per_million: float | None = None
    breaker: str = "closed"


class Provider(_Result):
    """A provider; `is_ready`: its key, if it needs one, is there. Kind `replay`: its answers are recorded ones."""

    name: str
    kind: str
    region: str | None = None
    is_ready: bool
    targets: list[Target] = Field(default_factory=list)


# --- Evolution and DNA ------------------------------------------------------------------------------------------------


class EvolutionStatus(_Result):
    """A campaign now.

    `fitness_score` is the best utility so far over the oracle's, 0 to 1 (None before the first result); `best` maps
    each objective to its best score so far; `winner` is the commit of the winner once there is one. `state` is
    `created`, `running`, or how it ended: a target fitness that was not reached is `budget_exhausted`, no failure.
    """

    id: str
    state: str
    reason: str = ""
    fitness_score: float | None = None
    target_fitness: float | None = None
    iterations: int = 0
    max_iterations: int = 0
    best: dict[str, float] = Field(default_factory=dict)
    winner: str | None = None
    winner_dna_hash: str | None = None
    elapsed_s: float = 0.0
    updated: str | None = None
    is_stop_requested: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state not in _GOING_ON


class LiveVersion(_Result):
    """DNA that is or was live; `generation` counts exchanges."""

    generation: int
    commit: str
    dna_hash: str
    snapshot_hash: str
    since: str
    actor: str = ""
    reason: str = ""


class LiveDna(LiveVersion):
    """The live DNA with its genes."""

    genes: dict[str, Any] = Field(default_factory=dict)


# --- Rollouts ---------------------------------------------------------------------------------------------------------


class Version(_Result):
    """A DNA that takes part in a rollout."""

    commit: str
    dna_hash: str


class Gate(_Result):
    """What a gate said about the candidate before any request saw it; one that did not pass vetoes."""

    name: str
    passed: bool
    detail: str = ""
    figures: dict[str, Any] = Field(default_factory=dict)


class Arm(_Result):
    """How many observations a guard rail has of an arm, and their mean in its unit (None: no observation)."""

    count: int = 0
    mean: float | None = None


class GuardRail(_Result):
    """What the requests of both arms say so far. `difference` is canary less control, where positive means worse.

    `margin` is how much worse the candidate may be. `harm` and `proof` are e-values: the evidence that it is worse
    than that, and that it is not; each decides when it reaches its threshold.
    """

    rail: str
    unit: str = ""
    canary: Arm = Arm()
    control: Arm = Arm()
    difference: float | None = None
    margin: float | None = None
    proof_margin: float | None = None
    harm: float
    harm_threshold: float
    proof: float
    proof_threshold: float
    is_breached: bool = False
    is_proven: bool = False


class Transition(_Result):
    """A step of a rollout: where it went, with which share of the requests, by whom, why, and on what evidence."""

    at: str
    state: str
    share: float | None = None
    actor: str = ""
    reason: str = ""
    evidence: dict[str, Any] = Field(default_factory=dict)


class Exchange(_Result):
    """How fast a rollback was: from the verdict until every replica was told."""

    breach_at: str
    told_at: str
    seconds: float


class Rollout(_Result):
    """A DNA on its way to be live.

    `state` is `gating`, `awaiting_approval`, `canary`, or how it ended: `promoted`, `rolled_back`, `refused` by a gate,
    or `stopped`; `reason` is why it stands there. `stage` counts the plan's stages from 0; `share` is that of the
    requests which the candidate decides now (None outside the canary), `requests` counts those of each arm, `history`
    holds a few hundred moments of the evidence. `exchange` is None unless it was rolled back.
    """

    id: str
    state: str
    reason: str = ""
    actor: str = ""
    started: str
    ended: str | None = None
    candidate: Version
    incumbent: Version
    plan: dict[str, Any] = Field(default_factory=dict)
    stage: int | None = None
    share: float | None = None
    requests: dict[str, int] = Field(default_factory=dict)
    gates: list[Gate] = Field(default_factory=list)
    rails: list[GuardRail] = Field(default_factory=list)
    history: list[dict[str, Any]] = Field(default_factory=list, repr=False)
    transitions: list[Transition] = Field(default_factory=list)
    exchange: Exchange | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state not in _ROLLING_OUT

    @property
    def is_promoted(self) -> bool:
        """Whether it made its candidate live."""
        return self.state == "promoted"


# --- The installation -------------------------------------------------------------------------------------------------


class Health(_Result):
    """`status` is `ok`, `degraded` (control is not there: traffic goes on) or `starting` (nothing is live yet)."""

    status: str
    version: str
    replica: str = ""
    live: dict[str, Any] | None = None
    control: bool = False


class Metrics(_Result):
    """Counts over all replicas, of each replica, and of what is stored."""

    totals: dict[str, float] = Field(default_factory=dict)
    replicas: list[dict[str, Any]] = Field(default_factory=list)
    outcomes: dict[str, int] = Field(default_factory=dict)
    generation: int = 0


class Config(_Result):
    """The configuration in force; `version` grows with every change."""

    version: int
    aliases: dict[str, list[str]] = Field(default_factory=dict)
    targets: list[str] = Field(default_factory=list)


class Key(_Result):
    """A key, without its secret. `role` is `viewer`, `operator` or `admin`.

    `former_until`: until then the secret before the last rotation is valid. Times are aware, in UTC.
    """

    id: str
    name: str = ""
    tenant: str
    role: str
    is_valid: bool = True
    created: datetime | None = None
    expires: datetime | None = None
    revoked: datetime | None = None
    rotated: datetime | None = None
    former_until: datetime | None = None
    requests_per_minute: int | None = None
    max_concurrent: int | None = None


class NewKey(Key):
    """A key with its secret, which is shown this once."""

    secret: str = Field(repr=False)


class Budget(_Result):
    """What a key (`key:ID`) or a tenant (`tenant:NAME`) may spend in a window, and what is spent of it now.

    Leased is what replicas hold ready; forfeited is what a replica that vanished may have spent.
    """

    scope: str
    cap_usd: Decimal
    window: str
    window_start: datetime | None = None
    window_end: datetime | None = None
    settled_usd: Decimal | None = None
    leased_usd: Decimal | None = None
    forfeited_usd: Decimal | None = None
    remaining_usd: Decimal | None = None


class CostLine(_Result):
    """A sum of spend; a column that was not asked for is empty. `day` is a UTC day such as `2026-01-31`."""

    day: str = ""
    tenant: str = ""
    key_id: str = ""
    target: str = ""
    attempts: int
    cost_usd: Decimal


class Cost(_Result):
    """Spend, summed up as asked."""

    lines: list[CostLine]
    total_usd: Decimal


def text_of(content: Any) -> str:
    """The text of a message's content, which is text or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))
