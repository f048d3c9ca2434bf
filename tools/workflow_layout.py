"""From a compact description of a workflow to the file that ComfyUI's editor opens.

A workflow is a row of stacks; a stack is some titled groups under each other; a group has
columns of nodes. `workflow_sizes` says how much room each takes, so that nothing overlaps.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .workflow import NOTES, Input, node_inputs
from .workflow_sizes import TITLE, Box, room, size

GAP_X, GAP_Y, PADDING, HEADING, GROUP_GAP = 44, 30, 20, 44, 36
OURS, OURS_DARK, NOTE, NOTE_DARK = "#2f5d50", "#24473e", "#5a4a24", "#453a1e"
LIST_SHAPE, OPTIONAL_SHAPE = 6, 7
VIEW = {"scale": 0.62, "offset": [110, 215]}
"""Where the editor looks at first: below 0.58 it leaves all text out."""
SPACE = uuid.UUID("5f3b1c52-7a0e-4c80-9d57-2f1f0f1d3c11")
"""Makes the ids of the files, the same ones each time."""


@dataclass(frozen=True)
class Group:
    """A titled frame around columns of nodes; an empty column keeps its place free."""

    title: str
    columns: Sequence[Sequence[Box]]
    colour: str = "#3f5f8a"


@dataclass(frozen=True)
class Spec:
    """A whole workflow under the name of its file."""

    name: str
    stacks: Sequence[Sequence[Group]]

    @property
    def boxes(self) -> list[Box]:
        """All nodes from left to right."""
        groups = [group for stack in self.stacks for group in stack]
        return [box for group in groups for column in group.columns for box in column]


def build_workflow(spec: Spec, object_info: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow in the editor's format, version 0.4.

    Raises KeyError or ValueError for a node or an input that the host does not have.
    """
    numbers = {box.key: number for number, box in enumerate(spec.boxes, 1)}
    nodes = {box.key: _node(box, numbers[box.key], object_info) for box in spec.boxes}
    rooms = {box.key: room(box, object_info) for box in spec.boxes}
    groups = _place(spec, nodes, rooms)
    links = _connect(spec, nodes)
    for order, key in enumerate(_sorted(spec)):
        nodes[key]["order"] = order
    return {
        "id": str(uuid.uuid5(SPACE, spec.name)),
        "revision": 0,
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": list(nodes.values()),
        "links": links,
        "groups": groups,
        "config": {},
        "extra": {"ds": VIEW},
        "version": 0.4,
    }


def _node(box: Box, number: int, object_info: Mapping[str, Any]) -> dict[str, Any]:
    """A node without its place and its links."""
    node: dict[str, Any] = {
        "id": number,
        "type": box.type,
        "pos": [0, 0],
        "size": list(box.size or size(box, object_info)),
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {},
        "widgets_values": [],
    }
    if box.title:
        node["title"] = box.title
    if box.type in NOTES:
        node |= {"color": NOTE, "bgcolor": NOTE_DARK, "widgets_values": [box.widgets["text"]]}
        return node
    info, ours = object_info[box.type], box.type.startswith("Detour")
    entries = node_inputs(info)
    node["properties"]["Node name for S&R"] = box.type
    sockets = sorted(entries, key=lambda entry: entry.is_widget)
    node["inputs"] = [_input_slot(entry) for entry in sockets]
    node["outputs"] = [
        {"name": name, "type": kind, "links": None} | ({"shape": LIST_SHAPE} if listed else {})
        for name, kind, listed in zip(
            info["output_name"], info["output"], info["output_is_list"], strict=True
        )
    ]
    node["widgets_values"] = _values(box, entries)
    if ours:
        node |= {"color": OURS, "bgcolor": OURS_DARK}
    return node


