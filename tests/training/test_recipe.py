"""Recipes: the paper's by default, complete when stored, and every mistake one line."""

import pytest
import yaml

from hviskd.errors import RecipeError
from hviskd.training import Recipe, built_in_recipes, load_recipe
from tests.html_tables import read_tables

PAPER_PAIRS = {
    "resnet110-resnet8", "resnet110-resnet20", "vgg19-vgg8", "vgg19-shufflenet_v2", "vgg19-mobilenet_v2",
    "vgg19-shufflenet_v1", "resnet32x4-resnet8x4", "resnet32x4-shufflenet_v1", "resnet32x4-mobilenet_v2",
    "resnet32x4-shufflenet_v2",
}  # fmt: skip


def test_the_ten_pairs_of_the_paper_have_its_schedule():
    assert set(built_in_recipes()) >= PAPER_PAIRS
    for name in PAPER_PAIRS:
        teacher, student = name.split("-")
        recipe = load_recipe(name, role="distilled student")
        assert (recipe.network, recipe.head) == (student, "grid")
        assert load_recipe(name, role="teacher").network == teacher
        assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.005, 0.9, 5e-4)
        assert (recipe.batch_size, recipe.epochs) == (64, 120)
        rates = [recipe.learning_rate_at(epoch) for epoch in (0, 74, 75, 89, 90, 104, 105, 119)]
        assert rates == pytest.approx([5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5, 5e-6, 5e-6])
        assert list(recipe.methods) == ["cross_entropy", "kd", "hviskd"]
        assert (
            list(load_recipe(name, role="teacher").methods)
            == list(load_recipe(name, role="student").methods)
            == ["cross_entropy"]
        )


def test_the_recipe_for_cifar_has_the_schedule_of_the_field():
    recipe = load_recipe("cifar100", role="distilled student")
    assert (load_recipe("cifar100", role="teacher").network, recipe.network) == ("resnet32x4", "resnet8x4")
    assert (recipe.head, recipe.augmentation, recipe.stain_jitter) == ("gap", "shift_and_flip", 0)
    assert (recipe.epochs, recipe.batch_size, recipe.momentum, recipe.weight_decay) == (240, 64, 0.9, 5e-4)
    rates = [recipe.learning_rate_at(epoch) for epoch in (0, 149, 150, 179, 180, 209, 210, 239)]
    assert rates == pytest.approx([5e-2, 5e-2, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5])


def test_a_stored_recipe_is_complete_and_reads_back_the_same(tmp_path):
    recipe = load_recipe("laptop", {"methods.hviskd.scale": "positive", "seed": 7}, role="distilled student")
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    content = yaml.safe_load(recipe.to_yaml())
    assert set(content) == set(Recipe.model_fields) - {"weights"}  # a place on one computer
    assert content["methods"]["hviskd"]["levels"] == [1, 2, 4]
    assert load_recipe(tmp_path / "recipe.yaml") == recipe


def test_tiles_are_turned_and_flipped_and_keep_their_stains_unless_a_recipe_says_otherwise():
    recipe = load_recipe(None, changes={"network": "resnet8"})
    assert (recipe.augmentation, recipe.stain_jitter) == ("turn_and_flip", 0)
    recipe = load_recipe("laptop", changes={"augmentation": "none", "stain_jitter": 0.2})
    assert (recipe.augmentation, recipe.stain_jitter) == ("none", 0.2)


def test_distilling_means_hviskd_unless_the_file_says_otherwise(tmp_path):
    (tmp_path / "pair.yaml").write_text("teacher: {name: vgg8}\nstudent: {name: resnet8}\n")
    assert "hviskd" in load_recipe(tmp_path / "pair.yaml", role="distilled student").methods
    (tmp_path / "one.yaml").write_text("network: resnet8\n")
    assert "hviskd" in load_recipe(tmp_path / "one.yaml", role="distilled student").methods
    assert list(load_recipe(tmp_path / "one.yaml", role="student").methods) == ["cross_entropy"]


