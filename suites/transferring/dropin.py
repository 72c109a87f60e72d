"""Another attention in a pretrained encoder: what it is worth at once, and after brief tuning.

    untouched:         the encoder as published, a linear head on its features: the mean of its vectors
    exchanged:         another attention in each layer, between the same projections; the untouched head
    exchanged_probe:   the same with a head of its own, found on the exchanged encoder's features
    untouched_tuned, exchanged_tuned:  all weights trained for the task's steps from there

Nothing of the encoder is trained in the first three. Heads are `suites.transferring.probe`'s; tuning has the
task's grid of learning rates, chosen on validation examples (`suites.learning.grid`). Differences are taken
by example, tuned against tuned. Weights that a variant has beside the projections start as drawn and are
tuned with the rest; rows say how many they are.

The exchange goes through the attention interface of `transformers` (`suites.on_torch_dropin`). A variant that
claims to be exact must leave the encoder's answers as they are.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from bench.loading import load
from bench.measuring import Finding
from bench.schema import Arm, Measurement, Option, Step, Task
from suites.framework import PLAINLY, Framework, Model
from suites.learning.checkpoints import Shelf
from suites.learning.grid import DivergedError, Training
from suites.learning.scoring import NotFiniteError, predict, scored
from suites.learning.training import NOT_A_TIMING, without_validation
from suites.tasks.data import TaskData, digest
from suites.tasks.pretrained_encoder import Encoder, pretrained_encoder
from suites.transferring.probe import Head, fit_head
from suites.transferring.rows import NoScore, Outcome, Teller, data_of, difference

if TYPE_CHECKING:
    from bench.measuring import Bench

UNTOUCHED = "untouched"
TORCH_PART = "suites.on_torch_dropin"
ONLY_TORCH = (
    "torch only: the pretrained encoder is built by transformers, which no longer develops TensorFlow models"
)
EXACT = 1e-5
"""How far an exact variant may move any vector of the encoder, in float32."""
COMPARED = 32
"""Of how many test examples the vectors are compared."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """How an encoder is opened: its own attention, or a variant's where `arm` is given."""

    step: Step
    bench: Bench
    encoder: Encoder
    classes: int
    arm: Arm | None

    def open(self) -> Model:
        """The encoder under a head that is not trained, always with the same weights at the same seed.

        Raises NotImplementedError for a variant that cannot take the place.
        """
        self.bench.framework.seed(self.step.seed)
        return importlib.import_module(TORCH_PART).open_classifier(
            self.encoder.folder,
            classes=self.classes,
            device=self.bench.job.device,
            mixing=self._mixing if self.arm is not None else None,
        )

    def _mixing(self) -> Model:
        arm, task = cast(Arm, self.arm), cast(Task, self.step.task)
        variant = arm.implementation.partition("@")[0]
        options: dict[str, Option] = {**arm.options, **task.variant_options.get(variant, {})}
        framework = cast(Framework, self.bench.framework)
        return framework.build(
            cast(Callable[..., Model], load(self.step.architecture)),
            load(arm.target),
            PLAINLY,
            dtype="float32",
            width=task.width,
            heads=task.heads,
            causal=False,
            max_length=task.max_length,
            options=options,
        )


@dataclass(frozen=True, kw_only=True)
class Tuning(Training):
    """The training of all weights of an encoder under a head that was found on its features."""

    start: Start
    head: Head

    def first_model(self) -> Model:
        """The encoder as it was before, under the head."""
        model = self.start.open()
        model.set_head(self.head.kernel, self.head.bias)
        return model


