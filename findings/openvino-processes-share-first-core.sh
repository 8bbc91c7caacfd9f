#!/usr/bin/env bash
# Processes that each give OpenVINO (2026.4.1) one thread all compute on the same first core, while others stand idle.
#
# With INFERENCE_NUM_THREADS=1, the way to run several workers side by side, a model compiled for the CPU reports
# ENABLE_CPU_PINNING True though nobody asked for it, and binds the thread that computes to the first CPU that the
# process may use. Every process counts from there and knows nothing of the others, so that two of them on two cores
# take turns on CPU 0: MobileNetV2 took 4.0 ms per tile in each of two processes instead of 1.9 (AMD EPYC, two cores).
# The system's scheduler cannot help, as the binding is an affinity mask. ENABLE_CPU_PINNING False leaves it all CPUs.
#
# Seen with openvino 2026.4.1 (the CPUs that the computing thread may use; two processes at once):
#   default:     process 1: first CPU alone   process 2: first CPU alone
#   pinning off: process 1: all CPUs          process 2: all CPUs
#
# Needs a computer with two CPUs or more. Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 openvino-telemetry==2025.2.0 numpy==2.2.6
cat > "$place/affinity.py" <<'PYTHON'
"""Print which CPUs threads may use while a network of four convolutions runs on one thread."""

import os
import sys
import threading

sys.modules["openvino_telemetry"] = None  # silent

import numpy as np
import openvino
from openvino import opset13 as ops

maps = image = ops.parameter([1, 64, 128, 128], np.float32)
for _ in range(4):
    weights = ops.constant(np.full((64, 64, 3, 3), 0.001, np.float32))
    maps = ops.convolution(maps, weights, [1, 1], [1, 1], [1, 1], [1, 1])
settings = {"INFERENCE_NUM_THREADS": 1} | ({"ENABLE_CPU_PINNING": False} if sys.argv[1] == "off" else {})
compiled = openvino.Core().compile_model(openvino.Model([maps], [image]), "CPU", settings)
request = compiled.create_infer_request()
seen, done = set(), threading.Event()


def look():
    """Note the CPUs of every thread of this process, again and again."""
    while not done.wait(0.002):
        for thread in os.listdir("/proc/self/task"):
            try:
                seen.add(frozenset(os.sched_getaffinity(int(thread))))
            except OSError:  # it has ended
                continue


watch = threading.Thread(target=look)
watch.start()
for _ in range(40):
    request.infer([np.zeros((1, 64, 128, 128), np.float32)])
done.set()
watch.join()
everywhere = frozenset(os.sched_getaffinity(0))
bound = sorted(map(sorted, seen - {everywhere}))
print("all CPUs" if not bound else "first CPU alone" if bound == [[min(everywhere)]] else bound)
PYTHON
both() { # what two processes at once say; the argument is whether threads are bound
  "$place/venv/bin/python" "$place/affinity.py" "$1" > "$place/one" & one=$!
  "$place/venv/bin/python" "$place/affinity.py" "$1" > "$place/two"
  wait "$one"
  printf 'process 1: %s; process 2: %s\n' "$(cat "$place/one")" "$(cat "$place/two")"
}
default=$(both default)
off=$(both off)
printf 'default: %s\npinning off: %s\n' "$default" "$off"
[ "$default" = "process 1: first CPU alone; process 2: first CPU alone" ]
[ "$off" = "process 1: all CPUs; process 2: all CPUs" ]
