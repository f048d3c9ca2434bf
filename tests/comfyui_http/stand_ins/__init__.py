"""A checkpoint and a CLIP vision model to run a workflow with that needs real ones: the tiny model,
which takes a text for one of its words, and random weights."""

import json
import logging
import os
import tempfile

WORDS = {"nurse": "nurse", "doctor": "builder"}
VISION = {
    "model_type": "clip_vision_model",
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "num_channels": 3,
    "patch_size": 8,
    "image_size": 32,
    "projection_dim": 12,
}


def tiny(word):
    """The tiny model, and the conditioning of one of its words."""
    import nodes

    return nodes.NODE_CLASS_MAPPINGS["DetourDemoModel"].execute(word, "demo").args[:2]


class TinyClip:
    """As much of a CLIP as CLIPTextEncode calls; what it was asked stands in the log."""

    def tokenize(self, text):
        logging.info("stand-in prompt: %s", text)
        return text

    def encode_from_tokens_scheduled(self, text):
        return tiny(next((word for key, word in WORDS.items() if key in text), ""))[1]


class Checkpoint:
    """In the place of CheckpointLoaderSimple."""

    INPUT_TYPES = classmethod(lambda cls: {"required": {"ckpt_name": ("STRING", {})}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL", "CLIP", "VAE"), "load", "stand-ins"

    def load(self, ckpt_name):
        import nodes

        return tiny("")[0], TinyClip(), nodes.VAELoader().load_vae("pixel_space")[0]


class Vision:
    """In the place of CLIPVisionLoader."""

    INPUT_TYPES = classmethod(lambda cls: {"required": {"clip_name": ("STRING", {})}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("CLIP_VISION",), "load", "stand-ins"

    def load(self, clip_name):
        import comfy.clip_vision
        import torch

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "config.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(VISION, file)
            clip = comfy.clip_vision.ClipVisionModel(path)
        drawn = torch.Generator().manual_seed(0)
        weights = {
            name: torch.randn(value.shape, generator=drawn) * 0.2
            for name, value in clip.model.state_dict().items()
            if value.is_floating_point()
        }
        clip.model.load_state_dict(weights, strict=False)
        return (clip,)


NODE_CLASS_MAPPINGS = {"StandInCheckpoint": Checkpoint, "StandInVision": Vision}
