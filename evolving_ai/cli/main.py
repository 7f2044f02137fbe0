"""The entry point `evolving-ai`: the table of commands, and the one place where errors become text and exit codes.

To add a command, add a line to `COMMANDS` and a module that exposes `app`, made by `evolving_ai.cli.options.new_app`:

    app = new_app("Search for better DNA.")

    @app.command()                      # one function: `evolving-ai evolve FILE`; several: `evolving-ai dna log`
    def evolve(file: Path, home: HomeOption = None, json: JsonOption = False) -> None: ...

Only the module of the command that runs is imported, so `--help` stays fast however heavy a command is; a module
imports numpy, pyarrow, ray and the like inside its functions when not every subcommand needs them.
A command prints through `evolving_ai.cli.output` (result on stdout, everything else on stderr), returns None when done,
raises an EvolvingAIError when it failed, and raises `typer.Exit(1)` when its printed result says that it failed.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted. No traceback is printed unless EVOLVING_AI_DEBUG is set.
"""

import importlib
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from evolving_ai.cli.output import note, one_line, print_text
from evolving_ai.errors import EvolvingAIError

__all__ = ["COMMANDS", "main"]

PROGRAM = "evolving-ai"

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("evolving_ai.cli.commands.up", "Start the platform."),
    "demo": ("evolving_ai.cli.commands.demo", "Show the whole loop on real data, within minutes."),
    "down": ("evolving_ai.cli.commands.down", "Stop the platform."),
    "restart": ("evolving_ai.cli.commands.restart", "Replace replicas without losing a request."),
    "status": ("evolving_ai.cli.commands.status", "Show what runs, and the memory it takes."),
    "doctor": ("evolving_ai.cli.commands.doctor", "Examine this machine, its home, and a platform."),
    "env": ("evolving_ai.cli.commands.env", "Print the environment that clients need."),
    "dashboard": ("evolving_ai.cli.commands.dashboard", "Print the URL of the dashboard."),
    "chat": ("evolving_ai.cli.commands.chat", "Talk to the platform: one message, or a conversation."),
    "evolve": ("evolving_ai.cli.commands.evolve", "Run a campaign: search for DNA that does better."),
    "campaign": ("evolving_ai.cli.commands.campaign", "List, inspect, resume and stop campaigns."),
    "replay": ("evolving_ai.cli.commands.replay", "Decide recorded requests with a DNA; write the decisions."),
    "bench": ("evolving_ai.cli.commands.bench", "Measure against the bars, and print how each fared."),
    "dna": ("evolving_ai.cli.commands.dna", "Inspect and change DNA: log, show, diff, branch, commit, revert."),
    "rollout": ("evolving_ai.cli.commands.rollout", "Let DNA go live by gates and a canary, or go back."),
    "keys": ("evolving_ai.cli.commands.keys", "Create, list, rotate and revoke API keys."),
    "budget": ("evolving_ai.cli.commands.budget", "Limit what keys and tenants may spend."),
    "cost": ("evolving_ai.cli.commands.cost", "Show what was spent."),
    "audit": ("evolving_ai.cli.commands.audit", "Show who changed what, and verify that record."),
}
"""Name, module, line of help."""

_DEBUG_VARIABLE = "EVOLVING_AI_DEBUG"
_INTERRUPTED = 130


class _LazyGroup(TyperGroup):
    """A group whose commands are only names and lines of help until one of them runs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, (_, about) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=about, rich_markup_mode=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        module = importlib.import_module(COMMANDS[str(name)][0])
        return name, typer.main.get_command(module.app), rest

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is typer's
        return list(COMMANDS)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from evolving_ai import __version__

        print_text(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """An LLM gateway that improves itself."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line `arguments` (default: the process's) and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a character must not fail a command
            stream.reconfigure(errors="backslashreplace")
    code = _guarded_run(given or ["--help"])
    sys.exit(code)


def _guarded_run(arguments: list[str]) -> int:
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except EvolvingAIError as exc:
        return _fail(arguments, exc, str(exc), exc.exit_code)
    except TyperException as exc:
        return _fail(arguments, exc, f"{exc.format_message()} ({_help_hint(exc)})", exc.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        note("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        return _drop_stdout()
    except OSError as exc:
        return _fail(arguments, exc, f"the operating system refused: {exc}", 1)
    except Exception as exc:  # noqa: BLE001 - the boundary: a defect becomes one line
        text = f"unexpected error {type(exc).__name__}: {exc} (set {_DEBUG_VARIABLE}=1 for the traceback)"
        return _fail(arguments, exc, text, 1)
    return code


def _run(arguments: list[str]) -> int:
    app = typer.Typer(cls=_LazyGroup, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback()(_options)
    result = typer.main.get_command(app).main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    if result == _INTERRUPTED:  # what typer makes of Ctrl-C
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _fail(arguments: list[str], exc: Exception, text: str, code: int) -> int:
    line = one_line(text)
    if os.environ.get(_DEBUG_VARIABLE):
        sys.excepthook(type(exc), exc, exc.__traceback__)
    try:
        if "--json" in arguments:
            document = {"error": {"code": _error_code(exc), "message": line}}
            sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        note(f"error: {line}")
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    return code


def _error_code(exc: Exception) -> str:
    """`GeneError` is `gene_error`; what the command line refuses is a `usage_error`."""
    if isinstance(exc, TyperException):
        return "usage_error"
    if not isinstance(exc, EvolvingAIError):
        return "unexpected_error"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(exc).__name__).lower()


def _help_hint(exc: TyperException) -> str:
    context = getattr(exc, "ctx", None)
    path = PROGRAM if context is None else context.command_path
    return f"see `{path} --help`"


def _drop_stdout() -> int:
    """The reader has left (`| head`): nothing more can be said, also not by the interpreter's last flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
