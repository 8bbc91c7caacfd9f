"""Could one pass over a field of tissue stand for the passes over its tiles?

Convolutions over a field cost what they do over its tiles, and the last map can then be averaged at any place: a map
with sixteen times the places for the price of one. But a tile's border is padded with zeros, where a field has the
tissue beside it, so that the field's pass is another function. This measures how often both give the same class at the
places of plain tiles, on held-out pictures of a folder of classes, and what it costs:

- as is: a network trained on tiles, its last map over a field averaged where the tile lies;
- inner cells: the same, but only of cells that see no px outside the tile, where there are such;
- trained on fields: trained further, half of the loss on tiles and half on the same places of fields;
- without padding: the same architecture, whose convolutions have none, trained anew: then both are one function,
  where the tile is larger than what a cell sees, and its accuracy is another.

    python benchmarks/dense.py --data DATA/train -o benchmarks/results/dense.md
"""

import argparse
import copy
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hviskd.models import IMAGENET
from hviskd.models.input_step import InputStep
from hviskd.networks import create_network
from hviskd.networks.base import StagedNetwork
from hviskd.networks.resnet import BasicBlock

TILE_PX, MARGIN_PX, PICTURE_PX = 64, 32, 224  # on the grid of every network's cells, so that tile and field share it
NETWORKS = ("resnet8", "mobilenet_v2", "resnet20")
BATCH = 32
STEPS = range(MARGIN_PX, PICTURE_PX - TILE_PX - MARGIN_PX + 1, 32)  # edges of the tiles that are compared
Place = tuple[int, int, int]  # left and upper edge and side of a tile in a field, px


@dataclass(frozen=True)
class Grid:
    """The cells of a network's last map.

    Attributes:
        stride: Px from one to the next.
        lost: How many fewer there are across an image, for convolutions without padding.
    """

    stride: int
    lost: int = 0

    @classmethod
    def of(cls, network: StagedNetwork) -> "Grid":
        """Return that of a network with padding."""
        return cls(PICTURE_PX // network.shapes(PICTURE_PX).last[-1])

    def cells(self, side_px: int) -> int:
        """Return how many there are across an image."""
        return side_px // self.stride - self.lost


def main() -> None:
    """Train and measure every network, and print one table."""
    options = parse()
    pictures, labels = load(options.data)
    order = np.random.default_rng(0).permutation(len(pictures))
    train, test = order[: options.train], order[options.train :][: options.held_out]
    rows = []
    for name in options.networks:
        rows += measure(name, (pictures[train], labels[train]), (pictures[test], labels[test]), options)
    report = render(rows, options, len(train), len(test))
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="one folder of pictures of 224 px for each class")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--train", type=int, default=1000, help="pictures to train on")
    parser.add_argument("--held-out", type=int, default=250, help="pictures to compare on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--field-epochs", type=int, default=1, help="more of them, on fields")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    return parser.parse_args()


def load(folder: Path) -> tuple[Tensor, Tensor]:
    """Read all pictures: uint8 (N, 224, 224, 3), and the numbers of their classes."""
    found = [(path, place) for place, of in enumerate(sorted(folder.iterdir())) for path in sorted(of.iterdir())]
    pictures = np.stack([np.asarray(Image.open(path).convert("RGB")) for path, _ in found])
    return torch.from_numpy(pictures), torch.tensor([place for _, place in found])


