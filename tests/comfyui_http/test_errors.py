"""Bad input over HTTP: one sentence on the node, nothing saved, the server lives on."""

from __future__ import annotations

import copy
import io
import itertools
import math

import pytest
from PIL import Image

from detour.checks import quoted
from tools.server import PromptFailed

PLAIN = {
    "model": {"class_type": "DetourDemoModel", "inputs": {"prompt": "", "variant": "demo"}},
    "vae": {"class_type": "VAELoader", "inputs": {"vae_name": "pixel_space"}},
    "latent": {
        "class_type": "EmptyChromaRadianceLatentImage",
        "inputs": {"width": 16, "height": 16, "batch_size": 4},
    },
    "dial": {
        "class_type": "DetourMidBlockBypass",
        "inputs": {
            "model": ["model", 0],
            "strength": 1.0,
            "shape": "constant",
            "start_percent": 0.0,
            "end_percent": 0.35,
            "apply_to": "both",
            "schedule_by": "sigma",
            "skip_compute": True,
            "points": "",
        },
    },
    "sampler": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["dial", 0],
            "seed": 3,
            "steps": 6,
            "cfg": 1.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "positive": ["model", 1],
            "negative": ["model", 2],
            "latent_image": ["latent", 0],
            "denoise": 1.0,
        },
    },
    "decode": {
        "class_type": "VAEDecode",
        "inputs": {"samples": ["sampler", 0], "vae": ["vae", 0]},
    },
    "sheet": {
        "class_type": "DetourContactSheet",
        "inputs": {"images": ["decode", 0], "columns": 2},
    },
    "save": {
        "class_type": "SaveImage",
        "inputs": {"images": ["sheet", 0], "filename_prefix": "detour"},
    },
}

SWEEP = {
    "class_type": "DetourBypassSweep",
    "inputs": {
        **{k: v for k, v in PLAIN["dial"]["inputs"].items() if k != "strength"},
        "strengths": "0, 0.5",
    },
}


def changed(node: str, **inputs) -> dict:
    prompt = copy.deepcopy(PLAIN)
    prompt[node]["inputs"].update(inputs)
    return prompt


def swept(**inputs) -> dict:
    """The same run behind a sweep."""
    prompt = copy.deepcopy(PLAIN) | {"sweep": copy.deepcopy(SWEEP)}
    prompt["sweep"]["inputs"].update(inputs)
    prompt["sampler"]["inputs"]["model"] = ["sweep", 0]
    return prompt


def two_sizes() -> dict:
    """Two pictures of different width: the lengths of the sweep's labels, 10 and 12."""
    prompt = swept()
    width = {"class_type": "StringLength", "inputs": {"string": ["sweep", 1]}}
    inputs = {"width": ["width", 0], "height": 16, "batch_size": 1, "color": 0}
    prompt |= {"width": width, "empty": {"class_type": "EmptyImage", "inputs": inputs}}
    prompt["sheet"]["inputs"]["images"] = ["empty", 0]
    return prompt


CASES = {
    "strength NaN": (changed("dial", strength=math.nan), "dial", "strength is nan"),
    "unknown word": (changed("model", prompt="zebra"), "model", "does not know the prompt 'zebra'"),
    "strengths unreadable": (swept(strengths="0, lots"), "sweep", "the strength 'lots'"),
    "sizes differ": (two_sizes(), "sheet", "needs pictures of one size"),
}


@pytest.fixture(scope="module")
def plain_bytes(server):
    """The picture that the plain run makes in this server, before anything went wrong."""
    return run_plain(server)


NUMBERS = itertools.count()


def run_plain(server) -> bytes:
    """Points that the shape does not use are what keeps the host from its cache: the model is the
    one that was there when something failed, and it is sampled."""
    prompt = changed("dial", points=f"0:1, 1:{next(NUMBERS) / 1000}")
    (picture,) = server.run(prompt)["save"]["images"]
    data = server.view(picture["filename"], picture["subfolder"], picture["type"])
    return Image.open(io.BytesIO(data)).tobytes()  # the file has the points in it


def saved_files(server) -> list[str]:
    return sorted(path.name for path in (server.base / "output").rglob("*") if path.is_file())


@pytest.mark.parametrize("case", CASES)
def test_one_sentence_no_output_and_the_server_lives(case, server, plain_bytes):
    prompt, node, expected = CASES[case]
    files, messages = saved_files(server), []
    with pytest.raises(PromptFailed) as caught:
        server.run(prompt, on_message=messages.append)
    (error,) = [m["data"] for m in messages if m["type"] == "execution_error"]
    message = error["exception_message"].strip()
    assert caught.value.node_id == error["node_id"] == node
    assert expected in message
    assert message.endswith(".") and "\n" not in message and "Traceback" not in message
    assert not [m for m in messages if m["type"] == "executed"]
    assert saved_files(server) == files
    server.check_alive()
    assert run_plain(server) == plain_bytes


@pytest.mark.parametrize("strength", [math.inf, 1.5])
def test_a_strength_out_of_range_is_refused_before_anything_runs(strength, server, plain_bytes):
    files = saved_files(server)
    with pytest.raises(PromptFailed) as caught:
        server.run(changed("dial", strength=strength))
    assert list(caught.value.node_errors) == ["dial"]
    assert saved_files(server) == files
    assert run_plain(server) == plain_bytes


@pytest.mark.parametrize("written", ["a model", 3, {"samples": 0}])
def test_a_value_where_something_must_be_connected_is_refused_in_one_sentence(written, server):
    with pytest.raises(PromptFailed) as caught:
        server.run(changed("dial", model=written))
    (error,) = caught.value.node_errors["dial"]["errors"]
    sentence = f"model is {quoted(written)}, and takes no value: connect a node's output to it."
    assert error["details"].endswith(sentence)


def test_the_dial_really_acts_in_the_plain_run(server, plain_bytes, pictures_of):
    dialled = pictures_of(server, server.run(PLAIN))["save"]
    off = pictures_of(server, server.run(changed("dial", strength=0.0)))["save"]
    assert dialled.size == off.size == (210, 210)
    assert dialled.tobytes() != off.tobytes()
