from pathlib import Path

import pytest

from hviskd.errors import ModelError
from hviskd.models import find_model, find_models, load_model, load_models


def test_a_model_its_folder_a_run_and_its_folder_stand_for_the_same_model(teacher_run):
    model = teacher_run.chosen()
    place = teacher_run.folder / "model"
    assert find_model(model) == (model, model.card)
    for given in (place, str(place), teacher_run, teacher_run.folder, str(teacher_run.folder)):
        assert find_model(given) == (place, model.card)


def test_a_run_that_is_not_finished_is_no_model(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ModelError, match="not finished"):
        find_model(tmp_path)
    with pytest.raises(ModelError, match="not a Model"):
        find_model(Path("nowhere"))


def test_several_are_found_in_order_and_a_run_gives_its_chosen_and_its_last(teacher_run):
    model, place = teacher_run.chosen(), teacher_run.folder
    assert find_models(model, last=True) == [model]
    assert find_models(str(place), last=True) == [place / "model", place / "model-last"]
    assert find_models([place / "model-last", teacher_run, model], last=True) == [
        place / "model-last", place / "model", place / "model-last", model,
    ]  # fmt: skip
    assert find_models([teacher_run, place / "model-last"], last=False) == [place / "model", place / "model-last"]
    assert [each.card.name for each in load_models([model, teacher_run], last=True)] == [
        "teacher",
        "teacher",
        "teacher-last",
    ]
    assert load_models(model, last=True)[0] is load_model(model) is model
    assert load_model(teacher_run).fingerprint == model.fingerprint


def test_no_model_at_all_is_refused():
    with pytest.raises(ModelError, match="no model given"):
        find_models([], last=True)
