#!/usr/bin/env bash
# An outline of 100 px² fills 121 px with Pillow and OpenCV, whatever is done about half px, and 121 or 100 with skimage.
#
# Annotation programs give outlines in px whose corner is at a whole number: a square from 5 to 15 has 10 × 10 px. COCO's
# own tools fill 100 px. `ImageDraw.polygon` and `cv2.fillPoly` paint every px that the border touches too, so a nucleus
# 10 px wide grows by a fifth, and touching outlines take each other's border; shifting the outline by half a px does not
# help. `skimage.draw.polygon` takes whole numbers for the centres of px: 121 for the outline as it is written, and 100
# after half a px has been taken off, which shapely's test of the centres gives without.
#
# Seen with pillow 12.0.0, opencv-python-headless 4.12.0.88, scikit-image 0.26.0, pycocotools 2.0.11, shapely 2.1.2:
#   square from 5 to 15: pillow 121, opencv 121, skimage 121, coco 100, centres 100
#   less half a px:      pillow 121, opencv 121, skimage 100
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check pillow==12.0.0 opencv-python-headless==4.12.0.88 \
  scikit-image==0.26.0 pycocotools==2.0.11 shapely==2.1.2 numpy==2.2.6
cd "$place"
venv/bin/python - <<'PY'
import cv2
import numpy as np
import shapely
import skimage.draw
from PIL import Image, ImageDraw
from pycocotools import mask

SIDE = 20
SQUARE = np.array([(5, 5), (15, 5), (15, 15), (5, 15)], float)


def by_pillow(points):
    image = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(image).polygon([tuple(point) for point in points], fill=1)
    return np.asarray(image)


def by_opencv(points):
    """With its own fixed point, four bits behind the whole px, so that nothing is rounded before."""
    return cv2.fillPoly(np.zeros((SIDE, SIDE), np.uint8), [np.round(points * 16).astype(np.int32)], 1, shift=4)


def by_skimage(points):
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[skimage.draw.polygon(points[:, 1], points[:, 0], image.shape)] = 1
    return image


def by_coco(points):
    return mask.decode(mask.frPyObjects([points.ravel().tolist()], SIDE, SIDE))


def by_centres(points):
    x, y = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    return shapely.contains_xy(shapely.Polygon(points), x, y)


PAINTERS = {"pillow": by_pillow, "opencv": by_opencv, "skimage": by_skimage, "coco": by_coco, "centres": by_centres}
assert shapely.Polygon(SQUARE).area == 100
written = {name: int(paint(SQUARE).sum()) for name, paint in PAINTERS.items()}
shifted = {name: int(PAINTERS[name](SQUARE - 0.5).sum()) for name in ("pillow", "opencv", "skimage")}
for text, found in (("square from 5 to 15:", written), ("less half a px:     ", shifted)):
    print(text, ", ".join(f"{name} {px}" for name, px in found.items()))
assert written == {"pillow": 121, "opencv": 121, "skimage": 121, "coco": 100, "centres": 100}, written
assert shifted == {"pillow": 121, "opencv": 121, "skimage": 100}, shifted
PY
