"""What relations hold: against NumPy, scikit-learn, and cases whose answer is known."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.distillation.relations import relation_between
from hviskd.errors import DataError, RecipeError
from hviskd.evaluation.relation_quality import distance, examine_relations, same_class_auc, spread
from hviskd.models import NetworkChoice, save_model
from hviskd.models.card import untrained_card
from hviskd.networks import create_network
from tests.conftest import figures_unpainted, write_tiles


@pytest.fixture(scope="module")
def tileset(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("relations") / "tiles")


@pytest.fixture(scope="module")
def teacher(tileset, tmp_path_factory):
    torch.manual_seed(11)
    network = create_network("resnet8", len(tileset.classes))
    card = untrained_card(NetworkChoice(name="resnet8"), tileset.classes, tileset.tile_px, tileset.mpp)
    return save_model(network, card, tmp_path_factory.mktemp("relations") / "teacher")


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(3).gamma(2.0, size=(7, 5))


def standard(features):
    return (features - features.mean(axis=0)) / features.std(axis=0)


def of(features, form, **how):
    return relation_between(torch.from_numpy(features), form, **how).numpy()


def test_each_form_is_its_formula(features):
    gram = features @ features.T
    np.testing.assert_allclose(of(features, "gram"), gram / np.linalg.norm(gram, axis=1, keepdims=True))
    z = standard(features)
    np.testing.assert_allclose(of(features, "centred"), z @ z.T / np.linalg.norm(z @ z.T), atol=1e-12)
    rows = z / np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(of(features, "cosine"), rows @ rows.T, atol=1e-12)
    raised = np.exp(rows @ rows.T / 0.5)
    np.testing.assert_allclose(of(features, "softmax", temperature=0.5), raised / raised.sum(axis=1, keepdims=True))


def test_all_forms_but_the_gram_forget_offset_and_scale_of_a_channel(features):
    moved = features * np.array([3, 1, 0.2, 10, 1]) + np.array([5, 0, -2, 1, 7])
    for form in ("centred", "cosine", "softmax"):
        np.testing.assert_allclose(of(moved, form), of(features, form), atol=1e-9)
    assert distance(of(features, "gram"), of(moved, "gram")) > 0.1


def test_a_constant_channel_and_equal_tiles_give_numbers_and_gradients(features):
    features = torch.from_numpy(np.column_stack([features, np.full(7, 4.0)]))
    for tensor in (features, torch.ones(4, 3, dtype=torch.float64)):
        for form in ("gram", "centred", "cosine", "softmax"):
            own = tensor.clone().requires_grad_()
            relation = relation_between(own, form)
            (relation * torch.arange(relation.numel()).view_as(relation)).sum().backward()
            assert relation.isfinite().all()
            assert own.grad.isfinite().all()


def test_measures_of_relations_whose_answer_is_known():
    assert spread(np.ones((4, 4))) == 0
    assert spread(np.array([[1.0, -1.0], [-1.0, 1.0]])) == 1
    labels = np.array([0, 0, 1, 1])
    same = (labels[:, None] == labels).astype(float)
    assert same_class_auc(same, labels) == 1
    assert same_class_auc(1 - same, labels) == 0
    assert same_class_auc(np.ones((4, 4)), labels) == 0.5
    assert math.isnan(same_class_auc(same, np.zeros(4, int)))
    assert distance(same, same) == 0
    assert distance(same, 0 * same) == 1


def test_the_auc_is_scikit_learns(features):
    relation, labels = of(features, "cosine"), np.array([0, 1, 0, 2, 1, 0, 2])
    pairs = ~np.eye(7, dtype=bool)
    expected = roc_auc_score((labels[:, None] == labels)[pairs], relation[pairs])
    assert same_class_auc(relation, labels) == pytest.approx(expected)


def test_a_model_is_measured_as_by_hand(teacher, tileset):
    found = examine_relations(teacher, tileset, student="resnet8", batch_size=24, batches=2, seed=4)
    rows = np.random.default_rng(4).permutation(tileset.rows("val"))
    spreads, aucs, distances = [], [], []
    torch.manual_seed(4)
    student = create_network("resnet8", 3).eval()
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for batch in (rows[:24], rows[24:48]):
        images = ((tileset.pixels[batch] / 255 - mean) / deviation).transpose(0, 3, 1, 2)
        with torch.no_grad():
            own, theirs = (
                network.features(torch.from_numpy(images).float())[2].mean((2, 3)).double().numpy()
                for network in (teacher.network, student)
            )
        relation, other = of(own, "cosine"), of(theirs, "cosine")
        spreads.append(spread(relation))
        aucs.append(same_class_auc(relation, tileset.labels[batch]))
        distances.append(np.linalg.norm(relation - other) / np.linalg.norm(relation))
    row = found.table.set_index(["stage", "form"]).loc["2", "cosine"]
    assert row["spread"] == pytest.approx(np.mean(spreads), rel=1e-4)
    assert row["auc"] == pytest.approx(np.mean(aucs), rel=1e-4)
    assert row["distance"] == pytest.approx(np.mean(distances), rel=1e-4)
    assert list(dict.fromkeys(found.table["stage"])) == ["0", "1", "2", "3", "embedding"]
    assert "48 tiles of the val split" in found.notes[0]


@pytest.mark.slow
def test_the_verb_prints_and_writes_them(teacher, tileset, tmp_path):
    folder = tmp_path / "relations"
    words = ["relations", str(teacher.folder), "--tiles", str(tileset.folder), "--batches", "1", "-o", str(folder)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "embedding" in result.output
    assert "untrained" not in result.output
    assert sorted(path.name for path in folder.iterdir()) == ["relations.csv", "relations.md", "relations.png"]
    assert "regions 4 × 4" in (folder / "relations.md").read_text()
    assert CliRunner().invoke(app, words).exit_code == 2
    with figures_unpainted():
        assert CliRunner().invoke(app, [*words, "--overwrite"]).exit_code == 0


def test_what_cannot_be_measured_is_said(teacher, tileset):
    with pytest.raises(DataError, match="appears twice"):
        examine_relations([teacher, teacher], tileset)
    with pytest.raises(RecipeError, match="unknown"):
        examine_relations(teacher, tileset, student="resnet9")
    with pytest.raises(DataError, match="at least 2"):
        examine_relations(teacher, tileset, batch_size=1)
