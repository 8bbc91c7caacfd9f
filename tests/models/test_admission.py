"""A Model is given no tiles but those it reads; who teaches must agree with the student in more."""

from dataclasses import replace

import numpy as np
import pytest

from hviskd.errors import ModelError
from hviskd.models import Normalisation
from hviskd.models.admission import acquaintance, cautions, require_fit
from hviskd.tiles import TileSet, TileSetWriter, new_card
from hviskd.tiles.card import Origin


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Tiles as the Model `model` reads them: four classes, 64 px, 0.5 µm/px."""
    folder = tmp_path_factory.mktemp("tiles") / "tiles"
    card = new_card(tuple("abcd"), tile_px=64, mpp=0.5, origin=Origin(verb="test"))
    with TileSetWriter(folder, card) as writer:
        for number, name in enumerate("abcd"):
            writer.add(np.full((64, 64, 3), number, np.uint8), file=name, class_name=name)
    return TileSet.open(folder)


def changed(model, **facts):
    return replace(model, card=model.card.model_copy(update=facts))


def test_a_model_and_a_teacher_take_the_tiles_they_read(model, tiles):
    require_fit(model, tiles)
    require_fit(model, tiles, as_teacher=True)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"classes": ("d", "c", "b", "a")}, "its classes have the order d, c, b, a, those of the tiles a, b"),
        ({"normalisation": Normalisation(mean=(0, 0, 0), deviation=(1, 1, 1))}, "normalises its input differently"),
        ({"mpp": 0.25}, "was trained at 0.25 µm/px, but these tiles have 0.5 µm/px"),
    ],
)
def test_what_a_measurement_may_differ_in_a_teacher_may_not(model, tiles, facts, says):
    odd = changed(model, **facts)
    require_fit(odd, tiles)
    with pytest.raises(ModelError, match=f"^teacher resnet8 drawn: {says}"):
        require_fit(odd, tiles, as_teacher=True)


@pytest.mark.parametrize("mpp", [0.49, 0.51, None])
def test_a_scale_as_good_as_the_same_is_the_same(model, tiles, mpp):
    require_fit(changed(model, mpp=mpp), tiles, as_teacher=True)


@pytest.mark.parametrize(("icc", "says"), [(False, []), (True, ["trained on tiles converted to sRGB by ICC profile"])])
def test_colours_read_in_another_way_are_remarked_on(model, tiles, icc, says):
    said = cautions([changed(model, icc=icc)], ["student"], tiles, "test", allow_leak=True)
    assert [remark.removeprefix("student: ").split(",")[0] for remark in said if "ICC" in remark] == says


@pytest.mark.parametrize("as_teacher", [False, True])
def test_other_classes_and_sizes_are_refused_for_whatever_they_are_asked(model, tiles, as_teacher):
    with pytest.raises(ModelError, match="only the model has e; only the tiles have d"):
        require_fit(changed(model, classes=("a", "b", "c", "e")), tiles, as_teacher=as_teacher)
    with pytest.raises(ModelError, match=r"needs tiles of 32 px, .* has tiles of 64 px; cut tiles of that size"):
        require_fit(changed(model, tile_px=32), tiles, as_teacher=as_teacher)


def test_what_a_model_learned_from_is_told_apart(model, tiles):
    prints = {"fingerprint": tiles.fingerprint, "split_fingerprint": tiles.split_fingerprint}
    data = model.card.data
    assert acquaintance(data, tiles) == "other tiles"
    assert acquaintance(data.model_copy(update=prints | {"split_fingerprint": "1"}), tiles) == "other split"
    assert acquaintance(data.model_copy(update=prints), tiles) == "same split"
