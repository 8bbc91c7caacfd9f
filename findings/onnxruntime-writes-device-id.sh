#!/usr/bin/env bash
# onnxruntime 1.32.0 on Linux writes a device id and a database into the user's cache when a session is made.
#
# The Linux wheels had no telemetry for years, and `onnxruntime.disable_telemetry_events()` is documented as the way to
# switch it off. From 1.32 on, making an InferenceSession on a CPU leaves two files in the cache folder, and calling
# that function first changes nothing. Only ORT_DISABLE_TELEMETRY=1, set before the import, keeps them away. A program
# that promises to write nowhere but where it is told must set it itself.
#
# Seen with onnxruntime 1.32.0, onnx 1.19.0 (files below an empty HOME after one inference):
#   plain: Microsoft/DeveloperTools/.onnxruntime/deviceid, Microsoft/DeveloperTools/.onnxruntime/onnxruntime.db
#   disable_telemetry_events(): the same two
#   ORT_DISABLE_TELEMETRY=1: none
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.19.0 numpy==2.2.6
cat > "$place/infer.py" <<'PY'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
if "disable" in sys.argv:
    onnxruntime.disable_telemetry_events()
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {"x": np.array([-1.0], np.float32)})[0].tolist() == [0.0]
PY
left() { # the files that one inference leaves below an empty home: NAME=VALUE ..., then the script's arguments
  local home
  home=$(mktemp -d -p "$place")
  env HOME="$home" XDG_CACHE_HOME="$home/cache" "$1" "$place/venv/bin/python" "$place/infer.py" "${@:2}"
  (cd "$home" && find . -type f | sed 's#.*/Microsoft/#Microsoft/#' | sort)
}
plain=$(left NOTHING=1)
disabled=$(left NOTHING=1 disable)
switched=$(left ORT_DISABLE_TELEMETRY=1)
printf 'plain:\n%s\ndisable_telemetry_events():\n%s\nORT_DISABLE_TELEMETRY=1:\n%s\n' "$plain" "$disabled" "${switched:-none}"
folder=Microsoft/DeveloperTools/.onnxruntime
[ "$plain" = "$(printf '%s\n%s' "$folder/deviceid" "$folder/onnxruntime.db")" ]
[ "$disabled" = "$plain" ]
[ -z "$switched" ]
