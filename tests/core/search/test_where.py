"""Where a search computes: the same everywhere, and on the CPU where a device cannot."""

from contextlib import contextmanager

import pytest
import torch

from detour.classifier_words import SEARCH_WITHOUT_DEVICE
from detour.search.guarded import fit_mistakes
from detour.search.one_weight import bias_only, worst_group
from detour.search.pair import weight_and_bias
from detour.search.remove_class import find_removal
from detour.search.several import fit_sizes
from detour.search.where import OUT_OF_MEMORY, SMALL, on_device, room_to_search, search_device

SEARCHES = {
    "worst_group": worst_group,
    "bias_only": bias_only,
    "weight_and_bias": weight_and_bias,
    "sizes": lambda probes: list(fit_sizes(probes, torch.arange(len(probes)), None)),
    "mistakes": lambda probes: list(fit_mistakes(probes, torch.arange(len(probes)), 1)),
    "removal": lambda probes: find_removal(probes, 1),
}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_device_finds_what_the_cpu_finds(headed, name, classes):
    probes, search = headed(c=classes, n=300), SEARCHES[name]
    assert str(search(probes.on("cuda"))) == str(search(probes))


def test_the_cpu_takes_over_from_a_device_without_enough_memory(headed, caplog):
    probes, places = headed().on("meta"), []

    def work(placed):
        made = torch.zeros(1)
        places.append({made.device.type, *(v.device.type for v in (placed.z, placed.y, placed.a))})
        if placed.features.is_meta:
            raise OUT_OF_MEMORY
        return "found"

    assert on_device(probes, work) == "found" and places == [{"meta"}, {"cpu"}]
    assert caplog.messages == [SEARCH_WITHOUT_DEVICE % "meta"]
    assert probes.z.device.type == "cpu" and torch.zeros(1).device.type == "cpu"


def test_only_devices_that_compute_in_float64_are_searched_on():
    found = {name: search_device(name) for name in ("cpu", "meta", "mps", "cuda")}
    here = "cuda" if torch.cuda.is_available() else "cpu"
    assert found == {"cpu": "cpu", "meta": "cpu", "mps": "cpu", "cuda": here}


class Asked:
    """A host that notes for how many bytes it was asked."""

    def __init__(self):
        self.rooms = []

    @contextmanager
    def searching(self, room):
        self.rooms.append(room)
        yield torch.device("cpu:0")
        self.rooms.append("done")


def test_the_host_is_asked_for_room_where_the_device_is_worth_it(headed):
    host, probes = Asked(), headed(n=64, d=16)
    with room_to_search(host, probes, SMALL // 1024) as placed:
        assert placed is probes and not host.rooms
    with room_to_search(host, probes, SMALL // 1024 + 1) as placed:
        assert placed.device == "cpu:0" and probes.device == "cpu"
        assert host.rooms == [2**31 + 4 * 64 * (16 + 2)]
        assert worst_group(placed) == worst_group(probes)
    assert host.rooms[1:] == ["done"]
