"""Does a distilled student look where the expert does, and where its teacher does? On nuclei, and on synthetic vessels.

Nuclei: cross-validation by patient, so that every tile is looked at by models that never saw its patient. Vessels:
tiles of a drawn cohort, split by patient; the teacher learned from other patients, and only tiles of proliferating
vessels are looked at, against the outlines of the vessels of their slides. A measure of a tile is its mean over the
seeds. Every training is a run of `hviskd.experiments.compare`, so the same command goes on after a kill.

    python benchmarks/attention.py --data ../shared/data/brain150 --work runs/attention --workers 2 --threads 1
    python benchmarks/attention.py --work runs/vessels --workers 1 --threads 1

`--data` holds `images/CLASS/*.png`, `masks/CLASS/*.png` and `index.csv` with `name` and `group`, the patient. Without
it the vessels are drawn.

What is asked of the vessels was fixed before any of its results. All tests are sign-flip tests over the means of test
patients, two-sided, at 5 % after Holm's correction over the networks of the question; 95 % intervals resample patients.

1. Does a network look at vessels more than chance? Its Dice (hottest fifth of the tile) with the outline of the tile,
   less the mean Dice of its maps of four tiles of other patients with the same outline, against 0. This needs no model
   of chance: a habit, such as looking at the middle of every tile, is in both. Beside it: smooth noise of the same
   area, and edges.
2. Does distilling change that? Dice of each arm less that of the student alone.
3. Does a student look where its teacher looks? Rank correlation of their maps, each arm less the student alone.
4. Can attention be handed on at equal accuracy? An arm `map` does it if question 3 says so of it, also against `kd`,
   and the interval of its accuracy less that of `kd` begins above −2 points.

Accuracies are those of the table of `compare`. Nothing is tuned; no arm or seed is added or left out afterwards.

Amended before any training was looked at: maps of untrained networks, with which this script was tried, agreed with the
outlines 0.03 more or 0.01 less than those of other tiles, both significantly, since random filters answer to lumina or
to nuclei. So an untrained student of every seed is looked at as well, and questions 1 and 3 are also asked against it.
Amended for want of processor time, also before any result: of the five seeds as many whole ones are reported
(`--seeds`) as are trained when the time is up, at least two, with no look in between.
"""

import argparse
import platform
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from hviskd.processor import let_threads_sleep

let_threads_sleep()  # as the command line does

HERE = Path(__file__).parent
MEASURES = ("dice_share", "dice_otsu", "dice_mean", "soft_dice", "pointing", "energy")
OWN, ALIKE = "Dice above that of maps of other tiles", "rank correlation with the teacher's maps"
CHANCE, OTHERS, UNTRAINED = "maps of other tiles", 4, "untrained"
TEACHERS_PATIENTS, TEACHERS_EPOCHS = 10, 20


@dataclass(frozen=True)
class Study:
    """Tiles with an expert's outlines, the experiment on them, and the class whose tiles are looked at; None: all."""

    design: object
    tileset: object
    annotations: Path
    class_name: str | None


def main() -> None:
    """Train what is missing, look at every tile, write tables and pictures."""
    from hviskd.attention.attention_figures import draw_boxes, draw_examples
    from hviskd.attention.comparing import compare_attention
    from hviskd.experiments import compare
    from hviskd.experiments.cells import Bench
    from hviskd.experiments.folds import make_folds
    from hviskd.pictures import save_figure

    options = parse()
    study = vessels(options) if options.data is None else nuclei(options)
    design, folder = study.design, options.work / "compared"
    outcome = compare(design, study.tileset, folder, jobs=options.workers, threads=options.threads, device="cpu")
    if outcome.left or outcome.failed:
        raise SystemExit(f"{outcome.left} trainings are left, failed: {outcome.failed}")
    folds = [study.tileset] if design.folds is None else make_folds(study.tileset, design.folds, folder / "folds")
    bench = Bench(design, folder, folds, "cpu")
    looked = {
        (fold, seed): look(bench, study, fold, seed, options) for fold in range(len(folds)) for seed in design.seeds
    }
    rows = pd.concat([measured(found) for found in looked.values()])
    pooled = rows.groupby(["model", "tile", "patient"], sort=False, as_index=False).mean()
    out = options.work / "results"
    out.mkdir(exist_ok=True)
    measures = pooled.drop(columns=[OWN, ALIKE])
    against = {reference: compare_attention(measures, reference) for reference in ("student", "kd")}
    pooled.to_csv(out / "attention.csv", index=False, float_format="%.6g")
    for reference, found in against.items():
        found.tests.to_csv(out / f"tests-against-{reference}.csv", index=False, float_format="%.6g")
    against["kd"].means.to_csv(out / "means.csv", index=False, float_format="%.6g")
    save_figure(draw_boxes(against["kd"], "dice_share"), out / "boxes.png")
    first = looked[0, design.seeds[0]]
    spread = np.linspace(0, len(first.files) - 1, 6).astype(int)
    save_figure(draw_examples(chosen(first, spread)), out / "examples.png")
    text = report(against, asked(pooled), (folder / "table.md").read_text(encoding="utf-8"), options)
    (out / "attention.md").write_text(text, encoding="utf-8")
    print(text)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="tiles with masks of nuclei; without, vessels are drawn")
    parser.add_argument("--work", type=Path, required=True, help="folder of tiles, runs and results")
    parser.add_argument("--design", type=Path, help="another experiment than this set's")
    parser.add_argument("--seeds", nargs="+", type=int, help="other seeds than the experiment's")
    parser.add_argument("--patients", type=int, default=30, help="of the drawn cohort, ten of them the teacher's")
    parser.add_argument("--workers", type=int, default=1, help="trainings side by side")
    parser.add_argument("--threads", type=int, default=2, help="processor threads of each worker")
    parser.add_argument("--kind", default="grad-cam", choices=("grad-cam", "hires-cam", "cam"))
    return parser.parse_args()


