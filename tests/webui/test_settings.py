"""Arguments, the infotext's round trip, axes and the words: what users and programs write."""

from __future__ import annotations

import json
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from stand_in import ARGUMENTS, ROOT, SHIM, modules_in_place, run_shim

PARAMETER = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""How the A1111 family reads a list of parameters."""
PARAMETER_SDNEXT = re.compile(r'\s*([\w ]+):\s*("(?:\\"[^,]|\\"|\\|[^\"])+"|[^,]*)(?:,|$)')


@pytest.fixture
def extension():
    with modules_in_place("a1111") as made:
        shim = run_shim(SHIM)
        names = ("settings", "infotext", "axes", "panel")
        loaded = {name: sys.modules[f"detour_webui.extension.{name}"] for name in names}
        loaded["words"] = sys.modules["detour_webui.detour.words"]
        yield SimpleNamespace(made=made, shim=shim, **loaded)


def test_names_and_order_are_frozen(extension):
    assert list(extension.settings.NAMES)[: len(ARGUMENTS)] == ARGUMENTS
    assert extension.shim.DetourScript().title() == "Detour"
    assert extension.infotext.KEYS[0] == "Detour strength"


def test_the_fields_are_the_nodes_inputs_with_the_nodes_defaults(extension):
    golden = json.loads((ROOT / "tests/golden/nodes.json").read_text(encoding="utf-8"))
    for entry in golden["DetourMidBlockBypass"]["inputs"]:
        if entry["name"] not in ("model", "curve", "blocks"):  # no transformers in the web UIs
            assert getattr(extension.settings.Settings(), entry["name"]) == entry["default"]


def test_every_field_says_what_one_should_see(extension):
    assert all(extension.panel.words(name).see for name in ARGUMENTS[1:])


def test_a_short_list_takes_defaults_and_more_arguments_than_we_know_are_ignored(extension):
    read = extension.settings.read_arguments
    settings = read([True, 0.5])
    assert (settings.enabled, settings.strength, settings.shape) == (True, 0.5, "constant")
    assert read([]) == extension.settings.Settings()
    assert read([None, None]) == extension.settings.Settings()
    values = [getattr(settings, name) for name in ARGUMENTS]
    assert read([*values, "from a newer client"]) == settings


def test_a_dict_takes_the_nodes_names_and_is_switched_on(extension):
    read = extension.settings.read_arguments
    settings = read([{"strength": 0.5, "end_percent": "0.4"}])
    assert (settings.enabled, settings.strength, settings.end_percent) == (True, 0.5, 0.4)
    assert not read([{"enabled": False}]).enabled
    assert read([{"skip_compute": "false"}]).skip_compute is False
    # The hosts' API puts the panel's defaults behind what a request names.
    behind = [getattr(extension.settings.Settings(), name) for name in ARGUMENTS[1:]]
    assert read([{"strength": 0.5, "shape": "bump"}, *behind]) == read(
        [{"strength": 0.5, "shape": "bump"}]
    )


def test_the_ends_of_an_axis_range_are_what_they_are_called(extension):
    # As the hosts count from -1 to 1 by a fifth.
    cells = [-1.0 + n * 0.19999999999999996 for n in range(11)]
    read = [extension.settings.convert("strength", value) for value in (*cells, 1.0000000000000018)]
    assert read[0] == -1.0 and read[5] == 0.0 and read[-1] == 1.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"strength": 2}, "strength is 2.0; it must be a number from -1 to 1."),
        ({"strength": None}, "strength is None; write a number."),
        ({"strength": 10**400}, "write a number."),
        ({"shape": "round"}, "shape is 'round'; it must be one of: constant"),
        ({"enabled": "maybe"}, "enabled is 'maybe'; write true or false."),
        ({"hires": "half"}, "hires is 'half'; it must be one of: same, off, own."),
        ({"shape": "curve", "points": "a"}, "Cannot read the point 'a'"),
        ({"hires": "own", "hires_strength": 3}, "hires_strength is 3.0"),
        ({"relief_strength": 1.5}, "relief_strength is 1.5; it must be a number from -1 to 1."),
        ({"fade_strength": -0.5}, "fade_strength is -0.5; it must be a number from 0 to 1."),
        (
            {"fade_strength": 1, "fade_start_percent": 0.9},
            "Prompt Fade: start_percent (0.9) must be smaller",
        ),
        (
            {"fade_toward": "nothing"},
            "fade_toward is 'nothing'; it must be one of: neg",
        ),
        ({"fade_seed": 0.5}, "fade_seed is 0.5; write a whole number."),
        ({"fade_seed": -1}, "seed is -1; it must be a whole number from 0 to"),
    ],
)
def test_bad_values_get_one_sentence(extension, given, words):
    with pytest.raises(ValueError) as caught:
        extension.settings.read_arguments([given])
    assert words in str(caught.value)


def as_hosts_write(parameters: dict) -> str:
    """The last line of an infotext, with the hosts' quoting."""

    def quote(value):
        plain = not any(sign in str(value) for sign in ",\n:")
        return value if plain else json.dumps(value, ensure_ascii=False)

    return ", ".join(f"{key}: {quote(value)}" for key, value in parameters.items())


