"""The slides of a viewer: keys that tell nothing and last, and files that are closed again."""

import shutil
import threading

import pytest

from hviskd.slides import CohortSlide
from hviskd.viewer import shelf
from hviskd.viewer.shelf import OpenSlides, put_up


def test_keys_are_the_same_in_every_run_and_hold_no_name(slides, tmp_path):
    found = [CohortSlide(path) for path in sorted(slides.iterdir())]
    keys = list(put_up(found))
    assert keys == list(put_up(found))
    assert len(set(keys)) == 3
    assert not [key for key in keys if set(key) - set("0123456789abcdef")]
    shutil.copytree(slides, tmp_path / "elsewhere")
    elsewhere = [CohortSlide(path) for path in sorted((tmp_path / "elsewhere").iterdir())]
    assert not set(put_up(elsewhere)) & set(keys)


def test_slides_whose_digests_are_equal_get_keys_of_their_own(slides, monkeypatch):
    monkeypatch.setattr(shelf, "place_digest", lambda _path: "0badf00d")
    found = put_up([CohortSlide(path) for path in sorted(slides.iterdir())])
    assert list(found) == ["0badf00d", "0badf00d-2", "0badf00d-3"]


def test_the_slide_longest_unused_is_closed_but_never_one_in_use(slides, tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "_MOST_OPEN", 2)
    copies = [shutil.copy(slides / "two.svs", tmp_path / f"{number}.svs") for number in range(4)]
    shelved = list(put_up([CohortSlide(tmp_path / copy) for copy in copies]).values())
    opened = OpenSlides()
    with opened.reading(shelved[0]) as first:
        others = []
        for which in shelved[1:]:
            with opened.reading(which) as other:
                others.append(other)
        for slide in (first, others[-1]):
            assert slide.read(0, 0, 4, 4).shape == (4, 4, 3)
        for slide in others[:-1]:
            with pytest.raises(ValueError, match="is closed"):
                slide.read(0, 0, 4, 4)
    opened.close()
    with pytest.raises(ValueError, match="is closed"):
        first.read(0, 0, 4, 4)


def test_a_slide_is_opened_once_however_many_ask_for_it(slides, monkeypatch):
    count, real = [], shelf.open_slide
    monkeypatch.setattr(shelf, "open_slide", lambda *given, **named: (count.append(1), real(*given, **named))[1])
    (which,) = put_up([CohortSlide(slides / "one.svs")]).values()
    opened = OpenSlides()

    def read():
        with opened.reading(which) as slide:
            slide.read(0, 0, 64, 64)

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == [1]
    opened.close()
