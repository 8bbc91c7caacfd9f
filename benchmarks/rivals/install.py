"""Installs the programs that `run.py` compares with, each in a virtual environment of its own.

    python benchmarks/rivals/install.py FOLDER [wsinfer lazyslide tiatoolbox] [-c constraints/ci.txt]

The environments take some gigabytes; FOLDER should lie outside the repository, and can be deleted afterwards. Without
a constraint pip takes the newest torch, on Linux with CUDA.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# Reads what a distribution that is installed requires, less its extras and what is left out: names, then the rest.
REQUIRED = """
import sys
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement
name, *without = sys.argv[1:]
for one in map(Requirement, requires(name)):
    if one.name not in without and (one.marker is None or one.marker.evaluate({"extra": ""})):
        print(f"{one.name}{one.specifier}")
"""


@dataclass(frozen=True)
class Rival:
    """How to install a program.

    Attributes:
        package: What a user of it types.
        also: What must be added before it runs with today's versions of what it needs.
        without: What it requires and is not asked for in the versions that it names.
        instead: What is asked for instead.
    """

    package: str
    also: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()


RIVALS = {
    # It needs zarr's `KVStore`, which went with zarr 3, and a tiffslide that takes such a zarr; OpenSlide is optional.
    "wsinfer": Rival("wsinfer[openslide]==0.6.1", also=("openslide-bin", "zarr<3", "tiffslide<3")),
    "lazyslide": Rival("lazyslide==0.13.0"),
    # It excludes torch 2.13, with which it runs; the others are for its viewer, notebooks and documentation alone.
    "tiatoolbox": Rival(
        "tiatoolbox==2.1.3",
        without=("torch", "torchvision", "bokeh", "flask", "flask-cors", "ipywidgets", "jupyterlab", "s3fs", "sphinx"),
        also=("psutil",),  # which it imports, asks for nowhere, and has by way of JupyterLab
        instead=("torch", "torchvision"),
    ),
}


def main() -> None:
    """Install what is asked for, and say what each environment takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rivals", nargs="*", default=list(RIVALS), metavar="rival", help="one of " + ", ".join(RIVALS))
    parser.add_argument("-c", "--constraint", type=Path, help="constraints for pip")
    options = parser.parse_args()
    for rival in options.rivals:
        began = time.perf_counter()
        environment = options.folder / rival
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        install(RIVALS[rival], environment / "bin" / "python", options.constraint)
        used = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file() and not path.is_symlink())
        packages = len(list(environment.glob("lib/*/site-packages/*.dist-info")))
        seconds = time.perf_counter() - began
        print(f"{rival}: {packages} packages, {used / 1e9:.1f} GB, {seconds:.0f} s", flush=True)


def install(rival: Rival, python: Path, constraint: Path | None) -> None:
    """Install one program into an environment."""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    limits = ["-c", str(constraint)] if constraint else []
    packages = [rival.package, *rival.also]
    if rival.without:
        subprocess.run([*pip, "--no-deps", rival.package], check=True)
        asked = [str(python), "-c", REQUIRED, rival.package.partition("==")[0], *rival.without]
        required = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")
        packages = [*filter(None, required), *rival.also, *rival.instead]
    subprocess.run([*pip, *limits, *packages], check=True)


if __name__ == "__main__":
    main()
