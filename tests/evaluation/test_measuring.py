"""An evaluation is what the metrics say of the model's own predictions, and it refuses what would be dishonest."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from hviskd.errors import DataError, LeakError, ModelError
from hviskd.evaluation import Scorer, bootstrap_weights, evaluate, measure, percentile_interval, reflected_interval
from hviskd.evaluation.intervals import replicate
from hviskd.models import Compute

from .conftest import CLASSES, ColourModel, colour_model, write_tiles

QUICK = {"replicates": 100}


def test_values_are_those_of_the_models_own_predictions(tileset, model):
    evaluation = evaluate(model, tileset, **QUICK)
    (result,) = evaluation.models
    expected = measure(tileset.labels, model.predict(tileset.pixels))
    assert result.metrics.overall() == pytest.approx(expected.overall())
    assert 0.3 < result.metrics.top1 < 0.9  # neither chance nor trivial
    for name, value in expected.overall().items():
        low, high = result.intervals[name]
        assert low < high
        assert low <= value <= high
    assert evaluation.differences == ()


def test_only_the_tiles_of_the_split_count(tmp_path):
    tileset = write_tiles(tmp_path / "tiles", splits=("train", "test", "val", "test"))
    model = colour_model(tileset)
    evaluation = evaluate(model, tileset, **QUICK)
    rows = tileset.rows("test")
    assert evaluation.clusters == 6
    assert evaluation.tiles["row"].tolist() == rows.tolist()
    assert evaluation.tiles["file"].tolist() == tileset.table["file"].iloc[rows].tolist()
    assert (evaluation.labels == tileset.labels[rows]).all()
    assert evaluation.models[0].metrics.overall() == pytest.approx(
        measure(tileset.labels[rows], model.predict(tileset.pixels[rows])).overall()
    )


def test_differences_are_against_the_first_and_paired(tileset, model, half_blind):
    evaluation = evaluate([half_blind, model], tileset, seed=7, **QUICK)
    assert {(each.model, each.reference) for each in evaluation.differences} == {("colours", "green")}
    assert [each.metric for each in evaluation.differences] == [
        "top1", "balanced_accuracy", "macro_f1", "macro_auroc", "ece",
    ]  # fmt: skip
    scorers = [Scorer(tileset.labels, each.predict(tileset.pixels)) for each in (half_blind, model)]
    patients = tileset.table["patient"].to_numpy(dtype=str)
    green, colours = replicate(scorers, bootstrap_weights(patients, 100, seed=7))
    for each in evaluation.differences:
        value = scorers[1].measure().overall()[each.metric] - scorers[0].measure().overall()[each.metric]
        assert each.value == pytest.approx(value)
        draws = colours.overall[each.metric] - green.overall[each.metric]
        if each.metric == "ece":
            assert each.interval == reflected_interval(value, draws)
        else:
            assert each.interval == percentile_interval(draws)
    top1 = evaluation.differences[0]
    assert 0 < top1.interval.low < top1.value < top1.interval.high


def test_the_same_request_gives_the_same_numbers(tileset, model, half_blind):
    first, again = (
        evaluate([model, half_blind], tileset, compute=Compute(batch_size=size), **QUICK) for size in (128, 7)
    )
    assert first.to_dict() == again.to_dict()
    assert evaluate([model], tileset, seed=1, **QUICK).to_dict() != evaluate([model], tileset, **QUICK).to_dict()


def test_every_stage_tells_how_far_it_is(tileset, model):
    told = []
    evaluation = evaluate(model, tileset, progress=lambda *at: told.append(at), **QUICK)
    tiles = len(evaluation.labels)
    assert (tiles, tiles, "classify with colours") in told
    assert told[-1][0] == told[-1][1] == evaluation.replicates
    assert told[-1][2] == "resample"


def test_the_order_of_a_models_classes_does_not_matter(tileset, model):
    turned = replace(model, card=model.card.model_copy(update={"classes": CLASSES[::-1]}))
    assert evaluate(turned, tileset, **QUICK).to_dict() == evaluate(model, tileset, **QUICK).to_dict()


def test_other_classes_are_refused_by_name(tileset, model):
    strange = replace(model, card=model.card.model_copy(update={"classes": (*CLASSES[:4], "stroma")}))
    with pytest.raises(ModelError, match=r"only the model has stroma; only the tiles have BG"):
        evaluate(strange, tileset, **QUICK)


def test_another_tile_size_is_refused(tileset, model):
    with pytest.raises(ModelError, match=r"needs tiles of 64 px.* has tiles of 32 px"):
        evaluate(replace(model, card=model.card.model_copy(update={"tile_px": 64})), tileset, **QUICK)


def test_an_empty_split_says_how_to_make_one(tileset, model):
    with pytest.raises(DataError, match=r"no tiles in the val split; split them with `split_tiles\(\)`"):
        evaluate(model, tileset, split="val", **QUICK)


@pytest.mark.parametrize("request_", [{"replicates": 20}, {"seed": -1}, {"split": "exam"}])
def test_impossible_requests_are_refused(tileset, model, request_):
    with pytest.raises(DataError):
        evaluate(model, tileset, **request_)


def test_no_model_is_refused(tileset):
    with pytest.raises(ModelError, match="no model"):
        evaluate([], tileset)


def leaky(folder):
    """Write tiles of which one patient stands in two splits."""
    tileset = write_tiles(folder, splits=("train", "test"))
    rows = tileset.table.index[tileset.table["patient"] == "P0"]
    tileset.table.loc[rows[:5], "split"] = "test"
    return tileset


def test_a_leak_stops_the_evaluation_unless_allowed_and_then_stands_in_it(tmp_path):
    tileset = leaky(tmp_path / "tiles")
    model = colour_model(tileset)
    with pytest.raises(LeakError):
        evaluate(model, tileset, **QUICK)
    evaluation = evaluate(model, tileset, allow_leak=True, **QUICK)
    for told in (evaluation.to_markdown(), evaluation.to_dict()["leak"], *evaluation.to_dataframe()["leak"]):
        assert evaluation.leak in told


def test_a_model_that_learned_under_another_split_is_refused_unless_allowed(tileset):
    model = colour_model(tileset, data={"split_fingerprint": "f" * 64})
    with pytest.raises(LeakError, match="with another split, so possibly on the tiles to be evaluated"):
        evaluate(model, tileset, **QUICK)
    allowed = evaluate(model, tileset, allow_leak=True, **QUICK)
    assert any("colours: trained on this TileSet with another split" in note for note in allowed.notes)


@pytest.mark.parametrize(("split", "says"), [("train", "trained on these tiles"), ("val", "selected on these tiles")])
def test_tiles_that_are_no_test_are_called_so(tmp_path, split, says):
    tileset = write_tiles(tmp_path / "tiles", splits=(split,), tiles=2)
    assert says in " ".join(evaluate(colour_model(tileset), tileset, split=split, **QUICK).notes)


def test_models_of_other_data_share_one_caution(tileset):
    models = [colour_model(tileset, name=name, data={"fingerprint": "e" * 64, "name": "atlas"}) for name in "ab"]
    notes = evaluate(models, tileset, **QUICK).notes
    assert [note for note in notes if "another TileSet (atlas)" in note] == [
        "a, b: trained on another TileSet (atlas); whether the two share patients is unknown."
    ]


@pytest.mark.parametrize(("mpp", "told"), [(0.25, True), (0.502, False), (None, False)])
def test_another_magnification_is_told(tileset, mpp, told):
    notes = evaluate(colour_model(tileset, mpp=mpp), tileset, **QUICK).notes
    assert any("trained at 0.25 µm/px, but these tiles have 0.5 µm/px" in note for note in notes) == told


@pytest.mark.parametrize(
    ("known", "unit", "clusters"),
    [(("patient", "slide"), "patient", 12), (("slide",), "slide", 24), ((), "tile", 360)],
)
def test_the_largest_known_unit_is_resampled(tmp_path, known, unit, clusters):
    tileset = write_tiles(tmp_path / "tiles", known=known)
    evaluation = evaluate(colour_model(tileset), tileset, allow_leak=True, **QUICK)
    assert (evaluation.unit, evaluation.clusters) == (unit, clusters)
    assert f"resampled by {unit} ({clusters} {unit}s)" in " ".join(evaluation.statements)


def test_one_patient_gives_values_without_intervals(tmp_path):
    tileset = write_tiles(tmp_path / "tiles", patients=1)
    evaluation = evaluate([colour_model(tileset), colour_model(tileset)], tileset, **QUICK)
    result = evaluation.models[0]
    assert set(result.intervals.values()) == {None}
    assert {each.interval for each in evaluation.differences} == {None}
    assert evaluation.replicates == 0
    assert "No intervals: all tiles are from one patient" in " ".join(evaluation.notes)
    assert evaluation.to_dict()["models"][0]["metrics"]["top1"]["low"] is None


def test_absent_and_rare_classes_are_named(tmp_path):
    tileset = write_tiles(tmp_path / "tiles", held={"BG": [], "CTmvp": [3]})
    evaluation = evaluate(colour_model(tileset), tileset, **QUICK)
    assert any("No tiles of: BG" in note for note in evaluation.notes)
    assert any("only one or two patients: CTmvp" in note for note in evaluation.notes)
    result = evaluation.models[0]
    assert np.isnan(result.metrics.auroc[4])
    assert result.class_intervals["auroc"][3:] == [None, None]
    assert None not in result.class_intervals["auroc"][:3]


@pytest.mark.parametrize("perfect", [True, False])
def test_an_interval_without_width_is_not_called_certainty(tileset, model, perfect):
    kept = model.predict(tileset.pixels).argmax(axis=1) == tileset.labels
    tileset = replace(tileset, table=tileset.table.assign(split=np.where(kept | (not perfect), "test", None)))
    evaluation = evaluate(colour_model(tileset), tileset, **QUICK)
    assert (evaluation.models[0].intervals["top1"] == (1, 1)) == perfect
    assert any("zero-width" in note for note in evaluation.notes) == perfect


def test_names_are_unique_and_safe_as_file_names(tileset):
    given = ["net", "NET", "../net", "a/b: c", "名", "", "net-2", "x" * 300]
    models = [colour_model(tileset, name="n").__class__(
        colour_model(tileset).card.model_copy(update={"name": name}), tileset.folder) for name in given]  # fmt: skip
    names = [result.name for result in evaluate(models, tileset, **QUICK).models]
    assert names == ["net", "NET-2", "net-3", "a-b-c", "名", "model", "net-2-2", "x" * 60]


@dataclass(frozen=True)
class _Damaged(ColourModel):
    def predict(self, tiles, *, batch_size=128, device="auto"):
        return np.full((len(tiles), 5), np.nan, np.float32)


def test_a_model_that_gives_no_numbers_is_refused(tileset, model):
    with pytest.raises(ModelError, match=r"models/colours.*NaN or infinity"):
        evaluate(_Damaged(model.card, model.folder), tileset, **QUICK)