def changes(options: argparse.Namespace) -> dict:
    """Return what the command line changes in an experiment."""
    return {} if options.seeds is None else {"seeds": options.seeds}


def nuclei(options: argparse.Namespace) -> Study:
    """Return the tiles with masks of nuclei, imported on the first call."""
    from hviskd.experiments import load_design
    from hviskd.tiles import CsvColumns, TileSet, import_folder

    folder = options.work / "tiles"
    if not (folder / "tileset.json").is_file():
        columns = CsvColumns(file="name", slide="group", patient="group")
        import_folder(options.data / "images", folder, csv=options.data / "index.csv", columns=columns)
    design = load_design(options.design or HERE / "attention_brain150.yaml", changes(options))
    return Study(design, TileSet.open(folder), options.data / "masks", None)


def vessels(options: argparse.Namespace) -> Study:
    """Return tiles of a drawn cohort and the experiment, whose teacher is trained on tiles of the first patients."""
    from hviskd import CohortSettings, Run, draw_cohort, load_recipe, train
    from hviskd.experiments import load_design

    cohort, teacher = options.work / "cohort", options.work / "teacher"
    if not (cohort / "cohort.json").is_file():
        settings = CohortSettings(options.patients, width_px=1600, height_px=1200, mpp=1.0)
        draw_cohort(cohort, settings, workers=options.workers)
    slides = sorted((cohort / "slides").iterdir())
    theirs = cut(slides[:TEACHERS_PATIENTS], options.work / "elsewhere", 400, val=0.2, test=0.0)
    ours = cut(slides[TEACHERS_PATIENTS:], options.work / "tiles", 200, val=0.15, test=0.5)
    design = load_design(
        options.design or HERE / "attention_vessels.yaml", {"teacher": str(teacher), **changes(options)}
    )
    recipe = load_recipe(design.pairs[0], {**design.settings, "epochs": TEACHERS_EPOCHS}, role="teacher")
    if not Run(teacher).finished:
        train(recipe, theirs, teacher, resume=bool(Run(teacher).card), device="cpu")
    return Study(design, ours, cohort / "structures", "CTmvp")


def cut(slides: list[Path], folder: Path, cap: int, **shares: float):
    """Return at most `cap` tiles per class of some slides, cut by their outlines of regions and split by patient."""
    from hviskd import CutSettings, TileSet, cut_slides, split_tiles

    if not (folder / "tileset.json").is_file():
        cohort = folder.parent / "cohort"
        # With a purity of 1, hardly a tile would fit into the islands of vessels of so small a section.
        settings = CutSettings(tile_px=64, mpp=1.0, purity=0.6, cap=cap, licence="Apache-2.0")
        drawn = {"annotations": cohort / "annotations", "legend": "ivygap-paper", "patients": cohort / "patients.csv"}
        cut_slides(slides, folder, **drawn, settings=settings)
    return split_tiles(TileSet.open(folder), by="patient", **shares)


def look(bench, study: Study, fold: int, seed: int, options: argparse.Namespace):
    """Give the attention of one fold's models on the patients it never saw, under the arms' names."""
    from hviskd.attention import AttentionSettings, attend
    from hviskd.experiments.cells import Cell
    from hviskd.models import load_model
    from hviskd.models.folder import CHOSEN

    pair = bench.design.pairs[0]
    cells = {"teacher": Cell(pair, None, 0, fold)} | {
        arm.name: Cell(pair, arm, seed, fold) for arm in bench.design.arms
    }
    models = []
    for name, one in cells.items():
        place = bench.place(one)
        model = load_model(place / CHOSEN if (place / CHOSEN).is_dir() else place)
        models.append(replace(model, card=model.card.model_copy(update={"name": name})))
    models.append(untrained(models[-1], bench.tilesets[fold], seed))
    settings = AttentionSettings(kind=options.kind, class_name=study.class_name)
    return attend(models, bench.tilesets[fold], annotations=study.annotations, settings=settings)


