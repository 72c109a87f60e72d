"""What attention does while a classifier trains: its entropy and its largest logit, layer by layer.

Looked at before the first step, halfway and after the last, on a few validation examples, through the model
written out in NumPy (`suites.explanations.written_out`), so that nothing is added to the training itself.
Entropy that collapses goes with training that diverges: Zhai and others 2023, arXiv:2303.06296.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.loading import load
from bench.schema import Option
from suites.explanations.rows import open_attention
from suites.explanations.written_out import WrittenOut
from suites.framework import Model
from suites.learning.models import Blueprint

EXAMPLES = 4
UNITS = {"attention_entropy": "share", "largest_logit": "logit"}


@dataclass(kw_only=True)
class AttentionWatch:
    """Looks at one training; `inputs` are validation examples. What cannot be looked at says why."""

    blueprint: Blueprint
    inputs: Sequence[np.ndarray]
    reason: str = ""
    seen: dict[str, list[float]] = field(default_factory=dict)
    layers: int = 0
    moments: list[float] = field(default_factory=list)

    def look(self, model: Model, done: float) -> None:
        """Add what the model's attention does after this share of its training."""
        if self.reason:
            return
        try:
            found = self._written_out(model).look([array[:EXAMPLES] for array in self.inputs]).stability()
        except (NotImplementedError, ValueError) as reason:
            self.reason = str(reason)
            return
        for metric in UNITS:
            self.seen.setdefault(metric, []).extend(found.get(metric, []))
        self.layers = len(found["attention_entropy"])
        self.moments.append(done)

    def rows(self) -> Iterator[tuple[str, str, list[float], dict[str, str]]]:
        """Metric, reason (empty where there are values), values moment by moment and layer by layer, and what
        they are."""
        told = {"layers": str(self.layers), "moments": " ".join(f"{moment:g}" for moment in self.moments)}
        for metric in UNITS:
            values = self.seen.get(metric, [])
            reason = self.reason or ("" if values else "this variant makes its weights of no logits")
            broken = "" if np.isfinite(values).all() else "attention is not finite"
            yield metric, reason or broken, values, told

    def _written_out(self, model: Model) -> WrittenOut:
        plan = self.blueprint
        variant = plan.arm.implementation.partition("@")[0]
        options: dict[str, Option] = {**plan.arm.options, **plan.task.variant_options.get(variant, {})}
        attention = open_attention(
            plan.arm.claims.definition,
            load(plan.arm.target),
            plan.framework,
            heads=plan.task.heads,
            causal=plan.task.causal,
            options=options,
        )
        positions = str(plan.data.settings.get("positions", "learned"))
        return WrittenOut(weights=plan.export(model), attention=attention, positions=positions)
