"""Pictures from files and from the bytes of files."""

from __future__ import annotations

import io
import os
import random
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from detour import images
from detour.images import check_image, decode_image, picture_endings, read_image

ROWS = torch.tensor(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 0], [0, 0, 0], [9, 9, 9]]]
)
"""Two rows of three colours: nothing of it looks the same when it is turned."""


def picture() -> Image.Image:
    return Image.fromarray(ROWS.to(torch.uint8).numpy())


def encoded(made: Image.Image, kind: str, **given) -> bytes:
    file = io.BytesIO()
    made.save(file, kind, **given)
    return file.getvalue()


def test_bytes_give_what_their_file_gives(tmp_path):
    values = torch.randint(0, 256, (5, 7, 4), dtype=torch.uint8)
    path = tmp_path / "one.png"
    Image.fromarray(values.numpy()).save(path)
    found = decode_image(path.read_bytes(), "one.png")
    assert found.shape == (1, 5, 7, 3) and torch.equal(found, read_image(path))
    assert torch.equal(found[0], values[..., :3].float() / 255)
    with pytest.raises(FileNotFoundError, match="check the name"):
        read_image(tmp_path / "missing.png")


def test_strips_make_the_picture_that_was_there(monkeypatch):
    values = torch.randint(0, 256, (23, 17, 3), dtype=torch.uint8)
    data = encoded(Image.fromarray(values.numpy()), "PNG")
    for strip in (1, 17, 40, 10**6):
        monkeypatch.setattr(images, "_STRIP", strip)
        assert torch.equal(decode_image(data, "x")[0], values.float() / 255)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is no picture"),
        (b"GIF89a", "damaged|is no picture"),
        (encoded(Image.effect_noise((64, 64), 80), "PNG")[:500], "is damaged"),
    ],
)
def test_bytes_of_no_picture_are_refused_by_name(data, told):
    with pytest.raises(ValueError, match=rf"^images\[3\].*({told})"):
        decode_image(data, "images[3]")


