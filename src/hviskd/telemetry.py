"""Switches off the telemetry of our dependencies; importing `hviskd` calls it before any of them is imported.

ONNX Runtime (from 1.32 on, Linux) writes a device id and looks up its vendor's host when a session is made; importing
OpenVINO alone sends an event and writes a client id, unless its telemetry package is missing. See `findings/`.
"""

import os
import sys


def switch_off() -> None:
    """Switch off every telemetry that is known, for this process and what it starts; a user's own setting stands."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it fails; OpenVINO does without


def is_off() -> bool:
    """Return whether every telemetry that is known is off in this process."""
    loaded = sys.modules.get("openvino_telemetry", sys)
    return os.environ.get("ORT_DISABLE_TELEMETRY") not in (None, "", "0") and loaded is None
