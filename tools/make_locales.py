"""Write `locales/en/nodeDefs.json`: `python -m tools.make_locales --object-info FILE`.

The English words live in the nodes' schemas and nowhere else; this file is what translators
start from, and what the host's frontend reads. Other languages are written by hand in
`locales/<language>/nodeDefs.json`; `missing` tells what one of them lacks. FILE is a saved
`/object_info` or its address; without it a ComfyUI is started (`COMFYUI_PATH`).
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .checks import ROOT
from .editor import local_host
from .environment import write_whole
from .failure import Failure, say
from .server import ComfyServer

LOCALES = ROOT / "locales"
FILE = "nodeDefs.json"
PREFIX = "Detour"


def read_object_info(source: str) -> dict[str, Any]:
    """The host's `/object_info` from a file, an address or, for "", a server of our own."""
    if not source:
        with ComfyServer(local_host(), {"detour": ROOT}) as server:
            return server.get_json("/object_info")
    if source.startswith(("http://", "https://")):
        with urllib.request.urlopen(source) as answer:
            return json.load(answer)
    return json.loads(Path(source).read_text(encoding="utf-8"))


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


def main(arguments: Sequence[str]) -> int:
    """Write the English file and name what the other languages lack; the exit status."""
    parser = argparse.ArgumentParser(prog="tools.make_locales", description=__doc__)
    parser.add_argument("--object-info", default="", metavar="FILE", help="a file or an address")
    options = parser.parse_args(arguments)
    try:
        words = english(read_object_info(options.object_info))
    except Failure as failure:
        say(f"{failure.details}\nError: {failure}".strip())
        return 1
    (LOCALES / "en").mkdir(parents=True, exist_ok=True)
    write_whole(LOCALES / "en" / FILE, to_text(words))
    say(f"en: {len(words)} nodes")
    lacking = 0
    for folder in sorted(path for path in Path(LOCALES).iterdir() if path.name != "en"):
        places = missing(words, read_words(folder.name))
        lacking += len(places)
        say("\n".join([f"{folder.name}: {len(places)} places without text", *places[:20]]))
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
