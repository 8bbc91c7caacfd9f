"""What a training does differently whose student learns to read tiles at low power as well."""

from collections.abc import Mapping

from torch import nn

from hviskd.errors import RecipeError
from hviskd.models import Compute, Model, NetworkChoice
from hviskd.models.coarse_to_fine import CoarseToFineRecord, coarse_to_fine_record
from hviskd.models.prediction import predict_rows
from hviskd.progress import silent
from hviskd.tiles import TileSet
from hviskd.tiles.low_power import has_low_power
from hviskd.training.recipe import Recipe

_STATISTICS_KEPT_FROM = 0.75  # share of the training


def require_low_power(choice: NetworkChoice, tile_px: int) -> None:
    """Reject tiles that cannot be halved, and networks that would enlarge them again.

    Raises:
        RecipeError: One of both.
    """
    if not has_low_power(tile_px):
        raise RecipeError(
            f"low_power: needs tiles with an even number of px, 64 or more, but these have {tile_px}; set low_power: 0"
        )
    if choice.own_input is not None and choice.own_input.px is not None:
        raise RecipeError(
            f"low_power: {choice.name} resizes every tile to {choice.own_input.px} px, so that low power would save "
            "nothing; choose another network, or set low_power: 0"
        )


def keep_statistics(student: nn.Module, progress: float) -> None:
    """Normalise by the running statistics, and keep these, in the last quarter of a training.

    Until then, batches of either power are normalised by their own mean and variance, but the trained network
    normalises both by the running ones. So the weights learn what they will meet (Wu and Johnson 2021, "Rethinking
    'Batch' in BatchNorm", on statistics of several domains).
    """
    if progress >= _STATISTICS_KEPT_FROM:
        for module in student.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def epoch_worth(row: Mapping[str, float], recipe: Recipe) -> float | None:
    """Return what epochs are compared by, None where there is nothing: the metric, at both powers as losses weigh them.

    Args:
        row: Of the log.
        recipe: Names the metric.
    """
    full = row.get(f"val_{recipe.choose_by}")
    low = row.get(f"val_low_power_{recipe.choose_by}")
    return full if full is None or low is None else (1 - recipe.low_power) * full + recipe.low_power * low


def calibrate_low_power(model: Model, tileset: TileSet, device: str) -> CoarseToFineRecord | None:
    """Find from which probability on a Model's class at low power stands for that at full power, on the val split.

    Returns:
        None if there is no validation split, or no such probability.
    """
    rows = tileset.rows("val")
    if not len(rows):
        return None
    compute = Compute(device=device)
    first, full = (predict_rows(model, tileset, rows, compute, low_power=low, progress=silent) for low in (True, False))
    name = tileset.folder.resolve().name
    return coarse_to_fine_record(first, full, data=name, data_fingerprint=tileset.fingerprint)
