"""The ladder and the choice of auto."""

from dataclasses import replace

import pytest
import torch

from detour.edit.apply import changed_logits, correct
from detour.judge.groups import group_metrics, worst_difference
from detour.probes.features import Probes
from detour.probes.parts import folds, split_parts, too_few
from detour.search.ladder import build_ladder, pick_size
from detour.search.settings import SIZES, Search


def test_all_rungs_with_metrics_of_the_edited_head(headed):
    probes = headed(0, n=1000, d=8)
    ladder = build_ladder(probes, Search(max_weights=2))
    assert [rung.name for rung in ladder.rungs] == ["unedited", "bias_only", *SIZES]
    parts = split_parts(probes)
    assert ladder.sizes == (len(parts.choose), len(parts.validate), len(parts.report))
    for rung in ladder.rungs:
        right = correct(probes, changed_logits(probes, rung.change))
        assert rung.choose == group_metrics(probes, right, parts.choose)
        assert rung.validate == group_metrics(probes, right, parts.validate)
        assert rung.report == group_metrics(probes, right, parts.report)
    worst = [rung.choose.worst for rung in ladder.rungs]
    assert worst[0] <= worst[1] <= worst[3] and worst[2] <= worst[3] <= worst[4]
    assert [rung.change.numbers for rung in ladder.rungs][:4] == [0, 1, 1, 2]
    assert not ladder.crossfit
    assert ladder.chosen in ladder.reason
    assert ladder.edit.report.worst > ladder["unedited"].report.worst + 0.1


def test_auto_takes_the_smallest_that_is_not_significantly_worse(headed):
    probes = headed(0, n=1000, d=8)
    ladder = build_ladder(probes, Search())
    best = max(SIZES, key=lambda name: ladder[name].validate.worst)
    parts = split_parts(probes)
    right = {n: correct(probes, changed_logits(probes, ladder[n].change)) for n in SIZES}
    for name in SIZES[: SIZES.index(ladder.chosen)]:
        assert worst_difference(probes, right[best], right[name], parts.validate)[0] > 0
    by_hand = build_ladder(probes, Search(size="one_weight"))
    assert by_hand.chosen == "one_weight" and by_hand.edit.change.numbers == 1


def test_auto_edits_nothing_without_a_sure_gain_and_a_size_by_hand_does():
    draw = torch.Generator().manual_seed(0)
    luck, head = torch.randn(40, 2, generator=draw), torch.randn(2, 2, generator=draw)
    marks, classes = torch.arange(40) // 2 % 2, torch.arange(40) % 2
    few = Probes(luck, marks, classes, head, torch.zeros(2))
    ladder = build_ladder(few, Search(max_weights=1))
    assert ladder.chosen == "unedited" and "auto edited nothing" in ladder.reason
    assert ladder.edit.change.numbers == 0 and torch.equal(ladder.judged, few.z.argmax(1))
    assert not any("other folds chose" in note for note in ladder.notes)
    by_hand = build_ladder(few, Search(size="one_weight", max_weights=1))
    assert by_hand.chosen == "one_weight" and by_hand.edit.change.numbers == 1
    assert by_hand.edit.choose.worst > ladder.edit.choose.worst  # it looked like a gain


def literal_low(probes, first, second):
    """The tenth percentile of the paired difference over 1000 draws of all probes."""
    draw = torch.Generator().manual_seed(5)
    drawn = torch.randint(len(probes), (1000, len(probes)), generator=draw)
    worst = []
    for right in (first, second):
        share = [(right[drawn] * (own := probes.groups[drawn] == g)).sum(1) / own.sum(1)
                 for g in range(4)]  # fmt: skip
        worst.append(torch.stack(share).nan_to_num(2).amin(0))
    return float((worst[0] - worst[1]).quantile(0.1))


def test_auto_edits_where_nine_draws_in_ten_are_better(headed):
    probes, told = headed(0, n=60, d=2), set()
    rows, before = torch.arange(60), torch.arange(60) % 3 > 0
    for mended in range(12):
        after = before | (torch.arange(60) < 3 * mended)
        name, reason = pick_size(probes, {"unedited": before, "one_weight": after}, rows, 0)
        low = literal_low(probes, after, before)
        assert abs(low) < 0.02 or (name == "one_weight") == (low > 0)
        told |= {name, "no gain is sure" in reason}
    assert told == {"unedited", "one_weight", True, False}


def test_few_probes_are_cross_fitted_and_the_report_says_so(headed):
    probes = headed(0, n=100, d=6)
    assert too_few(probes, split_parts(probes).validate)
    ladder = build_ladder(probes, Search())
    assert ladder.crossfit
    assert any("cross-fitting" in note for note in ladder.notes)
    assert ladder.sizes == (100, 100, 100)
    for rung in ladder.rungs[:-1]:  # of the last one each fold chose the number of weights
        assert rung.report == rung.validate
    assert ladder["one_weight_bias"].choose.worst >= ladder["one_weight_bias"].validate.worst - 0.1


