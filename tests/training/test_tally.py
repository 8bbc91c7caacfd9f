"""Epoch sums against NumPy and scikit-learn, and the watch for losses that are no longer finite."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from hviskd.errors import TrainingError
from hviskd.training.tally import LossTally, accuracies, confusion


def test_means():
    tally = LossTally(1, every=3)
    values = np.random.default_rng(0).normal(size=(10, 2))
    for first, second in values:
        tally.add({"a": torch.tensor(first), "b": torch.tensor(second)})
    assert tally.means() == pytest.approx({"a": values[:, 0].mean(), "b": values[:, 1].mean()}, rel=1e-6)


@pytest.mark.parametrize("every", [1, 4, 100])
def test_names_epoch_step_and_term_of_the_first_bad_loss(every):
    tally = LossTally(epoch=5, every=every)

    def go_on():
        for step in range(12):
            value = float("nan") if step >= 6 else 1.0
            tally.add({"fine": torch.tensor(1.0), "hviskd/region_feature": torch.tensor(value)})
        tally.means()

    with pytest.raises(TrainingError, match=r"epoch 5, step 7: the loss 'hviskd/region_feature' is nan"):
        go_on()


def test_infinity_counts_as_well():
    tally = LossTally(1, every=1)
    with pytest.raises(TrainingError, match="is inf"):
        tally.add({"kd": torch.tensor(float("inf"))})


def test_accuracies_agree_with_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 5, generator=generator), torch.randint(0, 4, (200,), generator=generator)
    counts = confusion(logits, labels)
    chosen = logits.argmax(dim=1)
    np.testing.assert_array_equal(counts, confusion_matrix(labels, chosen, labels=range(5)))
    measured = accuracies(counts)
    assert measured["top1"] == pytest.approx(accuracy_score(labels, chosen))
    with pytest.warns(UserWarning, match="y_pred contains classes"):
        expected = balanced_accuracy_score(labels, chosen)
    assert measured["balanced_accuracy"] == pytest.approx(expected)
