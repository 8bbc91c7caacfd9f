from pathlib import Path

import pytest

from hviskd.errors import ModelError
from hviskd.models import find_model


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
    with pytest.raises(ModelError, match="no model here"):
        find_model(Path("nowhere"))
