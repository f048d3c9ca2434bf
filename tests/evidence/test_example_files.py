"""What `dev.py examples` writes: whole, paired by photo, and never over files of the user."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("skimage", reason="the photos come with dev.py test")

from PIL import ImageChops

from detour.images import read_image
from detour.probes.folder import read_folder
from evidence import example_files
from evidence.example_files import NO_WATERMARK, main, write_model, write_photos
from evidence.features import mobilenet_file
from evidence.watermark import PHOTOS, crops, photo_files

COUNT = 2


def files_of(folder: Path) -> dict[str, int]:
    """Every file below a folder with the time of its last change."""
    return {
        str(file.relative_to(folder)): file.stat().st_mtime_ns
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with the model and a few crops of each photo; the mark is a negative."""
    folder = tmp_path_factory.mktemp("comfyui")
    assert "was written" in write_model(folder)
    assert "17 photos, 2 crops of each" in write_photos(folder, ImageChops.invert, COUNT)
    return folder


def test_the_photos_are_paired_and_split_by_photo(base):
    found = read_folder(base / "input" / "carton")
    assert found.attribute_names == ("plain", "watermark") and found.class_names == ()
    groups = Counter(zip(found.units, found.attributes, strict=True))
    names = [Path(name).stem for name in PHOTOS]
    assert groups == {(name, side): COUNT for name in names for side in ("plain", "watermark")}
    for file, side in zip(found.sources, found.attributes, strict=True):
        other = file.parents[1] / "plain" / file.name
        same = read_image(file)[0] + read_image(other)[0]
        assert side == "plain" or (same - 1).abs().max() < 1e-6


def test_a_few_crops_are_the_first_of_all():
    (photo, *_) = photo_files()
    few, more = crops(photo, 2), crops(photo, 3)
    assert [picture.tobytes() for picture in few] == [picture.tobytes() for picture in more[:2]]


def test_the_model_is_that_of_the_package(base):
    (model,) = (base / "models" / "image_classifiers").iterdir()
    assert model.name == "mobilenet_v2.pth"
    assert model.read_bytes() == mobilenet_file().read_bytes()


def test_running_twice_does_nothing(base):
    before = files_of(base)
    assert len(before) == 2 * 17 * COUNT + 2
    assert "is there already" in write_model(base)
    assert "are there already" in write_photos(base, ImageChops.invert, COUNT)
    assert files_of(base) == before


def test_files_of_the_user_are_left_as_they_are(tmp_path):
    model = tmp_path / "models" / "image_classifiers" / "mobilenet_v2.pth"
    photo = tmp_path / "input" / "carton" / "plain" / "mine.png"
    for file in (model, photo):
        file.parent.mkdir(parents=True)
        file.write_text("mine")
    before = files_of(tmp_path)
    assert "another file, and was left as it is" in write_model(tmp_path)
    assert "another set of files, and was left as it is" in write_photos(
        tmp_path, ImageChops.invert, 1
    )
    assert files_of(tmp_path) == before


def test_a_photo_that_is_gone_is_said(tmp_path):
    write_photos(tmp_path, ImageChops.invert, 1)
    (tmp_path / "input" / "carton" / "plain" / "coffee 00.png").unlink()
    assert "left as it is" in write_photos(tmp_path, ImageChops.invert, 1)


def test_a_break_leaves_nothing_half_written(tmp_path, monkeypatch):
    def broken(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_photos(tmp_path, broken, 1)
    monkeypatch.setattr(example_files.Path, "replace", lambda *_: broken(None))
    with pytest.raises(KeyboardInterrupt):
        write_model(tmp_path)
    assert files_of(tmp_path) == {} and list((tmp_path / "input").iterdir()) == []


def test_without_the_watermark_the_model_is_still_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(example_files, "add_watermark", lambda: None)
    assert main([str(tmp_path)]) == 0
    assert NO_WATERMARK in capsys.readouterr().out
    assert list(files_of(tmp_path)) == ["models/image_classifiers/mobilenet_v2.pth"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    (tmp_path / "models").touch()
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("Error: ")
