"""Workflows as ComfyUI's editor saves them: check one, and make the prompt that the API takes.

Both need the host's `/object_info`, which says what every node has. In a saved workflow the
values of a node's widgets are one list without names, in the order of its inputs; an editor
puts a further value behind a seed ("fixed", "randomize" ...) and behind a file to upload.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .failure import Failure

NOTES = ("MarkdownNote", "Note")
"""Nodes that only the editor knows; they are never executed."""
EDITOR_ONLY = ("Reroute", "PrimitiveNode")
MUTED, BYPASSED = 2, 4
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
SEEDS = ("seed", "noise_seed")
FILES = ("ckpt_name", "clip_name", "control_net_name", "file", "image", "lora_name")
"""Combos that list files: what they offer depends on the machine."""


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
    def extra_values(self) -> tuple[str, ...]:
        """What the editor saves behind the widget's own value."""
        if self.type == "INT" and (
            self.name in SEEDS or self.options.get("control_after_generate")
        ):
            return ("fixed",)
        if self.options.get("image_upload"):
            return ("image",)
        return ()


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
    saved = node.get("widgets_values")
    if isinstance(saved, dict):
        return {entry.name: saved[entry.name] for entry in widgets if entry.name in saved}
    values, place = list(saved or ()), 0
    named = {}
    for entry in widgets:
        if place < len(values):
            named[entry.name] = values[place]
        place += 1 + len(entry.extra_values)
    if place > len(values):
        raise WorkflowError(_wrong_count(node, len(values), place))
    return named


def _wrong_count(node: Mapping[str, Any], found: int, wanted: int) -> str:
    return f"{_title(node)} has {found} widget values; on this host they are {wanted}."


