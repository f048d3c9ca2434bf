"""How AUTOMATIC1111's web UI and its forks differ: the only file that knows, besides `guidance.py`
(where they mix) and `pipeline.py` (SD.Next). Everything is told by what an object has, not by the
host's name.
"""

from __future__ import annotations

import inspect
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from ..detour.progress import SigmaTable, StepTable

TOO_OLD = "Detour needs AUTOMATIC1111's web UI 1.10 or newer; in this one it does nothing."
PIPELINES_NOTE = "In SD.Next: Text and Image tabs only; its Control tab leaves extensions out."
REPLACED = (
    "A replaced U-Net (TensorRT and the like) is active, so Detour has no effect; set SD Unet "
    "to None in the settings."
)


def has_sampling_hook(script_class: type) -> bool:
    """True if the host calls scripts before every sampling (A1111 1.10 and its forks)."""
    return hasattr(script_class, "process_before_every_sampling")


def runs_pipelines(callbacks: Any) -> bool:
    """True if the host samples with diffusers' pipelines (SD.Next): it alone ends every
    generation, failed ones too, with a callback."""
    return hasattr(callbacks, "on_after_process")


def tell(p: Any, text: str) -> None:
    """Say a sentence in the log and under the picture, once in a generation."""
    told = f"Detour: {text}"
    if told in getattr(p, "comments", ()):
        return
    log.warning(told)
    if hasattr(p, "comment"):
        p.comment(told)


def no_such_model(refiner: str) -> str:
    """The notice for a run without any call of the model that the setting `refiner` names."""
    other = "base model" if refiner == "refiner" else "refiner"
    return (
        f"Refiner is set to {refiner!r}, but all model calls were the {other}'s, so nothing was "
        "bypassed; choose 'both'."
    )


def make_temporary_folder(opts: Any) -> None:
    """Make the folder that the host's settings name for temporary pictures: Forge Neo's start
    scripts make it, its `launch.py` does not, and then no extension can show a picture."""
    if folder := getattr(opts, "temp_dir", ""):
        Path(folder).mkdir(parents=True, exist_ok=True)


def show_told(p: Any, processed: Any) -> None:
    """Put what was told under the picture where the host only keeps it (SD.Next)."""
    shown = getattr(processed, "comments", None)
    if not isinstance(shown, str):
        return
    told = (text for text in getattr(p, "comments", ()) if text.startswith("Detour: "))
    processed.comments = "\n".join(filter(None, [shown, *(t for t in told if t not in shown)]))


def find_unet(p: Any) -> nn.Module | None:
    """The U-Net that `p` samples with at this moment."""
    inner = getattr(patcher(p) or getattr(p, "sd_model", None), "model", None)
    return getattr(inner, "diffusion_model", None)


def patcher(p: Any) -> Any:
    """The Forge family's patcher of the U-Net that `p` samples with; None in A1111."""
    objects = getattr(getattr(p, "sd_model", None), "forge_objects", None)
    return getattr(objects, "unet", None)


def is_replaced(sd_unet: Any) -> bool:
    """True if A1111 runs something else than the torch U-Net."""
    return getattr(sd_unet, "current_unet", None) is not None


def samples_with_refiner(p: Any) -> bool:
    """True after the switch to the refiner's checkpoint."""
    refiner = getattr(p, "refiner_checkpoint_info", None)
    return refiner is not None and p.sd_model.sd_checkpoint_info == refiner


def sigma_table(p: Any) -> SigmaTable:
    """The sigma table of the model that `p` samples with; Stable Diffusion's if it has none."""
    model = p.sd_model
    inner = getattr(patcher(p), "model", None)
    clock = getattr(inner, "predictor", None) or getattr(inner, "model_sampling", None)
    if getattr(clock, "sigmas", None) is not None:
        return SigmaTable.of(clock.sigmas)
    kept = getattr(model, "alphas_cumprod", None)
    return SigmaTable.of_stable_diffusion() if kept is None else SigmaTable.of_alphas(kept)


