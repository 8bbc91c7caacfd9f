"""What a user may ask of tissue, and how it is said in a command."""

import math

import pytest

from hviskd.errors import DataError
from hviskd.slides import TissueRule


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"mpp": 0.5}, "`tissue.mpp=0.5`: must be from 4 to 64"),
        ({"mpp": math.nan}, "`tissue.mpp=nan`"),
        ({"density": -0.1}, "`tissue.density=-0.1`: must be from 0 to below 1"),
        ({"density": math.nan}, "`tissue.density=nan`"),
        ({"saturation": 1.0}, "`tissue.saturation=1`"),
        ({"min_area_um2": -1.0}, "`tissue.min_area_um2=-1`: must be at least 0 µm²"),
        ({"min_hole_um2": math.inf}, "`tissue.min_hole_um2=inf`"),
    ],
)
def test_impossible_wishes_are_refused_by_their_options_name(wish, message):
    with pytest.raises(DataError, match=message):
        TissueRule(**wish)


def test_only_what_is_no_default_is_told():
    assert TissueRule().changed() == {}
    rule = TissueRule(density=0.02, min_area_um2=1_234_567, keep_ink=True)
    assert rule.changed() == {"density": 0.02, "min_area_um2": 1_234_567, "keep_ink": True}
