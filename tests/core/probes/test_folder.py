"""Probes from folders: the field's metadata.csv, sub-folders, and everything that is wrong."""

from __future__ import annotations

import os

import pytest
from PIL import Image

from detour.probes.folder import read_folder
from detour.report.probes import describe_probes


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


@pytest.mark.parametrize("columns", ["Filename,Y", "filename,class", "file_name,Label"])
def test_columns_have_several_names(tmp_path, write_picture, columns):
    """The last as Hugging Face writes it."""
    write_picture("1.png")
    metadata(tmp_path, f"{columns},Attribute,Split", "1.png,nurse,hat,test")
    probes = read_folder(tmp_path)
    assert (probes.class_names, probes.splits) == (("nurse",), ("report",))


def test_of_several_class_columns_y_is_taken(tmp_path, write_picture):
    write_picture("1.png")
    metadata(tmp_path, "filename,label,y,a", "1.png,wrong,nurse,hat")
    assert read_folder(tmp_path).class_names == ("nurse",)


def test_sub_folders(tmp_path, write_picture):
    for name in ("nurse/woman/1.tga", "nurse/man/1.JPG", "ceo/man/2.jfif", "ceo/woman/2.webp"):
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
    "two_units": (["filename,a,unit,unit", "a.png,1,1,1"], "2 columns for the unit"),
    "two_files": (["filename,file_name,a", "a.png,a.png,1"], "2 columns for the file names"),
    "after_blanks": (["", "filename,y,a", "", "", "a.png,1,1", "", "b.png,1"], "Line 7 .* another"),
    "split_after_blanks": (["filename,a,split", "", "a.png,1,0", "b.png,1,9"], "Line 4 .* split"),
    "after_long_values": (
        ["filename,y,a,note", 'a.png,1,1,"one', "two", 'three"', "b.png,1"],
        "Line 5 .* another number",
    ),
    "twice_after_long_values": (
        ["filename,a,note", 'a.png,1,"one', 'two"', "", "a.png,1,"],
        "twice.*lines 2 and 5",
    ),
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


def test_a_table_that_is_no_table_of_ours(tmp_path, write_picture, monkeypatch):
    write_picture("1.png")
    metadata(tmp_path, "file_name,attribute", *["1.png,hat"] * 9)
    monkeypatch.setattr("detour.probes.metadata.LARGEST", 40)
    with pytest.raises(ValueError, match="has more than 0 MiB"):
        read_folder(tmp_path)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_nothing_is_read_through_a_link_that_leaves_the_folder(tmp_path, write_picture):
    secret = tmp_path / "passwd"
    secret.write_text("filename,y,a\nadele,1,1\n")
    for name, target in (("set/metadata.csv", secret), ("other/metadata.csv", tmp_path / "gone")):
        write_picture(f"{name.partition('/')[0]}/nurse/man/1.png")
        (tmp_path / name).symlink_to(target)
        with pytest.raises(ValueError, match=r"'metadata.csv' is a link that leads out") as refusal:
            read_folder(tmp_path / name.partition("/")[0])
        assert "adele" not in str(refusal.value)
    outside = write_picture("outside.png")
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "a.png").symlink_to(outside)
    metadata(tmp_path / "third", "filename,y,a", "a.png,1,1")
    with pytest.raises(ValueError, match=r"'a\.png' is a link that leads out"):
        read_folder(tmp_path / "third")
    (tmp_path / "fourth" / "nurse").mkdir(parents=True)
    (tmp_path / "fourth" / "nurse" / "man").symlink_to(tmp_path / "set" / "nurse" / "man")
    with pytest.raises(ValueError, match="'man' is a link that leads out"):
        read_folder(tmp_path / "fourth")
    (tmp_path / "fifth" / "nurse" / "man").mkdir(parents=True)
    (tmp_path / "fifth" / "nurse" / "man" / "1.png").symlink_to(outside)
    with pytest.raises(ValueError, match=r"'1\.png' is a link that leads out"):
        read_folder(tmp_path / "fifth")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_place_of_the_table_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "metadata.csv")
    with pytest.raises(ValueError, match=r"'metadata\.csv' is no plain file"):
        read_folder(tmp_path)


def test_what_was_passed_over_is_counted_and_named(tmp_path, write_picture):
    write_picture("nurse/man/1.png")
    write_picture("nurse/man/old/deeper/2.png")
    write_picture("loose.png")
    write_picture(".hidden/3.png")
    for number in range(5):
        (tmp_path / "nurse" / f"note{number}.txt").write_text("x")
    probes = read_folder(tmp_path)
    deeper = os.path.join("nurse", "man", "old", "deeper", "2.png")
    first = ", ".join(os.path.join("nurse", f"note{number}.txt") for number in range(3))
    assert len(probes) == 1
    assert probes.notes == (
        "2 files were passed over (not in <class>/<attribute>/ or <attribute>/): "
        f"loose.png, {deeper}.",
        f"5 files were passed over (no picture by the ending): {first} and 2 more.",
    )
    assert probes.notes[0] in describe_probes(probes)
    assert probes.chain(probes).notes == probes.notes


def test_pictures_that_the_table_does_not_name_are_counted(tmp_path, write_picture):
    for name in ("a.png", "b.png", "sub/c.png"):
        write_picture(name)
    metadata(tmp_path, "filename,y,a", "a.png,1,1")
    (note,) = read_folder(tmp_path).notes
    c = os.path.join("sub", "c.png")
    assert note == f"2 files were passed over (not in metadata.csv): b.png, {c}."


def test_a_folder_of_loose_pictures_says_so(tmp_path, write_picture):
    write_picture("1.png")
    with pytest.raises(ValueError, match=r"add one of them\. 1 file was passed over .*: 1\.png\."):
        read_folder(tmp_path)


def test_names_that_are_no_text_are_refused(tmp_path, write_picture):
    broken = os.fsencode(str(tmp_path)) + b"/nurse/m\xe9n"
    try:
        os.makedirs(broken)
    except OSError:
        pytest.skip("this file system takes no such names")
    Image.new("RGB", (4, 4)).save(os.fsdecode(broken) + "/1.png")
    with pytest.raises(ValueError, match="some that are none") as refusal:
        read_folder(tmp_path)
    str(refusal.value).encode("utf-8")


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


@pytest.mark.parametrize("below", ["", "nurse"])
def test_folders_right_and_wrong_are_attributes_whatever_is_below(tmp_path, write_picture, below):
    for name in ("right", "wrong"):
        for number in ("1", "2"):
            write_picture(f"{name}/{below}/{number}.png")
    probes = read_folder(tmp_path)
    assert probes.attribute_names == ("right", "wrong")
    assert sorted(probes.attributes) == ["right", "right", "wrong", "wrong"]
    assert probes.class_names == ((below,) if below else ())
    assert not any(probes.units)  # right/1.png and wrong/1.png are two pictures


def test_a_table_that_is_a_link_to_nothing(tmp_path):
    (tmp_path / "metadata.csv").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match="is a link to a file that is not there"):
        read_folder(tmp_path)
