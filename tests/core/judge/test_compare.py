"""What may be called an improvement: every group measured, nothing chosen on what is reported."""

from dataclasses import replace

import pytest
import torch

from detour.edit.record import Change
from detour.judge.compare import compare
from detour.judge.groups import FEWEST_UNITS, gain, group_metrics
from detour.probes.features import Probes
from detour.probes.parts import needs_folds, split_parts
from detour.report.edit import edit_numbers, edit_text
from detour.report.groups import group_text
from detour.search.fitting import Fitted, count_steps, nested
from detour.search.ladder import build_ladder, smallest
from detour.search.neutralize import neutralize
from detour.search.problem import Found
from detour.search.settings import AUTO, SIZES, Search
from detour.search.several import Sizes


def without_group(headed, part, group=3, n=1000):
    """Probes with parts of their own, one of which has nothing of a group."""
    base = headed(0, n=n, d=4)
    split = torch.tensor([0, 0, 1, 2]).repeat_interleave(4).repeat(n // 16 + 1)[:n]
    split[(base.groups == group) & (split == part)] = (part + 1) % 3
    return replace(base, split=split)


def test_a_group_that_is_not_reported_on_is_named_and_nothing_is_claimed(headed):
    probes = without_group(headed, 2)
    done = neutralize(probes, Search(size="one_weight_bias"))
    assert done.after.unmeasured == done.before.unmeasured == (3,)
    assert done.after.counts[3] == 0 and done.after.accuracy[3] is None
    assert done.gain.verdict == "unmeasured" and done.gain.low > 0
    text = edit_text(done)
    assert "of 3 of 4 groups" in text
    assert "No improvement is claimed: of (class 1, attribute 1) nothing was measured." in text
    assert "Of (class 1, attribute 1) there are probes, but none among those" in text
    assert edit_numbers(done)["after"]["unmeasured_groups"] == ["class 1, attribute 1"]
    assert edit_numbers(done)["gain"]["verdict"] == "unmeasured"
    report = group_text(compare(probes, done.stack, part="report"))
    assert "of 3 of 4 groups" in report and "(class 1, attribute 1)" in report
    whole = neutralize(headed(0, n=1000, d=4), Search(size="one_weight_bias"))
    assert whole.after.unmeasured == () and whole.gain.verdict == "improved"
    assert "of 4 groups" not in edit_text(whole)


@pytest.mark.parametrize(("what", "gone"), [("class", (2, 3)), ("attribute", (1, 3))])
def test_a_whole_class_or_attribute_that_is_missing_is_named_too(headed, what, gone):
    base = headed(0, n=400, d=3)
    missing = (base.y if what == "class" else base.a) == 1
    split = torch.tensor([0, 0, 1, 2]).repeat_interleave(4).repeat(25)
    split[missing & (split == 2)] = 0
    done = neutralize(replace(base, split=split), Search(size="one_weight"))
    assert done.after.unmeasured == gone
    assert done.gain is None or done.gain.verdict == "unmeasured"
    assert all(base.group_name(g) in edit_text(done) for g in gone)


@pytest.mark.parametrize(("part", "what"), [(0, "choose the edit"), (1, "compare sizes")])
def test_a_group_without_a_say_in_the_edit_is_named(headed, part, what):
    ladder = build_ladder(without_group(headed, part), Search(size="one_weight"))
    told = f"No probe to {what} is of (class 1, attribute 1)"
    assert any(told in note for note in ladder.notes) == (part == 0 or not ladder.crossfit)
    assert not any(
        "No probe to" in note for note in build_ladder(headed(0, n=200, d=3), Search()).notes
    )


def test_every_group_of_three_units_is_in_every_part():
    """Also where a rare group comes on pictures of a frequent one's units."""
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        units, classes, marks = [], [], []
        for unit in range(30):
            count = int(torch.randint(1, 9, (1,), generator=draw))
            units += [unit] * (count + (unit < 3))
            classes += [unit % 2] * count + [1 - unit % 2] * (unit < 3)
            marks += [0] * count + [1] * (unit < 3)
        n = len(units)
        logits = torch.randn(n, 2, generator=draw)
        probes = Probes(torch.ones(n, 1), marks, classes, logits=logits, units=units)
        rare = probes.groups[torch.tensor(marks) == 1].bincount(minlength=4)
        parts = split_parts(probes, seed)
        for rows in (parts.choose, parts.validate, parts.report):
            lacking = probes.unmeasured(rows)
            assert all(0 < rare[g] < 3 for g in lacking), (seed, lacking)


def test_where_three_parts_cannot_have_every_group_folds_take_their_place(headed):
    """Two photos of a group, each of many pictures: enough to choose and to validate, none left."""
    base = headed(0, n=800, d=4)
    units = torch.arange(800)
    own = (base.groups == 3).nonzero().flatten()
    units[own] = 1000 + (torch.arange(len(own)) % 2)
    probes = replace(base, units=units)
    parts = split_parts(probes)
    assert 3 in probes.unmeasured(parts.report) and needs_folds(probes, parts)
    done = neutralize(probes, Search(size="one_weight"))
    assert done.ladder.crossfit and done.after.unmeasured == ()
    assert done.after.units[3] == 2 and done.gain.verdict == "few"
    assert "(class 1, attribute 1) has 2 photos or seeds" in edit_text(done)


def test_a_missing_group_in_the_validation_part_is_named_by_evidence(headed):
    done = neutralize(without_group(headed, 1), Search(method="evidence", size="one_weight"))
    assert "That part has nothing of (class 1, attribute 1)" in edit_text(done)


def test_the_sentence_stays_short_with_many_groups():
    n, count = 3000, 1000
    classes = torch.arange(n) % count
    names = ["a long name of a class " * 9 + str(c) for c in range(count)]
    z = torch.nn.functional.one_hot(classes, count).float()
    probes = Probes(torch.ones(n, 1), classes % 2, classes, logits=z, class_names=names)
    found = group_metrics(probes, torch.ones(n, dtype=torch.bool), torch.arange(10))
    assert len(found.unmeasured) == 990
    assert len(found.unmeasured_names) < 400 and found.unmeasured_names.endswith("and 986 more")


def groups_of(n):
    """Probes of four equal groups; their logits are of no use."""
    return Probes(torch.ones(n, 1), torch.arange(n) // 2 % 2, torch.arange(n) % 2,
                  logits=torch.zeros(n, 2))  # fmt: skip


def lucky(probes, seed):
    """Cross-fitted sizes that all guess: what they are worth is known, one half in each group."""
    draw = torch.Generator().manual_seed(seed)
    n = len(probes)
    found = Found(Change(1, ((0, 1.0),)), 0.5, 0.5, 0)
    sizes = Sizes(found, found, found, (found,) * 3)
    guesses = sizes.each(lambda _: torch.randint(2, (n,), generator=draw))
    rows = torch.arange(n)
    folds = tuple(torch.randperm(n, generator=draw).view(5, -1))
    steps = count_steps(probes, guesses, rows)
    return Fitted(sizes, guesses, guesses, steps, rows, rows, rows, False, folds)


def test_the_size_is_chosen_without_the_probes_that_judge_it():
    """Of 100 noise probes: the best of several guesses looks better, chosen on other folds it
    does not; and improvements are claimed no more often than chance allows."""
    probes, naive, honest, claimed = groups_of(100), [], [], 0
    rows, seeds = torch.arange(100), 80

    def worst(value):
        return group_metrics(probes, value == probes.y).worst

    for seed in range(seeds):
        fitted = lucky(probes, seed)

        def pick(right, rows):
            known = {n: v for n, v in right.items() if n in SIZES}
            return max(known, key=lambda n: group_metrics(probes, known[n], rows).worst)

        judged, picks = nested(probes, fitted, pick)
        rungs = fitted.held_out.rungs(fitted.steps)
        best = pick({name: value == probes.y for name, value in rungs.items()}, rows)
        before = worst(rungs["unedited"])
        naive.append(worst(rungs[best]) - before)
        honest.append(worst(judged[AUTO]) - before)
        assert sum(picks.values()) == 5
        right = (rungs["unedited"] == probes.y, judged[AUTO] == probes.y)
        claimed += gain(probes, right, rows).verdict == "improved"
    naive, honest = torch.tensor(naive), torch.tensor(honest)
    half = 1.96 * honest.std() / seeds**0.5
    assert naive.mean() > 0.03, "choosing on what is reported flatters"
    assert abs(honest.mean()) < half + 0.005
    assert claimed <= 0.025 * seeds + 3 * (0.025 * 0.975 * seeds) ** 0.5


def test_a_fold_is_judged_by_what_the_other_folds_chose():
    probes = groups_of(100)
    fitted = lucky(probes, 0)

    def pick(right, rows):
        return smallest(probes, {n: v for n, v in right.items() if n in SIZES}, rows)[0]

    judged, _ = nested(probes, fitted, pick)
    for part in fitted.folds:
        others = torch.cat([one for one in fitted.folds if one is not part]).sort().values
        worst = [
            group_metrics(probes, one == probes.y, others).worst for one in fitted.held_out.steps
        ]
        steps = 1  # the literal rule: as long as the worst group of the others grows
        while steps < 3 and worst[steps] > worst[steps - 1]:
            steps += 1
        last = fitted.held_out.steps[steps - 1]
        assert torch.equal(judged["k_weights_bias"][part], last[part])
        sizes = {"one_weight": fitted.held_out.one_weight, "one_weight_bias":
                 fitted.held_out.steps[0], "k_weights_bias": last}  # fmt: skip
        name, _ = smallest(probes, {n: v == probes.y for n, v in sizes.items()}, others)
        assert torch.equal(judged[AUTO][part], sizes[name][part])


def test_searches_on_noise_probes_come_out_as_no_improvement():
    """The whole search, on a head that is a coin: no edit can be better than it in truth."""
    gains, claimed, seeds = [], 0, 4
    for seed in range(seeds):
        draw = torch.Generator().manual_seed(seed)
        features, weight = torch.randn(100, 2, generator=draw), torch.randn(2, 2, generator=draw)
        marks, classes = torch.arange(100) // 2 % 2, torch.arange(100) % 2
        probes = Probes(features, marks, classes, weight, torch.zeros(2))
        done = neutralize(probes, Search(size="k_weights_bias", max_weights=2))
        assert not neutralize(probes, Search(max_weights=2)).edit.cells  # auto knows better
        gains.append(done.after.worst - done.before.worst)
        claimed += done.gain is not None and done.gain.verdict == "improved"
    found = torch.tensor(gains)
    assert found.mean() < 1.96 * found.std() / seeds**0.5
    assert claimed == 0


def test_auto_says_how_its_figures_were_made(headed):
    probes = headed(0, n=100, d=4)
    ladder = build_ladder(probes, Search())
    assert any("the size that the other folds chose" in note for note in ladder.notes)
    by_hand = build_ladder(probes, Search(size="one_weight"))
    assert not any("other folds chose" in note for note in by_hand.notes)
    right = by_hand.judged == probes.y
    assert group_metrics(probes, right) == by_hand["one_weight"].report


def test_claims_need_an_interval_units_and_unseen_probes(headed):
    probes = groups_of(400)
    draw = torch.Generator().manual_seed(0)
    low, high = (torch.rand(400, generator=draw) < share for share in (0.3, 0.9))
    rows = torch.arange(400)
    assert gain(probes, (low, high), rows).verdict == "improved"
    assert gain(probes, (high, low), rows).verdict == "worse"
    assert gain(probes, (low, low), rows).verdict == "unclear"
    assert gain(probes, (low, high), rows, seen=True).verdict == "seen"
    few = (probes.groups != 0) | (torch.arange(400) < 4 * (FEWEST_UNITS - 1))
    assert gain(probes, (low, high), few.nonzero().flatten()).verdict == "few"
    half = neutralize(headed(0, n=100, d=3), Search(degree=0.5))
    assert half.gain.verdict == "seen" and "No improvement is claimed" in edit_text(half)
    learned = replace(neutralize(headed(0, n=1000, d=3), Search()), learned=True)
    assert "No improvement is claimed: probes that had a say" in edit_text(learned)
