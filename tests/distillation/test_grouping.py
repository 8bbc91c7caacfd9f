"""Groups of tokens: k-means and the choice of top tokens against NumPy, and their relations against those of a grid."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hviskd.distillation import HVisKD, HVisKDOptions, Reads, Setting, region_relation
from hviskd.distillation.grouping import cluster_groups, grouped_relation, top_groups
from hviskd.errors import RecipeError
from tests.distillation.conftest import FakeTrace, draw_batch, shapes_of

GOLDEN = Path(__file__).with_name("golden_grouped_losses.npz")


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def rows(matrix):
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def k_means(tokens, count):
    """The groups (n,) of one tile's tokens (n, C), by plain loops."""
    points = rows(tokens)
    mean = points.mean(axis=0)
    centres = [points[np.argmax([point @ mean for point in points])]]
    while len(centres) < count:
        closest = [max(point @ centre for centre in centres) for point in points]
        centres.append(points[np.argmin(closest)])
    for _ in range(10):
        group = np.array([np.argmax([point @ centre for centre in centres]) for point in points])
        for number in range(count):
            if (group == number).any():
                total = points[group == number].sum(axis=0)
                centres[number] = total / np.linalg.norm(total)
    return np.array([np.argmax([point @ centre for centre in centres]) for point in points])


def one_hot(group, count):
    return (np.arange(count)[:, None] == group[None]).astype(float)


def related(tokens, groupings, scale):
    """Relations and aware tokens (n, C) of one tile, by plain loops."""
    relations, aware = [], tokens.copy()
    for groups in groupings:
        means = np.array([tokens[members > 0].mean(axis=0) for members in groups])
        relation = rows(means @ means.T)
        relations.append(relation)
        mixed = relation @ means
        for number, members in enumerate(groups):
            aware[members > 0] += scale * mixed[number]
    return relations, aware


def losses_by_hand(teacher, student, groupings, weight, scale):
    """Both region losses of maps (B, C, 4, 4), for the groups of each tile."""
    ours, theirs = (maps.reshape(*maps.shape[:2], -1).transpose(0, 2, 1) for maps in (student, teacher))
    relation, feature = np.zeros(len(groupings[0])), 0.0
    for tile in range(len(teacher)):
        r_t, a_t = related(theirs[tile], groupings[tile], scale)
        r_s, a_s = related(ours[tile], groupings[tile], scale)
        relation += [((one - other) ** 2).sum() for one, other in zip(r_t, r_s, strict=True)]
        feature += ((a_t - a_s @ weight.T) ** 2).sum()
    return np.sqrt(relation).sum(), np.sqrt(feature)


@pytest.mark.parametrize("count", [2, 4, 7])
def test_clusters_are_those_of_plain_k_means(count):
    tokens = draw(5, 16, 6)
    groups = cluster_groups(torch.from_numpy(tokens), count)
    assert groups.shape == (5, count, 16)
    for tile, found in zip(tokens, groups.numpy(), strict=True):
        np.testing.assert_array_equal(found, one_hot(k_means(tile, count), count))


def test_clusters_find_what_is_alike_and_do_not_ask_how_strong_it_is():
    kinds = torch.eye(3)[torch.tensor([0, 1, 2, 0, 0, 1, 2, 2])]
    groups = cluster_groups((kinds * torch.linspace(1, 9, 8)[:, None])[None], 3)[0]
    same = groups.T @ groups
    assert torch.equal(same, kinds @ kinds.T)


def test_tokens_all_alike_are_one_group_and_the_empty_ones_do_no_harm():
    tokens = torch.ones(2, 9, 4, requires_grad=True)
    groups = cluster_groups(tokens.detach(), 3)
    assert groups.sum(dim=2).sort(dim=1).values.tolist() == [[0, 0, 9]] * 2
    relations, aware = grouped_relation(tokens, [groups], 0.3)
    (relations[0].sum() + aware.sum()).backward()
    assert tokens.grad.isfinite().all()


def test_the_top_tokens_are_most_like_the_query():
    tokens, query = draw(3, 16, 6), draw(3, 6, seed=1)
    groups = top_groups(torch.from_numpy(tokens), torch.from_numpy(query), 5).numpy()
    for tile, wanted, found in zip(tokens, query, groups, strict=True):
        order = np.argsort(-(rows(tile) @ wanted))[:5]
        np.testing.assert_array_equal(found.argmax(axis=1), order)
        np.testing.assert_array_equal(found.sum(axis=1), 1)


