"""Does a distilled student look where the expert does? Teacher, student, KD and HVisKD on tiles with nucleus masks.

Cross-validation by patient: every tile is looked at by models that never saw its patient. A measure of a tile is its
mean over the seeds; tests are over patients. Every training is a run of `hviskd.experiments.compare`, so the same
command goes on after a kill.

    python benchmarks/attention.py --data ../shared/data/brain150 --work runs/attention --workers 2 --threads 1

`--data` holds `images/CLASS/*.png`, `masks/CLASS/*.png` and `index.csv` with `name` and `group`, the patient.
"""

import argparse
import platform
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from hviskd.processor import let_threads_sleep

let_threads_sleep()  # as the command line does

MEASURES = ("dice_share", "dice_otsu", "dice_mean", "soft_dice", "pointing", "energy")


def main() -> None:
    """Train what is missing, look at every tile, write tables and pictures."""
    from hviskd.attention.attention_figures import draw_boxes, draw_examples
    from hviskd.attention.comparing import compare_attention
    from hviskd.experiments import compare, load_design
    from hviskd.experiments.cells import Bench, Cell
    from hviskd.experiments.folds import make_folds
    from hviskd.pictures import save_figure

    options = parse()
    design = load_design(options.design)
    tileset = prepare(options.data, options.work / "tiles")
    folder = options.work / "compared"
    outcome = compare(design, tileset, folder, jobs=options.workers, threads=options.threads, device="cpu")
    if outcome.left or outcome.failed:
        raise SystemExit(f"{outcome.left} trainings are left, failed: {outcome.failed}")
    bench = Bench(design, folder, make_folds(tileset, design.folds, folder / "folds"), "cpu")
    looked = {
        (fold, seed): look(bench, Cell, fold, seed, options) for fold in range(design.folds) for seed in design.seeds
    }
    rows = pd.concat([found.comparison.tiles for found in looked.values()])
    pooled = rows.groupby(["model", "tile", "patient"], sort=False, as_index=False).mean()
    out = options.work / "results"
    out.mkdir(exist_ok=True)
    against = {reference: compare_attention(pooled, reference) for reference in ("student", "kd")}
    pooled.to_csv(out / "attention.csv", index=False, float_format="%.6g")
    for reference, found in against.items():
        found.tests.to_csv(out / f"tests-against-{reference}.csv", index=False, float_format="%.6g")
    against["kd"].means.to_csv(out / "means.csv", index=False, float_format="%.6g")
    save_figure(draw_boxes(against["kd"], "dice_share"), out / "boxes.png")
    first = looked[0, design.seeds[0]]
    spread = np.linspace(0, len(first.files) - 1, 6).astype(int)
    save_figure(draw_examples(chosen(first, spread)), out / "examples.png")
    text = report(against, (folder / "table.md").read_text(encoding="utf-8"), pooled, options)
    (out / "attention.md").write_text(text, encoding="utf-8")
    print(text)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of tiles, runs and results")
    parser.add_argument("--design", type=Path, default=Path(__file__).with_name("attention_brain150.yaml"))
    parser.add_argument("--workers", type=int, default=1, help="trainings side by side")
    parser.add_argument("--threads", type=int, default=2, help="processor threads of each worker")
    parser.add_argument("--kind", default="grad-cam", choices=("grad-cam", "hires-cam", "cam"))
    return parser.parse_args()


def prepare(data: Path, folder: Path):
    """Give the tiles as a TileSet with patients, imported on the first call."""
    from hviskd.tiles import CsvColumns, TileSet, import_folder

    if not (folder / "tileset.json").is_file():
        columns = CsvColumns(file="name", slide="group", patient="group")
        import_folder(data / "images", folder, csv=data / "index.csv", columns=columns)
    return TileSet.open(folder)


def look(bench, cell, fold: int, seed: int, options: argparse.Namespace):
    """Give the attention of one fold's models on the patients it never saw, under the arms' names."""
    from hviskd.attention import AttentionSettings, attend
    from hviskd.models import load_model
    from hviskd.models.folder import CHOSEN

    pair = bench.design.pairs[0]
    cells = {"teacher": cell(pair, None, 0, fold)} | {
        arm.name: cell(pair, arm, seed, fold) for arm in bench.design.arms
    }
    models = []
    for name, one in cells.items():
        model = load_model(bench.place(one) / CHOSEN)
        models.append(replace(model, card=model.card.model_copy(update={"name": name})))
    settings = AttentionSettings(kind=options.kind)
    return attend(models, bench.tilesets[fold], annotations=options.data / "masks", settings=settings)


def chosen(found, places):
    """Give the same attention on some tiles only."""
    return replace(
        found,
        maps={name: maps[places] for name, maps in found.maps.items()},
        rows=found.rows[places],
        classes=tuple(found.classes[place] for place in places),
    )


def report(against, table: str, pooled: pd.DataFrame, options: argparse.Namespace) -> str:
    """Give means, tests and conditions as Markdown."""
    from hviskd.attention.comparing import TESTS
    from hviskd.attention.overlap import MEASURES as TOLD
    from hviskd.evaluation.tables import markdown_table

    means = against["kd"].means.set_index(["model", "measure"])
    header, rows = ["model", *(TOLD[name] for name in MEASURES)], []
    for model in pooled["model"].unique():
        cells = [means.loc[(model, name)] for name in MEASURES]
        rows.append([model, *(f"{cell['mean']:.3f} ({cell['low']:.3f} to {cell['high']:.3f})" for cell in cells)])
    tests = []
    for reference, found in against.items():
        for row in found.tests.to_dict("records"):
            if row["measure"] in ("dice_share", "energy"):
                difference = f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
                effects = [f"{row[name]:+.2f}" for name in ("d_z", "rank_biserial")]
                tests.append([f"{TOLD[row['measure']]}: {row['model']} against {reference}", difference, *effects,
                              *(f"{row[f'{test}_holm']:.2g}" for test in TESTS)])  # fmt: skip
    told = ["", "difference (95 % interval)", "d_z", "rank-biserial", *(name.replace("_", " ") for name in TESTS)]
    notes = " ".join(against["kd"].notes)
    where = (
        f"{platform.machine()}, {options.workers} trainings at once, {options.threads} threads each; "
        f"{datetime.now(UTC):%Y-%m-%d}; `python benchmarks/attention.py {' '.join(sys.argv[1:])}`"
    )
    blocks = [table.rstrip(), f"# {options.kind} against the experts' outlines", notes, markdown_table((header, rows))]
    blocks += ["Every p after Holm's correction:", markdown_table((told, tests)), where]
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    main()