def test_cross_fitting_keeps_a_given_report_part_apart(headed):
    base = headed(0, n=150, d=6)
    split = torch.tensor([0, 0, 1, 2, 2] * 30)
    probes = replace(base, split=split)
    ladder = build_ladder(probes, Search())
    assert ladder.crossfit and ladder.sizes == (90, 90, 60)
    right = correct(probes, changed_logits(probes, ladder["one_weight"].change))
    assert ladder["one_weight"].report == group_metrics(probes, right, split == 2)


def test_probes_that_no_other_edit_can_judge_are_counted_in_the_notes(headed):
    ladder = build_ladder(headed(0, n=100, d=3, units=["one photo"] * 100), Search())
    assert any("100 of 100 probes are judged unedited" in note for note in ladder.notes)
    assert not any(
        "unedited:" in note for note in build_ladder(headed(0, n=100, d=3), Search()).notes
    )


def test_no_unit_is_on_both_sides_of_a_fold(headed):
    base = headed(0, n=80, d=3)
    noise = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))
    probes = Probes(
        noise.repeat(2, 1),
        base.a.repeat(2),
        base.y.repeat(2),
        torch.randn(2, 3, generator=torch.Generator().manual_seed(1)),
        torch.zeros(2),
        units=list(range(80)) * 2,
    )
    for part in folds(probes, torch.arange(160)):
        assert sorted(int(i) for i in part if i < 80) == sorted(
            int(i) - 80 for i in part if i >= 80
        )


def test_a_head_without_bias_has_no_rungs_that_need_one(headed):
    base = headed(0, n=400, d=6)
    probes = replace(base, bias=None)
    ladder = build_ladder(probes, Search())
    assert [rung.name for rung in ladder.rungs] == ["unedited", "one_weight"]
    assert ladder.chosen == "one_weight"
    with pytest.raises(ValueError, match="no bias"):
        build_ladder(probes, Search(size="one_weight_bias"))


def test_logits_without_a_head_are_enough_to_compare(headed):
    base = headed(0, n=700, d=6)
    ladder = build_ladder(replace(base, weight=None, bias=None), Search())
    assert ladder["one_weight_bias"].change.numbers == 2


def test_nothing_to_mend_gives_no_edit(headed):
    base = headed(0, n=400, d=4)
    z = torch.nn.functional.one_hot(base.y, 2).float()
    ladder = build_ladder(replace(base, weight=None, bias=None, logits=z), Search())
    assert {rung.change.numbers for rung in ladder.rungs} == {0}
    assert ladder.chosen == "unedited" and "no size of edit does better" in ladder.reason


def test_several_classes_and_progress(headed):
    probes = headed(0, n=1000, d=6, c=3)
    seen = []
    ladder = build_ladder(probes, Search(target_class=2), progress=seen.append)
    assert {rung.change.row for rung in ladder.rungs} == {2}
    assert seen == sorted(seen) and 0 < seen[0] and seen[-1] <= 1


def test_the_bootstrap_goes_by_unit(headed):
    base = headed(0, n=400, d=4)
    twice = Probes(
        base.features.repeat(2, 1) if isinstance(base.features, torch.Tensor) else None,
        base.a.repeat(2),
        base.y.repeat(2),
        base.weight,
        base.bias,
        units=list(range(400)) * 2,
    )
    draw = torch.Generator().manual_seed(0)
    one, two = (torch.rand(400, generator=draw) < share for share in (0.8, 0.7))
    low, high = worst_difference(base, one, two, torch.arange(400))
    again = worst_difference(twice, one.repeat(2), two.repeat(2), torch.arange(800))
    assert low < high
    assert again == pytest.approx((low, high), abs=1e-12)


def test_an_empty_part_of_a_given_split_is_refused(headed):
    base = headed(0, n=40)
    probes = replace(base, split=[1] * 40)
    with pytest.raises(ValueError, match="'choose' empty"):
        build_ladder(probes, Search())


def test_a_fold_that_holds_all_of_a_class_is_judged_unedited(headed):
    base = headed(0, n=40, d=3)
    y = torch.zeros(40, dtype=torch.long)
    y[:2] = 1
    units = ["pair", "pair", *range(38)]
    probes = Probes(base.features, base.a, y, base.weight, base.bias, units=units)
    ladder = build_ladder(probes, Search())
    assert ladder.crossfit
    assert ladder["one_weight"].validate.counts == ladder["unedited"].validate.counts
