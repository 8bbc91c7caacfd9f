"""An experiment on paper is complete, sound and repeatable, or one line says what is wrong."""

import pytest

from hviskd.errors import RecipeError
from hviskd.experiments import load_design
from hviskd.experiments.design import BASELINES, built_in_designs
from tests.html_tables import read_tables


def written(tmp_path, text):
    path = tmp_path / "experiment.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_baselines_are_always_there_and_a_written_design_reads_back_the_same(tmp_path):
    design = load_design(written(tmp_path, "pairs: [laptop]\narms: [hviskd, {name: mine, methods: {kd: {}}}]"))
    assert [arm.name for arm in design.arms] == [arm.name for arm in BASELINES] + ["hviskd", "mine"]
    assert load_design(written(tmp_path, design.to_yaml())) == design


def test_one_s_own_arm_of_a_baseline_s_name_stands_for_it(tmp_path):
    design = load_design(written(tmp_path, "pairs: [laptop]\narms: [{name: kd, methods: {kd: {temperature: 2}}}]"))
    assert [arm.methods for arm in design.arms if arm.name == "kd"] == [{"kd": {"temperature": 2}}]


@pytest.mark.parametrize("name", built_in_designs())
def test_what_comes_along_is_sound(name):
    assert load_design(name).pairs


def test_every_method_is_in_the_experiment_of_that_name():
    from hviskd.distillation import METHODS, resolve_methods

    arms = load_design("every-method").arms
    assert {method for arm in arms for method in resolve_methods(arm.methods)} == set(METHODS)


def test_recipe_files_are_found_beside_the_experiment(tmp_path):
    (tmp_path / "own.yaml").write_text("teacher: {name: resnet14}\nstudent: {name: resnet8}\nepochs: 3\n")
    design = load_design(written(tmp_path, "pairs: [own.yaml]"), {"settings.batch_size": 8})
    assert design.pairs == (str(tmp_path / "own.yaml"),)
    assert design.settings == {"batch_size": 8}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pairs: [laptop]\narms: [hvisk]", "did you mean 'hviskd'"),
        ("pairs: [lapto]", "did you mean 'laptop'"),
        ("pairs: []", "pairs"),
        ("pairs: [laptop]\nsettings: {epoch: 3}", "epoch"),
        ("pairs: [laptop]\nseeds: [1, 1]", "different integers"),
        ("pairs: [laptop]\nfolds: 1", "folds"),
        ("pairs: [laptop]\nunlabelled: more", "name the tiles in the experiment"),
        ("pairs: [laptop]\narms: [{name: a, methods: kd, unlabelled: true}]", "name the tiles in the experiment"),
        ("pairs: [laptop]\nunlabelled: m\narms: [{name: a, methods: plain, unlabelled: true}]", "need a method with"),
        ("pairs: [laptop]\nseed: 1", "the keys are"),
        ("pairs: [laptop]\narms: [{name: a/b, methods: kd}]", "arms.0.name"),
        ("pairs: [laptop]\narms: [dkd, dkd]", "two arms have the name 'dkd'"),
        ("[1, 2]", "mapping"),
        ("pairs: [laptop", "not valid YAML"),
    ],
)
def test_mistakes_are_one_line(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message) as caught:
        load_design(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(RecipeError, match="built-in names are .*laptop"):
        load_design("nothing")


def test_a_design_shows_itself_in_a_notebook():
    design = load_design("laptop", {"settings.epochs": 3})
    rows = read_tables(design._repr_html_())
    assert [row[0] for row in rows[1 : 1 + len(design.arms)]] == [arm.name for arm in design.arms]
    assert ["epochs", "3"] in rows
