"""Types of arrays and colours, and the values that mean "no class", shared by all packages."""

import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]  # height × width × 3, or a batch of such
ClassImage = NDArray[np.uint8]  # height × width: a class index, or NO_CLASS_BYTE
ClassGrid = NDArray[np.int16]  # rows × columns, or the like: a class index, or NO_CLASS
Colour = tuple[int, int, int]  # red, green and blue, 0 to 255 each
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

NO_CLASS = -1  # in a ClassGrid
NO_LABEL = -1  # of a tile of an unlabelled TileSet
NO_CLASS_BYTE = 255  # in a ClassImage, on disk too
