"""A strong view changes every tile in its own way, and only within what tissue does."""

import torch

from hviskd.distillation.views import strong_view


def images(count=16):
    return torch.randn(count, 3, 40, 40, generator=torch.Generator().manual_seed(0))


def test_it_is_drawn_from_the_seed_and_differs_from_tile_to_tile():
    same = images(1).expand(16, -1, -1, -1)
    torch.manual_seed(3)
    first = strong_view(same)
    torch.manual_seed(3)
    assert torch.equal(strong_view(same), first)
    assert len({tuple(one.flatten()[:50].tolist()) for one in first}) == 16
    assert torch.equal(same[0], images(1)[0])


def test_a_third_of_each_side_is_wiped_and_the_rest_is_an_affine_change_of_each_channel():
    torch.manual_seed(1)
    # A ramp that no turn or mirror changes as a set of values: each channel's sorted values tell the affine change.
    ramp = torch.linspace(-1, 1, 1600).reshape(1, 1, 40, 40).expand(32, 3, -1, -1)
    changed = strong_view(ramp)
    for tile in changed:
        hole = (tile == tile[:, 0, 0][:, None, None]).all(0)  # a hole may cover the corner
        values, counts = tile[0].flatten().unique(return_counts=True)
        wiped = int(counts.max())
        assert 13**2 <= wiped <= 15**2 or hole.sum() >= 13**2
        spread = (values.max() - values.min()) / 2
        assert 0.3 < spread < 1.9
        assert abs((values.max() + values.min()) / 2) < 1.0


def test_oblong_images_keep_their_sides():
    assert strong_view(torch.randn(4, 3, 32, 48)).shape == (4, 3, 32, 48)
