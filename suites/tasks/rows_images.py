"""Rows of the tasks on images, profile by profile; see `suites.tasks.catalog`. Imports no framework and no
data."""

from __future__ import annotations

from dataclasses import replace

from bench.schema import Task

_PIXELS = {"sliding_window": {"window": 16}, "linformer": {"landmarks": 32}, "performer": {"features": 64}}
_PATCHES = {"sliding_window": {"window": 16}, "linformer": {"landmarks": 16}, "performer": {"features": 64}}
_IMAGE = {"linformer": {"landmarks": 64}, "performer": {"features": 128}}
_RATES = (3e-4, 1e-3, 3e-3)

DIGIT_PIXELS = Task(
    name="digit_pixels",
    default=False,
    title="Which digit is it? MNIST pixel by pixel",
    architecture="patch_classifier",
    modality="image",
    target="suites.tasks.digit_pixels:load",
    metric="accuracy",
    width=32,
    heads=4,
    max_length=196,
    batch=32,
    steps=250,
    learning_rates=(1e-3, 3e-3, 1e-2),
    settings={"layers": 2, "side": 14},
    variant_options=_PIXELS,
    baselines={
        "logistic_regression@sklearn": "suites.tasks.digits:logistic_regression",
        "majority@sklearn": "suites.tasks.digits:majority",
    },
)

CIFAR10 = Task(
    name="cifar10",
    default=False,
    title="What is in the photograph? CIFAR-10 in patches of 4×4 pixels",
    architecture="patch_classifier",
    modality="image",
    target="suites.tasks.cifar10:load",
    metric="accuracy",
    width=64,
    heads=4,
    max_length=64,
    batch=32,
    steps=400,
    learning_rates=_RATES,
    settings={"layers": 2, "train_examples": 10_000, "test_examples": 1_000},
    variant_options=_PATCHES,
    baselines={
        "principal_components@sklearn": "suites.tasks.cifar10:principal_components",
        "majority@sklearn": "suites.tasks.digits:majority",
    },
)

# Sixty steps reach 19 dB, four hundred 25, where bicubic has 32: `quick` shows that it learns, `full` what.
SUPER_RESOLUTION = Task(
    name="super_resolution",
    default=False,
    title="Photographs at four times the size, with the document's image generator",
    architecture="image_generator",
    target="suites.tasks.super_resolution:load",
    metric="psnr",
    width=64,
    heads=4,
    max_length=256,
    batch=4,
    steps=60,
    learning_rates=(1e-3, 2e-3, 4e-3),
    settings={"side": 16, "train_examples": 512, "test_examples": 48},
    variant_options=_IMAGE,
    baselines={
        "bicubic@skimage": "suites.tasks.super_resolution:bicubic",
        "nearest@numpy": "suites.tasks.super_resolution:nearest",
    },
)

_FEW = {"train_examples": 500, "test_examples": 200}

IMAGES: dict[str, tuple[Task, ...]] = {
    "smoke": (
        replace(DIGIT_PIXELS, steps=20, learning_rates=(3e-3,), settings={**DIGIT_PIXELS.settings, **_FEW}),
        replace(
            SUPER_RESOLUTION,
            steps=3,
            batch=2,
            learning_rates=(2e-3,),
            settings={**SUPER_RESOLUTION.settings, "test_examples": 8},
        ),
    ),
    "quick": (DIGIT_PIXELS, CIFAR10, SUPER_RESOLUTION),
    "full": (
        replace(
            DIGIT_PIXELS,
            default=True,
            width=64,
            max_length=784,
            steps=1500,
            learning_rates=_RATES,
            settings={"layers": 2, "side": 28},
        ),
        replace(CIFAR10, steps=4000, settings={"layers": 4}),
        replace(
            SUPER_RESOLUTION,
            default=True,
            max_length=1024,
            batch=8,
            steps=2000,
            learning_rates=_RATES,
            settings={"side": 32, "train_examples": 4096, "test_examples": 200},
        ),
    ),
}
