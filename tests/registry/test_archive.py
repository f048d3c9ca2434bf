"""What the Comfy Registry publishes: runtime files only, and nothing in them to be abused."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = {
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "__init__.py",
    "demo",
    "detour",
    "example_workflows",
    "install.py",
    "js",
    "locales",
    "nodes",
    "pyproject.toml",
    "requirements.txt",
}
ENDINGS = {".py", ".js", ".json", ".md", ".jpg", ".png", ".safetensors", ".toml", ".txt", ""}
BANNED_MODULES = {
    "_pickle",
    "aiohttp",
    "asyncio",
    "cloudpickle",
    "code",
    "codeop",
    "ctypes",
    "dill",
    "ftplib",
    "http",
    "httpx",
    "joblib",
    "marshal",
    "multiprocessing",
    "pickle",
    "pip",
    "pty",
    "requests",
    "runpy",
    "shelve",
    "socket",
    "socketserver",
    "ssl",
    "subprocess",
    "telnetlib",
    "urllib",
    "webbrowser",
    "xmlrpc",
}
"""Programs, the network, and formats that can hold a program."""
BANNED_CALLS = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
BANNED_OF_OS = re.compile(r"^(system|popen|exec|spawn|fork|posix_spawn|startfile)")
LONGEST_LINE = 400
"""Characters: longer lines are what minified or encoded programs have."""


def sources(archive: Path, ending: str) -> Iterator[tuple[str, str]]:
    """Name and text of the files with an ending."""
    for file in sorted(archive.rglob(f"*{ending}")):
        yield file.relative_to(archive).as_posix(), file.read_text(encoding="utf-8")


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """The calls in a program, by the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a program names in import statements, by their first part."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).split(".")[0]


def complaints(name: str, text: str) -> list[str]:
    """What the registry would object to in one Python file."""
    tree = ast.parse(text, name)
    found = [f"imports {module}" for module in imported(tree) if module in BANNED_MODULES]
    for called, node in calls(tree):
        first, _, rest = called.partition(".")
        if called in BANNED_CALLS or (first == "os" and BANNED_OF_OS.match(rest)):
            found.append(f"line {node.lineno}: {called}")
        whole = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if called == "torch.load" and whole.get("weights_only") != "True":
            found.append(f"line {node.lineno}: torch.load without weights_only=True")
        named = node.args and isinstance(node.args[0], ast.Constant | ast.Name)
        if called.endswith("import_module") and not named:
            found.append(f"line {node.lineno}: a module by a computed name")
    return [f"{name} {one}" for one in found]


def test_only_what_runs_in_a_host_is_in_it(archive):
    assert {path.name for path in archive.iterdir()} == TOP
    files = [path for path in archive.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= ENDINGS
    assert not [path for path in files if path.name.startswith((".", "test_", "conftest"))]
    assert sum(path.stat().st_size for path in files) < 16 * 2**20
    assert len(list(archive.glob("js/docs/*.md"))) > 10
    assert {path.name for path in archive.glob("demo/*.py")} <= {
        "__init__.py",
        "faces.py",
        "parts.py",
        "probe_faces.py",
        "tiny.py",
        "words.py",
    }


def test_no_program_starts_others_calls_out_or_evaluates_text(archive):
    found = [one for name, text in sources(archive, ".py") for one in complaints(name, text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "import subprocess",
        "from urllib.request import urlopen",
        "import os; os.system('x')",
        "import os; os.posix_spawn('x', [], {})",
        "eval('1')",
        "import torch; torch.load('x')",
        "import torch; torch.load('x', weights_only=False)",
        "import importlib; importlib.import_module('sub' + 'process')",
        "def late():\n    import pickle",
    ],
)
def test_that_check_would_object(line):
    assert complaints("x.py", line)


def test_the_pages_scripts_stay_on_the_page(archive):
    scripts = list(sources(archive, ".js"))
    assert len(scripts) > 8
    for name, text in scripts:
        assert not re.search(r"\beval\(|new Function|document\.write|innerHTML", text), name
        assert not re.search(r"\bfrom\s+[\"'](?!\.)|import\(", text), f"{name}: imports elsewhere"
        fetched = re.findall(r"fetch\(([^)]*)", text)
        assert all("import.meta.url" in address for address in fetched), name
        assert not re.search(r"WebSocket|XMLHttpRequest|sendBeacon|https?://(?!www\.w3\.org)", text)


def test_every_line_can_be_read_by_people(archive):
    for ending in (".py", ".js"):
        for name, text in sources(archive, ending):
            longest = max(map(len, text.splitlines()), default=0)
            assert longest <= LONGEST_LINE, f"{name}: a line of {longest} characters"


def test_the_registrys_own_check_is_content(tool, checkout):
    told = tool("comfy", "--skip-prompt", "node", "validate", folder=checkout)
    assert "All validation checks passed" in told
    assert not re.search(r"S102|S307|E702|warning", told, re.IGNORECASE), told


def test_every_symbol_of_the_host_that_is_used_is_there(
    tool, archive, host, tmp_path, as_repository
):
    clone = tmp_path / "cache" / "ComfyUI"
    for part in ("comfy", "comfy_api", "comfy_execution", "comfy_extras"):
        skip = shutil.ignore_patterns("*.json", "*.txt", "__pycache__", "*.model")
        shutil.copytree(host / part, clone / part, ignore=skip)
    for file in host.glob("*.py"):
        shutil.copy2(file, clone)
    as_repository(clone)
    (tmp_path / "comfy" / "custom_nodes").mkdir(parents=True)
    shutil.copytree(archive, tmp_path / "comfy" / "custom_nodes" / "detour")
    told = tool(
        "comfy-import-guard",
        *("--cache-dir", str(clone.parent), "--offline", "--json"),
        *("check", "--comfy-dir", str(tmp_path / "comfy"), "--target", "HEAD", "--strict"),
        folder=tmp_path,
    )
    (found,) = json.loads(told[told.index("{") : told.rindex("}") + 1])["packs"]
    assert found["references"] > 20
    assert found["verdict"] == "SAFE", told
    assert not found["breaking"] + found["signature_drift"] + found["unresolvable"]
