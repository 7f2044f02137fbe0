"""The Serve applications, as the builders that a Serve configuration names: `evolving_ai.serving.apps:gateway`.

This is the one place that says which plain object each deployment is built around; a configuration may name others by
`args: {builder: module:name}`. The `deployments` of a configuration are applied by Serve when it deploys the file,
and by `options` when `evolving-ai up` does.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ray import serve

from evolving_ai.serving.deployments.control import Control
from evolving_ai.serving.deployments.decision import Decision
from evolving_ai.serving.deployments.gateway import DirectGateway, IngressGateway

__all__ = [
    "ControlArguments",
    "DecisionArguments",
    "GatewayArguments",
    "control",
    "decision",
    "gateway",
]

Options = Mapping[str, Any] | None


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewayArguments(_Arguments):
    """`builder(home, replica, control)` makes the gateway of a replica.

    `quiet_s`: how long an idle connection may still bring a request while its replica ends; `patience_s`: how long
    requests may take then. Their sum has to fit into the deployment's `graceful_shutdown_timeout_s`.
    """

    builder: str = "evolving_ai.serving.gateway.replica:build_gateway"
    profile: Literal["direct", "serve_ingress"] = "direct"
    quiet_s: float = Field(default=1.5, ge=0)
    patience_s: float = Field(default=20.0, gt=0)


class ControlArguments(_Arguments):
    """`builder(home, broadcast, learner)` makes the control plane."""

    builder: str = "evolving_ai.serving.control.plane:ControlPlane"


class DecisionArguments(_Arguments):
    """`builder(home, control)` makes the learner."""

    builder: str = "evolving_ai.serving.learner.learner:Learner"


def gateway(arguments: GatewayArguments, options: Options = None) -> Any:
    """The gateway: as many replicas as wanted."""
    if arguments.profile == "direct":
        bound = (arguments.builder, arguments.quiet_s, arguments.patience_s)
        return _deployment(DirectGateway, "gateway", options).bind(*bound)
    return _deployment(serve.ingress()(IngressGateway), "gateway", options).bind(arguments.builder)


def control(arguments: ControlArguments, options: Options = None) -> Any:
    """The control plane: one replica, the writer of the databases."""
    return _deployment(Control, "control", options).bind(arguments.builder)


def decision(arguments: DecisionArguments, options: Options = None) -> Any:
    """The learner: one replica."""
    return _deployment(Decision, "decision", options).bind(arguments.builder)


def _deployment(kind: type, name: str, options: Options) -> Any:
    return serve.deployment(kind).options(**{**(options or {}), "name": name})
