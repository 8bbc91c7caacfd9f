"""Draws docs/evidence.png: every difference with its interval that docs/evidence.md speaks of, by what was tried.

By hand: `python docs/draw_evidence.py`. Each group names the table in benchmarks/results/ that its numbers stand in.
"""

from pathlib import Path

from hviskd.colours import PALETTE
from hviskd.pictures import new_figure, save_figure

PICTURE = Path(__file__).parent / "evidence.png"
# Points of accuracy and their 95 % interval.
GROUPS = {
    "tiles without labels, at another laboratory": {  # adapting_crc5.md
        "resnet8, teacher of varied stains": (14.1, 4.6, 23.6),
        "resnet8, plain teacher": (7.4, -0.3, 15.2),
        "the price at home, teacher of varied stains": (-0.8, -4.9, 3.3),
        "the price at home, plain teacher": (-0.8, -2.1, 0.5),
    },
    "a pretrained teacher, over the student alone": {  # pretrained_teacher.md
        "resnet8, KD": (-4.7, -8.2, -1.4),
        "resnet8, HVisKD": (-7.2, -10.4, -4.4),
        "resnet8, token KL": (2.0, -1.9, 5.5),
        "mobilenet_v2, KD": (2.6, -1.4, 6.5),
        "mobilenet_v2, HVisKD": (2.5, -1.3, 6.2),
        "mobilenet_v2, token KL": (-0.6, -6.4, 5.3),
    },
    "a teacher no better than its student, over KD": {  # crc5_two_cores.md, crc5_strongest.md
        "resnet8, 20 epochs, HVisKD": (0.4, -2.4, 2.8),
        "resnet8, 10 epochs, HVisKD": (-0.3, -2.3, 1.4),
        "resnet8, 10 epochs, CAT-KD, the highest": (1.6, -1.7, 5.0),
    },
}


def main() -> None:
    """Draw it."""
    rows = sum(len(group) + 1.4 for group in GROUPS.values())
    figure = new_figure(8.6, 0.27 * rows + 0.6)
    axes = figure.add_subplot()
    place, ticks, names = 0.0, [], []
    for number, (heading, differences) in enumerate(GROUPS.items()):
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # over the line at zero
        axes.text(-11.4, place, heading, fontsize=9, weight="bold", va="center", bbox=box)
        for name, (value, low, high) in differences.items():
            place += 1
            shown = low > 0 or high < 0
            axes.plot([low, high], [place, place], color=PALETTE[number], linewidth=2, solid_capstyle="butt")
            face = PALETTE[number] if shown else "white"
            axes.plot(value, place, "o", color=PALETTE[number], markerfacecolor=face, markersize=6)
            ticks.append(place)
            names.append(name)
        place += 1.4
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(ticks, names, fontsize=9)
    axes.set_ylim(place - 0.6, -0.8)
    axes.set_xlim(-11.8, 25)
    axes.set_xlabel("points of accuracy on test tiles, 95 % interval; filled: the interval leaves zero out")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    print(save_figure(figure, PICTURE))


if __name__ == "__main__":
    main()
