"""What the tab takes from its host: device, lock, room, folders, names and passwords."""

from __future__ import annotations

import importlib
import sys
import threading
import types
from types import SimpleNamespace

import pytest
import torch
from stand_in import SHIM, modules_in_place, run_shim

PACKAGE = "detour_webui.extension"


@pytest.fixture
def host():
    """A host's modules, with Detour loaded into it."""
    with modules_in_place("a1111") as made:
        run_shim(SHIM)
        yield made


def part(name: str):
    return importlib.import_module(f"{PACKAGE}.{name}")


def with_gpu(host) -> None:
    host["modules.devices"].get_optimal_device = lambda: "cuda"


@pytest.mark.parametrize(
    ("options", "choice", "device"),
    [
        ({}, "auto", "cuda"),
        ({"lowvram": True}, "auto", "cpu"),
        ({"medvram": True}, "auto", "cpu"),
        ({"use_cpu": ["detour"]}, "auto", "cpu"),
        ({"use_cpu": ["all"]}, "auto", "cpu"),
        ({"use_cpu": ["interrogate"]}, "auto", "cuda"),
        ({"use_cpu": None}, "auto", "cuda"),
        ({}, "cpu", "cpu"),
        ({"lowvram": True}, "gpu", "cuda"),
    ],
)
def test_the_device_follows_the_setting_and_the_hosts_options(host, options, choice, device):
    with_gpu(host)
    host["modules.shared"].cmd_opts = SimpleNamespace(**options)
    host["modules.shared"].opts.detour_classifier_device = choice
    assert part("classifier_host").pick_device() == torch.device(device)


class Network:
    """Notes where it was moved."""

    def __init__(self) -> None:
        self.places: list[str] = []

    def to(self, device) -> None:
        self.places.append(str(device))

    def state_dict(self) -> dict:
        return {"weight": torch.zeros(10)}


@pytest.fixture
def lock(host, monkeypatch):
    """A host with a GPU and a lock around its generations."""
    with_gpu(host)
    queue = types.ModuleType("modules.call_queue")
    queue.queue_lock = threading.Lock()
    monkeypatch.setitem(sys.modules, "modules.call_queue", queue)
    return queue.queue_lock


@pytest.fixture
def asked(monkeypatch):
    """How much room Forge's own memory management was asked for, and where."""
    asked = []
    manager = types.ModuleType("backend.memory_management")
    manager.free_memory = lambda count, device: asked.append((count, str(device)))
    monkeypatch.setitem(sys.modules, "backend.memory_management", manager)
    return asked


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
def test_on_a_gpu_it_gets_room_runs_alone_and_goes_back_after_an_error(host, lock, asked):
    network = Network()
    with (
        pytest.raises(KeyError),
        part("classifier_host").on_device(network, 1000, lambda: None),
    ):
        assert network.places == ["cuda"] and lock.locked()
        raise KeyError
    assert asked == [(1040, "cuda")]
    assert network.places == ["cuda", "cpu"] and not lock.locked()
    assert host["modules.devices"].collected == 1


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
def test_a_search_gets_the_same_device_and_room_and_runs_alone(host, lock, asked):
    runtime = part("classifier_host").OnDevice(part("work").Work(print))
    with runtime.searching(1000) as device:
        assert device == torch.device("cuda") and lock.locked()
    assert asked == [(1000, "cuda")] and not lock.locked()


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
def test_it_waits_for_a_generation_and_can_be_stopped_meanwhile(host, lock):
    network, looks = Network(), []

    def wait():
        looks.append(1)
        if len(looks) == 2:
            raise part("work").Stopped

    lock.acquire()
    with pytest.raises(part("work").Stopped), part("classifier_host").on_device(network, 0, wait):
        pytest.fail("a generation is running")
    assert len(looks) == 2 and network.places == [] and lock.locked()


