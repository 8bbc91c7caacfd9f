#!/usr/bin/env bash
# torchstain's Macenko paints empty glass in the darkest purple where less than 1 % of a tile is tissue.
#
# One expects glass to stay bright, and tissue darker than glass, however little there is. `normalize` divides each
# stain by its 99th percentile over all px of the tile, glass included. Below 1 % of tissue that percentile is the glass
# itself, so every px of glass gets the full amount of both stains: for grey 230, and for 255, whose amounts are
# negative, as their percentile is. The tissue may come out brighter than the glass. Just above 1 % it turns black.
# Nothing is said; the PyTorch backend does the same. Tiles at the edge of tissue are such tiles, and a network is shown
# a sheet of nuclei. Take the amounts, as the colours, from the tissue of the whole slide.
#
# Seen with torchstain 1.4.1 (NumPy backend), numpy 2.2.6 (64 × 64 px; means of the tissue, all else is glass):
#   tissue 0.5 %, glass 230: glass -> (68, 21, 51), tissue 103 -> 227
#   tissue 0.5 %, glass 255: glass -> (68, 21, 51), tissue 101 -> 56
#   tissue 1.2 %, glass 230: glass -> (201, 193, 213), tissue 104 -> 5
#   tissue  20 %, glass 230: glass -> (231, 228, 233), tissue 105 -> 97
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check torchstain==1.4.1 numpy==2.2.6
cd "$place"
venv/bin/python - <<'PY'
import numpy as np
import torchstain

SIDE = 64
COLOURS = np.array([(0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581)])  # haematoxylin and eosin, as torchstain's own
rng = np.random.default_rng(0)


def stained(count):
    """Colours of tissue with different amounts of both stains."""
    return (240 * np.exp(-rng.uniform(0.3, 1.3, (count, 2)) @ COLOURS)).astype(np.uint8)


normalizer = torchstain.normalizers.MacenkoNormalizer(backend="numpy")
normalizer.fit(stained(SIDE * SIDE).reshape(SIDE, SIDE, 3))
seen = {}
for percent, glass in ((0.5, 230), (0.5, 255), (1.2, 230), (20, 230)):
    count = round(percent / 100 * SIDE * SIDE)
    tile = np.full((SIDE * SIDE, 3), glass, np.uint8)
    tile[:count] = stained(count)
    result, _, _ = normalizer.normalize(tile.reshape(SIDE, SIDE, 3), stains=False)
    result = result.reshape(-1, 3)
    assert (result[count:] == result[-1]).all()
    found = tuple(result[-1].tolist())
    before, after = round(tile[:count].mean()), round(result[:count].mean())
    seen[percent, glass] = np.mean(found), before, after
    print(f"tissue {percent:3} %, glass {glass}: glass -> {found}, tissue {before} -> {after}")
for glass in (230, 255):
    grey, before, _ = seen[0.5, glass]
    assert grey < 80 < before < glass, seen
grey, before, after = seen[1.2, 230]
assert grey > 200 and after < before / 2, seen
grey, before, after = seen[20, 230]
assert grey > 220 and abs(after - before) < 20, seen
PY
