"""The model that a variant is trained in: as large as the reference's, and started from its weights.

Fair training asks that nothing but the attention differs. Variants with more or fewer weights than the
reference get a narrower or wider feed-forward part, to the nearest hidden unit; weights that have the
reference's name and shape start from the reference's values at the same seed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from bench.loading import load
from bench.schema import Arm, Option, Step, Task
from suites.framework import PLAINLY, Framework, Model
from suites.tasks.data import TaskData

EXPANSION = 4.0
NARROWEST = 1
# What "the same size" means; embedding tables, which no variant changes, do not count.
TOLERANCE = 0.02

Weights = Mapping[str, np.ndarray]
Export = Callable[[Model], dict[str, np.ndarray]]
Insert = Callable[[Model, Weights], None]


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """How one arm's model of a task is built, with as many weights as the reference's."""

    framework: Framework
    task: Task
    architecture: Callable[..., Model]
    package: str
    arm: Arm
    reference: Arm | None
    data: TaskData
    seed: int

    @classmethod
    def of(cls, framework: Framework, step: Step, arm: Arm, data: TaskData) -> Blueprint:
        """The blueprint of `arm` on the step's task; raises ValueError for a step without one."""
        if step.task is None:
            raise ValueError(f"step {step.key!r} has no task to build a model for")
        return cls(
            framework=framework,
            task=step.task,
            architecture=cast(Callable[..., Model], load(step.architecture)),
            package=step.package,
            arm=arm,
            reference=step.reference,
            data=data,
            seed=step.seed,
        )

    def build(self, **options: Option) -> Model:
        """The model in float32 at its first weights; `options` are set on top of the arm's."""
        model = self._built(self.arm, self.expansion, options)
        if self.reference is not None and self.package:
            self.insert(model, {**self.export(model), **self._shared(self.export(model))})
        return model

    def export(self, model: Model) -> dict[str, np.ndarray]:
        """The model's weights by name, copied."""
        return cast(Export, load(f"{self.package}.weights:export_weights"))(model)

    def insert(self, model: Model, weights: Weights) -> None:
        """Set all weights; raises ValueError where names or shapes are not the model's."""
        cast(Insert, load(f"{self.package}.weights:import_weights"))(model, weights)

    @cached_property
    def expansion(self) -> float:
        """The feed-forward part's hidden width over the model's, to the hidden unit."""
        if not self.can_be_matched or self.size(EXPANSION) == self.reference_size:
            return EXPANSION
        width = self.task.width
        a_unit = (self.size(2 * EXPANSION) - self.size(EXPANSION)) / (EXPANSION * width)
        hidden = EXPANSION * width + (self.reference_size - self.size(EXPANSION)) / a_unit
        return max(NARROWEST, round(hidden)) / width

    @cached_property
    def can_be_matched(self) -> bool:
        """Whether there is a reference to be matched with, and a feed-forward part that can give way."""
        return self.reference is not None and "expansion" in inspect.signature(self.architecture).parameters

    @cached_property
    def reference_size(self) -> int:
        """Trainable numbers of the reference's model."""
        return self.framework.parameters(self._built(self.reference or self.arm, EXPANSION, {}))

    def size(self, expansion: float) -> int:
        """Trainable numbers of the arm's model at an expansion."""
        return self.framework.parameters(self._built(self.arm, expansion, {}))

    def told(self, model: Model) -> dict[str, str]:
        """What a report must know of the model's size, as text."""
        size, reference = self.framework.parameters(model), self.reference_size
        tables = sum(v.size for name, v in self.export(model).items() if name.endswith("embedding.table"))
        off = (size - reference) / (reference - tables)
        fits = "yes" if abs(off) <= TOLERANCE else "no"
        if not self.can_be_matched and fits == "no":
            fits = "no: the architecture has no feed-forward width to change"
        return {
            "reference_parameters": str(reference),
            "parameters_off": f"{off:+.2%} without tables",
            "parameters_matched": fits,
            "feed_forward_width": f"{round(self.expansion * self.task.width)}",
        }

    def _shared(self, own: Weights) -> Weights:
        assert self.reference is not None
        if self.arm.implementation == self.reference.implementation:
            return {}
        weights = self.export(self._built(self.reference, EXPANSION, {}))
        return {n: v for n, v in weights.items() if n in own and own[n].shape == v.shape}

    def _built(self, arm: Arm, expansion: float, more: Mapping[str, Option]) -> Model:
        variant = arm.implementation.partition("@")[0]
        options: dict[str, Option] = {**arm.options, **self.task.variant_options.get(variant, {}), **more}
        sized = {"expansion": expansion} if self.can_be_matched else {}
        self.framework.seed(self.seed)
        return self.framework.build(
            self.architecture,
            load(arm.target),
            PLAINLY,
            dtype="float32",
            width=self.task.width,
            heads=self.task.heads,
            causal=self.task.causal,
            max_length=self.task.max_length,
            options=options,
            **{**self.data.settings, **sized},
        )
