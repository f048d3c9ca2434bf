"""Probes from folders: the field's metadata.csv, sub-folders, and everything that is wrong."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from detour.probing import read_folder


def metadata(folder, *lines: str) -> None:
    """Write a metadata.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_metadata_as_group_dro_writes_it(tmp_path, write_picture):
    for name in ("birds/a.jpg", "birds/b.png", "c.png"):
        write_picture(name)
    metadata(
        tmp_path,
        "img_id,img_filename,y,split,place,place_filename",
        "1,birds/a.jpg,0,0,1,/x/y.jpg",
        "2,birds/b.png,1,1,0,/x/y.jpg",
        "3,c.png,1,2,1,/x/y.jpg",
    )
    probes = read_folder(tmp_path)
    assert [path.name for path in probes.sources] == ["a.jpg", "b.png", "c.png"]
    assert probes.classes == ("0", "1", "1")
    assert probes.attributes == ("1", "0", "1")
    assert probes.splits == ("choose", "validate", "report")
    assert not any(probes.units)


@pytest.mark.parametrize("attribute", ["place", "a", "attribute"])
def test_metadata_with_other_names_units_and_no_classes(tmp_path, write_picture, attribute):
    write_picture("1.png")
    write_picture("2.png")
    metadata(tmp_path, f"filename, {attribute} ,unit", "1.png,hat,s1", "2.png,no hat,s1")
    probes = read_folder(tmp_path)
    assert probes.attributes == ("hat", "no hat")
    assert probes.units == ("s1", "s1")
    assert probes.class_names == ()


@pytest.mark.parametrize("column", ["Y", "class", "Label"])
def test_the_class_column_has_several_names(tmp_path, write_picture, column):
    write_picture("1.png")
    metadata(tmp_path, f"Filename,{column},Attribute,Split", "1.png,nurse,hat,test")
    probes = read_folder(tmp_path)
    assert (probes.class_names, probes.splits) == (("nurse",), ("report",))


def test_of_several_class_columns_y_is_taken(tmp_path, write_picture):
    write_picture("1.png")
    metadata(tmp_path, "filename,label,y,a", "1.png,wrong,nurse,hat")
    assert read_folder(tmp_path).class_names == ("nurse",)


def test_sub_folders(tmp_path, write_picture):
    for name in ("nurse/woman/1.png", "nurse/man/1.JPG", "ceo/man/2.png", "ceo/woman/2.webp"):
        write_picture(name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "nurse" / "man" / "notes.txt").write_text("x")
    probes = read_folder(tmp_path)
    assert probes.counts() == {
        ("ceo", "man"): 1,
        ("ceo", "woman"): 1,
        ("nurse", "man"): 1,
        ("nurse", "woman"): 1,
    }
    assert probes.units == ("2", "2", "1", "1")


def test_sixteen_bit_grey_alpha_and_tiny_pictures(tmp_path, classifier):
    folder = tmp_path / "red" / "x"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((3, 2), 32768, dtype=np.uint16)).save(folder / "a16.png")
    Image.new("L", (1, 1), 128).save(folder / "grey.png")
    Image.new("RGBA", (5, 9), (128, 128, 128, 0)).save(folder / "alpha.png")
    Image.new("P", (5, 9)).save(folder / "palette.gif")
    probes = read_folder(tmp_path).probes(classifier, classifier.features)
    features = probes.features[:, 0]
    assert features.tolist() == pytest.approx([0.5, 0.5, 0.5, 0.0], abs=0.01)


@pytest.mark.parametrize("value", [-1.0, 200.0])
def test_floats_out_of_range_are_refused_not_cut(tmp_path, classifier, value):
    path = tmp_path / "red" / "x" / "a.tiff"
    path.parent.mkdir(parents=True)
    Image.new("F", (4, 4), value).save(path)
    with pytest.raises(ValueError, match=r"a\.tiff .*its values leave 0 to 1"):
        read_folder(tmp_path).probes(classifier, classifier.features)
    Image.new("F", (4, 4), 0.25).save(path)
    found = read_folder(tmp_path).probes(classifier, classifier.features)
    assert found.features.flatten().tolist() == pytest.approx([0.25] * 3)


