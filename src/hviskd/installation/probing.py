"""Tries libraries and engines in other processes, whose crash costs a line and not this process.

`python -m hviskd.installation.probing import|engines FILE NAME...` is the other process: it writes one line of JSON
per name to FILE as soon as it knows it, so that what came before a crash is kept.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

_LONGEST_REASON = 160


def probe(what: str, names: Sequence[str], seconds: float) -> dict[str, dict[str, Any]]:
    """Return what was found of each name, `problem` among it: None, or why it cannot be used.

    A name at which the process ends, or that takes longer than the time for all, has that as its problem; the others
    are tried in a new process.

    Args:
        what: `import`, for modules, or `engines`.
        names: Of modules or engines.
        seconds: For each process.
    """
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.jsonl"
        while left := [name for name in names if name not in found]:
            file.write_text("", encoding="utf-8")
            ended = _run([what, str(file), *left], Path(folder), seconds)
            for line in file.read_text(encoding="utf-8").splitlines():
                told = json.loads(line)
                found[told.pop("name")] = told
            unknown = next((name for name in left if name not in found), None)
            if unknown is not None:
                found[unknown] = {"problem": ended}
    return found


def _run(words: Sequence[str], folder: Path, seconds: float) -> str:
    """Run the other process, and say how it ended."""
    command = [sys.executable, "-P", "-m", __name__, *words]
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    # The user's cache stays as it is: what is converted for a check is thrown away.
    environment = os.environ | {"PYTHONPATH": paths, "HVISKD_CACHE": str(folder / "cache")}
    none = subprocess.DEVNULL
    try:
        ended = subprocess.run(  # noqa: S603 - of our own words
            command, env=environment, timeout=seconds, check=False, stdin=none, stdout=none, stderr=none
        )
    except subprocess.TimeoutExpired:
        return f"not finished after {seconds:g} s"
    return f"ends the process (status {ended.returncode})"


def reason(error: BaseException) -> str:
    """Return why something failed, in one line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:_LONGEST_REASON] if words else type(error).__name__


def _try_import(name: str) -> dict[str, Any]:
    import_module(name)
    return {"gpu": _gpu()} if name == "torch" else {}


def _gpu() -> str | None:
    """Return the name of the GPU that torch uses."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "Apple's, by Metal" if torch.backends.mps.is_available() else None


def _try_engine(name: str) -> dict[str, Any]:
    """Run a small network with drawn weights by an engine, which `open_engine` compares with torch."""
    import torch

    from hviskd.models import NetworkChoice, save_model
    from hviskd.models.card import untrained_card
    from hviskd.models.engines import open_engine

    torch.manual_seed(0)
    choice = NetworkChoice(name="resnet8")
    network, tile_px, classes = choice.build(2, 32), 32, ("a", "b")
    with tempfile.TemporaryDirectory() as folder:
        model = save_model(network, untrained_card(choice.settled(network), classes, tile_px), Path(folder) / "model")
        engine = open_engine(model, name, precision="float32", device="cpu")
    return {"stated": str(engine), "largest_difference": engine.largest_difference}


_TRIALS: Mapping[str, Callable[[str], dict[str, Any]]] = {"import": _try_import, "engines": _try_engine}


def main(words: Sequence[str]) -> None:
    """Try each name, and write what was found."""
    what, file, *names = words
    with Path(file).open("a", encoding="utf-8") as stream:
        for name in names:
            try:
                told = {"problem": None} | _TRIALS[what](name)
            except BaseException as error:  # noqa: BLE001 - whatever a broken library raises is what is asked for
                told = {"problem": reason(error)}
            stream.write(json.dumps({"name": name} | told) + "\n")
            stream.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