@pytest.mark.parametrize("pattern", [PARAMETER, PARAMETER_SDNEXT])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"strength": -0.25, "shape": "bump", "start_percent": 0.1, "end_percent": 0.35},
        {"shape": "curve", "points": "0:1, 0.5:0.6, 1:0", "schedule_by": "step"},
        {"hires": "own", "hires_strength": 0.123456789, "refiner": "base", "skip_compute": False},
        {"strength": 0.0, "hires": "own", "hires_strength": 0.5, "apply_to": "uncond"},
        {"strength": 0.0, "relief_strength": 1.0, "relief_end_percent": 0.5},
        {"fade_strength": 0.25, "fade_toward": "noise", "fade_seed": 2**64 - 1},
    ],
)
def test_the_infotext_round_trips(extension, pattern, given):
    settings = extension.settings.read_arguments([given])
    parameters = {"Steps": 20}
    extension.infotext.write(parameters, settings)
    line = as_hosts_write(parameters)
    parsed = {
        key: json.loads(value) if value.startswith('"') else value
        for key, value in pattern.findall(line)
    }
    read = {name: extension.infotext.reader(name)(parsed) for name in ARGUMENTS}
    assert extension.settings.Settings(**read) == settings
    assert parsed["Detour version"] == "1"
    assert all(type(read[n]) is extension.settings.KINDS[n] for n in ARGUMENTS)


def test_keys_and_values_fit_the_hosts_parser(extension):
    settings = extension.settings.read_arguments([{"hires": "own", "shape": "curve"}])
    parameters = {}
    extension.infotext.write(parameters, settings)
    for key, value in parameters.items():
        assert re.fullmatch(r"\w[\w ]+", key)
        assert str(value) and not re.fullmatch(r"\d+x\d+", str(value))


def test_a_picture_without_detour_switches_it_off_and_leaves_the_rest(extension):
    read = {name: extension.infotext.reader(name)({"Steps": "20"}) for name in ARGUMENTS}
    assert read.pop("enabled") is False
    assert set(read.values()) == {None}


def test_unusable_pasted_values_become_defaults(extension):
    parsed = {"Detour strength": "much", "Detour shape": "spiral"}
    assert extension.infotext.reader("strength")(parsed) == 1.0
    assert extension.infotext.reader("shape")(parsed) == "constant"


def test_parameters_of_a_newer_detour_are_read_and_told(extension, caplog):
    enabled = extension.infotext.reader("enabled")
    for version in ("1", 1):
        assert enabled({"Detour strength": "0.5", "Detour version": version}) is True
    assert enabled({"Detour strength": "0.5"}) is True
    assert caplog.messages == []
    assert enabled({"Detour strength": "0.5", "Detour version": "2"}) is True
    assert caplog.messages == [extension.infotext.NEWER]


def test_ways_that_are_not_used_leave_no_key(extension):
    """Old pictures and old Detours: nothing new is written for who does not use it."""
    parameters = {}
    given = {"relief_end_percent": 0.9, "fade_toward": "noise", "fade_seed": 5}
    extension.infotext.write(parameters, extension.settings.read_arguments([given]))
    assert not [key for key in parameters if "relief" in key or "fade" in key]


def test_writing_takes_out_what_an_earlier_cell_wrote(extension):
    parameters = {}
    write = extension.infotext.write
    write(parameters, extension.settings.read_arguments([{"hires": "off"}]))
    write(parameters, extension.settings.read_arguments([{}]))
    assert "Detour hires" not in parameters
    write(parameters, None)
    assert parameters == {}


