"""Cutting end to end: the right tiles from the right places, whatever the slide, and again after any failure."""

import json
import shutil
import sys
import time
from unittest.mock import Mock

import numpy as np
import pytest
from distributed import LocalCluster
from PIL import Image
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.cutting import CutSettings, cut_slides, read_report, slide_cut
from hviskd.errors import DataError, OutputError
from hviskd.file_names import AnnotationFolder, qc_folder
from hviskd.running import Here
from hviskd.slides import (
    TissueRule,
    find_cohort,
    fit_slide_stain,
    open_slide,
    stain_reference,
    stain_transfer,
    tissue_mask,
)
from hviskd.slides.tile_reading import read_tiles
from hviskd.tiles import TileSet, split_tiles
from tests.cutting.samples import BG, GREEN, RED, UNKNOWN, add_slide, halves, write_legend, write_mask
from tests.processes import start, wait_until
from tests.slides.make import glass, write_svs


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    """A slide's picture takes longer than all else that is done with so small a slide; `test_picture` looks at it."""
    monkeypatch.setattr(slide_cut, "draw_cut_tiles", lambda *given: Image.new("RGB", (8, 8)).save(given[-1]))


def cut(folder, output="tiles", slides=None, *, annotations=None, patients=None, overwrite=False, **settings):
    return cut_slides(
        sorted(folder.glob("*.svs")) if slides is None else slides,
        folder / output,
        annotations=annotations or folder / "masks",
        legend=write_legend(folder),
        patients=patients,
        settings=CutSettings(**{"tile_px": 64, "min_tissue": 0.3, **settings}),
        overwrite=overwrite,
    )


def places(tileset):
    return list(zip(tileset.table["x_px"], tileset.table["y_px"], strict=True))


