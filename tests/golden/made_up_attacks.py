"""Rows of made-up attacks on made-up models, for `make_run`. NOT results: every number here is invented."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from made_up_trainings import chance

# Family, kind, unit, and how much of the examples an attack of each budget breaks.
Strength = tuple[str, str, str, dict[float, float]]
ON_TEXTS: dict[str, Strength] = {
    "deepwordbug": ("character", "black_box", "queries", {50: 0.25, 200: 0.45}),
    "random_characters": ("character", "random", "queries", {200: 0.05}),
    "word_swap": ("word", "black_box", "queries", {50: 0.2, 200: 0.4}),
}
ON_IMAGES: dict[str, Strength] = {
    "random_noise": ("linf", "random", "linf", {0.1: 0.02}),
    "square": ("linf", "black_box", "linf", {0.1: 0.3}),
    "pgd_linf": ("linf", "white_box", "linf", {0.05: 0.2, 0.1: 0.5}),
    "jpeg": ("corruption", "corruption", "severity", {1: 0.01, 2: 0.03}),
    "gaussian_noise": ("corruption", "corruption", "severity", {1: 0.05, 2: 0.15}),
}
# What a variant loses beyond what an attack breaks of the reference.
FRAILTY = {"softmax": 0.0, "linear": 0.25, "performer": 0.05}
DOUBT = "stronger than random: word_swap at 200 queries broke 3 of 28, random_words 4 (McNemar's p = 0.77)"
MISSING = "its sentence encoder comes by download only; see <b>word_swap</b>"
Fields = dict[str, Any]


def attack_rows(run: Any, scores: Mapping[str, float]) -> Iterator[Fields]:
    """Texts and digits, at one seed, on torch; and one model that could not be attacked."""
    for variant, frailty in FRAILTY.items():
        for task, attacks in (("sentiment", ON_TEXTS), ("digits", ON_IMAGES)):
            row = _row(task, variant)
            right = _right(run, task, variant, scores[variant])
            yield row | {"metric": "clean_accuracy", "unit": "fraction", "values": right}
            for attack, strength in attacks.items():
                yield from _attack(row, attack, strength, right, frailty)
            yield from _figures(row, task, variant)
        yield from _unsupported(variant)
        yield from _transfer(run, variant)
    reason = f"no trained weights of {run.failing} on sentiment at seed 0: its accuracy rows say why"
    yield _row("sentiment", "") | {
        "metric": "robust_accuracy",
        "unit": "fraction",
        "implementation": run.failing,
        "status": "failed",
        "reason": reason,
    }


def _row(task: str, variant: str) -> Fields:
    return {
        "suite": "robustness",
        "subject": task,
        "implementation": f"{variant}@torch",
        "role": "reference" if variant == "softmax" else "candidate",
        "details": {"task": task},
    }


def _right(run: Any, task: str, variant: str, score: float) -> tuple[float, ...]:
    """Most examples are easy or hard for every variant."""
    return tuple(
        float(0.8 * chance(task, place).random() + 0.2 * chance(task, place, variant).random() < score)
        for place in range(run.examples)
    )


def _attack(
    row: Fields, attack: str, strength: Strength, right: tuple[float, ...], frailty: float
) -> Iterator[Fields]:
    family, kind, unit, broken = strength
    task, implementation = row["subject"], row["implementation"]
    for budget, share in broken.items():
        told = {"attack": attack, "kind": kind, "family": family, "budget": f"{budget:g}", "unit": unit}
        place = row | {"subject": f"{task}/{attack}/{budget:g}", "details": {**row["details"], **told}}
        if (attack, implementation) == ("word_swap", "linear@torch"):
            doubted = {"unit": "fraction", "status": "inconclusive", "reason": DOUBT}
            yield place | {"metric": "robust_accuracy"} | doubted
            yield place | {"metric": "attack_queries"} | doubted
            continue
        share += frailty * share
        after = tuple(
            value
            * (0.9 * chance(task, attack, at).random() + 0.1 * chance(implementation, at).random() > share)
            for at, value in enumerate(right)
        )
        if kind == "corruption":
            yield place | {"metric": "corrupted_accuracy", "unit": "fraction", "values": after}
            continue
        yield place | {"metric": "robust_accuracy", "unit": "fraction", "values": after}
        yield from _effort(place, sum(right) - sum(after), budget)


def _effort(place: Fields, successes: float, budget: float) -> Iterator[Fields]:
    efforts = {
        "attack_queries": (10.0 + budget / 2, "count"),
        "attack_changed": (0.1 + budget / 5000, "share"),
    }
    for metric, (value, unit) in efforts.items():
        told: Fields = {"values": tuple(value * (1 + at / 100) for at in range(int(successes)))}
        if not successes:
            told = {"status": "unsupported", "reason": "no attack succeeded"}
        yield place | {"metric": metric, "unit": unit} | told


def _figures(row: Fields, task: str, variant: str) -> Iterator[Fields]:
    scatter = chance("calibration", task, variant)
    yield row | {"metric": "calibration_error", "unit": "fraction", "values": (scatter.uniform(0.01, 0.1),)}
    for metric, unit in (("brier", "score"), ("negative_log_likelihood", "nats")):
        values = tuple(scatter.uniform(0.1, 0.5) for _ in range(7))
        yield row | {"metric": metric, "unit": unit, "values": values}
    if task == "digits":
        elsewhere = row | {"subject": "digits/from inverted", "unit": "fraction"}
        yield elsewhere | {"metric": "auroc", "values": (scatter.uniform(0.7, 0.9),)}
        yield elsewhere | {"metric": "fpr95", "values": (scatter.uniform(0.3, 0.6),)}
    elif variant == "performer":
        redrawn = {"metric": "expected_accuracy", "unit": "fraction", "subject": "sentiment/deepwordbug/200"}
        yield row | redrawn | {"values": (0.0, 0.5, 0.4, 0.1)}


def _unsupported(variant: str) -> Iterator[Fields]:
    yield _row("sentiment", variant) | {
        "metric": "robust_accuracy",
        "unit": "fraction",
        "subject": "sentiment/textfooler",
        "status": "unsupported",
        "reason": MISSING,
        "details": {"task": "sentiment", "attack": "textfooler"},
    }


def _transfer(run: Any, variant: str) -> Iterator[Fields]:
    for source in (*(f"{name}@torch" for name in FRAILTY), run.failing):
        own = source.startswith(f"{variant}@")
        share = 1.0 if own else chance("transfer", variant, source).uniform(0.2, 0.8)
        yield _row("sentiment", variant) | {
            "suite": "attack_transfer",
            "metric": "transfer_success",
            "unit": "fraction",
            "subject": f"sentiment/deepwordbug/from {source}",
            "values": tuple(float(at < 10 * share) for at in range(10)),
            "details": {"task": "sentiment", "attack": "deepwordbug", "family": "character", "from": source},
        }