RELIEF_PANEL = [False, *([None] * (ARGUMENTS.index("relief_strength") - 1)), 0.75]


@pytest.mark.parametrize(
    ("args", "cell", "strengths"),
    [
        ([{"relief_strength": 0.5}], {}, (0.0, 0.5, 0.0)),
        ([{"fade_strength": 0.5, "shape": "bump", "hires": "own"}], {}, (0.0, 0.0, 0.5)),
        ([{"relief_strength": 0.5, "end_percent": 0.2}], {}, (1.0, 0.5, 0.0)),
        ([{"shape": "bump"}], {}, (1.0, 0.0, 0.0)),
        ([{"relief_strength": 0.5}], {"strength": 0.25}, (0.25, 0.5, 0.0)),
        (RELIEF_PANEL, {"fade_strength": 0.5}, (0.0, 0.0, 0.5)),
        (RELIEF_PANEL, {"strength": 0.5}, (0.5, 0.0, 0.0)),
        (RELIEF_PANEL, {"shape": "bump"}, (1.0, 0.75, 0.0)),
        ([True, *RELIEF_PANEL[1:]], {"fade_strength": 0.5}, (1.0, 0.75, 0.5)),
        ([{"enabled": False, "strength": 1.0}], {"fade_strength": 0.5}, (0.0, 0.0, 0.5)),
    ],
)
def test_only_the_ways_that_are_named_act(extension, args, cell, strengths):
    """By an API's dict, and by a grid's cell where the panel is off; so does the infotext."""
    settings = extension.settings.read_arguments(args, cell)
    assert settings.enabled
    for is_hires in (False, True):
        ways = (settings.way(kind, is_hires) for kind in extension.settings.KINDS_OF_WAYS)
        assert tuple(way.schedule.strength for way in ways) == strengths
    parameters = {}
    extension.infotext.write(parameters, settings)
    told = [extension.infotext.reader(name)(parameters) for name in ARGUMENTS]
    assert extension.settings.read_arguments(told) == settings


class AxisOption:
    """The hosts' axis, with the arguments that all of them have."""

    def __init__(self, label, type, apply, confirm=None, cost=0.0, choices=None):
        self.label, self.type, self.apply, self.choices = label, type, apply, choices
        self.confirm = confirm


def plot_module() -> ModuleType:
    module = ModuleType("xyz_grid.py")
    module.AxisOption = AxisOption
    module.axis_options = [AxisOption("Nothing", str, None)]
    return module


@pytest.mark.parametrize("family", ["a1111", "sdnext"])
def test_every_field_has_an_axis_once(extension, monkeypatch, family):
    module = plot_module()
    if family == "a1111":
        data = SimpleNamespace(
            module=module, script_class=SimpleNamespace(__module__="xyz_grid.py")
        )
        extension.made["modules.scripts"].scripts_data.append(data)
    else:
        monkeypatch.setitem(sys.modules, "scripts.xyz.xyz_grid_classes", module)
    extension.made["modules.script_callbacks"].fire("before_ui")
    extension.made["modules.script_callbacks"].fire("before_ui")
    labels = [axis.label for axis in module.axis_options[1:]]
    assert labels == ["[Detour] " + name.replace("_", " ") for name in ARGUMENTS[1:]]
    p = SimpleNamespace()
    cell = SimpleNamespace(**vars(p))
    for axis, value in zip(module.axis_options[1:4], ("0.5", "bump", "0.1"), strict=True):
        axis.apply(cell, axis.type(value), [])
    assert cell.detour_axes == {"strength": 0.5, "shape": "bump", "start_percent": 0.1}
    settings = extension.settings.read_arguments([False], cell.detour_axes)
    assert settings.enabled and settings.shape == "bump"
    by_label = {axis.label: axis for axis in module.axis_options}

    refused = (
        ("shape", "spiral"),
        ("end percent", -0.5),
        ("strength", 1.1),
        ("points", "a"),
        ("fade seed", -1),
    )
    for name, value in refused:
        with pytest.raises(ValueError):
            by_label[f"[Detour] {name}"].confirm(None, [value])
    by_label["[Detour] start percent"].confirm(None, [0.8, 1.0000000000000018])

    def cell_with(*values):
        cell = SimpleNamespace()
        for name, value in values:
            by_label[f"[Detour] {name}"].apply(cell, value, [])
        return cell.detour_axes

    assert cell_with(("hires strength", 0.3)) == {"hires": "own", "hires_strength": 0.3}
    assert cell_with(("points", "0:1"))["shape"] == "curve"
    for values in (
        (("hires", "off"), ("hires strength", 0.3)),
        (("hires strength", 0.3), ("hires", "off")),
    ):
        assert cell_with(*values)["hires"] == "off"
    assert by_label["[Detour] skip compute"].choices() == ["True", "False"]
    assert by_label["[Detour] refiner"].choices() == ["base", "refiner", "both"]


