"""The tasks of the transfer suite, profile by profile. Imports no framework and no data.

`quick` is what one core does in about two minutes a variant and experiment, its three seeds together. In that
time masked words teach little beyond how often each is used (rows of the loss say what that alone is worth).
"""

from __future__ import annotations

from dataclasses import replace

from bench.schema import Task

# A window or a number of landmarks as long as the sequence would be plain attention under another name.
_SHORT = {"sliding_window": {"window": 16}, "linformer": {"landmarks": 16}, "performer": {"features": 64}}

PRETRAINING = Task(
    name="pretraining",
    title="Sentiment of film reviews, with masked words learnt first or not",
    architecture="text_classifier",
    target="suites.tasks.pretraining:load",
    metric="accuracy",
    width=32,
    heads=2,
    max_length=64,
    batch=32,
    steps=700,
    learning_rates=(1e-3, 3e-3, 1e-2),
    settings={
        "experiment": "pretraining",
        "layers": 1,
        "pretraining_steps": 450,
        "unlabelled_reviews": 3000,
    },
    variant_options=_SHORT,
)

DROP_IN = Task(
    name="drop_in",
    title="Sentiment of film reviews, another attention in a pretrained encoder",
    # What takes the place of the encoder's attention is a bare layer of its width and heads.
    architecture="layer",
    target="suites.tasks.pretrained_encoder:load",
    metric="accuracy",
    width=384,
    heads=12,
    max_length=40,
    batch=16,
    steps=30,
    learning_rates=(3e-5, 1e-4),
    settings={"experiment": "drop_in", "train_examples": 400, "test_examples": 400},
    variant_options={
        "sliding_window": {"window": 8},
        "performer": {"features": 128},
        "nystrom": {"landmarks": 8},
        "top_k": {"kept": 8},
        "block_sparse": {"block": 4, "window_blocks": 3, "global_blocks": 1, "random_blocks": 1},
    },
)

TRANSFER: dict[str, tuple[Task, ...]] = {
    "smoke": (
        replace(
            PRETRAINING,
            steps=30,
            learning_rates=(3e-3,),
            settings={
                **PRETRAINING.settings,
                "pretraining_steps": 20,
                "unlabelled_reviews": 50,
                "train_examples": 500,
                "test_examples": 200,
            },
        ),
        replace(
            DROP_IN,
            batch=8,
            steps=2,
            learning_rates=(3e-5,),
            settings={**DROP_IN.settings, "train_examples": 64, "test_examples": 32},
        ),
    ),
    "quick": (PRETRAINING, DROP_IN),
    "full": (
        replace(
            PRETRAINING,
            width=128,
            heads=4,
            steps=20_000,
            learning_rates=(3e-4, 1e-3, 3e-3),
            settings={"experiment": "pretraining", "layers": 4, "pretraining_steps": 18_000},
        ),
        replace(
            DROP_IN,
            max_length=64,
            steps=600,
            learning_rates=(1e-5, 3e-5, 1e-4),
            settings={"experiment": "drop_in"},
        ),
    ),
}
