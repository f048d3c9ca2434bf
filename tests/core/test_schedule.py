"""The schedule: its golden table, its window's edges, and what it refuses."""

import math
from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detour.schedule import SHAPES, Schedule, parse_points, parse_strengths
from detour.ways.bypass import BypassCoverage, Call, Dial


def test_every_shape_and_window_follows_the_golden_table(golden):
    for case in golden["schedules"]:
        schedule = Schedule(
            case["strength"],
            case["shape"],
            case["start_percent"],
            case["end_percent"],
            points=tuple(tuple(point) for point in case["points"]),
        )
        for place, expected in zip(golden["places"], case["lam"], strict=True):
            assert schedule.lam(place) == pytest.approx(expected, abs=1e-12), (case, place)


@pytest.mark.parametrize(
    ("shape", "quarter", "third", "half"),
    [
        ("constant", 1.0, 1.0, 1.0),
        ("ramp_up", 1 / 4, 1 / 3, 1 / 2),
        ("ramp_down", 3 / 4, 2 / 3, 1 / 2),
        ("bump", math.sqrt(1 / 2), math.sqrt(3 / 4), 1.0),
        ("cosine", 1 / 2 + math.sqrt(1 / 8), 3 / 4, 1 / 2),
    ],
)
def test_every_shape_has_the_heights_that_one_knows_by_heart(shape, quarter, third, half):
    schedule = Schedule(-0.5, shape, 0.2, 0.8)
    for u, height in ((1 / 4, quarter), (1 / 3, third), (1 / 2, half)):
        assert schedule.lam(0.2 + 0.6 * u) == pytest.approx(-0.5 * height)


def test_the_window_is_half_open():
    schedule = Schedule(0.7, "constant", 0.2, 0.6)
    assert schedule.lam(math.nextafter(0.2, 0)) == 0.0
    assert schedule.lam(0.2) == 0.7
    assert schedule.lam(math.nextafter(0.6, 0)) == 0.7
    assert schedule.lam(0.6) == 0.0


def test_an_end_of_one_includes_the_last_call():
    assert Schedule(0.7, "constant", 0.5, 1.0).lam(1.0) == 0.7
    assert Schedule(1.0, "ramp_up", 0.0, 1.0).lam(1.0) == 1.0


@given(
    st.sampled_from([shape for shape in SHAPES if shape != "curve"]),
    st.floats(-1, 1),
    st.floats(0, 1),
)
def test_lam_never_leaves_the_strength(shape, strength, progress):
    lam = Schedule(strength, shape, 0.0, 1.0).lam(progress)
    assert abs(lam) <= abs(strength) + 1e-12
    assert lam * strength >= -1e-12


def test_strength_zero_is_off_everywhere():
    schedule = Schedule(0.0, "constant", 0.0, 1.0)
    assert schedule.is_off
    assert all(schedule.lam(index / 50) == 0.0 for index in range(51))
    assert Schedule(1.0, "curve", points=((0.0, 0.0), (1.0, 0.0))).is_off
    assert not Schedule(-0.1).is_off


def test_a_jump_in_the_curve_takes_the_later_point():
    points = parse_points("0:1, 0.5:1; 0.5:0\n1:0")
    schedule = Schedule(1.0, "curve", 0.0, 1.0, points=points)
    assert schedule.lam(math.nextafter(0.5, 0)) == 1.0
    assert schedule.lam(0.5) == 0.0