@pytest.mark.parametrize(
    ("name", "id_", "before"),
    [("Progressive", "progressive", ""), ("Prompt Fade: Early", "fade_early", "fade_")],
)
def test_a_starting_point_sets_the_fields_of_its_way(extension, name, id_, before):
    panel = extension.panel
    found = dict(zip(panel.PRESET_FIELDS, panel.preset_values(name), strict=True))
    schedule = next(preset for preset in panel.read_presets() if preset.id == id_).schedule
    for field in ("strength", "start_percent", "end_percent"):
        assert found.pop(before + field) == getattr(schedule, field)
    for field in ("shape", "schedule_by"):
        assert found.pop(field) == getattr(schedule, field)
    assert all(value == {"__type__": "update"} for value in found.values()) and len(found) == 6
    assert all(value == {"__type__": "update"} for value in panel.preset_values(panel.OWN))


def test_the_panel_has_a_control_for_each_argument(extension):
    script = extension.shim.DetourScript()
    controls = script.ui(False)
    assert len(controls) == len(ARGUMENTS)
    assert [field for field, _ in script.infotext_fields] == controls
    # Hosts compare the two for "Send to img2img", and SD.Next takes each key for a string.
    assert [key for _, key in script.infotext_fields] == script.paste_field_names
    assert all(
        key.lower() == f"detour {key.name.replace('_', ' ')}" for _, key in script.infotext_fields
    )


def test_settings_of_the_host_set_the_panels_start(extension):
    extension.made["modules.script_callbacks"].fire("ui_settings")
    opts = extension.made["modules.shared"].opts
    assert set(opts.added) == {
        "detour_enabled_at_start",
        "detour_strength_at_start",
        "detour_classifier_device",
        "detour_classifier_folders",
    }
    opts.detour_enabled_at_start, opts.detour_strength_at_start = True, 0.25
    controls = extension.shim.DetourScript().ui(False)
    assert controls[1].kwargs["value"] == 0.25
    # Else what the host's ui-config.json keeps from its first start would be put over them.
    kept = [not getattr(control, "do_not_save_to_config", False) for control in controls]
    assert kept == [False, False] + [True] * (len(controls) - 2)
    for unusable in (7.0, "strong", float("nan")):
        opts.detour_strength_at_start = unusable
        assert extension.shim.DetourScript().ui(False)[1].kwargs["value"] == 1.0


def test_the_folder_for_temporary_pictures_is_there_before_the_page(extension, tmp_path):
    opts = extension.made["modules.shared"].opts
    fire = extension.made["modules.script_callbacks"].fire
    fire("before_ui")  # a host that has no such setting
    for folder in ("", str(tmp_path / "new" / "tmp")):
        opts.temp_dir = folder
        fire("before_ui")
    assert (tmp_path / "new" / "tmp").is_dir()


def test_the_first_picture_is_of_the_panels_start(extension, monkeypatch):
    drawn = []
    monkeypatch.setattr(extension.panel, "draw_settings", drawn.append)
    extension.made["modules.shared"].opts.detour_strength_at_start = 0.25
    extension.shim.DetourScript().ui(False)
    assert [settings.strength for settings in drawn] == [0.25]


def test_the_picture_shows_every_way_that_is_on(extension):
    panel = extension.panel
    own = panel.Settings(strength=0.25)
    seen = {
        panel.draw_settings(each).tobytes()
        for each in (
            own,
            panel.Settings(strength=0.25, relief_strength=1.0),
            panel.Settings(strength=0.25, fade_strength=1.0),
            panel.Settings(strength=0.0, fade_strength=1.0),
        )
    }
    assert len(seen) == 4
    assert {"relief_strength", "fade_end_percent"} < set(panel.DRAWN)
