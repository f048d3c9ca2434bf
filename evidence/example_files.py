"""`python dev.py examples`: what two of the example workflows need, put into a ComfyUI.

MobileNetV2 for "MobileNetV2 new head", and photos without and with ImageNet-W's watermark for
"ImageNet carton shortcut": the same crops that `dev.py evidence spurious` measures.
"""

from __future__ import annotations

import argparse
import csv
import filecmp
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image

from tools.environment import make_folder
from tools.failure import Failure, say

from .features import mobilenet_file
from .watermark import CROPS, add_watermark, crops, photo_files

MOBILENET, CARTON_FOLDER = "mobilenet_v2.pth", "carton"
"""Where the templates look for them."""
METADATA = "metadata.csv"
SIDES = ("plain", "watermark")
NO_WATERMARK = (
    "The package imagenet-w is not installed, so there are no photos with its watermark; only the "
    "template 'ImageNet carton shortcut' needs them."
)
LEFT = "{} is {}, and was left as it is. To get Detour's, rename it and run this again."
TEMPLATES = (
    "They are for the templates 'MobileNetV2 new head' and 'ImageNet carton shortcut' (Templates > "
    "Extensions > detour)."
)


def main(arguments: list[str]) -> int:
    """Write the files into the folder that is named, and say what was done; the exit status."""
    parser = argparse.ArgumentParser(prog="dev.py examples")
    parser.add_argument("base", type=Path, help="the folder with models/ and input/")
    base = parser.parse_args(arguments).base
    try:
        for told in (write_model(base), write_photos(base, add_watermark()), TEMPLATES):
            say(told)
    except Failure as failure:
        say(f"Error: {failure}")
    except OSError as error:
        say(f"Error: {error.strerror or error} ({error.filename}).")
    else:
        return 0
    return 1


def write_model(base: Path) -> str:
    """MobileNetV2 under the name that the workflows look for; what was done, in a sentence.

    Another file of that name is left as it is.
    """
    source, target = mobilenet_file(), base / "models" / "image_classifiers" / MOBILENET
    if target.exists():
        if not filecmp.cmp(source, target, shallow=False):
            return LEFT.format(target, "another file")
        return f"MobileNetV2 is there already: {target}"
    make_folder(target.parent)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return f"MobileNetV2 was written: {target}"


def write_photos(
    base: Path, mark: Callable[[Image.Image], Image.Image] | None, count: int = CROPS
) -> str:
    """`count` crops of every photo, plain and with the mark; what was done, in a sentence.

    `metadata.csv` names the photo of each crop as its unit, so that all crops of a photo stay
    on one side of a split. Which side is left to the node: its `split_seed` then shows how much
    depends on the photos. The folder appears whole; one with other files is left as it is.
    """
    if mark is None:
        return NO_WATERMARK
    photos, target = photo_files(), base / "input" / CARTON_FOLDER
    table = metadata((photo.stem for photo in photos), count)
    if target.exists():
        if not is_whole(target, table):
            return LEFT.format(target, "another set of files")
        return f"The photos are there already: {target}"
    work = Path(tempfile.mkdtemp(prefix=".carton-", dir=make_folder(target.parent)))
    try:
        made = work / CARTON_FOLDER
        for side in SIDES:
            (made / side).mkdir(parents=True)
        for photo in photos:
            for number, plain in enumerate(crops(photo, count)):
                for side, picture in zip(SIDES, (plain, mark(plain)), strict=True):
                    picture.save(made / picture_name(side, photo.stem, number))
        (made / METADATA).write_text(table, encoding="utf-8", newline="")
        made.replace(target)
    finally:
        shutil.rmtree(work)
    return (
        f"{len(photos)} photos, {count} crops of each, without and with the watermark, were "
        f"written: {target}"
    )


def picture_name(side: str, photo: str, number: int) -> str:
    """Where a crop lies; without and with the mark it has the same name."""
    return f"{side}/{photo} {number:02}.png"


def metadata(photos: Iterable[str], count: int) -> str:
    """The text of `metadata.csv`: each picture, whether it has the mark, and its photo."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("img_filename", "attribute", "unit"))
    for photo in photos:
        for number in range(count):
            table.writerows((picture_name(side, photo, number), side, photo) for side in SIDES)
    return text.getvalue()


def is_whole(folder: Path, table: str) -> bool:
    """Whether a folder has just this table and all pictures that it names."""
    file = folder / METADATA
    if not file.is_file() or file.read_text(encoding="utf-8") != table:
        return False
    names = [row["img_filename"] for row in csv.DictReader(io.StringIO(table))]
    return all((folder / name).is_file() for name in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
