"""Folders of probes: tables, sub-folders, and pictures that are none."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostile import TEXTS, damaged
from PIL import Image
from watch import Case, Make

from detour.probes.folder import read_folder
from detour.probes.pictures import make_thumbnail
from detour.report.probes import describe_probes, preview

HEADER = ("filename", "y", "a", "split", "unit")
HEADERS = (
    *("img_filename", "file_name", "class", "label", "place", "attribute", "Filename", "Y"),
    *("filename", "", " ", "x"),
)
ENDINGS = (".png", ".jpg", ".gif", ".webp", ".tif", ".bmp", ".ppm", ".tga", ".txt", ".eps", "")


@contextmanager
def opened(_folder: Path) -> Iterator[Make]:
    """The generator."""
    pictures = {}
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM"):
        file = io.BytesIO()
        Image.new("RGB", (9, 7), (200, 30, 60)).save(file, kind)
        pictures[kind] = file.getvalue()
    yield lambda draw, place: _case(draw, place, pictures)


def _case(draw: random.Random, place: Path, pictures: dict[str, bytes]) -> Case:
    folder = place / "probes"
    folder.mkdir()
    kind = draw.choice(("table", "table", "tree", "tree", "pictures"))
    names = [f"{number}.png" for number in range(draw.choice((1, 4, 12)))]
    if kind == "tree":
        _tree(draw, folder, pictures)
    else:
        for name in names:
            odd = draw.random() < 0.3 and kind == "pictures"
            data = _picture(draw, pictures) if odd else pictures["PNG"]
            (folder / name).write_bytes(data)
        table = _table(draw, names, kind == "table")
        (folder / "metadata.csv").write_bytes(table)
        if draw.random() < 0.1:
            _odd_file(draw, folder / draw.choice((*names, "metadata.csv", "x.png")))
    return Case(f"probes {kind}", lambda: _use(folder))


def _use(folder: Path) -> None:
    """Read the folder, say what is in it, look at every picture."""
    probes = read_folder(folder)
    describe_probes(probes)
    preview(probes)
    for source in probes.sources:
        make_thumbnail(source)


def _table(draw: random.Random, names: list[str], hostile: bool) -> bytes:
    """A metadata.csv, with cells and columns of every kind if it is hostile."""
    header = list(HEADER)
    values = [[name, str(n % 2), "no" if n % 3 else "yes", "", ""] for n, name in enumerate(names)]
    if hostile:
        for _ in range(draw.choice((1, 1, 2, 4))):
            row = draw.choice((header, *values))
            act, text = draw.randrange(7), draw.choice(TEXTS)
            column = draw.randrange(len(row)) if row else 0
            if act == 0:
                row.append(text)
            elif act == 1:
                del row[column:]
            elif act == 2 and header:
                header[draw.randrange(len(header)) :] = [draw.choice(HEADERS)]
            elif act == 3:
                values.append(list(draw.choice(values)))
            elif row:
                row[column] = draw.choice((text, "train", "7", "a b", "../1.png", names[0]))
    comma = draw.choice((",", ",", ",", ";", "\t")) if hostile else ","
    lines = [comma.join(_cell(draw, cell, hostile) for cell in row) for row in (header, *values)]
    data = draw.choice(("\n", "\r\n", "\n\n")).join(lines).encode("utf-8", "surrogatepass")
    if hostile and draw.random() < 0.2:
        data = damaged(draw, data)
    return draw.choice((b"", b"", b"\xef\xbb\xbf", b"\xff\xfe" if hostile else b"")) + data


def _cell(draw: random.Random, cell: str, hostile: bool) -> str:
    if any(sign in cell for sign in ',"\r\n') and draw.random() < 0.8:
        return '"' + cell.replace('"', '""') + '"'
    return f'"{cell}' if hostile and draw.random() < 0.01 else cell


def _tree(draw: random.Random, folder: Path, pictures: dict[str, bytes]) -> None:
    """Sub-folders of any depth and name, with files of any kind in them."""
    words = ("nurse", "builder", "long hair", "no", "yes", "right", "wrong", "0", ".git", "ä", "ä")
    for _ in range(draw.choice((1, 4, 12))):
        depth = draw.choice((0, 1, 2, 2, 2, 3))
        odd = [word for word in TEXTS if word.isprintable() and "/" not in word and len(word) < 99]
        parts = [draw.choice(words if draw.random() < 0.9 else odd) or "x" for _ in range(depth)]
        below = folder.joinpath(*parts)
        try:
            below.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        file = below / f"{draw.randrange(6)}{draw.choice((*ENDINGS, '.png', '.png', '.png'))}"
        if file.exists() or file.is_symlink():
            continue
        if draw.random() < 0.1:
            _odd_file(draw, file)
        else:
            hostile = draw.random() < 0.2
            file.write_bytes(_picture(draw, pictures) if hostile else pictures["PNG"])


def _odd_file(draw: random.Random, path: Path) -> None:
    """A pipe, a folder, or a link to somewhere, in the place of a file."""
    path.unlink(missing_ok=True)
    act = draw.randrange(4)
    if act == 0:
        os.mkfifo(path)
    elif act == 1:
        path.mkdir()
    else:
        targets = ("/etc/passwd", "/dev/zero", "nowhere", path.name, ".", "..", "/")
        path.symlink_to(draw.choice(targets))


def _picture(draw: random.Random, pictures: dict[str, bytes]) -> bytes:
    """A file that is damaged, or claims a size that nobody has memory for."""
    act = draw.randrange(4)
    if act == 0:
        return _claiming(draw.choice((2**31 - 1, 65535, 40_000, 0, 9000)))
    if act == 1:
        return draw.choice((b"", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>", draw.randbytes(300)))
    return damaged(draw, draw.choice(list(pictures.values())), draw.choice((40, None)))


def _claiming(side: int) -> bytes:
    """A PNG of this many pixels each way, of which almost nothing is there."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    size = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(2**20)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + pixels + chunk(b"IEND", b"")
