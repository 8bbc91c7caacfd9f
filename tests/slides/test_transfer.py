"""Changing a stain: like torchstain on one picture, and nothing at all where there is no fit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hviskd.errors import DataError
from hviskd.slides import fit_macenko, fit_reinhard, macenko_matrix, stain_transfer
from tests.slides.make import stained

FITS = {"macenko": fit_macenko, "reinhard": fit_reinhard}
NONE = np.empty((0, 3), np.uint8)


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A tile, and another one that was stained otherwise."""
    return stained((90, 110), 0.7 + 0.2 * seed, 0.8, seed), stained((100, 100), 1.2, 0.4 + 0.1 * seed, seed + 50)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("method", FITS)
def test_transfer_agrees_with_torchstain(method, seed):
    module = pytest.importorskip(f"torchstain.numpy.normalizers.{method}")
    normalizer = getattr(module, f"Numpy{method.title()}Normalizer")()
    tile, reference = pair(seed)
    normalizer.fit(reference)
    theirs = normalizer.normalize(tile)
    theirs = theirs[0] if method == "macenko" else theirs
    ours = stain_transfer(FITS[method](tile), FITS[method](reference))(tile)
    assert np.abs(ours.astype(int) - theirs).max() <= 1  # they cut decimals off, ours rounds


@pytest.mark.slow
@pytest.mark.parametrize("method", FITS)
def test_afterwards_the_tile_has_the_references_stain(method):
    tile, reference = pair(1)
    fit = FITS[method]
    changed = fit(stain_transfer(fit(tile), fit(reference))(tile))
    if method == "macenko":
        assert np.allclose(changed.vectors, fit(reference).vectors, atol=0.03)
        assert np.allclose(changed.max_concentrations, fit(reference).max_concentrations, rtol=0.03)
    else:
        assert np.allclose(changed.lab_mean, fit(reference).lab_mean, atol=0.6)
        assert np.allclose(changed.lab_sd, fit(reference).lab_sd, atol=0.6)


def test_macenko_takes_amounts_out_of_one_mixture_into_the_other():
    source, reference = (fit_macenko(image) for image in pair(2))
    amounts = np.random.default_rng(0).uniform(0, 2, (2, 50))
    scaled = amounts * (np.array(reference.max_concentrations) / source.max_concentrations)[:, None]
    changed = macenko_matrix(source, reference) @ (np.array(source.vectors) @ amounts)
    assert np.allclose(changed, np.array(reference.vectors) @ scaled)


def test_macenkos_colours_are_those_of_the_formula_rounded():
    source, reference = (fit_macenko(image) for image in pair(1))
    colours = np.random.default_rng(0).integers(0, 256, (100_000, 3), dtype=np.uint8)
    density = -np.log((colours + 1.0) / 240)
    exact = np.clip(240 * np.exp(-density @ macenko_matrix(source, reference).T) - 1, 0, 255)
    assert np.abs(stain_transfer(source, reference)(colours) - exact).max() < 0.5 + 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("method", FITS)
def test_any_number_of_tiles_is_changed_as_one_by_one(method):
    tile, reference = pair(0)
    transfer = stain_transfer(FITS[method](tile), FITS[method](reference))
    batch = np.stack([tile, tile[::-1], tile[:, ::-1]] * 2)
    before = batch.copy()
    changed = transfer(batch)
    assert (changed.shape, changed.dtype) == (batch.shape, np.uint8)
    assert np.array_equal(batch, before)
    assert np.array_equal(changed[1], transfer(tile[::-1]))
    assert transfer(batch, out=batch) is batch
    assert np.array_equal(batch, changed)
    assert transfer(batch[:0]).shape == batch[:0].shape
    for wrong in (batch[:1], np.asfortranarray(batch)):
        with pytest.raises(ValueError, match="out must be C-contiguous"):
            transfer(batch, out=wrong)


@pytest.mark.slow
@pytest.mark.parametrize("method", FITS)
def test_a_pixel_is_changed_alike_wherever_it_stands_and_in_any_thread(method):
    tile, reference = pair(2)
    transfer = stain_transfer(FITS[method](tile), FITS[method](reference))
    one_by_one = np.concatenate([transfer(row) for row in tile])
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(transfer, [np.concatenate([tile] * 5)] * 8))  # more than is looked up at once
    for changed in many:
        assert np.array_equal(changed, np.concatenate([one_by_one.reshape(tile.shape)] * 5))


@pytest.mark.slow
@pytest.mark.parametrize("method", FITS)
def test_without_a_fit_the_tiles_stay_as_they_are_and_it_is_told(method):
    tile, reference = pair(0)
    transfer = stain_transfer(FITS[method](NONE), FITS[method](reference))
    assert np.array_equal(transfer(tile), tile)
    assert "1000 are needed" in transfer.problem
    assert not stain_transfer(FITS[method](tile), FITS[method](reference)).problem


def test_a_reference_must_have_a_fit_of_the_same_kind():
    tile, _ = pair(0)
    with pytest.raises(DataError, match="choose another one with more tissue"):
        stain_transfer(fit_macenko(tile), fit_macenko(NONE))
    with pytest.raises(DataError, match="fitted by reinhard, the slide by macenko"):
        stain_transfer(fit_macenko(tile), fit_reinhard(tile))


@pytest.mark.slow
def test_reinhards_transfer_to_itself_changes_nothing():
    tile, _ = pair(3)
    assert np.abs(stain_transfer(fit_reinhard(tile), fit_reinhard(tile))(tile).astype(int) - tile).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("method", FITS)
def test_every_colour_there_is_comes_out_as_a_colour(method):
    tile, reference = pair(0)
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    changed = stain_transfer(FITS[method](tile), FITS[method](reference))(colours)
    assert changed.shape == colours.shape
    if method == "macenko":
        assert changed[-1, -1, -1].min() > 235  # white stays white
