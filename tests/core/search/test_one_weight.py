"""The single-weight search against every weight and every threshold."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detour.probes.features import Probes
from detour.search import scan as scans
from detour.search.one_weight import (
    BYTES_PER_CELL,
    best_weights,
    bias_only,
    column_blocks,
    part_of,
    problems_of,
    worst_group,
)
from detour.search.problem import problem
from detour.search.scan import bound_key, events, peaks, scan

CASES = [
    (seed, c, kind, attributes)
    for kind in ("integers", "signed", "relu")
    for c, attributes in ((2, 2), (3, 2), (4, 3))
    for seed in range(6)
]


def same(found, score):
    assert found.worst == pytest.approx(float(score[0]), abs=1e-8)
    assert found.mean == pytest.approx(float(score[1]), abs=1e-8)


@pytest.mark.parametrize(("seed", "c", "kind", "attributes"), CASES)
def test_one_weight_is_the_best_there_is(random_probes, oracle, seed, c, kind, attributes):
    probes = random_probes(seed, c=c, kind=kind, attributes=attributes)
    literal = oracle(probes)
    score, size, t, row, j = literal.best_weight()
    found = worst_group(probes)
    if score <= literal.now:
        assert found.change.numbers == 0
        same(found, literal.now)
        return
    same(found, score)
    (column, step), *rest = found.change.weights
    assert not rest and found.change.shift == 0
    assert abs(step) == pytest.approx(float(size), rel=1e-12)
    assert (found.change.row, column) == (row, j)
    assert step == pytest.approx(float(t), rel=1e-12)


@pytest.mark.parametrize(("seed", "c", "kind", "attributes"), CASES[::2])
def test_bias_only_is_the_best_shift(random_probes, oracle, seed, c, kind, attributes):
    probes = random_probes(seed, c=c, kind=kind, attributes=attributes)
    literal = oracle(probes)
    score, size, *_ = literal.best_shift()
    found = bias_only(probes)
    if score <= literal.now:
        assert found.change.numbers == 0
        return
    same(found, score)
    assert found.change.weights == ()
    assert abs(found.change.shift) == pytest.approx(float(size), rel=1e-12)
    shift = Fraction(found.change.shift)
    shifted = literal.score(found.change.row, literal.column(0), Fraction(0), shift)
    same(found, shifted)


def mirrored(seed):
    """Classes 0 and 1 and columns 0 and 1 may be exchanged: every change has a twin."""
    draw = torch.Generator().manual_seed(seed)
    logits, features = (torch.randn(6, n, generator=draw) for n in (3, 2))
    y, a = torch.randint(3, (6,), generator=draw), torch.arange(6) % 2
    swap = torch.tensor([1, 0, 2])
    return Probes(
        torch.cat([features, features.flip(1)]),
        torch.cat([a, a]),
        torch.cat([y, swap[y]]),
        logits=torch.cat([logits, logits[:, swap]]),
    )


@pytest.mark.parametrize("seed", [0, 4, 7, 9, 11, 36])
def test_of_equal_changes_the_one_of_the_lower_row_is_taken(oracle, seed):
    """Though the other one is in the lower column."""
    found = worst_group(mirrored(seed))
    *_, row, j = oracle(mirrored(seed)).best_weight()
    assert (found.change.row, found.change.weights[0][0]) == (row, j) == (0, 1)


@pytest.mark.parametrize("seed", [0, 3, 4, 9])
def test_of_equal_shifts_the_one_of_the_lower_row_is_taken(seed):
    found = bias_only(mirrored(seed))
    assert found.change.row == 0 and found.change.shift != 0


@pytest.mark.parametrize("sign", [1, -1])
def test_of_equal_changes_of_a_row_the_one_in_the_lower_column_is_taken(random_probes, sign):
    """Whichever of the two is negative."""
    probes = random_probes(5, n=20, d=1, c=2, kind="signed")
    features = sign * torch.cat([probes.features, -probes.features], dim=1)
    ((column, _),) = worst_group(
        Probes(features, probes.a, probes.y, logits=probes.z)
    ).change.weights
    assert column == 0


@pytest.mark.parametrize(("seed", "row"), [(998, 1), (1307, 2)])
def test_a_row_that_can_only_be_as_good_may_need_a_smaller_change(random_probes, oracle, seed, row):
    """Two rows make all right; the upper one needs less."""
    probes = random_probes(seed, n=6, d=2, c=3, kind="signed")
    found = worst_group(probes)
    *_, literal_row, _ = oracle(probes).best_weight()
    assert found.worst == 1 and found.change.row == literal_row == row


def test_one_probe_that_matters_is_enough_and_none_changes_nothing():
    """Row 2 decides on the second probe alone: the first is wrong whatever it says."""
    logits = torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.5, 1.0]])
    probes = Probes(torch.ones(2, 1), [0, 1], [0, 1], logits=logits)
    assert worst_group(probes, target_class=2).mean == pytest.approx(0.5)
    assert bias_only(probes, target_class=2).mean == pytest.approx(0.5)
    wrong = torch.tensor([[0.0, 3.0, 0.0], [3.0, 0.0, 0.0]])
    none = Probes(torch.ones(2, 1), [0, 1], [0, 1], logits=wrong)
    found = worst_group(none, target_class=2)
    assert found.change.numbers == 0 and found == bias_only(none, target_class=2)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    c=st.integers(2, 4),
    kind=st.sampled_from(["integers", "signed", "relu"]),
    tries=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.floats(-50, 50)), min_size=20
    ),
)
def test_no_sampled_change_beats_the_found_one(random_probes, oracle, seed, c, kind, tries):
    probes = random_probes(seed, c=c, kind=kind)
    found = worst_group(probes)
    literal = oracle(probes)
    for row, j, t in tries:
        t = Fraction(t)
        column = literal.column(j)
        for at in range(c) if c == 2 else [row % c]:
            margins = [r[at] - max(v for k, v in enumerate(r) if k != at) for r in literal.z]
            on_threshold = any(m == t * a for m, a in zip(margins, column, strict=True))
            if not on_threshold:
                score = literal.score(at, column, t)
                assert float(score[0]) <= found.worst + 1e-8


def test_no_edit_when_nothing_is_better(random_probes):
    logits = torch.tensor([[2.0, 0], [0, 2], [3, 0], [0, 3]])
    probes = Probes(torch.eye(4), [0, 0, 1, 1], [0, 1, 0, 1], logits=logits)
    assert worst_group(probes).change.numbers == 0
    assert bias_only(probes).change.numbers == 0
    assert worst_group(probes).worst == 1


def test_features_that_are_all_zero_change_nothing():
    probes = Probes(torch.zeros(4, 2), [0, 1, 0, 1], [0, 0, 1, 1], logits=torch.zeros(4, 2))
    assert worst_group(probes).change.numbers == 0


def test_target_restricts_the_row(random_probes):
    probes = random_probes(3, n=30, c=4, kind="signed")
    for target in range(4):
        assert worst_group(probes, target_class=target).change.row == target
    best = max(worst_group(probes, target_class=row).key for row in range(4))
    assert worst_group(probes).key == best


def test_the_two_rows_of_two_classes_are_the_same(random_probes):
    probes = random_probes(5, n=40, c=2, kind="signed")
    zero, one = (worst_group(probes, target_class=row) for row in (0, 1))
    assert zero.key == one.key
    assert zero.change.weights[0][1] == -one.change.weights[0][1]


def test_a_threshold_takes_the_place_of_the_other_classes(random_probes):
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(30, 5, generator=draw)
    features = torch.randn(30, 4, generator=draw)
    y, a = torch.arange(30) % 2, torch.arange(30) // 2 % 2
    tagged = Probes(features, a, y, logits=logits, threshold=0.35, tag=3)
    cut = torch.logit(torch.tensor(0.35, dtype=torch.float64))
    two = torch.stack([cut.expand(30), logits[:, 3].double()], dim=1)
    plain = Probes(features, a, y, logits=two)
    found, expected = worst_group(tagged), worst_group(plain)
    assert found.change.row == 3
    assert found.worst == expected.worst
    assert found.change.weights[0] == pytest.approx(expected.change.weights[0])


def test_groups_without_probes_are_left_out(random_probes, oracle):
    probes = random_probes(2, n=20, c=3, kind="signed")
    keep = torch.arange(20)[probes.groups != 3]
    part = Probes(probes.features[keep], probes.a[keep], probes.y[keep], logits=probes.z[keep])
    score = max(oracle(part).best_weight()[0], oracle(part).now)
    same(worst_group(probes, keep), score)
    assert len(part.empty_groups()) == 1


def test_chunks_change_nothing_and_stay_small(random_probes):
    probes = random_probes(7, n=300, d=64, c=3, kind="signed")
    budget = 200_000
    whole, parts = worst_group(probes), worst_group(probes, max_bytes=budget)
    assert whole == parts
    one = problem(probes, 0, torch.arange(300))
    blocks = list(column_blocks(probes, [one], budget))
    assert len(blocks) > 1
    for _, _, block in blocks:
        assert 4 * block.nbytes <= budget


@pytest.mark.parametrize("kind", ["integers", "signed"])
@pytest.mark.parametrize("c", [2, 3, 4])
def test_parts_together_find_what_each_finds_alone(random_probes, monkeypatch, kind, c):
    """However many columns are read at a time, and however many of these are scanned."""
    seen = set()
    for seed in range(4):
        probes = random_probes(seed, n=60, d=23, c=c, kind=kind)
        draw = torch.Generator().manual_seed(seed)
        parts = [torch.randperm(60, generator=draw)[:40].sort().values for _ in range(3)]
        parts.append(torch.arange(60))
        alone = [worst_group(probes, rows) for rows in parts]
        seen |= {found.change.numbers for found in alone}
        problems = [problems_of(probes, rows, None) for rows in parts]
        for some, at_a_time in ((BYTES_PER_CELL * 60 * 7, 60 * 3), (2**20, 2**18), (2**20, 1)):
            monkeypatch.setattr(scans, "BATCH", at_a_time)
            told: list[float] = []
            assert best_weights(probes, problems, some, told.append) == alone
            assert told == sorted(told) and told[-1] <= 1
        monkeypatch.undo()
    assert seen >= {1}


def test_blocks_are_read_for_all_rows_and_as_wide_as_the_memory_allows(random_probes):
    probes = random_probes(7, n=40, d=9, c=3, kind="signed")
    every = torch.arange(40)
    two = [problem(probes, row, every) for row in (0, 1)]
    assert not torch.equal(two[0].rows, two[1].rows)
    together = len(torch.cat([p.rows for p in two]).unique())
    for problems, read, fit in ((two, together, 4), (two[:1], len(two[0].rows), 4), (two, 1, 0)):
        blocks = list(column_blocks(probes, problems, fit * BYTES_PER_CELL * read))
        width = max(1, fit)
        assert [first for _, first, _ in blocks[:: len(problems)]] == list(range(0, 9, width))
        for p, first, block in blocks:
            assert torch.equal(block, probes.columns(p.rows, first, min(9, first + width)))
    one = two[0].part(every[: len(two[0].rows)] == 0)
    assert len(one.rows) == 1
    assert next(column_blocks(probes, [one], 3 * BYTES_PER_CELL))[2].shape == (1, 3)


def test_peaks_are_the_best_of_a_scan(random_probes):
    for seed in range(10):
        probes = random_probes(seed, n=40, d=30, c=3)
        p = problem(probes, seed % 3, torch.arange(40))
        moves = events(p, probes.columns(p.rows, 0, 30))
        keys = scan(moves)[0].amax(dim=1)
        assert torch.equal(peaks(moves), keys)
        floor = int(keys.median())
        some = peaks(moves, floor)
        assert torch.equal(some[keys >= floor], keys[keys >= floor])
        assert bool((some[keys < floor] < floor).all())
        assert int(keys.max()) <= bound_key(p)


def test_the_progress_of_a_part_goes_from_its_start_to_its_stop():
    seen = []
    part = part_of(seen.append, 0.25, 0.75)
    for share in (0.0, 0.5, 1.0):
        part(share)
    assert seen == [0.25, 0.5, 0.75]


def test_progress_ends_at_one_and_may_cancel(random_probes):
    probes = random_probes(7, n=50, d=40, kind="signed")
    seen = []
    worst_group(probes, max_bytes=50_000, progress=seen.append)
    assert len(seen) > 1 and seen == sorted(seen) and seen[-1] == 1

    def cancel(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worst_group(probes, progress=cancel)
