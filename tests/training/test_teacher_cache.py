"""What is stored of a teacher: the same training as with the teacher itself, whatever happens to the files."""

import errno
import gc
import json
import os
import re
import signal
import weakref

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.distillation import Reads
from hviskd.errors import DataError, OutputError, RecipeError
from hviskd.models import load_model
from hviskd.progress import silent
from hviskd.tiles import TileSet
from hviskd.training import Teaching, load_recipe, train
from hviskd.training.growing_arrays import GrowingArray, RowReader
from hviskd.training.teacher_cache import Source, TeacherCache
from hviskd.training.varied_views import told_views, views_of
from tests.conftest import STRIDE
from tests.processes import start, wait_until

QUICK = {"network": "resnet8", "network_arguments": STRIDE, "epochs": 3, "batch_size": 16, "learning_rate": 0.005}
READS = Reads(embedding=True, pooled=frozenset({1, "last"}), regions=frozenset({(3, 2)}))
CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("without_curves")


@pytest.fixture(scope="module")
def teacher_run(tileset, tmp_path_factory, without_curves):
    recipe = load_recipe(None, QUICK | {"epochs": 2, "batch_size": 8, "learning_rate": 0.01}, role="teacher")
    return train(recipe, tileset, tmp_path_factory.mktemp("runs") / "teacher", progress=silent)


@pytest.fixture(scope="module")
def teacher(teacher_run):
    return teacher_run.chosen()


def recipe_of(**changes):
    return load_recipe(None, QUICK | changes, role="distilled student")


def source_of(tileset, **changes):
    recipe, rows = recipe_of(**changes), tileset.rows("train")
    return Source(tileset, rows, views_of(recipe, len(rows)), told_views(recipe))


def cache_of(home, teacher, tileset, reads=READS, precision="float32", **changes):
    return TeacherCache(home, teacher, source_of(tileset, **changes), reads, precision)


@pytest.fixture(scope="module")
def filled(teacher, tileset, tmp_path_factory):
    home = tmp_path_factory.mktemp("caches")
    cache_of(home, teacher, tileset).prepare(CPU, silent)
    return home


def test_it_holds_what_the_teacher_says_of_every_view(filled, teacher, tileset):
    cache = cache_of(filled, teacher, tileset)
    assert cache.missing == []
    cache.prepare(CPU, silent)
    index, view = torch.tensor([5, 0, 71, 38]), torch.tensor([0, 3, 7, 6])
    stored = cache.read(index, view, CPU)
    tiles = tileset.pixels[tileset.rows("train")[index.numpy()]]
    for place, number in enumerate(view.tolist()):
        turned = tiles[place].transpose(1, 0, 2) if number & 1 else tiles[place]
        turned = turned[:, ::-1] if number & 2 else turned
        turned = turned[::-1] if number & 4 else turned
        scaled = (turned / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        with torch.no_grad():
            trace = teacher.network.trace(torch.from_numpy(scaled.transpose(2, 0, 1)).float()[None])
        close = {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(stored.logits[place], trace.logits[0], **close)
        torch.testing.assert_close(stored.embedding[place], trace.embedding[0], **close)
        torch.testing.assert_close(stored.means[1][place], trace.stages[1][0].mean(dim=(1, 2)), **close)
        cells = trace.stages[3][0].unflatten(1, (2, -1)).unflatten(3, (2, -1)).mean(dim=(2, 4))
        torch.testing.assert_close(stored.cells[3, 2][place], cells, **close)
    assert torch.equal(stored.class_weights, teacher.network.head.classifier.weight)
    with pytest.raises(LookupError, match="reads"):
        stored.stages  # noqa: B018


def test_an_open_cache_keeps_no_weights_of_the_teacher(filled, teacher_run, tileset):
    model = load_model(teacher_run)
    network = weakref.ref(model.network)
    cache = cache_of(filled, model, tileset)
    cache.prepare(CPU, silent)
    del model
    gc.collect()
    assert network() is None
    assert cache.read(torch.tensor([0]), torch.tensor([0]), CPU).logits.shape == (1, len(tileset.classes))


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"stain_jitter": 0.2, "cache_views": 3}], ids=["eight views", "three views"])
def test_a_training_ends_as_with_the_teacher_itself(teacher, tileset, tmp_path, monkeypatch, changes):
    recipe = recipe_of(epochs=2, **changes)
    live = train(recipe, tileset, tmp_path / "live", teacher=Teaching(teacher, cache=False), progress=silent)
    home = tmp_path / "caches"
    train(recipe_of(epochs=1, **changes), tileset, tmp_path / "first", teacher=Teaching(teacher, True, home))

    passes = []
    hook = teacher.network.stem.register_forward_pre_hook(lambda _, given: passes.append(given[0].device.type))
    monkeypatch.setattr(TeacherCache, "_check", lambda *_: None)
    stored = train(recipe, tileset, tmp_path / "stored", teacher=Teaching(teacher, True, home), progress=silent)
    hook.remove()
    assert "cpu" not in passes  # on "meta" its shapes are looked up
    ours, theirs = (load_file(run.folder / "model-last" / "weights.safetensors") for run in (stored, live))
    for name, weight in ours.items():
        # Rounding differs with the batch that a tile is in, and 8 steps make more of it.
        torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=5e-3)
    assert stored.log["loss_total"][0] == pytest.approx(live.log["loss_total"][0], rel=1e-5)
    np.testing.assert_allclose(stored.log["loss_total"], live.log["loss_total"], rtol=1e-4)
    assert "stored for" in stored.card["teacher"]
    assert "stored" not in live.card.get("teacher", "")


