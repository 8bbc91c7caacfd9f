"""What a folder of maps holds, but for the times: equal for equal slides, Models and settings, wherever it was made."""

import json
import re

import numpy as np
import pyarrow.parquet as pq


def content_of(maps, *names):
    """Give the content of the folders of a cohort's slides by file, with nothing in it that tells a time."""
    return {f"{name}/{path.name}": _timeless(path) for name in names for path in sorted((maps / name).iterdir())}


def _timeless(path):
    if path.name == "summary.json":
        summary = json.loads(path.read_text())
        del summary["seconds"], summary["map"]["created"]
        return summary
    if path.name == "map.npz":
        with np.load(path) as arrays:
            card = json.loads(bytes(arrays["card"]))
            del card["created"]
            return card, {name: arrays[name].tobytes() for name in arrays.files if name != "card"}
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pydict()
    return re.sub(rb"urn:uuid:[0-9a-f-]{36}", b"", path.read_bytes())  # which OME-TIFFs make of the time