def test_recipes_from_before_balanced_classes_balance_none(tmp_path):
    kept = load_recipe("laptop").to_yaml().replace("balance: none\n", "")
    (tmp_path / "recipe.yaml").write_text(kept)
    assert load_recipe(tmp_path / "recipe.yaml") == load_recipe("laptop")


def test_recipes_from_before_other_optimizers_mean_the_paper_s(tmp_path):
    added = ("optimizer", "nesterov", "schedule", "warm_up", "layer_decay", "clip", "ema")
    kept = {key: value for key, value in yaml.safe_load(load_recipe("laptop").to_yaml()).items() if key not in added}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(kept))
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe == load_recipe("laptop")
    assert (recipe.optimizer, recipe.schedule, recipe.layer_decay, recipe.clip, recipe.ema) == ("sgd", "steps", 1, 0, 0)


def test_changes_reach_into_presets():
    recipe = load_recipe(
        None, {"network": "resnet8", "methods.hviskd.weight": 0.1, "methods.kd": None}, role="distilled student"
    )
    assert recipe.methods["hviskd"].weight == 0.1
    assert recipe.methods["kd"].temperature == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network: resnet8\nepoch: 3", r"epoch: unknown key.*the keys are network"),
        ("network: resnet8\nepochs: 0", "epochs: .*greater than or equal to 1"),
        ("network: resnet8\nlearning_rate: .nan", "learning_rate"),
        ("network: resnet8\ndecay_at: [0.9, 0.5]", "decay_at: .*rising order"),
        ("network: resnet8\naugmentation: flip", "augmentation: .*'turn_and_flip', 'shift_and_flip' or 'none'"),
        ("network: resnet8\nstain_jitter: -0.1", "stain_jitter: .*greater than or equal to 0"),
        ("network: resnet8\nbalance: classes", "balance: .*'none', 'weights' or 'sampling'"),
        ("network: resnet8\nturn_and_flip: true", "turn_and_flip: unknown key.*augmentation"),
        ("network: resnet8\nmethods: {hvisk: {}}", "methods.hvisk is unknown"),
        ("teacher: {name: vgg8}\nepochs: 3", "neither `network`"),
        ("teacher: {name: vgg8}\nstudent: vgg8", "student: .*write {name"),
        ("- a list", "a recipe must be a mapping"),
        ("a: [", "not valid YAML"),
        ("1: 2", "a recipe must be a mapping"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_mistakes_in_a_file(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path, role="distilled student")
    assert "\n" not in str(caught.value)


def test_other_mistakes(tmp_path):
    with pytest.raises(RecipeError, match="did you mean 'laptop'"):
        load_recipe("labtop")
    with pytest.raises(RecipeError, match=r"`recipe` .*or `network`"):
        load_recipe(None)
    with pytest.raises(RecipeError, match="epochs is a value, not a mapping"):
        load_recipe("laptop", changes={"epochs.more": 3})
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01" * 10)
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(binary)
    with binary.open("wb") as stream:
        stream.truncate(2**21)
    with pytest.raises(RecipeError, match="larger than 1 MiB"):
        load_recipe(binary)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("network: resnet8\nepochs: 2\nmethods:\n  kd: {weight: 1, weight: 2}\n")
    with pytest.raises(RecipeError, match="line 4: weight appears twice"):
        load_recipe(path, role="student")


def test_a_recipe_shows_itself_in_a_notebook():
    rows = read_tables(load_recipe("laptop", {"methods": "kd", "seed": 7}, role="distilled student")._repr_html_())
    assert ["seed", "7"] in rows
    assert "temperature 4" in dict(row for row in rows if len(row) == 2)["kd"]


def test_a_misspelled_role_is_not_taken_for_a_student_alone():
    with pytest.raises(RecipeError, match="`role='distilled_student'`.*'distilled student'"):
        load_recipe("laptop", role="distilled_student")
