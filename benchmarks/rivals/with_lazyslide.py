"""Classifies the slide with LazySlide; called by `run.py` in LazySlide's environment."""

import csv
import json
import sys
from pathlib import Path

from building.operators import declare_operators_of_torchvision

work, output, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])


def main() -> None:
    """Find tissue, lay tiles, classify them, write everything, and list places and classes."""
    declare_operators_of_torchvision()
    import lazyslide
    import torch
    from torchvision.transforms import v2
    from wsidata import open_wsi

    config = json.loads((work / "export" / "config.json").read_text())
    scale = config["transform"][-1]["arguments"]
    script = torch.jit.load(work / "export" / "torchscript_model.pt")

    class Classifier:
        """What LazySlide asks of a model that is not in its registry."""

        def to(self, device):
            script.to(device)

        def get_transform(self):
            return v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(**scale)])

        def predict(self, images):
            probabilities = torch.softmax(script(images), dim=1)
            return {name: probabilities[:, place].numpy() for place, name in enumerate(config["class_names"])}

    wsi = open_wsi(str(work / "slide.svs"))
    lazyslide.pp.find_tissues(wsi)
    lazyslide.pp.tile_tissues(wsi, config["patch_size_pixels"], mpp=config["spacing_um_px"])
    lazyslide.tl.tile_prediction(wsi, Classifier(), num_workers=workers)
    wsi.write(output / "slide.zarr")
    tiles = wsi.shapes["tiles"]
    classes = tiles[config["class_names"]].to_numpy().argmax(axis=1)
    with (output / "tiles.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(zip(tiles.bounds["minx"], tiles.bounds["miny"], classes, strict=True))


if __name__ == "__main__":
    main()
