"""A linear probe: the network stays as it is, and only its classifier is fitted, on features computed once.

The way to a teacher from a pretrained network in minutes. Called by `train` for recipes with `probe: true`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from hviskd.arrays import Floats, Ints
from hviskd.models import IMAGENET, InputStep, write_weights
from hviskd.networks import Network
from hviskd.progress import Progress, progress_bar
from hviskd.storage import atomic_file
from hviskd.tiles import TileSet
from hviskd.training.growing_arrays import GrowingArray
from hviskd.training.run import Run
from hviskd.training.setup import Learner
from hviskd.training.tally import accuracies, confusion

PENALTIES = tuple(10.0**exponent for exponent in range(1, -6, -1))  # λ of λ ‖W‖² / 2 beside the mean loss
_TILES = 64  # a batch
_ITERATIONS = 300  # of a fit; one that stops early is judged on val as all others


@dataclass(frozen=True)
class Linear:
    """A linear classifier of features: weights (K, D) and biases (K,), float64."""

    weights: Floats
    biases: Floats

    def logits(self, features: Floats) -> Floats:
        """Return logits (N, K) of features (N, D)."""
        return features @ self.weights.T + self.biases

    def before(self, mean: Floats, deviation: Floats) -> "Linear":
        """Return the same classifier for features that are not standardised."""
        weights = self.weights / deviation
        return Linear(weights, self.biases - weights @ mean)


def run_probe(learner: Learner, run: Run, progress: Progress | None) -> None:
    """Fit probes on the training split, choose one on the validation split, and put it into the student.

    Raises:
        DataError: There is no validation split.
    """
    tileset, student, seen = learner.tileset, learner.student, []
    for split in ("train", "val"):
        labels = tileset.labels[tileset.require_split(split)]
        seen.append(
            (features_of(student, tileset, split, run.features_file(split), learner.fabric.device, progress), labels)
        )
    rows, fitted = zip(*probe_rows(seen[0], seen[1], len(tileset.classes), progress), strict=True)
    best = best_row(rows, learner.recipe.choose_by)
    put_classifier(student, fitted[best])
    learner.history = list(rows)
    learner.chosen = rows[best]
    with atomic_file(run.chosen_file(int(rows[best]["epoch"]))) as partial:
        write_weights(student.state_dict(), partial)


def features_of(
    network: Network, tileset: TileSet, split: str, path: Path, device: torch.device, progress: Progress | None
) -> Floats:
    """Return the embeddings (N, D) of a split's tiles as they are, float64; kept at `path` until the probe is done.

    If killed, the computation continues after its last batch.
    """
    rows = tileset.rows(split)
    width = network.shapes(tileset.tile_px).embedding
    if not path.is_file():
        with GrowingArray(path, (len(rows), width), np.dtype(np.float32)) as kept:
            kept.tidy()
            done = kept.rows
            with progress_bar(f"features of {split}", len(rows), progress, done=done) as advance:
                for embedded in _embedded(network, tileset, rows[done:], device):
                    kept.append(embedded)
                    advance(len(embedded))
            kept.finish()
    return np.load(path, allow_pickle=False).astype(np.float64)


def fit_path(
    features: Floats,
    labels: Ints,
    classes: int,
    penalties: Sequence[float],
    *,
    balanced: bool,
    axes: tuple[Floats, Floats] | None = None,
) -> Iterator[Linear]:
    """Minimise the mean cross-entropy plus λ ‖W‖² / 2 for each penalty λ, by L-BFGS in float64.

    Each fit starts from the one before, so penalties are best given in falling order. L-BFGS runs along the features'
    principal axes, each scaled by its bound on the curvature, s² / 2 + λ for variance s² (Böhning 1992): where
    features are strongly correlated, as those of networks are, it then needs tens of steps instead of hundreds.

    Args:
        features: (N, D), standardised.
        labels: (N,), each of the K classes at least once.
        classes: K.
        penalties: Each λ; biases are not penalised.
        balanced: Whether a tile counts in inverse proportion to the tiles of its class.
        axes: `principal_axes` of the features, where they are known.
    """
    counts = np.bincount(labels, minlength=classes)
    shares = (1 / (classes * counts))[labels] if balanced else np.full(len(labels), 1 / len(labels))
    directions, variances = principal_axes(features) if axes is None else axes
    turned = features @ directions
    weights, biases = np.zeros((classes, len(variances))), np.zeros(classes)
    for penalty in penalties:
        scale = 1 / np.sqrt(variances / 2 + penalty)
        weights, biases = _minimise(turned * scale, labels, shares, penalty * scale**2, weights / scale, biases)
        weights = weights * scale
        yield Linear(weights @ directions.T, biases)


def principal_axes(features: Floats) -> tuple[Floats, Floats]:
    """Return the axes (D, R) along which features (N, D) vary, and their variances (R,); R is at most N and D."""
    tiles, width = features.shape
    if width <= tiles:
        variances, axes = np.linalg.eigh(features.T @ features / tiles)
        return axes, np.maximum(variances, 0)
    variances, left = np.linalg.eigh(features @ features.T / tiles)
    kept = variances > 1e-10 * variances.max()
    variances, left = variances[kept], left[:, kept]
    return features.T @ left / np.sqrt(tiles * variances), variances


def _minimise(
    features: Floats, labels: Ints, shares: Floats, penalties: Floats, weights: Floats, biases: Floats
) -> tuple[Floats, Floats]:
    """Return the weights (K, D) and biases (K,) with the least Σ shares · cross-entropy + Σ penalties · W² / 2.

    Args:
        features: (N, D).
        labels: (N,).
        shares: Of each tile in the mean, (N,).
        penalties: Of each feature, (D,).
        weights: To begin with, (K, D).
        biases: To begin with, (K,).
    """
    from scipy.optimize import minimize

    one_hot = np.eye(len(biases))[labels]

    def loss(point: Floats) -> tuple[float, Floats]:
        candidate = point.reshape(len(biases), -1)
        logits = features @ candidate[:, :-1].T + candidate[:, -1]
        logits -= logits.max(axis=1, keepdims=True)
        exponents = np.exp(logits)
        sums = exponents.sum(axis=1, keepdims=True)
        value = shares @ (np.log(sums[:, 0]) - (logits * one_hot).sum(axis=1))
        slope = shares[:, None] * (exponents / sums - one_hot)
        shrink = penalties * candidate[:, :-1]
        value += (shrink * candidate[:, :-1]).sum() / 2
        return float(value), np.column_stack([slope.T @ features + shrink, slope.sum(axis=0)]).ravel()

    begun = np.column_stack([weights, biases]).ravel()
    limits = {"maxiter": _ITERATIONS, "gtol": 1e-5, "ftol": 1e-8}
    found = minimize(loss, begun, jac=True, method="L-BFGS-B", options=limits).x  # type: ignore[call-overload]
    best = found.reshape(len(biases), -1)
    return best[:, :-1], best[:, -1]


def probe_rows(
    train: tuple[Floats, Ints], val: tuple[Floats, Ints], classes: int, progress: Progress | None = None
) -> Iterator[tuple[dict[str, float], Linear]]:
    """Yield a row of the log and the classifier, for features as they are, for every penalty and both class weights."""
    features, labels = train
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    standard = (features - mean) / deviation
    axes = principal_axes(standard)
    with progress_bar("fit probes", 2 * len(PENALTIES), progress) as advance:
        number, started = 0, time.perf_counter()
        for balanced in (False, True):
            path = fit_path(standard, labels, classes, PENALTIES, balanced=balanced, axes=axes)
            for penalty, of_standard in zip(PENALTIES, path, strict=True):
                fitted, number = of_standard.before(mean, deviation), number + 1
                row = {"epoch": float(number), "penalty": penalty, "balanced": float(balanced)}
                row["seconds"] = time.perf_counter() - started
                for split, (seen, truth) in (("train", train), ("val", val)):
                    row |= {f"{split}_{name}": value for name, value in _measured(fitted.logits(seen), truth).items()}
                row["loss_total"] = row["train_cross_entropy"]
                advance(1, note=f"penalty {penalty:g}, val balanced accuracy {row['val_balanced_accuracy']:.3f}")
                yield row, fitted
                started = time.perf_counter()


def best_row(rows: Sequence[dict[str, float]], by: str) -> int:
    """Return the position of the row with the highest `val_…` metric; if tied, of the lowest cross-entropy."""
    return max(range(len(rows)), key=lambda place: (rows[place][f"val_{by}"], -rows[place]["val_cross_entropy"]))


def put_classifier(network: Network, fitted: Linear) -> None:
    """Give a network's classifier these weights."""
    classifier = network.head.classifier
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(fitted.weights))
        classifier.bias.copy_(torch.from_numpy(fitted.biases))


def _embedded(network: Network, tileset: TileSet, rows: Ints, device: torch.device) -> Iterator[NDArray[np.float32]]:
    step = InputStep(IMAGENET).to(device)
    network = network.to(device).eval()
    with torch.inference_mode():
        for start in range(0, len(rows), _TILES):
            tiles = torch.from_numpy(tileset.pixels[rows[start : start + _TILES]]).to(device)
            yield network.trace(step(tiles)).embedding.float().cpu().numpy()


def _measured(logits: Floats, truth: Ints) -> dict[str, float]:
    """Return cross-entropy, top-1 and balanced accuracy of logits (N, K)."""
    answers, labels = torch.from_numpy(logits), torch.from_numpy(truth)
    return {"cross_entropy": F.cross_entropy(answers, labels).item(), **accuracies(confusion(answers, labels))}
