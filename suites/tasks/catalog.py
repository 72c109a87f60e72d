"""One row a task and profile: the model it trains, for how long, and what it is held against.

Here stand the tasks that a comparison measures unasked; those of each subject have files of their own.

The budgets are what two cores can spend: `quick` trains for seconds, so its scores tell variants apart
only where they differ much, and its photographs are 16×16: at 32×32, as in `full`, the same time buys
twenty steps, in which nothing is learnt. Imports no framework and no data.
"""

from __future__ import annotations

from dataclasses import replace

from bench.schema import Task
from suites.tasks.rows_generated import GENERATED, shortened
from suites.tasks.rows_images import IMAGES
from suites.tasks.rows_language import LANGUAGE
from suites.tasks.rows_text import REAL_TEXT

# A window or a number of landmarks as long as the sequence would be plain attention under another name.
_SHORT = shortened(64)
WIDE = (3e-4, 1e-3, 3e-3)
_IMAGE = {"linformer": {"landmarks": 64}, "performer": {"features": 128}}

SENTIMENT = Task(
    name="sentiment",
    title="Is a film review positive? Rotten Tomatoes",
    architecture="text_classifier",
    modality="text",
    target="suites.tasks.sentiment:load",
    metric="accuracy",
    width=32,
    heads=2,
    max_length=64,
    batch=32,
    steps=300,
    learning_rates=(1e-3, 3e-3, 1e-2),
    settings={"layers": 1},
    variant_options=_SHORT,
    baselines={
        "tfidf_logistic_regression@sklearn": "suites.tasks.sentiment:tfidf_logistic_regression",
        "majority@sklearn": "suites.tasks.sentiment:majority",
    },
)

DIGITS = Task(
    name="digits",
    title="Which digit is it? MNIST in patches of 4×4 pixels",
    architecture="patch_classifier",
    modality="image",
    target="suites.tasks.digits:load",
    metric="accuracy",
    width=32,
    heads=4,
    max_length=49,
    batch=32,
    steps=250,
    learning_rates=(1e-3, 3e-3, 1e-2),
    settings={"layers": 2},
    variant_options=_SHORT,
    baselines={
        "logistic_regression@sklearn": "suites.tasks.digits:logistic_regression",
        "majority@sklearn": "suites.tasks.digits:majority",
    },
)

PHOTOGRAPHS = Task(
    name="photographs",
    title="Colour from grey, with the document's image generator",
    architecture="image_generator",
    target="suites.tasks.photographs:load",
    metric="psnr",
    width=64,
    heads=4,
    max_length=256,
    batch=4,
    steps=60,
    # One rate: a grid would take as long as all other trainings of a quick comparison together.
    learning_rates=(2e-3,),
    settings={"side": 16, "train_examples": 512, "test_examples": 48},
    variant_options=_IMAGE,
    baselines={
        "grey_repeated@numpy": "suites.tasks.photographs:grey_repeated",
        "mean_colour@numpy": "suites.tasks.photographs:mean_colour",
    },
)

_FEW = {"train_examples": 500, "test_examples": 200}

_UNASKED: dict[str, tuple[Task, ...]] = {
    "smoke": (
        replace(SENTIMENT, steps=20, learning_rates=(3e-3,), settings={**SENTIMENT.settings, **_FEW}),
        replace(DIGITS, steps=20, learning_rates=(3e-3,), settings={**DIGITS.settings, **_FEW}),
        replace(
            PHOTOGRAPHS,
            steps=3,
            batch=2,
            learning_rates=(2e-3,),
            settings={**PHOTOGRAPHS.settings, "test_examples": 8},
        ),
    ),
    "quick": (SENTIMENT, DIGITS, PHOTOGRAPHS),
    "full": (
        replace(SENTIMENT, width=64, steps=600, learning_rates=WIDE, settings={"layers": 2}),
        replace(DIGITS, width=64, steps=1500, learning_rates=WIDE),
        replace(
            PHOTOGRAPHS,
            max_length=1024,
            batch=8,
            steps=2000,
            learning_rates=WIDE,
            settings={"side": 32, "train_examples": 4096, "test_examples": 200},
        ),
    ),
}

TASKS: dict[str, tuple[Task, ...]] = {
    profile: (*rows, *GENERATED[profile], *REAL_TEXT[profile], *IMAGES[profile], *LANGUAGE[profile])
    for profile, rows in _UNASKED.items()
}