def test_a_filling_that_stopped_goes_on_where_it_was(teacher, tileset, tmp_path, monkeypatch):
    monkeypatch.setattr("hviskd.training.teacher_cache.tiles_on_cpu", lambda _: 8)

    def stop(done, total, what):
        if done > 3 * 8 * 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache_of(tmp_path, teacher, tileset).prepare(CPU, stop)
    cache = cache_of(tmp_path, teacher, tileset)
    assert cache.missing
    with (cache.folder / "logits.npy.partial").open("ab") as stream:
        stream.write(b"half a row")
    told, said = [], []
    cache.prepare(CPU, lambda done, _, what: (told.append(done), said.append(what)))
    assert re.search(r"[0-9] MiB on the disk, in about 0:0[0-9]:[0-9]{2}$", said[1 + 8])  # after the first batch
    assert told[0] == 3 * 8 * 8
    assert told[-1] == 72 * 8
    assert not list(cache.folder.glob("*.partial"))


def fill_and_die(home, teacher, tiles):
    def die(done, total, what):
        if done > 300:
            os.kill(os.getpid(), signal.SIGKILL)

    cache_of(home, load_model(teacher), TileSet.open(tiles)).prepare(CPU, die)


@pytest.mark.slow
def test_one_process_waits_for_another_and_goes_on_where_it_was_killed(filled, teacher, tileset, tmp_path):
    process = start(fill_and_die, tmp_path, teacher.folder, tileset.folder)
    cache = cache_of(tmp_path, teacher, tileset)
    wait_until((cache.folder / "logits.npy.partial").is_file, process)
    seen = []
    cache.prepare(CPU, lambda done, *_: seen.append(done))
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert seen[0] == 300 - 300 % (16 * 8)
    whole = cache_of(filled, teacher, tileset).folder
    for name in ("logits", "embedding", "pooled-1", "pooled-last", "regions-3-2"):
        np.testing.assert_array_equal(np.load(cache.folder / f"{name}.npy"), np.load(whole / f"{name}.npy"))


def test_what_was_stored_for_a_method_stays_when_another_comes_before_it_is_complete(teacher, tileset, tmp_path):
    def stop(done, total, what):
        if done > 48 * 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache_of(tmp_path, teacher, tileset, reads=Reads()).prepare(CPU, stop)
    cache = cache_of(tmp_path, teacher, tileset, reads=Reads(embedding=True))
    assert cache.missing_bytes < 72 * 8 * 4 * (3 + 64) - 48 * 8 * 4 * 3
    cache.prepare(CPU, silent)
    again = cache_of(tmp_path / "other", teacher, tileset, reads=Reads(embedding=True))
    again.prepare(CPU, silent)
    for name in ("logits", "embedding"):
        np.testing.assert_array_equal(np.load(cache.folder / f"{name}.npy"), np.load(again.folder / f"{name}.npy"))


