"""A cohort on a real Dask cluster of processes: the files of one process, whoever dies meanwhile."""

import os
import signal
import threading
import time

import pytest
from distributed import Client
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import RunningError
from hviskd.models import Compute, load_model
from hviskd.progress import silent
from hviskd.running import Dask
from hviskd.segmentation import MapSettings, segment_cohort
from tests.processes import dask_cluster, start_hviskd
from tests.segmentation.make import tissue_on_glass, write_model, write_slide
from tests.segmentation.sameness import content_of

pytestmark = pytest.mark.slow
BARE = MapSettings(write=())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Model, and four slides of which the last is cut off in the middle."""
    folder = tmp_path_factory.mktemp("cohort")
    write_model(folder / "student")
    for seed, name in enumerate("ABCD"):
        path = write_slide(folder / "slides" / f"{name}.svs", tissue_on_glass(800 - 100 * seed, 400, seed=seed))
    path.write_bytes(path.read_bytes()[:20_000])
    return folder


@pytest.fixture(scope="module")
def cluster():
    with dask_cluster(workers=2, threads=1) as cluster:
        yield cluster


def test_the_files_are_those_of_one_process_even_if_a_worker_is_killed(folder, cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)  # paths are relative to where the command runs
    words = ["segment", "slides", "-m", "student", "--engine", "torch", "--threads", "1", "--workers", "1"]
    words += ["--write", "table", "--write", "qupath"]
    one = start_hviskd(*words, "-o", tmp_path / "one")
    one.join()
    with Client(cluster, set_as_default=False) as client:
        pids = client.run(os.getpid)

    def kill():
        while not any((tmp_path / "many").glob("*/map.npz")):
            time.sleep(0.002)
        os.kill(next(iter(pids.values())), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "many"), "--scheduler", cluster.scheduler_address])
    killer.join()
    assert (one.exitcode, done.exit_code) == (1, 1), done.output
    assert "D.svs: damaged" in done.stderr
    assert "3 of 4 slides mapped" in done.stdout
    assert content_of(tmp_path / "many", *"ABC") == content_of(tmp_path / "one", *"ABC")
    assert (tmp_path / "many" / "slides.csv").read_bytes() == (tmp_path / "one" / "slides.csv").read_bytes()
    assert not list((tmp_path / "many").glob(".*"))


def count_engines():
    """Let this worker count the engines that it opens from now on."""
    opens = Compute.open

    def counted(compute, *model, **how):
        Compute.opened += 1
        return opens(compute, *model, **how)

    Compute.opened, Compute.open = 0, counted


def engines_opened():
    return Compute.opened


def test_a_worker_keeps_its_engine_and_finished_slides_are_kept(folder, cluster, tmp_path):
    model = load_model(folder / "student")  # in memory: workers load it from its folder
    with Client(cluster, set_as_default=False) as client:
        client.run(count_engines)
        for expected in ("done", "kept"):
            maps = segment_cohort(
                model,
                [folder / "slides" / f"{name}.svs" for name in "ABC"],
                tmp_path,
                settings=BARE,
                compute=Compute("torch"),
                running=Dask(client),
                progress=silent,
            )
            assert [outcome.state for outcome in maps] == [expected] * 3
        opened = client.run(engines_opened).values()
    assert max(opened) == 1  # of three slides on two workers, one found an engine that was there


def test_workers_must_see_the_same_model(folder, cluster, tmp_path):
    model = load_model(folder / "student")
    other = write_model(tmp_path / "other", seed=1)
    stands_in = type(model)(model.network, model.card, other.folder)
    with Client(cluster, set_as_default=False) as client, pytest.raises(RunningError, match="sees another Model at"):
        segment_cohort(stands_in, folder / "slides" / "A.svs", tmp_path / "maps", running=Dask(client))


def test_where_to_run_is_said_once(folder, tmp_path):
    command = ["segment", str(folder / "slides"), "-m", str(folder / "student"), "-o", str(tmp_path)]
    done = CliRunner().invoke(app, [*command, "--scheduler", "local:2", "--part", "1/2"])
    assert done.exit_code == 2
    assert done.stderr == "error: --scheduler local:2: omit it, or --part and --collect\n"
