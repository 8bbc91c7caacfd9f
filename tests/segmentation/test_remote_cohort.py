"""Cohorts on servers: mapped as files are, not copied twice, and without a key in any output."""

import logging
import os

import pytest

from hviskd.models import Compute
from hviskd.running import Here
from hviskd.segmentation import load_slide_map, segment, segment_cohort
from hviskd.slides import slide_cache
from tests.segmentation.make import tissue_on_glass, write_slide
from tests.slides.servers import KEY, SECRET, s3

pytestmark = pytest.mark.usefixtures("empty_overviews")
PLAIN = Compute("torch", threads=1, workers=1)


def states(outcomes):
    return [outcome.state for outcome in outcomes]


@pytest.mark.slow
def test_a_cohort_on_a_server_is_mapped_as_one_of_files(model, tmp_path, monkeypatch, caplog, capfd):
    caplog.set_level(logging.INFO)
    file = write_slide(tmp_path / "first.svs", tissue_on_glass(500, 400, seed=0))
    maps, downloads, download = tmp_path / "maps", [], slide_cache.download
    monkeypatch.setattr(slide_cache, "download", lambda *given: (downloads.append(given), download(*given)))
    table = tmp_path / "cohort.csv"
    table.write_text("slide\ns3://slides/x/first.svs\ns3://slides/x/none.svs\n")

    def mapped():
        return segment_cohort(model, table, maps, running=Here(print), compute=PLAIN)

    with s3(tmp_path) as server:
        server.upload_file(str(file), "slides", "x/first.svs")
        outcomes = mapped()
        assert states(outcomes) == ["done", "failed"]
        assert outcomes[1].problem == "s3://slides/x/none.svs: no such file on the server"
        assert outcomes[0].folder == maps / "first"
        found, expected = load_slide_map(maps / "first"), segment(model, file, compute=PLAIN)
        assert (found.probabilities == expected.probabilities).all()
        assert found.card.slide_fingerprint == expected.card.slide_fingerprint
        assert states(mapped()) == ["kept", "failed"]
        assert len(downloads) == 1
        server.put_object(Bucket="slides", Key="x/first.svs", Body=file.read_bytes() + b"0")
        assert states(mapped()) == ["done", "failed"]
        assert len(downloads) == 2
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")  # whatever now fails, the map stays
    unreachable = mapped()
    assert states(unreachable) == ["failed", "failed"]
    assert (maps / "first" / "summary.json").is_file()
    assert unreachable[0].problem.startswith("s3://slides/x/first.svs: the server cannot be read (")
    told = "".join((*capfd.readouterr(), caplog.text, str(outcomes), str(unreachable)))
    written = [path.read_bytes() for path in maps.rglob("*") if path.is_file()]
    assert '\nnone.svs,none,failed,,,,,,"none.svs: the server cannot be read (' in (maps / "slides.csv").read_text()
    for secret in (KEY, SECRET):
        assert secret not in told
        assert not any(secret.encode() in content for content in written)
        assert not any(
            secret.encode() in path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()
        )
    assert os.environ.get("AWS_ACCESS_KEY_ID") != KEY
