"""The learner between control and the disk: where it goes on, what it answers, and what it survives."""

import asyncio
from pathlib import Path

import pytest

from evolving_ai.errors import PlatformError, UsageError
from evolving_ai.serving.envelope import pack, unpack
from evolving_ai.serving.learner.learner import Learner


class FakeControl:
    """Away, until the test says otherwise; it keeps the cursors that it was asked for."""

    def __init__(self) -> None:
        self.cursors: list[list[int]] = []

    async def call(self, method: str, payload: bytes, *, timeout_s: float = 10.0) -> bytes:
        self.cursors.append(unpack(payload).head["cursor"])
        raise PlatformError("control is away")


async def begin_and_end(home: Path) -> FakeControl:
    control = FakeControl()
    learner = Learner(home, control)
    await learner.start()
    await asyncio.sleep(0)
    learner.check()
    await learner.stop()
    learner.check()
    return control


@pytest.mark.parametrize(
    ("kept", "cursor"), [(None, [0, 0]), ('{"cursor": [7, 3]}', [7, 3]), ("{", [0, 0]), ('{"cursor": 5}', [0, 0])]
)
def test_it_goes_on_at_the_cursor_that_was_kept_or_begins_again(
    tmp_path: Path, kept: str | None, cursor: list[int]
) -> None:
    (tmp_path / "live").mkdir()
    if kept is not None:
        (tmp_path / "live" / "learned.json").write_text(kept)
    assert asyncio.run(begin_and_end(tmp_path)).cursors == [cursor]


def test_it_asks_for_no_outcomes_where_the_settings_say_that_nothing_is_learned(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("learning: false\n")
    assert asyncio.run(begin_and_end(tmp_path)).cursors == []


def test_it_answers_nothing_but_fits(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no method 'drop'"):
        asyncio.run(Learner(tmp_path, FakeControl()).call("drop", pack({})))


def test_a_learner_that_never_began_can_be_ended(tmp_path: Path) -> None:
    learner = Learner(tmp_path, FakeControl())
    asyncio.run(learner.stop())
    learner.check()
