"""Damages files: bytes at random, and the inner structure of TIFF, PNG, JPEG, JSON and text; `fuzz_inputs.py` calls it.

Everything random comes from the generator that is handed in, so the same generator damages a file in the same way.
"""

import base64
import copy
import gzip
import json
import random
import re
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ODD_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 255, 256, 4096, 65535, 65536, 70_000, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
ODD_VALUES = [None, True, -1, 0, 0.5, 1e308, -1e-320, 10**30, "", "x" * 5000, "a\nb\x1b[31m", "\ud800", "NaN"]
ODD_VALUES += [
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    {"a": {}},
    [[0, 0], [1, 1], [0, 0]],
    [[0, 0]] * 5,
    [None, None],
]
ODD_VALUES += ["@DEEP@", "@BIG@", "@BOMB@", "Polygon", {"type": "Polygon"}]
ODD_WORDS = [
    "nan",
    "inf",
    "-1",
    "1e999",
    "-1e308",
    "0",
    "1e-320",
    "9" * 400,
    "0x10",
    "1_000",
    "½",
    "",
    "null",
    "[",
    "{",
]
ODD_WORDS += ["*a", "&a [*a]", "!!python/object:os.system x", "2026-01-01", "<<", "'", '"', "\t", "|", ">", "? ", "- "]
DEFLATE_BOMB = 50_000_000  # bytes of a picture that a file of some kilobytes unpacks to
_TAG = rb"<[^>]*>"
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TIFF_TAGS = (254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 282, 284, 296, 317, 320, 322, 323, 324)
_TIFF_TAGS += (325, 330, 338, 339, 347, 530, 32997, 34675)
_SUBIFDS = 330
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Give a file's content with one to twenty things wrong in it, in most cases without breaking its outer form."""
    structured = _structured(content)
    if structured is not None and rng.random() < 0.8:
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            content = structured(content, rng)
        if rng.random() < 0.85:
            return content
    return damaged_bytes(content, rng)


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, insert, repeat, take out and cut off bytes, in half of the cases near the beginning."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 20])):
        if not changed:
            break
        place = rng.randrange(min(len(changed), 256) if rng.random() < 0.5 else len(changed))
        length = rng.choice([1, 2, 4, 16, 40, 300, 4000])
        piece = changed[place : place + length]
        action = rng.choice(["flip", "flip", "set", "number", "insert", "repeat", "take", "blank", "move", "cut"])
        if action == "flip":
            changed[place] ^= 1 << rng.randrange(8)
        elif action == "set":
            changed[place] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        elif action == "number":
            form = rng.choice(["<H", ">H", "<I", ">I"])
            changed[place : place + struct.calcsize(form)] = struct.pack(form, _fitting(rng, form))
        elif action == "insert":
            changed[place:place] = rng.randbytes(length)
        elif action == "repeat":
            changed[place:place] = piece * rng.choice([1, 2, 50])
        elif action == "take":
            del changed[place : place + length]
        elif action == "blank":
            changed[place : place + length] = bytes([rng.choice([0, 255])]) * len(piece)
        elif action == "move":
            del changed[place : place + length]
            other = rng.randrange(len(changed) + 1)
            changed[other:other] = piece
        else:
            del changed[place:]
    return bytes(changed)


def _structured(content: bytes) -> Callable[[bytes, random.Random], bytes] | None:
    if content.startswith(_TIFF_STARTS):
        return _damaged_tiff
    if content.startswith(PNG_SIGNATURE):
        return _damaged_png
    if content.startswith(b"\xff\xd8\xff"):
        return _damaged_jpeg
    if content[128:132] == b"DICM":
        return _damaged_in_place
    if content.lstrip()[:1] == b"<":
        return _damaged_xml
    return _damaged_json if content.lstrip()[:1] in (b"{", b"[") else _damaged_text


def _fitting(rng: random.Random, form: str) -> int:
    return rng.choice(ODD_NUMBERS) % 256 ** struct.calcsize(form)


