import numpy as np
import pytest

from hviskd.annotations import (
    Outlines,
    convert,
    find_masks,
    load_legend,
    read_annotation,
    take_census,
    to_outlines,
)
from hviskd.errors import DataError

from .make import blobs

LEGEND = load_legend("ivygap")


@pytest.fixture
def drawn():
    return Outlines.of(blobs(40, labels=["LE", "CTmvp", "IT"]), legend=LEGEND, size=(200, 160))


@pytest.mark.parametrize("name", ["a.geojson", "a.json"])
@pytest.mark.parametrize("px_per_cell", [1, 4])
def test_a_mask_traced_into_outlines_gives_the_same_label_image(tmp_path, drawn, name, px_per_cell):
    mask = read_annotation(
        convert(drawn, tmp_path / "m.png", legend=LEGEND, px_per_cell=px_per_cell), legend=LEGEND, size=(200, 160)
    )
    traced = convert(mask, tmp_path / name, legend=LEGEND, px_per_cell=px_per_cell)
    back = read_annotation(traced, legend=LEGEND, size=(200, 160))
    window = (0, 0, 200, 160, px_per_cell)
    np.testing.assert_array_equal(back.rasterise(*window), drawn.rasterise(*window))
    assert not back.remarks


def test_a_traced_region_has_its_classs_colour(tmp_path, drawn):
    mask = read_annotation(convert(drawn, tmp_path / "m.png", legend=LEGEND), legend=LEGEND)
    for region in to_outlines(mask, LEGEND).regions:
        assert region.colour == LEGEND.colours[LEGEND.index(region.label)]


def test_labelme_and_qupath_are_turned_into_each_other_and_back(tmp_path, drawn):
    first = convert(drawn, tmp_path / "a.json")
    second = convert(read_annotation(first, legend=LEGEND), tmp_path / "b.geojson")
    third = convert(read_annotation(second, legend=LEGEND, size=(200, 160)), tmp_path / "a2.json", image_path="a.png")
    assert first.read_text() == third.read_text()


@pytest.mark.parametrize(("name", "said"), [("a.xml", "geojson"), ("a.png", "legend")])
def test_what_cannot_be_written_is_refused(tmp_path, drawn, name, said):
    with pytest.raises(DataError, match=said):
        convert(drawn, tmp_path / name)


def test_a_huge_mask_is_traced_only_in_larger_cells(tmp_path, drawn):
    mask = read_annotation(
        convert(drawn, tmp_path / "m.png", legend=LEGEND, px_per_cell=2), legend=LEGEND, size=(200_000, 160_000)
    )
    with pytest.raises(DataError, match="larger cells"):
        to_outlines(mask)
    assert to_outlines(mask, px_per_cell=2000).regions


def test_paths_may_be_text(tmp_path, drawn):
    legend = load_legend("ivygap")
    for suffix in (".geojson", ".json", ".png"):
        written = convert(drawn, str(tmp_path / f"drawn{suffix}"), legend=legend)
        assert written == tmp_path / f"drawn{suffix}"
        assert written.is_file()
    masks = find_masks(str(tmp_path))
    assert masks == [tmp_path / "drawn.png"]
    counted = take_census(str(masks[0]), legend)
    np.testing.assert_array_equal(counted.codes, take_census(masks, legend).codes)
    assert len(counted.codes) > 1
