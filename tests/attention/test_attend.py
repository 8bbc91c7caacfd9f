"""Maps are what the networks give, measurements what the tiles and outlines give, and few tiles are held at a time."""

import json
import tracemalloc
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from distributed import LocalCluster
from PIL import Image
from typer.testing import CliRunner

from hviskd.attention import AttentionSettings, attending
from hviskd.attention.attending import attend
from hviskd.attention.attention_files import save_attention
from hviskd.attention.looking import CHANCE, EDGES, LookingJob, Piece
from hviskd.attention.maps import attention_maps
from hviskd.attention.overlap import measure_tile
from hviskd.attention.overlays import overlay
from hviskd.cli.app import app
from hviskd.errors import DataError, HviskdError, ModelError, RecipeError, RunningError
from hviskd.models import InputStep
from hviskd.progress import silent
from hviskd.running import Dask
from hviskd.tiles import ImportSettings, TileSet, TileSetWriter, TileSource, import_folder, new_card, split_tiles
from hviskd.tiles.card import Origin
from tests.counting import counting
from tests.html_tables import read_tables
from tests.models.make import make_model
from tests.slides.make import stained

PX = 64


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two classes, eight patients of three tiles, outlines of all tiles but one, and two Models."""
    folder = tmp_path_factory.mktemp("attend")
    rng = np.random.default_rng(0)
    listed = []
    for number in range(24):
        name, patient = f"tile{number}", f"p{number // 3}"
        for part in ("images", "masks"):
            (folder / part / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        picture = stained((PX, PX), 0.4 + 0.03 * number, 0.7, number)
        Image.fromarray(picture).save(folder / "images" / "ab"[number % 2] / f"{name}.png")
        mask = np.zeros((PX, PX), np.uint8)
        top, left = rng.integers(0, 40, 2)
        mask[top : top + 20, left : left + 20] = 255
        if number != 5:
            Image.fromarray(mask).save(folder / "masks" / "ab"[number % 2] / f"{name}.png")
        listed.append({"file": name, "patient": patient})
    pd.DataFrame(listed).to_csv(folder / "index.csv", index=False)
    settings = ImportSettings(mpp=0.5)
    tileset = import_folder(folder / "images", folder / "tiles", csv=folder / "index.csv", settings=settings)
    split_tiles(tileset)
    for seed in (0, 1):
        make_model(folder / f"model{seed}", classes=("b", "a"), seed=seed)  # in another order than the tiles'
    return folder


def load(place):
    from hviskd.models import load_model

    return [load_model(place / f"model{seed}") for seed in (0, 1)], TileSet.open(place / "tiles")


@pytest.mark.slow
def test_maps_are_those_of_each_tile_s_own_class(place, monkeypatch):
    monkeypatch.setattr(attending, "_BATCH", 5)  # not all tiles fit into one, and the last is not full
    models, tileset = load(place)
    found = attend(models, tileset, settings=AttentionSettings(split="train"))
    rows = tileset.rows("train")
    images = InputStep(models[0].card.normalisation)(torch.from_numpy(np.array(tileset.pixels[rows])))
    classes = [("b", "a").index(tileset.classes[label]) for label in tileset.labels[rows]]
    expected = attention_maps(models[0].network, images, torch.tensor(classes))
    np.testing.assert_allclose(found.maps[found.names[0]], expected.numpy(), rtol=1e-3, atol=1e-6)
    assert found.comparison is None
    assert "Dice" not in found._repr_html_()
    with pytest.raises(DataError, match="pass `annotations` to `attend`"):
        found.summary_table()
    assert any("another TileSet" in note for note in found.notes)


@pytest.mark.slow
def test_tiles_without_an_outline_are_left_out_and_every_other_is_measured(place):
    models, tileset = load(place)
    found = attend(models, tileset, annotations=place / "masks", settings=AttentionSettings(split="train"))
    rows = tileset.rows("train")
    files = tileset.table["file"].iloc[rows]
    left_out = int(files.str.contains("tile5.png").sum())
    assert len(found.files) == len(rows) - left_out
    table = found.comparison.tiles
    assert list(dict.fromkeys(table["model"])) == [*found.names, CHANCE, EDGES]
    one = table[table["model"] == found.names[1]].iloc[2]
    mask = np.asarray(Image.open(place / "masks" / found.files[2])) > 0
    for measure, value in measure_tile(found.scaled(found.names[1], 2), mask).items():
        assert one[measure] == pytest.approx(value)


def test_a_class_is_looked_for_in_its_own_tiles(place):
    models, tileset = load(place)
    found = attend(models[0], tileset, settings=AttentionSettings("train", class_name="b", kind="cam"))
    assert set(found.classes) == {"b"}
    assert len(found.files) == int((tileset.labels[tileset.rows("train")] == tileset.classes.index("b")).sum())


def test_mistakes(place, tmp_path):
    models, tileset = load(place)
    with pytest.raises(DataError, match="`class_name='c'`: no such class; choose one of a, b"):
        attend(models, tileset, settings=AttentionSettings(class_name="c"))
    with pytest.raises(ModelError, match="no model given"):
        attend([], tileset)
    for file in tileset.table["file"].iloc[tileset.rows("test")]:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        Image.new("L", (PX, PX)).save(tmp_path / file)
    with pytest.raises(DataError, match="every outline is empty"):
        attend(models, tileset, annotations=tmp_path)


@pytest.mark.slow
def test_the_verb_writes_maps_tables_and_pictures(place, tmp_path):
    out = tmp_path / "out"
    words = ["attend", str(place / "model0"), str(place / "model1"), "--tiles", str(place / "tiles")]
    words += ["--annotations", str(place / "masks"), "--split", "train", "-o", str(out)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    listed = pd.read_csv(out / "tiles.csv")
    maps = [np.load(path, allow_pickle=False) for path in sorted(out.glob("maps-*.npy"))]
    assert len(maps) == 2
    assert all(len(one) == len(listed) for one in maps)
    tests = pd.read_csv(out / "tests.csv")
    assert set(tests["model"]) == {"resnet8-drawn-2", CHANCE, EDGES}
    assert "| resnet8-drawn |" in (out / "attention.md").read_text()
    assert json.loads((out / "summary.json").read_text())["kind"] == "grad-cam"
    for picture in ("examples.png", "boxes.png"):
        assert min(Image.open(out / picture).size) > 300
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2
    assert "already exists" in again.output


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "saliency"}, "`kind='saliency'`: unknown; choose one of grad-cam, hires-cam, cam"),
        ({"stage": -1}, "`stage=-1`: must be at least 0"),
        ({"area_share": 0.0}, "`area_share=0.0`: must be above 0 and at most 1"),
        ({"level": 1.5}, "`level=1.5`: must be above 0 and at most 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, said):
    with pytest.raises(HviskdError, match=said):
        AttentionSettings(**settings)


def test_folders_stand_for_models_and_tiles(place):
    models, tileset = load(place)
    told = []
    found = attend(
        [place / "model0", str(place / "model1")], str(place / "tiles"), progress=lambda *call: told.append(call)
    )
    expected = attend(models, tileset)
    assert found.names == expected.names
    for name in found.names:
        np.testing.assert_array_equal(found.maps[name], expected.maps[name])
    assert told == [(len(found), len(found), "grad-cam of resnet8-drawn, resnet8-drawn-2")]


def many_tiles(folder, tiles):
    """A tile set of eight patients with an outline of each tile, all in test."""
    drawn, mask = stained((PX, PX), 0.7, 0.7, 1), np.zeros((PX, PX), np.uint8)
    mask[10:40, 10:40] = 255
    (folder / "masks").mkdir()
    with TileSetWriter(
        folder / "tiles", new_card(("a", "b"), tile_px=PX, mpp=0.5, origin=Origin(verb="test"))
    ) as writer:
        for number in range(tiles):
            drawn[0, 0] = (*divmod(number, 256), 0)
            Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
            source = TileSource(patient=f"p{number % 8}")
            writer.add(drawn, file=f"{number}.png", class_name="ab"[number % 2], source=source, split="test")
    return TileSet.open(folder / "tiles")


@pytest.mark.slow
def test_a_cluster_looks_at_the_same_tiles(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(attending, "_BATCH", 5)
    asked = (["model0", "model1"], "tiles"), {"annotations": "masks", "allow_leak": True, "progress": silent}
    here = attend(*asked[0], **asked[1])
    seen: list[object] = []
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs="CRITICAL") as cluster:
        running = Dask(cluster.scheduler_address, report=seen.append)
        there = attend(*asked[0], **asked[1], running=running)
        with pytest.raises(RecipeError, match="no such stage|only has stages"):
            attend(*asked[0], **asked[1], running=running, settings=AttentionSettings(stage=99))
    assert len(seen) == -(-len(here) // 5)
    for name, maps in here.maps.items():
        np.testing.assert_allclose(there.maps[name], maps, rtol=1e-5, atol=1e-7)
    pd.testing.assert_frame_equal(there.comparison.tiles, here.comparison.tiles)
    assert there.notes == here.notes


def test_a_worker_that_cannot_look_says_why_and_a_lost_piece_ends_the_comparison(place):
    models, tileset = load(place)
    job = LookingJob({"a": models[0]}, tileset, None, AttentionSettings(), "cpu").for_workers()
    assert job.obstacle() == ""
    assert "not a TileSet" in replace(job, tiles=place / "elsewhere").obstacle()
    with pytest.raises(RunningError, match="tiles 33 to 35: two workers died"):
        job.lost(Piece(32, np.arange(3), np.array(["p", "p", "q"])), "two workers died")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_tiles(place, tmp_path, monkeypatch):
    models, _ = load(place)
    # Pictures are made, not laid out and painted: that takes as much memory for any number of tiles, and most time.
    monkeypatch.setattr("hviskd.attention.attention_files.save_figure", lambda _figure, path: path.write_bytes(b""))
    peaks = {}
    for tiles in (48, 112):
        (tmp_path / str(tiles)).mkdir()
        tileset = many_tiles(tmp_path / str(tiles), tiles)
        counted = counting(tileset)
        tracemalloc.start()
        found = attend(models[0], counted, annotations=tmp_path / str(tiles) / "masks", allow_leak=True)
        save_attention(found, tmp_path / str(tiles) / "found", overlays=0)
        peaks[tiles] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(found) == tiles
        assert counted.pixels.most <= 32
    grown = (peaks[112] - peaks[48]) / (112 - 48)
    assert grown < PX * PX  # bytes a tile: less than its outline alone, and a third of its pixels


def test_an_overlay_is_the_tile_under_its_map_and_the_outline_a_line():
    rng = np.random.default_rng(0)
    tile = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    scaled = rng.random((8, 8)).astype(np.float32)
    outline = np.zeros((8, 8), bool)
    outline[2:7, 2:7] = True
    drawn = overlay(tile, scaled, outline)
    line = np.zeros((8, 8), bool)
    line[2:7, 2:7] = True
    line[3:6, 3:6] = False
    assert (drawn[line] == (0, 0xE5, 0xFF)).all()
    colour = np.array(mpl.colormaps["cividis"](float(scaled[0, 7]))[:3]) * 255
    np.testing.assert_allclose(drawn[0, 7], 0.45 * tile[0, 7] + 0.55 * colour, atol=1)
    assert (overlay(tile, scaled)[~line] == drawn[~line]).all()


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_single_tiles_are_drawn_for_each_model(place, tmp_path):
    models, tileset = load(place)
    found = attend(models, tileset, annotations=place / "masks", settings=AttentionSettings(split="train"))
    save_attention(found, tmp_path / "some", overlays=3)
    for name in found.names:
        pictures = sorted((tmp_path / "some" / "overlays" / name).iterdir())
        assert [int(path.name[:6]) for path in pictures] == [0, round((len(found.files) - 1) / 2), len(found.files) - 1]
        expected = overlay(found.tile(0), found.scaled(name, 0), found.outline(0))
        with Image.open(pictures[0]) as opened:
            assert (np.asarray(opened) == expected).all()
    header, *rows = read_tables(found._repr_html_())
    assert header == ["class", "file", "tile", *found.names]
    shown = [found.summary_table(), found.resemblance_table()]
    assert rows[3:] == [line for header, lines in shown for line in (header, *lines)]
    assert found._repr_html_().count("data:image/jpeg") == 3 * (1 + len(found.names))
    save_attention(found, tmp_path / "none", overlays=0)
    assert not (tmp_path / "none" / "overlays").exists()
