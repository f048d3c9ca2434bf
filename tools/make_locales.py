"""Write `locales/en/nodeDefs.json`: `python -m tools.make_locales`.

The English words live in the nodes' schemas and nowhere else; this file is what translators
start from, and what the host's frontend reads. Other languages are written by hand in
`locales/<language>/nodeDefs.json`; `missing` tells what one of them lacks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from .checks import ROOT
from .editor import local_host
from .environment import write_whole
from .failure import in_one_sentence, say
from .server import ComfyServer

LOCALES = ROOT / "locales"
FILE = "nodeDefs.json"
PREFIX = "Detour"


def english(object_info: Mapping[str, Any]) -> dict[str, Any]:
    """Every word that our nodes show, in the form that the host's frontend translates from."""
    return {
        name: _node(info) for name, info in sorted(object_info.items()) if name.startswith(PREFIX)
    }


def _node(info: Mapping[str, Any]) -> dict[str, Any]:
    inputs = {}
    for group in ("required", "optional"):
        for name, spec in (info["input"].get(group) or {}).items():
            options = spec[1] if len(spec) > 1 else {}
            inputs[name] = {
                "name": options.get("display_name") or name,
                "tooltip": options.get("tooltip", ""),
            }
    names, tips = info["output_name"], info.get("output_tooltips") or []
    outputs = {
        str(place): {"name": name, "tooltip": tips[place] if place < len(tips) else ""}
        for place, name in enumerate(names)
    }
    words = {"display_name": info["display_name"], "description": info["description"]}
    return {**words, "inputs": inputs, "outputs": outputs}


def missing(english_words: Mapping[str, Any], other: Mapping[str, Any], at: str = "") -> list[str]:
    """The places of the English words that have no text in another language, or are no longer
    in the English ones."""
    places = [f"{at}{key} is not in the English file" for key in other if key not in english_words]
    for key, value in english_words.items():
        found = other.get(key)
        if isinstance(value, Mapping):
            places += missing(value, found if isinstance(found, Mapping) else {}, f"{at}{key}.")
        elif value and not found:
            places.append(f"{at}{key}")
    return places


def to_text(words: Mapping[str, Any]) -> str:
    """The words as the file holds them."""
    return json.dumps(words, indent=1, ensure_ascii=False) + "\n"


def read_words(language: str) -> dict[str, Any]:
    """What the file of a language says, by its two letters."""
    path = LOCALES / language / FILE
    return json.loads(path.read_text(encoding="utf-8"))


@in_one_sentence
def main() -> int:
    """Write the English file and name what the other languages lack; the exit status."""
    with ComfyServer(local_host(), {"detour": ROOT}) as server:
        words = english(server.get_json("/object_info"))
    (LOCALES / "en").mkdir(parents=True, exist_ok=True)
    write_whole(LOCALES / "en" / FILE, to_text(words))
    say(f"en: {len(words)} nodes")
    lacking = 0
    for folder in sorted(path for path in LOCALES.iterdir() if path.name != "en"):
        places = missing(words, read_words(folder.name))
        lacking += len(places)
        say("\n".join([f"{folder.name}: {len(places)} places without text", *places[:20]]))
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