def test_the_curve_holds_its_ends():
    schedule = Schedule(1.0, "curve", 0.0, 1.0, points=((0.25, 0.5), (0.5, 1.0), (0.75, 0.25)))
    assert schedule.lam(0.1) == 0.5 and schedule.lam(0.9) == 0.25


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"strength": math.nan}, "strength is nan"),
        ({"strength": math.inf}, "strength is inf"),
        ({"strength": 1.5}, "from -1 to 1"),
        ({"start_percent": 0.5, "end_percent": 0.5}, "must be smaller than end_percent"),
        ({"start_percent": 1.5}, "start_percent is 1.5"),
        ({"end_percent": 1.2}, "end_percent is 1.2"),
        ({"shape": "zigzag"}, "constant, ramp_up"),
        ({"schedule_by": "time"}, "sigma, step"),
        ({"shape": "curve"}, "needs points"),
        ({"points": ((0.5, 1.0), (0.2, 1.0))}, "go up"),
        ({"points": ((1.5, 1.0),)}, "place u of a point is 1.5"),
        ({"points": ((0.5, 1.5),)}, "value v of a point is 1.5"),
        ({"points": ((0.5, -1.5),)}, "value v of a point is -1.5"),
        ({"points": ((0.5, math.nan),)}, "value v of a point is nan"),
    ],
)
def test_bad_values_get_a_sentence(fields, words):
    with pytest.raises(ValueError, match=words) as caught:
        Schedule(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["0:1, oops", "0:1, 0.5", ":", "0:1:2", "0:one"])
def test_unreadable_points_are_named(text):
    with pytest.raises(ValueError, match="u:v pairs"):
        parse_points(text)


def test_strengths_are_read_and_refused_by_name():
    assert parse_strengths("0, 0.25;0.5\n-1") == (0.0, 0.25, 0.5, -1.0)
    with pytest.raises(ValueError, match="'strong'"):
        parse_strengths("0, strong")
    with pytest.raises(ValueError, match="is empty"):
        parse_strengths(" , ")
    with pytest.raises(ValueError, match="strength is 2"):
        parse_strengths("2")
    with pytest.raises(ValueError, match=r"strength is -1\.5"):
        parse_strengths("-1.5")


def test_apply_to_keeps_the_rows_of_one_half():
    def lams(apply_to, is_cond):
        return Dial(Schedule(0.5), apply_to).call([0.1] * 4, is_cond).lams

    cond, neither = [False, False, True, True], [True, None, False, None]
    assert lams("both", ()) == lams("both", cond) == (0.5, 0.5, 0.5, 0.5)
    assert lams("cond", cond) == (0.0, 0.0, 0.5, 0.5)
    assert lams("uncond", cond) == (0.5, 0.5, 0.0, 0.0)
    assert lams("cond", neither) == (0.5, 0.0, 0.0, 0.0)
    assert lams("uncond", neither) == (0.0, 0.0, 0.5, 0.0)
    with pytest.raises(ValueError):
        lams("cond", [True])
    with pytest.raises(ValueError, match="both, cond, uncond"):
        Dial(Schedule(), "neither")


def test_a_call_tells_whether_the_other_half_was_meant():
    dial = Dial(Schedule(0.5), "cond")
    assert dial.call([0.1, 0.1], [False, None]).other_half
    assert not dial.call([0.1, 0.1], [False, True]).other_half
    assert not dial.call([0.9, 0.9], [False, False]).other_half


def test_rows_that_are_all_alike_are_one_number():
    dial = Dial(Schedule(1.0, "ramp_down", end_percent=1.0))
    assert dial.call([0.5, 0.5]).lam() == dial.call([0.5, 0.5]).lam(each=3) == 0.5
    assert dial.call([0.5, 0.75]).lam() == (0.5, 0.25)
    assert dial.call([0.5, 0.75]).lam(each=2) == (0.5, 0.5, 0.25, 0.25)


def test_settings_and_calls_stay_as_they_were_checked():
    schedule, dial = Schedule(), Dial()
    call = Call(dial, (0.1,), (0.5,))
    assert dial.skip_compute and not call.other_half
    assert call.lam() == call.lam(each=2) == 0.5
    for one, field in ((schedule, "strength"), (dial, "apply_to"), (call, "lams")):
        with pytest.raises(FrozenInstanceError):
            setattr(one, field, None)


def coverage_of(dial, *places, skipped=()):
    """Counted over calls at these places, of which a cache answered the skipped ones."""
    coverage = BypassCoverage(dial)
    for place in places:
        coverage.record(dial.call([place]), ran=place not in skipped)
    return coverage


