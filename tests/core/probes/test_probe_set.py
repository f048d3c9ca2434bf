"""Probe sets: what they hand to a classifier, what they keep, what they refuse."""

from __future__ import annotations

import io
import weakref

import pytest
import torch
from PIL import Image

from detour.files import resolve_inside
from detour.probes import pictures
from detour.probes.folder import read_folder
from detour.probes.pictures import CHUNK, Kept
from detour.probes.probe_set import ProbeSet, batch_probes
from detour.report.probes import describe_probes, preview


def ask(probe_set, classifier, **more):
    """The probes, as a host asks for them."""
    return probe_set.probes(classifier, classifier.features, **more)


def test_probes_carry_everything(four_groups, classifier):
    probes = ask(four_groups, classifier)
    assert probes.y.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert probes.a.tolist() == [1, 1, 0, 0, 1, 1, 0, 0]
    assert probes.attribute_names == ("no green", "green")
    assert tuple(probes.class_names) == classifier.labels
    assert probes.unit_numbers.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert probes.backbone == classifier.backbone_hash()
    assert torch.allclose(probes.features[0], torch.tensor([0.8, 0.7, 0.1]))
    assert torch.equal(probes.weight, classifier.weight)
    assert probes.split is None and probes.threshold is None


def test_features_are_computed_once_for_each_backbone(four_groups, classifier, make_classifier):
    calls = []

    def features(images):
        calls.append(len(images))
        return classifier.features(images)

    first = four_groups.probes(classifier, features)
    second = four_groups.probes(classifier, features)
    assert sum(calls) == len(four_groups)
    assert torch.equal(first.features, second.features)
    other = make_classifier(scale=2.0)
    doubled = ask(four_groups, other).features
    assert torch.allclose(doubled, first.features * 2)


def test_pictures_of_all_sizes_keep_their_order(classifier):
    sets = []
    for number in range(CHUNK + 9):
        grey = number / 100
        size = 4 + number % 3
        sets.append(batch_probes(torch.full((1, size, size, 3), grey), "red", "x", -1))
    chained = sets[0]
    for more in sets[1:]:
        chained = chained.chain(more)
    features = ask(chained, classifier).features
    assert torch.allclose(features[:, 0], torch.arange(CHUNK + 9) / 100, atol=1e-6)


def test_only_a_few_files_are_read_at_a_time(classifier, write_picture):
    files = tuple(write_picture(f"{n}.png", (n, 0, 0)) for n in range(CHUNK * 2 + 3))
    probe_set = ProbeSet(files, ("x",) * len(files), ("red",) * len(files))
    sizes, told = [], []

    def features(images):
        sizes.append(len(images))
        return classifier.features(images)

    probes = probe_set.probes(classifier, features, progress=lambda *done: told.append(done))
    assert sizes == [CHUNK, CHUNK, 3]
    assert told[0] == (0, len(files)) and told[-1] == (len(files), len(files))
    assert torch.allclose(probes.features[:, 0] * 255, torch.arange(len(files)).float(), atol=1e-3)


def test_large_files_are_read_one_at_a_time(classifier, write_picture, monkeypatch):
    monkeypatch.setattr("detour.probes.pictures.PIXELS", 64 * 64)
    sizes = [(64, 64), (64, 64), (8, 8), (8, 8), (100, 100)]
    files = tuple(write_picture(f"{n}.png", size=size) for n, size in enumerate(sizes))
    read = []
    reader = pictures.read_image
    monkeypatch.setattr(pictures, "read_image", lambda path: read.append(path) or reader(path))
    at_once = []

    def features(images):
        at_once.append(len(read))
        read.clear()
        return classifier.features(images)

    ProbeSet(files, ("x",) * 5, ("red",) * 5).probes(classifier, features)
    assert at_once == [1, 1, 3, 0]


