"""A frame on the wire: a header in JSON, and each array once as raw bytes.

An array is named by the hash of its bytes.  What the page already holds (a density map under a moving point, a palette)
is named again but not sent again.
"""

import hashlib

import numpy as np


def pack(frame: dict, known: set[str] | frozenset[str] = frozenset()) -> tuple[dict, list[memoryview], set[str]]:
    """Split an encoded frame into header and buffers.

    Args:
        frame: from `Frame.encode`: dicts, lists, words, numbers and arrays.
        known: keys of the arrays that the page holds already.

    Returns:
        The header, in which {"array": key} stands for an array and "arrays" tells how to read the new ones; the buffers
        of the new ones; the keys of all arrays in this frame.
    """
    arrays, buffers, keys = {}, [], set()

    def walk(node):
        if isinstance(node, dict):
            return {k: walk(v) for k, v in node.items()}
        if isinstance(node, list):
            return [walk(v) for v in node]
        if isinstance(node, np.ndarray):
            data = np.ascontiguousarray(node, np.uint8 if node.dtype == np.uint8 else "<f4")
            key = hashlib.blake2b(data, digest_size=9, salt=str(data.shape).encode()[:16]).hexdigest()
            if key not in known and key not in keys:
                arrays[key] = {"buffer": len(buffers), "type": data.dtype.str.lstrip("|<"), "shape": list(data.shape)}
                buffers.append(memoryview(data.reshape(-1)).cast("B"))
            keys.add(key)
            return {"array": key}
        return node

    header = walk(frame)
    return header | {"arrays": arrays}, buffers, keys
