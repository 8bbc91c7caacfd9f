#!/usr/bin/env bash
# pycocotools fills a run-length mask whose runs end too early with whatever lay in memory, and says nothing.
#
# `pycocotools.mask.decode` takes memory that it does not clear and writes the runs into it. Runs that go beyond the mask
# are refused ("Invalid RLE mask representation"), runs that stop short of its end are not: the rest of the mask is what
# a freed array left there. `area` of the same mask gives the number that was meant. A COCO file that lost the end of a
# `counts`, or has the `size` of another image, so gives masks that differ from run to run. Check that the runs add up.
#
# Seen with pycocotools 2.0.11, numpy 2.2.6 (how many px are in differs; 5 were meant):
#   area 5, px of the decoded mask 11721
#   the same with its last run written out: area 5, px of the decoded mask 5
#   runs beyond the mask: Invalid RLE mask representation
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

SIDE = 100


def decoded(counts):
    """Decode runs after other arrays of the same size have been used and freed, as in any program."""
    for _ in range(3):
        used = [np.ones((SIDE, SIDE), np.uint8) for _ in range(50)]
        del used
    runs = mask.frPyObjects({"size": [SIDE, SIDE], "counts": counts}, SIDE, SIDE)
    return int(mask.area(runs)), int(mask.decode(runs).sum())


area, px = decoded([5, 5])
print(f"area {area}, px of the decoded mask {px}")
whole = decoded([5, 5, SIDE * SIDE - 10])
print(f"the same with its last run written out: area {whole[0]}, px of the decoded mask {whole[1]}")
assert whole == (5, 5), whole
try:
    decoded([5, 5, SIDE * SIDE])
    beyond = "no error"
except ValueError as error:
    beyond = str(error)
print("runs beyond the mask:", beyond)
assert "Invalid RLE" in beyond
assert area == 5
assert px > 5, px
PY
