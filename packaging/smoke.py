"""Runs the whole workflow of an installed hviskd on synthetic slides, small, from an empty folder; any failure ends it.

`try_wheels.py` runs it with the Python of a fresh environment. It needs nothing but the installation.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SYNTH = "--patients 6 --width-px 800 --height-px 600 --mpp 1"
CUT = "--masks cohort/masks --legend ivygap-paper --patients cohort/patients.csv --tile-px 64 --mpp 1 --purity 0.75"
STEPS = (
    f"synth -o cohort {SYNTH}",
    "slides info cohort/slides",
    f"tiles cut cohort/slides {CUT} --cap 16 -o tiles",
    "tiles split tiles --by patient --val 0.2 --test 0.3",
    "tiles info tiles",
    "train tiles -o runs/teacher --recipe demo --epochs 1",
    "distill tiles -o runs/student --recipe demo --teacher runs/teacher --epochs 1 --allow-weak-teacher",
    "evaluate runs/student runs/teacher --tiles tiles --replicates 100 -o evaluation",
    "segment cohort/slides/P01-1.svs -m runs/student -o maps",
    "predict runs/student tiles --split test -o test.parquet",
    "export runs/student --to onnx -o student.onnx",
    "report runs evaluation maps -o report.html",
)
LEFT = (
    "tiles/contact-sheet.png",
    "evaluation/table.md",
    "maps/slides.csv",
    "test.parquet",
    "student.onnx",
    "report.html",
)


def main() -> None:
    """Run every step; the first that fails is named."""
    command = shutil.which("hviskd", path=str(Path(sys.executable).parent))
    if command is None:
        sys.exit("the installation brought no command `hviskd`")
    with tempfile.TemporaryDirectory() as work:
        for step in STEPS:
            _call(command, *step.split(), work=work)
        missing = [name for name in LEFT if not (Path(work) / name).is_file()]
        found = json.loads(_call(command, "doctor", "--json", work=work))
        where = _call(sys.executable, "-c", "import hviskd; print(hviskd.__file__)", work=work).strip()
    if missing:
        sys.exit(f"not written: {', '.join(missing)}")
    if not Path(where).is_relative_to(sys.prefix):
        sys.exit(f"{where}: not the installed package")
    print(f"{len(STEPS)} steps with Python {sys.version.split()[0]}, torch {_version(found, 'torch')}: {where}")


def _call(*command: str, work: str) -> str:
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _version(found: dict[str, object], name: str) -> str:
    libraries = found["libraries"]
    assert isinstance(libraries, list)
    return next(each["version"] for each in libraries if each["name"] == name)


if __name__ == "__main__":
    main()
