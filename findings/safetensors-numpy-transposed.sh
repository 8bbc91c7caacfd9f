#!/usr/bin/env bash
# safetensors 0.8.0 stores a transposed NumPy array with the right shape and the wrong numbers, without a word.
#
# `safetensors.numpy.save` writes the memory of an array from its beginning, whatever its strides are. An array that is
# not C-contiguous, such as a transposed one, comes back with its shape and with the numbers in the order of the memory:
# a weight matrix is silently scrambled. `safetensors.torch` refuses such tensors. Call `np.ascontiguousarray` first.
#
# Seen with safetensors 0.8.0, numpy 2.2.6:
#   saved  [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
#   loaded [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
#   made contiguous first: equal
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.2.6
cd "$place"
venv/bin/python - <<'PY'
import numpy as np
from safetensors.numpy import load, save

weights = np.arange(6, dtype=np.float32).reshape(2, 3).T
loaded = load(save({"weights": weights}))["weights"]
print("saved ", weights.tolist())
print("loaded", loaded.tolist())
assert loaded.shape == weights.shape
assert loaded.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
contiguous = load(save({"weights": np.ascontiguousarray(weights)}))["weights"]
print("made contiguous first:", "equal" if np.array_equal(contiguous, weights) else "different")
assert np.array_equal(contiguous, weights)
PY
