"""One row a suite: what it measures, on which work in each profile, and how. Imports no framework."""

from __future__ import annotations

from collections.abc import Iterable

from bench.schema import Metric, Option, Options, Phase, Suite, Workload
from suites.catalog_of_energy import ENERGY_METRICS, WINDOW_SECONDS, WINDOWS
from suites.catalog_of_learning import LEARNING, OPENER

PHASES: tuple[Phase, ...] = ("forward", "train_step")
WIDTH, HEADS = 512, 8

# Lengths off the powers of two are there so that cliffs show.
LENGTHS = {
    "smoke": (128, 257),
    "quick": (128, 512, 1000, 1024, 2048, 4096),
    "full": (128, 256, 512, 522, 1000, 1024, 1536, 2048, 2049, 3000, 4096),
}
MODEL_LENGTHS = {"smoke": (), "quick": (512,), "full": (128, 256, 512, 1024, 2048, 4096)}
GENERATOR_BATCH = {"smoke": 1, "quick": 1, "full": 32}
# The document's 32 would take written-out attention beyond many a machine.
MEMORY_BATCH = 8


DECODING_LENGTHS = (1024, 4096, 16384)
LANGUAGE_LENGTHS = (512, 1024)
PROMPT = 64


def layers(
    lengths: Iterable[int], *, causal: bool = False, phases: tuple[Phase, ...] = PHASES
) -> tuple[Workload, ...]:
    """A bare attention layer, batch 1 at width 512 with 8 heads of 64; decoding asks with one token."""
    name = "causal_layer" if causal else "layer"
    return tuple(
        Workload(
            name=f"{name}/{phase}/{length}",
            architecture="layer",
            phase=phase,
            batch=1,
            query_length=1 if phase == "decode" else length,
            key_length=length,
            width=WIDTH,
            heads=HEADS,
            causal=causal,
        )
        for length in lengths
        for phase in phases
    )


def models(
    architecture: str,
    lengths: Iterable[int],
    phases: tuple[Phase, ...] = PHASES,
    *,
    mark: str = "",
    causal: bool = False,
    settings: Options | None = None,
    compiled: bool = False,
    autocast: str = "",
    checkpointing: bool = False,
) -> tuple[Workload, ...]:
    """A model of two blocks, batch 2 at width 256 with 8 heads of 32; `mark` names how it is run."""
    return tuple(
        Workload(
            name=f"{architecture}{mark}/{phase}/{length}",
            architecture=architecture,
            phase=phase,
            batch=2,
            query_length=length,
            key_length=length,
            width=256,
            heads=8,
            causal=causal,
            settings={"layers": 2} if settings is None else settings,
            compiled=compiled,
            autocast=autocast,
            checkpointing=checkpointing,
        )
        for length in lengths
        for phase in phases
    )


def languages(lengths: Iterable[int]) -> tuple[Workload, ...]:
    """A causal language model, trained and generating, and an encoder-decoder, over 512 tokens."""
    lengths = tuple(lengths)
    vocabulary: dict[str, Option] = {"vocabulary": 512}
    language: dict[str, Option] = {"layers": 2, **vocabulary}
    return (
        *models("causal_lm", lengths, causal=True, settings=language),
        *models(
            "causal_lm",
            lengths[:1],
            ("generate",),
            causal=True,
            settings={**language, "prompt": PROMPT},
        ),
        *models("encoder_decoder", lengths[:1], causal=True, settings=vocabulary),
    )


def ways(lengths: Iterable[int]) -> tuple[Workload, ...]:
    """The encoder run in other ways: activations recomputed, products in bfloat16, compiled."""
    lengths = tuple(lengths)
    return (
        *models("encoder", lengths, ("train_step",), mark="_checkpointed", checkpointing=True),
        *models("encoder", lengths, mark="_autocast", autocast="bfloat16"),
        *models("encoder", lengths, mark="_compiled", compiled=True),
    )


def generator(batch: int, phase: Phase = "train_step") -> Workload:
    """One call of the document's image generator at its own settings, but for the batch."""
    return Workload(
        name=f"image_generator/{phase}/1024",
        architecture="image_generator",
        phase=phase,
        batch=batch,
        query_length=1024,
        key_length=1024,
        width=64,
        heads=4,
        scales=False,
    )


DOCUMENT_TRAINING = Workload(
    name="image_generator/training_run/1024",
    architecture="image_generator",
    phase="training_run",
    batch=32,
    query_length=1024,
    key_length=1024,
    width=64,
    heads=4,
    scales=False,
    settings={"samples": 1000, "epochs": 10},
)

