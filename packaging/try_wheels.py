"""Builds wheel and source archive twice, compares them byte by byte, and tries the wheel with each Python.

    python packaging/try_wheels.py [--extras] [PYTHON ...]     # default: each Python from 3.11 on that is here

The first build is of the checkout, the second of the first one's source archive in another folder: so the archive is
complete, and neither paths nor times get into what is built. Then `smoke.py` runs the workflow with the wheel in a
fresh environment, away from the checkout. It takes minutes and gigabytes, all in a temporary folder; `make wheels`
calls it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONSTRAINTS = ROOT / "constraints" / "ci.txt"
LEAST = (3, 11)
EXTRAS = ("dask", "dicom", "openvino", "tensorboard", "timm", "viewer")


def main() -> None:
    """Build, compare, and try; print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", help="Python programs to try the wheel with")
    parser.add_argument(
        "--extras", action="store_true", help="also measure what each extra adds, with the first Python"
    )
    given = parser.parse_args()
    pythons = given.pythons or pythons_here()
    with tempfile.TemporaryDirectory(prefix="hviskd-wheels-") as temporary:
        work = Path(temporary)
        wheel = build_twice(work)
        for number, python in enumerate(pythons):
            home = work / f"env-{number}"
            fresh = try_wheel(wheel, python, home)
            if given.extras and number == 0:
                measure_extras(wheel, home, fresh)
            shutil.rmtree(home)


def pythons_here() -> list[str]:
    """Return one program per minor version from 3.11 on: those in the path, and those of pyenv."""
    places = [Path(place) for place in os.environ.get("PATH", "").split(os.pathsep)]
    places += sorted((Path.home() / ".pyenv" / "versions").glob("*/bin"))
    found: dict[tuple[int, int], str] = {}
    for place in places:
        for program in sorted(place.glob("python3.[0-9]*")):
            minor = program.name.removeprefix("python3.")
            if minor.isdigit() and (3, int(minor)) >= LEAST and _works(program):
                found.setdefault((3, int(minor)), str(program))
    return [found[version] for version in sorted(found)]


def _works(program: Path) -> bool:
    return subprocess.run([program, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0


def build_twice(work: Path) -> Path:
    """Build from the checkout and from its source archive, require equal bytes, and return the wheel."""
    builder = environment(sys.executable, work / "builder")
    pip(builder, "install", "build", "hatchling")
    first = _build(builder, ROOT, work / "first")
    (archive,) = (path for path in first if path.name.endswith(".tar.gz"))
    with tarfile.open(archive) as opened:
        opened.extractall(work / "unpacked", filter="data")
    (tree,) = (work / "unpacked").iterdir()
    for one, other in zip(first, _build(builder, tree, work / "second"), strict=True):
        if one.read_bytes() != other.read_bytes():
            sys.exit(f"{one.name}: the second build differs from the first")
        print(f"{one.name}: {one.stat().st_size / 1e6:.1f} MB, both builds equal", flush=True)
    return next(path for path in first if path.suffix == ".whl")


def _build(builder: Path, tree: Path, output: Path) -> list[Path]:
    """Build wheel and source archive of a tree, with the time of the checkout's last commit as theirs."""
    last = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    epoch = subprocess.run(last, capture_output=True, text=True, check=True).stdout.strip()
    run(builder, "-m", "build", "--no-isolation", "--outdir", output, tree, SOURCE_DATE_EPOCH=epoch)
    return sorted(output.iterdir())


def try_wheel(wheel: Path, python: str, home: Path) -> Path:
    """Install the wheel and its dependencies into a fresh environment, run the workflow, and return its Python."""
    fresh = environment(python, home)
    before = _bytes(home)
    pip(fresh, "install", wheel)
    pip(fresh, "check")
    print(f"{python}: {(_bytes(home) - before) / 1e6:,.0f} MB installed", flush=True)
    run(fresh, ROOT / "packaging" / "smoke.py")
    return fresh


def measure_extras(wheel: Path, home: Path, fresh: Path) -> None:
    """Print what each extra adds to the environment that has the wheel, and remove it again."""
    for extra in EXTRAS:
        before, had = _bytes(home), _installed(fresh)
        pip(fresh, "install", f"{wheel}[{extra}]")
        added = _installed(fresh) - had
        print(f"hviskd[{extra}]: {(_bytes(home) - before) / 1e6:,.0f} MB: {', '.join(sorted(added))}", flush=True)
        pip(fresh, "uninstall", "--yes", *(each.partition("==")[0] for each in added))


def _installed(python: Path) -> set[str]:
    listed = [python, "-m", "pip", "freeze", "--exclude", "hviskd"]
    return set(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\n")) - {""}


def environment(python: str, home: Path) -> Path:
    """Make a virtual environment and return its Python."""
    if python == sys.executable:
        venv.create(home, with_pip=True)
    else:
        subprocess.run([python, "-m", "venv", home], check=True)
    return home / ("Scripts" if os.name == "nt" else "bin") / "python"


def pip(python: Path, *words: object) -> None:
    """Run pip quietly, under the constraints of the tests."""
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words, PIP_CONSTRAINT=str(CONSTRAINTS))


def run(python: Path, *words: object, **more: str) -> None:
    """Run a Python without this checkout in its path; end with its message if it fails."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command: Sequence[str] = [str(python), *map(str, words)]
    done = subprocess.run(command, env=kept | more, cwd=tempfile.gettempdir(), check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}")


def _bytes(place: Path) -> int:
    files = [place] if place.is_file() else place.rglob("*")
    return sum(path.lstat().st_size for path in files if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    main()
