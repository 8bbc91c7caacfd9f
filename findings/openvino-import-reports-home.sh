#!/usr/bin/env bash
# `import openvino` alone (2026.4.1) writes a client id below the home folder and tries to report to its maker's analytics.
#
# The package brings openvino-telemetry with it, and importing openvino imports its model converter, which sends an
# event "import" at once: no function was called, no model converted, and no question was asked. A file
# intel/openvino_ga_cid and a folder of statistics appear in the home folder. Where the module openvino_telemetry
# cannot be imported, OpenVINO takes a stub instead and is silent, and works as before.
#
# Seen with openvino 2026.4.1, openvino-telemetry 2025.2.0 (files below an empty HOME after the import):
#   plain: intel/openvino_ga_cid
#   openvino_telemetry hidden: none
# (further files of intel/ that come and go are not counted; the network is not needed for this.)
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 openvino-telemetry==2025.2.0 numpy==2.2.6
left() { # the client id that one import leaves below an empty home; the argument is run first
  local home
  home=$(mktemp -d -p "$place")
  env -u CI HOME="$home" "$place/venv/bin/python" -c "$1; import openvino; openvino.Core()" >&2
  (cd "$home" && find . -type f -name '*cid*' | sed 's#^\./##' | sort)
}
plain=$(left 'import sys')
hidden=$(left 'import sys; sys.modules["openvino_telemetry"] = None')
printf 'plain: %s\nopenvino_telemetry hidden: %s\n' "${plain:-none}" "${hidden:-none}"
[ "$plain" = "intel/openvino_ga_cid" ]
[ -z "$hidden" ]