def _damaged_tiff(content: bytes, rng: random.Random) -> bytes:
    """Change a tag, its type, count or value (or what its value points to), or send the chain of pictures astray."""
    order = "<" if content[:2] == b"II" else ">"
    large = content[2:4] in (b"+\0", b"\0+")
    word, entry_bytes = (order + "Q", 20) if large else (order + "I", 12)
    word_bytes, count_form = struct.calcsize(word), order + ("Q" if large else "H")
    entries, links, waiting = [], [], [8 if large else 4]
    seen = set()
    try:
        while waiting:
            links.append(waiting.pop())
            at = struct.unpack_from(word, content, links[-1])[0]
            if at in {0, *seen}:
                continue
            seen.add(at)
            first = at + struct.calcsize(count_form)
            number = min(struct.unpack_from(count_form, content, at)[0], 200)
            entries += [first + position * entry_bytes for position in range(number)]
            waiting.append(first + number * entry_bytes)
            own = entries[len(entries) - number :]
            below = [e for e in own if struct.unpack_from(order + "H", content, e)[0] == _SUBIFDS]
            waiting += [entry + 4 + word_bytes for entry in below]  # of several images below, none
    except (struct.error, OverflowError):
        pass
    if not entries:
        return damaged_bytes(content, rng)
    if b"<OME" in content[:10_000] and rng.random() < 0.3:
        return _damaged_ome(content, rng)
    changed = bytearray(content)
    entry = rng.choice(entries)
    value = entry + 4 + word_bytes
    try:
        tag_type, count = (
            struct.unpack_from(order + "H", content, entry + 2)[0],
            struct.unpack_from(word, content, entry + 4)[0],
        )
        stored_bytes = _TIFF_SIZES.get(tag_type, 1) * count
        target = value if stored_bytes <= word_bytes else struct.unpack_from(word, content, value)[0]
        action = rng.choice(["tag", "type", "count", "value", "value", "target", "target", "target", "link"])
        if action == "tag":
            struct.pack_into(order + "H", changed, entry, rng.choice(_TIFF_TAGS))
        elif action == "type":
            struct.pack_into(order + "H", changed, entry + 2, rng.randrange(20))
        elif action == "count":
            struct.pack_into(word, changed, entry + 4, _fitting(rng, word))
        elif action == "value":
            short = tag_type == 3 and count == 1 and rng.random() < 0.7
            struct.pack_into(order + "H" if short else word, changed, value, _fitting(rng, "H" if short else word))
        elif action == "target":
            size = min(_TIFF_SIZES.get(tag_type, 1), 8)
            place = target + size * rng.randrange(max(1, min(count, 10_000)))
            if tag_type == 2:
                changed[place : place + 1] = rng.choice("0129.-eN|=x(\0").encode()
            else:
                form = order + {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
                struct.pack_into(form, changed, place, _fitting(rng, form))
        else:
            struct.pack_into(word, changed, rng.choice(links), rng.choice([0, 8, *seen, len(content) - 4]))
    except (struct.error, IndexError, OverflowError):
        return damaged_bytes(content, rng)
    return bytes(changed)


def _damaged_in_place(content: bytes, rng: random.Random) -> bytes:
    """Change a byte or a number behind the head of a file and keep its length, so that its parts are still found."""
    changed = bytearray(content)
    place = rng.randrange(132, len(content))
    if rng.random() < 0.5:
        changed[place] = rng.choice([0, 1, 32, 127, 255, rng.randrange(256)])
    else:
        form = rng.choice(["<H", "<I", "<f", "<d"])
        number = rng.choice([float("nan"), float("inf"), -1.5, 1e30]) if form in ("<f", "<d") else _fitting(rng, form)
        changed[place : place + struct.calcsize(form)] = struct.pack(form, number)
    return bytes(changed[: len(content)])


def _damaged_xml(content: bytes, rng: random.Random) -> bytes:
    """Change a value, a name or a tag of an XML file, repeat or drop an element, or add what no annotation needs."""
    action = rng.choice(["value", "value", "value", "text", "name", "take", "repeat", "deep", "entity", "many"])
    found = list(
        re.finditer({"value": rb'"[^"]*"', "text": rb">[^<]+<", "name": rb"[A-Za-z]+"}.get(action, _TAG), content)
    )
    if action == "entity":
        return b'<!DOCTYPE a [<!ENTITY b "cc"><!ENTITY d "&b;&b;&b;">]>' + content
    if not found:
        return damaged_bytes(content, rng)
    first, last = (place := rng.choice(found)).span()
    piece = content[first:last]
    if action in ("value", "text"):
        word = rng.choice(ODD_WORDS).encode()
        piece = piece[:1] + word.translate(None, b'"<&') + piece[-1:]
    elif action == "name":
        piece = rng.choice([b"Region", b"X", b"Vertex", b"Annotation", b"point", b"x", b"Type", b"a b"])
    elif action == "take":
        piece = b""
    elif action == "repeat":
        piece *= rng.choice([2, 50, 20_000])
    elif action == "deep":
        piece = b"<a>" * rng.choice([20, 5000]) + piece
    else:
        piece += rng.choice([b"<Vertex X='1' Y='2'/>", b"<a/>", b"<!--x-->", b"text"]) * rng.choice([10, 100_000])
    return content[: place.start()] + piece + content[place.end() :]


def _damaged_ome(content: bytes, rng: random.Random) -> bytes:
    """Replace a value in the OME-XML of a TIFF by another of the same length, or cut the text off."""
    start = content.index(b"<OME")
    end = max(content.find(b"</OME>", start), start + 1)
    values = list(re.finditer(rb'"([^"]*)"', content[start:end]))
    if not values:
        return damaged_bytes(content, rng)
    value = rng.choice(values)
    size = len(value[1])
    other = rng.choice([*ODD_WORDS, "<", "&a;", "XYZTC", "mm", "\0"]).encode()
    new = rng.choice([(other * (size + 1))[:size], b"9" * size, b"0" * size, b" " * size, value[1][::-1]])
    return content[: start + value.start(1)] + new + content[start + value.end(1) :]


def _damaged_png(content: bytes, rng: random.Random) -> bytes:
    """Change the header or the chunks of a PNG, with sums that fit again, or make it unpack to far too much."""
    chunks = []
    at = 8
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        chunks.append((kind, bytearray(content[at + 8 : at + 8 + length])))
        at += 12 + length
    if not chunks or len(chunks[0][1]) < 13:
        return damaged_bytes(content, rng)
    header = chunks[0][1]
    action = rng.choice(["side", "side", "form", "bomb", "take", "repeat", "swap", "inside", "palette"])
    place = rng.randrange(len(chunks))
    if action == "side":
        struct.pack_into(">I", header, rng.choice([0, 4]), rng.choice(ODD_NUMBERS))
    elif action == "form":
        header[rng.randrange(8, 13)] = rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255])
    elif action == "bomb":
        struct.pack_into(">II", header, 0, *rng.choice([(6000, 6000), (1, 10**6), (10**6, 1), (10**6, 300)]))
        chunks = [c for c in chunks if c[0] != b"IDAT"]
        chunks[-1:-1] = [(b"IDAT", bytearray(zlib.compress(bytes(DEFLATE_BOMB), 1)))]
    elif action == "take":
        del chunks[place]
    elif action == "repeat":
        chunks[place:place] = [chunks[place]] * rng.choice([1, 5, 500])
    elif action == "swap":
        rng.shuffle(chunks)
    elif action == "inside":
        chunks[place] = (chunks[place][0], bytearray(damaged_bytes(bytes(chunks[place][1]), rng)))
    else:
        kind = rng.choice([b"PLTE", b"tRNS", b"iCCP", b"tEXt", b"zTXt", b"eXIf", b"acTL", b"fdAT", b"pHYs", b"gAMA"])
        chunks.insert(place, (kind, bytearray(rng.randbytes(rng.choice([0, 1, 3, 13, 768, 5000])))))
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(inside)) + kind + inside + struct.pack(">I", zlib.crc32(kind + inside))
        for kind, inside in chunks
    )


