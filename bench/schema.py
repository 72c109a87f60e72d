"""The central types: what is compared, on which work, what was measured and how.

All are frozen dataclasses that validate themselves and do nothing else. They travel as JSON between
the parent, its workers and the store (see `bench.wire`), so every field is plain data.

Units are part of names and of `Metric.unit`; lengths are counted in tokens, widths in channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias, get_args

SCHEMA_VERSION = 1

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


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a variant says of itself and a certificate checks.

    `reach` is how far a query sees: ``"all"`` tokens, ``"some"`` chosen by content or by a pattern (which
    `definition` settles), or the largest distance as an expression in the options, ``causal``, ``n`` and
    ``later`` (whether the token seen stands after the query). `definition` is ``"module:layer"``, the
    variant written out in float64 NumPy. `state` counts the numbers that decoding holds for one sequence
    after n tokens, as an expression in ``n``, ``heads``, ``head_width``, ``width`` and the options; empty
    where there is no decoding. `converges` names the option whose growth brings the variant to softmax.
    `small` are options under which a dozen of tokens crosses several of the variant's blocks or windows.
    `positions` are those of `RELATIVE_POSITIONS` that it can hold. A variant that is `causal_only` has no
    other form.
    """

    exact: bool = False
    causal: bool = False
    causal_only: bool = False
    cross_attention: bool = False
    trainable: bool = True
    time_exponent: float = 2.0
    reach: str = "all"
    definition: str = ""
    state: str = ""
    converges: str = ""
    small: Options = field(default_factory=dict)
    positions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to mix tokens, on every framework it has an implementation for.

    `time` and `memory` say how the cost grows with the length n (``"n^2"``, ``"n"``, ``"n w"``);
    `time_exponent` is the number that a fit over lengths is held against, 0 where none is declared.
    `targets` maps a framework to ``"module:Name"``; `unsupported` maps the frameworks without one to the
    reason. `reach`, `definition`, `state`, `converges`, `small` and `positions` are claims, see `Claims`.

    `featured` names the frameworks on which it is compared when nobody names a variant. `peer_of` names
    the variant of ours that this one, from the public package `package` (its pip name and the module
    that shows whether it is there), is held against.
    """

    name: str
    title: str
    paper: str
    equation: str
    time: str
    memory: str
    time_exponent: float
    exact: bool
    causal: bool
    cross_attention: bool
    trainable: bool
    causal_only: bool = False
    family: str = ""
    reach: str = "all"
    definition: str = ""
    state: str = ""
    converges: str = ""
    small: Options = field(default_factory=dict)
    positions: tuple[str, ...] = ()
    featured: tuple[str, ...] = ()
    peer_of: str = ""
    package: tuple[str, str] = ("", "")
    options: Options = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    unsupported: Mapping[str, str] = field(default_factory=dict)

    @property
    def claims(self) -> Claims:
        """What its certificate checks."""
        return Claims(**{claim.name: getattr(self, claim.name) for claim in fields(Claims)})

    def __post_init__(self) -> None:
        _require(bool(self.name), "a variant needs a name")
        wrong = set(self.positions) - set(RELATIVE_POSITIONS)
        _require(not wrong, f"{self.name}: unknown positions {sorted(wrong)}")
        both = set(self.targets) & set(self.unsupported)
        _require(not both, f"{self.name} is both implemented and unsupported on {sorted(both)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What a variant is put into: a bare layer, an encoder, a classifier, the image generator.

    A target is a callable ``build(attention, *, width, heads, causal, max_length, options, **settings)``
    that answers a model of its framework; `attention` is the variant's class or kernel. `packages` maps
    a framework to the package whose modules serve the model: ``weights`` (`export_weights`,
    `import_weights`), ``generation`` (`generate`) and ``checkpointing`` (`set_checkpointing`).
    `token_numbers` says that it takes whole numbers instead of vectors, and `decodes` that it can go on
    token by token.
    """

    name: str
    title: str
    needs_cross_attention: bool = False
    needs_causal: bool = False
    token_numbers: bool = False
    decodes: bool = False
    targets: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)


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
            _require(getattr(self, name) >= 1, f"{self.name}: {name} must be at least 1")
        _require(self.width % self.heads == 0, f"{self.name}: heads must divide width")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Real or generated data, a model with a head, a training budget and a score.

    `target` is ``"module:load"``, a callable ``load(task) -> TaskData`` (see `suites.tasks.data`).
    `variant_options` sets options that only make sense beside the task's length (a window).
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
    learning_rate: float
    settings: Options = field(default_factory=dict)
    variant_options: Mapping[str, Options] = field(default_factory=dict)
    baselines: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`ranks` is False for what must not rank variants, such as a modelled constant."""

    name: str
    title: str
    unit: str
    better: Better
    ranks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One axis. `workloads` and `tasks` are keyed by profile; `extra` is the pip extra it needs.

    `target` is ``"module:measure"``: ``measure(step, bench_of_the_worker) -> list[Measurement]``.
    `opener` is ``"module:open"``, what the worker opens a framework with. An `exclusive` suite needs
    the machine to itself; an `interleaved` one holds all arms of a framework in one process. A suite
    that `admits` runs before all others, and an implementation that it bars is measured by no other.
    """

    name: str
    title: str
    metrics: tuple[Metric, ...]
    target: str
    workloads: Mapping[str, tuple[Workload, ...]] = field(default_factory=dict)
    tasks: Mapping[str, tuple[Task, ...]] = field(default_factory=dict)
    extra: str = ""
    modules: tuple[str, ...] = ()
    exclusive: bool = True
    interleaved: bool = False
    admits: bool = False
    opener: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One table or figure of a report; `target` is ``"module:render"``."""

    name: str
    title: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One metric of one implementation on one workload or task: raw values and how they came to be.

    `implementation` is ``"variant@framework"``. `values` are raw (seconds a call, bytes a repeat, one
    score a test example), in the order they were taken. `subject` is the workload's or task's name.
    """

    run: str
    suite: str
    metric: str
    unit: str
    implementation: str
    subject: str
    seed: int
    launch: int
    method: Method
    tool: str
    environment_id: str
    started_at: str
    status: Status = "ok"
    reason: str = ""
    role: Role = "candidate"
    warmups: int = 0
    values: tuple[float, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        where = f"{self.metric} of {self.implementation} on {self.subject}"
        if self.status == "ok":
            _require(bool(self.values), f"{where}: status ok needs values")
            _require(all(map(math.isfinite, self.values)), f"{where}: values must be finite")
        else:
            _require(bool(self.reason), f"{where}: status {self.status} needs a reason")
            _require(
                not self.values or self.status == "inconclusive", f"{where}: {self.status} carries no values"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a run was measured. `id` hashes what identifies the machine and its software only:
    never a load or a calibrated frequency, which differ between two looks at the same machine.
    `None` means that it could not be read."""

    id: str
    os: str
    cpu: str
    cores: int
    threads: int
    memory_bytes: int
    accelerator: str | None
    governor: str | None
    container_cpu_limit: float | None
    container_memory_bytes: int | None
    versions: Mapping[str, str]
    commit: str | None
    dirty: bool | None
    power_source: str | None
    country: str | None
    load_before: float | None = None
    load_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A candidate against the reference: `ratio` is candidate / reference with its interval at `level`.

    `same` means that the whole interval lies within 1 / (1 + margin) to 1 + margin.
    For scores `ratio`, `low`, `high` and `margin` are differences in the metric's own unit.
    """

    word: VerdictWord
    ratio: float | None
    low: float | None
    high: float | None
    level: float
    margin: float
    launches: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One implementation's place in a step: what to load, with which options, in which role. `claims` are
    what a certificate checks; `twin` is the torch target that a Keras arm must agree with."""

    implementation: str
    role: Role
    target: str
    options: Options = field(default_factory=dict)
    claims: Claims = field(default_factory=Claims)
    twin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The smallest unit that is stored, and therefore resumed: one workload or task with its arms.

    `architecture` is a target and `package` an `Architecture`'s package for the job's framework, the
    `torch_` ones are those that a Keras arm's twin is built with.
    """

    key: str
    arms: tuple[Arm, ...]
    workload: Workload | None = None
    task: Task | None = None
    architecture: str = ""
    package: str = ""
    torch_architecture: str = ""
    torch_package: str = ""
    seed: int = 0
    seconds: float = 1.0
    call_limit: float = 30.0
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one worker process does; self-contained, so that it can be carried to another machine.

    `time_limit` is in seconds, for start-up and for each arm's preparation and timing; `memory_limit` in
    bytes. `metric` and `unit` name the row of an arm that ends its worker. `bars` says that such a row
    keeps the implementation out of every later suite.
    """

    id: str
    run: str
    suite: str
    target: str
    framework: str
    launch: int
    steps: tuple[Step, ...]
    environment_id: str
    device: str
    threads: int
    time_limit: float
    memory_limit: int
    exclusive: bool
    metric: str
    unit: str
    stage: str = ""
    opener: str = ""
    bars: bool = False
    expected_seconds: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All jobs of a run in order, and the rows of what cannot be measured at all."""

    jobs: tuple[Job, ...]
    refusals: tuple[Measurement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How much evidence a run gathers. `launches` for timings, `repeats` of each memory process,
    `seeds` a training; `seconds` of timing for each arm of a step and launch; limits in seconds."""

    name: str
    title: str
    launches: int
    repeats: int
    seeds: int
    seconds: float
    call_limit: float
    time_limit: float
    control_up_to: int
    alpha: float = 0.01
    margin: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for; with the registry it settles the plan.

    `phases` and `models` choose among all made-up work, that of `full` included. `peers` adds the public
    packages' own versions of the variants. `causal`, `dtype`, `positions` and
    `normalisation` change the made-up work: empty and False leave it as it is.
    """

    variants: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ("torch", "keras")
    suites: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    profile: str = "quick"
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    jobs: int = 1
    peers: bool = False
    causal: bool = False
    dtype: str = ""
    positions: str = ""
    normalisation: str = ""
