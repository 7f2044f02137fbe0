"""Genes: single evolvable settings with a legal range, and the space that they span.

A gene may be conditional: it exists only while another gene has one of the named values. A genome holds exactly the
active genes, so that two genomes which behave the same have the same hash. The evaluators, budgets, gate and access
rules, the audit and the sandbox are protected: no gene may be named under them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

from evolving_ai.errors import GeneError

__all__ = [
    "PROTECTED_PREFIXES",
    "ChoiceGene",
    "Condition",
    "FloatGene",
    "Gene",
    "GeneValue",
    "IntGene",
    "SearchSpace",
    "TextGene",
]

GeneValue: TypeAlias = float | int | str

PROTECTED_PREFIXES = ("evaluator.", "budget.", "gate.", "access.", "audit.", "sandbox.")


@dataclass(frozen=True, slots=True)
class Condition:
    """`gene` must be active and have one of `values`."""

    gene: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.gene} is {' or '.join(self.values)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatGene:
    """A real number in [low, high]; `log` asks searches to move in its logarithm (needs low > 0)."""

    name: str
    component: str
    low: float
    high: float
    default: float
    log: bool = False
    active_when: Condition | None = None
    about: str = ""

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.name}: the range [{self.low}, {self.high}] is not legal")
        self.check(self.default)

    @property
    def legal(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def check(self, value: object) -> float:
        """The value as a float; GeneError when it is not a number in the range."""
        if not _is_number(value) or not self.low <= value <= self.high:
            raise _illegal(self.name, value, self.legal)
        return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntGene:
    """A whole number in [low, high]; `log` asks searches to move in its logarithm (needs low > 0)."""

    name: str
    component: str
    low: int
    high: int
    default: int
    log: bool = False
    active_when: Condition | None = None
    about: str = ""

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"{self.name}: the range [{self.low}, {self.high}] is not legal")
        self.check(self.default)

    @property
    def legal(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def check(self, value: object) -> int:
        """The value as an int; GeneError when it is not a whole number in the range."""
        if not _is_number(value) or value != math.floor(value) or not self.low <= value <= self.high:
            raise _illegal(self.name, value, self.legal)
        return int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceGene:
    """One of a few names."""

    name: str
    component: str
    choices: tuple[str, ...]
    default: str
    active_when: Condition | None = None
    about: str = ""

    def __post_init__(self) -> None:
        if len(set(self.choices)) != len(self.choices) or len(self.choices) < 2:
            raise ValueError(f"{self.name}: a choice needs two or more different names")
        self.check(self.default)

    @property
    def legal(self) -> str:
        return f"one of {', '.join(self.choices)}"

    def check(self, value: object) -> str:
        """The value; GeneError when it is none of the choices."""
        if not isinstance(value, str) or value not in self.choices:
            raise _illegal(self.name, value, self.legal)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class TextGene:
    """Free text of at most `max_length` characters (a prompt, say)."""

    name: str
    component: str
    max_length: int
    default: str = ""
    active_when: Condition | None = None
    about: str = ""

    def __post_init__(self) -> None:
        self.check(self.default)

    @property
    def legal(self) -> str:
        return f"text of at most {self.max_length} characters"

    def check(self, value: object) -> str:
        """The value; GeneError when it is not text, too long, or not encodable."""
        if not isinstance(value, str) or len(value) > self.max_length or _has_surrogate(value):
            raise _illegal(self.name, value, self.legal)
        return value


Gene: TypeAlias = FloatGene | IntGene | ChoiceGene | TextGene


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, float):
        return math.isfinite(value)
    # Asking whether a whole number is finite would overflow where it is too large for a float.
    return isinstance(value, int) and not isinstance(value, bool)


def _has_surrogate(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)


def _illegal(gene: str, value: object, legal: str) -> GeneError:
    shown = repr(value) if len(repr(value)) <= 40 else repr(value)[:37] + "..."
    return GeneError(gene, f"gene {gene} cannot be {shown}: expected {legal}")


class SearchSpace:
    """An ordered set of genes; the registry that says which component reads which gene.

    A gene's condition may only name a gene that stands before it, so one pass in order settles what is active.
    """

    def __init__(self, genes: Iterable[Gene]) -> None:
        self._genes: dict[str, Gene] = {}
        for gene in genes:
            self._add(gene)

    def _add(self, gene: Gene) -> None:
        if gene.name in self._genes:
            raise ValueError(f"gene {gene.name} is declared twice")
        if gene.name.startswith(PROTECTED_PREFIXES):
            raise ValueError(f"gene {gene.name} names a protected field")
        condition = gene.active_when
        if condition is not None:
            ruler = self._genes.get(condition.gene)
            if not isinstance(ruler, ChoiceGene) or not set(condition.values) <= set(ruler.choices):
                raise ValueError(f"gene {gene.name}: no earlier choice gene allows '{condition}'")
        self._genes[gene.name] = gene

    def __iter__(self) -> Iterator[Gene]:
        return iter(self._genes.values())

    def __len__(self) -> int:
        return len(self._genes)

    def __contains__(self, name: object) -> bool:
        return name in self._genes

    def gene(self, name: str) -> Gene:
        """The gene of that name; GeneError with a suggestion when there is none."""
        try:
            return self._genes[name]
        except KeyError:
            raise GeneError(name, f"unknown gene {name}{self._suggest(name)}") from None

    def _suggest(self, name: str) -> str:
        import difflib

        close = difflib.get_close_matches(name, self._genes, n=1)
        return f": did you mean {close[0]}?" if close else ": `evolving-ai dna genes` lists them"

    def component_of(self, name: str) -> str:
        """The component that reads gene `name`."""
        return self.gene(name).component

    def defaults(self) -> dict[str, GeneValue]:
        """The active genes at their defaults."""
        return self.complete({})

    def complete(self, values: Mapping[str, GeneValue]) -> dict[str, GeneValue]:
        """`values` checked, with defaults for active genes that are missing and without inactive ones.

        Raises GeneError for an unknown gene or an illegal value (an inactive gene's value is checked too).
        """
        for name in values:
            self.gene(name)
        complete: dict[str, GeneValue] = {}
        for gene in self:
            value = gene.check(values.get(gene.name, gene.default))
            if self._is_active(gene, complete):
                complete[gene.name] = value
        return complete

    def validate(self, values: Mapping[str, GeneValue]) -> None:
        """Raise GeneError unless `values` are exactly the active genes with legal values."""
        complete = self.complete(values)
        for name in values:
            if name not in complete:
                condition = self.gene(name).active_when
                raise GeneError(name, f"gene {name} is read only when {condition}: remove it, or set that")
        for name in complete:
            if name not in values:
                raise GeneError(name, f"gene {name} is missing: expected {self.gene(name).legal}")

    def _is_active(self, gene: Gene, active: Mapping[str, GeneValue]) -> bool:
        condition = gene.active_when
        return condition is None or active.get(condition.gene) in condition.values

    def active(self, values: Mapping[str, GeneValue]) -> list[Gene]:
        """The genes of this space that exist under `values`, in order."""
        return [gene for gene in self if gene.name in values]

    def only(self, names: Iterable[str]) -> "SearchSpace":
        """The sub-space of the named genes or groups (`score.` names every gene that starts so), in this order.

        A condition on a gene that is left out is dropped with it: the caller keeps that gene fixed.
        """
        wanted = list(names)
        for name in wanted:
            if not any(_selects(name, gene.name) for gene in self):
                self.gene(name)
        kept = [gene for gene in self if any(_selects(name, gene.name) for name in wanted)]
        return _with_closed_conditions(kept)


def _selects(pattern: str, name: str) -> bool:
    return name.startswith(pattern) if pattern.endswith(".") else name == pattern


def _with_closed_conditions(kept: list[Gene]) -> SearchSpace:
    import dataclasses

    names = {gene.name for gene in kept}
    closed: list[Gene] = []
    for gene in kept:
        condition = gene.active_when
        open_condition = condition is not None and condition.gene not in names
        closed.append(dataclasses.replace(gene, active_when=None) if open_condition else gene)
    return SearchSpace(closed)