def test_another_method_adds_only_what_it_reads(filled, teacher, tileset):
    cache = cache_of(filled, teacher, tileset, reads=READS | Reads(pooled=frozenset({2})))
    assert cache.missing == ["pooled-2"]
    assert cache.missing_bytes == 72 * 8 * 32 * 4
    before = (cache.folder / "logits.npy").stat().st_mtime_ns
    cache.prepare(CPU, silent)
    assert cache.read(torch.tensor([1]), torch.tensor([1]), CPU).means[2].shape == (1, 32)
    assert (cache.folder / "logits.npy").stat().st_mtime_ns == before


def test_other_tiles_teachers_views_and_precisions_have_their_own(filled, teacher, teacher_run, tileset):
    own = cache_of(filled, teacher, tileset).folder
    others = [
        cache_of(filled, teacher_run.last(), tileset),
        cache_of(filled, teacher, tileset, precision="float16"),
        cache_of(filled, teacher, tileset, augmentation="none"),
        cache_of(filled, teacher, tileset, stain_jitter=0.1, cache_views=8),
    ]
    assert len({own, *(other.folder for other in others)}) == 5
    assert others[2].views == 1


def test_half_precision_takes_half_the_room_and_is_close(filled, teacher, tileset):
    halves, whole = cache_of(filled, teacher, tileset, precision="float16"), cache_of(filled, teacher, tileset)
    halves.prepare(CPU, silent)
    whole.prepare(CPU, silent)
    sizes = [(cache.folder / "regions-3-2.npy").stat().st_size for cache in (halves, whole)]
    assert sizes[0] < 0.51 * sizes[1]
    index, view = torch.arange(20), torch.arange(20) % 8
    ours, theirs = (cache.read(index, view, CPU) for cache in (halves, whole))
    assert torch.equal(ours.logits, theirs.logits)
    torch.testing.assert_close(ours.cells[3, 2], theirs.cells[3, 2], rtol=1e-3, atol=1e-3)
    assert ours.cells[3, 2].dtype == torch.float32


def damaged(teacher, tileset, tmp_path, change):
    cache = cache_of(tmp_path, teacher, tileset, reads=Reads())
    cache.prepare(CPU, silent)
    change(cache.folder)
    return cache_of(tmp_path, teacher, tileset, reads=Reads())


def scramble(folder):
    content = np.load(folder / "logits.npy")
    np.save(folder / "logits.npy", content[::-1])


def cut_off(folder):
    path = folder / "logits.npy"
    path.write_bytes(path.read_bytes()[:-8])


def exchange_card(folder):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"weights": "another"}))


@pytest.mark.parametrize("change", [scramble, cut_off, exchange_card])
def test_a_cache_that_is_not_this_teachers_is_refused(teacher, tileset, tmp_path, change):
    with pytest.raises(DataError, match="delete the folder"):
        damaged(teacher, tileset, tmp_path, change).prepare(CPU, silent)