TURNED = {
    1: ROWS,
    2: ROWS.flip(1),
    3: ROWS.flip(0, 1),
    4: ROWS.flip(0),
    5: ROWS.transpose(0, 1),
    6: ROWS.flip(0).transpose(0, 1),
    7: ROWS.flip(0, 1).transpose(0, 1),
    8: ROWS.transpose(0, 1).flip(0),
    9: ROWS,
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", TURNED)
def test_every_orientation_is_turned_upright_once(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    given = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(picture(), kind, exif=exif.tobytes() if kind == "WEBP" else exif, **given)
    found = decode_image(data, "x")[0] * 255
    assert torch.equal(found.round().int(), TURNED[orientation].int())


def exif_block(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block, written by hand: tag, type, count, the four bytes of the value."""
    body = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + b"\0" * 12


SIX = (0x0112, 3, 1, b"\x06\0\0\0")
MALFORMED = {
    "a negative width": (SIX, (0x0100, 9, 1, b"\xff\xff\xff\xff")),
    "a maker that is a fraction": (SIX, (0x010F, 5, 1, b"\x08\0\0\0")),
    "a place beyond the file": (SIX, (0x010F, 2, 4000, b"\xff\xff\xff\x7f")),
    "an unknown type": (SIX, (0x0110, 99, 1, b"\0\0\0\0")),
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_malformed_exif_stops_nothing(case, kind):
    """Such a picture stopped a whole folder, without its name."""
    made = picture().resize((30, 20), Image.Resampling.NEAREST)
    block = exif_block(*MALFORMED[case])
    if kind == "JPEG":
        data = encoded(made, kind, exif=b"Exif\0\0" + block, quality=100, subsampling=0)
    else:
        data = with_chunk(encoded(made, kind), b"eXIf", block)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = decode_image(data, "x")[0]
    wanted = TURNED[6].float() / 255
    assert found.shape == (30, 20, 3)
    assert torch.allclose(found[5::10, 5::10], wanted, atol=0.1)


def test_exif_that_cannot_be_read_leaves_the_picture_as_it_is():
    for block in (b"", b"II", b"MM\0*", b"\xff" * 50, b"II*\0\xff\xff\xff\xff"):
        found = decode_image(with_chunk(encoded(picture(), "PNG"), b"eXIf", block), "x")[0]
        assert torch.equal((found * 255).round().int(), ROWS.int())


def with_chunk(png: bytes, kind: bytes, data: bytes, place: int = 33) -> bytes:
    """The PNG with one more chunk behind its header."""
    chunk = struct.pack(">I", len(data)) + kind + data
    return png[:place] + chunk + struct.pack(">I", zlib.crc32(kind + data)) + png[place:]


def test_a_large_profile_and_long_texts_are_no_damage(tmp_path):
    profile = zlib.compress(
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + b"\0" * 2**21
    )
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "x" * 2**21, zip=True)
    texts.add_itxt("prompt", "y" * 2**21, zip=True)
    data = with_chunk(encoded(picture(), "PNG", pnginfo=texts), b"iCCP", b"icc\0\0" + profile)
    (tmp_path / "a.png").write_bytes(data)
    before = PngImagePlugin.MAX_TEXT_CHUNK
    check_image(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png")[0] * 255
    assert torch.equal(found.round().int(), ROWS.int())
    assert PngImagePlugin.MAX_TEXT_CHUNK == before


def grey16() -> Image.Image:
    return Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))


MODES = {
    "alpha": (lambda: Image.new("RGBA", (2, 1), (255, 128, 0, 0)), "PNG", [[255, 128, 0]] * 2),
    "grey and alpha": (lambda: Image.new("LA", (2, 1), (128, 0)), "PNG", [[128] * 3] * 2),
    "one bit": (lambda: Image.new("1", (2, 1), 1), "PNG", [[255] * 3] * 2),
    "palette": (
        lambda: Image.new("RGB", (2, 1), (1, 2, 3)).convert("P", palette=Image.Palette.ADAPTIVE),
        "PNG",
        [[1, 2, 3]] * 2,
    ),
    "16 bits": (grey16, "PNG", [[0] * 3, [127.502] * 3, [255] * 3]),
    "16 bits, TIFF": (grey16, "TIFF", [[0] * 3, [127.502] * 3, [255] * 3]),
    "four inks": (lambda: Image.new("CMYK", (2, 1), (0, 255, 255, 0)), "TIFF", [[255, 0, 0]] * 2),
    "animated": (
        lambda: Image.new("RGB", (2, 1), (255, 0, 0)),
        "GIF",
        [[255, 0, 0]] * 2,
    ),
}


@pytest.mark.parametrize("case", MODES)
def test_all_kinds_of_pictures(case):
    make, kind, wanted = MODES[case]
    given = {}
    if case == "animated":
        given = {"save_all": True, "append_images": [Image.new("RGB", (2, 1), (0, 0, 255))]}
    found = decode_image(encoded(make(), kind, **given), "x")[0, 0] * 255
    assert torch.allclose(found, torch.tensor(wanted, dtype=torch.float32), atol=0.01)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


def test_no_other_program_is_started_for_a_picture(tmp_path, monkeypatch):
    """An EPS of any name would start Ghostscript with the program that is in it."""
    from PIL import EpsImagePlugin

    def never(*_args, **_more):
        pytest.fail("Ghostscript was asked for")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", never)
    (tmp_path / "x.png").write_bytes(EPS)
    with Image.open(tmp_path / "x.png") as opened:  # Pillow by itself would
        assert opened.format == "EPS"
    for read in (read_image, check_image):
        with pytest.raises(ValueError, match=r"x\.png is no picture that can be read"):
            read(tmp_path / "x.png")


def test_only_formats_that_this_pillow_has_are_asked_for(monkeypatch):
    monkeypatch.setattr(images, "FORMATS", ("PNG", "HOLOGRAM"))
    assert images.readable_formats() == ("PNG",) and ".jpg" not in picture_endings()
    assert decode_image(encoded(picture(), "PNG"), "x").shape == (1, 2, 3, 3)
    with pytest.raises(ValueError, match="is no picture that can be read"):
        decode_image(encoded(picture(), "JPEG"), "x")


def test_the_usual_endings_are_known_and_programs_are_not():
    known = set(picture_endings())
    assert {".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".bmp", ".tif", ".gif"} <= known
    assert not known & {".eps", ".ps", ".wmf", ".emf", ".pdf", ".h5", ".fits", ".txt"}


def huge_tiff(width: int, height: int) -> bytes:
    """A TIFF of floats whose header claims a size; there are hardly any pixels."""
    short = [(256, width), (257, height), (258, 32), (259, 1), (262, 1), (273, 8), (277, 1)]
    entries = [*short, (278, height), (279, 4000), (339, 3)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    ifd = struct.pack("<H", len(entries)) + body + b"\0" * 4
    return b"II*\0" + struct.pack("<I", 4108) + b"\0" * 4100 + ifd


def test_a_picture_is_weighed_by_its_header_before_it_is_decoded(monkeypatch):
    """5 KB that would take 4.2 GB: 13,000 x 13,000 is less than Pillow calls an attack."""
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was decoded"))
    for data in (huge_tiff(13_000, 13_000), huge_tiff(60_000, 60_000)):
        assert len(data) < 5000
        with pytest.raises(ValueError, match=r"x is too large: 67,108,864 pixels are possible"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                decode_image(data, "x")


def test_a_file_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "LARGEST_FILE", 1000)
    (tmp_path / "a.png").write_bytes(encoded(Image.effect_noise((64, 64), 80), "PNG"))
    with pytest.raises(ValueError, match=r"a\.png is damaged \(its file has .* 1,000 are possible"):
        read_image(tmp_path / "a.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for read in (read_image, check_image):
        with pytest.raises(ValueError, match=r"'a\.png' is no plain file"):
            read(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match=r"There is no picture"):
        read_image(tmp_path / "gone.png")


def test_damaged_files_of_all_kinds_get_one_sentence_with_their_name():
    """Bytes changed at random places (seeded): a picture, or a sentence; nothing else."""
    draw = random.Random(0)
    exif = exif_block(SIX, (0x010F, 5, 1, b"\x08\0\0\0"))
    files = {
        kind: encoded(picture().resize((24, 16)), kind, **given)
        for kind, given in {
            "PNG": {},
            "JPEG": {"exif": b"Exif\0\0" + exif},
            "WEBP": {},
            "BMP": {},
            "GIF": {},
            "TIFF": {},
            "JPEG2000": {},
            "PPM": {},
            "TGA": {},
        }.items()
    }
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(60):
            for kind, whole in files.items():
                data = bytearray(whole)
                for _change in range(draw.choice((1, 3, 20))):
                    data[draw.randrange(len(data))] = draw.choice((0, 1, 127, 128, 255))
                cut = draw.choice((len(data), draw.randrange(len(data))))
                try:
                    found = decode_image(bytes(data[:cut]), kind)
                    assert found.dtype == torch.float32 and 0 <= found.min() <= found.max() <= 1
                except ValueError as error:
                    refused += 1
                    assert str(error).startswith(kind) and len(str(error)) < 600
                    assert "\n" not in str(error) and str(error).endswith(".")
    assert refused > 100


def raw_profile(exif: Image.Exif) -> str:
    """EXIF as ImageMagick writes it into a text of a PNG."""
    data = exif.tobytes()
    return f"\nexif\n{len(data):8}\n{data.hex()}\n"


XMP = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description tiff:Orientation="6"/></rdf:RDF>'
)


@pytest.mark.parametrize("way", ["text", "packed", "xmp"])
def test_a_png_whose_exif_is_a_text_is_turned(tmp_path: Path, way: str) -> None:
    exif, texts = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x0112] = 6
    if way == "xmp":
        texts.add_itxt("XML:com.adobe.xmp", XMP)
    else:
        texts.add_text("Raw profile type exif", raw_profile(exif), zip=way == "packed")
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png", pnginfo=texts)
    with Image.open(tmp_path / "a.png") as picture:
        assert ImageOps.exif_transpose(picture).size == (20, 40)
    assert read_image(tmp_path / "a.png").shape == (1, 40, 20, 3)


@pytest.mark.parametrize("content", [b"", b"\0", b"\0no zlib", b"\0" + zlib.compress(bytes(2**24))])
def test_a_png_whose_text_of_exif_is_damaged_is_read(tmp_path: Path, content: bytes) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    body = b"zTXtRaw profile type exif\0" + content
    text = struct.pack(">L", len(body) - 4) + body + struct.pack(">L", zlib.crc32(body))
    wrong = text[:-1] + bytes([text[-1] ^ 1])
    for part in (text, wrong):
        (tmp_path / "a.png").write_bytes(data[:33] + part + data[33:])
        assert read_image(tmp_path / "a.png").shape == (1, 20, 40, 3)
