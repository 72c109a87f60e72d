"""Rows of the suites over trained models: what they learn, what breaks them, what they look at.

Those after the first work on the weights that it kept. Imports no framework.
"""

from __future__ import annotations

from bench.schema import Metric, Suite
from suites.catalog_of_energy import ENERGY_METRICS, WINDOW_SECONDS, WINDOWS
from suites.tasks.catalog import TASKS
from suites.tasks.rows_language import METRICS as LANGUAGE_METRICS
from suites.tasks.rows_transfer import TRANSFER as TRANSFER_TASKS

OPENER = "suites.framework:open_framework"

ACCURACY = Suite(
    name="accuracy",
    title="Accuracy",
    metrics=(
        Metric(name="accuracy", title="accuracy", unit="fraction", better="higher"),
        Metric(name="psnr", title="peak signal-to-noise ratio", unit="dB", better="higher"),
        Metric(name="ssim", title="structural similarity", unit="index", better="higher"),
        Metric(name="exact", title="answers right as a whole", unit="fraction", better="higher"),
        *LANGUAGE_METRICS,
        Metric(name="parameters", title="parameters", unit="count", better="lower", ranks=False),
        Metric(name="training_seconds", title="training time", unit="s", better="lower", ranks=False),
        Metric(name="loss_curve", title="training loss", unit="loss", better="lower", ranks=False),
        Metric(
            name="validation", title="validation score a rate", unit="score", better="higher", ranks=False
        ),
        Metric(name="learning_rate", title="chosen learning rate", unit="1", better="lower", ranks=False),
        Metric(
            name="diverged",
            title="share of the grid that diverged",
            unit="fraction",
            better="lower",
            ranks=False,
        ),
        Metric(name="loss_spikes", title="leaps of the loss", unit="count", better="lower", ranks=False),
        *(
            Metric(
                name=f"gradient_norm_{name}",
                title=f"gradient norm of each part, {name}",
                unit="norm",
                better="lower",
                ranks=False,
            )
            for name in ("p50", "p95", "max")
        ),
        Metric(
            name="attention_entropy",
            title="entropy of attention while training",
            unit="share",
            better="higher",
            ranks=False,
        ),
        Metric(
            name="largest_logit",
            title="largest logit while training",
            unit="logit",
            better="lower",
            ranks=False,
        ),
    ),
    target="suites.accuracy:measure",
    tasks=TASKS,
    extra="data",
    modules=("sklearn", "skimage", "mlxtend", "safetensors"),
    exclusive=False,
    opener=OPENER,
)


def _score(
    name: str, title: str, unit: str = "fraction", *, lower: bool = False, ranks: bool = True
) -> Metric:
    return Metric(name=name, title=title, unit=unit, better="lower" if lower else "higher", ranks=ranks)


ROBUSTNESS = Suite(
    name="robustness",
    title="Robustness",
    metrics=(
        _score("robust_accuracy", "accuracy under attack"),
        _score("clean_accuracy", "accuracy on the attacked examples"),
        _score("corrupted_accuracy", "accuracy on corrupted images"),
        _score("expected_accuracy", "accuracy under attack over redraws"),
        _score("attack_queries", "queries of a success", "count", ranks=False),
        _score("attack_changed", "size of a success", "share", ranks=False),
        _score("calibration_error", "calibration error, debiased", lower=True),
        _score("brier", "Brier score", "score", lower=True),
        _score("negative_log_likelihood", "negative log-likelihood", "nats", lower=True),
        _score("auroc", "other data told apart, AUROC"),
        _score("fpr95", "other data let through, FPR@95", lower=True),
    ),
    target="suites.robustness:measure",
    trained_by="accuracy",
    modalities=("text", "image"),
    unnamed=("full",),
    extra="robustness",
    modules=("textattack", "safetensors"),
    exclusive=False,
    opener=OPENER,
)

ATTACK_TRANSFER = Suite(
    name="attack_transfer",
    title="Attacks on other variants",
    metrics=(_score("transfer_success", "adversarial texts of another that fool it too", lower=True),),
    target="suites.attack_transfer:measure",
    trained_by="accuracy",
    modalities=("text",),
    accompanies="robustness",
    unnamed=(),
    extra="robustness",
    modules=("textattack", "safetensors"),
    exclusive=False,
    opener=OPENER,
)

INTERPRETABILITY = Suite(
    name="interpretability",
    title="Interpretability",
    metrics=(
        _score("naopc", "normalised AOPC of occlusion", "index"),
        _score("aopc_comprehensiveness", "comprehensiveness of occlusion", "probability", ranks=False),
        _score("aopc_sufficiency", "sufficiency of occlusion", "probability", lower=True, ranks=False),
        _score(
            "randomisation_correlation",
            "likeness to redrawn weights'",
            "correlation",
            lower=True,
            ranks=False,
        ),
        _score("rollout_occlusion_correlation", "rollout against occlusion", "correlation", ranks=False),
        _score("naopc_rollout", "normalised AOPC of rollout", "index", ranks=False),
        _score("aopc_comprehensiveness_rollout", "comprehensiveness of rollout", "probability", ranks=False),
        _score("aopc_sufficiency_rollout", "sufficiency of rollout", "probability", lower=True, ranks=False),
        _score(
            "randomisation_correlation_rollout",
            "likeness of rollout to redrawn weights'",
            "correlation",
            lower=True,
            ranks=False,
        ),
        _score("attention_entropy", "entropy of attention, a layer", "share", ranks=False),
        _score("largest_logit", "largest logit of attention, a layer", "logit", ranks=False),
    ),
    target="suites.interpretability:measure",
    trained_by="accuracy",
    modalities=("text", "image"),
    unnamed=("full",),
    extra="data",
    modules=("safetensors",),
    exclusive=False,
    opener=OPENER,
)

TRANSFER = Suite(
    name="transfer",
    title="Transfer",
    metrics=(
        _score("accuracy", "accuracy"),
        _score("accuracy_difference", "accuracy over that without"),
        _score("masked_loss", "loss on masked words", "nats", lower=True),
        _score("output_difference", "largest change of the encoder's vectors", "1", lower=True, ranks=False),
        _score("training_seconds", "training time", "s", lower=True, ranks=False),
    ),
    target="suites.transfer:measure",
    tasks=TRANSFER_TASKS,
    unnamed=("full",),
    extra="data",
    modules=("sklearn", "safetensors"),
    exclusive=False,
    opener=OPENER,
    # transformers would load TensorFlow where it finds it, and ask the network for newer files.
    environment={"USE_TF": "0", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
)

TASK_ENERGY = Suite(
    name="task_energy",
    title="Energy of tasks",
    metrics=ENERGY_METRICS,
    target="suites.task_energy:measure",
    trained_by="accuracy",
    modalities=("text", "image"),
    interleaved=True,
    windows=WINDOWS,
    window_seconds=WINDOW_SECONDS,
    unnamed=("full",),
    extra="energy",
    modules=("codecarbon", "safetensors"),
    opener=OPENER,
)

LEARNING = (ACCURACY, ROBUSTNESS, ATTACK_TRANSFER, INTERPRETABILITY, TRANSFER, TASK_ENERGY)