def test_squares_of_a_grid_as_groups_give_the_relations_of_the_grid():
    maps = torch.from_numpy(draw(2, 6, 4, 4))
    groupings = []
    for level in (1, 2, 4):
        square = (torch.arange(4) * level // 4)[:, None] * level + (torch.arange(4) * level // 4)
        groups = (torch.arange(level**2)[:, None] == square.flatten()).double()
        groupings.append(groups.expand(2, -1, -1))
    expected, expected_aware = region_relation(maps, 0.3)
    relations, aware = grouped_relation(maps.flatten(2).transpose(1, 2), groupings, 0.3)
    for found, wanted in zip(relations, expected, strict=True):
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(aware.transpose(1, 2).unflatten(2, (4, 4)), expected_aware)


def groupings_of(regions, maps, query):
    """The groups of each tile that the teacher's maps (B, C, 4, 4) settle."""
    tokens = maps.reshape(*maps.shape[:2], -1).transpose(0, 2, 1)
    if regions == "top":
        orders = [np.argsort(-(rows(tile) @ wanted))[:4] for tile, wanted in zip(tokens, query, strict=True)]
        return [[np.eye(16)[order]] for order in orders]
    counts = (4,) if regions == "clusters" else (2, 4, 8)
    return [[one_hot(k_means(tile, count), count) for count in counts] for tile in tokens]


def method_of(regions, maps, weight, beta=0.2, **options):
    setting = Setting(shapes_of([maps["student"]]), shapes_of([maps["teacher"]]), 2, None)
    made = HVisKD(HVisKDOptions(stages=((0, 0),), regions=regions, **options), setting).double()
    with torch.no_grad():
        made.region_scale.raw.fill_(beta)
        made.region_adapters[0].weight.copy_(torch.from_numpy(weight)[:, :, None, None])
    return made


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("regions", ["clusters", "scales", "top"])
def test_both_losses_are_those_of_numpy(regions, class_token):
    teacher, student, weight = draw(3, 6, 4, 4), draw(3, 5, 4, 4, seed=1), draw(6, 5, seed=2)
    token = draw(3, 6, seed=3)
    maps = {"teacher": torch.from_numpy(teacher), "student": torch.from_numpy(student)}
    made = method_of(regions, maps, weight)
    traces = [FakeTrace([maps["student"]]), FakeTrace([maps["teacher"]])]
    if class_token:
        traces[1] = FakeTrace([maps["teacher"]], class_tokens=[torch.from_numpy(token)])
    losses = made(draw_batch(3), *traces)
    query = token if class_token else teacher.mean(axis=(2, 3))
    expected = losses_by_hand(teacher, student, groupings_of(regions, teacher, query), weight, 0.2)
    assert losses["region_relation"].item() == pytest.approx(expected[0], rel=1e-10)
    assert losses["region_feature"].item() == pytest.approx(expected[1], rel=1e-10)


@pytest.mark.parametrize("regions", ["clusters", "scales", "top"])
def test_meets_the_golden_values(regions):
    golden = np.load(GOLDEN, allow_pickle=False)
    maps = {name: torch.from_numpy(golden[name]) for name in ("teacher", "student")}
    made = method_of(regions, maps, golden["weight"])
    losses = made(draw_batch(3), FakeTrace([maps["student"]]), FakeTrace([maps["teacher"]]))
    for term in ("region_relation", "region_feature"):
        assert losses[term].item() == pytest.approx(golden[f"{regions}_{term}"].item(), rel=1e-9)


def test_the_sample_level_relates_class_tokens_where_there_are_some():
    teacher, student = torch.from_numpy(draw(3, 6, 4, 4)), torch.from_numpy(draw(3, 5, 4, 4, seed=1))
    token = torch.from_numpy(draw(3, 6, seed=3))
    maps, weight = {"teacher": teacher, "student": student}, draw(6, 5, seed=2)
    plain, with_token = FakeTrace([teacher]), FakeTrace([teacher], class_tokens=[token])
    found = method_of("grid", maps, weight)(draw_batch(3), FakeTrace([student]), with_token)
    m_t, m_s = (rows(f @ f.T) for f in (token.numpy(), student.numpy().mean(axis=(2, 3))))
    assert found["sample_relation"].item() == pytest.approx(np.linalg.norm(m_t - m_s), rel=1e-10)
    by_mean = method_of("grid", maps, weight, sample="mean")(draw_batch(3), FakeTrace([student]), with_token)
    without = method_of("grid", maps, weight)(draw_batch(3), FakeTrace([student]), plain)
    assert torch.equal(by_mean["sample_relation"], without["sample_relation"])


def test_what_is_grouped_can_be_stored():
    maps = {"teacher": torch.zeros(1, 6, 4, 4), "student": torch.zeros(1, 5, 4, 4)}
    wanted = Reads(regions=frozenset({(0, 4)}), tokens=frozenset({0}))
    assert method_of("top", maps, draw(6, 5)).reads() == wanted
    by_mean = Reads(pooled=frozenset({0}), regions=frozenset({(0, 4)}))
    assert method_of("clusters", maps, draw(6, 5), sample="mean").reads() == by_mean


def test_more_groups_than_tokens_are_refused():
    maps = {"teacher": torch.zeros(1, 6, 4, 4), "student": torch.zeros(1, 5, 4, 4)}
    with pytest.raises(RecipeError, match="wants 17 of the 16 tokens of grid 4"):
        method_of("clusters", maps, draw(6, 5), groups=17)
