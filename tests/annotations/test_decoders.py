"""Which colour has which class, and which has none though one is near."""

import numpy as np
import pytest

from hviskd.annotations import Legend, load_legend
from hviskd.annotations.colours import TRANSPARENT
from hviskd.annotations.decoders import ColourDecoder, NumberDecoder, decoder_of

IVYGAP = load_legend("ivygap")


def legend(colours, **more) -> Legend:
    classes = [{"name": name, "colours": [list(colour)]} for name, colour in colours.items()]
    return Legend.model_validate({"name": "l", "classes": classes, **more})


def code(red, green, blue) -> int:
    return red << 16 | green << 8 | blue


def test_the_nearest_colour_is_the_nearest():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (500, 3))
    palette = [(entry.name, colour) for entry in IVYGAP.classes for colour in entry.colours]
    classes, distances = ColourDecoder(IVYGAP).nearest(colours @ (65536, 256, 1))
    for colour, index, distance in zip(colours, classes, distances, strict=True):
        away, name = min((float(np.linalg.norm(colour - other)), name) for name, other in palette)
        assert distance == pytest.approx(away)
        assert IVYGAP.names[index] == name


@pytest.mark.parametrize(
    ("colours", "more", "expected"),
    [
        ({"a": (0, 0, 0), "b": (0, 0, 200)}, {}, 20),
        ({"a": (1, 1, 1), "b": (2, 2, 2)}, {}, np.sqrt(3) / 2),
        ({"a": (0, 0, 0), "b": (0, 30, 40)}, {}, 20),  # 25 is half of it
        ({"a": (0, 0, 0), "b": (0, 0, 30)}, {}, 15),
        ({"a": (0, 0, 0), "b": (0, 0, 30)}, {"merge": {"b": "a"}}, 20),  # then they are one class
        ({"a": (0, 0, 10)}, {"none": [[0, 0, 0]]}, 5),
        ({"a": (0, 0, 10)}, {}, 20),
    ],
)
def test_the_tolerance_stays_below_half_way_to_another_class(colours, more, expected):
    tolerance = ColourDecoder(legend(colours, **more), 20).tolerance
    assert tolerance == pytest.approx(expected)
    assert tolerance == 20 or tolerance < expected


def test_a_colour_half_way_between_two_classes_has_none():
    decode = ColourDecoder(legend({"a": (0, 0, 0), "b": (0, 0, 30)}), 60)
    codes = np.array([code(0, 0, blue) for blue in (0, 14, 15, 16, 30)])
    assert decode(codes).tolist() == [0, 0, 255, 1, 1]


def test_colours_that_stand_for_none_have_no_class_and_are_known():
    decode = ColourDecoder(legend({"a": (0, 0, 10)}, none=[[0, 0, 0], [255, 255, 255]]))
    codes = np.array([code(0, 0, 0), code(254, 255, 255), code(0, 0, 9), TRANSPARENT])
    assert decode(codes).tolist() == [255, 255, 0, 255]
    assert decode.lists(codes).tolist() == [True, False, False, False]


def test_a_wide_colour_of_no_legend_is_foreign_in_a_mask_of_few_colours():
    decode = ColourDecoder(legend({"a": (200, 0, 0)}))
    codes = np.array([code(199, 0, 0), code(190, 0, 0), code(150, 0, 0), code(195, 0, 0)])
    area = np.array([5000, 5000, 5000, 99])
    assert decode.foreign(codes, area, 100_000).tolist() == [True, True, False, False]
    assert decode.foreign(codes, area, 10_000_000).tolist() == [False] * 4  # less than a thousandth is not wide


def test_among_thousands_of_colours_what_a_jpeg_makes_of_a_colour_is_not_foreign():
    decode = ColourDecoder(legend({"a": (200, 0, 0)}))
    noise = np.arange(code(0, 100, 0), code(0, 110, 0))
    codes = np.concatenate([noise, [code(196, 3, 3), code(190, 0, 0)]])
    area = np.concatenate([np.ones(len(noise), int), [5000, 5000]])
    assert np.flatnonzero(decode.foreign(codes, area, 100_000)).tolist() == [len(noise) + 1]


def test_numbers_are_looked_up_and_nothing_is_near_them():
    decode = decoder_of(Legend.model_validate({"name": "l", "numbers": {1: "a", 3: "b", 60000: "b"}}), 20)
    assert isinstance(decode, NumberDecoder)
    codes = np.array([0, 1, 2, 3, 4, 60000, 65535, TRANSPARENT])
    assert decode(codes).tolist() == [255, 0, 255, 1, 255, 1, 255, 255]
    assert decode.nearest(codes[:3])[1].tolist() == [0, 0, np.inf]
    assert not decode.foreign(codes, np.full(8, 10_000), 80_000).any()
