"""The picture of the evidence shows what stands in the tables of results."""

import pytest

from draw_evidence import COLUMNS, difference

WHERE = {
    f"{number}, {heading}: {name}": where
    for number, column in enumerate(COLUMNS)
    for heading, group in column.items()
    for name, where in group.items()
}


@pytest.mark.parametrize("which", WHERE)
def test_every_difference_stands_in_its_table_with_its_interval(which):
    value, low, high = difference(*WHERE[which])
    assert low < value < high


def test_a_number_is_read_as_it_stands_there():
    assert difference("pretrained_teacher.md", "| crc5 | resnet8 | KD |", 8) == (-4.7, -8.2, -1.4)


def test_a_cell_without_a_difference_is_refused():
    with pytest.raises(ValueError, match="no difference with its interval in column 0"):
        difference("adapting_crc5.md", "| plain | 3 |", 0)
