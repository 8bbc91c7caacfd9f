"""Networks of timm as teacher and as student, by the command line, from training to map-ready export."""

import copy
import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.distillation import (
    METHODS,
    Batch,
    Objective,
    Reads,
    Setting,
    build_methods,
    pooled_at,
    regions_at,
    token_at,
)
from hviskd.errors import RecipeError, TrainingError
from hviskd.models import InputStep, NetworkChoice, load_model, save_model
from hviskd.networks import create_network
from hviskd.progress import silent
from hviskd.storage import file_digest
from hviskd.tiles.augmentation import vary
from hviskd.training import load_recipe, train
from hviskd.training.teacher_cache import Source, TeacherCache
from hviskd.training.varied_views import told_views, views_of
from tests.timm_samples import TIMM, small

pytestmark = pytest.mark.usefixtures("without_curves")
QUICK = ["--epochs", "1", "--batch-size", "16", "--learning-rate", "0.005"]
SMALL_VIT = ["--network", "timm:vit_tiny_patch16_224", "--set", "network_arguments.depth=4"]
SMALL_VIT += ["--set", "network_arguments.embed_dim=48", "--set", "network_arguments.num_heads=2"]


def hviskd(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_a_transformer_is_taught_by_a_cnn_and_teaches_one(tileset, teacher_run, tmp_path):
    hviskd("distill", tileset.folder, "-o", tmp_path / "vit", "--teacher", teacher_run.folder, *SMALL_VIT, *QUICK)
    card = load_model(tmp_path / "vit").card
    assert card.network.name == "timm:vit_tiny_patch16_224"
    assert card.network.arguments == {"depth": 4, "embed_dim": 48, "num_heads": 2, "img_size": 32}
    assert card.network.own_input.mean == (0.5, 0.5, 0.5)
    hviskd(
        "distill", tileset.folder, "-o", tmp_path / "cnn", "--teacher", tmp_path / "vit", "--network", "resnet8", *QUICK
    )
    assert load_model(tmp_path / "cnn").card.teacher.network == card.network
    measured = ["--tiles", tileset.folder, "-o", tmp_path / "evaluation", "--replicates", "100"]
    hviskd("evaluate", tmp_path / "vit", tmp_path / "cnn", *measured)
    hviskd("attend", tmp_path / "vit", "--tiles", tileset.folder, "-o", tmp_path / "attention", "--overlays", "1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("teacher_name", "student_name"),
    [("timm:vit_tiny_patch16_224", "resnet8"), ("timm:convnext_atto", "timm:eva02_tiny_patch14_224")],
)
def test_every_method_runs_between_networks_of_all_kinds(teacher_name, student_name):
    torch.manual_seed(0)
    batch = Batch(torch.randn(8, 3, 32, 32), torch.arange(8) % 3, torch.arange(8))
    labels = torch.arange(32) % 3
    teacher = small(teacher_name)
    untrained = small(student_name) if student_name in TIMM else create_network(student_name, 3)
    setting = Setting(untrained.shapes(32), teacher.shapes(32), 3, labels)
    for name in sorted(set(METHODS) - {"simkd"}):  # it has a student of its own kind
        if name in ("fsp", "kdsvd"):  # both need networks of one width
            with pytest.raises(RecipeError, match="equal numbers"):
                build_methods({name: METHODS[name].Options()}, setting)
            continue
        methods = build_methods({name: METHODS[name].Options()}, setting)
        objective = Objective(copy.deepcopy(untrained), methods, copy.deepcopy(teacher))
        objective.remember(lambda: torch.randn(64, setting.teacher.last[0]).split(32))
        objective(batch).total.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in objective.parameters()), name


@pytest.mark.parametrize("regions", ["grid", "clusters", "scales", "top"])
def test_hviskd_relates_a_transformer_s_tokens_to_another_s(regions):
    torch.manual_seed(0)
    teacher, student = small("timm:vit_small_patch14_reg4_dinov2"), small("timm:vit_tiny_patch16_224")
    setting = Setting(student.shapes(32), teacher.shapes(32), 3, torch.arange(32) % 3)
    options = METHODS["hviskd"].Options(
        stages=[[1, 2], ["last", "last"]], regions=regions, grid=2, levels=[1, 2], groups=2, scales=[2, 3]
    )
    objective = Objective(student, build_methods({"hviskd": options}, setting), teacher)
    step = objective(Batch(torch.randn(8, 3, 32, 32), torch.arange(8) % 3, torch.arange(8)))
    assert set(step.losses) == {
        f"hviskd/{what}_{of}" for what in ("sample", "region") for of in ("relation", "feature")
    }
    assert all(loss > 0 for loss in step.losses.values())
    step.total.backward()
    for stage in (1, 2):  # what lies before the related stages learns
        assert student.parts()[stage][0].grad.abs().sum() > 0


@pytest.mark.slow
def test_what_is_stored_of_a_transformer_is_what_it_says(tileset, teacher_run, tmp_path):
    choice = NetworkChoice(name="timm:vit_tiny_patch16_224", arguments=TIMM["timm:vit_tiny_patch16_224"])
    torch.manual_seed(0)
    network, card = choice.build(3, tileset.tile_px), teacher_run.chosen().card
    teacher = save_model(network, card.model_copy(update={"network": choice.settled(network)}), tmp_path / "model")
    recipe, rows = load_recipe(None, {"network": "resnet8"}, role="distilled student"), tileset.rows("train")
    source = Source(tileset, rows, views_of(recipe, len(rows)), told_views(recipe))
    reads = Reads(embedding=True, pooled=frozenset({2}), regions=frozenset({(3, 2)}), tokens=frozenset({3}))
    cache = TeacherCache(tmp_path / "caches", teacher, source, reads, "float32")
    cache.prepare(torch.device("cpu"), silent)
    index, view = torch.tensor([4, 40]), torch.tensor([6, 1])
    stored = cache.read(index, view, torch.device("cpu"))
    tiles = torch.from_numpy(tileset.pixels[rows[index.numpy()]])
    images = InputStep(card.normalisation)(vary(tiles, source.views.at(view, index)))
    with torch.no_grad():
        live = teacher.network.eval().trace(images)
    for place in (
        lambda trace: trace.logits,
        lambda trace: trace.embedding,
        lambda trace: pooled_at(trace, 2),
        lambda trace: regions_at(trace, 3, 2),
        lambda trace: token_at(trace, 3),
    ):
        torch.testing.assert_close(place(stored), place(live), rtol=1e-4, atol=1e-5)


