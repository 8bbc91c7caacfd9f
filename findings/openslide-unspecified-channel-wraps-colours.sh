#!/usr/bin/env bash
# OpenSlide takes an unspecified fourth channel of a tiled RGB TIFF for alpha, and bright colours wrap round to dark ones.
#
# TIFF lets a pixel have samples beyond red, green and blue and say what they are (tag ExtraSamples); 0 stands for
# "unspecified", as for a fluorescence or an empty channel. One would expect the channel to be left out, or the file to
# be refused. It is read as alpha with which the colours were multiplied already; where a colour is larger than that
# alpha, dividing it again runs over 255 and starts from 0. Grey of 200 beside a fourth channel of 128 is read as 142,
# of 120 beside 128 as 239; no error, no warning, and the picture looks like an odd stain.
#
# Seen with openslide-python 1.4.3, openslide-bin 4.0.1.2, tifffile 2025.5.10 (grey, fourth channel → what is read):
#   unspecified: 200, 128 -> (142, 142, 142, 128)
#   unspecified: 120, 128 -> (239, 239, 239, 128)
#   unspecified: 200, 255 -> (200, 200, 200, 255)
#   unassociated alpha: 200, 128 -> (199, 199, 199, 128)
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

seen = {}
for kind, grey, fourth in (
    ("unspecified", 200, 128),
    ("unspecified", 120, 128),
    ("unspecified", 200, 255),
    ("unassalpha", 200, 128),
):
    picture = np.full((512, 512, 4), grey, np.uint8)
    picture[..., 3] = fourth
    with tifffile.TiffWriter("slide.tif") as writer:
        writer.write(picture, tile=(256, 256), photometric="rgb", extrasamples=[kind], metadata=None)
    with openslide.OpenSlide("slide.tif") as slide:
        seen[kind, grey, fourth] = slide.read_region((0, 0), 0, (1, 1)).getpixel((0, 0))
    name = "unassociated alpha" if kind == "unassalpha" else kind
    print(f"{name}: {grey}, {fourth} -> {seen[kind, grey, fourth]}")
assert seen == {
    ("unspecified", 200, 128): (142, 142, 142, 128),
    ("unspecified", 120, 128): (239, 239, 239, 128),
    ("unspecified", 200, 255): (200, 200, 200, 255),
    ("unassalpha", 200, 128): (199, 199, 199, 128),
}, seen
PY
