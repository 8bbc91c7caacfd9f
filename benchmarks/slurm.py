"""Whether a real SLURM, and a Dask cluster of processes, give the files of one process, byte for byte but for times.

Starts munged, slurmctld and slurmd of this computer alone, in a folder of its own, and submits the array script that
stands in docs/cluster.md, with fewer parts; then a Dask cluster whose workers are jobs of that SLURM, asked for by
dask-jobqueue as on the page, and one of two processes. All map the same synthetic cohort with all files, and every file
is compared as the tests do it. Needs root, Debian's slurm-wlm and munge, and the package dask-jobqueue.

    python benchmarks/slurm.py -o benchmarks/results/slurm.md
"""

import argparse
import os
import platform
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for the tests' comparison of files
PARTS, CLASSES = 3, ("CT", "CTmvp", "LE")
CONFIGURATION = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={work}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmUser=root
SlurmdUser=root
SlurmctldPidFile={work}/slurmctld.pid
SlurmdPidFile={work}/slurmd.pid
SlurmctldLogFile={work}/slurmctld.log
SlurmdLogFile={work}/slurmd.log
SlurmdSpoolDir={work}/spool
StateSaveLocation={work}/state
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={mb} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def main() -> None:
    """Map the cohort in every way, compare the files, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=4)
    parser.add_argument("-o", "--output", type=Path, help="also write it here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        slides = prepare(work, options.patients)
        os.environ["HVISKD_CACHE"] = str(work / "cache")
        hviskd(work, "segment", "slides/", "-r", "-m", "student", "-o", "one", "--threads", "1")
        told = {}
        with started_slurm(work):
            told[f"a SLURM array of {PARTS} jobs, the page's script"] = array(work)
            told["Dask workers that are jobs of SLURM, by dask-jobqueue"] = jobqueue(work)
        hviskd(work, "segment", "slides/", "-r", "-m", "student", "-o", "dask", "--scheduler", "local:2")
        told["a Dask cluster of two processes"] = work / "dask"
        lines = [compared(work / "one", maps, slides, way) for way, maps in told.items()]
        version = subprocess.run(
            ["/usr/bin/env", "slurmctld", "-V"], capture_output=True, text=True, check=True
        ).stdout.strip()
    report = "\n".join([*head(version, slides), *lines, ""])
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")
    if any("none" not in line for line in lines):
        raise SystemExit("files differ")


def prepare(work: Path, patients: int) -> list[str]:
    """Draw the cohort and a Model with random weights; return the slides' names."""
    import torch

    from hviskd.models import NetworkChoice, save_model
    from hviskd.models.card import untrained_card
    from hviskd.networks import create_network
    from hviskd.synthesis import CohortSettings, draw_cohort

    draw_cohort(work / "cohort", CohortSettings(patients=patients, width_px=1200, height_px=900), workers=1)
    shutil.move(work / "cohort" / "slides", work / "slides")
    torch.manual_seed(0)
    card = untrained_card(NetworkChoice(name="resnet8"), CLASSES, 64, 0.5)
    save_model(create_network("resnet8", len(CLASSES)), card, work / "student")
    # What jobs find first on their path, as where hviskd is installed.
    (work / "bin").mkdir()
    (work / "bin" / "hviskd").write_text(f'#!/bin/sh\nexec {sys.executable} -m hviskd "$@"\n')
    (work / "bin" / "hviskd").chmod(0o755)
    os.environ["PATH"] = f"{work / 'bin'}:{os.environ['PATH']}"
    return sorted(path.stem for path in (work / "slides").iterdir())


def hviskd(work: Path, *words: str) -> None:
    """Run a verb in the folder of the cohort."""
    subprocess.run([sys.executable, "-m", "hviskd", *words], check=True, cwd=work, stdout=subprocess.DEVNULL)


@contextmanager
def started_slurm(work: Path) -> Iterator[None]:
    """Start a SLURM of this computer alone, and end it."""
    (work / "munge.key").write_bytes(secrets.token_bytes(32))
    (work / "munge.key").chmod(0o400)
    work.chmod(0o755)
    (work / "state").mkdir()
    (work / "spool").mkdir()
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    host, mb = socket.gethostname().partition(".")[0], os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    settings = {"host": host, "ports": ports, "work": work, "cpus": os.cpu_count(), "mb": mb * 9 // 10}
    (work / "slurm.conf").write_text(CONFIGURATION.format(**settings))
    os.environ["SLURM_CONF"] = str(work / "slurm.conf")
    own = ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed")
    munged = ["munged", "--force", "--foreground", *(f"--{option}={work}/munge.{name}" for option, name in own)]
    daemons = [munged, ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]]
    started = []
    try:
        for daemon in daemons:
            started.append(subprocess.Popen(daemon, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(2)
        yield
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def array(work: Path) -> Path:
    """Submit the page's script with fewer parts and a core each, and wait for its last job."""
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    script = re.search(r"#!/bin/bash\n#SBATCH --job-name=maps\n.*?(?=```)", page, re.DOTALL)[0]
    for of_page, here in (("1-20", f"1-{PARTS}"), ("/20", f"/{PARTS}"), ("task=4", "task=1"), ("mem=8G", "mem=2G")):
        assert of_page in script, of_page
        script = script.replace(of_page, here)
    (work / "maps.sh").write_text(script)
    subprocess.run(["/usr/bin/env", "sbatch", "--wait", "maps.sh"], check=True, cwd=work, stdout=subprocess.DEVNULL)
    assert (work / "maps" / "slides.csv").is_file()
    return work / "maps"


def jobqueue(work: Path) -> Path:
    """Map with workers that SLURM starts."""
    from dask_jobqueue import SLURMCluster
    from distributed import Client

    import hviskd as library
    from hviskd.running import Dask

    with SLURMCluster(cores=1, processes=1, memory="2GB", walltime="00:30:00", log_directory=str(work)) as cluster:
        cluster.scale(jobs=2)
        with Client(cluster) as client:
            library.segment_cohort(
                work / "student", work / "slides", work / "queued", running=Dask(client), progress=lambda *_: None
            )
    return work / "queued"


def compared(one: Path, other: Path, slides: list[str], way: str) -> str:
    """Return a row of the table: files compared, and the first that differ."""
    from tests.segmentation.sameness import content_of

    ours, theirs = content_of(one, *slides), content_of(other, *slides)
    ours["slides.csv"], theirs["slides.csv"] = ((maps / "slides.csv").read_bytes() for maps in (one, other))
    differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return f"| {way} | {len(ours)} | {', '.join(differing[:5]) or 'none'} |"


def head(version: str, slides: list[str]) -> list[str]:
    """Return title, machine and the table's head."""
    from start import commit, cpu

    return [
        "# A real SLURM, and Dask, against one process",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {cpu()}, {os.cpu_count()} cores, {version}, "
        f"Python {platform.python_version()}; {commit(ROOT / 'src')}: "
        f"`{' '.join(['benchmarks/slurm.py', *sys.argv[1:]])}`",
        "",
        f"{len(slides)} slides of the synthetic cohort, 1,200 × 900 px, resnet8 with drawn weights, all files written;",
        "on one computer. Times and what is made of them (an OME-TIFF's identifier) are left out of the comparison.",
        "",
        "| against one process | files | that differ |",
        "|---|--:|---|",
    ]


if __name__ == "__main__":
    main()
