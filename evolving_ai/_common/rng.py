"""Chance as an argument: every generator is derived from a seed and a path of names.

Equal seed and path give the same stream on every machine; different paths give independent streams
(numpy's `SeedSequence`, PCG64). numpy is imported when a generator is made, so that importing is cheap.
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["derive_rng"]


def derive_rng(seed: int, *path: str | int) -> "np.random.Generator":
    """The generator for `path` under `seed` (any non-negative integer)."""
    import numpy as np

    digest = hashlib.sha256("\x1f".join(str(part) for part in path).encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 16, 4)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))