BAD = {
    "empty": ([], "holds neither metadata.csv nor pictures in sub-folders"),
    "no_header": ([""], "0 columns for the file names.*Its columns are: none"),
    "unknown_columns": (["path,label", "a.png,1"], "0 columns for the file names.*path, label"),
    "no_attribute": (["filename,y", "a.png,1"], "0 columns for the attribute.*place or a"),
    "two_attributes": (["filename,y,place,a", "a.png,1,1,1"], "2 columns for the attribute"),
    "two_classes": (["filename,y,y,a", "a.png,1,0,1"], "2 columns for the class"),
    "no_lines": (["filename,y,a"], "no lines below its header"),
    "few_values": (["filename,y,a", "a.png,1"], "Line 2 .* another number of values"),
    "many_values": (["filename,y,a", "a.png,1,1,1"], "Line 2 .* another number of values"),
    "twice": (["filename,y,a", "a.png,1,1", "a.png,0,1"], "a.png stands twice.*lines 2 and 3"),
    "outside": (["filename,y,a", "../a.png,1,1"], "leads out of the allowed folders"),
    "absolute": (["filename,y,a", "/etc/passwd,1,1"], "is an absolute path"),
    "no_picture_file": (["filename,y,a", "metadata.csv,1,1"], "is no picture file"),
    "bad_split": (["filename,y,a,split", "a.png,1,1,9"], "Line 2 .* split '9'"),
    "some_classes": (["filename,y,a", "a.png,1,1", "b.png,,1"], "1 of 2 .* no class"),
    "empty_attribute": (["filename,y,a", "a.png,1,"], "has no attribute"),
    "broken": (["filename,y,a", "broken.png,1,1"], "broken.png is no picture"),
    "quotes": (["filename,y,a", '"a.png,1,1'], "cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folders_are_refused_in_a_sentence(tmp_path, write_picture, case):
    lines, message = BAD[case]
    write_picture("a.png")
    write_picture("b.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    if lines:
        metadata(tmp_path, *lines)
    with pytest.raises(ValueError, match=message) as refusal:
        read_folder(tmp_path)
    assert str(refusal.value).endswith(".")


def test_missing_things_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder 'nowhere'"):
        read_folder(tmp_path / "nowhere")
    metadata(tmp_path, "filename,y,a", "gone.png,1,1")
    with pytest.raises(FileNotFoundError, match=r"'gone.png' was not found"):
        read_folder(tmp_path)


def test_binary_metadata_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ValueError, match=r"metadata.csv cannot be read"):
        read_folder(tmp_path)


def test_same_names_in_one_group_are_refused(tmp_path, write_picture):
    write_picture("nurse/man/1.png")
    write_picture("nurse/man/1.jpg")
    with pytest.raises(ValueError, match=r"1.jpg and 1.png in man have the same name"):
        read_folder(tmp_path)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_links_that_lead_out_are_refused(tmp_path, write_picture):
    outside = write_picture("outside.png")
    folder = tmp_path / "set" / "nurse" / "man"
    folder.mkdir(parents=True)
    (folder / "1.png").symlink_to(outside)
    with pytest.raises(ValueError, match="link that leads out"):
        read_folder(tmp_path / "set")


def test_a_truncated_picture_is_named_when_it_is_read(tmp_path, write_picture, classifier):
    path = write_picture("red/x/1.png", size=(64, 64))
    path.write_bytes(path.read_bytes()[:60])
    probes = read_folder(tmp_path)
    with pytest.raises(ValueError, match=r"1.png is damaged"):
        probes.probes(classifier, classifier.features)


def test_sub_folders_of_the_attribute_alone_have_no_classes(tmp_path, write_picture):
    for name in ("plain/1.png", "plain/2.png", "marked/1.png", "marked/2.png"):
        write_picture(name)
    probes = read_folder(tmp_path)
    assert probes.class_names == ()
    assert probes.attributes == ("marked", "marked", "plain", "plain")
    assert probes.units == ("1", "2", "1", "2")


def test_both_kinds_of_sub_folders_at_once_are_refused(tmp_path, write_picture):
    write_picture("plain/1.png")
    write_picture("nurse/woman/2.png")
    with pytest.raises(ValueError, match=r"use one of the two"):
        read_folder(tmp_path)
