"""Adapting a student to another place: what it learns from, what is measured, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError, LeakError, RecipeError
from hviskd.evaluation import evaluate
from hviskd.evaluation.metrics import measure
from hviskd.experiments import adapt
from hviskd.models import load_model
from hviskd.models.prediction import predict_rows
from hviskd.progress import silent
from hviskd.synthesis import CohortSettings, draw_cohort
from hviskd.tiles import Origin, TileSet, TileSetWriter, TileSource, new_card
from hviskd.training import Run, Teaching, load_recipe, train
from tests.conftest import CLASSES, write_tiles

FEW = {"epochs": 2, "batch_size": 16, "learning_rate": 0.02}


def write_place(folder, *, shared=False, leaking=False, patients=(), tile_px=32):
    """Tiles of the same classes, darker by 80: unsplit ones to learn, and ones of other patients to measure on."""
    rng, found = np.random.default_rng(9), {}
    for part, split in (("learn", None), ("measure", "test")):
        card = new_card(CLASSES, tile_px=tile_px, mpp=1.0, origin=Origin(verb="test", licence="CC0"))
        record = {"by": "patient"} if split else None
        with TileSetWriter(folder / part, card, split_record=record) as writer:
            for number in range(48):
                label = number % 3
                pixels = rng.normal(140 - 60 * label, 40, (tile_px, tile_px, 3)).clip(0, 255).astype(np.uint8)
                patient = f"{'N' if shared else part}{number % 4}"
                if split and len(patients):
                    patient = patients[number % len(patients)]
                source = TileSource(patient=patient)
                into = "train" if leaking and split and number < 12 else split
                writer.add(pixels, file=f"{part}{number}", class_name=CLASSES[label], split=into, source=source)
        found[part] = folder / part
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def student(tileset, without_curves, tmp_path_factory):
    recipe = load_recipe(None, {"network": "resnet8", "epochs": 3, "batch_size": 16, "learning_rate": 0.02, "seed": 4})
    return train(recipe, tileset, tmp_path_factory.mktemp("runs") / "student", device="cpu", progress=silent)


@pytest.fixture(scope="module")
def adapted(tileset, student, teacher_run, place, without_curves, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted") / "out"
    teaching = Teaching(teacher_run, unlabelled=place["learn"], cache=False)
    recipe = load_recipe("adapt", {"start": str(student.folder), **FEW}, role="distilled student")
    kept = {"teaching": teaching, "measured": place["measure"], "recipe": recipe, "device": "cpu"}
    return adapt(student, tileset, folder, **kept, progress=silent), folder, kept


def balanced(model, tileset, split):
    rows = tileset.rows(split)
    answers = predict_rows(load_model(model), tileset, rows, progress=silent)
    return measure(tileset.labels[rows], answers).overall()["balanced_accuracy"]


def test_both_places_are_measured_before_and_after(adapted, tileset, student, teacher_run, place):
    found, folder, _ = adapted
    there = TileSet.open(place["measure"])
    for evaluation, tiles, split in ((found.home, tileset, "val"), (found.place, there, "test")):
        expected = [balanced(model, tiles, split) for model in (student, found.run, teacher_run)]
        assert [each.metrics.overall()["balanced_accuracy"] for each in evaluation.models] == pytest.approx(expected)
    at_home, at_place = (balanced(student, tileset, "val"), balanced(student, there, "test"))
    gain = balanced(found.run, there, "test") - at_place
    assert at_home > at_place  # or this is no change of place
    assert found.won_back == pytest.approx(gain / (at_home - at_place))
    content = json.loads((folder / "adaptation.json").read_text())
    assert content["home"]["split"] == "val"
    assert content["place"]["tiles"] == 48
    assert (folder / "adaptation.md").read_text() == found.to_markdown()
    assert f"{100 * at_place:.1f} %" in found.statements[1]
    with Image.open(folder / "adaptation.png") as picture:
        assert picture.width > 500


def test_the_card_tells_the_price_and_every_evaluation_with_it(adapted, tileset, student, place):
    found, _, _ = adapted
    record = found.run.chosen().card.adaptation
    assert record.student == student.chosen().card.name
    assert record.fingerprint == student.chosen().fingerprint
    assert (record.home.before, record.place.before) == pytest.approx(
        [each.models[0].metrics.overall()["balanced_accuracy"] for each in (found.home, found.place)]
    )
    assert record.place.after == pytest.approx(found.place.models[1].metrics.overall()["balanced_accuracy"])
    notes = evaluate(found.run, place["measure"], progress=silent).notes
    assert any("adapted to another place without labels" in note for note in notes)


def test_the_last_epoch_counts(adapted):
    """The validation split at home would choose the student that never left it."""
    found, _, _ = adapted
    assert found.run.chosen().card.epoch == 2
    assert found.run.chosen().card.selection == "last epoch"
    ours, last = (load_file(found.run.folder / name / "weights.safetensors") for name in ("model", "model-last"))
    assert all(torch.equal(ours[name], last[name]) for name in ours)


@pytest.mark.usefixtures("unpainted")
def test_labels_of_the_new_place_are_not_read(adapted, tileset, student, teacher_run, place, tmp_path):
    """The same tiles with other labels give the same weights."""
    found, _, kept = adapted
    learn = TileSet.open(place["learn"])
    folder = tmp_path / "learn"
    card = new_card(CLASSES, tile_px=32, mpp=1.0, origin=Origin(verb="test", licence="CC0"))
    with TileSetWriter(folder, card) as writer:
        for row, pixels in enumerate(learn.pixels):
            source = TileSource(patient=learn.table["patient"].iloc[row])
            writer.add(np.asarray(pixels), file=f"learn{row}", class_name=CLASSES[0], source=source)
    teaching = Teaching(teacher_run, unlabelled=folder, cache=False)
    again = adapt(student, tileset, tmp_path / "out", **(kept | {"teaching": teaching}), progress=silent)
    ours, theirs = (load_file(each.run.folder / "model" / "weights.safetensors") for each in (found, again))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.usefixtures("unpainted")
def test_a_repeated_call_trains_nothing_again(adapted, tileset, student):
    found, folder, kept = adapted
    written = [folder / "adapted" / name for name in ("log.csv", "model/weights.safetensors")]
    before = [path.stat().st_mtime_ns for path in written]
    again = adapt(student, tileset, folder, **kept, progress=silent)
    assert [path.stat().st_mtime_ns for path in written] == before
    assert again.won_back == found.won_back


def test_what_it_is_measured_on_must_not_be_what_it_adapted_to(tileset, student, teacher_run, tmp_path):
    shared = write_place(tmp_path / "shared", shared=True)
    teaching = Teaching(teacher_run, unlabelled=shared["learn"])
    with pytest.raises(LeakError, match="^(?!.*allow).*patient"):
        adapt(student, tileset, tmp_path / "out", teaching=teaching, measured=shared["measure"], progress=silent)
    with pytest.raises(RecipeError, match="`unlabelled`"):
        adapt(student, tileset, tmp_path / "out", teaching=Teaching(teacher_run), progress=silent)
    with pytest.raises(DataError, match="test"):
        given = {"teaching": teaching, "measured": shared["learn"]}
        adapt(student, tileset, tmp_path / "out", **given, progress=silent)
    of_home = write_place(tmp_path / "of_home", patients=tileset.table["patient"][tileset.rows("train")].unique())
    with pytest.raises(LeakError, match=rf"^(?!.*allow).*{tileset.folder.name}: LEAK.*patient"):
        given = {"teaching": Teaching(teacher_run, unlabelled=of_home["learn"]), "measured": of_home["measure"]}
        adapt(student, tileset, tmp_path / "out", **given, progress=silent)
    leaking = write_place(tmp_path / "leaking", leaking=True)
    with pytest.raises(LeakError, match="^(?!.*allow).*more than one split"):
        given = {"teaching": Teaching(teacher_run, unlabelled=leaking["learn"]), "measured": leaking["measure"]}
        adapt(student, tileset, tmp_path / "out", **given, progress=silent)
    assert not (tmp_path / "out").exists()


def run_verb(student, tileset, teacher_run, output, *more):
    words = ["adapt", student.folder, tileset.folder, "--teacher", teacher_run.folder, "-o", output, *more]
    words += ["--epochs", 1, "--batch-size", 16, "--device", "cpu", "--no-cache"]
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.mark.usefixtures("unpainted")
def test_the_verb_adapts_without_labelled_tiles_of_the_place(tileset, student, teacher_run, place, tmp_path):
    given = student, tileset, teacher_run, tmp_path / "out", "--unlabelled", place["learn"]
    done = run_verb(*given)
    assert done.exit_code == 0, done.output
    assert "not known: there were no labelled tiles" in done.output
    assert Run(tmp_path / "out" / "adapted").chosen().card.adaptation.place is None
    assert isinstance(run_verb(*given, "--slides", tmp_path).exception, SystemExit)
    for ignored in (("--cap", 9), ("--patients", "tcga")):
        assert "are for --slides" in run_verb(*given, *ignored).output


@pytest.mark.usefixtures("unpainted")
def test_slides_are_cut_like_the_tiles_at_home(student, tileset, teacher_run, tmp_path):
    cohort = draw_cohort(tmp_path / "cohort", CohortSettings(patients=1, width_px=600, height_px=400))
    given = student, tileset, teacher_run, tmp_path / "out", "--slides", cohort.folder / "slides", "--cap", 32
    done = run_verb(*given)
    assert done.exit_code == 0, done.output
    assert "32 tiles cut" in done.output
    more = load_model(tmp_path / "out" / "adapted").card.data.unlabelled
    assert (more.tiles, more.name) == (32, "new-tiles")
    cut = TileSet.open(tmp_path / "out" / "new-tiles")
    assert (cut.tile_px, cut.mpp) == (tileset.tile_px, tileset.mpp)
    assert "32 tiles are there already" in run_verb(*given).output
    refused = run_verb(*given[:-1], 16)
    assert refused.exit_code == 2
    assert "new-tiles: was cut with other --cap" in " ".join(refused.output.split())
    (one, *_) = sorted((cohort.folder / "slides").iterdir())
    shutil.copy(one, tmp_path / f"other{one.suffix}")
    refused = run_verb(*given[:-3], tmp_path / f"other{one.suffix}", "--cap", 32)
    assert "was cut with other --slides" in " ".join(refused.output.split())


def test_a_home_without_validation_is_refused(student, teacher_run, place, tmp_path):
    unsplit = write_tiles(tmp_path / "tiles", patients=5, tiles_per_class=2, splits=False)
    with pytest.raises(DataError, match="val"):
        adapt(student, unsplit, tmp_path / "out", teaching=Teaching(teacher_run, unlabelled=place["learn"]))
