"""Test-only ComfyUI nodes that the demo loads beside Detour: a placebo and a digit counter.

They are no part of the extension. `DETOUR_ROOT` names the repository, whose library they use.
"""

import os
import sys

sys.path.append(os.environ["DETOUR_ROOT"])

from .count import CountDigits
from .placebo import MidBlockNoise

NODE_CLASS_MAPPINGS = {"DemoCountDigits": CountDigits, "DemoMidBlockNoise": MidBlockNoise}
