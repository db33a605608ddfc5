"""Read a safetensors file: a JSON header that says where each tensor's bytes lie."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from holdfast.errors import ModelError

Tensors = dict[str, npt.NDArray[np.float32]]

_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_HEADER_LIMIT = 100_000_000  # bytes; a header is a few KB, a larger one is another kind of file
_SAMPLES, _SAMPLE_BYTES = 256, 4096


def read_tensors(path: Path) -> Tensors:
    """Every floating-point tensor in the file, by name, as float32.

    float32 tensors are views of a memory map, so reading costs only the pages touched. Tensors
    of other types (integer position ids, say) are left out.

    Raises
    ------
    ModelError
        If the file is not a whole safetensors file.
    """
    if not path.stat().st_size:
        raise ModelError(f"{path} is not a safetensors file: it is empty")
    file = np.memmap(path, dtype=np.uint8, mode="r")
    size = int.from_bytes(file[:8].tobytes(), "little")
    start = 8 + size
    if not 0 < size <= min(_HEADER_LIMIT, len(file) - 8):
        raise ModelError(f"{path} is not a safetensors file: its header claims {size} bytes")
    try:
        header = json.loads(file[8:start].tobytes())
        found: Tensors = {}
        for name, entry in header.items():
            if name != "__metadata__" and entry["dtype"] in _FLOATS:
                first, last = entry["data_offsets"]
                values = file[start + first : start + last].view(_FLOATS[entry["dtype"]])
                found[name] = values.reshape(entry["shape"]).astype(np.float32, copy=False)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not a whole safetensors file; fetch it again") from error
    return found


def digest(path: Path) -> str:
    """A name for the file's content: 16 hexadecimal digits.

    Covers the size, the first pages and 256 pages spread evenly over the rest, so it costs about
    a millisecond where a whole 90 MB would cost a tenth of a second at every start. Training moves
    every weight, so two models that differ at all differ in these pages; it is no defence against
    someone who edits a file on purpose.
    """
    size = path.stat().st_size
    hashed = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=8)
    with path.open("rb") as file:
        for index in range(_SAMPLES):
            file.seek(index * max(0, size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            hashed.update(file.read(_SAMPLE_BYTES))
    return hashed.hexdigest()
