"""Nothing that someone drew is lost: not to another viewer, not to another program, not to a full disk."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import shapely
from filelock import FileLock

from hviskd.annotations import Outlines, Region, read_annotation, write_geojson
from hviskd.errors import DataError, OutputError
from hviskd.slide_frame import SlideFrame
from hviskd.viewer.drawing_files import NOTHING, ChangedMeanwhileError, Drawing, DrawingFiles

FRAME = SlideFrame((1000, 800))


def outlines(*labels):
    regions = tuple(
        Region(label, shapely.box(10 * at, 10, 10 * at + 100.25, 200), colour=(at, 0, 9))
        for at, label in enumerate(labels)
    )
    return Outlines(classes=tuple(sorted(set(labels))), size=FRAME.size, regions=regions)


def test_what_was_saved_is_read_back_and_belongs_to_qupath(tmp_path):
    files, path = DrawingFiles(), tmp_path / "A.geojson"
    empty = files.read(path, FRAME)
    assert (empty.revision, empty.outlines.regions) == (NOTHING, ())
    saved = files.save(Drawing(path, NOTHING, outlines("rim", "tumour")), FRAME)
    assert saved.kept is None
    again = files.read(path, FRAME)
    assert again.revision == saved.revision
    assert again.outlines.regions == outlines("rim", "tumour").regions
    feature = json.loads(path.read_text())["features"][0]
    assert feature["properties"]["classification"] == {"name": "rim", "color": [0, 0, 9]}


def test_all_outlines_can_be_taken_away(tmp_path):
    files, path = DrawingFiles(), tmp_path / "A.geojson"
    first = files.save(Drawing(path, NOTHING, outlines("rim")), FRAME)
    files.save(Drawing(path, first.revision, outlines()), FRAME)
    assert files.read(path, FRAME).outlines.regions == ()
    assert read_annotation(path).regions == ()


def test_the_second_of_two_is_told_and_neither_is_lost(tmp_path):
    one, other, path = DrawingFiles(), DrawingFiles(), tmp_path / "A.geojson"
    mine = Drawing(path, NOTHING, outlines("mine"))
    first = one.save(Drawing(path, NOTHING, outlines("theirs")), FRAME)
    for files in (one, other):
        with pytest.raises(ChangedMeanwhileError, match=r"A\.geojson: was changed by someone else"):
            files.save(mine, FRAME)
    assert one.read(path, FRAME).revision == first.revision
    copies = [files.save_copy(mine, FRAME) for files in (one, other)]
    assert [copy.name for copy in copies] == ["A-copy.geojson", "A-copy-2.geojson"]
    assert [region.label for region in read_annotation(copies[1]).regions] == ["mine"]


def test_of_many_that_save_at_once_one_comes_first(tmp_path):
    path, start = tmp_path / "A.geojson", threading.Barrier(8)

    def save(number):
        files = DrawingFiles()  # as in viewers of their own
        start.wait()
        try:
            files.save(Drawing(path, NOTHING, outlines(f"class {number}")), FRAME)
        except ChangedMeanwhileError:
            return None
        return f"class {number}"

    with ThreadPoolExecutor(8) as pool:
        won = [name for name in pool.map(save, range(8)) if name]
    assert [region.label for region in read_annotation(path).regions] == won
    assert len(won) == 1


def test_a_file_of_another_program_is_kept_before_it_is_replaced(tmp_path):
    files, path = DrawingFiles(), tmp_path / "A.geojson"
    ring = [[0, 0], [300, 0], [300, 300], [0, 300], [0, 0]]
    detection = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "detection", "measurements": {"area": 9.0}, "classification": {"name": "rim"}},
    }
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [detection]}))
    theirs = path.read_bytes()
    there = files.read(path, FRAME)
    assert there.outlines.regions[0].label == "rim"
    saved = files.save(there, FRAME)
    assert saved.kept == tmp_path / "A-original.geojson"
    assert saved.kept.read_bytes() == theirs
    assert files.save(Drawing(path, saved.revision, outlines("rim")), FRAME).kept is None  # ours by now


def test_a_file_that_was_written_here_before_needs_no_second_name(tmp_path):
    path = tmp_path / "A.geojson"
    write_geojson(outlines("rim", "tumour", "rim"), path)
    files = DrawingFiles()
    assert files.save(Drawing(path, files.read(path, FRAME).revision, outlines("rim")), FRAME).kept is None


def test_masks_and_damaged_files_are_not_drawn_over(tmp_path):
    path = tmp_path / "A.geojson"
    path.write_text("{")
    with pytest.raises(DataError, match=r"A\.geojson: not valid JSON"):
        DrawingFiles().read(path, FRAME)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"A\.geojson: cannot be written to"):
        DrawingFiles().save(Drawing(tmp_path / "file" / "A.geojson", NOTHING, outlines("rim")), FRAME)


def test_a_drive_without_locks_takes_drawings_and_nothing_but_them_is_left(tmp_path, monkeypatch):
    files, path = DrawingFiles(), tmp_path / "A.geojson"
    first = files.save(Drawing(path, NOTHING, outlines("rim")), FRAME)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["A.geojson"]

    def none_here(*_, **__):
        raise NotImplementedError

    monkeypatch.setattr(FileLock, "acquire", none_here)
    files.save(Drawing(path, first.revision, outlines("tumour")), FRAME)
    copy = files.save_copy(Drawing(path, first.revision, outlines("mine")), FRAME)
    assert [files.read(each, FRAME).outlines.classes for each in (path, copy)] == [("tumour",), ("mine",)]
