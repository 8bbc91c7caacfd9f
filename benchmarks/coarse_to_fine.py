"""Coarse to fine against the full pass: CPU seconds against agreement, at every threshold of the first pass.

Three experiments. `cost`: what is saved where a given share of tiles is looked at closely, of a mosaic of tissue with
networks of drawn weights (as in `segmentation.py`); every tenth, fifth, … column of tiles counts as open, whatever the
network says. The slide is read once as one of 0.5 and once as one of 0.25 µm/px, whose low power a coarser level has.

The others say which share that is, and how often it suffices. `synthetic`: a student of drawn sections, of patients
other than those mapped. `real`: the sections of DATA/slides (their µm/px is taken to be 0.5 where the file states none
or an absurd one), mapped by a student of DATA/crc5. That student is out of its depth there, as its tiles have no µm/px
and come from another laboratory; so agreement is with its own full pass, and says nothing of right and wrong. Students
train alone, at both powers.

Maps are made by `hviskd segment` in a process of its own, start included, with all its files: by the full pass, by the
first pass alone, and coarse to fine at the threshold of the Model's card. The map of any other threshold follows from
the first two, as every tile has the class of one of both; its CPU seconds are those of the first pass and the share
looked at closely of those of a full pass. CPU seconds are user and system of the process, whatever else the computer
does. What takes time beside tiles is measured by the same command with a density of tissue that no place reaches. Dice
is that of px with the drawn class of a synthetic section, pooled over sections, and with the full pass on real ones.

    python benchmarks/coarse_to_fine.py --work /tmp/coarse --data ../shared/data
    python benchmarks/coarse_to_fine.py --work /tmp/coarse --only synthetic --network resnet8 --epochs 4 --patients 4
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hviskd.processor import let_threads_sleep

let_threads_sleep()  # as the command line does

FULL, FIRST, CARD, NOTHING = "full pass", "first pass", "card", "nothing"
ONE_THREAD = ("--threads", "1", "--workers", "1")
NO_TISSUE = ("--tissue-density", "0.99", "--tissue-saturation", "0.99")
TARGETS = "targets: cost ratio 2.5 or more, same class 99 % or more, lowest Dice difference −0.005 or better"
MEASURED = (
    "import json, resource, subprocess, sys; "
    "done = subprocess.run(sys.argv[1:], capture_output=True, text=True); "
    "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
    "print(json.dumps([done.returncode, used.ru_utime + used.ru_stime, done.stderr]))"
)

OPEN_COLUMNS = """
from hviskd.processor import let_threads_sleep
let_threads_sleep()
from hviskd.segmentation import segmenting
segmenting.to_look_at_closely = lambda row, column, *_: (column % {0} == 0) & bool({1})
from hviskd.cli.app import main
main()
"""


class Measured(NamedTuple):
    """CPU seconds of a call, and the maps that it wrote."""

    cpu: float
    maps: list


@dataclass(frozen=True)
class Experiment:
    """A Model calibrated for coarse to fine, slides to map, and the truth where it is known.

    Attributes:
        name: Of the experiment.
        model: The Model's folder.
        cohort: CSV of the slides.
        masks: Folder of colour masks; None where nobody knows.
        told: What it is, in a sentence.
    """

    name: str
    model: Path
    cohort: Path
    masks: Path | None
    told: str


def main() -> None:
    """Train what is missing, map, and print one table per experiment."""
    options = parse()
    sections = [cost(options)] if options.only in (None, "cost") else []
    sections += [render(one, measure(one, options), options) for one in experiments(options)]
    report = "\n".join(
        [*sections, f"{TARGETS}. {machine()}", "", f"`{' '.join(['benchmarks/coarse_to_fine.py', *sys.argv[1:]])}`", ""]
    )
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of tiles, runs and maps; what is there is kept"
    )
    parser.add_argument("--data", type=Path, help="folder with slides/ and crc5/, for the experiment `real`")
    parser.add_argument("--only", choices=["cost", "synthetic", "real"])
    parser.add_argument("--network", default="resnet20", help="of the students")
    parser.add_argument("--networks", nargs="+", default=["mobilenet_v2", "resnet20"], help="of the experiment `cost`")
    parser.add_argument("--side-px", type=int, default=6000, help="of its slide")
    parser.add_argument(
        "--open", type=int, nargs="*", default=[10, 5, 3, 2], help="every n-th column is looked at closely"
    )
    parser.add_argument("--tile-px", type=int, default=64)
    parser.add_argument("--mpp", type=float, default=0.5, help="of the tiles, at full power")
    parser.add_argument("--slide-mpp", type=float, default=0.5, help="of the synthetic slides")
    parser.add_argument("--patients", type=int, default=12, help="synthetic; a third of them is mapped")
    parser.add_argument("--width-px", type=int, default=5000)
    parser.add_argument("--height-px", type=int, default=3900)
    parser.add_argument("--cap", type=int, default=300, help="training and validation tiles per class")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--every", type=int, default=2, help="every n-th threshold of the card's curve is shown")
    parser.add_argument("-o", "--output", type=Path, help="also write the tables here")
    return parser.parse_args()


def experiments(options: argparse.Namespace) -> list[Experiment]:
    """Return the experiments, with what they need made where it is missing."""
    found = []
    if options.only in (None, "synthetic"):
        found.append(synthetic(options))
    if options.only in (None, "real") and options.data:
        found.append(real(options))
    return found


def synthetic(options: argparse.Namespace) -> Experiment:
    """Draw a cohort, and train a student of two thirds of its patients."""
    from hviskd import CutSettings, cut_slides, draw_cohort, split_tiles
    from hviskd.synthesis import CohortSettings

    work = options.work / "synthetic"
    size = options.width_px, options.height_px
    settings = CohortSettings(options.patients, 1, *size, options.slide_mpp)
    if not (work / "cohort").exists():
        draw_cohort(work / "cohort", settings)
    slides = sorted((work / "cohort" / "slides").glob("*.svs"))
    mapped, learned = slides[: len(slides) // 3], slides[len(slides) // 3 :]
    if not (work / "tiles").exists():
        cut = CutSettings(tile_px=options.tile_px, mpp=options.mpp, purity=0.9, cap=options.cap)
        masks = {"annotations": work / "cohort" / "masks", "legend": "ivygap-paper"}
        patients = work / "cohort" / "patients.csv"
        split_tiles(
            cut_slides(learned, work / "tiles", **masks, patients=patients, settings=cut), by="patient", val=0.3, test=0
        )
    cohort = work / "mapped.csv"
    cohort.write_text("slide\n" + "".join(f"{slide}\n" for slide in mapped), encoding="utf-8")
    told = f"{len(mapped)} drawn sections of {size[0]:,} × {size[1]:,} px at {options.slide_mpp:g} µm/px"
    return Experiment("synthetic", trained(work, options), cohort, work / "cohort" / "masks", told)


def real(options: argparse.Namespace) -> Experiment:
    """Train a student of crc5, for the real sections that can be read."""
    from hviskd import ImportSettings, import_folder, split_tiles

    work = options.work / "real"
    if not (work / "tiles").exists():
        how = ImportSettings(tile_px=options.tile_px, resize=True, mpp=options.mpp * options.tile_px / 224)
        split_tiles(
            import_folder(options.data / "crc5" / "train", work / "tiles", settings=how), by="random", val=0.3, test=0
        )
    slides = options.data / "slides"
    listed = [("CMU-1-Small-Region.svs", ""), ("TCGA-CR-7395-01A-01-TS1.svs", 0.5), ("small_HE_levels.tiff", 0.5)]
    cohort = work / "mapped.csv"
    lines = [f"{(slides / name).absolute()},{mpp}" for name, mpp in listed]
    cohort.write_text("\n".join(["slide,mpp", *lines, ""]), encoding="utf-8")
    return Experiment("real", trained(work, options), cohort, None, "three real sections, by a student of crc5")


def trained(work: Path, options: argparse.Namespace) -> Path:
    """Return a student of both powers, trained alone where it is missing."""
    from hviskd import load_recipe, train

    run = work / options.network
    changes = {"network": options.network, "epochs": options.epochs, "batch_size": 32, "low_power": 0.5}
    changes |= {"learning_rate": 0.03, "schedule": "cosine", "warm_up": 0.05, "nesterov": True, "clip": 3.0}
    return train(load_recipe(None, changes), work / "tiles", run, resume=(run / "run.json").exists()).folder / "model"


def measure(one: Experiment, options: argparse.Namespace) -> dict[str, Measured]:
    """Map by the full pass, by the first pass alone, and coarse to fine at the threshold of the Model's card."""
    words = ["segment", one.cohort, "-m", one.model, "--overwrite", *ONE_THREAD]
    coarse = [*words, "--coarse-to-fine"]
    asked = {FULL: (words, None), FIRST: (coarse, OPEN_COLUMNS.format(1, 0)), CARD: (coarse, None)}
    found = {}
    for name, (given, code) in asked.items():
        maps = options.work / one.name / "maps" / name.replace(" ", "-")
        if name != CARD:
            hviskd(*given, "-o", maps, code=code)  # converts the network
        cpu = hviskd(*given, "-o", maps, code=code)
        found[name] = Measured(cpu, maps_of(maps))
        print(one.name, name, cpu, file=sys.stderr, flush=True)
    nothing = hviskd(*words, "-o", options.work / one.name / "maps" / "nothing", *NO_TISSUE)
    return found | {NOTHING: Measured(nothing, [])}


