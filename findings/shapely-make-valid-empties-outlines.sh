#!/usr/bin/env bash
# shapely's make_valid makes a thin ring of an outline that was drawn round twice: nine tenths of its area are gone.
#
# A freehand outline often runs on past its beginning, sometimes a whole time round. `shapely.make_valid` by default
# ("linework") takes what the line encloses an even number of times for outside, so the inside of the lesion becomes a
# hole; the result is valid and nothing is said. `method="structure"` and the older `buffer(0)` keep the inside here, but
# `buffer(0)` drops half of an outline in the form of an eight. Ask for "structure" when outlines are to be mended.
#
# Seen with shapely 2.1.2 (GEOS 3.13.1), numpy 2.2.6:
#   drawn round twice, disc of 28353: linework 2983, structure 29857, buffer(0) 29857
#   an eight of 25 and 25: linework 50, structure 50, buffer(0) 25
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check shapely==2.1.2 numpy==2.2.6
cd "$place"
venv/bin/python - <<'PY'
import numpy as np
import shapely

angle, radius = np.linspace(0, 4 * np.pi, 240, endpoint=False), np.linspace(100, 90, 240)
twice = shapely.Polygon(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))
eight = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
print("GEOS", shapely.geos_version_string)


def mended(outline):
    """Return the area after each way of mending."""
    return {
        "linework": round(shapely.make_valid(outline).area),
        "structure": round(shapely.make_valid(outline, method="structure").area),
        "buffer(0)": round(outline.buffer(0).area),
    }


for text, outline in ((f"drawn round twice, disc of {np.pi * 95**2:.0f}:", twice), ("an eight of 25 and 25:", eight)):
    print(text, ", ".join(f"{way} {area}" for way, area in mended(outline).items()))
assert not twice.is_valid
assert not shapely.make_valid(twice).contains(shapely.Point(0, 0))
assert shapely.make_valid(twice, method="structure").contains(shapely.Point(0, 0))
found = mended(twice)
assert found["linework"] < 3000 < 29000 < found["structure"] == found["buffer(0)"], found
assert mended(eight) == {"linework": 50, "structure": 50, "buffer(0)": 25}, mended(eight)
PY