def speaks_timesteps(denoiser: Any) -> bool:
    """True if a denoiser's "sigma" is a timestep: A1111's DDIM, PLMS and UniPC. The Forge
    family has turned it into a sigma before its callback."""
    return hasattr(denoiser, "alphas") and not hasattr(denoiser, "classic_ddim_eps_estimation")


def sigma_of(params: Any, table: SigmaTable) -> float:
    """The sigma of a denoiser call. All its rows have the same; this waits for the device."""
    value = float(params.sigma.flatten()[0])
    return table.at_timestep(value) if speaks_timesteps(params.denoiser) else value


def run_table(arguments: dict[str, Any], table: SigmaTable, function: Any) -> StepTable:
    """The steps of a run, from its sampler's function and the arguments that it got.

    Raises ValueError if the sampler makes its steps up as it goes.
    """
    if arguments.get("sigmas") is not None:
        return StepTable.of(arguments["sigmas"])
    if arguments.get("timesteps") is not None:
        times = _visited(arguments, function, len(table.sigmas) - 1)
        return StepTable(tuple(table.at_timestep(time) for time in times))
    raise ValueError(
        "schedule_by = step needs the sampler's list of sigmas, and this sampler does not give "
        "it; use schedule_by = sigma."
    )


def _visited(arguments: dict[str, Any], function: Any, last: int) -> list[float]:
    """The falling timesteps of a run, the closing one included. DDIM and PLMS go down the list
    and close at its least one. UniPC (it alone asks whether it works on a picture) takes only
    how many there are, and in a picture where to begin, and closes at 0."""
    times = sorted(arguments["timesteps"].flatten().tolist(), reverse=True)
    if "is_img2img" not in inspect.signature(function).parameters:
        return times
    first, steps = times[0] if arguments.get("is_img2img") else last, len(times)
    return [first * (1 - step / steps) for step in range(steps + 1)]


