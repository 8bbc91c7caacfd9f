#!/usr/bin/env bash
# slideio makes a smaller block of the middle px alone: 4 of 64 at an eighth of the size, one of 9 at a third.
#
# `scene.read_block(rect, size)` is the way to read a slide at the resolution one needs. One expects each px to be the
# mean of what it covers, and at half the size, where most would try it, it is. At smaller sizes slideio takes the
# nearest finer level and from it only the two by two px in the middle of each cell, or the one in the middle where
# the factor is odd; the rest is never looked at. Noise is not averaged away and thin lines vanish or stand out:
# the texture is not that of the slide's own levels nor of OpenSlide's thumbnails, and `read_block` has no setting for
# it. It shows on slides of one level, and at a third where levels lie four apart: a model is given other tiles than
# those that another reader cuts at the same µm/px.
#
# Seen with slideio 2.10.0, tifffile 2025.5.10, numpy 2.2.6 (noise of one level; SD of the px):
#   factor 2: SD 37.0, of means 37.0, equal to the means
#   factor 3: SD 74.0, of means 24.6, equal to the middle px
#   factor 4: SD 37.1, of means 18.5, equal to the means of the middle 2 × 2
#   factor 8: SD 37.0, of means 9.3, equal to the means of the middle 2 × 2
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check slideio==2.10.0 tifffile==2025.5.10 numpy==2.2.6
cd "$place"
venv/bin/python - <<'PY'
import numpy as np
import slideio
import tifffile

SIDE = 960
noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
description = "Aperio Image Library v11.2.1\n960x960 (240x240)|AppMag = 40|MPP = 0.25"
with tifffile.TiffWriter("slide.svs") as writer:
    writer.write(noise, tile=(240, 240), photometric="rgb", description=description, metadata=None)
    writer.write(noise[::8, ::8].copy(), photometric="rgb", description="thumbnail", metadata=None, rowsperstrip=16)

scene = slideio.open_slide("slide.svs", "SVS").get_scene(0)
assert np.array_equal(scene.read_block((0, 0, SIDE, SIDE)), noise)
seen = {}
for factor in (2, 3, 4, 8):
    count = SIDE // factor
    block = scene.read_block((0, 0, SIDE, SIDE), size=(count, count)).astype(float)
    cells = noise.reshape(count, factor, count, factor, 3)
    middle = slice((factor - 1) // 2, factor // 2 + 1)
    taken = "the middle px" if factor % 2 else "the means of the middle 2 × 2"
    ways = {"the means": cells.mean(axis=(1, 3)), taken: cells[:, middle][..., middle, :].mean(axis=(1, 3))}
    seen[factor] = next((name for name, values in ways.items() if np.abs(block - values).max() <= 0.5), "neither")
    print(f"factor {factor}: SD {block.std():.1f}, of means {ways['the means'].std():.1f}, equal to {seen[factor]}")
assert seen == {
    2: "the means",
    3: "the middle px",
    4: "the means of the middle 2 × 2",
    8: "the means of the middle 2 × 2",
}, seen
PY
