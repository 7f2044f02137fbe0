"""`evolving-ai chat`: talk to the platform, once or in a conversation.

The answer goes to stdout, its figures to stderr. In a conversation Ctrl-C cancels an answer, Ctrl-D ends it.
"""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from evolving_ai.cli.connection import find_connection
from evolving_ai.cli.options import HomeOption, JsonOption, new_app
from evolving_ai.cli.output import note, print_json
from evolving_ai.errors import EvolvingAIError, UsageError
from evolving_ai.home import resolve_home

if TYPE_CHECKING:
    from evolving_ai.cli.conversation import Conversation

__all__ = ["app"]

app = new_app("Talk to the platform: one message, or a conversation.")

_PROMPT = "> "
_COMMANDS = "/good [comment], /bad [comment]: judge the last answer; /why: explain it; Ctrl-C cancels, Ctrl-D ends"


@app.command()
def chat(
    message: Annotated[str | None, typer.Argument(help="Default: stdin; on a terminal, a conversation.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Alias, model or PROVIDER/MODEL [default: auto].", show_default=False)
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Platform [default: $EVOLVING_AI_BASE_URL, else that of the home].")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Print the answer as it comes.")] = True,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Send MESSAGE and print the answer; without one, read stdin or hold a conversation."""
    is_conversation = message is None and sys.stdin.isatty()
    if is_conversation and json:
        raise UsageError("--json answers one message: give it as an argument or on stdin")
    text = _text(message) if not is_conversation else ""
    connection = find_connection(resolve_home(home), url)

    from evolving_ai.cli.conversation import Conversation, result_json  # loads httpx and pydantic
    from evolving_ai.sdk import SyncEvolutionFramework

    with SyncEvolutionFramework(connection.api_key, connection.url) as framework:
        conversation = Conversation(framework, model=model, is_streamed=stream)
        if json:
            print_json(result_json(conversation.answer(text)))
        elif not is_conversation:
            conversation.say(text)
        else:
            note(_COMMANDS)
            for line in _lines():
                _guarded_turn(conversation, line)


def _text(message: str | None) -> str:
    text = sys.stdin.read().strip() if message is None else message.strip()
    if not text:
        raise UsageError("there is nothing to say: give a message as an argument or on stdin")
    return text


def _lines() -> Iterator[str]:
    """What is typed, line by line, until Ctrl-D; Ctrl-C drops the line."""
    import readline  # noqa: F401 - lets `input` edit lines and remember them

    while True:
        try:
            line = input(_PROMPT).strip()
        except EOFError:
            note("")
            return
        except KeyboardInterrupt:
            note("")
            continue
        if line:
            yield line


def _guarded_turn(conversation: "Conversation", line: str) -> None:
    """One line of a conversation, which goes on whatever comes of it."""
    try:
        _turn(conversation, line)
    except KeyboardInterrupt:
        note("cancelled")
    except EvolvingAIError as exc:
        note(f"error: {exc}")


def _turn(conversation: "Conversation", line: str) -> None:
    if not line.startswith("/"):
        conversation.say(line)
        return
    command, _, rest = line.partition(" ")
    comment = rest.strip() or None
    if command == "/good":
        conversation.rate(1.0, comment)
    elif command == "/bad":
        conversation.rate(0.0, comment)
    elif command == "/why":
        conversation.explain()
    else:
        note(_COMMANDS)
