"""Which images are levels of another, and by what factor."""

import pytest

from hviskd.slides.pyramid import is_level_of, pyramid_levels


@pytest.mark.parametrize(
    ("whole", "size"),
    [
        ((600, 400), (300, 200)),
        ((46_000, 32_914), (11_500, 8228)),
        ((1501, 1237), (750, 618)),  # cut
        ((1501, 1237), (751, 619)),  # rounded up
        ((10_001, 7003), (625, 437)),
        ((9000, 3000), (3000, 1000)),
    ],
)
def test_a_reduced_image_is_a_level_whatever_way_its_sides_were_rounded(whole, size):
    assert is_level_of(whole, size)


@pytest.mark.parametrize(
    ("whole", "size"),
    [
        ((600, 400), (600, 400)),
        ((600, 400), (300, 400)),
        ((600, 400), (300, 210)),
        ((600, 400), (700, 500)),
        ((600, 400), (0, 0)),
        ((46_000, 32_914), (1280, 431)),  # a macro image
    ],
)
def test_another_shape_is_none(whole, size):
    assert not is_level_of(whole, size)


def test_downsamples_are_whole_where_both_sides_fit():
    levels = pyramid_levels([(46_000, 32_914), (11_500, 8228), (2875, 2057), (3000, 2000)])
    assert [level.downsample for level in levels[:3]] == [1, 4, 16]
    assert levels[3].downsample == pytest.approx((46_000 / 3000 + 32_914 / 2000) / 2)