def _damaged_jpeg(content: bytes, rng: random.Random) -> bytes:
    """Change the frame header or a table of a JPEG, or take out, repeat or shorten a segment."""
    segments = []
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xDA:
        length = struct.unpack_from(">H", content, at + 2)[0]
        segments.append((at, at + 2 + length))
        at += 2 + length
    if not segments:
        return damaged_bytes(content, rng)
    changed = bytearray(content)
    start, end = rng.choice(segments)
    frames = [first for first, _ in segments if content[first + 1] in (0xC0, 0xC1, 0xC2)]
    action = rng.choice(["frame", "frame", "take", "repeat", "inside", "length"])
    if action == "frame" and frames and frames[0] + 10 < len(content):
        place = frames[0] + rng.choice([1, 4, 5, 6, 7, 8, 9, 10])
        changed[place] = rng.choice([0, 1, 3, 4, 8, 12, 0x11, 0x22, 0x44, 0xC2, 0xC3, 0xC9, 255])
    elif action == "take":
        del changed[start:end]
    elif action == "repeat":
        changed[start:start] = content[start:end] * rng.choice([1, 100])
    elif action == "inside":
        changed[start + 4 : end] = damaged_bytes(content[start + 4 : end], rng)
    else:
        struct.pack_into(">H", changed, start + 2, rng.choice(ODD_NUMBERS) % 65536)
    return bytes(changed)