def measure(name: str, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], options: argparse.Namespace) -> list:
    """Train a network in every way, and return a row for each."""
    classes = int(train[1].max()) + 1
    print(name, file=sys.stderr, flush=True)
    torch.manual_seed(0)
    network = create_network(name, classes)
    assert isinstance(network, StagedNetwork)
    sees, grid = receptive_px(network), Grid.of(network)
    fit(network, train, options.epochs, grid)
    cost = cost_of_field(network)
    rows = [(name, sees, "as is", *compare(network, test, grid), cost)]
    if sees < TILE_PX:
        rows.append((name, sees, "inner cells", *compare(network, test, grid, sees // 2), cost))
    fit(network, train, options.field_epochs, grid, on_fields=True)
    rows.append((name, sees, "trained on fields", *compare(network, test, grid), cost))
    if sees < TILE_PX:
        torch.manual_seed(0)
        bare = without_padding(create_network(name, classes))
        fit(bare, train, options.epochs, grid)
        lost = grid.cells(PICTURE_PX) - bare.shapes(PICTURE_PX).last[-1]
        rows.append((name, sees, "without padding", *compare(bare, test, Grid(grid.stride, lost)), cost_of_field(bare)))
    return rows


def fit(
    network: StagedNetwork, data: tuple[Tensor, Tensor], epochs: int, grid: Grid, *, on_fields: bool = False
) -> None:
    """Train on random places of the pictures, mirrored at random; on fields, too, if asked for."""
    side = TILE_PX + 2 * MARGIN_PX
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = epochs * (len(data[0]) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    rng = np.random.default_rng(1)
    began = time.perf_counter()
    network.train()
    for _ in range(epochs):
        order = rng.permutation(len(data[0]))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            which = torch.from_numpy(order[start : start + BATCH])
            left, top = rng.integers(0, PICTURE_PX - side + 1, 2)
            fields = images(data[0][which, top : top + side, left : left + side])
            fields = fields.flip(dims=[axis for axis in (2, 3) if rng.random() < 0.5])
            place = (MARGIN_PX, MARGIN_PX, TILE_PX)
            loss = cross_entropy(network(cut(fields, place)), data[1][which])
            if on_fields:
                loss = (loss + cross_entropy(dense(network, fields, place, grid), data[1][which])) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    print(f"  trained in {time.perf_counter() - began:.0f} s, loss {loss.item():.2f}", file=sys.stderr, flush=True)


def images(tiles: Tensor) -> Tensor:
    """Scale uint8 tiles as every Model of the zoo reads them."""
    return InputStep(IMAGENET)(tiles)


def cut(fields: Tensor, place: Place) -> Tensor:
    """Return the tiles at a place of the fields."""
    left, top, side = place
    return fields[..., top : top + side, left : left + side]


def dense(network: StagedNetwork, fields: Tensor, place: Place, grid: Grid) -> Tensor:
    """Return the logits at a place of the fields, images (B, 3, H, W), from one pass over them."""
    return at(network, network.trace(fields).last, place, grid)


def at(network: StagedNetwork, last: Tensor, place: Place, grid: Grid, inner_px: int = 0) -> Tensor:
    """Return the logits at a place of a field's last map.

    Args:
        network: Its head averages the map where the tile lies.
        last: (B, C, H, W).
        place: Of the tile; its edges lie on the grid.
        grid: Of the map's cells.
        inner_px: How far from the tile's edge a cell must be to be counted.
    """
    left, top, side = place
    inner = -(-inner_px // grid.stride)
    cells = grid.cells(side) - 2 * inner
    x, y = left // grid.stride + inner, top // grid.stride + inner
    return network.head.classifier(network.head.embed(last[..., y : y + cells, x : x + cells]))


def compare(
    network: StagedNetwork, data: tuple[Tensor, Tensor], grid: Grid, inner_px: int = 0
) -> tuple[float, float, float]:
    """Return accuracy on tiles, accuracy of the field's pass at the same places, and how often their classes agree."""
    network.eval()
    places = [(left, top, TILE_PX) for left in STEPS for top in STEPS]
    found = []
    with torch.no_grad():
        for start in range(0, len(data[0]), BATCH):
            fields, labels = images(data[0][start : start + BATCH]), data[1][start : start + BATCH]
            last = network.head.neck(network.features(fields)[-1])
            for place in places:
                plain = network(cut(fields, place)).argmax(dim=1)
                at_once = at(network, last, place, grid, inner_px).argmax(dim=1)
                found.append(torch.stack([plain == labels, at_once == labels, plain == at_once]))
    accuracy, field_accuracy, same = torch.cat(found, dim=1).double().mean(dim=1).tolist()
    print(
        f"  accuracy {accuracy:.3f}, of the field's pass {field_accuracy:.3f}, same {same:.4f}",
        file=sys.stderr,
        flush=True,
    )
    return accuracy, field_accuracy, same


def cost_of_field(network: StagedNetwork, across: int = 6, repeats: int = 5) -> float:
    """Return the CPU time of one pass over a field, relative to those over its tiles."""
    network.eval()
    side = across * TILE_PX
    field = images(torch.randint(0, 256, (1, side, side, 3), dtype=torch.uint8))
    tiles = field.unfold(2, TILE_PX, TILE_PX).unfold(3, TILE_PX, TILE_PX)
    tiles = tiles.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, TILE_PX, TILE_PX).contiguous()
    tiles = tiles.to(memory_format=torch.channels_last)

    def spent(work: Callable[[], object]) -> float:
        times = []
        with torch.inference_mode():
            for _ in range(repeats + 1):
                began = time.process_time()
                work()
                times.append(time.process_time() - began)
        return float(np.median(times[1:]))

    return spent(lambda: network.trace(field)) / spent(lambda: network(tiles))


def receptive_px(network: StagedNetwork) -> int:
    """Return how many px across one cell of the last map depends on."""
    seen = copy.deepcopy(network).double().eval()
    for part in seen.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data.fill_(1 / part.weight[0].numel())  # all positive, so that nothing cancels
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
    field = torch.ones(1, 3, 640, 640, dtype=torch.double, requires_grad=True)
    last = seen.trace(field).last
    last[0, 0, last.shape[2] // 2, last.shape[3] // 2].backward()
    assert field.grad is not None
    return int((field.grad[0].abs().amax(dim=(0, 1)) > 0).sum())


def without_padding(network: StagedNetwork) -> StagedNetwork:
    """Remove the padding of a residual network, whose shortcuts then lose the same borders."""

    class Bare(nn.Module):
        """A block without padding."""

        def __init__(self, block: BasicBlock) -> None:
            super().__init__()
            self.body, self.shortcut = block.body, block.shortcut

        def forward(self, maps: Tensor) -> Tensor:
            shortcut = self.shortcut(maps[..., 1:-1, 1:-1])  # what the first convolution loses
            return self.body(maps) + shortcut[..., 1:-1, 1:-1]  # and the second

    for stage in network.stages:
        stage.blocks = nn.ModuleList(Bare(block) for block in stage.blocks)
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            part.padding = (0, 0)
    return network


def render(rows: list, options: argparse.Namespace, train: int, test: int) -> str:
    """Put the measurements into a Markdown table."""
    from start import cpu

    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {cpu()}, {os.cpu_count()} cores; torch {torch.__version__}: "
        f"`{' '.join(['benchmarks/dense.py', *sys.argv[1:]])}`",
        "",
        f"Tiles of {TILE_PX} px, fields of {TILE_PX + 2 * MARGIN_PX} px in training, of {PICTURE_PX} px in the "
        f"comparison; {train:,} pictures for {options.epochs} epochs, and {options.field_epochs} more on fields; "
        f"{len(STEPS) ** 2} places on each of {test:,} held-out pictures.",
        "",
        "| network | a cell sees, px | how | accuracy on tiles | of the field's pass | same class | field / tiles |",
        "|---|--:|---|--:|--:|--:|--:|",
    ]
    for name, sees, how, tiles, field, same, cost in rows:
        lines.append(f"| {name} | {sees} | {how} | {tiles:.1%} | {field:.1%} | **{same:.1%}** | {cost:.2f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
