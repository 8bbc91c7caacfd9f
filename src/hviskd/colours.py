"""The colours of classes and curves, told apart with any colour vision."""

from collections.abc import Sequence

from hviskd.arrays import Colour

# Okabe and Ito (2008); black first for the reference.
PALETTE = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D00", "#F0E442")


def hex_to_rgb(colour: str) -> Colour:
    """Convert `#RRGGBB` to three bytes."""
    digits = colour.removeprefix("#")
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


def class_colours(count: int) -> Sequence[Colour]:
    """Return `count` RGB colours for classes without colours: the palette, then darker repetitions of it."""
    colours = []
    for position in range(count):
        shade = 0.65 ** (position // (len(PALETTE) - 1))
        base = hex_to_rgb(PALETTE[1 + position % (len(PALETTE) - 1)])
        colours.append((round(base[0] * shade), round(base[1] * shade), round(base[2] * shade)))
    return colours
