#!/usr/bin/env bash
# A slide written by tifffile with an Aperio description is no Aperio slide for OpenSlide, unless metadata=None is given.
#
# tifffile adds a second ImageDescription (its own JSON of the array's shape) to a page that is given a description.
# The file's first description still begins "Aperio Image Library", and other readers show it; OpenSlide 4.0.1 then
# takes the file as generic-tiff: the vendor, the µm/px and the power are gone, with no error, and a tool that needs
# µm/px says that the slide records none.
#
# Seen with openslide-python 1.4.3, openslide-bin 4.0.1.2, tifffile 2025.5.10:
#   default metadata: generic-tiff, mpp None, 2 descriptions
#   metadata=None: aperio, mpp 0.5, 1 descriptions
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

picture = np.full((512, 512, 3), 200, np.uint8)
description = "Aperio Image Library v11.2.1\n512x512|AppMag = 20|MPP = 0.5"
found = {}
for name, extra in (("default metadata", {}), ("metadata=None", {"metadata": None})):
    with tifffile.TiffWriter("slide.svs") as writer:
        writer.write(picture, tile=(256, 256), photometric="rgb", description=description, **extra)
    with tifffile.TiffFile("slide.svs") as tiff:
        descriptions = [tag.value for tag in tiff.pages[0].tags if tag.code == 270]
    assert descriptions[0] == description, descriptions
    with openslide.OpenSlide("slide.svs") as slide:
        vendor = openslide.OpenSlide.detect_format("slide.svs")
        found[name] = (vendor, slide.properties.get("openslide.mpp-x"), len(descriptions))
    print(f"{name}: {vendor}, mpp {found[name][1]}, {len(descriptions)} descriptions")
assert found == {"default metadata": ("generic-tiff", None, 2), "metadata=None": ("aperio", "0.5", 1)}, found
PY
