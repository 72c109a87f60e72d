"""Rows of the generated tasks: the field's own probes of what attention is for. Imports no data.

`MQAR` is the smallest that two layers of softmax attention solve while a layer that mixes nothing stays at
chance; in `full` it has Zoology's vocabulary and its axes, length and pairs, a task each.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.schema import Option, Options


def shortened(length: int) -> Mapping[str, Options]:
    """Options under which no variant sees a whole sequence of this length by having as many landmarks, or as
    wide a window, as there are tokens."""
    blocks = max(2, length // 16)
    options: dict[str, dict[str, Option]] = {
        "sliding_window": {"window": length // 4},
        "block_sparse": {"block": blocks, "window_blocks": 3, "global_blocks": 1, "random_blocks": 1},
        "top_k": {"kept": length // 8},
        "native_sparse": {
            "compression_block": blocks,
            "compression_stride": blocks // 2,
            "selection_block": blocks,
            "selected": 4,
            "window": length // 4,
        },
        "hashing": {"buckets": 8, "size": length // 8},
        "linformer": {"landmarks": length // 4},
        "nystrom": {"landmarks": length // 4},
        "performer": {"features": 64},
        "latent": {"rank": 32, "rope_width": 16},
    }
    return options
