"""A plan: totals of small cohorts that are known, honest intervals, and nothing written."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError
from hviskd.models import Compute
from hviskd.progress import silent
from hviskd.segmentation import MapSettings, load_slide_map, plan_cohort, segment_cohort
from hviskd.segmentation.plan import CohortPlan, SampledSlide
from tests.segmentation.make import write_cohort

PLAIN = Compute("torch", threads=1, workers=1)
BARE = MapSettings(write=())


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Three slides of falling size; the last is cut off in the middle."""
    return write_cohort(tmp_path_factory.mktemp("slides"), "ABC")


@pytest.mark.slow
def test_a_sample_of_all_slides_has_the_tiles_and_bytes_of_their_maps(model, slides, tmp_path):
    told = []
    plan = plan_cohort(model, slides, settings=BARE, compute=PLAIN, progress=lambda *now: told.append(now), minutes=1.0)
    maps = segment_cohort(model, slides, tmp_path, settings=BARE, compute=PLAIN, progress=silent)
    done = [outcome for outcome in maps if outcome.summary]
    tiles = sum(len(load_slide_map(outcome.folder)) for outcome in done)
    assert (plan.tiles.expected, plan.tiles.interval) == (pytest.approx(tiles), pytest.approx((tiles, tiles)))
    on_disk = sum(file.stat().st_size for outcome in done for file in outcome.folder.iterdir())
    assert plan.map_bytes.expected == pytest.approx(on_disk, abs=500)  # two summaries, which here tell no seconds
    assert [slide.classified for slide in plan.sample] == [slide.tiles for slide in plan.sample]
    assert [slide.slide for slide in plan.failed] == slides[2:]
    assert plan.failed[0].problem == maps.failed[0].problem
    assert plan.engine == "torch, float32 on cpu"
    assert plan.seconds.expected > 0
    assert told[-1][1] == 60


@pytest.mark.slow
def test_one_slide_is_measured_however_short_the_time_and_the_draw_is_the_seeds(model, slides):
    two = slides[:2]
    asked = {"settings": BARE, "compute": Compute("torch", threads=1, workers=1, batch_size=1), "minutes": 1e-9}
    drawn = {}
    for seed in (0, 0, 3):
        plan = plan_cohort(model, two, **asked, seed=seed, progress=silent)
        assert len(plan.sample) == 1
        assert plan.sample[0].classified < plan.sample[0].tiles  # cut short, too
        assert plan.tiles.interval is None
        assert "a single slide says nothing of the spread; expect other numbers" in plan.statements()
        assert drawn.setdefault(seed, plan.sample[0].slide) == plan.sample[0].slide
    assert set(drawn.values()) == set(two)


@pytest.mark.slow
def test_the_command_prints_the_plan_and_writes_nothing(model, slides, tmp_path):
    words = ["segment", *map(str, slides), "-m", str(model), "-o", str(tmp_path / "maps"), "--write", "table", "--plan"]
    done = CliRunner().invoke(app, [*words, "--engine", "torch", "--threads", "1"])
    assert done.exit_code == 1, done.output
    assert "C.svs: damaged" in done.stderr
    rows = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert [rows.count(name) for name in ("tiles", "maps", "time", "on")] == [1, 1, 1, 1]  # 2 workers for 3 slides
    assert "sampled at random: 3, classified by torch" in done.stdout
    assert "1 of the sampled slides cannot be segmented" in done.stdout
    assert not (tmp_path / "maps").exists()
    refused = CliRunner().invoke(app, [*words, "--part", "1/2"])
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: --plan: omit --part, --scheduler, --collect and --overwrite")


def made_up(sizes, sampled, seconds, start_s=0.0):
    sample = tuple(
        SampledSlide(Path(f"{at}"), sizes[at], tiles=10, classified=10, seconds=seconds[at], map_bytes=sizes[at] // 10)
        for at in sampled
    )
    return CohortPlan(tuple(sizes), sample, "torch, float32 on cpu", start_s)


def test_intervals_hold_the_total_of_cohorts_in_about_95_of_100_draws():
    numbers = np.random.default_rng(0)
    sizes = [int(size) for size in numbers.lognormal(20, 0.7, 400)]
    seconds = [size * 1e-7 * float(numbers.lognormal(0, 0.3)) + 2.0 for size in sizes]
    held = 0
    for draw in range(400):
        estimate = made_up(sizes, random.Random(draw).sample(range(400), 15), seconds).seconds
        held += estimate.interval[0] <= sum(seconds) <= estimate.interval[1]
    assert 0.90 <= held / 400 <= 0.99


def test_the_interval_is_cochrans():
    plan = made_up([100, 300, 200, 400], (0, 1), [2.0, 3.0, 0, 0])
    # R = 5 / 400; total 1000 R = 12.5; residuals 0.75 and -0.75; error 4 · √(1.125 / 2) · t(0.975; 1)
    assert plan.seconds.expected == pytest.approx(12.5)
    assert plan.seconds.interval == pytest.approx((5.0, 12.5 + 4 * 0.75 * math.tan(0.475 * math.pi)))


def test_workers_share_the_slides_and_the_last_slide_is_waited_for():
    plan = made_up([100] * 10, range(10), [6.0] * 10, start_s=5.0)
    assert [plan.seconds_on(workers).expected for workers in (1, 2, 4, 10, 64)] == pytest.approx([65, 35, 23, 11, 11])
    assert plan.seconds_on(4).interval == pytest.approx((23, 23))
    assert [row[0] for row in plan.rows()[2:]] == [
        "time on this computer",
        *(f"on {workers} workers, each a computer like it" for workers in (2, 4, 8)),
    ]
    assert [row[1:] for row in plan.rows()[:2]] == [("100", "100 – 100"), ("0.1 kB", "0.1 kB – 0.1 kB")]
    nothing = made_up([0, 0], (0, 1), [0.0, 0.0])  # slides whose size is unknown, and that cannot be read
    assert nothing.seconds_on(2).expected == 0


def test_the_largest_slides_are_begun_first():
    plan = made_up([100, 100, 200], range(3), [1.0, 1.0, 2.0])
    assert plan.seconds_on(2).expected == pytest.approx(2)


def test_large_numbers_are_written_out():
    hours = made_up([10**9] * 20_000, range(20_000), [1800.0] * 20_000)
    assert hours.rows()[2][1] == "10,000 h"
    assert hours.rows()[1][1] == "2 TB"
    assert made_up([9_996_000_000], [0], [5760.0]).rows()[1:3] == [
        ("maps", "1,000 MB", "unknown"),
        ("time on this computer", "1.6 h", "unknown"),
    ]


@pytest.mark.parametrize("minutes", [0, -1.0, float("nan")])
def test_a_sample_without_time_is_refused(model, slides, minutes):
    with pytest.raises(DataError, match=f"`minutes={minutes}`: must be above 0"):
        plan_cohort(model, slides, minutes=minutes)
