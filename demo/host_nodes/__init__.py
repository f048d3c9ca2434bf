"""Test-only ComfyUI nodes that the demo loads beside Detour: a placebo and a reader.

They are no part of the extension. `DETOUR_ROOT` names the repository, whose library they use.
"""

import os
import sys

sys.path.append(os.environ["DETOUR_ROOT"])

from .placebo import MidBlockNoise
from .read_people import ReadPeople

NODE_CLASS_MAPPINGS = {"DemoReadPeople": ReadPeople, "DemoMidBlockNoise": MidBlockNoise}