def _input_slot(entry: Input) -> dict[str, Any]:
    slot: dict[str, Any] = {"name": entry.name, "type": entry.type}
    if not entry.required:
        slot["shape"] = OPTIONAL_SHAPE
    if entry.is_widget:
        slot["widget"] = {"name": entry.name}
    return slot | {"link": None}


def _values(box: Box, entries: Sequence[Input]) -> list[Any]:
    """The widgets' values: the box's own, else the host's defaults."""
    unknown = set(box.widgets) - {entry.name for entry in entries if entry.is_widget}
    if unknown:
        raise KeyError(f"{box.type} has no widget {', '.join(sorted(unknown))}")
    values: list[Any] = []
    for entry in entries:
        if entry.is_widget:
            first = entry.choices[0] if entry.choices else ""
            values.append(box.widgets.get(entry.name, entry.options.get("default", first)))
            values.extend(entry.extra_values)
    return values


def _place(
    spec: Spec, nodes: dict[str, dict[str, Any]], rooms: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Give every node its place; the groups around them."""
    groups: list[dict[str, Any]] = []
    left = 0
    for stack in spec.stacks:
        widths = _column_widths(stack, nodes)
        inside = sum(widths) + GAP_X * (len(widths) - 1)
        top = 0
        for group in stack:
            height = _place_columns(group, widths, (left, top), nodes, rooms)
            groups.append(
                {
                    "id": len(groups) + 1,
                    "title": group.title,
                    "bounding": [left, top, inside + 2 * PADDING, height],
                    "color": group.colour,
                    "font_size": 24,
                    "flags": {},
                }
            )
            top += height + GROUP_GAP
        left += inside + 2 * PADDING + GROUP_GAP
    return groups


def _column_widths(stack: Sequence[Group], nodes: Mapping[str, dict[str, Any]]) -> list[int]:
    """Columns of groups in one stack line up: the widest node counts."""
    widths = [0] * max(len(group.columns) for group in stack)
    for group in stack:
        for place, column in enumerate(group.columns):
            widths[place] = max([widths[place], *(nodes[box.key]["size"][0] for box in column)])
    return widths


def _place_columns(
    group: Group,
    widths: Sequence[int],
    corner: tuple[int, int],
    nodes: dict[str, dict[str, Any]],
    rooms: Mapping[str, int],
) -> int:
    """Place a group's nodes; the group's height."""
    left, top = corner
    x, lowest = left + PADDING, top
    for width, column in zip(widths, group.columns, strict=False):
        y = top + HEADING
        for box in column:
            node = nodes[box.key]
            node["pos"] = [x, y + TITLE]
            node["size"][0] = width
            y += TITLE + rooms[box.key] + GAP_Y
        lowest = max(lowest, y - GAP_Y)
        x += width + GAP_X
    return lowest + PADDING - top


def _connect(spec: Spec, nodes: Mapping[str, dict[str, Any]]) -> list[list[Any]]:
    """Put the links into the slots of both ends; the list of links."""
    links: list[list[Any]] = []
    for box in spec.boxes:
        target = nodes[box.key]
        for name, source_name in box.links.items():
            key, _, wanted = source_name.partition(".")
            source = nodes[key]
            names = [slot["name"] for slot in source["outputs"]]
            out_slot = names.index(wanted) if wanted else 0
            in_slot = [slot["name"] for slot in target["inputs"]].index(name)
            output, number = source["outputs"][out_slot], len(links) + 1
            output["links"] = [*(output["links"] or []), number]
            target["inputs"][in_slot]["link"] = number
            ends = [source["id"], out_slot, target["id"], in_slot]
            links.append([number, *ends, output["type"]])
    return links


def _sorted(spec: Spec) -> list[str]:
    """The keys of the boxes, each after those that it needs."""
    needs = {
        box.key: {source.partition(".")[0] for source in box.links.values()} for box in spec.boxes
    }
    done: list[str] = []
    while len(done) < len(needs):
        done.append(next(k for k, n in needs.items() if k not in done and n <= set(done)))
    return done