def untrained(model, tileset, seed: int):
    """Give the same network with random weights, whose normalisations have seen some training tiles."""
    import torch
    from segmentation import show_to_normalisations

    from hviskd.models import InputStep

    torch.manual_seed(1_000_003 + seed)
    network = model.card.network.build(len(model.card.classes), model.card.tile_px)
    images = torch.from_numpy(np.asarray(tileset.pixels[tileset.rows("train")[::4]]))
    show_to_normalisations(network, InputStep(model.card.normalisation)(images))
    return replace(model, network=network, card=model.card.model_copy(update={"name": UNTRAINED}))


def measured(found) -> pd.DataFrame:
    """Give every measure of each model and tile, its Dice above other tiles' maps, and likeness to the teacher's."""
    from hviskd.attention import measure_tile
    from hviskd.attention.resemblance import rank_correlation

    (_, owner), teacher = found.tileset.clusters(found.rows), found.maps[found.names[0]]
    rng = np.random.default_rng(0)
    others = [rng.permutation(np.flatnonzero(owner != own))[:OTHERS].tolist() for own in owner]
    outlines = [found.outline(place) for place in range(len(found))]
    rows = []
    for name, maps in found.maps.items():
        scaled = [found.scaled(name, place) for place in range(len(found))]
        for place, (tile, outline) in enumerate(zip(found.rows.tolist(), outlines, strict=True)):
            own, *elsewhere = (measure_tile(scaled[at], outline)["dice_share"] for at in (place, *others[place]))
            like = np.nan if name == found.names[0] else rank_correlation(maps[place], teacher[place])
            rows.append({"model": name, "tile": tile, OWN: own - np.mean(elsewhere), ALIKE: like})
    return found.comparison.tiles.merge(pd.DataFrame(rows), on=["model", "tile"], how="left")


def asked(pooled: pd.DataFrame) -> list:
    """Give the comparisons of the first and of the third question, each against all that it is asked against."""
    from hviskd.attention.comparing import compare_attention

    whose = ["model", "tile", "patient"]
    above = pooled.dropna(subset=[OWN])[[*whose, OWN]]
    nothing = above[above["model"] == "student"].assign(**{"model": CHANCE, OWN: 0.0})
    alike = pooled.dropna(subset=[ALIKE])[[*whose, ALIKE]]
    chance = compare_attention(pd.concat([above, nothing]), CHANCE)
    known = [compare_attention(alike, reference) for reference in ("student", "kd", UNTRAINED)]
    return [*known, chance, compare_attention(above, UNTRAINED)]


def chosen(found, places):
    """Give the same attention on some tiles only."""
    return replace(
        found,
        maps={name: maps[places] for name, maps in found.maps.items()},
        rows=found.rows[places],
        classes=tuple(found.classes[place] for place in places),
    )


def report(against, questions, table: str, options: argparse.Namespace) -> str:
    """Give means, tests and conditions as Markdown."""
    from start import commit

    from hviskd.attention.comparing import TESTS
    from hviskd.attention.overlap import MEASURES as TOLD
    from hviskd.evaluation.tables import markdown_table

    means = against["kd"].means.set_index(["model", "measure"])
    header, tests = ["model", *(TOLD[name] for name in MEASURES)], []
    rows = [
        [model, *(interval(means.loc[(model, name)], "mean", "") for name in MEASURES)]
        for model in means.index.unique("model")
    ]
    for found in (*against.values(), *questions):
        for row in found.tests.to_dict("records"):
            if row["measure"] in ("dice_share", "energy", OWN, ALIKE):
                effects = [f"{row[name]:+.2f}" for name in ("d_z", "rank_biserial")]
                title = f"{TOLD.get(row['measure'], row['measure'])}: {row['model']} against {row['reference']}"
                ps = [f"{row[f'{test}_holm']:.2g}" for test in TESTS]
                tests.append([title, interval(row, "difference", "+"), *effects, *ps])
    said = ["", "difference (95 % interval)", "d_z", "rank-biserial", *(name.replace("_", " ") for name in TESTS)]
    alike = questions[0].means.to_dict("records")
    alike = [[row["model"], interval(row, "mean", "+"), str(row["tiles"])] for row in alike]
    where = (
        f"{platform.machine()}, {options.workers} trainings at once, {options.threads} threads each; "
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit(HERE)}; "
        f"`python benchmarks/attention.py {' '.join(sys.argv[1:])}`"
    )
    blocks = [table.rstrip(), f"# {options.kind} against the experts' outlines", " ".join(against["kd"].notes)]
    blocks += [markdown_table((header, rows)), markdown_table((["model", ALIKE, "tiles"], alike))]
    blocks += ["Every p after Holm's correction:", markdown_table((said, tests)), where]
    return "\n\n".join(blocks) + "\n"


def interval(row, name: str, sign: str) -> str:
    """Give a mean with its interval."""
    return f"{row[name]:{sign}.3f} ({row['low']:{sign}.3f} to {row['high']:{sign}.3f})"


if __name__ == "__main__":
    main()
