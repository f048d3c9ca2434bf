"""The example workflows: check them, make the prompt that the API takes, save them anew.

The files are the source. `python dev.py workflows --save` opens each in the editor and writes what
the editor says, after a node's schema has changed or a file was exported from a browser.

In a saved workflow the values of a node's widgets are one list without names, in the order of its
inputs; an editor puts a further value behind a seed ("fixed", "randomize" ...) and behind a file
to upload. The host's `/object_info` says what every node has.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .checks import ROOT
from .editor import local_host, open_editor
from .environment import write_whole
from .failure import Failure, in_one_sentence, say
from .server import ComfyServer

FOLDER = ROOT / "example_workflows"
NOTES = ("MarkdownNote", "Note")
"""Nodes that only the editor knows; they are never executed."""
FROM_OUTSIDE = -10
"""Where links in a subgraph begin that come from the node that holds it."""
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
SEEDS = ("seed", "noise_seed")
OF_A_RUN = ("detour_result", "detour_labels")
VARYING = ("localized_name", "widgets_values_named", "font_size", "cnr_id", "ver", *OF_A_RUN)
"""What only some frontends write, or each with its own version, and none needs to read; and what
js/results.js and js/label_pictures.js keep of a run."""
DRAWN = ("pos", "size")
"""What Nodes 2.0 saves as it is drawn, which depends on the letters of the machine."""


class WorkflowError(Failure):
    """A workflow that cannot be made into a prompt; the text is one sentence."""


@dataclass(frozen=True)
class Input:
    """One input of a node as the host describes it."""

    name: str
    type: str
    required: bool
    options: Mapping[str, Any]
    choices: tuple[Any, ...] = ()

    @property
    def is_widget(self) -> bool:
        """True if the editor gives it a field to fill in, not only a socket."""
        return self.type in WIDGETS and not self.options.get("forceInput")

    @property
    def values(self) -> int:
        """How many values the editor saves: its own, and what stands behind it."""
        seed = self.options.get("control_after_generate", self.name in SEEDS)
        more = (self.type == "INT" and seed) or self.options.get("image_upload")
        return 2 if more else 1


def node_inputs(info: Mapping[str, Any]) -> list[Input]:
    """The inputs of a node in the order of the host's definition."""
    found = []
    for part in ("required", "optional"):
        fields = info["input"].get(part) or {}
        for name in (info.get("input_order") or {}).get(part) or list(fields):
            kind, *rest = fields[name]
            options = rest[0] if rest and isinstance(rest[0], dict) else {}
            listed = isinstance(kind, list)
            choices = tuple(kind if listed else options.get("options") or ())
            kind = "COMBO" if listed else kind
            found.append(Input(name, kind, part == "required", options, choices))
    return found


