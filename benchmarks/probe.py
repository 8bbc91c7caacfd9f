"""What fitting a linear probe takes, once the features are there: seven penalties, both class weights.

Features are drawn: their variances fall along their axes as those of networks, and the means of the classes differ by
as much as features vary along an axis of the middle. Seconds of a clock need an idle machine; CPU seconds do not.

    python benchmarks/probe.py --tiles 3200 --features 1280
"""

import argparse
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from start import commit, cpu

from hviskd.processor import let_threads_sleep

let_threads_sleep()  # as the command line does, before torch is loaded

from hviskd.training.probe import probe_rows  # noqa: E402

CLASSES = 5


def main() -> None:
    """Fit, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=3200)
    parser.add_argument("--features", type=int, default=1280)
    options = parser.parse_args()
    train, val = drawn(options.tiles, options.features, 0), drawn(options.tiles // 4, options.features, 1)
    began, used = time.perf_counter(), time.process_time()
    rows = [row for row, _ in probe_rows(train, val, CLASSES, progress=lambda *_: None)]
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - used
    best = max(row["val_balanced_accuracy"] for row in rows)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f},")
    print(f"Python {platform.python_version()}; {commit(Path(__file__).parent)}: `benchmarks/probe.py`")
    print(f"{options.tiles:,} tiles of {options.features:,} features, {CLASSES} classes: {len(rows)} fits in")
    print(f"{seconds:.1f} s, {cpu_seconds:.1f} CPU s; balanced accuracy on the validation split {best:.1%}")


def drawn(tiles: int, features: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features (N, D) and labels (N,)."""
    fixed, own = np.random.default_rng(0), np.random.default_rng((seed, 1))
    turn, _ = np.linalg.qr(fixed.normal(size=(features, features)))
    spread = np.arange(1, features + 1) ** -0.7
    labels = own.integers(0, CLASSES, tiles)
    means = fixed.normal(size=(CLASSES, features)) * spread * 0.15
    return (own.normal(size=(tiles, features)) * spread + means[labels]) @ turn, labels


if __name__ == "__main__":
    main()
