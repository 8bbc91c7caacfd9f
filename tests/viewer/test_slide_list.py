"""The list of slides: areas by class, notes and failures, sorted and filtered."""

import pytest

from .asking import ask


def test_rows_tell_areas_notes_and_failures(mapped, mapped_keys, cohort):
    rows = {row["name"]: row for row in ask(mapped, "/slides").json["slides"]}
    assert [one["name"] for one in rows["A.svs"]["maps"]] == ["kd", "hviskd"]
    assert rows["B.svs"]["maps"][0]["notes"] == ["no ICC colour profile"]
    assert (rows["C.svs"]["maps"], rows["C.svs"]["problem"]) == ([], "C.svs: too coarse")
    assert [rows[name]["drawn"] for name in ("A.svs", "B.svs")] == [True, False]
    assert str(cohort) not in ask(mapped, "/slides").body.decode()


@pytest.mark.slow
def test_it_is_filtered_and_sorted(mapped, turn):
    page = turn(mapped.address).page
    names = lambda: page.locator("#slide-list .name").all_inner_texts()  # noqa: E731
    assert names() == ["A.svs", "B.svs", "C.svs"]
    assert page.inner_text("#slide-count") == "3 slides"
    assert "failed: C.svs: too coarse" in page.locator("#slide-list button").nth(2).inner_text()
    label = page.locator("#slide-list .bar").first.get_attribute("aria-label")
    shares = [int(part.split()[1]) for part in label.split(", ")]
    assert sum(shares) == pytest.approx(100, abs=2)
    listed = ask(mapped, "/slides").json["slides"]
    share = {row["name"]: row["maps"][0]["areas_mm2"][1] / sum(row["maps"][0]["areas_mm2"]) for row in listed[:2]}
    page.select_option("#slide-sort", label="Share of rim")
    assert names() == [*sorted(share, key=share.get, reverse=True), "C.svs"]
    page.get_by_role("searchbox").fill("icc")
    assert names() == ["B.svs"]
    assert page.inner_text("#slide-count") == "1 of 3 slides"
    page.get_by_role("searchbox").fill("failed")
    assert names() == ["C.svs"]
