"""Run beside a real host's checkout, by its own Python: Detour's hooks on its own U-Net class.

    python real_unet.py CHECKOUT

Prints one line of JSON with what was found; `where` is the file of the class, in CHECKOUT.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

CHECKOUT = Path(sys.argv[1]).resolve()
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]
sys.argv = ["webui.py", "--always-cpu", "--cpu"]  # Forge Neo's is the second

import torch  # noqa: E402
from stand_in import make_modules, run_shim  # noqa: E402
from webui_models import WORDS, ldm_unet, seeded  # noqa: E402

TINY = {
    "in_channels": 4,
    "model_channels": 32,
    "out_channels": 4,
    "channel_mult": [1, 2],
    "num_heads": 2,
    "use_spatial_transformer": True,
    "context_dim": WORDS,
    "legacy": False,
    "num_res_blocks": [1, 1],
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
    "transformer_depth_middle": 1,
}


FOLDERS = (
    ".",
    "packages_3rdparty",
    "modules_forge/packages",
    "repositories/huggingface_guess",
    "repositories/stable-diffusion-stability-ai",
)
"""What the hosts put on Python's path, if it is there."""


def make_unet():
    """The tiny U-Net of the host's own class."""
    sys.path[:0] = [str(CHECKOUT / folder) for folder in FOLDERS]
    if (CHECKOUT / "backend" / "nn" / "unet.py").is_file():
        from backend.nn.unet import IntegratedUNet2DConditionModel as Kind

        given = {name: value for name, value in TINY.items() if name != "legacy"}
        return seeded(lambda: Kind(**given))
    if (CHECKOUT / "ldm_patched").is_dir():
        from ldm_patched.modules.args_parser import args

        args.always_cpu = True
        from ldm_patched.ldm.modules.diffusionmodules.openaimodel import UNetModel as Kind

        given = {**TINY, "image_size": 8, "dtype": torch.float32}
        return seeded(lambda: Kind(**given))
    return ldm_unet()


def file_of(unet) -> str:
    """The file of the U-Net's class, as a path in the checkout.

    Raises ValueError if it lies elsewhere, for example in a package of that name.
    """
    file = Path(importlib.import_module(type(unet).__module__).__file__).resolve()
    return str(file.relative_to(CHECKOUT))


def takes_control(unet) -> bool:
    """Whether the class has ControlNet built in, as the Forge family's."""
    return not type(unet).__module__.startswith("ldm.")


def call(unet, control=None):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    words = torch.randn(2, 3, WORDS, generator=generator)
    given = {} if control is None else {"control": {"middle": [control]}}
    options = {"transformer_options": {}} if takes_control(unet) else {}
    return unet(x, torch.full((2,), 500.0), context=words, **given, **options)


def literal(unet, lam, control=None):
    """The definition, by what goes into the block's first layer and comes out of its last."""
    first, last = unet.middle_block[0], unet.middle_block[-1]
    kept = []
    hooks = [
        first.register_forward_pre_hook(lambda _m, args: kept.append(args[0])),
        last.register_forward_hook(lambda _m, _a, out: torch.lerp(out, kept[-1], lam)),
    ]
    try:
        return call(unet, control)
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def main() -> None:
    unet = make_unet()
    generator = torch.Generator().manual_seed(4)
    for parameter in unet.parameters():  # the hosts leave them as the memory was
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    plain = call(unet)
    sys.modules.update(make_modules("a1111"))
    run_shim(HERE.parents[1] / "scripts" / "detour.py")
    begin = sys.modules["detour_webui.extension.bypass"].UNetCalls
    schedule = sys.modules["detour_webui.detour.schedule"].Schedule
    dial = sys.modules["detour_webui.detour.ways.bypass"].Dial
    block, runs, found = unet.middle_block, [], {"where": file_of(unet)}
    for module in block.modules():
        module.register_forward_hook(lambda *_: runs.append(1))
    control = torch.full((2, 64, 4, 4), 0.5) if takes_control(unet) else None
    for lam in (0.25, 0.7, -0.5, 1.0):
        for added in (None, control):
            expected = literal(unet, lam, None if added is None else added.clone())
            calls = begin(dial(schedule(lam)))
            calls.set(unet, 0.0)
            runs.clear()
            got = call(unet, None if added is None else added.clone())
            calls.detach()
            name = f"lam {lam:g}{'' if added is None else ' with control'}"
            found[name] = bool(torch.equal(got, expected))
            if lam == 1.0:
                found["modules run at 1"] = len(runs)
    found["differs"] = not torch.equal(expected, plain)
    found["restored"] = unet.middle_block is block and not unet._forward_pre_hooks
    found["plain again"] = bool(torch.equal(call(unet), plain))
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
