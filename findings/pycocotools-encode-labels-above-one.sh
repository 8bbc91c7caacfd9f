#!/usr/bin/env bash
# pycocotools encodes a mask of class numbers wrongly: class 2 beside class 1 vanishes, and the background after it is in.
#
# `pycocotools.mask.encode` takes a uint8 array, and its runs end wherever the value changes, not only between 0 and the
# rest. Where two classes touch, one run too many is written, and from there on inside and outside are swapped, until two
# classes touch again. There is no error. A mask of 0 and 255 comes out right, so a trial with one class does not show it.
# Encode `mask == number` for each class.
#
# Seen with pycocotools 2.0.11, numpy 2.2.6:
#   a row as given   [0, 1, 1, 2, 2, 0]
#   read back        [0, 1, 1, 0, 0, 1]
#   class by class   [0, 1, 1, 0, 0, 0] and [0, 0, 0, 1, 1, 0]
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check pycocotools==2.0.11 numpy==2.2.6
cd "$place"
venv/bin/python - <<'PY'
import numpy as np
from pycocotools import mask

row = [0, 1, 1, 2, 2, 0]
numbers = np.asfortranarray(np.tile(np.uint8(row), (4, 1)))


def read_back(array):
    return mask.decode(mask.encode(np.asfortranarray(array.astype(np.uint8))))[0].tolist()


print("a row as given  ", row)
print("read back       ", read_back(numbers))
print("class by class  ", read_back(numbers == 1), "and", read_back(numbers == 2))
assert read_back(numbers) == [0, 1, 1, 0, 0, 1]
assert read_back(numbers == 1) == [0, 1, 1, 0, 0, 0]
assert read_back(numbers == 2) == [0, 0, 0, 1, 1, 0]
assert read_back(np.where(numbers > 0, 255, 0)) == [0, 1, 1, 1, 1, 0]
PY
