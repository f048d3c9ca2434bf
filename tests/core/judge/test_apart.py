"""Whether right and wrong can be told apart, against the literal read-out."""

import torch

from detour.edit.apply import predictions
from detour.judge.apart import _out_of_fold, told_apart
from detour.probes.features import Probes


def made(shift, n=90, units=None):
    draw = torch.Generator().manual_seed(1)
    wrong = torch.arange(n) % 3 == 0
    features = torch.randn(n, 4, generator=draw)
    said = (torch.arange(n) // 3) % 2
    features[:, 1] += shift * wrong * (1 - 2 * said)  # as where one class is taken for the other
    features[:, 0] = 6.0 * said - 3
    head = torch.zeros(2, 4)
    head[1, 0] = 1.0
    probes = Probes(features, wrong.long(), said, head, torch.zeros(2), units=units)
    return probes, wrong, predictions(probes, probes.z)


def test_the_read_out_is_a_ridge_regression_that_did_not_see_its_fold():
    probes, wrong, said = made(1.0)
    rows = torch.arange(len(probes))
    found = told_apart(probes, wrong, said, rows, 0)
    share = torch.stack([wrong[said == c].double().mean() for c in (0, 1)])
    turned = 1 - 2 * said
    label = turned * (wrong.double() - share[said])
    x = probes.columns(rows, 0, 4)
    x = (x - x.mean(0)) / x.std(0, correction=0)
    penalty = float((x @ x.T / 4).diagonal().mean())
    score = torch.zeros(len(rows), dtype=torch.float64)
    lot = torch.randperm(90, generator=torch.Generator().manual_seed(0)) % 5
    for number in range(5):
        fold = rows[lot == number]
        known = rows[~torch.isin(rows, fold)]
        a = x[known].T @ x[known] / 4 + penalty * torch.eye(4).double()  # the primal form
        score[fold] = x[fold] @ torch.linalg.solve(a, x[known].T @ label[known]) / 4
    score *= turned
    alike = (turned[:, None] * turned).double()
    assert torch.allclose(_out_of_fold(probes, rows, alike, 0) @ (turned * label), score)
    pairs = [
        float(score[i] > score[k])
        for i in wrong.nonzero().flatten().tolist()
        for k in (~wrong & (said == said[i])).nonzero().flatten().tolist()
    ]
    assert abs(found.auc - sum(pairs) / len(pairs)) < 1e-12
    assert found.told and found.p == 1 / 200 and found.count == 90


def test_chance_and_copies_of_few_photos_are_told_by_nobody():
    assert not told_apart(*made(0.0), torch.arange(90), 0).told
    probes, wrong, said = made(0.0, units=[i % 6 for i in range(90)])
    copies = torch.tensor([1.0, 0, 0, 0, 0, 0])[torch.arange(90) % 6]  # a mark of one photo
    probes.features[:, 1] += 9 * copies
    assert not told_apart(probes, wrong, said, torch.arange(90), 0).told
    right = torch.zeros(90, dtype=torch.bool)
    assert told_apart(probes, right, said, torch.arange(90), 0).count == 0
