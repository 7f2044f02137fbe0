"""What happened in a demonstration: everything that its table and its report show."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["DemoRecord", "Mark", "MeasuredRow", "OutageFigures", "RolloutFigures", "TrafficSecond"]


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """A way to choose models, measured through the gateway on the held-out questions.

    `quality` is of 100 with its 95 % bootstrap interval; `p50_s` and `p95_s` are of the replayed latency; `shares` says
    which share of the requests each model answered.
    """

    name: str
    quality: float
    quality_low: float
    quality_high: float
    cost_usd_per_1k: float
    p50_s: float
    p95_s: float
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TrafficSecond:
    """One second of traffic, `at_s` seconds after the demo began: answers by model, and how many failed."""

    at_s: int
    answers: Mapping[str, int]
    failed: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment of the traffic: `at_s` seconds after the demo began."""

    at_s: float
    label: str


@dataclass(frozen=True, slots=True)
class RolloutFigures:
    """A rollout as the API shows it (`view`), with what the demo measured.

    `seconds` is from its start to its end. For one that was rolled back, `exchange_s` is from the breach until every
    replica was told. `requests_per_s` is the traffic meanwhile.
    """

    view: Mapping[str, Any]
    seconds: float
    requests: int
    failed: int
    requests_per_s: float
    exchange_s: float | None


@dataclass(frozen=True, slots=True)
class OutageFigures:
    """The outage of a provider.

    `failed_over`: requests that another target answered. `opened_after_s`: until the breaker had opened everywhere;
    `returned_after_s`: from the provider's return until it answered again.
    """

    model: str
    seconds: float
    requests: int
    failed: int
    failed_over: int
    opened_after_s: float | None
    returned_after_s: float | None


@dataclass
class DemoRecord:
    """Filled step by step. `front` holds (cost, quality) of the candidates that the campaign kept, `candidates` of all.

    `bad_model` is the model that got worse, `expected_harm` by how many points of 100 that makes the harmful DNA worse
    than the live one, by what was recorded on validation questions. `lineage` holds commits, the oldest first, as
    `evolving-ai dna log --json` shows them. `gain`: how many points of 100 the evolved DNA is better than the seed on
    the same questions, with the ends of its 95 % interval.
    `failures`: how many requests failed, by reason.
    """

    started: str = ""
    seconds: float = 0.0
    latency_scale: float = 1.0
    rows: list[MeasuredRow] = field(default_factory=list)
    candidates: list[tuple[float, float]] = field(default_factory=list)
    front: list[tuple[float, float]] = field(default_factory=list)
    campaign: Mapping[str, Any] = field(default_factory=dict)
    good: RolloutFigures | None = None
    bad: RolloutFigures | None = None
    bad_model: str = ""
    expected_harm: float = 0.0
    outage: OutageFigures | None = None
    traffic: list[TrafficSecond] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    lineage: list[Mapping[str, Any]] = field(default_factory=list)
    gain: tuple[float, float, float] | None = None
    failures: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The document of `demo --json`."""
        return asdict(self)
