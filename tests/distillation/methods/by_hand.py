"""Feature maps handled with NumPy loops, to compare methods with."""

import numpy as np


def numbers(tensor):
    return tensor.detach().numpy()


def pooled(maps, height, width):
    """Average maps (B, C, H, W) over the cells of a grid, which may overlap by a pixel."""
    rows, columns = maps.shape[2:]
    out = np.empty((*maps.shape[:2], height, width))
    for y in range(height):
        for x in range(width):
            top, bottom = y * rows // height, -(-(y + 1) * rows // height)
            left, right = x * columns // width, -(-(x + 1) * columns // width)
            out[:, :, y, x] = maps[:, :, top:bottom, left:right].mean(axis=(2, 3))
    return out


def of_one_size(*maps):
    height, width = min(map_.shape[2] for map_ in maps), min(map_.shape[3] for map_ in maps)
    return tuple(pooled(map_, height, width) for map_ in maps)


def mixed(maps, weight, bias=None):
    """Apply a 1 × 1 convolution's weight (C', C, 1, 1)."""
    out = np.einsum("oc,bchw->bohw", weight[:, :, 0, 0], maps)
    return out if bias is None else out + bias[:, None, None]


def attention(maps, power=2):
    """Give AT's vectors (B, H · W)."""
    vectors = (np.abs(maps) ** power).mean(axis=1).reshape(len(maps), -1)
    return vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))