def test_a_full_disk_is_one_line_and_nothing_looks_finished(teacher, tileset, tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(GrowingArray, "append", full)
    cache = cache_of(tmp_path, teacher, tileset)
    with pytest.raises(OutputError, match="No space left.*without the cache"):
        cache.prepare(CPU, silent)
    assert cache.missing == ["logits", "embedding", "pooled-1", "pooled-last", "regions-3-2"]


def test_what_cannot_be_stored_runs_live_and_says_why(teacher, tileset, tmp_path):
    def noted(teaching, **changes):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        run = train(recipe_of(**{"epochs": 1} | changes), tileset, folder, teacher=teaching, progress=silent)
        return run.card.get("teacher", "")

    home = tmp_path / "caches"
    assert "methods.at needs more of it" in noted(Teaching(teacher, cache_folder=home), methods="at")
    assert "no more than the 8 views" in noted(Teaching(teacher, cache_folder=home))
    assert "cache_views" in noted(Teaching(teacher, cache_folder=home), stain_jitter=0.1)
    small = Teaching(teacher, cache_folder=home, cache_gb=1e-6)
    assert "larger than" in noted(small, augmentation="none", epochs=2)
    assert not home.exists()
    in_the_way = tmp_path / "a file"
    in_the_way.touch()
    with pytest.raises(OutputError, match="a file.*cannot be written"):
        noted(Teaching(teacher, True, in_the_way), augmentation="none")
    told = noted(Teaching(teacher, cache_folder=in_the_way), augmentation="none", epochs=2)
    assert "runs at every step" in told
    assert "cannot be written" in told
    with pytest.raises(RecipeError, match="`cache=True`.*methods.at"):
        noted(Teaching(teacher, True, home), methods="at")
    with pytest.raises(DataError, match="raise `cache_gb`"):
        noted(Teaching(teacher, True, home, cache_gb=1e-6))
    with pytest.raises(DataError, match="cache_gb=0"):
        Teaching(teacher, cache_gb=0)
    with pytest.raises(DataError, match="float32"):
        Teaching(teacher, cache_precision="int8")


def test_a_method_that_remembers_all_tiles_insists_on_the_cache(teacher, tileset, tmp_path):
    recipe = recipe_of(methods="memory", epochs=1)  # fewer than views, for which nothing else would be stored
    teaching = Teaching(teacher, cache_folder=tmp_path / "caches")
    run = train(recipe, tileset, tmp_path / "run", teacher=teaching, progress=silent)
    assert "stored for 8 views" in run.card["teacher"]
    assert 0 < run.log["loss_memory"][0] < 3
    with pytest.raises(RecipeError, match=r"`cache=False`: methods\.memory"):
        train(recipe, tileset, tmp_path / "live", teacher=Teaching(teacher, False), progress=silent)
    beside_maps = recipe_of(methods={"memory": {}, "at": {}}, epochs=1)
    with pytest.raises(RecipeError, match=r"methods\.memory: methods\.at needs more"):
        train(beside_maps, tileset, tmp_path / "maps", teacher=Teaching(teacher), progress=silent)


@pytest.mark.slow
def test_the_verb_stores_and_says_so(teacher, tileset, tmp_path):
    words = ["distill", str(tileset.folder), "--teacher", str(teacher.folder), "--network", "resnet8", "--epochs", "1"]
    words += ["--batch-size", "16", "--cache", "--cache-folder", str(tmp_path / "caches"), "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "stored for 8 views of each tile (float32)" in result.output
    refused = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "other"), "--method", "at"])
    assert refused.exit_code == 2
    assert "--cache: methods.at needs" in refused.output


def test_an_array_grows_row_by_row_and_is_numpys(tmp_path):
    content = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    path = tmp_path / "a.npy"
    with GrowingArray(path, content.shape, content.dtype) as array:
        array.append(content[:3])
    with GrowingArray(path, content.shape, content.dtype) as array:
        assert array.rows == 3
    with (tmp_path / "a.npy.partial").open("ab") as stream:
        stream.write(b"half a row")
    with GrowingArray(path, content.shape, content.dtype) as array:
        array.tidy()
        array.append(content[3:])
        assert not path.exists()
        array.finish()
    np.testing.assert_array_equal(np.load(path), content)
    reader = RowReader(path, content.shape, content.dtype)
    np.testing.assert_array_equal(reader.read([(3, 1), (0, 0)]), content[[3, 0], [1, 0]])
    os.truncate(path, path.stat().st_size - 4)
    with pytest.raises(DataError, match="cut off while it was in use"):
        reader.read([(0, 0), (3, 1)])
    reader.close()
    with pytest.raises(DataError, match="damaged"):
        RowReader(path, (5, 2, 3), content.dtype)
    with GrowingArray(tmp_path / "a.npy", (9, 9), content.dtype) as other:  # of another shape: from its first row
        assert other.rows == 0
