"""A ComfyUI of before the Curve Editor gets one; see prestartup_script.py."""

import numpy as np
from comfy_api.latest import ComfyExtension, io


class DrawnCurve:
    """What newer hosts send through a CURVE link: an object with `interp`."""

    def __init__(self, points):
        self.places, self.heights = zip(*points, strict=True)

    def interp(self, place):
        return float(np.interp(place, self.places, self.heights))


class CurveEditor(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="CurveEditor",
            display_name="Curve Editor",
            inputs=[io.Curve.Input("curve")],
            outputs=[io.Curve.Output("drawn", display_name="curve")],
        )

    @classmethod
    def execute(cls, curve):
        return io.NodeOutput(DrawnCurve(curve["points"]))


class NewerHost(ComfyExtension):
    async def get_node_list(self):
        import nodes

        return [] if "CurveEditor" in nodes.NODE_CLASS_MAPPINGS else [CurveEditor]


async def comfy_entrypoint():
    return NewerHost()
