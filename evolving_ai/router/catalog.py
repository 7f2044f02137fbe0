"""Which targets a model name stands for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evolving_ai.domain.decision import Constraints
from evolving_ai.domain.target import DeploymentTarget
from evolving_ai.errors import RequestError, SettingsError

__all__ = ["AUTO", "Catalog", "Selection"]

AUTO = "auto"


@dataclass(frozen=True)
class Selection:
    """The candidates of a request. `models` are those that the policy may choose; `by_model` where each can be had.

    `constraints` say the same to the policy; there is one object for each selection, so that work on it can be kept.
    """

    name: str
    targets: tuple[DeploymentTarget, ...]
    models: frozenset[str]
    by_model: Mapping[str, tuple[DeploymentTarget, ...]]
    constraints: Constraints

    @classmethod
    def of(cls, name: str, targets: Iterable[DeploymentTarget], *, is_everything: bool = False) -> "Selection":
        """A selection of `targets`, which are not empty; `is_everything`: no model of the pool is left out."""
        pool = tuple(dict.fromkeys(targets))
        by_model: dict[str, list[DeploymentTarget]] = {}
        for target in pool:
            by_model.setdefault(target.model, []).append(target)
        grouped = {model: tuple(members) for model, members in by_model.items()}
        models = frozenset(grouped)
        return cls(name, pool, models, grouped, Constraints(eligible=None if is_everything else models))

    def in_region(self, region: str) -> "Selection":
        """The candidates of one region; RequestError when there are none."""
        targets = [target for target in self.targets if target.region == region]
        if not targets:
            known = ", ".join(sorted({target.region for target in self.targets if target.region})) or "none is set"
            raise RequestError(
                "model_not_found", f"{self.name} has no target in region {region[:40]!r}", hint=f"regions: {known}"
            )
        return Selection.of(self.name, targets)


class Catalog:
    """Every model name that a request may use: `auto`, aliases, catalogue names and `provider/model`.

    SettingsError when two targets have one name, or an alias is empty, names nothing or hides another name.
    """

    def __init__(self, targets: Sequence[DeploymentTarget], aliases: Mapping[str, Sequence[str]]) -> None:
        names = [target.name for target in targets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(f"target {twice[0]} stands twice: expected each provider and model once")
        if any(target.model == AUTO for target in targets):
            raise SettingsError(f"a model cannot be called {AUTO}: that name stands for all of them")
        self.targets = tuple(targets)
        self._by_name: dict[str, Selection] = {t.name: Selection.of(t.name, [t]) for t in targets}
        for model in dict.fromkeys(target.model for target in targets):
            self._by_name[model] = Selection.of(model, [t for t in targets if t.model == model])
        aliased = {alias: self._alias(alias, members) for alias, members in aliases.items()}
        self._by_name |= aliased
        if targets:
            self._by_name[AUTO] = Selection.of(AUTO, targets, is_everything=True)
        self.aliases = {alias: tuple(members) for alias, members in aliases.items()}

    def _alias(self, alias: str, members: Sequence[str]) -> Selection:
        unknown = [member for member in members if member not in self._by_name]
        if alias == AUTO or alias in self._by_name or "/" in alias:
            raise SettingsError(f"an alias cannot be called {alias}: expected a name without / that nothing else has")
        if not members:
            raise SettingsError(f"alias {alias} is empty: expected names of targets or models")
        if unknown:
            known = ", ".join(self._by_name)
            raise SettingsError(f"alias {alias} names {unknown[0]}, which no target has: expected some of {known}")
        return Selection.of(alias, [target for member in members for target in self._by_name[member].targets])

    @property
    def models(self) -> tuple[str, ...]:
        """The pool that policies decide about, sorted."""
        return tuple(sorted({target.model for target in self.targets}))

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that `resolve` knows, `auto` first, then aliases, catalogue names and targets."""
        plain = [name for name in self._by_name if name != AUTO]
        rank = {name: (name not in self.aliases, "/" in name, name) for name in plain}
        return (*([AUTO] if self.targets else []), *sorted(plain, key=rank.__getitem__))

    def resolve(self, name: str) -> Selection:
        """The candidates of a request for `name`; RequestError `model_not_found`."""
        selection = self._by_name.get(name)
        if selection is None:
            raise RequestError(
                "model_not_found",
                f"the model {name[:100]!r} does not exist or you do not have access to it",
                hint="GET /v1/models lists the names; auto lets the gateway choose",
                param="model",
            )
        return selection
