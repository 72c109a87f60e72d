"""The words that may stand in a row: states, methods, phases, roles, dtypes, positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

Status: TypeAlias = Literal["ok", "unsupported", "failed", "inconclusive", "below_resolution"]
Method: TypeAlias = Literal["measured", "sampled", "modelled", "assumed"]
Phase: TypeAlias = Literal["forward", "train_step", "training_run", "prefill", "decode", "generate"]
PHASES: tuple[Phase, ...] = get_args(Phase)
Role: TypeAlias = Literal["reference", "candidate", "control", "baseline", "yardstick"]
Better: TypeAlias = Literal["lower", "higher"]
VerdictWord: TypeAlias = Literal["better", "worse", "same", "undecided"]
Option: TypeAlias = bool | int | float | str
Options: TypeAlias = Mapping[str, Option]

# Added to the tokens by a model, whatever attention it holds; and those that live inside the attention.
ABSOLUTE_POSITIONS = ("none", "sinusoidal", "learned")
RELATIVE_POSITIONS = ("rotary", "alibi", "t5")
POSITIONS = ABSOLUTE_POSITIONS + RELATIVE_POSITIONS
DTYPES = ("float32", "bfloat16", "float64")
NORMALISATIONS = ("pre", "post", "rms", "qk")
