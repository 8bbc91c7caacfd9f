"""A strongly augmented view of a batch, on which a method compares the student with itself or the teacher.

Made for tissue, on images as the networks take them: nothing here turns one class into another, as a random
posterising or a hue turned by half a circle would.
"""

import torch
from torch import Tensor

_CONTRAST = 0.5  # largest relative change
_BRIGHTNESS = 0.4  # largest shift, in units of the normalised image
_COLOUR = 0.2  # largest relative change of one channel against the others, about what stains differ by
_HOLE = 0.35  # side of the square that is wiped out, as a share of the image's


def strong_view(images: Tensor) -> Tensor:
    """Return images (B, 3, H, W) with random contrast, brightness and colour, turned, and with a square erased.

    Every image is drawn for itself, from torch's random numbers on the images' device.
    """
    count, device = len(images), images.device

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, device=device) * 2 - 1

    mean = images.mean(dim=(2, 3), keepdim=True)
    contrast = 1 + _CONTRAST * draw(count, 1, 1, 1)
    colour = 1 + _COLOUR * draw(count, 3, 1, 1)
    changed = mean + (images - mean) * contrast * colour + _BRIGHTNESS * draw(count, 1, 1, 1)
    return _wiped(_turned(changed))


def _turned(images: Tensor) -> Tensor:
    """Randomly flip each image along either axis, and transpose it if it is square."""
    swaps = 3 if images.shape[2] == images.shape[3] else 2
    coins = torch.rand(swaps, len(images), device=images.device) < 0.5
    for coin, change in zip(coins, (lambda x: x.flip(2), lambda x: x.flip(3), lambda x: x.mT), strict=False):
        images = torch.where(coin[:, None, None, None], change(images), images)
    return images


def _wiped(images: Tensor) -> Tensor:
    """Replace a square of each image by its mean."""
    count, _, height, width = images.shape
    rows, columns = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    top, left = torch.rand(2, count, 1, device=images.device) * (1 - _HOLE)
    in_rows = (rows >= top * height) & (rows < (top + _HOLE) * height)
    in_columns = (columns >= left * width) & (columns < (left + _HOLE) * width)
    hole = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return torch.where(hole, images.mean(dim=(2, 3), keepdim=True), images)
