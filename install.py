"""What a host runs after installing Detour. Installs nothing: the hosts bring all it needs."""

import importlib.util

NEEDED = {"torch": "torch", "safetensors": "safetensors", "PIL": "Pillow", "numpy": "numpy"}
"""Module and package name of what every host ships."""


def missing() -> list[str]:
    """The packages that this Python cannot find."""
    return [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]


if __name__ == "__main__" and missing():
    print(f"Detour: not found in this Python: {', '.join(missing())}. Your host installs them.")  # noqa: T201