def same(one, other):
    assert one.fingerprint == other.fingerprint
    assert one.table.equals(other.table)
    assert one.card == other.card


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Three slides of two patients, of unequal size."""
    folder = tmp_path_factory.mktemp("cohort")
    for seed, (name, width_px) in enumerate({"A-1": 640, "A-2": 384, "B-1": 512}.items()):
        add_slide(folder, name, halves(width_px, 384, width_px // 2), seed)
    return folder


def test_tiles_are_the_slides_pixels_at_their_places(tmp_path):
    classes = halves(640, 400, border_px=300)  # the border crosses the fifth column of squares
    image = add_slide(tmp_path, "S", classes)
    tileset = cut(tmp_path)
    columns = [0, 64, 128, 192, 320, 384, 448, 512, 576]
    assert places(tileset) == [(x, y) for y in range(0, 384, 64) for x in columns]
    for tile, (x, y), name in zip(tileset.pixels, places(tileset), tileset.table["class"], strict=True):
        np.testing.assert_array_equal(tile, image[y : y + 64, x : x + 64])
        assert name == ("red" if x < 300 else "green")
    assert set(tileset.table["side_px"]) == {64}
    assert (tileset.mpp, tileset.tile_px, tileset.classes) == (0.5, 64, ("red", "green", "BG"))
    assert tileset.card.colours == ((200, 0, 0), (0, 160, 0), (255, 255, 255))


@pytest.mark.slow
@pytest.mark.parametrize("slide_mpp", [0.25, 0.2, 0.55])
def test_other_scales_give_tiles_of_the_same_micrometres(tmp_path, slide_mpp):
    width_px, height_px = round(320 / slide_mpp), round(192 / slide_mpp)
    border_px = width_px // 2 + 20
    add_slide(tmp_path, "S", halves(width_px, height_px, border_px), mpp=slide_mpp)
    tileset = cut(tmp_path)
    side = 64 * 0.5 / slide_mpp
    columns, rows = int(width_px / side), int(height_px / side)
    xs, ys = ([round(k * side) for k in range(count)] for count in (columns, rows))
    expected = [(x, y) for y in ys for x in xs if not x < border_px < x + side]
    assert places(tileset) == expected
    assert set(tileset.table["side_px"]) == {int(side)}
    with open_slide(tmp_path / "S.svs") as slide:
        for tile, (x, y) in zip(tileset.pixels, places(tileset), strict=True):
            np.testing.assert_array_equal(tile, slide.read(x, y, 64, 64, 0.5))


@pytest.mark.slow
def test_sparse_tiles_of_a_lossy_slide_are_what_single_reads_give(tmp_path):
    add_slide(tmp_path, "S", halves(1400, 1100, 700), quality=80)
    whole, few = cut(tmp_path, "whole"), cut(tmp_path, "few", cap=9)
    assert len(few) == 18
    with open_slide(tmp_path / "S.svs") as slide:
        for tileset in (whole, few):
            for tile, (x, y) in zip(tileset.pixels, places(tileset), strict=True):
                np.testing.assert_array_equal(tile, slide.read(x, y, 64, 64))


def test_unannotated_and_foreign_colours_count_against_purity(tmp_path):
    classes = halves(640, 384)
    classes[0:20, 0:64] = UNKNOWN  # 31 % of the first tile
    classes[0:64, 64:128] = UNKNOWN
    add_slide(tmp_path, "S", classes)
    assert places(cut(tmp_path, "pure"))[0] == (128, 0)
    lenient = cut(tmp_path, "lenient", purity=0.6)
    assert places(lenient)[:2] == [(0, 0), (128, 0)]
    report = read_report(qc_folder(tmp_path / "pure"))
    assert report.left_out() == {"across a border": {"red": 1}, "without annotation": {"": 1}}
    assert TileSet.open(tmp_path / "pure").card.origin.dropped == {
        "squares across a border": 1,
        "squares without annotation": 1,
    }


def test_no_px_of_another_class_is_in_a_tile_but_noise_of_no_class_may_be(tmp_path):
    classes = halves(640, 384, 321)  # a column of px of the sixth square is red, between the points looked at
    classes[65, 130] = GREEN
    classes[65, 2] = UNKNOWN
    add_slide(tmp_path, "S", classes)
    everywhere = {(x, y) for x in range(0, 640, 64) for y in range(0, 384, 64)}
    assert set(places(cut(tmp_path))) == everywhere - {(128, 64), *((320, y) for y in range(0, 384, 64))}
    assert set(places(cut(tmp_path, "lenient", purity=0.99))) == everywhere


@pytest.mark.slow
def test_glass_is_left_out_but_for_the_class_that_is_glass(tmp_path):
    classes = halves(1280, 640, border_px=640)
    classes[:, :256] = BG
    add_slide(tmp_path, "S", classes)
    tileset = cut(tmp_path, min_tissue=0.9)
    assert (tileset.table["class"] == "BG").sum() == 4 * 10
    none = cut(tmp_path, "none", min_tissue=0.9, glass=())
    assert "BG" not in set(none.table["class"])
    assert read_report(qc_folder(tmp_path / "none")).left_out()["too little tissue"]["BG"] == 40


def test_what_counts_as_tissue_is_the_users_and_is_recorded(tmp_path):
    add_slide(tmp_path, "S", halves())
    assert len(cut(tmp_path)) == 60
    rule = TissueRule(density=0.9)  # nothing is that dark
    with pytest.raises(DataError, match="60 too little tissue"):
        cut(tmp_path, "dense", tissue=rule)
    none_needed = cut(tmp_path, "dense", tissue=rule, min_tissue=0)
    assert len(none_needed) == 60
    assert none_needed.card.origin.options["tissue"]["density"] == 0.9


@pytest.mark.slow
def test_outlines_cut_as_a_mask_of_the_same_shape(tmp_path, cohort):
    for slide in ("A-1", "B-1"):
        width_px = {"A-1": 640, "B-1": 512}[slide]
        parts = {"red": (0, width_px // 2), "Green": (width_px // 2, width_px)}
        features = [
            {
                "type": "Feature",
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[a, 0], [b, 0], [b, 384], [a, 384], [a, 0]]],
                },
                "properties": {"objectType": "annotation", "classification": {"name": name}},
            }
            for name, (a, b) in parts.items()
        ]
        (tmp_path / f"{slide}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    slides = [cohort / "A-1.svs", cohort / "B-1.svs"]
    drawn = cut(cohort, "drawn", slides, annotations=tmp_path)
    masked = cut(cohort, "masked", slides)
    assert drawn.table.equals(masked.table)


@pytest.mark.slow
def test_a_cap_is_shared_by_patients_then_slides_and_reads_the_same_tiles_every_time(cohort):
    first = cut(cohort, "first", cap=20, patients="([A-Z])-", workers=1)
    counts = first.table.groupby(["class", "patient"]).size()
    assert counts.to_dict() == {(name, who): 10 for name in ("red", "green") for who in "AB"}
    by_slide = first.table.groupby(["class", "slide"]).size()
    assert by_slide["red", "A-1"] == by_slide["red", "A-2"] == 5
    again = cut(cohort, "again", sorted(cohort.glob("*.svs"))[::-1], cap=20, patients="([A-Z])-", workers=3)
    assert sorted(first.table["file"]) == sorted(again.table["file"])
    other = cut(cohort, "other", cap=20, patients="([A-Z])-", seed=1)
    assert sorted(other.table["file"]) != sorted(first.table["file"])
    assert set(split_tiles(first, by="patient", test=0).table["split"]) == {"train", "val"}


def test_a_slide_that_gives_nothing_under_the_cap_has_failed_in_nothing(cohort):
    tileset = cut(cohort, "one-each", cap=1)
    assert len(tileset) == 2
    report = read_report(qc_folder(tileset.folder))
    assert not report.failed
    assert sum(not slide.tiles for slide in report.slides) >= 1
    assert len(list(qc_folder(tileset.folder).glob("*.png"))) == 3


def test_the_number_of_workers_changes_nothing(cohort):
    same(cut(cohort, "one", workers=1), cut(cohort, "five", workers=5))


def test_a_bad_slide_stops_no_other_and_is_told_with_its_reason(cohort, tmp_path):
    for path in (*cohort.glob("*.svs"), cohort / "masks"):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    good = cut(tmp_path, "good", [tmp_path / "A-1.svs", tmp_path / "B-1.svs"])
    whole = (tmp_path / "A-2.svs").read_bytes()
    (tmp_path / "A-2.svs").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "C-1.svs").write_text("no slide")
    shutil.copy(tmp_path / "B-1.svs", tmp_path / "D-1.svs")
    mixed = cut(tmp_path, "mixed")
    assert mixed.table.equals(good.table)
    failed = {report.slide: report.problem for report in read_report(qc_folder(tmp_path / "mixed")).failed}
    assert list(failed) == ["A-2", "C-1", "D-1"]
    assert "damaged" in failed["A-2"]
    assert "no annotation" in failed["D-1"]
    assert mixed.card.origin.dropped["slides that could not be cut"] == 3


def test_nothing_to_cut_is_one_line_and_leaves_the_report(tmp_path):
    write_svs(tmp_path / "S.svs", glass((384, 384)), levels=1)
    write_mask(tmp_path / "masks" / "S_L.png", np.full((384, 384), RED))
    with pytest.raises(DataError, match=r"no tiles.*36 too little tissue"):
        cut(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["S.svs", "legend.yaml", "masks", "tiles-qc"]
    assert read_report(qc_folder(tmp_path / "tiles")).left_out() == {"too little tissue": {"red": 36}}


def test_a_cutting_that_gives_nothing_leaves_what_stands_and_its_report(tmp_path):
    add_slide(tmp_path, "S", halves())
    done = cut(tmp_path)
    report = read_report(qc_folder(done.folder))
    with pytest.raises(DataError, match="no tiles"):
        cut(tmp_path, tissue=TissueRule(density=0.9), overwrite=True)
    assert TileSet.open(done.folder).fingerprint == done.fingerprint
    assert read_report(qc_folder(done.folder)) == report


def cut_on_a_full_disk(cohort):
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))  # of the tiles' file, and of no slide
    try:
        cut(cohort, "full")
    except OutputError as error:
        sys.stderr.write(str(error))


@pytest.mark.slow
def test_a_full_disk_is_no_slides_fault_and_costs_nothing_that_is_finished(cohort, tmp_path):
    process = start(cut_on_a_full_disk, cohort, says=tmp_path / "said.txt")
    process.join()
    assert process.exitcode == 0
    assert (
        "cannot be written to (File too large); finished slides are kept: free some space, and repeat the command"
        in (tmp_path / "said.txt").read_text()
    )
    assert not (cohort / "full").exists()
    assert len(list((cohort / ".parts-full").glob("*.json"))) == 1
    same(cut(cohort, "full"), cut(cohort, "roomy"))


def test_an_error_at_the_very_end_costs_nothing(cohort, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("hviskd.tiles.writing.write_rows", Mock(side_effect=OSError(28, "No space left on device")))
        with pytest.raises(OutputError, match="No space left on device"):
            cut(cohort, "last")
    assert not (cohort / "last").exists()
    with monkeypatch.context() as patched:
        patched.setattr("hviskd.cutting.slide_cut.read_tiles", None)  # nothing is read again
        resumed = cut(cohort, "last")
    same(resumed, cut(cohort, "anew"))
    assert not list(cohort.glob(".p*"))


def test_a_slide_without_a_pure_square_stops_no_other(tmp_path):
    add_slide(tmp_path, "A", np.indices((256, 256)).sum(axis=0) // 30 % 2)
    add_slide(tmp_path, "B", halves(), seed=1)
    assert set(cut(tmp_path).table["slide"]) == {"B"}
    assert [slide.slide for slide in read_report(qc_folder(tmp_path / "tiles")).without_tiles] == ["A"]


@pytest.mark.slow
def test_what_a_kill_at_the_very_end_leaves_is_no_part_of_the_finished_set(cohort, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("hviskd.cutting.parts.Parts.remove", lambda _: None)
        done = cut(cohort, "linked")
    assert list((cohort / ".parts-linked").glob("*.npy"))
    with pytest.raises(DataError, match="no tiles"):
        cut(cohort, "linked", tissue=TissueRule(density=0.9), overwrite=True)
    with monkeypatch.context() as patched:
        patched.setattr("hviskd.cutting.slide_cut.read_tiles", Mock(side_effect=DataError("unreadable")))
        with pytest.raises(DataError, match="no slide could be cut"):
            cut(cohort, "linked", sorted(cohort.glob("*.svs"))[::-1], overwrite=True)
    opened = TileSet.open(done.folder)
    opened.check_pixels()
    assert opened.fingerprint == done.fingerprint


def test_a_link_as_output_is_followed(cohort, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    tileset = cut_slides(
        cohort / "A-1.svs",
        tmp_path / "link",
        annotations=cohort / "masks",
        legend=cohort / "legend.yaml",
        settings=CutSettings(tile_px=64, min_tissue=0.3),
    )
    assert tileset.folder == (tmp_path / "elsewhere").resolve()
    assert read_report(qc_folder(tmp_path / "link")).slides[0].tiles


def test_a_mask_beside_the_slides_is_no_slide(tmp_path):
    add_slide(tmp_path, "S", halves())
    shutil.move(tmp_path / "masks" / "S_L.png", tmp_path / "S_L.png")
    tileset = cut(tmp_path, slides=[tmp_path / "S.svs", tmp_path / "S_L.png"], annotations=tmp_path)
    assert set(tileset.table["slide"]) == {"S"}
    assert not read_report(qc_folder(tmp_path / "tiles")).failed


@pytest.mark.slow
def test_stain_transfer_is_that_of_the_whole_slide(cohort):
    reference = cohort / "B-1.svs"
    plain = cut(cohort, "plain", [cohort / "A-1.svs"])
    changed = cut(cohort, "changed", [cohort / "A-1.svs"], stain=stain_reference(reference))
    with open_slide(cohort / "A-1.svs") as slide:
        source = fit_slide_stain(slide, tissue_mask(slide), mpp=0.5)
    expected = stain_transfer(source, stain_reference(reference))(np.asarray(plain.pixels))
    np.testing.assert_array_equal(changed.pixels, expected)
    assert (plain.card.stain, changed.card.stain) == (None, stain_reference(reference))


def test_what_stands_there_is_not_replaced_unasked(cohort, tmp_path):
    done = cut(cohort, "done", [cohort / "A-1.svs"])
    with pytest.raises(DataError, match="`overwrite=True`"):
        cut(cohort, "done", [cohort / "B-1.svs"])
    assert TileSet.open(done.folder).fingerprint == done.fingerprint
    assert set(cut(cohort, "done", [cohort / "B-1.svs"], overwrite=True).table["slide"]) == {"B-1"}
    (cohort / "own").mkdir()
    (cohort / "own" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="contains no TileSet, so it is not replaced"):
        cut(cohort, "own", overwrite=True)
    (cohort / "free-qc").mkdir()
    (cohort / "free-qc" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="contains no report of a cutting, so it is not replaced"):
        cut(cohort, "free", overwrite=True)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"tile_px": 0}, "`tile_px=0`"),
        ({"mpp": float("nan")}, "`mpp=nan`"),
        ({"purity": 1.1}, "`purity=1.1`"),
        ({"tolerance": float("inf")}, "`tolerance=inf`"),
        ({"min_tissue": -0.1}, "`min_tissue=-0.1`"),
        ({"cap": 0}, "`cap=0`"),
        ({"glass": ("blue",)}, "`glass=\\['blue'\\]`"),
        ({"workers": 0}, "`workers=0`"),
        ({"patients": "([A-Z])_"}, r"`patients='\(\[A-Z\]\)_'`"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_read(cohort, options, word):
    with pytest.raises(DataError, match=word):
        cut(cohort, "refused", **options)
    assert not list(cohort.glob("*refused*"))


def cut_slowly(cohort):
    """So that there is time to kill it between slides."""

    def slowly(*given, **options):
        for stack in read_tiles(*given, **options):
            time.sleep(0.3)
            yield stack

    slide_cut.read_tiles = slowly
    cut(cohort, "killed", patients="([A-Z])-", cap=30)


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_tiles(cohort):
    folder = cohort / ".parts-killed"
    for attempt in range(2):
        process = start(cut_slowly, cohort)
        wait_until(lambda finished=attempt + 1: len(list(folder.glob("*.json"))) >= finished, process)
        process.kill()
        process.join()
    assert not (cohort / "killed").exists()
    with pytest.raises(DataError, match="unfinished cutting with other settings.*`overwrite=True`"):
        cut(cohort, "killed", patients="([A-Z])-", cap=31)
    assert len(list(folder.glob("*.json"))) >= 2
    resumed = cut(cohort, "killed", patients="([A-Z])-", cap=30)
    same(resumed, cut(cohort, "unbroken", patients="([A-Z])-", cap=30))
    assert not folder.exists()
    assert sorted(p.name for p in qc_folder(cohort / "killed").iterdir()) == [
        "A-1.png",
        "A-2.png",
        "B-1.png",
        "report.json",
    ]


def test_going_on_with_another_setting_or_a_changed_slide_uses_nothing_stale(tmp_path, monkeypatch):
    add_slide(tmp_path, "S", halves())
    parts = tmp_path / ".parts-tiles"
    parts.mkdir()
    (parts / "left-over").write_text("x")
    first = cut(tmp_path, overwrite=True)
    assert len(first) == 60
    with monkeypatch.context() as patched:
        patched.setattr("hviskd.cutting.parts.Parts.remove", lambda _: None)
        cut(tmp_path, overwrite=True)
    assert list(parts.glob("*.json"))
    image = add_slide(tmp_path, "S", halves(640, 384, 384), seed=5)
    second = cut(tmp_path, overwrite=True)
    assert (second.table["class"] == "red").sum() == 36
    np.testing.assert_array_equal(second.pixels[0], image[:64, :64])


def test_folders_and_plain_defaults_are_enough(tmp_path):
    """A folder of slides and one of annotations, told apart by what lies in it; the call of the README."""
    for seed, name in enumerate(("P1-a", "P2-a")):
        add_slide(tmp_path / "slides", name, halves(), seed)
    shutil.move(tmp_path / "slides" / "masks", tmp_path / "drawn")
    (tmp_path / "patients.csv").write_text("slide,patient\nP1-a,one\nP2-a,two\n")
    told = []
    tileset = cut_slides(
        str(tmp_path / "slides"),
        str(tmp_path / "tiles"),
        annotations=str(tmp_path / "drawn"),
        legend=str(write_legend(tmp_path)),
        patients=str(tmp_path / "patients.csv"),
        progress=lambda *step: told.append(step),
    )
    assert (tileset.tile_px, tileset.mpp, len(tileset)) == (150, 0.5, 12)  # 3 × 2 of each slide
    assert set(tileset.table["patient"]) == {"one", "two"}
    assert {what.split(":")[0]: (done, total) for done, total, what in told} == {
        "analysing slides": (2, 2),
        "cutting tiles": (12, 12),
    }
    options = tileset.card.origin.options
    assert (options["cap"], options["min_tissue"], options["glass"], options["stain"]) == (10_000, 0.5, ["BG"], "none")


def test_where_masks_and_outlines_lie_together_one_is_to_be_chosen(tmp_path):
    add_slide(tmp_path, "S", halves())
    empty = {"type": "FeatureCollection", "features": []}
    (tmp_path / "masks" / "S.geojson").write_text(json.dumps(empty))
    with pytest.raises(DataError, match="choose `masks` or `outlines`"):
        cut(tmp_path)
    assert len(cut(tmp_path, annotations=AnnotationFolder(tmp_path / "masks", "masks"))) == 60


def test_slides_bring_their_own_mpp(tmp_path):
    add_slide(tmp_path, "S", halves(), mpp=None)
    assert len(cut(tmp_path, slides=find_cohort(tmp_path / "S.svs", slide_mpp=0.5))) == 60
    with pytest.raises(DataError, match="records no µm/px"):
        cut(tmp_path, "none")


def test_one_class_of_glass_is_not_taken_for_a_list_of_its_letters():
    with pytest.raises(DataError, match=r"`glass='BG'`.*`glass=\['BG'\]`"):
        CutSettings(glass="BG")


def cut_unlabelled(folder, output="more", **settings):
    return cut_slides(
        sorted(folder.glob("*.svs")),
        folder / output,
        annotations=None,
        legend=None,
        patients=r"(.)-",
        settings=CutSettings(**{"tile_px": 64, "min_tissue": 0.3, **settings}),
    )


def test_without_annotations_all_tissue_is_cut_and_no_tile_has_a_label(tmp_path):
    image = add_slide(tmp_path, "A-1", halves(640, 384, 320))
    classes = halves(512, 384, 256)
    classes[:, :128] = BG  # two columns of empty glass
    add_slide(tmp_path, "B-1", classes, seed=1)
    tileset = cut_unlabelled(tmp_path)
    by_slide = tileset.table["slide"].value_counts()
    assert by_slide.to_dict() == {"A-1": 10 * 6, "B-1": 6 * 6}
    assert not tileset.labelled
    assert tileset.classes == ()
    assert tileset.table["class"].isna().all()
    assert set(tileset.table["patient"]) == {"A", "B"}
    x, y = places(tileset)[7]
    np.testing.assert_array_equal(tileset.pixels[7], image[y : y + 64, x : x + 64])
    report = read_report(qc_folder(tileset.folder))
    assert report.tiles() == {"tissue": 96}
    assert report.left_out() == {"too little tissue": {"tissue": 12}}
    assert not {"purity", "legend", "annotations"} & set(tileset.card.origin.options)


def test_slides_share_the_cap_of_an_unlabelled_cutting_evenly_whoever_they_are_of(cohort):
    tiles = cut_unlabelled(cohort, "capped", cap=41, seed=3)
    assert sorted(tiles.table["slide"].value_counts()) == [13, 14, 14]
    again = cut_unlabelled(cohort, "capped-again", cap=41, seed=3)
    other = cut_unlabelled(cohort, "capped-otherwise", cap=41, seed=4)
    same(tiles, again)
    assert tiles.fingerprint != other.fingerprint
    few = cut_unlabelled(cohort, "few", cap=None, cap_per_slide=5)
    assert few.table["slide"].value_counts().to_dict() == {"A-1": 5, "A-2": 5, "B-1": 5}


def test_a_cap_per_slide_limits_each_class_too(cohort):
    tiles = cut(cohort, "per-slide", cap_per_slide=4)
    assert tiles.table.groupby(["slide", "class"]).size().max() == 4


def test_annotations_without_a_legend_are_refused(cohort):
    with pytest.raises(DataError, match="`annotations` and `legend` go together"):
        cut_slides(cohort, cohort / "never", annotations=cohort / "masks", legend=None)


@pytest.mark.slow
def test_a_cluster_cuts_the_same_tiles(cohort, tmp_path, monkeypatch):
    slides = shutil.copytree(cohort, tmp_path / "cohort", ignore=shutil.ignore_patterns("tiles*", ".*"))
    (slides / "broken.svs").write_bytes(b"no slide")
    shutil.copy(next((slides / "masks").iterdir()), slides / "masks" / "broken_L.png")
    monkeypatch.chdir(tmp_path)
    words = ["tiles", "cut", "cohort", "--masks", "cohort/masks", "--legend", str(write_legend(slides))]
    words += ["--tile-px", "64", "--tissue", "0.3", "--cap", "40"]
    one = CliRunner().invoke(app, [*words, "-o", "one"])
    with LocalCluster(n_workers=2, processes=False, dashboard_address=":0", silence_logs="CRITICAL") as cluster:
        many = CliRunner().invoke(app, [*words, "-o", "many", "--scheduler", cluster.scheduler_address])
    assert (one.exit_code, many.exit_code) == (1, 1), many.output
    assert "error: cohort/broken.svs: " in many.stderr
    assert many.stderr == one.stderr
    for line in one.stdout.splitlines()[:-2]:  # but for the paths
        assert line in many.stdout
    same(TileSet.open(tmp_path / "many"), TileSet.open(tmp_path / "one"))
    assert TileSet.open("many").card.origin == TileSet.open("one").card.origin
    assert (tmp_path / "many" / "pixels.npy").read_bytes() == (tmp_path / "one" / "pixels.npy").read_bytes()
    reports = [read_report(qc_folder(tmp_path / name)) for name in ("one", "many")]
    assert reports[0] == reports[1]
    assert sorted(path.name for path in qc_folder(tmp_path / "many").glob("*.png")) == ["A-1.png", "A-2.png", "B-1.png"]
    assert not list(tmp_path.glob(".parts*"))


def test_threads_and_a_cluster_exclude_each_other(cohort, tmp_path):
    words = ["tiles", "cut", str(cohort), "--unlabelled", "-o", str(tmp_path / "tiles"), "--workers", "2"]
    done = CliRunner().invoke(app, [*words, "--scheduler", "local:2"])
    said = "error: --workers 2: omit it, since each worker of --scheduler uses its own threads\n"
    assert (done.exit_code, done.stderr) == (2, said)
    with pytest.raises(DataError, match="must be a number of threads, or a `Dask` cluster"):
        CutSettings(workers=Here())
