"""Opening what is no slide, and finding slides."""

import pytest
from PIL import Image

from hviskd.errors import DataError
from hviskd.pictures import new_figure, save_figure
from hviskd.slides import find_slides, open_slide
from hviskd.slides.opening import is_flat
from tests.slides.make import patterned, write_svs


def test_a_missing_file_a_folder_and_an_empty_file_are_told_apart(tmp_path):
    (tmp_path / "empty.svs").touch()
    with pytest.raises(DataError, match="no such file"):
        open_slide(tmp_path / "missing.svs")
    with pytest.raises(DataError, match="a folder, not a slide"):
        open_slide(tmp_path)
    with pytest.raises(DataError, match="empty"):
        open_slide(tmp_path / "empty.svs")


@pytest.mark.parametrize("name", ["slide.svs", "slide.ndpi", "slide.mrxs", "slide.dcm"])
def test_what_is_no_slide_is_refused_in_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x07" * 5000)
    with pytest.raises(DataError, match="damaged or not a slide") as caught:
        open_slide(path, slide_mpp=0.5)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mirax_file_without_its_folder_is_not_opened_as_the_picture_it_is(tmp_path):
    Image.fromarray(patterned(100, 100)).save(tmp_path / "slide.jpg")
    (tmp_path / "slide.jpg").rename(tmp_path / "slide.mrxs")
    with pytest.raises(DataError, match="the folder of the same name must be beside it"):
        open_slide(tmp_path / "slide.mrxs", slide_mpp=0.5)


def test_a_slide_and_a_picture_are_told_apart(tmp_path):
    write_svs(tmp_path / "slide.svs", patterned(300, 300))
    Image.fromarray(patterned(100, 100)).save(tmp_path / "tile.png")
    assert not is_flat(tmp_path / "slide.svs")
    assert is_flat(tmp_path / "tile.png")


def test_folders_and_files_become_slides(tmp_path):
    for name in ("b.svs", "a.NDPI", "notes.txt", ".hidden.svs", "deep/c.jpg", "dicom/1.dcm", "dicom/2.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def names(paths, **options):
        return [path.relative_to(tmp_path).as_posix() for path in find_slides(paths, **options)]

    assert names([tmp_path]) == names(tmp_path) == names(str(tmp_path)) == ["a.NDPI", "b.svs"]
    assert names([tmp_path], recursive=True) == ["a.NDPI", "b.svs", "deep/c.jpg", "dicom/1.dcm"]
    (tmp_path / "lost.svs").symlink_to("nowhere")  # it will fail by itself, and be named
    assert names([tmp_path]) == ["a.NDPI", "b.svs", "lost.svs"]
    (tmp_path / "lost.svs").unlink()
    assert names([tmp_path / "notes.txt"]) == ["notes.txt"]
    assert names([tmp_path / "b.svs", tmp_path, tmp_path / "deep"]) == ["b.svs", "a.NDPI", "deep/c.jpg"]


def test_nothing_found_is_said(tmp_path):
    (tmp_path / "deep").mkdir()
    with pytest.raises(DataError, match="contains no slides .*`recursive=True`"):
        find_slides([tmp_path])
    with pytest.raises(DataError, match="no such file or folder"):
        find_slides([tmp_path / "elsewhere"])


def test_masks_and_results_beside_slides_are_no_slides(tmp_path):
    for name in (
        "a.svs",
        "a_L.png",
        "b.1.jpg",
        "b.1_mask.PNG",
        "c_L.png",
        "maps/a/overview.png",
        "sub/d.tif",
        "_L.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "maps" / "a" / "map.npz").touch()
    save_figure(new_figure(1, 1), tmp_path / "a.svs.png")
    new_figure(1, 1).savefig(tmp_path / "x.png")  # somebody else's, perhaps a section
    found = find_slides([tmp_path], recursive=True)
    assert [path.name for path in found] == ["_L.jpg", "a.svs", "b.1.jpg", "c_L.png", "d.tif", "x.png"]
    assert find_slides([tmp_path / "a_L.png"]) == [tmp_path / "a_L.png"]  # named by the user, it is taken as it is
