"""Every node has a page of help for the host's panel, and the words that it is searched by."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "js" / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))
NAMED = re.compile(r"\*\*(.+?)\*\*|`(.+?)`")


@pytest.fixture(scope="module")
def nodes(object_info):
    """Our nodes as the host describes them."""
    return {
        name: info
        for name, info in object_info.items()
        if info["python_module"] == "custom_nodes.detour"
    }


def test_every_node_has_its_page_and_no_page_is_left_over(nodes):
    assert sorted(nodes) == PAGES


@pytest.mark.parametrize("node", PAGES)
def test_a_page_names_every_input(node, nodes):
    text = (DOCS / f"{node}.md").read_text(encoding="utf-8")
    marked = " ".join(bold or code for bold, code in NAMED.findall(text))
    named = set(re.findall(r"\w+", marked))
    inputs = nodes[node]["input_order"]
    shown = [*inputs.get("required", ()), *inputs.get("optional", ())]
    assert [name for name in shown if name not in named] == []


@pytest.mark.parametrize("node", PAGES)
def test_the_host_serves_the_page_where_its_panel_looks(node, server):
    address = f"{server.url}/extensions/detour/docs/{node}.md"
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == (DOCS / f"{node}.md").read_bytes()


def test_a_host_that_searches_by_other_words_gets_them(nodes):
    """ComfyUI 0.3.75 sends none; `nodes/schema.py` leaves them out there."""
    sent = [info["search_aliases"] for info in nodes.values() if "search_aliases" in info]
    if not sent:
        pytest.skip("This ComfyUI sends no words to search by.")
    assert len(sent) == len(nodes) and all(sent)