def to_prompt(workflow: Mapping[str, Any], object_info: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow as a prompt for the host's API, by node id; notes are left out.

    Raises WorkflowError for nodes that the host does not know and for what only the editor
    can resolve: muted and bypassed nodes, reroutes, primitives, subgraphs.
    """
    links = {link[0]: link for link in workflow.get("links") or ()}
    prompt = {}
    for node in executed_nodes(workflow):
        refusal = _refusal(node, workflow, object_info)
        if refusal:
            raise WorkflowError(refusal)
        info = object_info[node["type"]]
        inputs: dict[str, Any] = widget_values(node, info)
        for slot in node.get("inputs") or ():
            link = links.get(slot.get("link"))
            if link is not None:
                inputs[slot["name"]] = [str(link[1]), link[2]]
        title = node.get("title") or info.get("display_name") or node["type"]
        prompt[str(node["id"])] = {
            "class_type": node["type"],
            "inputs": inputs,
            "_meta": {"title": title},
        }
    return prompt


def executed_nodes(workflow: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All nodes but the notes."""
    return [node for node in workflow.get("nodes") or () if node.get("type") not in NOTES]


def problems(workflow: Mapping[str, Any], object_info: Mapping[str, Any]) -> list[str]:
    """What keeps this workflow from running on this host, one sentence each; [] if nothing.

    Files are not looked for: a checkpoint that is not on this machine is no problem.
    """
    found = list(_numbering(workflow))
    for node in executed_nodes(workflow):
        refusal = _refusal(node, workflow, object_info)
        if refusal:
            found.append(refusal)
        else:
            found += _node_problems(node, object_info[node["type"]])
    return found + list(_link_problems(workflow))


def _title(node: Mapping[str, Any]) -> str:
    return f"Node {node.get('id')} ({node.get('title') or node.get('type')})"


def _refusal(
    node: Mapping[str, Any], workflow: Mapping[str, Any], object_info: Mapping[str, Any]
) -> str:
    """Why a node cannot be executed as it stands; "" if it can."""
    subgraphs = (workflow.get("definitions") or {}).get("subgraphs") or ()
    if node.get("type") in [subgraph.get("id") for subgraph in subgraphs]:
        return f"{_title(node)} is a subgraph; unpack it in the editor first."
    if node.get("type") in EDITOR_ONLY:
        return f"{_title(node)} exists only in the editor; connect its two ends directly."
    if node.get("mode") in (MUTED, BYPASSED):
        state = "muted" if node["mode"] == MUTED else "bypassed"
        return f"{_title(node)} is {state}; switch it on or remove it."
    if node.get("type") not in object_info:
        return f"{_title(node)} has the type {node.get('type')!r}, which the host does not know."
    return ""


def _numbering(workflow: Mapping[str, Any]) -> Iterator[str]:
    """Ids used twice, and counters that would give an id out again."""
    for name, ids in (
        ("node", [node.get("id") for node in workflow.get("nodes") or ()]),
        ("link", [link[0] for link in workflow.get("links") or ()]),
    ):
        if len(set(ids)) != len(ids):
            yield f"A {name} id is used twice."
        if max(ids, default=0) > workflow.get(f"last_{name}_id", 0):
            yield f"last_{name}_id is smaller than the highest {name} id."


def _node_problems(node: Mapping[str, Any], info: Mapping[str, Any]) -> Iterator[str]:
    """What of one node does not fit the host's definition."""
    known = {entry.name: entry for entry in node_inputs(info)}
    slots = {slot["name"]: slot for slot in node.get("inputs") or ()}
    for name, slot in slots.items():
        if name not in known:
            yield f"{_title(node)} has an input {name!r}, which the host does not know."
        elif slot.get("type") != known[name].type:
            yield f"{_title(node)}: the input {name!r} is {known[name].type}, not {slot['type']}."
    for entry in known.values():
        linked = slots.get(entry.name, {}).get("link") is not None
        if entry.required and not entry.is_widget and not linked:
            yield f"{_title(node)}: the input {entry.name!r} is not connected."
    outputs = [slot.get("type") for slot in node.get("outputs") or ()]
    # A newer host may have added outputs behind these; the editor adds them to the node.
    if outputs != list(info["output"])[: len(outputs)]:
        yield f"{_title(node)} has the outputs {outputs}; on this host they are {info['output']}."
    try:
        values = widget_values(node, info)
    except WorkflowError as error:
        yield str(error)
        return
    found = node.get("widgets_values") or ()
    wanted = sum(1 + len(entry.extra_values) for entry in known.values() if entry.is_widget)
    if isinstance(found, list) and len(found) > wanted:
        yield _wrong_count(node, len(found), wanted)
    for name, value in values.items():
        complaint = _value_problem(known[name], value)
        if complaint:
            yield f"{_title(node)}: {name} {complaint}."


def _value_problem(entry: Input, value: Any) -> str:
    """What is wrong with a widget's value; "" if nothing."""
    kinds = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool}
    if entry.type == "COMBO":
        known = entry.name in FILES or value in entry.choices
        return "" if known else f"is {value!r}, which is none of its choices"
    if not isinstance(value, kinds[entry.type]) or (
        isinstance(value, bool) != (entry.type == "BOOLEAN")
    ):
        return f"is {value!r}, which is no {entry.type}"
    low, high = entry.options.get("min"), entry.options.get("max")
    if (low is not None and value < low) or (high is not None and value > high):
        return f"is {value!r}, outside of {low} to {high}"
    return ""


def _link_problems(workflow: Mapping[str, Any]) -> Iterator[str]:
    """Links whose ends do not exist, do not know of them, or differ in type."""
    nodes = {node.get("id"): node for node in workflow.get("nodes") or ()}
    for link, source, out_slot, target, in_slot, kind in workflow.get("links") or ():
        try:
            output = nodes[source]["outputs"][out_slot]
            entry = nodes[target]["inputs"][in_slot]
        except (KeyError, IndexError):
            yield f"Link {link} begins or ends at a slot that does not exist."
            continue
        if entry.get("link") != link or link not in (output.get("links") or ()):
            yield f"Link {link} is not noted at both of its ends."
        if not output["type"] == entry["type"] == kind and "*" not in (
            output["type"],
            entry["type"],
        ):
            yield f"Link {link} joins {output['type']} to {entry['type']}."
    known = {link[0] for link in workflow.get("links") or ()}
    for node in nodes.values():
        for slot in node.get("inputs") or ():
            if slot.get("link") is not None and slot["link"] not in known:
                yield f"{_title(node)}: the input {slot['name']!r} has a link that does not exist."
