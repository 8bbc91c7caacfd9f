"""What an engine is checked with looks like tissue, and a wrong engine does not pass."""

import numpy as np
import pytest

from hviskd.errors import ModelError
from hviskd.models.checking import check_tiles, largest_difference, require_agreement, torch_answers


def with_tile_px(model, tile_px, mpp=0.5):
    return model.card.model_copy(update={"tile_px": tile_px, "mpp": mpp})


@pytest.mark.parametrize(("tile_px", "count"), [(32, 8), (150, 8), (500, 2), (1024, 2)])
def test_the_tiles_fit_the_model_and_few_are_enough_where_they_are_large(model, tile_px, count):
    tiles = check_tiles(with_tile_px(model, tile_px))
    assert tiles.shape == (count, tile_px, tile_px, 3)
    assert tiles.dtype == np.uint8


@pytest.mark.parametrize("mpp", [None, 0.01, 30.0])
def test_any_resolution_has_tiles(model, mpp):
    assert check_tiles(with_tile_px(model, 64, mpp)).shape == (8, 64, 64, 3)


def test_smaller_tiles_are_corners_of_the_stored_ones_and_larger_ones_repeat_them(model):
    stored, corners, repeated = (check_tiles(with_tile_px(model, tile_px)) for tile_px in (160, 100, 200))
    tissue = [0, *range(3, 8)]
    np.testing.assert_array_equal(corners[tissue], stored[tissue, :100, :100])
    np.testing.assert_array_equal(repeated[tissue, :160, :160], stored[tissue])
    np.testing.assert_array_equal(repeated[tissue, 160:, 160:], stored[tissue, :40, :40])
    for tiles in (stored, corners, repeated):
        assert set(np.unique(tiles[2])) == {0, 255}  # black beside white, whatever the size


def test_they_are_always_the_same_and_look_like_tissue(model):
    tiles = check_tiles(model.card)
    np.testing.assert_array_equal(tiles, check_tiles(model.card))
    red, green, blue = np.moveaxis(tiles[3:].reshape(-1, 3).mean(axis=0), 0, -1)
    assert green < blue and green < red  # haematoxylin and eosin take away green most  # noqa: PT018
    assert len(np.unique(tiles.mean(axis=(1, 2, 3)))) == 8


def test_the_difference_is_the_largest_of_any_probability(model):
    def wrong(tiles):
        probabilities = model.predict(tiles, device="cpu")
        probabilities[2, 1] += 0.25
        return probabilities

    difference = largest_difference(model.card, torch_answers(model), wrong)
    assert difference == pytest.approx(0.25, abs=1e-4)
    with pytest.raises(
        ModelError, match=r"with wrong, a probability differs from torch's by 0.25, more than 0.001; stop"
    ):
        require_agreement(model.folder, model.card, "wrong", "float32", difference, "stop")


def test_what_is_not_a_number_never_passes(model):
    with pytest.raises(ModelError, match="differs from torch's by nan"):
        require_agreement(model.folder, model.card, "this", "float32", float("nan"), "stop")
    answers = torch_answers(model)
    difference = largest_difference(model.card, answers, lambda tiles: np.full((len(tiles), 4), np.nan, np.float32))
    for precision in ("float32", "float16", "int8"):
        with pytest.raises(ModelError, match="differs from torch's by inf"):
            require_agreement(model.folder, model.card, "this", precision, difference, "stop")