def cost(options: argparse.Namespace) -> str:
    """Measure CPU seconds where a given share of tiles is looked at closely."""
    rows = []
    for network in options.networks:
        work = drawn(options.work / "cost" / network, network, options.side_px)
        words = ["segment", work / "slide.svs", "-m", work / "both", "-o", work / "maps", *ONE_THREAD]
        for slide_mpp in (0.5, 0.25):
            asked = [*words, "--overwrite", "--slide-mpp", slide_mpp]
            full, fixed = hviskd(*asked), hviskd(*asked, *NO_TISSUE)
            for every in (None, *options.open):
                cpu = hviskd(*asked, "--coarse-to-fine", code=OPEN_COLUMNS.format(every or 1, int(every is not None)))
                (one,) = maps_of(work / "maps")
                rows.append(
                    f"| {network} | {slide_mpp:g} | {len(one):,} | {one.looked_closely.mean():.0%} | {full:.1f} | "
                    f"{cpu:.1f} | {full / cpu:.2f} | {(full - fixed) / (cpu - fixed):.2f} |"
                )
                print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join(
        [
            "## cost",
            "",
            f"A mosaic of {options.side_px:,} × {options.side_px:,} px, tiles of 150 px at 0.5 µm/px; float32.",
            "",
            "| network | slide, µm/px | tiles | looked at closely | full pass, CPU s | coarse to fine, CPU s | ratio | "
            "without the fixed part |",
            "|---|--:|--:|--:|--:|--:|--:|--:|",
            *rows,
            "",
        ]
    )


