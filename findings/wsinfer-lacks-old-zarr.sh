#!/usr/bin/env bash
# WSInfer as pip installs it today cannot be imported: it needs zarr 2, and asks for none.
#
# `pip install wsinfer` is its documentation's first step, and takes the newest of all that it requires: tiffslide 3 and
# with it zarr 3. But WSInfer's `__init__` patches `zarr.storage.KVStore` before anything else, for slides in TIFF, and
# that class went with zarr 3; whoever reads with OpenSlide alone meets the same ImportError. Add `zarr<3` and, since
# later ones take zarr 3 alone, `tiffslide<3`. (Then the command still asks a server for a list of models as it is
# imported, also for `--help` and for a model in files of one's own.)
#
# Seen with wsinfer 0.6.1 (none of its other requirements is needed for this):
#   zarr 3.1.6: cannot import name 'KVStore' from 'zarr.storage'
#   zarr 2.18.7: imported
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
pip() { # it complains of the requirements that are left out
  "$place/venv/bin/pip" install --quiet --disable-pip-version-check "$@" 2>"$place/said" || { cat "$place/said" >&2; exit 1; }
}
pip --no-deps wsinfer==0.6.1
tried() { # what importing it says; the argument is the version of zarr
  pip "zarr==$1" numpy==2.2.6
  (cd "$place" && venv/bin/python - <<'PY'
try:
    import wsinfer
except ImportError as error:
    print(str(error).partition(" (")[0])
else:
    print("imported")
PY
  )
}
new=$(tried 3.1.6)
old=$(tried 2.18.7)
printf 'zarr 3.1.6: %s\nzarr 2.18.7: %s\n' "$new" "$old"
[ "$new" = "cannot import name 'KVStore' from 'zarr.storage'" ]
[ "$old" = "imported" ]
