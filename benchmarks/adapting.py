"""What `hviskd adapt` wins back at another place and costs at home, on real tiles of two stains.

    python benchmarks/adapting.py --data ../shared/data --work runs/adapting

Home is one folder of `crc5`, the new place the other, whose stain differs visibly: half of its tiles join without
labels, the other half measures. Slides and patients of `crc5` are unknown. The halves probably share slides, so this
shows what slides gain that a student was adapted to, not what other slides of the same laboratory would. Students of
several seeds are trained with KD by the plain teacher, then adapted by each teacher. It may be killed at any moment;
the same command goes on.
"""

import argparse
import platform
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from protocol import fine_tuned

from hviskd.processor import let_threads_sleep

let_threads_sleep()  # as the command line does

TEACHERS = {"plain": {}, "stain jitter": {"stain_jitter": 0.5, "epochs": 12, "ema": 0.98}}


def main() -> None:
    """Train what is missing, and write the table."""
    options = parse()
    rows = [row for teacher in options.teachers for row in measured(teacher, options)]
    report = render(rows)
    options.output.write_text(report, encoding="utf-8")
    print(report)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with crc5/")
    parser.add_argument("--work", type=Path, required=True, help="folder of tiles, runs and caches")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results" / "adapting_crc5.md")
    parser.add_argument("--home", choices=["train", "test"], default="train", help="folder of crc5 that is home")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--teachers", nargs="+", choices=list(TEACHERS), default=list(TEACHERS))
    parser.add_argument("--tile-px", type=int, default=32)
    parser.add_argument("--teacher-px", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=45, help="of the students before they are adapted")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def tiles(options: argparse.Namespace):
    """Return the tiles at home, split, and those of the new place, half of them to learn and half to measure."""
    from hviskd import ImportSettings, TileSet, import_folder, split_tiles

    found, how = [], ImportSettings(tile_px=options.tile_px, resize=True)
    other = "test" if options.home == "train" else "train"
    for part, val, test in ((options.home, 0.2, 0.3), (other, 0.0, 0.5)):
        folder = options.work / f"crc5-{part}-{'home' if part == options.home else 'place'}"
        if not (folder / "tileset.json").is_file():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            import_folder(options.data / "crc5" / part, partial, settings=how)
            split_tiles(TileSet.open(partial), by="random", val=val, test=test, seed=0)
            partial.rename(folder)
        found.append(TileSet.open(folder))
    return found


def teacher_of(name: str, home, options: argparse.Namespace) -> Path:
    """Return the folder of a fine-tuned teacher, trained on the first call."""
    tuned = options.work / f"teacher-{name.replace(' ', '-')}"
    return fine_tuned(home, options.work / "probe", tuned, TEACHERS[name], options)


def student_of(seed: int, home, options: argparse.Namespace) -> Path:
    """Return the folder of a student as it leaves home, trained on the first call."""
    from hviskd import Run, Teaching, load_recipe, train

    folder = options.work / f"student-seed{seed}"
    recipe = {"network": "resnet8", "epochs": options.epochs, "batch_size": 64, "learning_rate": 0.05, "nesterov": True}
    recipe |= {"schedule": "cosine", "warm_up": 0.05, "clip": 3, "seed": seed}
    recipe |= {"methods": {"cross_entropy": {}, "kd": {"temperature": 2.0}}}
    if not Run(folder).finished:
        teaching = Teaching(teacher_of("plain", home, options), cache_folder=options.work / "cache")
        how = load_recipe(None, recipe, role="distilled student")
        train(how, home, folder, teacher=teaching, resume=bool(Run(folder).card), device=options.device)
    return folder


def measured(name: str, options: argparse.Namespace) -> list[dict]:
    """Return one row per seed: student, adapted student and teacher, at home and at the new place."""
    from hviskd import Teaching, adapt, load_recipe

    home, place = tiles(options)
    teaching = Teaching(teacher_of(name, home, options), unlabelled=place, cache_folder=options.work / "cache")
    rows = []
    for seed in options.seeds:
        student = student_of(seed, home, options)
        folder = options.work / f"adapted-{name.replace(' ', '-')}-seed{seed}"
        how = load_recipe("adapt", {"start": str(student), "seed": seed}, role="distilled student")
        found = adapt(student, home, folder, teaching=teaching, measured=place, recipe=how, device=options.device)
        row = {"teacher": name, "seed": seed}
        for where, evaluation in (("home", found.home), ("place", found.place)):
            for who, result in zip(("before", "after", "teacher_has"), evaluation.models, strict=True):
                row[f"{who}_{where}"] = 100 * result.metrics.overall()["balanced_accuracy"]
        rows.append(row)
    return rows


def render(rows: list[dict]) -> str:
    """Return the table of means over seeds, and every seed's numbers."""
    import torch
    from scipy import stats

    def change(group: list[dict], where: str) -> str:
        points = np.array([row[f"after_{where}"] - row[f"before_{where}"] for row in group])
        if len(points) < 2:
            return f"{points.mean():+.1f}"
        low, high = stats.ttest_1samp(points, 0.0).confidence_interval(0.95)
        return f"{points.mean():+.1f} ({low:+.1f} to {high:+.1f})"

    def mean(group: list[dict], column: str) -> str:
        return f"{np.mean([row[column] for row in group]):.1f}"

    columns = [f"{who}_{where}" for where in ("place", "home") for who in ("before", "after")]
    lines = ["# A student taken to another laboratory", ""]
    lines += ["Balanced accuracy in %; changes are means over seeds with 95 % t-intervals.", ""]
    lines += ["| teacher | seeds | there before | after | change | won back | teacher there |"]
    lines[-1] += " home before | after | change | teacher at home |"
    lines += ["|---|" + "--:|" * 10]
    for name in dict.fromkeys(row["teacher"] for row in rows):
        group = [row for row in rows if row["teacher"] == name]
        cost = np.mean([row["before_home"] - row["before_place"] for row in group])
        won = np.mean([row["after_place"] - row["before_place"] for row in group]) / cost
        there = [mean(group, "before_place"), mean(group, "after_place"), change(group, "place"), f"{won:.0%}"]
        at_home = [mean(group, "before_home"), mean(group, "after_home"), change(group, "home")]
        known = mean(group, "teacher_has_place"), mean(group, "teacher_has_home")
        lines.append(f"| {' | '.join([name, str(len(group)), *there, known[0], *at_home, known[1]])} |")
    lines += ["", "| teacher | seed | " + " | ".join(column.replace("_", ", ") for column in columns) + " |"]
    lines += ["|---|" + "--:|" * (1 + len(columns))]
    for row in rows:
        numbers = [f"{row[column]:.1f}" for column in columns]
        lines.append(f"| {row['teacher']} | {row['seed']} | {' | '.join(numbers)} |")
    stamp = f"{platform.machine()}, torch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}"
    lines += ["", f"{stamp}; `python benchmarks/adapting.py {' '.join(sys.argv[1:])}`"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
