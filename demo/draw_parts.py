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

from .parts import PARTS, SHEET, SIZE

SCRIPT = Path(__file__).with_name("draw_parts.mjs")
PACKAGES = ("@dicebear/core@9.4.3", "@dicebear/pixel-art@9.4.3", "@resvg/resvg-js@2.6.2")


def draw_parts() -> Path:
    """Fetch the packages into a temporary folder, draw, and write the sheet; its path.

    Raises FileNotFoundError without Node or npm, CalledProcessError if one of them fails.
    """
    node, npm = (_program(name) for name in ("node", "npm"))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(SCRIPT, folder)
        install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        subprocess.run(install, cwd=folder, check=True)
        drawn = subprocess.run(
            [node, SCRIPT.name, json.dumps(PARTS)], cwd=folder, check=True, capture_output=True
        )
    tiles = [_tile(*pair) for pair in json.loads(drawn.stdout).values()]
    partial = SHEET.with_suffix(".partial")
    Image.fromarray(np.concatenate(tiles, axis=1)).save(partial, "PNG", optimize=True)
    return partial.replace(SHEET)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} was not found: --draw needs Node 18 or newer with npm.")
    return found


def _tile(in_black: str, in_white: str) -> np.ndarray:
    """Brightness in black, gain in white and cover of one part, `[16, 16, 3]` of bytes."""
    dark, light = (
        np.frombuffer(base64.b64decode(drawn), np.uint8).reshape(SIZE, SIZE, 4)
        for drawn in (in_black, in_white)
    )
    return np.stack([dark[..., 0], light[..., 0] - dark[..., 0], dark[..., 3]], axis=-1)