def _damaged_json(content: bytes, rng: random.Random) -> bytes:
    """Take out, replace, repeat and exchange values anywhere in a JSON document; some become bottomless or huge."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _damaged_text(content, rng)
    if rng.random() < 0.15:
        return _damaged_text(content, rng)
    places = [path for path in _places(document) if path]
    if not places:
        return damaged_bytes(content, rng)
    *way, last = rng.choice(places)
    parent = _at(document, way)
    action = rng.choice(["nudge", "nudge", "nudge", "take", "repeat", "exchange", "odd", "odd", "mask"])
    if action == "take":
        del parent[last]
    elif action == "repeat" and isinstance(parent, list):
        parent.extend(copy.deepcopy(parent[:3]) * rng.choice([1, 20, 1000]))
    elif action == "exchange":
        parent[last] = copy.deepcopy(_at(document, rng.choice(places)))
    elif action == "nudge":
        values = [(path, _at(document, path)) for path in places]
        numbers = [path for path, value in values if isinstance(value, int | float) and abs(value) < 1e12]
        for *steps, end in rng.choices(numbers, k=rng.choice([1, 1, 5, 50])) if numbers else []:
            value = _at(document, (*steps, end))
            _at(document, steps)[end] = value * rng.choice([-1, 0.5, 3, 1e9]) + rng.choice([0, 1, -0.25])
    elif action == "mask" and isinstance(document, dict) and isinstance(document.get("shapes"), list):
        document["shapes"].append(_mask_bomb(rng))
    else:
        parent[last] = copy.deepcopy(rng.choice(ODD_VALUES))
    text = json.dumps(document)
    depth = rng.choice([50, 300, 200_000])
    text = text.replace('"@DEEP@"', "[" * depth + "]" * depth).replace('"@BIG@"', "9" * rng.choice([400, 5000]))
    return text.replace("@BOMB@", "A" * 1_000_000).encode()


def _mask_bomb(rng: random.Random) -> dict[str, object]:
    """Make a Labelme mask shape whose picture is far larger than its text."""
    width, height = rng.choice([(7000, 7000), (10**6, 10), (60_000, 60_000), (3, 10**6)])
    unpacked = bytes(min(height * ((width + 7) // 8 + 1), DEFLATE_BOMB))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", zlib.compress(unpacked, 1))]
    png = PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(inside)) + kind + inside + struct.pack(">I", zlib.crc32(kind + inside))
        for kind, inside in (*parts, (b"IEND", b""))
    )
    corners = [[0, 0], [width - 1, height - 1]]
    return {"label": "a", "points": corners, "shape_type": "mask", "mask": base64.b64encode(png).decode()}


def _places(node: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """List the paths to all values of a document, the first thousand of each list."""
    found = [path]
    if isinstance(node, dict | list):
        for key, child in list(node.items() if isinstance(node, dict) else enumerate(node))[:1000]:
            if len(path) < 50:
                found += _places(child, (*path, key))
    return found


def _at(document: Any, path: Iterable[str | int]) -> Any:
    for step in path:
        document = document[step]
    return document


def _damaged_text(content: bytes, rng: random.Random) -> bytes:
    """Replace numbers and words, repeat, take out and exchange lines, or change how the text is written down."""
    text = content.decode("utf-8", "replace")
    action = rng.choice(["number", "number", "word", "lines", "take", "exchange", "deep", "encoding"])
    if action in ("number", "word"):
        found = list(re.finditer(r"-?\d+(\.\d+)?" if action == "number" else r"\w+", text))
        if found:
            match = rng.choice(found)
            text = text[: match.start()] + rng.choice(ODD_WORDS) + text[match.end() :]
    elif action == "encoding":
        forms = ["utf-16", "utf-32", "utf-8-sig", "latin-1", "utf-7", "cp037"]
        ways = [lambda form=form: text.encode(form, "replace") for form in forms]
        ways += [
            lambda: gzip.compress(content, mtime=0),
            lambda: content.replace(b"\n", b"\r"),
            lambda: b"\0" + content,
        ]
        ways += [lambda: content.replace(b",", b"\0"), lambda: content + b"\xff\xfe", lambda: content * 300]
        return rng.choice(ways)()
    else:
        lines = text.splitlines(keepends=True)
        place = rng.randrange(len(lines) or 1)
        if action == "lines":
            lines[place:place] = lines[place : place + 1] * rng.choice([1, 300])
        elif action == "take":
            del lines[place : place + 1]
        elif action == "exchange":
            rng.shuffle(lines)
        else:
            lines.insert(
                place, rng.choice(["[", "{a: ", "- ", "a: &a [*a, *a]\n", '"', ","]) * rng.choice([3, 2000, 20_000])
            )
        text = "".join(lines)
    return text.encode()
