"""Which way of training the student helps? The strongest methods and HVisKD's parts on real tiles, several seeds.

Prepares tiles from class folders (the val split is carved from train; test is read once) and hands them to
`hviskd.experiments.compare`: every training is an ordinary run that a kill cannot hurt, and the same command goes on.

    python benchmarks/evidence.py --data ../shared/data/crc5 --work runs/evidence --minutes 9 --workers 6
    python benchmarks/evidence.py --data ../shared/data/crc5 --work runs/ablation --experiment ablation --minutes 9
    python benchmarks/evidence.py --data ../shared/data/crc5 --work runs/all --experiment every-method --tile-px 64

`--data` is a folder of class folders under train/ and test/, or a TileSet that has the three splits. Exit status 3:
not done yet.
"""

import argparse
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from hviskd.processor import let_threads_sleep

let_threads_sleep()  # as the command line does


def main() -> None:
    """Train for a while, then say how far it is, and write the table of what is there."""
    from hviskd.experiments import compare, load_design
    from hviskd.training.recipe import parse_value

    options = parse()
    changes = {f"settings.{name}": getattr(options, name) for name in ("epochs", "batch_size", "precision")}
    given = {key: value for key, value in changes.items() if value is not None}
    given |= {key: parse_value(value) for key, _, value in (change.partition("=") for change in options.set)}
    tileset = prepare(options)
    outcome = compare(
        load_design(options.experiment, given),
        tileset,
        options.work / "compared",
        jobs=options.workers,
        threads=options.threads,
        minutes=options.minutes,
        device=options.device,
    )
    table = options.work / "compared" / "table.md"
    body = table.read_text(encoding="utf-8").partition("\n")[2].rstrip()
    report = f"# Evidence: {options.experiment} on {options.data.name}\n{body}\n\n{machine(options)}\n"
    (options.work / "evidence.md").write_text(report, encoding="utf-8")
    print(report)
    for title, problem in outcome.failed.items():
        print(f"failed: {title}: {problem}", file=sys.stderr)
    if outcome.left:
        print(f"{outcome.left} trainings are left; run the same command again", file=sys.stderr)
        raise SystemExit(3)
    raise SystemExit(1 if outcome.failed else 0)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of tiles, runs and the table")
    parser.add_argument("--experiment", default="strongest", help="an experiment that comes along, or a YAML file")
    parser.add_argument("--minutes", type=float, help="stop after this time; go on with the same command")
    parser.add_argument("--workers", type=int, default=1, help="trainings side by side on the device")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--tile-px", type=int, default=150, help="side to which larger pictures are resized")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2, help="processor threads of each worker")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `hviskd compare --set`")
    return parser.parse_args()


def prepare(options: argparse.Namespace):
    """Give a TileSet with the three splits, imported and carved on the first call."""
    from hviskd.tiles import ImportSettings, TileSet, import_folder, split_tiles

    if (options.data / "tileset.json").is_file():
        return TileSet.open(options.data)
    folder = options.work / f"tiles-{options.tile_px}"
    if not (folder / "tileset.json").is_file():
        import_folder(options.data, folder, settings=ImportSettings(tile_px=options.tile_px, resize=True))
    tileset = TileSet.open(folder)
    if not len(tileset.rows("val")):
        tileset = split_tiles(tileset, by="random", val=0.15, keep_test=True, seed=0)
    return tileset


def machine(options: argparse.Namespace) -> str:
    """Say where and how."""
    import torch

    on_gpu = torch.cuda.is_available() and options.device != "cpu"
    where = torch.cuda.get_device_name() if on_gpu else platform.machine()
    return (
        f"{where}, {options.workers} trainings at once with {options.threads} threads each; torch "
        f"{torch.__version__}; {datetime.now(UTC):%Y-%m-%d}; `python benchmarks/evidence.py {' '.join(sys.argv[1:])}`"
    )


if __name__ == "__main__":
    main()