def drawn(work: Path, network: str, side_px: int) -> Path:
    """Write a slide, and a Model with drawn weights that is not refused."""
    from cutting import make_slide
    from segmentation import write_model

    from hviskd.models import load_model, save_model
    from hviskd.models.coarse_to_fine import CoarseToFineRecord

    if not (work / "both").exists():
        make_slide(work, side_px, side_px)
        write_model(argparse.Namespace(work=work, network=network, int8=False))
        told = {"data": "none", "data_fingerprint": "", "val_tiles": 1, "required": 1.0, "curve": ()}
        record = CoarseToFineRecord(unsure_below=0, closely=0, agreement=1, **told)
        model = load_model(work / "model")
        save_model(model.network, model.card.model_copy(update={"coarse_to_fine": record}), work / "both")
        words = ["segment", work / "slide.svs", "-m", work / "both", "-o", work / "maps", *ONE_THREAD]
        hviskd(*words)  # converts the network
        hviskd(*words, "--coarse-to-fine")  # and for low power
    return work


def hviskd(*words: object, code: str | None = None) -> float:
    """Run a verb, or a program that does, and return its CPU seconds."""
    command = [sys.executable, *(["-m", "hviskd"] if code is None else ["-c", code]), *map(str, words)]
    done = subprocess.run([sys.executable, "-c", MEASURED, *command], stdout=subprocess.PIPE, check=True, text=True)
    code, cpu, error = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{' '.join(command)}: {error}")
    return cpu


def render(one: Experiment, found: dict[str, Measured], options: argparse.Namespace) -> str:
    """Put one experiment into a Markdown table, with a row per threshold."""
    from hviskd.models import read_model_card

    card = read_model_card(one.model)
    record, fixed, whole = card.coarse_to_fine, found[NOTHING].cpu, found[FULL].cpu
    full = np.concatenate([each.class_index for each in found[FULL].maps])
    truth = truth_of(one, found[FULL].maps)
    before = dice(full, truth)
    thresholds = sorted({record.unsure_below, *(point.unsure_below for point in record.curve[:: options.every])})
    rows = []
    for threshold in thresholds:
        closely, classes = composed(found, threshold)
        same, change = full == classes, dice(classes, truth) - before
        cpu, mark = found[FIRST].cpu + closely.mean() * (whole - fixed), "about "
        if threshold == record.unsure_below:
            given = np.concatenate([each.class_index for each in found[CARD].maps])
            assert np.mean(given == classes) > 0.999  # what was composed is what the command gives
            cpu, mark = found[CARD].cpu, ""
        least = int(np.nanargmin(change))
        left = "–" if closely.all() else f"{same[~closely].mean():.2%}"
        name = f"**{threshold:.3f}** (card)" if threshold == record.unsure_below else f"{threshold:.3f}"
        rows.append(
            f"| {name} | {closely.mean():.1%} | {mark}{cpu:.1f} | {whole / cpu:.2f} | "
            f"{(whole - fixed) / (cpu - fixed):.2f} | {same.mean():.2%} | {left} | "
            f"{change[least]:+.4f} ({card.classes[least]}) |"
        )
    at_full, at_low = (card.metrics[f"val_{power}top1"] for power in ("", "low_power_"))
    return "\n".join(
        [
            f"## {one.name}",
            "",
            f"{one.told}, {len(full):,} tiles of {card.tile_px} px at {options.mpp:g} µm/px; {card.network.name}, "
            f"{at_full:.1%} of validation tiles right at full power, {at_low:.1%} at low power. "
            f"{str(record).capitalize()}. CPU seconds: full pass {whole:.1f}, first pass alone "
            f"{found[FIRST].cpu:.1f}, whatever is no tile {fixed:.1f}.",
            "",
            "| unsure below | looked at closely | CPU s | ratio | without the fixed part | same class | of those left "
            "| lowest Dice difference |",
            "|---|--:|--:|--:|--:|--:|--:|---|",
            *rows,
            "",
            failures(full, composed(found, record.unsure_below)[1], card.classes),
            "",
        ]
    )


