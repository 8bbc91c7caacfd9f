from importlib import resources

import pytest
import yaml

from hviskd.annotations import Legend, built_in_legends, load_legend
from hviskd.errors import DataError
from tests.html_tables import read_tables

PLAIN = {"name": "l", "classes": [{"name": "a", "colours": [[1, 2, 3]]}, {"name": "b", "colours": [[4, 5, 6]]}]}


def written(tmp_path, content):
    path = tmp_path / "legend.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_ivygap_keeps_the_ten_classes_of_the_atlas_apart():
    legend = load_legend("ivygap")
    assert legend.names == ("CTne", "IT", "LE", "CT", "CThbv", "CTmvp", "CTpan", "CTpnn", "CTpnz", "BG")
    assert legend.colours[legend.index("CTmvp")] == (255, 51, 0)
    assert legend.colours[legend.index("CThbv")] == (255, 102, 0)


def test_the_perinecrotic_zone_has_its_older_colour_too():
    colours, classes = load_legend("ivygap").palette()
    position = load_legend("ivygap").index("CTpnz")
    assert {tuple(c) for c in colours[classes == position].tolist()} == {(67, 209, 248), (37, 209, 247)}


def test_the_papers_legend_merges_to_its_eight_classes_in_its_order():
    legend = load_legend("ivygap-paper")
    assert legend.names == ("CTne", "IT", "LE", "CT", "CTmvp", "CTpan", "CTpnz", "BG")
    assert legend.index("CThbv") == legend.index("CTmvp") == 4
    assert legend.index("CTpnn") == legend.index("CTpan") == 5


def test_both_built_in_legends_know_the_same_colours():
    assert built_in_legends() == ("ivygap", "ivygap-paper")
    one, other = (load_legend(name) for name in built_in_legends())
    assert {tuple(c) for c in one.palette()[0].tolist()} == {tuple(c) for c in other.palette()[0].tolist()}


def test_a_label_is_found_whatever_its_case(tmp_path):
    legend = load_legend(written(tmp_path, PLAIN))
    assert legend.index(" A ") == 0
    assert legend.index("c") is None


def test_blanks_round_a_name_do_not_count(tmp_path):
    classes = [{"name": " a ", "colours": [[1, 2, 3]]}, {"name": "b\u00a0", "colours": [[4, 5, 6]]}]
    legend = load_legend(written(tmp_path, {"name": "l", "classes": classes, "merge": {"b ": " a"}}))
    assert legend.names == ("a",)
    assert legend.index(" A") == legend.index("b") == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"color": 1}, "color"),
        ({"classes": []}, "classes"),
        ({"classes": [{"name": "a", "colours": [[1, 2, 256]]}]}, "classes.0.colours.0.2"),
        ({"classes": [{"name": "a", "colours": [[1, 2]]}]}, "classes.0.colours.0.2"),
        ({"classes": [{"name": "a", "colours": [[1, 2, True]]}]}, "classes.0.colours.0.2"),
        ({"classes": [{"name": "a", "colours": []}]}, "class a has no colour"),
        (
            {"classes": [{"name": "a", "colours": [[1, 2, 3]]}, {"name": "A", "colours": [[4, 5, 6]]}]},
            "two classes have the same name",
        ),
        (
            {"classes": [{"name": "a", "colours": [[1, 2, 3]]}, {"name": "b", "colours": [[1, 2, 3]]}]},
            "classes a and b have the same colour",
        ),
        ({"classes": [{"name": "a", "colours": [[1, 2, 3], [1, 2, 3]]}]}, "class a lists a colour twice"),
        ({"color": 1}, "unknown key 'color'; a legend has name, classes, merge, none, numbers; "),
        (
            {"classes": [{"name": "a", "colors": [[1, 2, 3]]}]},
            r"classes\.0\.col.*; a class has name, colours",
        ),
        ({"classes": [{"name": "a", "colours": ["#ff0000"]}]}, r"colours\.0: must be a list of \[red, green, blue\]"),
        ({"classes": [{"name": "a", "colours": [1, 2, 3]}]}, r"colours\.0: must be a list of \[red, green, blue\]"),
        ({"classes": [{"name": "a", "colours": None}]}, r"classes\.0\.colours: must be a list of \[red, green, blue\]"),
        ({"classes": ["a"]}, r"classes\.0: must be keys with values; a class has name"),
        ({"classes": 3}, "classes: must be a list of 1 to 200 classes"),
        ({"classes": [{"name": 1, "colours": [[1, 2, 3]]}]}, r"classes\.0\.name: must be text; put it in quotes"),
        ({"classes": [{"name": " ", "colours": [[1, 2, 3]]}]}, r"classes\.0\.name: is empty"),
        ({"classes": [{"name": "a\x1b[31m", "colours": [[1, 2, 3]]}]}, r"classes\.0\.name: contains a line break or"),
        ({"name": None}, "name: must be text"),
        ({"merge": None}, "merge: must map class names to class names"),
        ({"merge": ["a"]}, "merge: must map class names to class names"),
        ({1: 2}, "unknown key '1'"),
        ({"merge": {"a": "c"}}, "both must be classes"),
        ({"merge": {"a": "b", "b": "a"}}, "itself merged"),
        ({"none": [[4, 5, 6]]}, r"classes none and b have the same colour, \[4, 5, 6\]"),
        ({"none": [0, 0, 0]}, r"none\.0: must be a list of \[red, green, blue\]"),
        ({"none": "black"}, r"none: must be a list of \[red, green, blue\]"),
        ({"numbers": {1: "a"}}, "class b has no number; add it to numbers"),
        ({"numbers": {1: "a", 2: "c"}}, "numbers has '2: c', but c is not a class"),
        ({"numbers": {"1": "a"}}, "numbers.*: must map numbers from 0 to 65535 to classes, for example {1: tumour}"),
        ({"numbers": {-1: "a"}}, "numbers.*: must map numbers from 0 to 65535"),
        ({"numbers": {70000: "a"}}, "numbers.*: must map numbers from 0 to 65535"),
        ({"numbers": ["a", "b"]}, "numbers: must map numbers from 0 to 65535"),
        ({"numbers": {1: ["a"]}}, "numbers.*: must map numbers from 0 to 65535"),
    ],
)
def test_a_legend_that_makes_no_sense_is_refused_in_one_line(tmp_path, change, said):
    path = written(tmp_path, PLAIN | change)
    with pytest.raises(DataError, match=said) as caught:
        load_legend(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "nput should" not in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_class_numbers_are_enough_for_a_legend(tmp_path):
    legend = load_legend(written(tmp_path, "name: p\nnumbers: {1: stroma, 2: benign, 3: gleason, 5: gleason}\n"))
    assert legend.names == ("stroma", "benign", "gleason")
    assert legend.number_table() == {1: 0, 2: 1, 3: 2, 5: 2}
    assert len(set(legend.colours)) == 3
    with pytest.raises(DataError, match="must be a list of 1 to 200 classes"):
        load_legend(written(tmp_path, "name: p\nnumbers: {}\n"))


def test_a_legend_that_lists_classes_may_number_merged_ones(tmp_path):
    legend = load_legend(written(tmp_path, PLAIN | {"merge": {"b": "a"}, "numbers": {7: "b"}}))
    assert (legend.names, legend.number_table()) == (("a",), {7: 0})
    assert legend.colours == ((1, 2, 3),)


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "[", "- 1", "a: &x [1]\nb: *x", "\x00", "[" * 5000])
def test_a_file_that_is_no_legend_is_refused(tmp_path, content):
    path = written(tmp_path, content)
    with pytest.raises(DataError, match="legend.yaml: "):
        load_legend(path)


