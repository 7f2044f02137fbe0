"""The report of a demonstration: one HTML file that needs nothing else, neither a network nor a script.

Its rule: what models, users and operators wrote is text, never markup (report_markup.py), and the page forbids the
browser to load or run anything. A part of which nothing is recorded is left out.
"""

import shlex
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from evolving_ai._common.files import write_atomically
from evolving_ai._version import __version__
from evolving_ai.demo.plots_pareto import pareto_figure
from evolving_ai.demo.plots_traffic import model_classes, traffic_figure
from evolving_ai.demo.record import DemoRecord
from evolving_ai.demo.report_lineage import lineage_part
from evolving_ai.demo.report_markup import Markup, clipped, join, tag
from evolving_ai.demo.report_numbers import count, duration
from evolving_ai.demo.report_rollouts import gates_table, outage_part, rollout_part
from evolving_ai.demo.report_style import STYLE
from evolving_ai.demo.report_summary import headline, measured_table
from evolving_ai.demo.report_view import RolloutView

__all__ = ["report_html", "write_report"]

_TITLE = "An LLM gateway that improves itself"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_GOOD = (
    "The winner of the campaign decided a small share of the requests first, then a larger one. After each request "
    "two tests look at each guard rail: does the candidate do harm, and is it shown to do none?"
)
_GATES = "A candidate has to pass every gate before the first request sees it. Gates know recorded outcomes only."


def write_report(record: DemoRecord, path: Path) -> None:
    """Write the report to `path`, whole or not at all. StorageError when the disk does not take it.

    The folder of `path` is the home that the report's commands name.
    """
    write_atomically(path, report_html(record, path.parent).encode())


def report_html(record: DemoRecord, home: Path) -> str:
    """The page."""
    parts = [(name, title, content) for name, title, content in _parts(record, home) if content is not None]
    links = [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in parts]
    head = tag(
        "header",
        tag("h1", _TITLE),
        tag("p", _when(record), class_="quiet"),
        headline(record),
        tag("nav", tag("ul", *links), aria_label="Parts of this report"),
    )
    body = tag(
        "body",
        tag("a", "To the content", href="#content", class_="skip"),
        head,
        tag(
            "main",
            *(tag("section", tag("h2", title), content, id=name) for name, title, content in parts),
            id="content",
        ),
        tag("footer", tag("p", f"Written by evolving-ai {__version__}. This file needs no network and no script.")),
    )
    return f"<!DOCTYPE html>\n{tag('html', _head(), body, lang='en')}\n"


def _head() -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"evolving-ai demo: {_TITLE}"),
        tag("style", Markup(STYLE)),
    )


def _when(record: DemoRecord) -> str:
    began = f"Demonstration of {_date(record.started)}" if record.started else "Demonstration"
    took = f", {duration(record.seconds)} in all" if record.seconds > 0 else ""
    return f"{began}{took}. Models are replayed from recorded answers; everything else is the real thing."


def _date(started: str) -> str:
    try:
        return f"{datetime.fromisoformat(started):%Y-%m-%d %H:%M %Z}".rstrip()
    except ValueError:
        return clipped(started, 40)


def _parts(record: DemoRecord, home: Path) -> Iterable[tuple[str, str, Markup | None]]:
    """Identifier, heading, content."""
    good, bad, outage = record.good, record.bad, record.outage
    return (
        ("policies", "How the policies fared", measured_table(record, model_classes(record))),
        ("front", "Quality over cost", pareto_figure(record)),
        ("traffic", "Who answered, second by second", traffic_figure(record)),
        ("gates", "Before the canary: the gates", _gates(record)),
        ("good", "The evolved DNA goes live", rollout_part("good", _GOOD, good) if good is not None else None),
        ("bad", "A harmful DNA is caught", rollout_part("bad", _bad(record), bad) if bad is not None else None),
        ("outage", "A provider goes away", outage_part(outage) if outage is not None else None),
        ("lineage", "Where each DNA comes from", lineage_part(record)),
        ("further", "How to look further", _further(record, home)),
    )


def _gates(record: DemoRecord) -> Markup | None:
    asked = gates_table(record)
    return None if asked is None else join([tag("p", _GATES), asked])


def _bad(record: DemoRecord) -> str:
    model = clipped(record.bad_model, 80) or "one model"
    return (
        f"A thriftier DNA sends much more to {model}. By all that was recorded that is a fair trade; but since then "
        "the provider has silently exchanged the model for a worse one. Only live outcomes can tell, and they did."
    )


def _further(record: DemoRecord, home: Path) -> Markup:
    place = f"--home {shlex.quote(str(home))}"
    kept = [("who changed what", f"audit log {place}")]
    kept.append(("whether that record is whole", f"audit verify {place}"))
    for figures, what in ((record.good, "the evolved DNA: origin, genes"), (record.bad, "the harmful one")):
        commit = RolloutView.read(figures.view).candidate if figures is not None else ""
        if commit:
            kept.append((what, f"dna show {shlex.quote(commit[:12])} {place}"))
    if isinstance(campaign := record.campaign.get("id"), str):
        kept.append(("the campaign", f"campaign show {shlex.quote(campaign)} {place}"))
    running = [
        ("start the platform on this home, unless it runs still", f"up --detach {place}"),
        ("what runs", f"status {place}"),
        ("the rollouts", f"rollout list {place}"),
        ("a word with it", f"chat 'Which of these numbers is a prime: 21, 27, 29?' {place}"),
        ("stop it", f"down {place}"),
    ]
    return join(
        [
            tag("p", "What is on the disk, whether the platform runs or not:"),
            _commands(kept),
            tag("p", "What needs the platform:"),
            _commands(running),
            tag("p", f"{count(len(record.lineage))} versions of DNA are in this home.") if record.lineage else None,
        ]
    )


def _commands(commands: Iterable[tuple[str, str]]) -> Markup:
    lines = [f"# {about}\nevolving-ai {command}" for about, command in commands]
    return tag("pre", tag("code", "\n".join(lines)))
