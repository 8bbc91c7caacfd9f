import pytest

from tests.models.make import make_model


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Converted networks go to a folder of the tests' own, and are converted once for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("HVISKD_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A resnet8 of four classes that reads tiles of 64 px at 0.5 µm/px; its weights are drawn."""
    return make_model(tmp_path_factory.mktemp("model") / "resnet8")