@pytest.mark.parametrize("content", ["", "# nothing but a comment"])
def test_an_empty_file_is_called_one(tmp_path, content):
    with pytest.raises(DataError, match=r"legend\.yaml: an empty file; correct the legend"):
        load_legend(written(tmp_path, content))


def test_a_file_of_other_bytes_or_of_too_many_is_refused(tmp_path):
    path = tmp_path / "legend.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        load_legend(path)
    path.write_bytes(b" " * (2**16 + 1))
    with pytest.raises(DataError, match="larger"):
        load_legend(path)


def test_an_unknown_name_lists_the_built_in_ones():
    with pytest.raises(DataError, match="ivygap, ivygap-paper"):
        load_legend("ivygapp")


def test_the_built_in_files_say_what_they_are_called():
    for name in built_in_legends():
        text = (resources.files("hviskd.annotations") / "legends" / f"{name}.yaml").read_text("utf-8")
        assert Legend.model_validate(yaml.safe_load(text)).name == name


@pytest.mark.parametrize("content", ["a: [\n- b", '"x\\e[31m": 1', "{\n  a: {\n"])
def test_a_file_cannot_break_the_line_that_tells_of_it(tmp_path, content):
    with pytest.raises(DataError) as caught:
        load_legend(written(tmp_path, content))
    assert str(caught.value).isprintable()


def test_a_key_that_stands_twice_is_refused(tmp_path):
    text = yaml.safe_dump(PLAIN) + "merge: {a: b}\nmerge: {b: a}\n"
    with pytest.raises(DataError, match=r"line \d+: merge appears twice"):
        load_legend(written(tmp_path, text))


def test_a_legend_shows_its_classes_in_a_notebook():
    classes = [{"name": "<tumour>", "colours": [[200, 0, 0]]}, {"name": "rim", "colours": [[0, 160, 0]]}]
    html = Legend(name="lesion", classes=classes)._repr_html_()
    assert read_tables(html) == [["", "class"], ["", "<tumour>"], ["", "rim"]]
    assert "#c80000" in html
    merged = Legend(name="lesion", classes=classes, merge={"rim": "<tumour>"})._repr_html_()
    assert read_tables(merged) == [["", "class", "with the merged classes"], ["", "<tumour>", "rim"]]
