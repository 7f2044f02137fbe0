"""The report in a real browser: nothing is blocked, cut off or covered, in light and dark, wide and narrow.

The page itself runs no script. Where a test has to measure what the browser laid out, it measures a copy.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from evolving_ai.demo.report import write_report
from tests.doubles.demo_records import demo_record

CHROMIUM = shutil.which("chromium")
SCREENS = [(500, "screen"), (1100, "screen"), (690, "print")]  # the last is A4 within its margins
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
MEASURE = """
const outside = [], covered = [];
for (const plot of document.querySelectorAll("svg.plot")) {
  const frame = plot.getBoundingClientRect();
  const said = [...plot.querySelectorAll("text.said")].filter(text => !text.classList.contains("harmful"));
  for (const text of plot.querySelectorAll("text")) {
    const box = text.getBoundingClientRect();
    if (box.left < frame.left || box.right > frame.right + 0.5 || box.top < frame.top || box.bottom > frame.bottom)
      outside.push(text.textContent);
  }
  said.forEach((one, at) => said.slice(at + 1).forEach(other => {
    const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
    if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
      covered.push([one.textContent, other.textContent]);
  }));
}
const root = document.documentElement;
document.title = JSON.stringify({outside, covered, width: root.scrollWidth, room: root.clientWidth,
  plots: document.querySelectorAll("svg.plot").length});
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
def report(tmp_path: Path) -> Path:
    write_report(demo_record(), tmp_path / "report.html")
    return tmp_path / "report.html"


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Show a page, in a profile of its own."""
    assert CHROMIUM is not None
    profile = page.parent / "profile"
    environment = {**os.environ, "HOME": str(page.parent)}
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *options, page.as_uri()]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)


def test_the_page_is_shown_whole_and_the_browser_refuses_nothing(report: Path) -> None:
    shown = browse(report, "--enable-logging=stderr", "--dump-dom")
    assert len(re.findall(r"<section ", shown.stdout)) == 9
    assert "Content Security Policy" not in shown.stderr
    assert "CONSOLE" not in shown.stderr


@pytest.mark.parametrize(("setting", "paper"), [(1, (255, 255, 255)), (0, (18, 22, 27))], ids=["light", "dark"])
def test_the_page_follows_the_colour_scheme_of_its_reader(report: Path, setting: int, paper: tuple[int, ...]) -> None:
    from matplotlib.image import imread

    picture = report.with_name("page.png")
    browse(
        report, f"--blink-settings=preferredColorScheme={setting}", "--window-size=900,700", f"--screenshot={picture}"
    )
    pixels = imread(picture)
    assert pixels.shape[:2] == (700, 900)
    assert tuple(round(float(part) * 255) for part in pixels[3, 3, :3]) == paper
    assert len({tuple(pixel) for pixel in pixels[::7, ::7].reshape(-1, pixels.shape[2]).tolist()}) > 20


@pytest.mark.parametrize(("width", "medium"), SCREENS)
def test_no_words_are_cut_off_or_covered_and_the_page_is_as_wide_as_its_medium(
    report: Path, width: int, medium: str
) -> None:
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    text, removed = policy.subn("", report.read_text(encoding="utf-8"))
    assert removed == 1
    if medium == "print":
        text = text.replace("@media screen", "@media not all").replace("@media print", "@media screen")
    copy = report.with_name("measured.html")
    copy.write_text(text.replace("</body>", f"<script>{MEASURE}</script></body>"), encoding="utf-8")
    shown = browse(copy, f"--window-size={width},900", "--dump-dom").stdout
    title = re.search(r"<title>(\{.*?\})</title>", shown)
    assert title is not None
    found = json.loads(title[1])
    assert found["plots"] == 6
    assert found["outside"] == []
    assert found["covered"] == []
    assert found["width"] <= found["room"]


def test_the_page_can_be_printed(report: Path) -> None:
    printed = report.with_name("report.pdf")
    browse(report, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    document = printed.read_bytes()
    assert document.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", document)) <= 14
