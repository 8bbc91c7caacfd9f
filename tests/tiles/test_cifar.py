"""A local copy of CIFAR-100 becomes a TileSet with its own test split, and says that its pictures are of no patient."""

import gzip
import io
import shutil
import tarfile

import numpy as np
import pytest
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError
from hviskd.tiles import TileSet, check_leak, cifar, import_cifar, split_tiles
from tests.tiles.cifar_samples import (
    COARSE,
    FINE,
    pack,
    part,
    pictures,
    python_2_pickle,
    write_binary_cifar,
    write_cifar,
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cifar")
    return pack(write_cifar(folder), folder / "cifar-100-python.tar.gz")


@pytest.fixture(scope="module")
def tileset(archive, tmp_path_factory):
    return import_cifar(archive, tmp_path_factory.mktemp("tiles") / "cifar100")


def test_pictures_labels_and_names_are_those_of_the_archive(tileset):
    assert (tileset.classes, tileset.tile_px, tileset.mpp) == (FINE, 32, None)
    for part_name, images in (("train", pictures(80, 1)), ("test", pictures(20, 2))):
        for number, image in enumerate(images):
            row = int(np.flatnonzero(tileset.table["file"] == f"{part_name}/{number:05d}")[0])
            np.testing.assert_array_equal(tileset.pixels[row], image)
            assert tileset.labels[row] == number % 4


def test_test_stays_and_val_is_a_tenth_of_every_class_of_train(tileset):
    parts = tileset.table["file"].str.partition("/")[0]
    assert set(parts[tileset.rows("test")]) == {"test"}
    assert [len(tileset.rows(split)) for split in ("train", "val", "test")] == [72, 8, 20]
    assert np.bincount(tileset.labels[tileset.rows("val")]).tolist() == [2, 2, 2, 2]
    expected = {"by": "random", "seed": 0, "val": 0.1, "keep_test": True, "test_by": "archive"}
    assert tileset.split_record == expected


def test_the_seed_draws_val(archive, tmp_path):
    one, again, other = (import_cifar(archive, tmp_path / n, seed=s) for n, s in (("a", 3), ("b", 3), ("c", 4)))
    assert one.split_fingerprint == again.split_fingerprint != other.split_fingerprint
    assert one.fingerprint == other.fingerprint
    told = []
    without = import_cifar(archive, tmp_path / "none", val=0, progress=lambda *step: told.append(step))
    assert len(without.rows("val")) == 0
    assert told[-1] == (100, 100, "importing")


def test_it_says_that_the_pictures_are_of_no_patient(tileset):
    report = check_leak(tileset)
    assert not report.leaks
    assert "photographs of no patient" in report.statement
    assert "near-duplicates are not searched for" in report.statement
    assert tileset.card.origin.photographs
    assert tileset.table[["patient", "slide"]].isna().all(axis=None)


def test_the_statement_holds_for_a_later_split_too(tileset, tmp_path):
    other = split_tiles(TileSet.open(shutil.copytree(tileset.folder, tmp_path / "copy")), by="random", seed=9)
    assert "photographs of no patient" in check_leak(other).statement


def test_archive_folder_and_npz_give_the_same_tiles(archive, tileset, tmp_path):
    inner = write_cifar(tmp_path)
    labels = np.arange(80) % 4
    np.savez(
        tmp_path / "mine.npz", images=pictures(80, 1), labels=labels, classes=np.array(FINE),
        test_images=pictures(20, 2), test_labels=labels[:20].astype(np.uint8),
    )  # fmt: skip
    plain = pack(inner, tmp_path / "plain.tar", "w")
    for number, source in enumerate((inner, tmp_path, plain, tmp_path / "mine.npz")):
        same = import_cifar(source, tmp_path / f"set-{number}")
        assert same.split_fingerprint == tileset.split_fingerprint


def test_the_binary_version_gives_the_same_tiles_without_a_pickle(tileset, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "read_plain_pickle", None)
    inner = write_binary_cifar(tmp_path)
    archive = pack(inner, tmp_path / "cifar-100-binary.tar.gz")
    for number, source in enumerate((inner, tmp_path, archive)):
        same = import_cifar(source, tmp_path / f"set-{number}")
        assert same.split_fingerprint == tileset.split_fingerprint
    assert import_cifar(inner, tmp_path / "coarse", coarse=True).classes == COARSE


def test_an_npz_may_do_without_test(tmp_path):
    np.savez(tmp_path / "x.npz", images=pictures(40, 1)[:, :16, :16], labels=np.arange(40) % 2, classes=["a", "b"])
    tileset = import_cifar(tmp_path / "x.npz", tmp_path / "set", val=0.25)
    assert (tileset.tile_px, len(tileset.rows("train")), len(tileset.rows("val"))) == (16, 30, 10)
    assert tileset.split_record == {"by": "random", "seed": 0, "val": 0.25}


def test_the_superclasses_are_there_for_the_asking(archive, tmp_path):
    coarse = import_cifar(archive, tmp_path / "set", coarse=True)
    assert coarse.classes == COARSE
    assert np.bincount(coarse.labels).tolist() == [50, 50]


def test_a_train_picture_that_is_in_test_is_left_out_and_doubles_in_train_stay_together(tmp_path):
    images = pictures(80, 1)
    images[7] = pictures(20, 2)[3]
    images[40:60] = images[20]
    inner = write_cifar(tmp_path, train=part(images, [0] * 80))
    tileset = import_cifar(inner, tmp_path / "set", val=0.3)
    assert not check_leak(tileset).leaks
    assert tileset.card.origin.dropped == {"identical to a test image": 1}
    assert tileset.card.origin.dropped_files == ("train/00007: identical to a test image",)
    assert len(tileset.rows("test")) == 20


def missing(folder):
    (write_cifar(folder) / "meta").unlink()
    return folder


def damaged(folder):
    archive = pack(write_cifar(folder), folder / "a.tar.gz")
    archive.write_bytes(archive.read_bytes()[:100_000])
    return archive


def a_bomb(folder):
    archive = folder / "a.tar.gz"
    with gzip.open(archive, "wb", compresslevel=1) as stream:
        header = tarfile.TarInfo("cifar-100-python/train")
        header.size = 2**33
        stream.write(header.tobuf())
        for _ in range(260):
            stream.write(bytes(2**20))
    return archive


def a_giant(folder):
    with (write_cifar(folder) / "train").open("r+b") as stream:
        stream.truncate(2**29)
    return folder


def a_link(folder):
    with tarfile.open(folder / "a.tar", "w") as stream:
        for name in ("train", "test", "meta"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            stream.addfile(entry)
    return folder / "a.tar"


def a_program(folder):
    return write_cifar(folder, meta=b"cos\nsystem\n(S'touch run'\ntR.")


def other_labels(folder):
    return write_cifar(folder, train=part(pictures(4, 1), [0, 1, 2, 4]))


def too_few_labels(folder):
    return write_cifar(folder, train=part(pictures(4, 1), [0, 1, 2]))


def small_pictures(folder):
    content = part(pictures(4, 1), [0, 1, 2, 3])
    return write_cifar(folder, train=content | {"data": content["data"][:, :3000].copy()})


def no_names(folder):
    return write_cifar(folder, meta=python_2_pickle({"label_names": ["a", "b"]}))


def half_a_picture(folder):
    return write_binary_cifar(folder, **{"train.bin": bytes(1000)})


def a_label_too_high(folder):
    return write_binary_cifar(folder, **{"test.bin": b"\0\4" + bytes(3072)})


def one_name(folder):
    return write_binary_cifar(folder, **{"fine_label_names.txt": b"apple\n"})


def npz(**arrays):
    def write(folder):
        given = {"images": pictures(4, 1), "labels": np.arange(4) % 2, "classes": np.array(["a", "b"])} | arrays
        np.savez(folder / "x.npz", **{name: value for name, value in given.items() if value is not None})
        return folder / "x.npz"

    return write


def a_text(folder):
    (folder / "a.tar.gz").write_text("hello")
    return folder / "a.tar.gz"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "nothing", "nothing: no such file"),
        (missing, "lacks meta"),
        (damaged, "not a readable archive"),
        (a_bomb, "more than 256 MiB"),
        (a_giant, "more than 256 MiB"),
        (a_link, "lacks meta and test and train"),
        (a_text, "not a readable archive"),
        (a_program, "meta: not a pickle of plain data"),
        (other_labels, "from 0 to 3"),
        (too_few_labels, "not have one label per image"),
        (small_pictures, "no images of 32 × 32 px"),
        (no_names, "has no class names"),
        (half_a_picture, "train.bin: contains no images of 32 × 32 px"),
        (a_label_too_high, "test.bin: labels must be integers from 0 to 3"),
        (one_name, "fine_label_names.txt: has no class names"),
        (npz(labels=None), "lacks labels"),
        (npz(classes=None), "lacks classes"),
        (npz(labels=np.array([0, 1, 2, 0])), "from 0 to 1"),
        (npz(labels=np.array([0, 1, 0, 0.5])), "must be integers"),
        (npz(images=np.zeros((4, 32, 32, 3), np.float32)), "need uint8"),
        (npz(images=np.zeros((4, 32, 30, 3), np.uint8)), "need uint8"),
        (npz(images=np.array([{}], dtype=object)), "not a readable .npz"),
        (npz(test_images=pictures(2, 3)), "not have one label per image"),
        (npz(test_images=pictures(2, 3)[:, :8, :8], test_labels=np.arange(2)), "different sizes"),
        (npz(test_images=pictures(4, 1), test_labels=np.arange(4) % 2), "every training image is also a test image"),
    ],
)
def test_what_is_no_cifar_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, make, said):
    (tmp_path / "in").mkdir()
    source = make(tmp_path / "in")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    done = CliRunner().invoke(app, ["tiles", "import-cifar", str(source), "-o", "set"])
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [({"val": 1.0}, "`val=1.0`"), ({"val": float("nan")}, "`val=nan`"), ({"seed": -1}, "`seed=-1`")],
)
def test_options_that_mean_nothing_are_refused(archive, tmp_path, options, said):
    with pytest.raises(DataError, match=said):
        import_cifar(archive, tmp_path / "set", **options)
    np.savez(tmp_path / "x.npz", images=pictures(2, 1), labels=np.arange(2), classes=["a", "b"])
    with pytest.raises(DataError, match="`coarse=True`"):
        import_cifar(tmp_path / "x.npz", tmp_path / "set", coarse=True)


