"""The work that variants are compared on: fixed work on made-up data, and tasks to be learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.schema.validation import require
from bench.schema.words import Options, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Fixed work on made-up data: everything a timing or a memory figure depends on.

    `compiled` asks for `torch.compile` or Keras's `jit_compile`, `autocast` names a dtype that products are
    taken in while weights stay in `dtype`, `checkpointing` computes activations again in the backward pass.
    """

    name: str
    architecture: str
    phase: Phase
    batch: int
    query_length: int
    key_length: int
    width: int
    heads: int
    dtype: str = "float32"
    causal: bool = False
    seed: int = 0
    scales: bool = True
    settings: Options = field(default_factory=dict)
    compiled: bool = False
    autocast: str = ""
    checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("batch", "query_length", "key_length", "width", "heads"):
            require(getattr(self, name) >= 1, f"{self.name}: {name} must be at least 1")
        require(self.width % self.heads == 0, f"{self.name}: heads must divide width")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Real or generated data, a model with a head, a training budget and a score.

    `target` is ``"module:load"``, a callable ``load(task) -> TaskData`` (see `suites.tasks.data`).
    `learning_rates` is the grid that each variant's rate is chosen from, on validation examples.
    `evaluator` is ``"module:evaluate"`` where a forward pass cannot be scored (generation).
    `variant_options` sets options that only make sense beside the task's length (a window). `modality`
    (``"text"`` or ``"image"``) says which attacks and explanations there are; none where it is empty. A task
    that is not `default` is measured only where it is named, in whatever profile. `own_data` is set where
    the task reads the file of ``--data``, which comes as the setting ``data``, and is never measured without:
    it names ``"module:check"``, and ``check(task) -> str`` says before anything is started what is wrong with
    the file, or nothing. `changed` says which settings the user gave, for the rows to tell.
    """

    name: str
    title: str
    architecture: str
    target: str
    metric: str
    width: int
    heads: int
    max_length: int
    batch: int
    steps: int
    learning_rates: tuple[float, ...]
    causal: bool = False
    evaluator: str = ""
    modality: str = ""
    settings: Options = field(default_factory=dict)
    variant_options: Mapping[str, Options] = field(default_factory=dict)
    baselines: Mapping[str, str] = field(default_factory=dict)
    default: bool = True
    own_data: str = ""
    changed: str = ""

    def __post_init__(self) -> None:
        require(bool(self.learning_rates), f"{self.name}: learning_rates must hold at least one rate")
