"""The platform's own Ray instance with Ray Serve on it. All use of Ray's alpha and private surfaces is here.

Those are: `_temp_dir` of `ray.init`, `serve.run_many`, and the details that Serve's controller gives of replicas.
`tests/integration/serving/test_cluster_surfaces.py` names what an upgrade broke.

Import this module only when the environment says how Ray authenticates: Ray reads that once, when it is imported.
"""

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.exceptions import RayServeException
from ray.serve.schema import LoggingConfig, ServeDeploySchema

from evolving_ai.errors import PlatformError, SettingsError, UsageError
from evolving_ai.serving.deployments.factory import load_factory

__all__ = ["Addresses", "ApplicationView", "Cluster", "IngressAddress"]

_OBJECT_STORE_BYTES = 150 * 2**20
_ENTRANCE = "gateway"
"""The application that the world talks to; it is stopped before those that it hands over to."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the instance can be reached: the dashboard (None: there is none), and Ray itself."""

    dashboard_url: str | None
    ray_address: str


@dataclass(frozen=True, slots=True)
class IngressAddress:
    """Where Serve's proxy listens in the profile `serve_ingress`."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ApplicationView:
    """The state of a Serve application; `message` is Serve's, empty when all is well."""

    name: str
    status: str
    message: str
    deployments: tuple[dict[str, Any], ...]

    @property
    def is_running(self) -> bool:
        """Every deployment has as many replicas as it should."""
        return self.status == "RUNNING"

    @property
    def has_failed(self) -> bool:
        """It will not come up by itself."""
        return self.status == "DEPLOY_FAILED"


class Cluster:
    """A Ray instance that this process starts, deploys to and stops. One for each process."""

    def __init__(self, folder: Path, logs: Path, *, num_cpus: int, dashboard_port: int | None) -> None:
        self._folder = folder
        self._logs = logs
        self._num_cpus = num_cpus
        self._dashboard_port = dashboard_port
        self._config: Any = None
        self._profile = ""

    def start(self) -> Addresses:
        """Start Ray. PlatformError when it does not."""
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        has_dashboard = self._dashboard_port is not None
        try:
            # "local" because a bare init would join whatever instance this machine runs already.
            context = ray.init(
                address="local",
                num_cpus=self._num_cpus,
                include_dashboard=has_dashboard,
                dashboard_host="127.0.0.1",
                dashboard_port=self._dashboard_port,
                object_store_memory=_OBJECT_STORE_BYTES,
                log_to_driver=False,
                configure_logging=False,
                _temp_dir=str(self._folder),
            )
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as exc:
            raise PlatformError(f"Ray did not start ({_last_line(exc)}): try again") from exc
        url = f"http://{context.dashboard_url}" if has_dashboard and context.dashboard_url else None
        return Addresses(url, ray.get_runtime_context().gcs_address)

    def deploy(self, config: ServeDeploySchema, *, profile: str, ingress: IngressAddress | None) -> None:
        """Begin to deploy every application of `config`. `ingress`: where Serve's proxy listens (None: nowhere)."""
        self._config, self._profile = config, profile
        applications = [self._target(application, profile) for application in config.applications]
        with _serve_errors("Ray Serve did not start"):
            serve.start(
                proxy_location="HeadOnly" if ingress else "Disabled",
                http_options={"host": ingress.host, "port": ingress.port} if ingress else {},
                logging_config=self._logging(config.logging_config),
            )
            self._run(applications)

    def redeploy(self, name: str) -> None:
        """Begin to replace every replica of an application, a new one before an old one. UsageError: no such name."""
        found = [application for application in self._config.applications if application.name == name]
        if not found:
            known = ", ".join(application.name for application in self._config.applications)
            raise UsageError(f"no application {name!r}: expected one of {known}")
        with _serve_errors(f"{name} cannot be replaced"):
            self._run([self._target(found[0], self._profile)])

    def _run(self, targets: list[Any]) -> None:
        serve.run_many(targets, wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)

    def _target(self, application: Any, profile: str) -> Any:
        arguments = dict(application.args)
        is_entrance = application.name == _ENTRANCE
        if is_entrance:
            arguments["profile"] = profile
        builder = load_factory(application.import_path)
        options = _options(application)
        return serve.RunTarget(
            target=builder(_parsed(builder, arguments), options),
            name=application.name,
            route_prefix="/" if is_entrance and profile == "serve_ingress" else None,
            logging_config=self._logging(application.logging_config or self._config.logging_config),
        )

    def _logging(self, given: LoggingConfig | None) -> LoggingConfig:
        known = {} if given is None else given.model_dump(exclude_unset=True)
        return LoggingConfig(**{**known, "logs_dir": str(self._logs)})

    def status(self) -> tuple[ApplicationView, ...]:
        """Every application, as Serve's controller sees it. PlatformError when that cannot be asked."""
        with _serve_errors("Ray Serve cannot be asked"):
            details: Mapping[str, Any] = _get_global_client().get_serve_details()
        return tuple(_view(name, each) for name, each in sorted(details["applications"].items()))

    def stop(self) -> None:
        """Stop the applications, the entrance first so that it can hand over, and Ray."""
        if not ray.is_initialized():
            return
        logger = logging.getLogger("ray.serve")
        logger.disabled = True  # what Serve, and threads of Ray's, say about actors that end is of no use to anybody
        with contextlib.redirect_stderr(io.StringIO()):
            self._end()
        logger.disabled = False

    def _end(self) -> None:
        try:
            if self._config is not None:
                with contextlib.suppress(RayServeException, ray.exceptions.RayError, TimeoutError, RuntimeError):
                    serve.delete(_ENTRANCE)
                    serve.shutdown()
        finally:
            ray.shutdown()


def _options(application: Any) -> dict[str, Any]:
    if not application.deployments:
        return {}
    if len(application.deployments) > 1:
        raise SettingsError(f"application {application.name}: expected one deployment, found several")
    options: dict[str, Any] = application.deployments[0].model_dump(exclude_unset=True)
    return {name: value for name, value in options.items() if name != "rolling_update_percentage"}


def _parsed(builder: Any, arguments: Mapping[str, Any]) -> Any:
    """The arguments as the model that the builder takes, as Serve does it."""
    model = builder.__annotations__["arguments"]
    try:
        return model(**arguments)
    except ValueError as exc:
        problem = " ".join(str(exc).split())
        raise SettingsError(f"args of {builder.__name__} in the Serve configuration: {problem[:300]}") from exc


def _view(name: str, details: Mapping[str, Any]) -> ApplicationView:
    deployments = [
        {
            "name": deployment,
            "status": _text(each["status"]),
            "target_replicas": each["target_num_replicas"],
            "replicas": [
                {"id": replica["replica_id"], "state": _text(replica["state"]), "pid": replica.get("pid")}
                for replica in each["replicas"]
            ],
        }
        for deployment, each in sorted(details["deployments"].items())
    ]
    messages = [*(each["message"] for each in details["deployments"].values()), details["message"]]
    return ApplicationView(name, _text(details["status"]), next(filter(None, messages), ""), tuple(deployments))


def _text(value: Any) -> str:
    """What Serve's enumerations, and their names, are called."""
    return str(getattr(value, "value", value))


@contextlib.contextmanager
def _serve_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (RayServeException, ray.exceptions.RayError, TimeoutError, RuntimeError, ConnectionError) as exc:
        raise PlatformError(f"{what} ({_last_line(exc)}): logs are in the home's logs folder") from exc


def _last_line(exc: Exception) -> str:
    lines = [line for line in str(exc).splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else type(exc).__name__
