"""Write the example workflows: `python -m tools.make_workflows --object-info FILE`.

What nodes look like is taken from a running ComfyUI with this extension in it: FILE is its
`/object_info`, saved, or the address of it. Without `--object-info` a ComfyUI is started for it
(`COMFYUI_PATH`).
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .checks import ROOT
from .downloads import chosen_host, host_folder
from .environment import write_whole
from .failure import Failure, say
from .server import ComfyServer
from .workflow import problems
from .workflow_layout import Spec, build_workflow
from .workflow_specs import specs

FOLDER = ROOT / "example_workflows"


def local_host() -> Path:
    """The ComfyUI that `COMFYUI_PATH` names, else the fetched one; a Failure if there is none."""
    host = chosen_host() or host_folder()
    if not host.is_dir():
        raise Failure(
            "There is no ComfyUI here yet; set COMFYUI_PATH to one, or let "
            "`python dev.py demo --quick` fetch it."
        )
    return host


def read_object_info(source: str) -> dict[str, Any]:
    """The host's `/object_info` from a file, an address or, for "", a server of our own."""
    if not source:
        with ComfyServer(local_host(), {"detour": ROOT}) as server:
            return server.get_json("/object_info")
    if source.startswith(("http://", "https://")):
        with urllib.request.urlopen(source) as answer:
            return json.load(answer)
    return json.loads(Path(source).read_text(encoding="utf-8"))


def make(spec: Spec, object_info: dict[str, Any]) -> str:
    """The text of one workflow file; a Failure if the host could not run it."""
    workflow = build_workflow(spec, object_info)
    found = problems(workflow, object_info)
    if found:
        raise Failure(f"The workflow {spec.name!r} does not fit the host.", "\n".join(found))
    return json.dumps(workflow, indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write all of them; the exit status."""
    parser = argparse.ArgumentParser(prog="tools.make_workflows", description=__doc__)
    parser.add_argument("--object-info", default="", metavar="FILE", help="a file or an address")
    options = parser.parse_args(arguments)
    try:
        object_info = read_object_info(options.object_info)
        FOLDER.mkdir(exist_ok=True)
        for spec in specs():
            write_whole(FOLDER / f"{spec.name}.json", make(spec, object_info))
            say(f"{spec.name}: {len(spec.boxes)} nodes")
    except Failure as failure:
        say(f"{failure.details}\nError: {failure}".strip())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
