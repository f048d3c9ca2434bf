"""The pages that people read, and what is quoted in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>.+?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with the comment above it and the word behind its fence."""

    page: str
    mark: str
    kind: str
    lines: tuple[str, ...]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    return [
        Block(page.name, found["mark"] or "", found["kind"], tuple(found["text"].splitlines()))
        for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))
