"""Runs WSInfer's own command on the slide; called by `run.py` in WSInfer's environment."""

import csv
import sys
from pathlib import Path

from building.operators import declare_operators_of_torchvision

work, output, workers = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]


def main() -> None:
    """Run it, and list places and classes."""
    declare_operators_of_torchvision()
    import wsinfer_zoo.client

    # Even for files of one's own, importing it asks a server for its list of models; where there is none, it fails.
    wsinfer_zoo.client.load_registry = lambda: wsinfer_zoo.client.ModelRegistry(models={})
    from wsinfer.cli.cli import cli

    words = ["--wsi-dir", str(work / "slides"), "--results-dir", str(output / "results")]
    words += ["--config", str(work / "export" / "config.json")]
    words += ["--model-path", str(work / "export" / "torchscript_model.pt"), "--num-workers", workers]
    cli(["run", *words], standalone_mode=False)
    with (output / "results" / "model-outputs-csv" / "slide.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [name for name in rows[0] if name.startswith("prob_")]
    with (output / "tiles.csv").open("w", newline="") as stream:
        for row in rows:
            probabilities = [float(row[name]) for name in names]
            csv.writer(stream).writerow([row["minx"], row["miny"], probabilities.index(max(probabilities))])


if __name__ == "__main__":
    main()
