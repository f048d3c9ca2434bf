"""Gives a ComfyUI of before the Curve Editor its CURVE type, before it loads any custom node.

Newer hosts draw an editor inside the node for an input of this type, and always send its curve.
With this the tests of the page see the schemas that newer hosts send; those stay as they are.
"""

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
