"""Files made to do harm: nothing in them runs, each costs at most 2 GiB, each gets a sentence."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from detour.classifier import torch_file
from detour.classifier.checkpoint import read_checkpoint
from detour.classifier.load import load_classifier
from detour.classifier.networks import SmallCNN
from detour.classifier.pickled import RefusedPickle, read_pickle

resource = pytest.importorskip("resource", reason="memory is limited as Unix does it")
ROOM = 2 * 2**30
LONGEST = 600


@pytest.fixture(autouse=True)
def at_most_2_gib() -> Iterator[None]:
    """More memory than 2 GiB beside what is in use raises MemoryError or RuntimeError."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def refused(file: Path, sentence: str, **options: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        load_classifier(file, **options)  # pyright: ignore[reportArgumentType]
    assert len(str(caught.value)) <= LONGEST and "\n" not in str(caught.value)


def rewrite(file: Path, change: Callable[[str, bytes], tuple[str, bytes]]) -> None:
    """Write an archive again with other names or contents."""
    with zipfile.ZipFile(file) as archive:
        records = [change(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in records:
            archive.writestr(name, content)


def archive_of(pickle: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", pickle)
    return content.getvalue()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("ending", ["pt", "pth", "bin", "ckpt", "pkl"])
def test_a_torchscript_program_is_refused(tmp_path: Path, ending: str) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(tmp_path / "program.pt"))
    file = (tmp_path / "program.pt").rename(tmp_path / f"program.{ending}")
    refused(file, "is a TorchScript program")


@pytest.mark.parametrize(
    "name",
    ["a/constants.pkl", "constants.pkl", "a\\constants.pkl", "a/code/x.py", "CODE/x", "a/Code\\x"],
)
def test_whatever_looks_like_a_program_is_refused(tmp_path: Path, name: str) -> None:
    torch.save(SmallCNN(2).state_dict(), tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "a") as archive:
        archive.writestr(name, b"")
    refused(tmp_path / "a.pth", "is a TorchScript program")


@pytest.mark.parametrize("ending", ["pt", "pth", "bin", "ckpt", "pkl"])
@pytest.mark.parametrize("version", ["2.1.2+cu121", "2.5.1", "1.13.1"])
def test_before_torch_2_6_pickles_are_refused(
    tmp_path: Path, monkeypatch, ending: str, version: str
) -> None:
    torch.save(SmallCNN(2).state_dict(), tmp_path / f"a.{ending}")
    save_file(SmallCNN(2).state_dict(), tmp_path / "a.safetensors")
    monkeypatch.setattr(torch, "__version__", version)
    refused(tmp_path / f"a.{ending}", rf"this is {version[:3]}.*save_file\(torch\.load\('a\.")
    assert load_classifier(tmp_path / "a.safetensors").labels


@pytest.mark.parametrize("version", ["2.6.0", "2.10.0+cpu", "3.0.0a0+git1"])
def test_later_versions_are_not_mistaken_for_earlier_ones(
    tmp_path: Path, monkeypatch, version: str
) -> None:
    torch.save(SmallCNN(2).state_dict(), tmp_path / "a.pt")
    monkeypatch.setattr(torch, "__version__", version)
    assert load_classifier(tmp_path / "a.pt").labels


@pytest.mark.parametrize("kept", [0, 4, 1535])
def test_a_record_shorter_than_its_tensor(tmp_path: Path, kept: int) -> None:
    torch.save({"head.weight": torch.ones(3, 128)}, tmp_path / "a.pt")
    rewrite(tmp_path / "a.pt", lambda n, c: (n, c[:kept] if n.endswith("data/0") else c))
    refused(tmp_path / "a.pt", rf"shape \[3, 128\], which is more than .* \({kept:,} bytes\)")


def test_a_storage_that_claims_more_than_its_record(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(4)}, tmp_path / "a.pt")
    # BININT1 4, the storage's length, then TUPLE and BINPERSID; and the tensor's own shape (4,)
    rewrite(tmp_path / "a.pt", lambda n, c: (n, c.replace(b"K\x04tq", b"K\xfftq")))
    refused(tmp_path / "a.pt", "more than the file holds there")


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize(
    ("shape", "stride", "offset", "sentence"),
    [
        ((64,), (1,), 0, "more than the file holds"),
        ((8,), (1,), 1, "more than the file holds"),
        ((2,), (7,), 0, ""),
        ((2, 2), (1, 7), 0, "more than the file holds"),
        ((8, 2**40), (1, 0), 0, "more than the file holds"),
        ((2,), (1,), -1, "described wrongly"),
        ((2,), (-1,), 1, "described wrongly"),
        ((-2,), (1,), 1, "described wrongly"),
        ((1,) * 20, (1,) * 20, 0, "described wrongly"),
        ((2, 2), (1,), 0, "described wrongly"),
    ],
)
def test_a_tensor_that_reaches_out_of_its_storage(
    tmp_path: Path, shape: tuple, stride: tuple, offset: int, sentence: str, archive: bool
) -> None:
    class Lie:
        def __reduce__(self):
            storage = torch.arange(8.0).untyped_storage()
            typed = torch.storage.TypedStorage(
                wrap_storage=storage, dtype=torch.float32, _internal=True
            )
            rebuild = torch._utils._rebuild_tensor_v2
            return rebuild, (typed, offset, shape, stride, False, {})

    torch.save({"w": Lie()}, tmp_path / "a.pt", _use_new_zipfile_serialization=archive)
    if sentence:
        refused(tmp_path / "a.pt", sentence)
    else:
        read = read_checkpoint(tmp_path / "a.pt").state["w"].read("w")
        assert torch.equal(read, torch.tensor([0.0, 7.0]))


def test_a_stream_that_claims_more_than_it_has(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(4)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "a.pt").read_bytes()
    for claim in (5, 2**40, -1):
        (tmp_path / "b.pt").write_bytes(content[:-24] + struct.pack("<q", claim) + content[-16:])
        refused(tmp_path / "b.pt", "b.pt is damaged .* claims")


def test_an_archive_of_the_oldest_kind(tmp_path: Path) -> None:
    (tmp_path / "sys_info").write_bytes(b"")
    with tarfile.open(tmp_path / "a.pt", "w") as archive:
        archive.add(tmp_path / "sys_info", "sys_info")
    refused(tmp_path / "a.pt", "PyTorch before 1.0")


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_many_names_for_one_storage(tmp_path: Path, ending: str) -> None:
    block = torch.zeros(2**21)
    file = tmp_path / f"a.{ending}"
    if ending == "pt":
        torch.save({f"w{number}": block for number in range(1000)}, file)
    else:
        entry = {"dtype": "F32", "shape": [2**21], "data_offsets": [0, 2**23]}
        header = json.dumps({f"w{number}": entry for number in range(1000)}).encode()
        file.write_bytes(struct.pack("<Q", len(header)) + header + bytes(2**23))
    refused(file, "claim 8,388,608,000 bytes")


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_a_sparse_file_of_8_gib(tmp_path: Path, ending: str) -> None:
    file, size = tmp_path / f"a.{ending}", 2**33
    if ending == "safetensors":
        entry = {"dtype": "F32", "shape": [2**31], "data_offsets": [0, size]}
        header = json.dumps({"x": entry}).encode()
        file.write_bytes(struct.pack("<Q", len(header)) + header)
    with file.open("ab") as end:
        end.truncate(end.tell() + size)
    refused(file, "is not recognised" if ending == "safetensors" else "is damaged")
    refused(
        file,
        "class_token is missing" if ending == "safetensors" else "is damaged",
        architecture="vit_b_16",
    )


def called(callee: str, argument: int) -> bytes:
    module, _, name = callee.rpartition(".")
    return (
        b"\x80\x02}q\x00X\x01\x00\x00\x00wc"
        + f"{module}\n{name}\n".encode()
        + b"\x8a\x05"
        + argument.to_bytes(5, "little")
        + b"\x85Rs."
    )


@pytest.mark.parametrize(
    "callee", ["builtins.bytearray", "__builtin__.bytearray", "torch.FloatStorage"]
)
def test_calls_that_would_take_memory_are_not_made(tmp_path: Path, callee: str) -> None:
    (tmp_path / "a.pt").write_bytes(archive_of(called(callee, 10**11)))
    refused(tmp_path / "a.pt", "holds no table of named weights")


@pytest.mark.parametrize(
    "callee",
    ["os.system", "posix.system", "builtins.eval", "torch.load", "torch.jit.load", "numpy.load"],
)
def test_functions_are_not_looked_up(callee: str) -> None:
    with pytest.raises(RefusedPickle, match=callee):
        read_pickle(called(callee, 1))


@pytest.mark.parametrize("step", [b"]", b"}", b"(", b")", b"N", b"]q\x00", b"(((((tttt"])
def test_pickles_that_blow_up(tmp_path: Path, monkeypatch, step: bytes) -> None:
    allowed = torch_file.LARGEST_PICKLE
    longest = 2**16  # a small part of what is read, so that it takes a small part of the time
    monkeypatch.setattr(torch_file, "LARGEST_PICKLE", longest)
    tracemalloc.start()
    pickle = b"\x80\x02" + step * ((longest - 16) // len(step))
    (tmp_path / "a.pt").write_bytes(archive_of(pickle + b"."))
    refused(tmp_path / "a.pt", "damaged|no table")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / longest * allowed < ROOM
    (tmp_path / "a.pt").write_bytes(archive_of(pickle + pickle))
    refused(tmp_path / "a.pt", "its pickle has")


def test_integers_of_one_hash_are_no_keys() -> None:
    number = (2**61 - 1).to_bytes(8, "little")
    entry = b"\x8a\x08" + number + b"N"
    assert read_pickle(b"\x80\x02}(" + entry * 1000 + b"u.").value == {}
    with pytest.raises(ValueError, match="integer that is too large"):
        read_pickle(b"\x80\x02\x8a\x20" + bytes(31) + b"\x01.")


def test_an_archive_with_a_huge_list_of_records(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(4)}, tmp_path / "a.pt")
    content = bytearray((tmp_path / "a.pt").read_bytes())
    end = content.rfind(b"PK\x05\x06")
    content[end + 12 : end + 16] = struct.pack("<L", 2**31)
    (tmp_path / "a.pt").write_bytes(content)
    refused(tmp_path / "a.pt", "list of its records claims 2,147,483,648 bytes")


def test_a_record_twice(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(4)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
    with zipfile.ZipFile(tmp_path / "a.pt", "a") as archive, pytest.warns(UserWarning):
        archive.writestr(name, b"\x80\x02}.")
    refused(tmp_path / "a.pt", "a name twice")


@pytest.mark.parametrize(
    "name",
    ["timm:vit_gigantic_patch14_clip_224", "timm:eva02_enormous_patch14_clip_224", "vit_h_14"],
)
def test_a_giant_for_a_small_file(tmp_path: Path, name: str) -> None:
    save_file(SmallCNN(2).state_dict(), tmp_path / "a.safetensors")
    refused(tmp_path / "a.safetensors", "is missing|several times", architecture=name)


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        ("vit", {"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ("vit", {"num_hidden_layers": 2**20}, "several times as many weights"),
        ("vit", {"num_hidden_layers": 1e300}, "num_hidden_layers is 1e\\+300"),
        ("vit", {"hidden_size": 12 * 2**15, "intermediate_size": 2**20}, "does not fit"),
        ("vit", {"image_size": 2**20}, "does not fit|table of|missing"),
        ("resnet", {"depths": [2**20] * 4, "hidden_sizes": [4] * 4}, "several times|cannot build"),
        ("swin", {"window_size": 2**12, "image_size": 2**15}, "table of|several times|fit"),
        ("beit", {"image_size": 2**14, "use_relative_position_bias": True}, "table of|fit"),
        ("convnext", {"depths": [2**20], "hidden_sizes": [2**20]}, "several times|fit|build"),
    ],
)
def test_configurations_without_end(
    tmp_path: Path, kind: str, changes: dict, sentence: str
) -> None:
    pytest.importorskip("transformers")
    config = {"model_type": kind, "id2label": {"0": "a", "1": "b"}, **changes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"classifier.weight": torch.zeros(2, 8)}, tmp_path / "model.safetensors")
    refused(tmp_path, sentence)
