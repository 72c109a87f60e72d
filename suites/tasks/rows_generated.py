"""Rows of the generated tasks: the field's own probes of what attention is for. Imports no data.

`MQAR` is a small one, which two layers of softmax attention solve in a quarter of a minute while a layer that
mixes nothing stays at chance; in `full` it has Zoology's vocabulary and its axes, length and pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench.schema import Option, Options, Task


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


def _sequence(name: str, title: str, length: int, module: str = "", **fields: Any) -> Task:
    """A causal language model of width 64 that is asked at some places of a sequence."""
    module = f"suites.tasks.{module or name}"
    baselines = {f"{one}@numpy": f"{module}:{one}" for one in fields.pop("answers", ())}
    settings = {"layers": 2, **fields.pop("settings", {})}
    row: dict[str, Any] = {
        "width": 64,
        "heads": 2,
        "batch": 64,
        "steps": 600,
        "learning_rates": RATES,
        "metric": "accuracy",
        **fields,
    }
    return Task(
        name=name,
        title=title,
        architecture="causal_lm",
        target=f"{module}:load",
        causal=True,
        max_length=length,
        settings=settings,
        variant_options=shortened(length),
        baselines=baselines,
        **row,
    )


RATES = (1e-3, 3e-3)
MQAR = _sequence(
    "mqar",
    "Multi-query associative recall: which value stood with this key? Length 16, 2 pairs, 32 tokens",
    16,
    width=32,
    heads=1,
    # Two layers of softmax attention learn nothing but which values were shown for 2,200 steps; then, within
    # 500, which is whose.
    steps=3_500,
    learning_rates=(1e-3, 3e-3),
    settings={"pairs": 2, "vocabulary_size": 32, "train_examples": 8_000},
    answers=("most_frequent_value", "uniform_guess", "guess_among_shown"),
)
MQAR_64_4 = _sequence(
    "mqar_64_4",
    "Multi-query associative recall: which value stood with this key? Length 64, 4 pairs, 64 tokens",
    64,
    module="mqar",
    heads=1,
    # Softmax attention: 0.29 at step 3,000, 0.99 at 3,500, a minute and a half on one core.
    steps=4_500,
    learning_rates=(1e-3,),
    settings={"vocabulary_size": 64, "train_examples": 20_000},
    answers=("most_frequent_value", "uniform_guess", "guess_among_shown"),
    default=False,
)
INDUCTION = _sequence(
    "induction",
    "Induction: what followed the special token when it was seen before? Length 64",
    64,
    answers=("most_frequent_shown", "uniform_guess"),
)
COPYING = _sequence(
    "copying",
    "Copying: a string of 26 symbols, again after a mark. Length 64",
    64,
    answers=("most_frequent_symbol", "uniform_guess"),
)
SELECTIVE_COPYING = _sequence(
    "selective_copying",
    "Selective copying: 16 tokens out of noise, in their order. Length 64",
    64,
    answers=("uniform_guess",),
)
SORTING = _sequence(
    "sorting",
    "Sorting: numbers in ascending order after a mark. Length 32",
    32,
    answers=("last_told", "uniform_guess"),
)
NEEDLE = _sequence(
    "needle",
    "A fact at a given distance in filler: which value has this key? Length 128",
    128,
    evaluator="suites.tasks.needle:evaluate",
    answers=("most_frequent_value", "uniform_guess"),
)
PARITY = Task(
    name="parity",
    title="Is the number of ones odd? Length 32",
    architecture="text_classifier",
    target="suites.tasks.parity:load",
    metric="accuracy",
    width=64,
    heads=2,
    max_length=32,
    batch=64,
    steps=600,
    learning_rates=RATES,
    settings={"layers": 2},
    variant_options=shortened(32),
    baselines={
        "majority@numpy": "suites.tasks.parity:majority",
        "uniform_guess@numpy": "suites.tasks.parity:uniform_guess",
    },
)
LISTOPS = Task(
    name="listops",
    title="ListOps: the value of nested MAX, MIN, MEDIAN and SUM MODULO 10, of Long Range Arena, shortened",
    architecture="text_classifier",
    target="suites.tasks.listops:load",
    metric="accuracy",
    width=64,
    heads=2,
    max_length=128,
    batch=32,
    steps=600,
    learning_rates=RATES,
    settings={"layers": 2, "min_length": 32, "depth": 4, "arguments": 5},
    variant_options=shortened(128),
    baselines={
        "majority@numpy": "suites.tasks.listops:majority",
        "bag_of_tokens@sklearn": "suites.tasks.listops:bag_of_tokens",
    },
)
_OTHERS = (INDUCTION, COPYING, SELECTIVE_COPYING, SORTING, NEEDLE, PARITY, LISTOPS)


def _recall(length: int, pairs: int) -> Task:
    """Zoology's own vocabulary and number of sequences, at one point of its two axes."""
    return _sequence(
        f"mqar_{length}_{pairs}",
        f"Multi-query associative recall as in Zoology: length {length}, {pairs} pairs, 8,192 tokens",
        length,
        module="mqar",
        batch=128,
        steps=20_000,
        learning_rates=(3e-4, 1e-3, 3e-3),
        settings={"vocabulary_size": 8192, "pairs": pairs, "train_examples": 100_000},
        answers=("most_frequent_value", "uniform_guess", "guess_among_shown"),
    )


def _larger(task: Task) -> Task:
    return replace(task, steps=5_000, settings={**task.settings, "train_examples": 50_000})


GENERATED: dict[str, tuple[Task, ...]] = {
    "smoke": (
        replace(
            MQAR,
            steps=10,
            learning_rates=(3e-3,),
            settings={**MQAR.settings, "train_examples": 500, "test_examples": 100},
        ),
    ),
    "quick": (MQAR, MQAR_64_4, *(replace(task, default=False) for task in _OTHERS)),
    "full": (
        *(_recall(length, pairs) for length, pairs in ((64, 4), (128, 8), (256, 16), (512, 64))),
        *map(_larger, _OTHERS),
        replace(
            LISTOPS,
            name="listops_lra",
            title="ListOps at Long Range Arena's own sizes: length 500 to 2,000",
            max_length=2000,
            steps=5_000,
            settings={"layers": 2, "train_examples": 96_000, "test_examples": 2_000},
            variant_options=shortened(2000),
        ),
    ),
}
"""In `full` what a night can do; `quick` measures recall unasked, and the others by name."""