CERTIFICATE_WORK = Workload(
    name="certificate",
    architecture="layer",
    phase="forward",
    batch=3,
    query_length=13,
    key_length=13,
    # Heads of 10: an even width, which positions that turn pairs of channels need. Six heads, so that
    # two of keys can be shared by three of queries each.
    width=60,
    heads=6,
    scales=False,
)


def _throughput(profile: str) -> tuple[Workload, ...]:
    whole = (DOCUMENT_TRAINING, *_more()) if profile == "full" else ()
    # Tracing its training step takes TensorFlow 8 s, which a run of two minutes does not have.
    made = (generator(GENERATOR_BATCH[profile], "forward" if profile == "smoke" else "train_step"),)
    return (*layers(LENGTHS[profile]), *models("encoder", MODEL_LENGTHS[profile]), *made, *whole)


def _more() -> tuple[Workload, ...]:
    """What only `full` measures, and whoever asks for it by phase or model."""
    return (
        *layers((512, 1024, 2048, 4096), causal=True),
        *layers(DECODING_LENGTHS, causal=True, phases=("prefill", "decode")),
        *languages(LANGUAGE_LENGTHS),
        *ways((1024,)),
    )


CERTIFICATE = Suite(
    name="certificate",
    title="Certificates",
    metrics=(Metric(name="loads", title="loads and builds", unit="holds", better="higher", ranks=False),),
    target="suites.certificate:measure",
    workloads=dict.fromkeys(LENGTHS, (CERTIFICATE_WORK,)),
    exclusive=False,
    admits=True,
    opener=OPENER,
)

THROUGHPUT = Suite(
    name="throughput",
    title="Speed",
    metrics=(
        Metric(name="seconds", title="time a call", unit="s", better="lower"),
        Metric(
            name="first_call", title="first call, with any compilation", unit="s", better="lower", ranks=False
        ),
        Metric(name="operations", title="operations a call", unit="count", better="lower", ranks=False),
        Metric(name="parameters", title="parameters", unit="count", better="lower", ranks=False),
        Metric(
            name="state_bytes", title="decoding state of the batch", unit="B", better="lower", ranks=False
        ),
        Metric(
            name="gemm_flops", title="speed of a matrix product", unit="FLOP/s", better="higher", ranks=False
        ),
        Metric(
            name="harness_overhead",
            title="time beside the calls",
            unit="fraction",
            better="lower",
            ranks=False,
        ),
    ),
    target="suites.throughput:measure",
    workloads={profile: _throughput(profile) for profile in LENGTHS},
    interleaved=True,
    opener=OPENER,
)

MEMORY = Suite(
    name="memory",
    title="Memory",
    metrics=(
        Metric(name="peak_bytes", title="peak memory over baseline", unit="B", better="lower"),
        Metric(
            name="allocated_bytes", title="peak that torch counted", unit="B", better="lower", ranks=False
        ),
    ),
    target="suites.memory:measure",
    workloads={
        "smoke": layers((257,)),
        # A process each, so that a figure more costs seconds: the training step at the longest length only.
        "quick": tuple(w for w in layers((1024, 4096)) if w.phase == "forward" or w.key_length == 4096),
        "full": (*layers(LENGTHS["full"]), *_more(), generator(MEMORY_BATCH)),
    },
    exclusive=False,
    opener=OPENER,
    environment={
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "0",
        "MALLOC_TOP_PAD_": "0",
        # With oneDNN, TensorFlow keeps freed memory in a pool of its own: after the throw-away call the
        # measured one would find all it needs there, and 4,096 tokens of softmax would seem to take 0.1 MB.
        "TF_ENABLE_ONEDNN_OPTS": "0",
    },
)

ENERGY = Suite(
    name="energy",
    title="Energy",
    metrics=ENERGY_METRICS,
    target="suites.energy:measure",
    # A minute for two variants each: half a minute an arm, whatever the workload.
    workloads={
        "smoke": layers((257,), phases=("forward",)),
        "quick": layers((1024,)),
        "full": (
            *layers((512, 1024, 2048, 4096)),
            *models("encoder", (512, 1024)),
            *(w for w in languages(LANGUAGE_LENGTHS) if w.architecture == "causal_lm"),
        ),
    },
    interleaved=True,
    windows=WINDOWS,
    window_seconds=WINDOW_SECONDS,
    unnamed=("quick", "full"),
    extra="energy",
    modules=("codecarbon",),
    opener=OPENER,
)

SUITES = (CERTIFICATE, THROUGHPUT, MEMORY, *LEARNING, ENERGY)
