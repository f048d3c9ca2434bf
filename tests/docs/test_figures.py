"""Figures in the pages are lines that a command printed, and are said anew from what it wrote.

A quoted block has a comment above it: `<!-- COMMAND: FILE -->` with the file that the command's
`--json` wrote, or `<!-- COMMAND, printed on DAY -->` where there is none to keep (timings).
"""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stdout
from typing import Any

import pytest
from doc_pages import PAGES, ROOT, Block, blocks, prose

pytest.importorskip("timm", reason="the evidence's packages come with dev.py test")

from demo import run as demo
from evidence import architectures, tables
from evidence.architectures import Outcome
from evidence.dial import conclusion as dial_conclusion
from evidence.dial import depth_results
from evidence.dial import results as dial_results
from evidence.real import tables as real_tables
from evidence.removal import PRIVACY
from evidence.targets import Target
from tools import gpu

KEPT = re.compile(r"(?P<command>python dev\.py .+): (?P<file>docs/\S+\.json)")
DATED = re.compile(r"python dev\.py .+, printed on \d{1,2} [A-Z][a-z]+ \d{4}")
NO_FIGURES = ("sh", "python", "text")
PERCENT = re.compile(r"(\d[\d.,]*) ?%")


def demo_lines(figures: dict[str, Any]) -> None:
    """Print what `dev.py demo` prints of its figures."""
    for before, row in zip([None, *figures["rows"]], figures["rows"], strict=False):
        demo.print_row(row, before)
    demo.verdict(figures["rows"])


def spurious_lines(figures: dict[str, Any]) -> None:
    """Print what `dev.py evidence spurious` prints of its figures."""
    tables.print_watermark(
        figures["watermark_edit"], figures["watermark"], figures["watermark_photos"]
    )
    tables.print_splits(figures["watermark_splits"])
    tables.print_rows(figures["rows"])
    tables.print_gaps(figures["gap_closed"], figures["differences"])
    tables.print_few(figures["few_probes"])
    tables.print_removal(figures["removal"])
    tables.say(PRIVACY)
    for told in figures["targets"]:
        tables.say(Target(**{name: told[name] for name in told if name != "met"}).line)


def real_lines(figures: dict[str, Any]) -> None:
    """Print what `dev.py evidence real` prints of its figures."""
    real_tables.print_all(figures)


def dial_lines(figures: dict[str, Any]) -> None:
    """Print what `dev.py evidence dial` prints of its figures."""
    dial_results.report(figures["rows"], print)


def range_lines(figures: dict[str, Any]) -> None:
    """Print what `dev.py evidence dial --transformers` prints of its figures."""
    dial_conclusion.report(figures, print)


def depth_lines(figures: dict[str, Any]) -> None:
    """Print what `dev.py evidence depth` prints of its figures."""
    depth_results.report(figures, print)


def networks(figures: dict[str, Any]) -> list[Outcome]:
    return [Outcome(**network) for network in figures["networks"]]


def architecture_lines(figures: dict[str, Any]) -> None:
    """Print what `dev.py evidence architectures` prints of its figures."""
    for outcome in networks(figures):
        tables.say(architectures.line(outcome))
    for library, words in architectures.summary(networks(figures)).items():
        tables.say(f"{library}: {words}")


SAYS = {
    "python dev.py demo": demo_lines,
    "python dev.py evidence spurious": spurious_lines,
    "python dev.py evidence real": real_lines,
    "python dev.py evidence dial": dial_lines,
    "python dev.py evidence dial --transformers": range_lines,
    "python dev.py evidence depth": depth_lines,
    "python dev.py evidence architectures": architecture_lines,
    "python dev.py gpu": gpu.tell,
}


def said(command: str, figures: dict[str, Any]) -> list[str]:
    """The lines of a command for its figures."""
    with redirect_stdout(io.StringIO()) as printed:
        SAYS[command](figures)
    return printed.getvalue().splitlines()


def not_said(quoted: tuple[str, ...], lines: list[str]) -> list[str]:
    """The quoted lines that do not come, in this order, among the lines that were said."""
    left, missing = iter(lines), []
    for line in filter(None, quoted):
        if line not in left:  # goes on behind the last one that was found
            missing.append(line)
            left = iter(lines)
    return missing


def quoted(kind: re.Pattern[str]) -> list[tuple[Block, re.Match[str]]]:
    found = [(block, kind.fullmatch(block.mark)) for page in PAGES for block in blocks(page)]
    return [(block, match) for block, match in found if match]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_names_the_command_that_printed_it(page):
    for block in blocks(page):
        told = KEPT.fullmatch(block.mark) or DATED.fullmatch(block.mark)
        assert bool(told) != (block.kind in NO_FIGURES), f"{page.name}: {block.lines[0]}"


def test_every_kept_result_is_quoted():
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.json")}
    hosts = {path.relative_to(ROOT).as_posix() for path in HOSTS}
    assert {match["file"] for _, match in quoted(KEPT)} == files - hosts


@pytest.mark.parametrize(
    ("block", "match"), quoted(KEPT), ids=lambda value: getattr(value, "page", "")
)
def test_the_quoted_lines_are_what_the_command_says_of_its_file(block, match):
    figures = json.loads((ROOT / match["file"]).read_text(encoding="utf-8"))
    assert not_said(block.lines, said(match["command"], figures)) == []


def test_a_changed_figure_or_order_would_be_found():
    lines = ["a 1", "b 2", "", "c 3"]
    assert not_said(("a 1", "", "c 3"), lines) == []
    assert not_said(("a 1", "b 3"), lines) == ["b 3"]
    assert not_said(("c 3", "a 1"), lines) == ["a 1"]


def test_a_percentage_in_the_text_stands_in_a_block_of_its_page():
    page = ROOT / "docs" / "measured.md"
    shown = {number for block in blocks(page) for number in PERCENT.findall("\n".join(block.lines))}
    assert [number for number in PERCENT.findall(prose(page)) if number not in shown] == []


def test_networks_that_are_not_read_are_named_with_their_size():
    text = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
    figures = json.loads((ROOT / "docs" / "architectures.json").read_text(encoding="utf-8"))
    listed = set(re.findall(r"\b(?:torchvision|timm|transformers):\w+", text))
    assert listed == {one.network for one in networks(figures) if one.verdict != "read"}
    sizes = dict(re.findall(r"((?:torchvision|timm|transformers):\w+) \((\d+) M\)", text))
    large = {one.network: one.parameters for one in networks(figures) if one.network in sizes}
    assert sizes == {name: f"{count / 1e6:.0f}" for name, count in large.items()}


HOSTS = sorted((ROOT / "docs" / "results").glob("host-*.json"))


@pytest.mark.parametrize("path", HOSTS, ids=lambda path: path.stem)
def test_the_table_of_hosts_has_the_counts_of_a_kept_run(path):
    figures = json.loads(path.read_text(encoding="utf-8"))
    counts = [str(figures[name]) for name in ("passed", "failed", "skipped")]
    text = (ROOT / "docs" / "hosts.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert any(row[:1] == [figures["host"]["version"]] and row[3:6] == counts for row in rows)
