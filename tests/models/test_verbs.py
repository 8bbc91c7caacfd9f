"""`hviskd quantize` and `hviskd export` say what they measured and where they wrote, or why they did not."""

import json

import pytest
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.models import load_model

from .make import make_model


def hviskd(*words):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


@pytest.mark.slow
def test_from_a_run_to_an_int8_file_for_another_program(teacher_run, tileset, tmp_path):
    made = tmp_path / "int8"
    done = hviskd("quantize", teacher_run.folder, tileset.folder, "-o", made, "--tolerance", 5, "--calibration", 50)
    assert done.exit_code == 0, done.output
    record = load_model(made).card.int8
    for said in (
        "calibrated on 50 tiles of the train split",
        f"top-1 on 48 validation tiles: {record.top1_float:.1%} float32, {record.top1_int8:.1%} int8",
        f"wrote {made}",
    ):
        assert said in done.stdout

    done = hviskd("export", made, "--to", "onnx", "-o", tmp_path / "student.onnx")
    assert done.exit_code == 0, done.output
    for said in ("int8: on 8 synthetic tiles", f"{record.top1_int8:.1%} int8", "not a medical device", "student.onnx"):
        assert said in done.stdout


@pytest.mark.slow
def test_the_int8_model_stands_beside_its_source_if_nothing_else_is_said(teacher_run, tileset, tmp_path):
    import shutil

    source = shutil.copytree(teacher_run.folder / "model", tmp_path / "student")
    assert hviskd("quantize", source, tileset.folder, "--tolerance", 100).exit_code == 0
    assert load_model(tmp_path / "student-int8").card.int8 is not None
    again = hviskd("quantize", source, tileset.folder)
    assert again.exit_code == 2
    assert "student-int8: already exists" in again.stderr


@pytest.mark.slow
def test_wsinfer(model, tmp_path):
    done = hviskd("export", model.folder, "--to", "wsinfer", "-o", tmp_path / "student")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "student" / "config.json").read_text())["num_classes"] == 4


@pytest.mark.slow
def test_a_remark_names_the_option(tmp_path):
    model = make_model(tmp_path / "model", mpp=None)
    done = hviskd("export", model.folder, "--to", "torchscript", "-o", tmp_path / "student.pt")
    assert done.exit_code == 0, done.output
    assert "give --mpp to record it" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export", "nowhere", "--to", "onnx", "-o", "x"], "error: nowhere: not a Model"),
        (["quantize", "nowhere", "nothing"], "error: nowhere: not a Model"),
    ],
)
def test_a_mistake_is_one_line(words, said):
    done = hviskd(*words)
    assert done.exit_code == 2
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", ["quantize", "export"])
def test_help_shows_how(verb):
    assert f"hviskd {verb} runs/student" in hviskd(verb, "--help").stdout
