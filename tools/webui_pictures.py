"""The pictures of docs/webui.md, from screenshots that the tests of the pages leave in a folder:

DETOUR_PANEL_PICTURES=FOLDER python dev.py test -- tests/webui
python -m tools.webui_pictures FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parents[1] / "docs"
WIDTH = 900
PICTURES = {
    "webui-panel.png": "panel-4.*-more.png",
    "webui-mend.png": "wizard-4.*-mended.png",
    "webui-tab.png": "tab-4.*-neutralized.png",
}
"""What a picture is called, and which screenshot it is."""


def main(folder: Path) -> None:
    """Write each picture, `WIDTH` wide and with a palette.

    Raises ValueError if a screenshot is missing from `folder`.
    """
    for name, pattern in PICTURES.items():
        found = sorted(folder.glob(pattern))
        if not found:
            raise ValueError(f"{folder} has no {pattern}; run the tests of tests/webui first.")
        shot = Image.open(found[-1]).convert("RGB")
        size = (WIDTH, round(shot.height * WIDTH / shot.width))
        small = shot.resize(size, Image.Resampling.LANCZOS)
        small.quantize(256, Image.Quantize.FASTOCTREE).save(DOCS / name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
