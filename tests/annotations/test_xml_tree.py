import pytest

from hviskd.annotations import read_annotation, xml_tree
from hviskd.annotations.xml_tree import read_xml
from hviskd.errors import DataError

from .make import save
from .make_xml import aperio, aperio_layer, aperio_region, box, vertices

DRAWN = aperio(aperio_layer(aperio_region(box(0, 0, 9, 9), text="Größe"), name="Übergang é"))


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("", "utf-8"),
        ("", "utf-8-sig"),
        ("utf-8", "utf-8-sig"),
        ("", "utf-16"),
        ("utf-16", "utf-16"),
        ("utf-16", "utf-8"),  # as programs do that write a text made for other uses
        ("windows-1252", "windows-1252"),
        ("ISO-8859-1", "iso-8859-1"),
        ("", "windows-1252"),  # as ImageScope does
        ("utf-8", "windows-1252"),
        ("x-unknown", "windows-1252"),
    ],
)
def test_text_is_read_in_whichever_encoding_it_is(tmp_path, declared, encoding):
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    path = tmp_path / "a.xml"
    path.write_bytes((head + DRAWN).encode(encoding))
    (region,) = read_annotation(path).regions
    assert (region.label, region.name, region.geometry.area) == ("Übergang é", "Größe", 81)


def test_a_line_break_before_the_declaration_does_no_harm(tmp_path):
    path = save(tmp_path / "a.xml", f'\n \n<?xml version="1.0"?>{DRAWN}')
    assert len(read_annotation(path).regions) == 1


@pytest.mark.parametrize(
    "hostile",
    [
        '<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;">]><Annotations>&z;</Annotations>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "other.xml">]><Annotations>&x;</Annotations>',
        '<!DOCTYPE a SYSTEM "http://example.org/a.dtd"><Annotations/>',
    ],
)
def test_document_types_and_entities_are_refused(tmp_path, hostile):
    with pytest.raises(DataError, match="document type or entities, which no annotation needs") as caught:
        read_annotation(save(tmp_path / "a.xml", hostile))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "broken", ["<", "<Annotations>", "<a></b>", "<a/><b/>", "<a \x01/>", "<a>\ud7ff&x;</a>", DRAWN[:-20]]
)
def test_what_is_not_xml_is_refused_in_one_line(tmp_path, broken):
    with pytest.raises(DataError, match=r"a\.xml: not valid XML \(.*\); export it again") as caught:
        read_annotation(save(tmp_path / "a.xml", broken))
    assert "\n" not in str(caught.value)


def test_endless_nesting_tags_and_counts_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.xml"
    with pytest.raises(DataError, match="nested too deeply"):
        read_xml(save(path, "<a>" * 31 + "</a>" * 31))
    monkeypatch.setattr(xml_tree, "PIECE_BYTES", 1000)
    monkeypatch.setattr(xml_tree, "TAG_LIMIT_BYTES", 8000)
    with pytest.raises(DataError, match="a tag or comment"):
        many = "".join(f" b{n}=''" for n in range(3000))
        read_xml(save(path, f"<a>{' ' * 20_000}<b{many}/></a>"))
    assert read_xml(save(path, f"<a>{'text ' * 20_000}</a>")).text == ("text " * 200)
    monkeypatch.setattr(xml_tree, "POINT_LIMIT", 4)
    with pytest.raises(DataError, match="more objects and vertices than memory has room for"):
        read_annotation(save(path, DRAWN))
    monkeypatch.setattr(xml_tree, "POINT_LIMIT", 5)
    assert len(read_annotation(path).regions) == 1
    monkeypatch.setattr(xml_tree, "ELEMENT_LIMIT", 4)
    with pytest.raises(DataError, match="more objects and vertices than memory has room for"):
        read_annotation(path)
    monkeypatch.setattr(xml_tree, "FILE_LIMIT_BYTES", 100)
    with pytest.raises(DataError, match="export fewer objects at a time"):
        read_annotation(path)


def test_of_an_element_only_what_a_reader_looks_at_is_kept(tmp_path):
    inner = "<point><x>1</x><y>2,5</y><z>3</z><z/><z/></point>"
    root = read_xml(
        save(tmp_path / "a.xml", f'<a Name="n" Junk="j"><Vertices>{vertices([(3, 4)])}{inner}</Vertices></a>')
    )
    assert root.attributes == {"Name": "n"}
    assert root.points.tolist() == [[3, 4], [1, 2.5]]
    assert root.children[0].children == []
