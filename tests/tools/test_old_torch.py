"""The environment with an old torch: where it can be had, and what stands in for CUDA."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import beside, checks
from tools.failure import Failure


def test_it_is_asked_for_by_name() -> None:
    assert not checks.test_options([])[0].old_torch
    assert checks.test_options(["--old-torch"])[0].old_torch


def test_elsewhere_it_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(Failure, match="needs Linux"):
        beside.prepare_old_torch()


@pytest.mark.skipif(
    sys.platform != "linux" or not all(map(shutil.which, ("cc", "nm", "readelf"))),
    reason="needs a C compiler on Linux",
)
def test_empty_libraries_have_the_symbols_that_are_wanted(tmp_path: Path) -> None:
    real, wants, empty = (tmp_path / name for name in ("real", "wants", "empty"))
    real.mkdir()
    wants.mkdir()
    (real / "a.c").write_text("void *cudaThing(void) { return &cudaThing; }\n")
    (real / "map").write_text("libcudart.so.12 { global: *; };\n")
    (wants / "b.c").write_text("void *cudaThing(void); void *ask(void) { return cudaThing(); }\n")
    library = str(real / "libcudart.so.12")
    versions = f"-Wl,--version-script={real / 'map'},-soname,libcudart.so.12"
    for arguments in (
        ["-o", library, str(real / "a.c"), versions],
        ["-o", str(wants / "libtorch.so"), str(wants / "b.c"), library],
    ):
        subprocess.run(["cc", "-shared", "-fPIC", "-w", *arguments], check=True)
    beside._make_libraries(wants, empty)
    loaded = ctypes.CDLL(str(empty / "libcudart.so.12"))
    loaded.cudaThing.restype = ctypes.c_void_p
    assert loaded.cudaThing() is None
    with pytest.raises(Failure, match="C compiler and binutils"):
        beside._say("no-such-compiler")
