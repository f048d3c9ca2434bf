"""Draw `parts.png` anew: `python dev.py train --draw`. Needs Node with npm; nothing else does."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tools.failure import Failure

from .parts import PARTS, SHEET, SIZE

SCRIPT = Path(__file__).with_name("draw_parts.mjs")
PACKAGES = ("@dicebear/core@9.4.3", "@dicebear/pixel-art@9.4.3", "@resvg/resvg-js@2.6.2")


def draw_parts() -> Path:
    """Fetch the packages into a temporary folder, draw, and write the sheet; its path.

    Raises Failure without Node or npm, or if one of them fails.
    """
    node, npm = (_program(name) for name in ("node", "npm"))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(SCRIPT, folder)
        install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        _run(install, folder)
        drawn = _run([node, SCRIPT.name, json.dumps(PARTS)], folder)
    tiles = [_tile(*pair) for pair in json.loads(drawn).values()]
    partial = SHEET.with_suffix(".partial")
    Image.fromarray(np.concatenate(tiles, axis=1)).save(partial, "PNG", optimize=True)
    return partial.replace(SHEET)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Failure(f"{name} was not found; drawing the parts needs Node 18 or newer with npm.")
    return found


def _run(command: list[str], folder: str) -> str:
    """What the command says on its standard output."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{Path(command[0]).stem} ended with status {done.returncode}.", done.stderr)
    return done.stdout


def _tile(in_black: str, in_white: str) -> np.ndarray:
    """Brightness in black, gain in white and cover of one part, `[16, 16, 3]` of bytes."""
    dark, light = (
        np.frombuffer(base64.b64decode(drawn), np.uint8).reshape(SIZE, SIZE, 4)
        for drawn in (in_black, in_white)
    )
    return np.stack([dark[..., 0], light[..., 0] - dark[..., 0], dark[..., 3]], axis=-1)
