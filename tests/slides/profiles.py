"""ICC profiles of RGB pixels for tests, built byte by byte (ICC.1:2001-04, sections 6.1 and 6.5)."""

import struct

import numpy as np

# Columns: XYZ, adapted to D50, of full red, green and blue in Adobe RGB (1998) and in ProPhoto RGB.
ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
PROPHOTO = np.array([[0.79767, 0.13519, 0.03135], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82491]])
D50 = (0.9642, 1.0, 0.8249)


def matrix_profile(colours: np.ndarray, gamma: float, name: str) -> bytes:
    """Build the profile of a device whose linear light is value^gamma and whose colours are the columns of a matrix."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    said = name.encode()
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(said) + 1) + said + bytes(1 + 4 + 4 + 2 + 1 + 67),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz(D50),
        **{sign + b"XYZ": _xyz(column) for sign, column in zip((b"r", b"g", b"b"), colours.T, strict=True)},
        **{sign + b"TRC": curve for sign in (b"r", b"g", b"b")},
    }
    start, table, content = 128 + 4 + 12 * len(tags), b"", b""
    for sign, data in tags.items():
        table += sign + struct.pack(">II", start + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s12s4s", start + len(content), b"test", 0x02100000, b"scnr", b"RGB ", b"XYZ ",
                         bytes(12), b"acsp")  # fmt: skip
    header += bytes(28) + _s15(D50) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + content


def _xyz(values: object) -> bytes:
    return b"XYZ " + bytes(4) + _s15(values)


def _s15(values: object) -> bytes:
    return struct.pack(">3i", *(round(float(value) * 65536) for value in values))


ADOBE_RGB = matrix_profile(ADOBE, 2.2, "Adobe-like scanner")
PROPHOTO_RGB = matrix_profile(PROPHOTO, 1.8, "ProPhoto-like scanner")
