"""What OME-XML says of the images of a file."""

import math

import pytest

from hviskd.slides.ome_xml import is_ome, read_ome

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:a">'
)


def xml(pixels: str = "", inside: str = '<TiffData IFD="0"/>', image: str = "", before: str = "") -> str:
    size = 'SizeX="600" SizeY="400" DimensionOrder="XYCZT"'
    return f'{HEAD}{before}<Image ID="Image:0" Name="a"{image}><Pixels {size} {pixels}>{inside}</Pixels></Image></OME>'


def test_it_is_told_from_other_descriptions():
    assert is_ome(xml())
    assert is_ome("\ufeff <ome:OME xmlns:ome='x'/>")
    for text in ("", "<scn xmlns='http://www.leica-microsystems.com/scn/2010/10/01'/>", "Aperio <OME>", "<OMERO/>"):
        assert not is_ome(text)


def test_sizes_names_and_scales_are_read():
    (image,) = read_ome(
        xml('SizeC="3" PhysicalSizeX="500" PhysicalSizeXUnit="nm" PhysicalSizeY="0.0005" PhysicalSizeYUnit="mm"')
    )
    assert (image.name, image.size, image.stack) == ("a", (600, 400), (1, 1))
    assert image.mpp == (pytest.approx(0.5), pytest.approx(0.5))
    assert all(math.isnan(mpp) for mpp in read_ome(xml())[0].mpp)
    assert math.isnan(read_ome(xml('PhysicalSizeX="1" PhysicalSizeXUnit="pixel"'))[0].mpp[0])


def test_the_objective_is_found():
    before = '<Instrument ID="I:0"><Objective ID="O:1" NominalMagnification="40"/></Instrument>'
    text = xml(before=before).replace("<Pixels", '<ObjectiveSettings ID="O:1"/><Pixels')
    assert read_ome(text)[0].magnification == 40
    assert read_ome(xml())[0].magnification is None


@pytest.mark.parametrize(
    ("pixels", "inside", "planes"),
    [
        ('SizeC="3"', "<TiffData/>", (0, 1, 2)),
        ('SizeC="3"', '<TiffData IFD="4" PlaneCount="3"/>', (4, 5, 6)),
        ('SizeC="3"', "".join(f'<TiffData IFD="{9 - c}" FirstC="{c}" PlaneCount="1"/>' for c in range(3)), (9, 8, 7)),
        ('SizeC="3" SizeZ="2"', '<TiffData IFD="0" PlaneCount="6"/>', (0, 1, 2)),
        ('SizeC="2"', '<TiffData IFD="5"/>', (5, None)),
        ('SizeC="3"', "", (0, 1, 2)),
        ('SizeC="3"', '<Channel SamplesPerPixel="3"/><TiffData IFD="7"/>', (7,)),
        ('SizeC="1"', '<TiffData IFD="0"><UUID FileName="b.ome.tif">urn:b</UUID></TiffData>', (None,)),
        ('SizeC="1"', '<TiffData IFD="3"><UUID FileName="renamed.tif">urn:a</UUID></TiffData>', (3,)),
    ],
)
def test_the_page_of_each_channel_is_found(pixels, inside, planes):
    assert read_ome(xml(pixels, inside))[0].planes == planes


def test_other_orders_of_planes_are_followed():
    text = xml('SizeC="3" SizeZ="2"', '<TiffData IFD="0" PlaneCount="6"/>').replace("XYCZT", "XYZCT")
    assert read_ome(text)[0].planes == (0, 2, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (xml()[:-20], "not valid XML"),
        (xml().replace("<OME", "<!DOCTYPE OME [<!ENTITY a 'b'>]><OME"), "a document type or entities"),
        (xml().replace("OME", "OMG"), "no OME element"),
        (f"{HEAD}<BinaryOnly MetadataFile='b.companion.ome'/></OME>", "lies in another file"),
        (f"{HEAD}{'<a>' * 50}{'</a>' * 50}</OME>", "too much of it"),
    ],
)
def test_what_is_damaged_or_hostile_is_an_error(text, said):
    with pytest.raises(ValueError, match=said):
        read_ome(text)


def test_impossible_numbers_are_no_harm():
    text = xml(
        'SizeC="99999999999" SizeZ="1e400" SizeT="-3" PhysicalSizeX="nan"', '<TiffData IFD="-1" PlaneCount="1e9"/>'
    )
    (image,) = read_ome(text)
    assert len(image.planes) <= 64


@pytest.mark.parametrize(
    ("unit", "um"), [("micron", 1), ("inch", 25_400), ("nanometer", 1e-3), ("&#181;m", 1), ("", 1)]
)
def test_units_are_understood_in_full_and_as_entities(unit, um):
    (image,) = read_ome(xml(f'PhysicalSizeX="2" PhysicalSizeXUnit="{unit}"'))
    assert image.mpp[0] == pytest.approx(2 * um)
