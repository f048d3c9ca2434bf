"""Schemas on old and new hosts, and the golden file: a workflow saved today loads tomorrow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "nodes.json"
UPDATE = "DETOUR_UPDATE_GOLDEN"
"""Set to 1 to write additions at the end of a node's inputs or of the list into the file."""
FILE_LISTS = ("file",)
"""Inputs whose options are files: other ones on each machine."""
FIELDS = ("default", "options", "force_input", "optional")


def describe(node_class: Any) -> dict[str, list]:
    """What saved workflows rely on: names, order, types and defaults."""
    schema = node_class.define_schema()
    inputs = []
    for one in schema.inputs:
        record: dict[str, Any] = {"name": one.id, "type": one.get_io_type()}
        for field in FIELDS:
            value = getattr(one, field, None)
            unset = value is None or (value is False and field != "default")
            files = field == "options" and one.id in FILE_LISTS
            if not unset and not files:
                record[field] = value
        inputs.append(record)
    outputs = [
        {
            "id": one.id,
            "type": one.get_io_type(),
            "name": one.display_name,
            **({"list": True} if one.is_output_list else {}),
        }
        for one in schema.outputs
    ]
    return {"inputs": inputs, "outputs": outputs}


@pytest.fixture
def live(lab) -> dict[str, dict]:
    """The nodes as the host has them now."""
    return {name: describe(node_class) for name, node_class in lab.pack_nodes().items()}


def broken(frozen: dict[str, dict], live: dict[str, dict]) -> list[str]:
    """What of the frozen nodes is gone, renamed, moved or changed."""
    found = []
    for name, was in frozen.items():
        if name not in live:
            found.append(f"{name}: the node is gone")
            continue
        for part in ("inputs", "outputs"):
            now = live[name][part]
            for place, one in enumerate(was[part]):
                is_now = now[place] if place < len(now) else None
                if not extends(one, is_now):
                    found.append(f"{name}: {part} {place} was {one} and is {is_now}")
    return found


def extends(was: dict, now: dict | None) -> bool:
    """True if nothing of `was` changed; a list of options may have grown at its end."""
    if now is None or {**was, "options": None} != {**now, "options": None}:
        return False
    options = was.get("options") or []
    return (now.get("options") or [])[: len(options)] == options


def test_nothing_that_workflows_use_has_changed(live):
    frozen = json.loads(GOLDEN.read_text())
    assert broken(frozen, live) == []


def test_golden_file_knows_every_node_and_input(live):
    """Additions at the end are free, but go into the file with the same change."""
    frozen = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    if os.environ.get(UPDATE) and not broken(frozen, live):
        GOLDEN.write_text(json.dumps(live, indent=1, ensure_ascii=False) + "\n")
        frozen = live
    assert frozen == live, f"run once with {UPDATE}=1 to add what is new"


CHANGES = {
    "removed": lambda inputs: inputs.pop(1),
    "renamed": lambda inputs: inputs[1].update(name="lam"),
    "reordered": lambda inputs: inputs.insert(0, inputs.pop(1)),
    "inserted": lambda inputs: inputs.insert(1, {"name": "new", "type": "FLOAT"}),
    "retyped": lambda inputs: inputs[1].update(type="INT"),
    "new_default": lambda inputs: inputs[1].update(default=0.5),
    "option_gone": lambda inputs: inputs[2]["options"].pop(),
    "option_inserted": lambda inputs: inputs[2]["options"].insert(0, "none"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_breaking_change_would_be_found(live, change):
    frozen = json.loads(json.dumps(live))
    CHANGES[change](live["DetourMidBlockBypass"]["inputs"])
    assert broken(frozen, live)


def test_additions_at_the_end_break_nothing(live):
    frozen = json.loads(json.dumps(live))
    live["DetourMidBlockBypass"]["inputs"].append({"name": "new", "type": "FLOAT"})
    live["DetourMidBlockBypass"]["inputs"][2]["options"].append("new")
    live["DetourNew"] = {"inputs": [], "outputs": []}
    assert broken(frozen, live) == []


def test_a_node_that_is_gone_would_be_found(live):
    frozen = json.loads(json.dumps(live))
    del live["DetourPlotSchedule"]
    assert broken(frozen, live) == ["DetourPlotSchedule: the node is gone"]


def test_host_accepts_the_schemas(lab):
    """As for /object_info: validated, with a description, and a tooltip for everything."""
    for name, node_class in lab.pack_nodes().items():
        node_class.VALIDATE_CLASS()
        info = node_class.GET_NODE_INFO_V1()
        assert info["name"] == name
        assert info["description"]
        assert info["category"] in ("Detour/Variety", "Detour/Classifiers", "Detour/Tiny demo")
        schema = node_class.define_schema()
        for one in (*schema.inputs, *schema.outputs):
            assert one.tooltip, f"{name}.{one.id} has no tooltip"


def test_whatever_tells_its_result_can_be_run_by_itself(lab):
    """Its widget promises that; the host runs nothing for other nodes that lead nowhere, and shows
    nothing again of those whose result it has kept."""
    for name, node_class in lab.pack_nodes().items():
        schema = node_class.define_schema()
        if any(one.id == "report" for one in schema.outputs):
            assert schema.is_output_node, name


def test_every_widget_says_what_you_should_see(lab):
    for name, node_class in lab.pack_nodes().items():
        for one in node_class.define_schema().inputs:
            if one.get_io_type() not in ("MODEL",) or one.optional:
                assert "You should see:" in " ".join(one.tooltip.split()), f"{name}.{one.id}"


def test_every_required_widget_has_a_default(lab):
    for name, node_class in lab.pack_nodes().items():
        for one in node_class.define_schema().inputs:
            if not one.optional and hasattr(one, "default"):
                assert one.default is not None, f"{name}.{one.id}"


def old_factory(node_id: str, inputs: tuple = ()) -> dict:
    """A host of yesterday."""
    return {"node_id": node_id, "inputs": inputs}


def new_factory(node_id: str, search_aliases: tuple = (), advanced: bool = False) -> dict:
    """A host of tomorrow."""
    return {"node_id": node_id, "search_aliases": search_aliases, "advanced": advanced}


def open_factory(**fields: Any) -> dict:
    """A host that takes whatever it is given."""
    return fields


def test_build_drops_newer_fields_on_an_old_host(lab):
    build = lab.pack("nodes.schema").build
    newer = {"search_aliases": ["a"], "essentials_category": "b", "advanced": True}
    assert build(old_factory, node_id="N", **newer) == {"node_id": "N", "inputs": ()}


def test_build_keeps_them_where_they_are_known(lab):
    build = lab.pack("nodes.schema").build
    fields = {"node_id": "N", "search_aliases": ("a",), "advanced": True}
    assert build(new_factory, **fields, essentials_category="b") == fields
    assert build(open_factory, **fields) == fields


@pytest.mark.parametrize("typo", ["nod_id", "search_alias", "Advanced", "tooltips"])
def test_build_lets_a_typo_raise(lab, typo):
    build = lab.pack("nodes.schema").build
    with pytest.raises(TypeError, match=typo):
        build(old_factory, "N", **{typo: 1})


def test_build_lets_a_typo_raise_on_the_hosts_own_schema(lab):
    from comfy_api.latest import io

    build = lab.pack("nodes.schema").build
    with pytest.raises(TypeError, match="categori"):
        build(io.Schema, node_id="N", categori="Detour")
    with pytest.raises(TypeError, match="defualt"):
        build(io.Float.Input, "x", defualt=1.0)
