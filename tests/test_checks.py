"""What a user sets is refused by its name and value; a default passes."""

import math

import pytest

from hviskd.checks import require_at_least, require_mpp, require_positive_share, require_share
from hviskd.errors import DataError


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: require_at_least(1, threads=2, workers=0), "`workers=0`: must be at least 1"),
        (lambda: require_at_least(0, seed=-1), "`seed=-1`: must be at least 0"),
        (lambda: require_share(purity=1.0001), "`purity=1.0001`: must be from 0 to 1"),
        (lambda: require_share(purity=math.nan), "`purity=nan`: must be from 0 to 1"),
        (lambda: require_positive_share(level=0.0), "`level=0.0`: must be above 0 and at most 1"),
        (lambda: require_mpp(0.0), "`mpp=0.0`: must be above 0 µm/px"),
        (lambda: require_mpp(math.inf), "`mpp=inf`: must be above 0 µm/px"),
    ],
)
def test_it_names_the_parameter_and_the_value(check, message):
    with pytest.raises(DataError, match=f"^{message}$"):
        check()


def test_ends_and_defaults_pass():
    require_at_least(1, threads=1, workers=None)
    require_share(purity=0, min_tissue=1.0, unsure_below=None)
    require_positive_share(level=1)
    require_mpp(0.25)
    require_mpp(None)
