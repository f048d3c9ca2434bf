"""Gives an older ComfyUI what its schemas lack, before it loads any custom node: the CURVE type of
before the Curve Editor, and inputs that are advanced.

Newer hosts draw an editor inside the node for an input of this type, and always send its curve.
With this the tests of the page see the schemas that newer hosts send; those stay as they are.
"""

import inspect
from importlib.util import find_spec

from comfy_api.latest import io

RAMP = {"points": [[0.0, 0.0], [1.0, 1.0]], "interpolation": "monotone_cubic"}

if find_spec("comfy_extras.nodes_curve") is None:

    @io.comfytype(io_type="CURVE")
    class Curve(io.ComfyTypeIO):
        class Input(io.WidgetInput):
            def __init__(self, id, display_name=None, optional=False, tooltip=None, **_newer):
                super().__init__(id, display_name, optional, tooltip, socketless=True)

            def as_dict(self):
                return {**super().as_dict(), "default": RAMP}

    io.Curve = Curve


def with_advanced(known):
    class Input(known):
        def __init__(self, *args, advanced=None, **fields):
            super().__init__(*args, **fields)
            self.advanced = advanced

        def as_dict(self):
            told = super().as_dict()
            return told if self.advanced is None else {**told, "advanced": self.advanced}

    return Input


if "advanced" not in inspect.signature(io.Combo.Input).parameters:
    for kind in (io.Boolean, io.Combo, io.Float, io.Int, io.String):
        kind.Input = with_advanced(kind.Input)