def widget_values(node: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a node's widgets by name.

    Further values are passed over: after a run the editor may save the text that a node shows
    behind them. Raises WorkflowError if there are too few.
    """
    widgets = [entry for entry in node_inputs(info) if entry.is_widget]
    values, place = node.get("widgets_values") or (), 0
    named = {}
    for entry in widgets:
        if place < len(values):
            named[entry.name] = values[place]
        place += entry.values
    if place > len(values):
        raise WorkflowError(
            f"{_title(node)} has {len(values)} widget values; on this host they are {place}."
        )
    return named


def _title(node: Mapping[str, Any]) -> str:
    return f"Node {node.get('id')} ({node.get('title') or node.get('type')})"


@dataclass(frozen=True)
class Graph:
    """A graph of a workflow: the outer one, or what a node that is a subgraph holds."""

    nodes: Mapping[int, Mapping[str, Any]]
    links: Mapping[int, tuple[int, int]]
    subgraphs: Mapping[str, Mapping[str, Any]]
    prefix: str = ""
    outside: Graph | None = None
    holder: Mapping[str, Any] | None = None

    def inside(self, node: Mapping[str, Any]) -> Graph:
        """The graph that a node of this one holds."""
        made = self.subgraphs[node["type"]]
        links = {one["id"]: (one["origin_id"], one["origin_slot"]) for one in made["links"]}
        nodes = {one["id"]: one for one in made["nodes"]}
        return Graph(nodes, links, self.subgraphs, f"{self.prefix}{node['id']}:", self, node)

    def origin(self, link: int | None) -> list[Any] | None:
        """The node and output that a link comes from, through all subgraphs; None without."""
        if link not in self.links:
            return None
        source, slot = self.links[link]
        if source == FROM_OUTSIDE and self.outside and self.holder:
            name = self.subgraphs[self.holder["type"]]["inputs"][slot]["name"]
            entries = {entry["name"]: entry for entry in self.holder["inputs"]}
            return self.outside.origin(entries[name].get("link"))
        node = self.nodes[source]
        if node["type"] in self.subgraphs:
            ends = self.subgraphs[node["type"]]["outputs"][slot]["linkIds"]
            return self.inside(node).origin(ends[0])
        return [f"{self.prefix}{source}", slot]

    def executed(self) -> Iterator[tuple[Graph, Mapping[str, Any]]]:
        """All nodes but the notes, each with the graph that it lies in."""
        for node in self.nodes.values():
            if node["type"] in self.subgraphs:
                yield from self.inside(node).executed()
            elif node["type"] not in NOTES:
                yield self, node


def to_prompt(workflow: Mapping[str, Any], object_info: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow as a prompt for the host's API, by node id; "12:3" is node 3 in subgraph 12.

    What none of our files has is not resolved: muted and bypassed nodes, reroutes, primitives.
    Raises WorkflowError for a node that the host does not know.
    """
    subgraphs = (workflow.get("definitions") or {}).get("subgraphs") or ()
    nodes = {node["id"]: node for node in workflow["nodes"]}
    links = {link[0]: (link[1], link[2]) for link in workflow["links"]}
    prompt = {}
    for graph, node in Graph(nodes, links, {one["id"]: one for one in subgraphs}).executed():
        info = object_info.get(node["type"])
        if info is None:
            raise WorkflowError(f"{_title(node)}: the host does not know {node['type']!r}.")
        inputs: dict[str, Any] = widget_values(node, info)
        for slot in node.get("inputs") or ():
            origin = graph.origin(slot.get("link"))
            if origin is not None:
                inputs[slot["name"]] = origin
        title = node.get("title") or info.get("display_name") or node["type"]
        prompt[f"{graph.prefix}{node['id']}"] = {
            "class_type": node["type"],
            "inputs": inputs,
            "_meta": {"title": title},
        }
    return prompt


def to_text(saved: Mapping[str, Any], before: Mapping[str, Any], drawn: bool = False) -> str:
    """A workflow that the editor saved as its file holds it, alike from every frontend.

    Left out is what varies between frontends. Kept of the file `before` are the view that it opens
    with and, where the editor drew the nodes (`drawn`: Nodes 2.0), their places and sizes.
    """
    places = {node["id"]: {key: node[key] for key in DRAWN} for node in before["nodes"]}
    nodes = [node | places.get(node["id"], {}) if drawn else node for node in saved["nodes"]]
    subgraphs = (saved.get("definitions") or {}).get("subgraphs") or ()
    whole = {**saved, "nodes": nodes, "extra": {"ds": before["extra"]["ds"]}}
    settled = _settled(whole, {one["id"] for one in subgraphs})
    return json.dumps(settled, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _settled(part: Any, subgraphs: Collection[str]) -> Any:
    """Without what varies; a node that is a subgraph has its inputs, and no values of its own."""
    if isinstance(part, list):
        return [_settled(one, subgraphs) for one in part]
    if not isinstance(part, dict):
        return round(part) if isinstance(part, float) and abs(part - round(part)) < 1e-6 else part
    if part.get("type") in subgraphs:
        inputs = [{key: entry[key] for key in ("name", "type", "link")} for entry in part["inputs"]]
        part = {**part, "inputs": inputs, "properties": {}, "widgets_values": []}
    if isinstance(part.get("links"), list):  # a graph's, or a slot's numbers
        links = sorted(part["links"], key=lambda one: one["id"] if isinstance(one, dict) else one)
        part = {**part, "links": links}
    return {
        key: _settled(value, subgraphs)
        for key, value in part.items()
        if key not in VARYING and (key, value) != ("widgets_values", [])
    }


def saved_anew(server: ComfyServer) -> Iterator[tuple[str, str]]:
    """The name of each file, and its text as the editor saves it."""
    with open_editor(server) as editor:
        for path in sorted(FOLDER.glob("*.json")):
            before = json.loads(path.read_text(encoding="utf-8"))
            editor.load(before)
            yield path.name, to_text(editor.exported()["workflow"], before)


@in_one_sentence
def main(arguments: Sequence[str]) -> int:
    """`dev.py workflows`: name the files that the editor would save otherwise; the exit status."""
    parser = argparse.ArgumentParser(
        prog="dev.py workflows", description="Open the example workflows in the real editor."
    )
    told = "write what the editor says, after a schema changed or a file was exported"
    parser.add_argument("--save", action="store_true", help=told)
    options = parser.parse_args(arguments)
    other = 0
    with ComfyServer(local_host(), {"detour": ROOT}) as server:
        for name, text in saved_anew(server):
            if text == (FOLDER / name).read_text(encoding="utf-8"):
                continue
            other += 1
            say(f"{name} {'is saved anew' if options.save else 'would be saved otherwise'}.")
            if options.save:
                write_whole(FOLDER / name, text)
    return 1 if other and not options.save else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
