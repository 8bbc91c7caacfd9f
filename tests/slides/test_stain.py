"""What a fit finds, and what it says when it finds nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hviskd.errors import DataError
from hviskd.slides import Stain, fit_macenko, fit_reinhard, read_stain, stain_from_json, stain_to_json, write_stain
from tests.slides.make import glass, stained

HE = np.array([[0.56, 0.22], [0.72, 0.80], [0.41, 0.56]])
HE = HE / np.linalg.norm(HE, axis=0)


def mixed(amounts: np.ndarray) -> np.ndarray:
    """Pixels that hold given amounts (N, 2) of the two stains and nothing else."""
    return np.clip(240 * np.exp(-amounts @ HE.T) - 1, 0, 255).round().astype(np.uint8)


def test_macenko_finds_the_two_colours_a_picture_was_mixed_from():
    rng = np.random.default_rng(0)
    pure = np.concatenate([[[1.5, 0.0]] * 200, [[0.0, 1.5]] * 200])
    stain = fit_macenko(mixed(np.concatenate([rng.uniform(0.3, 1.5, (9600, 2)), pure])))
    assert np.allclose(stain.vectors, HE, atol=0.02)
    assert stain.pixels == 10_000
    assert not stain.problem


def test_macenko_measures_how_much_of_each_stain_there_is():
    rng = np.random.default_rng(0)
    amounts = np.concatenate([rng.uniform(0, 1, (20_000, 2)) * (2.0, 1.0), [[2.0, 0.0]] * 400, [[0.0, 1.0]] * 400])
    stain = fit_macenko(mixed(amounts))
    assert np.allclose(stain.max_concentrations, np.percentile(amounts, 99, axis=0), rtol=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_fits_agree_with_torchstain(seed):
    macenko = pytest.importorskip("torchstain.numpy.normalizers.macenko").NumpyMacenkoNormalizer()
    reinhard = pytest.importorskip("torchstain.numpy.normalizers.reinhard").NumpyReinhardNormalizer()
    image = stained((120, 150), 0.8 + 0.3 * seed, 0.7, seed)
    macenko.fit(image)
    reinhard.fit(image)
    ours = fit_macenko(image)
    assert np.allclose(ours.vectors, macenko.HERef)
    assert np.allclose(ours.max_concentrations, macenko.maxCRef)
    ours = fit_reinhard(image)
    assert np.allclose(ours.lab_mean, reinhard.target_means, atol=1e-3)
    assert np.allclose(ours.lab_sd, reinhard.target_stds, atol=1e-3)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.empty((0, 3), np.uint8), "only 0 stained pixels, 1000 are needed"),
        (glass((100, 100)), "0 stained pixels"),
        (np.full((100, 100, 3), (150, 60, 140), np.uint8), "one stain only"),
        (np.zeros((100, 100, 3), np.uint8), "one stain only"),
        (mixed(np.stack([np.linspace(0.5, 2, 5000), np.zeros(5000)], axis=1)), "one stain only"),
    ],
)
def test_macenko_says_when_there_are_no_two_stains(pixels, said):
    stain = fit_macenko(pixels)
    assert said in stain.problem
    assert stain.pixels == len(pixels.reshape(-1, 3))
    assert stain.vectors is None


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((999, 3), np.uint8), "only 999 pixels, 1000 are needed"),
        (np.full((100, 100, 3), 99, np.uint8), "all pixels have the same colour"),
    ],
)
def test_reinhard_says_when_there_is_nothing_to_measure(pixels, said):
    assert said in fit_reinhard(pixels).problem


@pytest.mark.parametrize("fit", [fit_macenko, fit_reinhard])
def test_a_stain_survives_its_file(tmp_path, fit):
    for stain in (fit(stained((100, 100), 1, 0.6)), fit(np.empty((0, 3), np.uint8))):
        write_stain(tmp_path / "stain.json", stain)
        assert read_stain(tmp_path / "stain.json") == stain
        assert stain_from_json(json.loads(json.dumps(stain_to_json(stain))), "x") == stain


def test_what_is_no_stain_is_refused(tmp_path):
    good = stain_to_json(fit_macenko(stained((100, 100), 1, 0.6)))
    for change, said in (
        ({"method": "vahadane"}, "method"),
        ({"vectors": None}, "needs vectors"),
        ({"vectors": [[1, 1], [0, 0], [0, 0]]}, "one stain only"),
        ({"vectors": [[5, 1], [0, 2], [0, 0]]}, "absorb no light"),
        ({"max_concentrations": [0.0, 1.0]}, "one stain only"),
        ({"max_concentrations": [float("nan"), 1.0]}, "max_concentrations"),
        ({"surprise": 1}, "surprise"),
    ):
        with pytest.raises(DataError, match=rf"^here: not a stored stain .*{said}"):
            stain_from_json(good | change, "here")
    with pytest.raises(DataError, match="not a stored stain"):
        stain_from_json([1, 2], "here")
    (tmp_path / "stain.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        read_stain(tmp_path / "stain.json")


def test_a_fit_without_its_numbers_cannot_be_made():
    with pytest.raises(ValueError, match="needs lab_mean"):
        Stain("reinhard", 5)
    with pytest.raises(ValueError, match="have the same colour"):
        replace(fit_reinhard(stained((100, 100), 1, 0.6)), lab_sd=(1.0, 0.0, 1.0))