def measured(step: Step, arm: Arm, bench: Bench) -> list[Measurement]:
    """All rows of one arm.

    Raises NotImplementedError on another framework than torch and for a variant that cannot take the place of
    the encoder's attention, DataMissing where encoder or texts are not there.
    """
    if bench.framework.name != "torch":
        raise NotImplementedError(ONLY_TORCH)
    encoder = pretrained_encoder()
    data = data_of(step)
    with importlib.import_module(TORCH_PART).exchange():
        return list(Experiment(step=step, arm=arm, bench=bench, data=data, encoder=encoder).rows())


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What an encoder comes to on the test examples with its head, and after tuning."""

    head: Head
    frozen: np.ndarray
    tuned: Outcome
    seconds: float | None = None
    features: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One arm at one seed."""

    step: Step
    arm: Arm
    bench: Bench
    data: TaskData
    encoder: Encoder

    def rows(self) -> Iterator[Measurement]:
        """How far vectors move, accuracies of the encoder untouched and exchanged, and their differences."""
        model = self._start(self.arm).open()
        teller = Teller(self.step, self.arm, self.bench, self._told(model))
        moved = self._moved_by(model)
        yield teller.row("output_difference", "", [moved])
        if self.arm.claims.exact and not moved <= EXACT:
            raise Finding(f"it claims to be exact and moves the encoder's vectors by {moved:g}")
        untouched = self._untouched()
        exchanged = self._evaluated(self.arm, model)
        assert exchanged.features is not None
        at_once = untouched.head.right(exchanged.features, self.data.test_targets)
        accuracies: dict[str, tuple[Outcome, Outcome | None]] = {
            "untouched": (untouched.frozen, None),
            "exchanged": (at_once, untouched.frozen),
            "exchanged_probe": (exchanged.frozen, untouched.frozen),
            "untouched_tuned": (untouched.tuned, None),
            "exchanged_tuned": (exchanged.tuned, untouched.tuned),
        }
        for part, (outcome, other) in accuracies.items():
            yield teller.row("accuracy", part, outcome)
            if other is not None:
                yield teller.row("accuracy_difference", part, difference(outcome, other))
        if exchanged.seconds is not None:
            yield teller.row("training_seconds", "", [exchanged.seconds], {"conditions": NOT_A_TIMING})

    @property
    def task(self) -> Task:
        """The step's task."""
        return cast(Task, self.step.task)

    @property
    def framework(self) -> Framework:
        """The suites' part for torch."""
        return cast(Framework, self.bench.framework)

    def _start(self, arm: Arm | None) -> Start:
        classes = int(self.data.settings["classes"])
        return Start(step=self.step, bench=self.bench, encoder=self.encoder, classes=classes, arm=arm)

    def _moved_by(self, exchanged: Model) -> float:
        """The largest change of any number of the vectors at real tokens, over a few test examples.

        Raises NotFiniteError.
        """
        tokens, padding = self.framework.arrays([one[:COMPARED] for one in self.data.test_inputs], "float32")
        before, after = (
            self.framework.output(self.framework.inference(model.pooled.vectors)((tokens, padding)))
            for model in (self._start(None).open(), exchanged)
        )
        if not np.isfinite(after).all():
            raise NotFiniteError(f"{int((~np.isfinite(after)).sum())} numbers of the vectors are not finite")
        return float(np.abs(after - before)[self.data.test_inputs[1][:COMPARED]].max())

    def _features(self, model: Model, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """``[examples, width]``; raises NotFiniteError, as an answer could be read off no others."""
        self.bench.alive()
        features = predict(self.framework, model.pooled, inputs, self.task.batch)
        if not np.isfinite(features).all():
            raise NotFiniteError(
                f"{int((~np.isfinite(features)).sum())} features of the encoder are not finite"
            )
        return features

    def _evaluated(self, arm: Arm | None, model: Model) -> Evaluated:
        """The head on the features of `model`, and the tuning from there."""
        rest, validation = without_validation(self.data)
        trained, validated, tested = (
            self._features(model, inputs)
            for inputs in (rest.train_inputs, validation.test_inputs, self.data.test_inputs)
        )
        head = fit_head(trained, rest.train_targets, validated, validation.test_targets)
        tuned, seconds = self._tuned(arm, head)
        return Evaluated(
            head=head,
            features=tested,
            frozen=head.right(tested, self.data.test_targets),
            tuned=tuned,
            seconds=seconds,
        )

    def _tuned(self, arm: Arm | None, head: Head) -> tuple[Outcome, float | None]:
        """The accuracy on each test example after tuning, and the seconds that it took."""
        if arm is not None and not arm.claims.trainable:
            return NoScore(reason=f"{arm.implementation} has no gradient", status="unsupported"), None
        name = UNTOUCHED if arm is None else "exchanged"
        own = replace(self.arm, implementation=UNTOUCHED) if arm is None else arm
        step = replace(self.step, task=replace(self.task, name=f"{self.task.name}/{name}"))
        tuning = Tuning(
            step=step,
            arm=own,
            bench=self.bench,
            data=self.data,
            start=self._start(arm),
            head=head,
        )
        try:
            trained = tuning.best.trained
            scores = scored(self.framework, trained.model, self.data, self.task)
        except (DivergedError, NotFiniteError) as error:
            return NoScore(reason=str(error)), None
        except NotImplementedError as error:
            return NoScore(reason=str(error), status="unsupported"), None
        return scores["accuracy"], trained.seconds

    def _untouched(self) -> Evaluated:
        """What the encoder comes to as it is: evaluated once a run and seed, for all variants."""
        shelf = Shelf(self.bench.job.folder, f"{self.task.name}/{UNTOUCHED}", UNTOUCHED)
        path = shelf.path / f"evaluated-{self.step.seed}.safetensors"
        kept = shelf.read_arrays(path)
        if kept is not None and np.array_equal(kept["mark"], self._mark()):
            head = Head(kernel=kept["kernel"], bias=kept["bias"])
            return Evaluated(head=head, frozen=kept["frozen"], tuned=kept["tuned"])
        found = self._evaluated(None, self._start(None).open())
        if isinstance(found.tuned, np.ndarray):
            arrays = {"frozen": found.frozen, "tuned": found.tuned, "mark": self._mark()}
            shelf.write_arrays(path, {**arrays, "kernel": found.head.kernel, "bias": found.head.bias})
        return found

    def _mark(self) -> np.ndarray:
        """What the untouched encoder's scores depend on."""
        told = f"{self.task} {self.data.source} {self.encoder.sha256} {self.framework.tool}"
        return np.frombuffer(digest(told.encode()).encode(), dtype=np.uint8)

    def _told(self, model: Model) -> dict[str, str]:
        return {
            **self.data.details(),
            "encoder": self.encoder.name,
            "encoder_sha256": self.encoder.sha256,
            "added_weights": str(model.added_weights()),
            "steps": str(self.task.steps),
            "batch": str(self.task.batch),
            "grid": " ".join(f"{rate:g}" for rate in self.task.learning_rates),
        }
