"""`dev.py train --draw`: what it needs is named, and what fails leaves the sheet as it is."""

from __future__ import annotations

import stat

import pytest

from demo import train
from demo.parts import SHEET


@pytest.mark.parametrize(
    ("programs", "told"),
    [
        ({}, "node was not found"),
        ({"node": "exit 0", "npm": "echo no net >&2; exit 7"}, "status 7"),
    ],
)
def test_without_node_or_the_net_it_ends_in_a_sentence(
    programs, told, tmp_path, monkeypatch, capsys
):
    for name, script in programs.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    before = SHEET.read_bytes()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["train", "--draw"])
    assert train.main() == 1
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith("Error: ") and told in printed
    assert ("no net" in printed) == bool(programs) and SHEET.read_bytes() == before