def test_only_a_chunk_of_pictures_is_decoded_at_a_time(classifier, monkeypatch):
    """256 pictures of a request were all decoded before the first was looked at."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    encoded = [pictures.Encoded(file.getvalue(), f"images[{n}]") for n in range(40)]
    alive, most = set(), []
    decode = pictures.decode_image

    def decoded(data, name):
        made = decode(data, name)
        alive.add(name)
        weakref.finalize(made.untyped_storage(), alive.discard, name)
        most.append(len(alive))
        return made

    monkeypatch.setattr(pictures, "decode_image", decoded)
    monkeypatch.setattr(pictures, "PIXELS", 4 * 16 * 16)
    found = pictures.compute_features(encoded, classifier.features)
    assert found.shape == (40, 3) and max(most) <= 5 and len(most) == 40


def test_a_picture_in_bytes_is_named(classifier):
    broken = [pictures.Encoded(b"no picture", "images[7]")]
    with pytest.raises(ValueError, match=r"^images\[7\] is no picture"):
        pictures.compute_features(broken, classifier.features)


def test_the_same_file_by_another_name_is_the_same_picture(tmp_path, write_picture):
    """A folder spelled `./probes` lost the warning that the head learned from it."""
    write_picture("probes/red/x/1.png")
    write_picture("other/red/x/1.png")
    (tmp_path / "link").symlink_to(tmp_path / "probes")
    plain = read_folder(resolve_inside("probes", [tmp_path]))
    for name in ("probes", "./probes", "probes/", "link"):
        again = read_folder(resolve_inside(name, [tmp_path]))
        assert plain.shares_pictures(again) and again.shares_pictures(plain)
    assert not plain.shares_pictures(read_folder(tmp_path / "other"))
    batch = batch_probes(torch.zeros(2, 4, 4, 3), "red", "x", 0)
    assert batch.shares_pictures(batch.chain(plain)) and not batch.shares_pictures(plain)
    assert not batch.shares_pictures(batch_probes(torch.zeros(2, 4, 4, 3), "red", "x", 0))


def test_very_many_groups_make_a_report_and_a_sheet_that_can_be_looked_at():
    """20,000 attributes were drawn 2.7 million pixels high."""
    count = 20_000
    pictures = tuple(torch.zeros(count, 2, 2, 3))
    names = tuple(f"colour {number}" for number in range(count))
    probes = ProbeSet(pictures, names, tuple(f"class {number}" for number in range(count)))
    picture = preview(probes)
    assert picture.height < 6000 and picture.width < 2000
    text = describe_probes(probes)
    assert len(text) < 20_000 and "and 19800 more groups" in text
    assert f"There are none of {count * count - count - 20} more groups." in text
    few = ProbeSet(pictures[:3], names[:3], ("a", "b", "a"))
    assert preview(few).height < picture.height and "more groups" not in describe_probes(few)


def test_names_that_fill_a_page_are_refused():
    for name in ("x" * 256, "a\ud800"):
        with pytest.raises(
            ValueError, match="of a class or attribute has more than 255"
        ) as refusal:
            batch_probes(torch.zeros(1, 4, 4, 3), "red", name, 0)
        assert len(str(refusal.value)) < 300
        str(refusal.value).encode("utf-8")


def test_cancel_leaves_nothing_behind(four_groups, classifier):
    class Stop(Exception):
        pass

    def stop(_done, _all):
        raise Stop

    with pytest.raises(Stop):
        ask(four_groups, classifier, progress=stop)
    assert len(ask(four_groups, classifier)) == 8


def test_kept_features_stand_in_for_pictures(four_groups, classifier):
    found = ask(four_groups, classifier)
    kept = four_groups.keep(found.features, found.backbone)
    assert all(isinstance(source, Kept) for source in kept.sources)

    def never(_images):
        raise AssertionError("there are no pictures any more")

    again = kept.probes(classifier, never)
    assert torch.equal(again.features, found.features)
    assert torch.equal(again.y, found.y) and torch.equal(again.unit_numbers, found.unit_numbers)
    mixed = kept.chain(four_groups)
    both = ask(mixed, classifier).features
    assert torch.equal(both, torch.cat([found.features, found.features]))


def test_features_of_another_backbone_are_refused(four_groups, classifier, make_classifier):
    found = ask(four_groups, classifier)
    kept = four_groups.keep(found.features, found.backbone)
    with pytest.raises(ValueError, match=r"features of another network .hash"):
        ask(kept, make_classifier(scale=2.0))


def test_unknown_class_names_the_labels(classifier):
    probes = batch_probes(torch.zeros(1, 4, 4, 3), "purple", "x", 0)
    with pytest.raises(ValueError, match=r"no class 'purple' among the 2.*red, blue"):
        ask(probes, classifier)


def test_classes_that_are_unknown_in_part_are_kept_for_who_can_use_them(classifier):
    images = torch.rand(2, 4, 4, 3)
    probes = batch_probes(images, "red", "a", 0)
    probes = probes.chain(batch_probes(images, "violet", "b", 5))
    found = probes.probes(classifier, classifier.features, strict=False)
    assert found.classes is None and found.partly.tolist() == [0, 0, -1, -1]
    with pytest.raises(ValueError, match="There is no class 'violet'"):
        probes.probes(classifier, classifier.features)


def test_of_a_tag_that_is_no_class_of_the_pictures_nothing_is_known(make_classifier):
    """Not: they are of classes that the classifier does not know; 'hat' is one of its tags."""
    tagger = make_classifier(("hat", "sky"), activation="sigmoid")
    probes = batch_probes(torch.rand(2, 4, 4, 3), "hat", "a", 0)
    found = probes.probes(tagger, tagger.features, tag="sky", strict=False)
    assert found.tag == 1 and found.classes is found.partly is None


def test_without_classes(classifier):
    probes = batch_probes(torch.zeros(2, 4, 4, 3), "", "x", 0)
    assert ask(probes, classifier).classes is None


def test_units_that_are_missing_stand_alone(classifier):
    first, second = torch.rand(2, 2, 4, 4, 3)
    chained = batch_probes(first, "red", "x", -1).chain(batch_probes(second, "red", "y", 0))
    assert len(ask(chained, classifier).unit_numbers.unique()) == 4


def test_splits_become_parts(classifier):
    pictures = tuple(torch.zeros(3, 4, 4, 3))
    probes = ProbeSet(pictures, ("x",) * 3, ("red",) * 3, splits=("report", "choose", "validate"))
    assert ask(probes, classifier).split.tolist() == [2, 0, 1]


BAD = {
    "none": (dict(sources=(), attributes=()), "no probe pictures"),
    "lengths": (dict(attributes=("a",)), "2 probe pictures and 1 attributes"),
    "no_attribute": (dict(attributes=("a", " ")), "has no attribute"),
    "some_classes": (dict(classes=("a", "")), "1 of 2 probe pictures have no class"),
    "some_splits": (dict(splits=("choose", "")), "have no part"),
    "unknown_split": (dict(splits=("choose", "train")), "part 'train' is unknown"),
    "unit_in_two": (
        dict(units=("p", "p"), splits=("choose", "report")),
        "unit 'p' are in the parts choose and report",
    ),
    "batch": (dict(sources=tuple(torch.zeros(2, 1, 4, 4, 3))), r"is \[1, 4, 4, 3\]"),
    "text": (dict(sources=("a.png", "b.png")), "is str, no picture"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused(case):
    changed, message = BAD[case]
    good = dict(sources=tuple(torch.zeros(2, 4, 4, 3)), attributes=("a", "b"))
    with pytest.raises(ValueError, match=message):
        ProbeSet(**{**good, **changed})


def test_chain_of_sets_that_do_not_fit_is_refused():
    images = torch.zeros(2, 4, 4, 3)
    with pytest.raises(ValueError, match="2 of 4 probe pictures have no class"):
        batch_probes(images, "", "x", 0).chain(batch_probes(images, "red", "x", 0))


def test_broken_pictures_are_named():
    images = torch.zeros(3, 4, 4, 3)
    images[1, 2, 2, 0] = float("nan")
    with pytest.raises(ValueError, match="Picture 2 of 3 holds NaN"):
        batch_probes(images, "red", "x", 0)
    with pytest.raises(ValueError, match="must be a tensor"):
        batch_probes(images[0], "red", "x", 0)
    with pytest.raises(ValueError, match="no probe pictures"):
        batch_probes(images[:0], "red", "x", 0)


def test_a_file_that_breaks_later_is_named(classifier, write_picture):
    long = write_picture("thread.png", size=(1, 30000))
    probes = ProbeSet((long,), ("x",), ("red",))
    from detour.classifier.preprocess import Preprocessing

    def features(images):
        Preprocessing(224, 224)(images)
        raise AssertionError("such a picture fills the memory")

    with pytest.raises(ValueError, match=r"thread.png: A picture of 1 x 30000"):
        probes.probes(classifier, features)


def test_report_counts_groups_and_says_what_is_missing(four_groups):
    assert four_groups.counts() == {
        ("red", "no green"): 2,
        ("red", "green"): 2,
        ("blue", "no green"): 2,
        ("blue", "green"): 2,
    }
    text = describe_probes(four_groups)
    assert "8 probe pictures in 4 groups" in text
    assert "'green' is taken for the feature, 'no green' for its absence." in text
    assert "2 units" in text
    assert "4 of 4 groups have fewer than 50 pictures" in text
    one = batch_probes(torch.zeros(60, 4, 4, 3), "red", "x", -1)
    text = describe_probes(one)
    assert "All pictures have the attribute 'x'" in text
    assert "All pictures are of the class 'red'" in text
    assert "fewer than" not in text
    lone = one.chain(batch_probes(torch.zeros(60, 4, 4, 3), "blue", "y", -1))
    assert "There are no pictures of (red, y)." in describe_probes(lone)
    nameless = batch_probes(torch.zeros(60, 4, 4, 3), "", "x", -1)
    assert "only the methods 'paired' and 'mistakes'" in describe_probes(nameless)


def test_preview_shows_each_group(four_groups, classifier):
    picture = preview(four_groups)
    found = ask(four_groups, classifier)
    kept = four_groups.keep(found.features, found.backbone)
    assert picture.tobytes() == preview(kept).tobytes()
    colours = {colour for _, colour in picture.getcolors(1 << 20)}
    assert {(204, 178, 26), (204, 0, 26), (26, 178, 204), (26, 0, 204)} <= colours


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_preview_of_odd_pictures(channels):
    images = torch.rand(1, 300, 2, channels)
    assert preview(batch_probes(images, "red", "x", 0)).width > 100
    assert preview(batch_probes(images[:, :1, :1], "red", "x", 0)).width > 100
