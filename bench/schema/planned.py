"""What is to be measured: the request, how much evidence it asks for, and the jobs that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.schema.compared import Claims
from bench.schema.measured import Measurement
from bench.schema.words import Options, Role
from bench.schema.work import Task, Workload


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

    `reference` is the arm that a training takes its number of parameters and its first weights from;
    `architecture` is a target and `package` an `Architecture`'s package for the job's framework, the
    `torch_` ones are those that a Keras arm's twin is built with. `examples` is how many test examples are
    attacked or explained. With `windows` the step is metered in so many of at least `seconds` each.
    """

    key: str
    arms: tuple[Arm, ...]
    workload: Workload | None = None
    task: Task | None = None
    reference: Arm | None = None
    architecture: str = ""
    package: str = ""
    torch_architecture: str = ""
    torch_package: str = ""
    seed: int = 0
    seconds: float = 1.0
    windows: int = 0
    call_limit: float = 30.0
    examples: int = 0
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one worker process does; self-contained, so that it can be carried to another machine.

    `time_limit` is in seconds, for start-up and for each arm's preparation and timing; `memory_limit` in
    bytes. `metric` and `unit` name the row of an arm that ends its worker. `bars` says that such a row
    keeps the implementation out of every later suite. `folder` is where trained weights are kept; it is
    set when the job starts, so that a run's folder may be moved. `trained` work reads the weights there.
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
    folder: str = ""
    trained: bool = False
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
    `seeds` a training, of which the first `attacked_seeds` are attacked and explained, on
    `attacked_examples` test examples; `seconds` of timing
    for each arm of a step and launch; limits in seconds."""

    name: str
    title: str
    launches: int
    repeats: int
    seeds: int
    attacked_seeds: int
    attacked_examples: int
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
    packages' own versions of the variants. `data` is the absolute path of the user's own file, for the tasks
    that read one, and `data_sha256` its hash; `settings` are changes to tasks, ``"task.setting=value"``.
    `causal`, `dtype`, `positions` and `normalisation` change the made-up work: empty and False leave it as it
    is.
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
    data: str = ""
    data_sha256: str = ""
    settings: tuple[str, ...] = ()