def composed(found: dict[str, Measured], threshold: float):
    """Return which tiles are looked at closely at a threshold, and the class that each tile then has."""
    from hviskd.segmentation.coarse_to_fine import to_look_at_closely

    closely, classes = [], []
    for first, full in zip(found[FIRST].maps, found[FULL].maps, strict=True):
        closely.append(to_look_at_closely(first.row, first.column, first.probabilities, threshold))
        classes.append(np.where(closely[-1], full.class_index, first.class_index))
    return np.concatenate(closely), np.concatenate(classes)


def failures(full, coarse, classes: tuple[str, ...]) -> str:
    """Say of which class the tiles are that got another one than by the full pass."""
    lost = full != coarse
    told = [
        f"{name} {lost[full == k].sum():,} of {(full == k).sum():,}"
        for k, name in enumerate(classes)
        if (full == k).any()
    ]
    pairs, counts = np.unique(np.stack([full[lost], coarse[lost]]), axis=1, return_counts=True)
    often = [f"{classes[a]} → {classes[b]} {count:,}" for (a, b), count in zip(pairs.T, counts, strict=True)]
    often = [often[place] for place in np.argsort(-counts)[:3]]
    words = f"Tiles of another class at the card's threshold, by class of the full pass: {', '.join(told)}"
    return f"{words}; most often {', '.join(often)}." if often else f"{words}."


def truth_of(one: Experiment, maps: list):
    """Return the px of each class in each tile (N, K): as drawn, or all of the full pass's class where nobody knows."""
    if one.masks is None:
        return np.eye(len(maps[0].classes))[np.concatenate([each.class_index for each in maps])]
    from PIL import Image

    from hviskd.annotations import load_legend

    legend, counts = load_legend("ivygap-paper"), []
    for each in maps:
        mask = np.asarray(Image.open(one.masks / f"{Path(each.card.slide).stem}_L.png").convert("RGB")).astype(np.int64)
        codes, side = mask @ np.array([65536, 256, 1]), int(each.tile0_px)
        own = [codes_of(legend, name) for name in each.classes]
        for x, y in zip(each.x_px, each.y_px, strict=True):
            tile = codes[y : y + side, x : x + side]
            counts.append([np.isin(tile, known).sum() for known in own])
    return np.array(counts)


def codes_of(legend, name: str) -> list[int]:
    """Return the colours of a mask, as numbers, that mean a class, with those that are merged into it."""
    entries = [entry for entry in legend.classes if legend.merge.get(entry.name, entry.name) == name]
    return [int(np.dot(colour, (65536, 256, 1))) for entry in entries for colour in entry.colours]


def dice(classes, truth):
    """Return the Dice (K,) of px, pooled over slides, of tiles' classes (N,) and their px of each class (N, K)."""
    px = np.stack([truth[classes == k].sum(axis=0) for k in range(truth.shape[1])])
    total = px.sum(axis=0) + px.sum(axis=1)
    return 2 * np.diag(px) / np.where(total > 0, total, np.nan)


def maps_of(folder: Path) -> list:
    """Load the maps of a cohort, in the order of their names."""
    from hviskd import load_slide_map

    return [load_slide_map(path.parent) for path in sorted(folder.glob("*/summary.json"))]


def machine() -> str:
    """Say what measured."""
    from start import commit, cpu

    return (
        f"{cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {datetime.now(UTC):%Y-%m-%d}, commit "
        f"{commit(Path(__file__).parent)}"
    )


if __name__ == "__main__":
    main()