def test_on_the_cpu_nothing_is_moved_and_nobody_waits(host, lock):
    host["modules.shared"].opts.detour_classifier_device = "cpu"
    lock.acquire()
    network = Network()
    with part("classifier_host").on_device(network, 0, pytest.fail):
        assert network.places == []
    assert lock.locked()


def test_autocast_is_off_while_it_computes(host):
    layer = torch.nn.Linear(2, 2)
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        part("classifier_host").on_device(layer, 0, lambda: None),
    ):
        assert layer(torch.ones(1, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("device", "error"),
    [
        ("mps", RuntimeError("User specified an unsupported autocast device_type 'mps'")),
        ("privateuseone", AssertionError("the backend has not registered a module")),
    ],
)
def test_devices_without_autocast_compute_all_the_same(host, monkeypatch, device, error):
    """As on a Mac with torch 2.0 to 2.4, and with DirectML: there it cannot be on, either."""
    host["modules.devices"].get_optimal_device = lambda: device
    known = torch.autocast

    def autocast(device_type, **more):
        if device_type == device:
            raise error
        return known(device_type, **more)

    monkeypatch.setattr(torch, "autocast", autocast)
    network = Network()
    with part("classifier_host").on_device(network, 0, pytest.fail):
        assert network.places == [device]
    assert network.places == [device, "cpu"]
    with (
        pytest.raises(RuntimeError, match="of the work itself"),
        part("classifier_host").on_device(network, 0, pytest.fail),
    ):
        raise RuntimeError("of the work itself")


def test_more_folders_come_from_the_settings(host, tmp_path):
    (tmp_path / "mine" / "vit").mkdir(parents=True)
    for name in ("one.pth", "notes.txt", "vit/model.safetensors", "vit/config.json"):
        (tmp_path / "mine" / name).touch()
    host["modules.paths"].models_path = str(tmp_path / "models")
    host["modules.shared"].opts.detour_classifier_folders = f" {tmp_path / 'mine'} ; ;"
    listed = importlib.import_module("detour_webui.detour.files").classifier_names
    names = listed(part("folders").model_roots())
    assert names[:2] == ["one.pth", "vit"] and "notes.txt" not in names


def test_pictures_come_from_our_folder_and_the_hosts_output_folders_only(host, tmp_path):
    host["modules.paths"].data_path = str(tmp_path)
    opts = host["modules.shared"].opts
    opts.outdir_samples, opts.outdir_txt2img_samples = "", str(tmp_path / "txt")
    opts.outdir_img2img_samples = str(tmp_path / "txt")
    found = part("folders").picture_roots()
    assert found == [tmp_path / "detour" / "probes", tmp_path / "txt"]
    (tmp_path / "outputs").mkdir()
    opts.outdir_samples = "outputs"  # as SD.Next writes it
    assert part("folders").picture_roots()[1] == tmp_path / "outputs"


def test_the_hosts_passwords_are_read(host, tmp_path):
    read = part("credentials").credentials
    assert read(SimpleNamespace()) == {}
    assert read(SimpleNamespace(api_auth="a:b:c, d:e")) == {"a": "b:c", "d": "e"}
    assert read(SimpleNamespace(api_auth="a:b", gradio_auth="x:y")) == {"a": "b"}
    assert read(SimpleNamespace(api_auth=None, gradio_auth="x:y")) == {"x": "y"}
    file = tmp_path / "who"
    file.write_text("m:n\no:p\n", encoding="utf-8")
    assert read(SimpleNamespace(auth='"a:b"')) == {"a": "b"}
    assert read(SimpleNamespace(auth=None, auth_file=str(file))) == {"m": "n", "o": "p"}
    assert read(SimpleNamespace(gradio_auth="x:y", gradio_auth_path=str(file))) == {
        "x": "y",
        "m": "n",
        "o": "p",
    }
    with pytest.raises(FileNotFoundError):
        read(SimpleNamespace(auth_file=str(tmp_path / "none")))
