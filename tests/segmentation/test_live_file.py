"""What a running cohort shows of itself: true at every moment, gone at the end, known as stale once it was killed."""

import base64
import time
import tracemalloc
import zlib

import numpy as np
import pytest

from hviskd.claims import Claims
from hviskd.errors import DataError
from hviskd.models import Compute
from hviskd.progress import silent
from hviskd.segmentation import MapSettings, live_file, load_slide_map, segment_cohort
from hviskd.segmentation.live_file import LiveSlide, live_states
from hviskd.segmentation.mapping_job import CLAIMS
from hviskd.slides import CohortSlide
from hviskd.slides.slide_files import place_digest
from tests.processes import start, wait_until
from tests.segmentation.make import CLASSES, COLOURS, TILE_PX, tissue_on_glass, write_slide

pytestmark = pytest.mark.usefixtures("empty_overviews")
PLAIN = Compute("torch", threads=1, workers=1, batch_size=1)


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    paths = [
        write_slide(folder / f"{name}.svs", tissue_on_glass(800, 600, seed=seed)) for seed, name in enumerate("ABC")
    ]
    paths[1].write_bytes(paths[1].read_bytes()[:20_000])
    return paths


def seen_while(model, slides, maps, monkeypatch, settings=None):
    """Segment, and return what the file told after each batch."""
    monkeypatch.setattr(live_file, "_EVERY_S", 0.0)
    monkeypatch.setattr(live_file, "_REST", 0.0)
    seen = []

    def look(*_):
        seen.append(live_states(maps, maps / CLAIMS))

    segment_cohort(model, slides, maps, compute=PLAIN, settings=settings, progress=look)
    return seen


@pytest.mark.parametrize("stride_px", [TILE_PX, TILE_PX // 2])
def test_the_map_fills_with_the_classes_that_it_will_have(model, slides, tmp_path, monkeypatch, stride_px):
    seen = seen_while(model, slides[:1], tmp_path / "maps", monkeypatch, MapSettings(stride_px=stride_px))
    final = load_slide_map(tmp_path / "maps" / "A")
    done = [state.now.done for (state,) in seen]
    assert done == sorted(done)
    assert 0 < done[0] < done[-1] == len(final)
    for (state,) in seen:
        assert (state.model, state.classes, state.colours) == ("student", CLASSES, COLOURS)
        assert (state.now.tiles, state.now.cell_px) == (len(final), final.stride0_px)
        assert state.now.place == state.slides[0].place == place_digest(slides[0])
        grid = state.now.grid()
        assert grid.shape == final.class_grid().shape
        if stride_px == TILE_PX:
            there = grid != 255
            assert there.sum() == state.now.done
            assert np.array_equal(grid[there], final.class_grid()[there])
    assert np.array_equal(grid != 255, final.class_grid() != 255)


def test_rows_turn_from_waiting_to_done_or_failed_with_the_reason_and_nothing_is_left(
    model, slides, tmp_path, monkeypatch
):
    seen = seen_while(model, slides, tmp_path / "maps", monkeypatch)
    states = [tuple(row.state for row in state.slides) for (state,) in seen]
    assert states[0][0] == "waiting"
    (last,) = seen[-1]
    assert [(row.slide, row.folder, row.state) for row in last.slides] == [
        ("A.svs", "A", "done"),
        ("B.svs", "B", "failed"),
        ("C.svs", "C", "waiting"),
    ]
    assert last.slides[1].problem.startswith("B.svs: damaged")
    assert str(slides[0].parent) not in last.model_dump_json()
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["A", "C", "slides.csv"]


def test_what_is_finished_already_is_told(model, slides, tmp_path, monkeypatch):
    maps = tmp_path / "maps"
    segment_cohort(model, slides[:1], maps, compute=PLAIN, progress=silent)
    (state,) = seen_while(model, [slides[0], slides[2]], maps, monkeypatch)[-1]
    assert state.slides[0].state == "kept"


def segment_for_ever(model, slide, maps):
    segment_cohort(model, slide, maps, compute=PLAIN, progress=lambda *_: time.sleep(60))


def test_a_killed_process_leaves_a_file_that_nobody_believes_and_the_next_one_removes(model, slides, tmp_path):
    maps = tmp_path / "maps"
    process = start(segment_for_ever, model, slides[0], maps)
    wait_until(lambda: live_states(maps, maps / CLAIMS), process)
    process.kill()
    process.join()
    (left,) = maps.glob(".progress-*")
    left.with_name(f".partial-{left.name}").write_text("{")  # as if killed while it was replaced
    assert live_states(maps, maps / CLAIMS) == []
    assert not (maps / "A" / "summary.json").exists()
    segment_cohort(model, slides[:1], maps, compute=PLAIN, progress=silent)
    assert sorted(path.name for path in maps.iterdir()) == ["A", "slides.csv"]


def test_a_damaged_file_is_left_out(tmp_path):
    with Claims(tmp_path / CLAIMS) as claims:
        for number, content in enumerate(("{", "[]", '{"format_version": 2}', "\0")):
            path = tmp_path / f".progress-x-{number}.json"
            path.write_text(content)
            claims.take(path.name)
        assert live_states(tmp_path, tmp_path / CLAIMS) == []
    assert live_states(tmp_path / "missing", tmp_path / "missing" / CLAIMS) == []


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (2, 2), (-1, -4)])
def test_cells_that_are_not_as_many_as_they_say_are_damaged_and_are_not_unpacked(rows, columns):
    bomb = base64.b64encode(zlib.compress(bytes(10_000_000))).decode()
    told = {"place": "p", "done": 0, "tiles": 1, "seconds": 0.0, "cell_px": 1.0, "cell_um": 1.0, "cells": bomb}
    if rows == columns == 2:  # what is left over is never unpacked
        assert LiveSlide(rows=rows, columns=columns, **told).grid().tolist() == [[0, 0], [0, 0]]
        return
    tracemalloc.start()
    with pytest.raises(DataError, match="damaged"):
        LiveSlide(rows=rows, columns=columns, **told).grid()
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_it_is_written_seldom_enough_to_cost_nothing(model, slides, tmp_path, monkeypatch):
    monkeypatch.setattr(live_file, "_EVERY_S", 0.0)
    batches, written = [], []
    real = live_file.LiveState.model_dump_json

    def slow(self):
        written.append(time.monotonic())
        time.sleep(0.001)
        return real(self)

    def on(*_):
        batches.append(1)
        time.sleep(0.2)

    monkeypatch.setattr(live_file.LiveState, "model_dump_json", slow)
    segment_cohort(model, [CohortSlide(slides[0])], tmp_path / "maps", compute=PLAIN, progress=on)
    assert 1 <= len(written) < len(batches)
    assert (np.diff(written) > 300 * 0.001).all()
