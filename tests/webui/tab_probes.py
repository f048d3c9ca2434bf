"""Probe folders of the demo's people, and files that are no good, for the tab's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import torch
from PIL import Image
from stand_in import SHIM, modules_in_place, run_shim

from demo.probe_faces import ATTRIBUTES, probe_faces

CLASSIFIER = "nurse_or_builder.safetensors"
OWN = Path(__file__).resolve().parents[2] / "demo" / "classifiers" / CLASSIFIER


def write_probes(folder: Path, count: int, attributes: tuple[str, ...] = ATTRIBUTES) -> None:
    """`count` people as class/attribute/number.png; with the named hair only."""
    probes = probe_faces(count, 0)
    pictures = (probes.pictures * 255).round().to(torch.uint8).numpy()
    for picture, name, attribute, unit in zip(
        pictures, probes.classes, probes.attributes, probes.units, strict=True
    ):
        if attribute in attributes:
            place = folder / name / attribute
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(place / f"{unit}.png")


def write_data(data: Path, count: int = 800) -> None:
    """A web UI's data folder: probes, pictures of an output folder, and files to refuse."""
    write_probes(data / "detour" / "probes" / "people", count)
    write_probes(data / "detour" / "probes" / "only_long", 80, ("long hair",))
    shutil.copytree(data / "detour" / "probes" / "only_long", data / "outputs" / "damaged")
    sorted((data / "outputs" / "damaged" / "nurse").rglob("*.png"))[0].write_bytes(
        b"\x89PNG\r\n\x1a\nno more"
    )
    day = data / "outputs" / "2026-01-31"
    day.mkdir(parents=True)
    for picture in sorted((data / "detour" / "probes" / "people").rglob("*.png"))[:6]:
        shutil.copy(picture, day)
    models = data / "models" / "image_classifiers"
    models.mkdir(parents=True)
    write_hostile(models / "hostile.pt", data / "it_ran")


def write_hostile(path: Path, trace: Path) -> None:
    """A PyTorch file that makes a file `trace` if its pickled program is run."""

    class Hostile:
        def __reduce__(self):
            return Path.touch, (trace,)

    torch.save({"head.weight": Hostile()}, path)


@contextmanager
def host_with_data(data: Path, count: int = 800) -> Iterator[SimpleNamespace]:
    """A web UI with its data folder, in which `write_data` has put something: `modules` are its
    modules, `data` the folder."""
    write_data(data, count)
    with modules_in_place("a1111") as made:
        made["modules.paths"].data_path = str(data)
        made["modules.paths"].models_path = str(data / "models")
        made["modules.shared"].opts.outdir_txt2img_samples = str(data / "outputs")
        run_shim(SHIM)
        yield SimpleNamespace(modules=made, data=data)