def test_only_plain_files_of_an_archive_are_read(tmp_path, archive, tileset):
    """Files beside the three are passed over, wherever they would lie."""
    with tarfile.open(archive) as source, tarfile.open(tmp_path / "a.tar", "w") as target:
        stray = tarfile.TarInfo("../../evil")
        stray.size = 4
        target.addfile(stray, io.BytesIO(b"evil"))
        for member in source.getmembers():
            target.addfile(member, source.extractfile(member))
    assert import_cifar(tmp_path / "a.tar", tmp_path / "set").fingerprint == tileset.fingerprint
    assert not (tmp_path.parent.parent / "evil").exists()


def test_the_verb_says_what_it_made(archive, tmp_path):
    words = [
        "tiles",
        "import-cifar",
        str(archive),
        "-o",
        str(tmp_path / "set"),
        "--val",
        "0.25",
        "--licence",
        "unknown",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    for said in ("apple", "photographs of no patient", f"wrote {tmp_path / 'set'}"):
        assert said in done.stdout
    assert TileSet.open(tmp_path / "set").card.origin.licence == "unknown"
    assert CliRunner().invoke(app, words).exit_code == 2
    assert CliRunner().invoke(app, [*words, "--overwrite"]).exit_code == 0
    assert "hviskd tiles import-cifar " in CliRunner().invoke(app, ["tiles", "import-cifar", "--help"]).stdout
