"""Draws docs/evidence.png: every difference with its interval that docs/evidence.md speaks of, by what was tried.

By hand: `python docs/draw_evidence.py`. The numbers are read from the tables in benchmarks/results/.
"""

import re
from pathlib import Path

from matplotlib.axes import Axes

from hviskd.colours import PALETTE
from hviskd.pictures import new_figure, save_figure

PICTURE = Path(__file__).parent / "evidence.png"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
ADAPTING, PRETRAINED = "adapting_crc5.md", "pretrained_teacher.md"
ARMS = {
    "token-kl-more": "token KL, tiles without labels",
    "memory-more": "memory, tiles without labels",
    "kd-more": "KD, tiles without labels",
    "token-kl": "token KL",
    "cat-kd": "CAT-KD",
    "paper-0.05": "HVisKD as published",
    "memory": "memory",
    "kd": "KD",
    "dkd": "DKD",
}
OF_LABELLED_TILES = {arm: name for arm, name in ARMS.items() if not arm.endswith("-more")}


def protocol(section: str, arms: dict[str, str] = ARMS) -> dict[str, tuple[str, str, int]]:
    """Return where the differences of some arms from the student alone stand, of one set and number of labels."""
    return {name: (f"protocol.md#{section}", f"| {arm} |", 3) for arm, name in arms.items()}


# Where a difference stands, by column of the picture and what was tried: its table (and the section of it), how the row
# begins, and the column.
COLORECTAL = {
    "colorectal tiles, 500 labels, pretrained teacher": protocol("crc5, 500 labels"),
    "all labels": protocol("crc5, all labels", OF_LABELLED_TILES),
    "100 labels, a teacher worse than the student": protocol("crc5, 100 labels"),
    "adapted to another laboratory, over before": {
        "resnet8, teacher of varied stains": (ADAPTING, "| stain jitter | 3 |", 4),
        "resnet8, plain teacher": (ADAPTING, "| plain | 3 |", 4),
        "price at home, varied stains": (ADAPTING, "| stain jitter | 3 |", 9),
        "price at home, plain teacher": (ADAPTING, "| plain | 3 |", 9),
    },
}
GLANDS_AND_OTHERS = {
    "glands, patients apart, 500 labels": protocol("glands, 500 labels"),
    "all labels": protocol("glands, all labels", OF_LABELLED_TILES),
    "100 labels": protocol("glands, 100 labels"),
    "colorectal, pretrained teacher, 10 epochs, another stain": {
        "resnet8, KD": (PRETRAINED, "| crc5 | resnet8 | KD |", 8),
        "resnet8, HVisKD": (PRETRAINED, "| crc5 | resnet8 | HVisKD |", 8),
        "resnet8, token KL": (PRETRAINED, "| crc5 | resnet8 | token KL |", 8),
        "mobilenet_v2, KD": (PRETRAINED, "| crc5 | mobilenet_v2 | KD |", 8),
        "mobilenet_v2, HVisKD": (PRETRAINED, "| crc5 | mobilenet_v2 | HVisKD |", 8),
        "mobilenet_v2, token KL": (PRETRAINED, "| crc5 | mobilenet_v2 | token KL |", 8),
    },
    "a teacher no better than its student, over KD": {
        "resnet8, 20 epochs, HVisKD": ("crc5_two_cores.md", "| laptop | hviskd-shared |", 4),
        "resnet8, 10 epochs, HVisKD": ("crc5_strongest.md", "| laptop | hviskd |", 8),
        "resnet8, CAT-KD, the highest": ("crc5_strongest.md", "| laptop | cat-kd |", 8),
    },
}
COLUMNS = (COLORECTAL, GLANDS_AND_OTHERS)
_DIFFERENCE = re.compile(r"(\S+) [(\[](\S+?)(?: to|,) (\S+?)[)\]]")


def difference(table: str, row: str, column: int) -> tuple[float, float, float]:
    """Return a difference in points and the ends of its 95 % interval, as they stand in a table of results."""
    file, _, section = table.partition("#")
    text = (RESULTS / file).read_text(encoding="utf-8")
    if section:
        text = text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    (line,) = (line for line in text.splitlines() if line.startswith(row))
    found = _DIFFERENCE.fullmatch(line.strip("|").split("|")[column].strip())
    if found is None:
        raise ValueError(f"{table}: no difference with its interval in column {column} of {line}")
    value, low, high = (float(number.replace("−", "-")) for number in found.groups())
    return value, low, high


def draw(axes: Axes, groups: dict[str, dict[str, tuple[str, str, int]]]) -> float:
    """Draw one column of the picture, and return how many rows it has."""
    place, ticks, names = 0.0, [], []
    for colour, (heading, differences) in zip(PALETTE, groups.items(), strict=False):
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # over the line at zero
        axes.text(-12.6, place, heading, fontsize=9, weight="bold", va="center", bbox=box)
        for name, where in differences.items():
            value, low, high = difference(*where)
            place += 1
            face = colour if low > 0 or high < 0 else "white"
            axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot(value, place, "o", color=colour, markerfacecolor=face, markersize=6)
            ticks.append(place)
            names.append(name)
        place += 1.4
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(ticks, names, fontsize=9)
    axes.set_xlim(-13, 25)
    axes.set_xlabel("points of accuracy, 95 % interval")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    return place


def main() -> None:
    """Draw it."""
    figure = new_figure(13.5, 9.2)
    both = figure.subplots(1, len(COLUMNS))
    rows = max(draw(axes, groups) for axes, groups in zip(both, COLUMNS, strict=True))
    for axes in both:
        axes.set_ylim(rows - 0.6, -0.8)
    figure.suptitle("Over the student alone, on test tiles; filled: the interval leaves zero out", fontsize=10)
    print(save_figure(figure, PICTURE))


if __name__ == "__main__":
    main()