def test_the_classifier_of_a_network_that_norms_after_pooling_is_not_reused(tileset, teacher_run, tmp_path):
    with pytest.raises(RecipeError, match=r"simkd reuses .* must read the plain mean"):
        choice = NetworkChoice(name="timm:convnext_atto", arguments=TIMM["timm:convnext_atto"])
        network, card = choice.build(3, 32), teacher_run.chosen().card
        teacher = save_model(network, card.model_copy(update={"network": choice.settled(network)}), tmp_path / "model")
        recipe = load_recipe(None, {"network": "resnet8", "batch_size": 16, "methods": {"simkd": {}}})
        train(recipe, tileset, tmp_path / "run", teacher=teacher)


def test_a_recipe_keeps_the_arguments_of_its_network(tmp_path):
    recipe = load_recipe(None, {"network": "timm:vit_tiny_patch16_224", "network_arguments.depth": 4})
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "recipe.yaml").network_arguments == {"depth": 4}


@pytest.mark.slow
def test_weights_and_their_licence_reach_the_student_s_card(tileset, tmp_path):
    torch.manual_seed(1)
    trained = small("timm:vit_tiny_patch16_224").body.state_dict()
    (tmp_path / "phikon").mkdir()
    save_file(trained, tmp_path / "phikon" / "model.safetensors")
    start = [*SMALL_VIT, *QUICK, "--weights", tmp_path / "phikon"]
    said = hviskd("train", tileset.folder, "-o", tmp_path / "teacher", *start)
    assert f"weights phikon: {len(trained)} tensors taken by name; licence non-commercial" in said
    assert "before you pass it on: weights phikon" in said
    card = load_model(tmp_path / "teacher").card
    assert card.pretrained.name == "phikon"
    assert card.pretrained.sha256 == file_digest(tmp_path / "phikon" / "model.safetensors")
    assert "weights" not in card.recipe
    assert str(tmp_path) not in card.model_dump_json()

    shutil.rmtree(tmp_path / "phikon")  # the Model holds all it needs
    student = ["--teacher", tmp_path / "teacher", "--network", "resnet8", *QUICK]
    said = hviskd("distill", tileset.folder, "-o", tmp_path / "student", *student)
    assert "a student distilled from it may not be used commercially" in said
    licence = load_model(tmp_path / "student").card.licences[-1]
    assert (licence.licence, licence.what[:14]) == ("non-commercial", "weights phikon")


@pytest.mark.slow
def test_a_training_from_other_weights_is_not_resumed(tileset, tmp_path):
    name = "timm:convnext_atto"
    recipe = {"network": name, "network_arguments": TIMM[name], "epochs": 1, "batch_size": 16, "weights_licence": "mit"}
    for seed in (1, 2):
        torch.manual_seed(seed)
        torch.save(small(name).body.state_dict(), tmp_path / f"{seed}.pth")
    first = load_recipe(None, recipe | {"weights": str(tmp_path / "1.pth")})
    run = train(first, tileset, tmp_path / "run")
    assert run.chosen().card.pretrained.licence == "mit"
    with pytest.raises(TrainingError, match="cannot resume, since the weights changed"):
        train(load_recipe(None, recipe | {"weights": str(tmp_path / "2.pth")}), tileset, run.folder, resume=True)
    with pytest.raises(TrainingError, match="cannot resume, since the weights changed"):
        train(load_recipe(None, recipe), tileset, run.folder, resume=True)
    train(first, tileset, run.folder, resume=True)


@pytest.mark.slow
def test_a_probed_encoder_keeps_its_input_and_licence_when_it_is_fine_tuned(tileset, tmp_path):
    torch.manual_seed(1)
    arguments = TIMM["timm:vit_tiny_patch16_224"]
    (tmp_path / "encoder").mkdir()
    save_file(small("timm:vit_tiny_patch16_224").body.state_dict(), tmp_path / "encoder" / "model.safetensors")
    own = {"mean": [0.7, 0.6, 0.7], "std": [0.2, 0.2, 0.2], "license": "mit"}
    config = {"architecture": "vit_tiny_patch16_224", "model_args": arguments, "pretrained_cfg": own}
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(config))
    hviskd("train", tileset.folder, "-o", tmp_path / "probe", "--weights", tmp_path / "encoder", "--probe")
    hviskd("train", tileset.folder, "-o", tmp_path / "tuned", "--finetune", tmp_path / "probe", *QUICK)
    probe, tuned = (load_model(tmp_path / name).card for name in ("probe", "tuned"))
    assert probe.network == tuned.network
    assert probe.network.name == "timm:vit_tiny_patch16_224"  # as the folder has it
    assert tuned.network.own_input.mean == (0.7, 0.6, 0.7)
    assert tuned.network.arguments["depth"] == 4
    assert tuned.pretrained == probe.pretrained
    assert tuned.licences[-1] == probe.licences[-1]
    assert tuned.licences[-1].licence == "mit"
