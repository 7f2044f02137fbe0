"""The ports of durable state. Every implementation passes the same contract suite (`tests/contract`)."""

from evolving_ai.stores.ports.campaigns import CampaignLedger, CandidateRecord
from evolving_ai.stores.ports.dna import DnaStore
from evolving_ai.stores.ports.outcomes import (
    OutcomeBatch,
    OutcomeCounts,
    OutcomeCursor,
    OutcomeStore,
    RecordedOutcome,
    ScoredOutcome,
)
from evolving_ai.stores.ports.spend import SpendChange, SpendLine, SpendQuery, SpendState, SpendStore

__all__ = [
    "CampaignLedger",
    "CandidateRecord",
    "DnaStore",
    "OutcomeBatch",
    "OutcomeCounts",
    "OutcomeCursor",
    "OutcomeStore",
    "RecordedOutcome",
    "ScoredOutcome",
    "SpendChange",
    "SpendLine",
    "SpendQuery",
    "SpendState",
    "SpendStore",
]
