"""What `demo` shows where there is no terminal: steps and findings as lines, the rest now and then."""

import pytest

from evolving_ai._common.clock import ManualClock
from evolving_ai.cli.commands.demo import DemoView


def test_steps_and_findings_are_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    with DemoView(clock) as view:
        clock.advance(3)
        view.begin(2, 7, "Ask questions")
        view.tell("an answer\x1b[31m")

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "2/7 Ask questions (3 s)\n    an answer\\x1b[31m\n"


def test_how_it_stands_is_a_line_every_ten_seconds_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    with DemoView(clock) as view:
        for second in range(31):
            view.show(f"second {second}")
            clock.advance(1)

    assert capsys.readouterr().err.split() == ["second", "10", "second", "20", "second", "30"]
