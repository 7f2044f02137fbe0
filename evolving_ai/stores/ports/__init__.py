"""The ports of durable state. Every implementation passes the same contract suite (`tests/contract`)."""

from evolving_ai.stores.ports.audit import AuditEntry, AuditHead, AuditLog
from evolving_ai.stores.ports.campaigns import CampaignLedger, CandidateRecord
from evolving_ai.stores.ports.dna import DnaStore
from evolving_ai.stores.ports.keys import KeyLimits, KeyRecord, KeyStore, KeyTable
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
    "AuditEntry",
    "AuditHead",
    "AuditLog",
    "CampaignLedger",
    "CandidateRecord",
    "DnaStore",
    "KeyLimits",
    "KeyRecord",
    "KeyStore",
    "KeyTable",
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