@dataclass
class Rows:
    """Which rows of the U-Net calls that a denoiser call will make are whose.

    order: for each row of A1111's, in order, whether it belongs to the prompt.
    prompts: how many rows of the prompt there are; what comes beyond is no part of guidance.
    in_tiles: whether the Forge family's calls are cut into tiles.
    """

    order: list[bool]
    prompts: int
    in_tiles: bool = False

    def conditioned(self, options: dict[str, Any], rows: int) -> list[bool]:
        """For each row of the next U-Net call whether it belongs to the prompt; called once for
        each of them.

        Raises ValueError where it cannot be told.
        """
        chunks: Sequence[int] = options.get("cond_or_uncond") or ()
        if not chunks:
            told, self.order = self.order[:rows], self.order[rows:]
        else:
            told = self._by_chunks(chunks, options.get("sigmas"), rows)
        if len(told) != rows:
            raise ValueError(
                "Another extension calls the U-Net as well, so it cannot be told which rows "
                "belong to the prompt and which to the negative prompt; use apply_to = both."
            )
        return told

    def _by_chunks(self, chunks: Sequence[int], latents: Any, rows: int) -> list[bool]:
        """The Forge family tells for each chunk, of as many rows as there are pictures, whether it
        is the prompt's (0) or the negative prompt's. MultiDiffusion puts all chunks of a tile
        before those of the next. A patch that evaluates one of the two once more (SAG the
        negative prompt, PAG the prompt) gets 0 for it, whichever it is: nothing is told then."""
        each = 0 if latents is None else len(latents)
        told = [chunk == 0 for chunk in chunks for _ in range(each)]
        if self.in_tiles and told and rows % len(told) == 0:
            return told * (rows // len(told))
        self.prompts -= sum(told)
        return told if self.prompts >= 0 or self.in_tiles else []


def rows_of(p: Any, params: Any) -> Rows:
    """The rows of a denoiser call: in A1111 its prompts come first, then the negative prompts
    (InstructPix2Pix has them twice, with the picture and without).

    Raises ValueError where A1111's calls are cut into tiles.
    """
    if _is_tiled(p.sd_model, params.denoiser):
        raise ValueError(
            "Tiled Diffusion cuts the model calls into tiles, so it cannot be told which rows "
            "belong to the prompt and which to the negative prompt; use apply_to = both."
        )
    prompts = params.text_cond.shape[0]
    order = [index < prompts for index in range(params.x.shape[0])]
    options = getattr(patcher(p), "model_options", None) or {}
    return Rows(order, prompts, bool(options.get("tiled_diffusion")))


@dataclass(frozen=True)
class ToldRows:
    """Rows of a denoiser call. pictures: of the latent; prompts: several for a picture with AND;
    is_edit: whether a third prediction is mixed (InstructPix2Pix)."""

    pictures: int
    prompts: int
    is_edit: bool = False


def told_rows(p: Any, params: Any) -> ToldRows:
    """What a denoiser call's `params` tell of its rows: A1111's latent has a row for each prompt
    and each negative prompt, the Forge family's one for each picture."""
    rows, prompts = params.x.shape[0], params.text_cond.shape[0]
    if patcher(p) is not None:
        return ToldRows(rows, prompts, bool(getattr(params.denoiser, "is_edit_model", False)))
    pictures = params.text_uncond.shape[0]
    return ToldRows(pictures, prompts, rows != prompts + pictures)


def needs_negative(denoiser: Any) -> bool:
    """Whether a sampler asks for the prediction of the negative prompt itself (CFG++)."""
    return bool(getattr(denoiser, "need_last_noise_uncond", False))


def may_cut(p: Any, params: Any) -> bool:
    """Whether A1111's U-Net calls can do without the negative prompt's rows at a guidance of 1:
    one prompt of weight 1 for each picture, guidance on, and nobody who asks for them or counts
    on them."""
    if patcher(p) is not None or needs_negative(params.denoiser):
        return False
    told, scale = told_rows(p, params), getattr(p, "cfg_scale", 1.0)
    parts = [part for parts in prompts_of_pictures(p) for part in parts]
    is_single = len(parts) == told.prompts == told.pictures
    weighs_one = all(getattr(part, "weight", None) == 1.0 for part in parts)
    taken_over = _is_tiled(p.sd_model, params.denoiser) or _has_own_forward(find_unet(p))
    return is_single and weighs_one and not taken_over and not math.isclose(scale, 1.0)


def prompts_of_pictures(p: Any) -> list[Sequence[Any]]:
    """The prompts of each picture of the batch under way: several with AND."""
    cond = getattr(getattr(p, "sampler", None), "sampler_extra_args", {}).get("cond")
    return list(getattr(cond, "batch", ()))


def parameters_refined(p: Any) -> Mapping[str, Any]:
    """The parameters of the picture that the gallery's button takes through the hires pass; none
    in any other generation. Of these the host itself takes its own seeds."""
    if not getattr(p, "txt2img_upscale", False):
        return {}
    images, infotexts = (import_module(f"modules.{name}") for name in ("images", "infotext_utils"))
    text, _ = images.read_info_from_image(p.firstpass_image)
    return infotexts.parse_generation_parameters(text or "", [])


def _has_own_forward(unet: nn.Module | None) -> bool:
    """Whether an extension has put a forward of its own onto a layer: Regional Prompter's count
    the calls, and take every other one of half the rows for the negative prompt's."""
    inside = [] if unet is None else [layer for part in unet.children() for layer in part.modules()]
    return any("forward" in vars(layer) for layer in inside)


def _is_tiled(model: Any, denoiser: Any) -> bool:
    """True if the extension Tiled Diffusion has taken A1111's model calls over: the model's (as
    Mixture of Diffusers) or the denoiser's (as MultiDiffusion)."""
    forward = getattr(getattr(denoiser, "inner_model", None), "forward", None)
    owner = getattr(forward, "__self__", None)
    return hasattr(model, "apply_model_original_md") or hasattr(owner, "batched_bboxes")


def _find_log() -> logging.Logger:
    """SD.Next throws away whatever is not written to its own logger or a child of it; Forge Neo
    whatever is no error, but the API's users are told of a value that cannot be used here only."""
    own = getattr(sys.modules.get("modules.logger"), "log", None)
    if own is not None:
        return own.getChild("detour")
    found = logging.getLogger("detour")
    if not found.isEnabledFor(logging.WARNING):
        found.setLevel(logging.WARNING)
    return found


log = _find_log()