@pytest.mark.parametrize(
    ("by", "remedy"), [("sigma", "use schedule_by = step"), ("step", "widen the window")]
)
def test_a_run_that_misses_the_window_is_told_once_and_in_full(by, remedy):
    dial = Dial(Schedule(1.0, end_percent=0.35, schedule_by=by))
    assert coverage_of(dial, 0.51, 0.8, 1.0).summary() == (
        f"This run covered progress 0.51 to 1, the window 0 to 0.35 was never reached; {remedy}."
    )
    assert coverage_of(dial).missed() is None, "nothing ran"


def test_a_run_that_reaches_the_window_tells_what_was_bypassed():
    coverage = coverage_of(Dial(Schedule(1.0, "ramp_up", 0.0, 0.35)), 0.0, 0.2, 0.4)
    assert coverage.missed() is None
    assert coverage.summary() == "strength 1: bypassed 1 of 3 model calls"


def test_a_run_whose_only_call_in_the_window_has_no_bypass_did_reach_it():
    assert coverage_of(Dial(Schedule(1.0, "ramp_up", 0.0, 0.35)), 0.0).missed() is None


def test_the_rows_of_a_call_are_one_call():
    dial = Dial(Schedule(1.0, "constant", 0.0, 0.35))
    coverage = BypassCoverage(dial)
    coverage.record(dial.call([0.9, 0.1, 0.2]))
    assert (coverage.calls, coverage.reached, coverage.bypassed) == (1, 1, 1)
    assert (coverage.lowest, coverage.highest) == (0.1, 0.9)


def test_calls_that_a_cache_answered_are_told_apart():
    dial = Dial(Schedule(0.5, "constant", 0.0, 0.5))
    coverage = coverage_of(dial, 0.0, 0.2, 0.4, 0.6, 0.8, skipped=(0.2, 0.8))
    assert (coverage.calls, coverage.bypassed, coverage.from_cache) == (3, 2, 2)
    assert coverage.summary() == (
        "strength 0.5: bypassed 2 of 3 model calls; 2 more came from a cache, without the model"
    )


@pytest.mark.parametrize(
    ("apply_to", "half"), [("cond", "the prompt"), ("uncond", "the negative prompt")]
)
def test_a_run_without_rows_of_the_wanted_half_says_so(apply_to, half):
    dial = Dial(Schedule(0.5, "constant", 0.0, 0.5), apply_to)
    coverage = BypassCoverage(dial)
    for place in (0.2, 0.6):
        coverage.record(dial.call([place], [apply_to != "cond"]))
    assert (coverage.reached, coverage.other_half) == (1, 1)
    assert coverage.missed() == coverage.summary()
    assert f"no call of this model had rows of {half} (" in coverage.summary()
    coverage.record(Call(dial, (0.3,), (0.5,)))
    assert coverage.missed() is None


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (0.0, 0.19, False),
        (0.0, 0.2, True),
        (0.3, 0.3, True),
        (0.0, 1.0, True),
        (0.49, 0.8, True),
        (0.5, 0.8, False),
    ],
)
def test_whether_a_part_of_a_run_reaches_the_window(least, most, expected):
    """The window is half-open, from 0.2 to 0.5."""
    assert Schedule(1.0, "constant", 0.2, 0.5).reaches(least, most) is expected


def test_a_window_to_the_very_end_is_reached_there():
    assert Schedule(1.0, "constant", 0.9, 1.0).reaches(1.0, 1.0)


def test_blocks_that_other_nodes_left_out_are_told():
    dial = Dial(Schedule(1.0, end_percent=1.0))
    coverage = BypassCoverage(dial)
    call = dial.call([0.1])
    coverage.record(call, span=SimpleNamespace(ran=[], of="blocks 1-2 of 4"))
    told = "Nothing was bypassed: another node left out blocks 1-2 of 4 or put others"
    assert coverage.missed().startswith(told)
    coverage.record(call, span=SimpleNamespace(ran=[True], of="blocks 1-2 of 4"))
    assert coverage.missed() is None
    assert coverage.done() == (
        "bypassed blocks 1-2 of 4 in 1 of 2 model calls; in 1 more, other nodes left those blocks "
        "out"
    )
