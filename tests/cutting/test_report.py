"""What a report tells of many slides at a glance."""

from hviskd.cutting.report import CutReport, SlideReport
from tests.html_tables import read_tables


def report(**slides):
    listed = tuple(SlideReport(slide=name, path=f"{name}.svs", **given) for name, given in slides.items())
    return CutReport(options={}, classes=("A",), slides=listed)


def test_notes_that_differ_in_numbers_and_names_stand_together():
    found = report(
        a={"notes": ("12 px (0.10%) in 3 colours without a class", "2 regions labelled 'x y', left out", "other")},
        b={"notes": ("7 px (2.50%) in 1 colours without a class", "9 px of them in colour #EAFFFF")},
        c={"notes": ("1 regions labelled 'z', left out",)},
    ).notes()
    assert [[slide for slide, _ in alike] for alike in found] == [["a", "b"], ["a", "c"], ["a"], ["b"]]
    assert found[0][1] == ("b", "7 px (2.50%) in 1 colours without a class")


def test_slides_that_give_no_tile_are_no_failed_ones():
    found = report(a={"tiles": {"A": 1}}, b={}, c={"problem": "damaged"})
    assert [slide.slide for slide in found.without_tiles] == ["b"]
    assert [slide.slide for slide in found.failed] == ["c"]


def test_a_notebook_shows_counts_by_class_and_who_failed():
    found = report(
        a={
            "tiles": {"A": 1200},
            "patient": "P1",
            "left_out": {"over the cap": {"A": 30}, "without annotation": {"": 5}},
        },
        b={"tiles": {"A": 2}, "patient": "P1"},
        c={"problem": "c.svs: <damaged>"},
    )
    table = found.class_table()
    assert table.loc["A"].to_dict() == {"tiles": 1202, "slides": 2, "patients": 1, "over the cap": 30}
    shown = read_tables(found._repr_html_())
    assert shown[:2] == [["class", *table.columns], ["A", "1,202", "2", "1", "30"]]
    assert "2 of 3 slides were cut" in found._repr_html_()
    assert "c.svs: &lt;damaged&gt;" in found._repr_html_()
    assert report(a={"tiles": {"A": 1}}).class_table()["patients"].isna().all()
