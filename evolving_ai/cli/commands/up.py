"""`evolving-ai up`: start the platform, here or in the background."""

import contextlib
import json as json_module
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolving_ai.cli.options import HomeOption, new_app
from evolving_ai.cli.output import note
from evolving_ai.errors import EvolvingAIError
from evolving_ai.home import open_home

if TYPE_CHECKING:
    from evolving_ai.wiring.platform_state import PlatformState

__all__ = ["app"]

app = new_app("Start the platform.")


@app.command()
def up(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings [default: config.yaml in the home].", show_default=False
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start in the background; return when healthy.")] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Where to listen; 0: a free port.", show_default=False),
    ] = None,
    home: HomeOption = None,
    serve_config: Annotated[Path | None, typer.Option("--serve-config", hidden=True)] = None,
    report_to: Annotated[int | None, typer.Option("--report-to", hidden=True)] = None,
) -> None:
    """Start the platform; until Ctrl-C, or with --detach in the background until `evolving-ai down`."""
    from evolving_ai._common.clock import SystemClock

    folder = open_home(home)
    chosen = None if config is None else config.absolute()
    if detach:
        from evolving_ai.serving.detached import start_detached

        arguments = [] if chosen is None else ["--config", str(chosen)]
        arguments += [] if port is None else ["--port", str(port)]
        arguments += [] if serve_config is None else ["--serve-config", str(serve_config.absolute())]
        _announce(start_detached(folder, arguments, note=note))
        note("`evolving-ai down` ends it")
        return
    report = _Report(report_to)
    try:
        from evolving_ai.serving.plan import plan_platform
        from evolving_ai.serving.supervisor import supervise

        spec = plan_platform(folder, config=chosen, port=port, serve_config=serve_config)
        supervise(spec, SystemClock(), note=report.note, ready=report.ready)
    except EvolvingAIError as exc:
        report.failed(exc)
        raise


class _Report:
    """Tells a person on stderr or, in the background, the process that waits at the other end of a pipe."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def note(self, text: str) -> None:
        note(text)
        self._send({"note": text})

    def ready(self, state: "PlatformState") -> None:
        self._send({"ready": True})
        if self._descriptor is None:
            _announce(state)
            note("Ctrl-C ends it")
            return
        os.close(self._descriptor)
        self._descriptor = None

    def failed(self, exc: EvolvingAIError) -> None:
        self._send({"error": str(exc), "kind": type(exc).__name__})

    def _send(self, message: dict[str, Any]) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(BrokenPipeError):  # whoever waited has left; the platform stays
                os.write(self._descriptor, json_module.dumps(message).encode() + b"\n")


def _announce(state: "PlatformState") -> None:
    note(f"the platform answers at {state.url}/v1 (process {state.pid}); `evolving-ai env` prints what clients need")
