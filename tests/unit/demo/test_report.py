"""The report says what happened, in one file that needs nothing else, whatever was recorded and whoever wrote it."""

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from evolving_ai.demo.record import DemoRecord, TrafficSecond
from evolving_ai.demo.report import report_html, write_report
from evolving_ai.demo.report_style import STYLE
from evolving_ai.errors import StorageError
from tests.doubles.demo_records import demo_record

HOME = Path("/home/somebody/.evolving-ai-demo")
SECTIONS = ["policies", "front", "traffic", "gates", "good", "bad", "outage", "lineage", "further"]
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&\u202e\x00"
VOID = {"meta", "link", "br"}
MOST_BYTES = 400_000


class Page(HTMLParser):
    """Elements with their attributes, and all text; asserts that every element is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def attributes(self, name: str) -> Iterator[str]:
        return (value for _, attributes in self.elements if (value := attributes.get(name)) is not None)

    def sections(self) -> list[str]:
        return [str(attributes["id"]) for tag, attributes in self.elements if tag == "section"]


def page_of(record: DemoRecord) -> Page:
    return Page(report_html(record, HOME))


def rewritten(value: Any, write: Callable[[str], str]) -> Any:
    """The same record with other words; states, rails and moments stay what they are."""
    if isinstance(value, str):
        return value if re.fullmatch(r"[a-z_]*|\d{4}-\d\d-\d\dT.*", value) else write(value)
    if isinstance(value, dict):
        return {rewritten(key, write): rewritten(each, write) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(rewritten(each, write) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: rewritten(getattr(value, f.name), write) for f in dataclasses.fields(value)})
    return value


def test_a_whole_demonstration_has_every_part_and_every_link_leads_somewhere() -> None:
    page = page_of(demo_record())
    assert page.sections() == SECTIONS
    names = list(page.attributes("id"))
    assert len(set(names)) == len(names)
    links = [href for href in page.attributes("href") if href.startswith("#")]
    assert {f"#{name}" for name in SECTIONS} <= set(links)
    assert {href[1:] for href in links} <= set(names)
    assert {name for group in page.attributes("aria-labelledby") for name in group.split()} <= set(names)


def test_the_head_tells_what_happened_with_its_figures() -> None:
    record = demo_record()
    assert record.good is not None
    assert record.bad is not None
    words = page_of(record).words
    assert "A campaign of 120 candidates evolved a routing policy that scores 66.8 of 100 points" in words
    assert "24 % of the $0.254" in words
    assert (
        f"within the margins of quality (3.0 points), cost, latency and errors after {record.good.requests:,}" in words
    )
    assert f"after {record.bad.view['requests']['canary']} requests of its canary" in words
    assert "183 ms later every replica knew" in words


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"good": None}, {"good"}),
        ({"bad": None}, {"bad"}),
        ({"good": None, "bad": None}, {"good", "bad", "gates"}),
        ({"outage": None}, {"outage"}),
        ({"traffic": []}, {"traffic"}),
        ({"rows": []}, {"policies"}),
        ({"rows": [], "front": []}, {"policies", "front"}),
        ({"lineage": []}, {"lineage"}),
    ],
)
def test_what_did_not_happen_is_left_out(changes: dict[str, Any], gone: set[str]) -> None:
    page = page_of(replace(demo_record(), **changes))
    assert page.sections() == [name for name in SECTIONS if name not in gone]


def test_a_demonstration_that_ended_at_once_has_a_report() -> None:
    assert page_of(DemoRecord()).sections() == ["further"]


@pytest.mark.parametrize(("name", "state"), [("good", "rolled_back"), ("bad", "promoted"), ("good", "stopped")])
def test_a_rollout_that_ended_otherwise_is_not_praised(name: str, state: str) -> None:
    record = demo_record()
    figures = getattr(record, name)
    view = {**figures.view, "state": state, "reason": "because of that"}
    words = page_of(replace(record, **{name: replace(figures, view=view)})).words
    assert f"ended {state.replace('_', ' ')}: because of that." in words
    assert ("It went live by itself" in words) == (name != "good")
    assert ("later every replica knew" in words) == (name != "bad")


def test_a_veto_is_shown_with_its_reason_and_a_long_reason_is_folded() -> None:
    record = demo_record()
    assert record.bad is not None
    gate = {"name": "hold_out", "passed": False, "detail": "much worse " * 40 + "in the end", "figures": {}}
    record.bad = replace(record.bad, view={**record.bad.view, "gates": [gate]})
    page = page_of(record)
    seen, _, hidden = page.words.partition(" more much worse")
    assert "vetoed much worse" in seen
    assert "in the end" not in seen
    assert "in the end" in hidden
    assert "which every gate had let pass" not in page.words


def test_failed_requests_are_told() -> None:
    record = replace(demo_record(), traffic=[TrafficSecond(0, {"m": 90}, 7), TrafficSecond(1, {"m": 3}, 0)])
    record.failures = {"502 from the gateway": 7}
    words = page_of(record).words
    assert "93 answers in all, 7 failed requests." in words
    assert "502 from the gateway" in words


def test_what_others_wrote_is_text_and_never_markup() -> None:
    record = demo_record()
    page = page_of(rewritten(record, lambda words: words + HOSTILE))
    expected = {tag for tag, _ in page_of(record).elements}
    assert {tag for tag, _ in page.elements} <= expected
    assert not {name for _, attributes in page.elements for name in attributes if name.startswith("on")}
    assert "<script>alert(1)</script>" in page.words
    assert not {"\x00", "\u202e"} & set("".join(page.text))


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    text = report_html(demo_record(), HOME)
    page = Page(text)
    assert not {tag for tag, _ in page.elements} & {"script", "iframe", "object", "embed", "img", "form", "base"}
    assert "://" not in text.replace("xmlns", "")
    assert "@import" not in text
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {f"#{name}" for name in page.attributes("id")}
    assert all(href.startswith(("#", "data:,")) for href in page.attributes("href"))
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_page_is_small_however_much_was_recorded() -> None:
    record = demo_record()
    assert len(report_html(record, HOME).encode()) < MOST_BYTES / 2
    assert record.good is not None
    history = record.good.view["history"] * 20
    record.good = replace(record.good, view={**record.good.view, "history": history})
    record.bad = record.good
    record.candidates = record.candidates * 100
    record.traffic = [TrafficSecond(at_s, {f"m{n}": 20 for n in range(40)}, 1) for at_s in range(4_000)]
    record.lineage = record.lineage * 200
    record.marks = record.marks * 50
    assert len(report_html(record, HOME).encode()) < MOST_BYTES


def test_every_picture_and_table_can_be_heard() -> None:
    page = page_of(demo_record())
    pictures = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert pictures
    assert all(a.get("aria-labelledby") or a.get("aria-hidden") for a in pictures)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") > 0
    assert all(a.get("scope") in ("row", "col") for tag, a in page.elements if tag == "th")
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert dict(page.elements)["html"] == {"lang": "en"}


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_stand_out_from_what_they_stand_on(scheme: int) -> None:
    blocks = re.findall(r":root \{([^}]*)\}", STYLE)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme]))
    on_paper = ("ink", "quiet", "front", "winner", "reference", "cheapest", "bad")
    pairs = [(name, "paper") for name in on_paper] + [("quiet", "card"), ("ink", "card")]
    pairs += [(name, f"{name}-card") for name in ("good", "bad", "open")]
    assert {pair: ratio for pair in pairs if (ratio := contrast(colours[pair[0]], colours[pair[1]])) < 4.5} == {}
    lines = ("quality", "cost", "latency", "errors", "winner", "front")
    assert all(contrast(colours[name], colours["paper"]) >= 3 for name in lines)


def test_a_report_is_written_whole_and_names_its_home(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    home.mkdir()
    write_report(demo_record(), home / "report.html")
    text = (home / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</html>\n")
    assert f"audit verify --home '{home}'" in "".join(Page(text).text)
    assert [each.name for each in home.iterdir()] == ["report.html"]


def test_a_folder_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="create it first"):
        write_report(DemoRecord(), tmp_path / "none" / "report.html")
