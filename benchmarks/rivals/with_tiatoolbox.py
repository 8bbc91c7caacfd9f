"""Classifies the slide with TIAToolbox; called by `run.py` in TIAToolbox's environment."""

import csv
import json
import sys
from pathlib import Path

from building.operators import declare_operators_of_torchvision

work, output, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])


def main() -> None:
    """Classify the tissue, which it finds itself, and list places and classes."""
    declare_operators_of_torchvision()
    import numpy as np
    import torch
    import zarr
    from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
    from tiatoolbox.models.engine.patch_predictor import PatchPredictor
    from tiatoolbox.models.models_abc import ModelABC

    config = json.loads((work / "export" / "config.json").read_text())
    scale = {name: np.array(values, np.float32) for name, values in config["transform"][-1]["arguments"].items()}

    class Classifier(ModelABC):
        """What TIAToolbox asks of a model that is not one of its own."""

        def __init__(self):
            super().__init__()
            self.script = torch.jit.load(work / "export" / "torchscript_model.pt")

        def forward(self, images):
            return torch.softmax(self.script(images), dim=1)

        @staticmethod
        def preproc(image):
            return (image.astype(np.float32) / 255 - scale["mean"]) / scale["std"]

        @staticmethod
        def postproc(image):
            return image.argmax(axis=-1)

        @staticmethod
        def infer_batch(model, batch_data, *, device):
            with torch.inference_mode():
                return model(batch_data.to(device).permute(0, 3, 1, 2)).cpu().numpy()

    side = config["patch_size_pixels"]
    how = IOPatchPredictorConfig(
        patch_input_shape=(side, side),
        stride_shape=(side, side),
        input_resolutions=[{"units": "mpp", "resolution": config["spacing_um_px"]}],
    )
    predictor = PatchPredictor(model=Classifier(), batch_size=32, num_workers=workers)
    written = predictor.run(
        [work / "slide.svs"],
        patch_mode=False,
        ioconfig=how,
        save_dir=output / "results",
        output_type="zarr",
        return_probabilities=True,
    )
    found = zarr.open(next(iter(written.values())), mode="r")
    corners, classes = found["coordinates"][:, :2].tolist(), found["predictions"][:].tolist()
    with (output / "tiles.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([*corner, number] for corner, number in zip(corners, classes, strict=True))


if __name__ == "__main__":
    main()
