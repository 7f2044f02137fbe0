"""Campaigns: what a search shall do, as one value that can be stored and replayed."""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from evolving_ai.domain.dna import Genome
from evolving_ai.domain.fitness import Objective
from evolving_ai.domain.genes import (
    ChoiceGene,
    Condition,
    FloatGene,
    Gene,
    GeneValue,
    IntGene,
    SearchSpace,
    TextGene,
)
from evolving_ai.errors import CorruptionError, SettingsError

__all__ = ["CAMPAIGN_ID", "DEFAULT_EMITTERS", "CampaignSpec", "Target"]

CAMPAIGN_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What the id of a campaign looks like: it names a folder and a branch."""

DEFAULT_EMITTERS = ("mixed", "gaussian", "crossover", "cma", "random")

_FORMAT = 1
_GENE_KINDS: Mapping[str, type[Gene]] = {"float": FloatGene, "int": IntGene, "choice": ChoiceGene, "text": TextGene}


@dataclass(frozen=True, slots=True)
class Target:
    """The campaign ends when a candidate's score of `objective` is `value` or better.

    `is_measure`: `objective` names a measure instead, which every evaluation has and of which more is better.
    """

    objective: str
    value: float
    is_measure: bool = False

    def to_json(self) -> list[Any]:
        """The arguments of the constructor."""
        return [self.objective, self.value, *([True] if self.is_measure else [])]


@dataclass(frozen=True, kw_only=True)
class CampaignSpec:
    """A bounded search. What it finds is a pure function of this value and the evaluator.

    `space` holds every gene that a genome may have; `free` names those that may change (names, or groups such as
    `score.`; empty: all), and `fixed` forces values on others. `base` genomes are evaluated first, the incumbent
    before all others. Candidate k is asked for when the results of candidates 0 to k - window are admitted, so
    `window` bounds how many are in flight and how stale a proposal may be; it is no matter of the number of workers.
    `archive_size` bounds the front (None: unbounded). `about` is the caller's own JSON (how to build the evaluator).
    """

    id: str
    seed: int
    max_evaluations: int
    objectives: tuple[Objective, ...]
    space: SearchSpace
    base: tuple[Genome, ...]
    free: tuple[str, ...] = ()
    fixed: Mapping[str, GeneValue] = field(default_factory=dict)
    window: int = 8
    emitters: tuple[str, ...] = DEFAULT_EMITTERS
    archive_size: int | None = 200
    target: Target | None = None
    wall_clock_s: float | None = None
    deadline_s: float = 600.0
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fixed", MappingProxyType(dict(self.fixed)))
        object.__setattr__(self, "about", MappingProxyType(dict(self.about)))
        self._check_numbers()
        self._check_objectives()
        self._check_genomes()

    def _check_numbers(self) -> None:
        if not re.fullmatch(CAMPAIGN_ID, self.id):
            raise SettingsError(
                f"campaign id {self.id!r}: expected up to 64 letters, digits, hyphens, underscores, dots"
            )
        for name in ("max_evaluations", "window"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: expected 1 or more")
        if self.seed < 0:
            raise SettingsError(f"seed is {self.seed}: expected 0 or more")
        for name in ("deadline_s", "wall_clock_s"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise SettingsError(f"{name} is {value}: expected seconds above 0")
        least = max(2, len(self.objectives))
        if self.archive_size is not None and self.archive_size < least:
            raise SettingsError(f"archive_size is {self.archive_size}: expected {least} or more, or none")

    def _check_objectives(self) -> None:
        names = [objective.name for objective in self.objectives]
        if not names or len(set(names)) != len(names):
            raise SettingsError(f"objectives {names}: expected one or more, each named once")
        target = self.target
        if target is not None and not target.is_measure and target.objective not in names:
            raise SettingsError(f"target objective {target.objective}: expected one of {', '.join(names)}")
        if not self.emitters:
            raise SettingsError(f"emitters: expected one or more of {', '.join(DEFAULT_EMITTERS)}")
        for name in self.emitters:
            if name not in DEFAULT_EMITTERS:
                raise SettingsError(f"emitter {name!r} is not known: expected one of {', '.join(DEFAULT_EMITTERS)}")

    def _check_genomes(self) -> None:
        if not self.base:
            raise SettingsError("a campaign needs at least one base genome, the incumbent first")
        for genome in self.base:
            self.space.validate(genome.genes)
        if self.free:
            self.space.only(self.free)
        for name, value in self.fixed.items():
            self.space.gene(name).check(value)

    def to_json(self) -> dict[str, Any]:
        """The header of the campaign's ledger."""
        plain = ("id", "seed", "max_evaluations", "window", "archive_size", "wall_clock_s", "deadline_s")
        return {
            "format": _FORMAT,
            **{name: getattr(self, name) for name in plain},
            "objectives": [[o.name, o.direction, o.unit] for o in self.objectives],
            "space": [_gene_to_json(gene) for gene in self.space],
            "base": [dict(genome.genes) for genome in self.base],
            "free": list(self.free),
            "fixed": dict(self.fixed),
            "emitters": list(self.emitters),
            "target": None if self.target is None else self.target.to_json(),
            "about": dict(self.about),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "CampaignSpec":
        """Read what `to_json` wrote; CorruptionError when it is something else."""
        try:
            fields = {key: value for key, value in document.items() if key != "format"}
            if document["format"] != _FORMAT:
                raise CorruptionError(
                    f"campaign format {document['format']} is not known: this release reads {_FORMAT}"
                )
            fields["objectives"] = tuple(Objective(*parts) for parts in document["objectives"])
            fields["space"] = SearchSpace(_gene_from_json(gene) for gene in document["space"])
            fields["base"] = tuple(Genome(genes=genes) for genes in document["base"])
            fields["target"] = None if document["target"] is None else Target(*document["target"])
            for name in ("free", "emitters"):
                fields[name] = tuple(document[name])
            return cls(**fields)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise CorruptionError(f"this is not the header of a campaign ({exc!r})") from exc

    def is_continued_by(self, other: "CampaignSpec") -> bool:
        """Whether `other` is the same search, perhaps with a larger budget or another deadline, limit or target."""
        mutable = ("max_evaluations", "wall_clock_s", "deadline_s", "target", "about")
        mine, theirs = self.to_json(), other.to_json()
        return all(mine[name] == theirs[name] for name in mine if name not in mutable)


def _gene_to_json(gene: Gene) -> dict[str, Any]:
    kind = next(name for name, cls in _GENE_KINDS.items() if type(gene) is cls)
    document = {name: getattr(gene, name) for name in (f.name for f in dataclasses.fields(gene))}
    condition = gene.active_when
    document["active_when"] = None if condition is None else [condition.gene, list(condition.values)]
    if isinstance(gene, ChoiceGene):
        document["choices"] = list(gene.choices)
    return {"kind": kind, **document}


def _gene_from_json(document: Mapping[str, Any]) -> Gene:
    fields = {key: value for key, value in document.items() if key != "kind"}
    condition = fields["active_when"]
    fields["active_when"] = None if condition is None else Condition(condition[0], tuple(condition[1]))
    if "choices" in fields:
        fields["choices"] = tuple(fields["choices"])
    return _GENE_KINDS[document["kind"]](**fields)
