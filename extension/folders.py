"""Where classifiers, probe pictures and edits lie in a web UI: only in folders of the host's."""

from __future__ import annotations

from pathlib import Path

from modules import paths, shared

from .options import CLASSIFIER_FOLDERS

MODEL_FOLDER = "image_classifiers"
OWN_FOLDER = "detour"
"""Below the host's data folder: `probes` to put pictures in, `edits` where edits are saved."""
OWN_CLASSIFIERS = Path(__file__).resolve().parents[1] / "demo" / "classifiers"
"""The small classifiers that come with Detour, listed beside the user's own."""
OUTPUT_OPTIONS = (
    "outdir_samples",
    "outdir_txt2img_samples",
    "outdir_img2img_samples",
    "outdir_extras_samples",
    "outdir_save",
)
"""The host's settings that name its output folders; empty ones are passed over."""


def model_save_folder() -> Path:
    """Where classifiers are saved: `models/image_classifiers`."""
    return Path(paths.models_path) / MODEL_FOLDER


def model_roots() -> list[Path]:
    """The folders in which classifiers are looked for."""
    more = str(getattr(shared.opts, CLASSIFIER_FOLDERS, "") or "").split(";")
    extra = [Path(folder.strip()) for folder in more if folder.strip()]
    return [model_save_folder(), *extra, OWN_CLASSIFIERS]


def own_folder() -> Path:
    """Detour's own folder in the host's data folder."""
    return Path(paths.data_path) / OWN_FOLDER


def picture_roots() -> list[Path]:
    """The folders below which pictures may lie: our `probes`, and the host's output folders."""
    named = [str(getattr(shared.opts, option, "") or "") for option in OUTPUT_OPTIONS]
    return [own_folder() / "probes", *dict.fromkeys(_placed(name) for name in named if name)]


def _placed(name: str) -> Path:
    """An output folder: the hosts write it in full, below the data folder (SD.Next), or below
    the folder that they run in."""
    below = Path(paths.data_path) / name
    return below if below.is_dir() else Path(name)


def edit_save_folder() -> Path:
    """Where edits are saved."""
    return own_folder() / "edits"


def edit_roots() -> list[Path]:
    """The folders in which edit files are looked for."""
    return [edit_save_folder(), *model_roots()]
