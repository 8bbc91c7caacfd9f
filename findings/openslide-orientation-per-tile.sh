#!/usr/bin/env bash
# OpenSlide 4.0.1 applies the Orientation tag of a tiled TIFF to each tile, in the tile's own place.
#
# A tiled TIFF may say with tag 274 how the picture is to be turned (TIFF 6.0, section 8). One would expect a reader to
# ignore the tag or to turn the picture. OpenSlide takes the file as generic-tiff, keeps every tile where it is stored
# and turns the px inside it: the picture becomes a mosaic. 3 turns a tile by 180°; 8 mirrors it upside down, as 4
# does; and 6 mirrors it left to right, as 2 does, although 6 and 8 stand for quarter turns. No warning is given.
#
# Seen with openslide-python 1.4.3, openslide-bin 4.0.1.2, tifffile 2025.5.10:
#   orientation 1: tiles as stored
#   orientation 2: each tile mirrored left to right
#   orientation 3: each tile turned by 180 degrees
#   orientation 4: each tile mirrored upside down
#   orientation 6: each tile mirrored left to right
#   orientation 8: each tile mirrored upside down
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check \
  openslide-python==1.4.3 openslide-bin==4.0.1.2 tifffile==2025.5.10 imagecodecs==2025.3.30 numpy==2.2.6 pillow==11.3.0
cd "$place"
venv/bin/python - <<'PY'
import numpy as np
import openslide
import tifffile

SIDE, TILE = 512, 256
picture = np.zeros((SIDE, SIDE, 3), np.uint8)
picture[..., 0] = np.arange(SIDE)[None, :] // 2
picture[..., 1] = np.arange(SIDE)[:, None] // 2

turns = {
    "as stored": lambda tile: tile,
    "mirrored left to right": lambda tile: tile[:, ::-1],
    "turned by 180 degrees": lambda tile: tile[::-1, ::-1],
    "mirrored upside down": lambda tile: tile[::-1],
}
expected = {
    1: "as stored",
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored upside down",
    6: "mirrored left to right",
    8: "mirrored upside down",
}
for orientation, told in expected.items():
    with tifffile.TiffWriter("turned.tif") as writer:
        tag = (274, 3, 1, orientation, True)
        writer.write(picture, tile=(TILE, TILE), photometric="rgb", metadata=None, extratags=[tag])
    with openslide.OpenSlide("turned.tif") as slide:
        read = np.array(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    found = []
    for name, turn in turns.items():
        mosaic = np.empty_like(picture)
        for y in range(0, SIDE, TILE):
            for x in range(0, SIDE, TILE):
                mosaic[y : y + TILE, x : x + TILE] = turn(picture[y : y + TILE, x : x + TILE])
        found += [name] if np.array_equal(mosaic, read) else []
    print(f"orientation {orientation}: {'tiles' if orientation == 1 else 'each tile'} {', '.join(found) or 'otherwise'}")
    assert found == [told], (orientation, found)
PY
