"""README and ARCHITECTURE: read to the end by the people they are for, and never out of date."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from doc_pages import PAGES, README, ROOT, blocks

LONGEST = 150
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
NODE_ROW = re.compile(r"^\| \[(.+?)\]\(js/docs/(\w+)\.md\) \| (.+) \|$", re.M)
PATH = re.compile(r"`([\w./]+(?:/|\.(?:py|md|json|js)))`")


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as the sites make them."""
    headings = (re.sub(r"[^\w\- ]", "", heading).lower() for heading in HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in headings}


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_a_picture_comes_before_any_text():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Detour" and lines[2].startswith("![")


def test_the_table_names_every_node_as_it_is_called():
    words = json.loads((ROOT / "locales/en/nodeDefs.json").read_text(encoding="utf-8"))
    rows = NODE_ROW.findall(README.read_text(encoding="utf-8"))
    assert {node: name for name, node, _ in rows} == {
        node: texts["display_name"] for node, texts in words.items()
    }
    assert len(rows) == len(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / unquote(place) if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_every_page_is_reached_from_the_readme():
    linked = {unquote(link) for link in LINK.findall(README.read_text(encoding="utf-8"))}
    pages = {page.relative_to(ROOT).as_posix() for page in PAGES if page != README}
    assert pages <= linked


def test_the_two_import_lines_are_the_ones_that_scripts_use():
    (script,) = [block for block in blocks(README) if block.kind == "python"]
    assert script.lines[:2] == (
        "from detour.diffusers import mid_block_bypass",
        "from detour.schedule import Schedule",
    )


def test_the_readme_has_the_two_commands():
    commands = [line.split("#")[0].strip() for block in blocks(README) for line in block.lines]
    assert {"python dev.py demo", "python dev.py test"} <= set(commands)


def test_templates_that_the_readme_names_are_there():
    text = README.read_text(encoding="utf-8")
    templates = {path.stem for path in (ROOT / "example_workflows").glob("*.json")}
    named = re.findall(r"\*((?:Tiny|SD|SDXL|Who|With) [^*]+?)\*(?!\*)", text)
    assert named and set(named) <= templates


def test_every_path_of_the_map_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folder, lost = ROOT, []
    for line in text.splitlines():
        row = re.match(r"\| `([\w/]+/)`", line)  # names in a row of the tree are of its folder
        folder = ROOT / row[1] if row else ROOT
        for path in PATH.findall(line):
            if not (ROOT / path).exists() and not (folder / path).exists():
                lost.append(path)
    assert lost == []


def test_the_map_names_every_folder_of_code():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/__init__.py")}
    packages |= {
        path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("detour/*/__init__.py")
    }
    assert [package for package in sorted(packages) if f"`{package}/`" not in text] == []
