#!/usr/bin/env bash
# large_image gives the full resolution, without a word, when it is asked for 10× of a slide that records none.
#
# `getRegion(scale={"magnification": 10})` cannot be answered for a slide without a µm/px or a power; one expects an
# error or nothing. The scale is dropped and the px come as stored; so it is with `mm_x`, in `tileIterator`, and even
# with `"exact": True`, which is to allow only what matches (on a slide that does record its scale, it then gives no
# px at all). A misspelled key such as "mpp" is dropped on any slide. A region in "micron" raises ValueError, so the
# lack is noticed there. A model for 10× is fed with 40× of just those slides of a cohort whose metadata were lost.
#
# Seen with large-image 1.35.6, large-image-source-openslide 1.35.6, openslide-bin 4.0.1.2, tifffile 2025.5.10
# (a slide of 1024 × 1024 px; px given for the whole of it):
#   scale asked for                       0.25 µm/px recorded   nothing recorded
#   magnification 10                      256 × 256             1024 × 1024
#   1 µm/px                               256 × 256             1024 × 1024
#   magnification 11, exact               0 × 0                 1024 × 1024
#   mpp 1 (no such key)                   1024 × 1024           1024 × 1024
#   100 × 100 µm as a region              400 × 400             ValueError
#   tiles at magnification 10             1 tile                16 tiles
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check large-image==1.35.6 \
  large-image-source-openslide==1.35.6 openslide-python==1.4.3 openslide-bin==4.0.1.2 tifffile==2025.5.10 numpy==2.2.6
cd "$place"
venv/bin/python - <<'PY'
import large_image_source_openslide
import numpy as np
import tifffile
from large_image.constants import TILE_FORMAT_NUMPY

SIDE = 1024
picture = np.full((SIDE, SIDE, 3), 200, np.uint8)
recorded = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
for name, tags in (("with.tif", recorded), ("without.tif", {})):
    tifffile.imwrite(name, picture, tile=(256, 256), photometric="rgb", metadata=None, **tags)


def px(source, **wish):
    """The size of what is given, or the name of the error."""
    try:
        region, _ = source.getRegion(format=TILE_FORMAT_NUMPY, **wish)
    except ValueError as error:
        return type(error).__name__
    return f"{region.shape[1]} × {region.shape[0]}"


def tiles(source):
    size = {"width": 256, "height": 256}
    wish = {"scale": {"magnification": 10}, "tile_size": size, "format": TILE_FORMAT_NUMPY}
    count = sum(1 for _ in source.tileIterator(**wish))
    return f"{count} tile{'s' * (count > 1)}"


WISHES = {
    "magnification 10": {"scale": {"magnification": 10}},
    "1 µm/px": {"scale": {"mm_x": 0.001, "mm_y": 0.001}},
    "magnification 11, exact": {"scale": {"magnification": 11, "exact": True}},
    "mpp 1 (no such key)": {"scale": {"mpp": 1}},
    "100 × 100 µm as a region": {"region": {"left": 0, "top": 0, "width": 100, "height": 100, "units": "micron"}},
}
known, bare = (large_image_source_openslide.open(name) for name in ("with.tif", "without.tif"))
assert known.getMetadata()["magnification"] == 40
assert bare.getMetadata()["magnification"] is bare.getMetadata()["mm_x"] is None
seen = {name: (px(known, **wish), px(bare, **wish)) for name, wish in WISHES.items()}
seen["tiles at magnification 10"] = tiles(known), tiles(bare)
print(f"{'scale asked for':37} {'0.25 µm/px recorded':21} nothing recorded")
for name, (one, other) in seen.items():
    print(f"{name:37} {one:21} {other}")
assert seen == {
    "magnification 10": ("256 × 256", "1024 × 1024"),
    "1 µm/px": ("256 × 256", "1024 × 1024"),
    "magnification 11, exact": ("0 × 0", "1024 × 1024"),
    "mpp 1 (no such key)": ("1024 × 1024", "1024 × 1024"),
    "100 × 100 µm as a region": ("400 × 400", "ValueError"),
    "tiles at magnification 10": ("1 tile", "16 tiles"),
}, seen
PY
