"""One stain for a whole slide, and the reference a user names."""

import numpy as np
import pytest
from PIL import Image

from hviskd.errors import DataError
from hviskd.slides import (
    fit_macenko,
    fit_reinhard,
    fit_slide_stain,
    open_slide,
    sample_tissue,
    stain_reference,
    stain_transfer,
    tissue_mask,
    write_stain,
)
from tests.slides.make import glass, stained, write_svs

SHAPE = 900, 1200


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """A slide whose left half is rich in haematoxylin and whose right half is pale, with glass round them."""
    image = glass(SHAPE)
    image[100:800, 100:600] = stained((700, 500), 1.6, 0.6)
    image[100:800, 600:1100] = stained((700, 500), 0.4, 0.6, seed=1)
    return write_svs(tmp_path_factory.mktemp("slide") / "halves.svs", image, mpp=1.0, quality=95), image


def test_tissue_is_sampled_all_over_the_slide_and_without_glass(halves):
    path, image = halves
    with open_slide(path) as slide:
        pixels = sample_tissue(slide, tissue_mask(slide))
    assert pixels.shape[0] > 200_000
    assert pixels.min(axis=1).max() < 220
    half = image[100:800, 100:600].mean(), image[100:800, 600:1100].mean()
    share = (pixels.mean() - half[0]) / (half[1] - half[0])
    assert 0.35 < share < 0.65


def test_the_same_seed_gives_the_same_stain(halves):
    with open_slide(halves[0]) as slide:
        tissue = tissue_mask(slide)
        first, again, other = (fit_slide_stain(slide, tissue, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert np.allclose(first.vectors, other.vectors, atol=0.03)


@pytest.mark.slow
def test_a_sample_stands_for_the_whole(halves):
    reference = fit_macenko(stained((200, 200), 1.0, 1.0, seed=9))
    with open_slide(halves[0]) as slide:
        sampled = fit_slide_stain(slide, tissue_mask(slide))
        section = slide.read(100, 100, 1000, 700)
    by_sample, by_all = (stain_transfer(stain, reference)(section) for stain in (sampled, fit_macenko(section)))
    assert np.abs(by_all.astype(int) - section).mean() > 20
    assert np.abs(by_all.astype(int) - by_sample).mean() < 3


def test_a_slide_without_tissue_is_left_as_it_is(tmp_path):
    with open_slide(write_svs(tmp_path / "glass.svs", glass((300, 300)))) as slide:
        for method in ("macenko", "reinhard"):
            stain = fit_slide_stain(slide, tissue_mask(slide), method=method)
            assert stain.pixels == 0
            assert "1000 are needed" in stain.problem


@pytest.mark.slow
def test_a_picture_a_slide_and_a_stored_stain_serve_as_reference(tmp_path, halves):
    tile = stained((200, 200), 1.0, 0.7)
    Image.fromarray(tile).save(tmp_path / "tile.png")
    write_stain(tmp_path / "stain.json", fit_macenko(tile))
    from_picture = stain_reference(tmp_path / "tile.png")
    assert from_picture == fit_macenko(tile[tile.min(axis=-1) < 220])
    assert stain_reference(tmp_path / "stain.json") == fit_macenko(tile)
    with open_slide(halves[0]) as slide:
        assert stain_reference(halves[0]) == fit_slide_stain(slide, tissue_mask(slide))
    assert not stain_transfer(from_picture, stain_reference(tmp_path / "stain.json")).problem


def test_a_reference_that_cannot_serve_is_refused(tmp_path):
    Image.fromarray(glass((200, 200))).save(tmp_path / "glass.png")
    write_stain(tmp_path / "stain.json", fit_reinhard(stained((100, 100), 1, 0.6)))
    with pytest.raises(
        DataError, match=r"glass\.png: its stain could not be fitted .*choose a reference with more tissue"
    ):
        stain_reference(tmp_path / "glass.png")
    with pytest.raises(DataError, match="the stain was fitted by reinhard, not by macenko"):
        stain_reference(tmp_path / "stain.json")
    with pytest.raises(DataError, match="no such file"):
        stain_reference(tmp_path / "missing.svs")
    with pytest.raises(DataError, match="no such file"):
        stain_reference(tmp_path / "missing.json")
