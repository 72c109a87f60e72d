"""Does learning the language first pay, for the same compute? Masked words and then a task, against the task.

    pretrained:    P steps on masked words, then F steps on the task, from the encoder that came of it
    from scratch:  P + F steps on the task

All with the same batch and length, so that either side sees as many training tokens; what comes on top is the
head over masked words, whose cost is told by the seconds of each part. Each of the three trainings has the
task's grid of learning rates, chosen on validation examples at the first seed (`suites.learning.grid`). The
encoder moves by the names of its weights; the head of the classifier starts as it does from scratch. Words
are masked as in `suites.transferring.masking`, on the training side's texts only, not the validation ones.

Papers: Devlin and others 2019, arXiv:1810.04805; Amos and others 2023, arXiv:2310.02980, on how much of a
ranking from scratch pretraining undoes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bench.schema import Arm, Measurement, Step, Task
from suites.framework import NOT_SCORED, Framework, Model
from suites.learning.grid import Attempt, DivergedError, Training
from suites.learning.scoring import NotFiniteError, outputs_of, scored
from suites.learning.training import NOT_A_TIMING, batches, without_validation
from suites.tasks.data import TaskData
from suites.tasks.pretraining import PretrainingData
from suites.transferring.masking import Masked, mask
from suites.transferring.rows import NoScore, Outcome, Teller, data_of, difference

if TYPE_CHECKING:
    from bench.measuring import Bench

MODEL = "masked_language_model:build_masked_lm"
PARTS = (FROM_SCRATCH, PRETRAINING, FINE_TUNING) = ("from_scratch", "pretraining", "fine_tuning")
MASKS_SEED, HELD_OUT_MASKS_SEED = 0x3A5C, 0x3A5D


@dataclass(frozen=True, kw_only=True)
class Pretraining(Training):
    """The training on masked words; `validation` has the masked validation examples on its test side."""

    validation: TaskData

    @cached_property
    def sides(self) -> tuple[TaskData, TaskData]:
        """Masked texts of the training side, and the validation examples masked."""
        return self.data, self.validation


@dataclass(frozen=True, kw_only=True)
class FineTuning(Training):
    """The training on the task from the encoder that `pretrained` holds."""

    pretrained: Mapping[str, np.ndarray]

    def first_model(self) -> Model:
        """The classifier with the pretrained encoder and a new head."""
        model = self.blueprint.build()
        own = self.blueprint.export(model)
        self.blueprint.insert(model, {**own, **moved(self.pretrained, own)})
        return model


def moved(pretrained: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The pretrained weights whose names the model has too.

    Raises ValueError where none of them does, or where one has another shape.
    """
    found = {name: weights for name, weights in pretrained.items() if name in own}
    wrong = [name for name, weights in found.items() if weights.shape != own[name].shape]
    if wrong or not found:
        raise ValueError(f"the pretrained encoder does not fit: {', '.join(wrong) or 'no name in common'}")
    return found


def masked_sides(data: PretrainingData, task: Task, seed: int) -> tuple[TaskData, TaskData]:
    """The data of a masked language model: its training side `task.steps` batches of masked texts, its test
    side the test examples masked; and the same with the validation examples there.

    Texts come in shuffled passes over training examples and unlabelled texts together, masked anew each time.
    What is held out is masked in the same way for every variant and seed.
    """
    rest, validation = without_validation(data)
    texts = np.concatenate([rest.train_inputs[0], data.unlabelled])
    read = np.concatenate(list(batches(len(texts), task.batch, task.steps, seed)))
    stream = mask(texts[read], data.words, np.random.default_rng((MASKS_SEED, seed)))
    tested, validated = (
        _scorable(mask(tokens, data.words, np.random.default_rng(HELD_OUT_MASKS_SEED)))
        for tokens in (data.test_inputs[0], validation.test_inputs[0])
    )
    return _task_data(data, stream, tested), _task_data(data, stream, validated)


def _scorable(masked: Masked) -> Masked:
    """The texts of which a word is asked."""
    some = (masked.targets != NOT_SCORED).any(axis=1)
    return Masked(tokens=masked.tokens[some], places=masked.places[some], targets=masked.targets[some])


def _task_data(data: PretrainingData, train: Masked, test: Masked) -> TaskData:
    return TaskData(
        train_inputs=(train.tokens, train.tokens != 0, train.places),
        train_targets=train.targets,
        test_inputs=(test.tokens, test.tokens != 0, test.places),
        test_targets=test.targets,
        loss="cross_entropy",
        score="accuracy",
        source=data.source,
        settings={name: value for name, value in data.settings.items() if name != "classes"},
    )


def masked_loss(
    framework: Framework,
    model: Model,
    inputs: Sequence[np.ndarray],
    targets: np.ndarray,
    data: TaskData,
    task: Task,
) -> dict[str, np.ndarray]:
    """The mean cross-entropy of each text's masked words ``[texts]``, in nats.

    Raises NotFiniteError for logits that are not finite.
    """
    found = []
    for start, logits in outputs_of(framework, model, inputs, task.batch):
        if not np.isfinite(logits).all():
            raise NotFiniteError("logits of masked words are not finite")
        asked = targets[start : start + len(logits)]
        right = np.take_along_axis(logits, np.maximum(asked, 0)[..., None], axis=-1)[..., 0]
        largest = logits.max(axis=-1)
        # In the order in which float32 loses nothing: the largest first.
        losses = np.log(np.exp(logits - largest[..., None]).sum(axis=-1)) + (largest - right)
        weights = asked != NOT_SCORED
        found.append((losses * weights).sum(axis=1) / weights.sum(axis=1))
    return {"masked_loss": np.concatenate(found).astype(np.float64)}


def loss_by_frequency(data: PretrainingData, masked: TaskData) -> float:
    """The mean of `masked_loss` on the test side of `masked` for who knows nothing but how often each word
    stands in the texts that are learnt from, each counted once more; in nats."""
    rest, _ = without_validation(data)
    texts = np.concatenate([rest.train_inputs[0].ravel(), data.unlabelled.ravel()])
    counts = np.bincount(texts, minlength=data.words.mask)[data.words.first : data.words.mask] + 1.0
    losses = np.log(counts.sum() / counts)
    asked = masked.test_targets != NOT_SCORED
    found = np.where(asked, losses[np.maximum(masked.test_targets - data.words.first, 0)], 0.0)
    return float((found.sum(axis=1) / asked.sum(axis=1)).mean())


def measured(step: Step, arm: Arm, bench: Bench) -> list[Measurement]:
    """All rows of one arm.

    Raises DataMissing where the texts are not there, ValueError for a task without texts to learn the
    language from, and unless both sides had as many training tokens.
    """
    data = data_of(step)
    if not isinstance(data, PretrainingData):
        raise ValueError(f"{step.subject} must have texts to learn the language from: see `PretrainingData`")
    return list(Experiment(step=step, arm=arm, bench=bench, data=data).rows())


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One arm at one seed: three trainings and what they come to on the test examples."""

    step: Step
    arm: Arm
    bench: Bench
    data: PretrainingData

    def rows(self) -> Iterator[Measurement]:
        """Accuracies, their difference example by example, the loss on masked words, seconds."""
        from_scratch = self._score(self.from_scratch, self.data)
        loss = self._score(self.pretraining, self.pretraining.data)
        pretrained = (
            replace(loss, reason=f"pretraining: {loss.reason}")
            if isinstance(loss, NoScore)
            else self._score(self.fine_tuning, self.data)
        )
        teller = Teller(self.step, self.arm, self.bench, self._told())
        yield teller.row("accuracy", FROM_SCRATCH, from_scratch)
        yield teller.row("accuracy", "pretrained", pretrained)
        yield teller.row("accuracy_difference", "", difference(pretrained, from_scratch))
        by_frequency = loss_by_frequency(self.data, self.pretraining.data)
        yield teller.row("masked_loss", "", loss, {"by_frequency": f"{by_frequency:.4g} nats"})
        for part, attempt in self.ended.items():
            told = {"conditions": NOT_A_TIMING, "learning_rate": f"{attempt.learning_rate:g}"}
            yield teller.row("training_seconds", part, [attempt.trained.seconds], told)

    @property
    def task(self) -> Task:
        """The step's task."""
        return cast(Task, self.step.task)

    @property
    def pretraining_steps(self) -> int:
        """How many of the task's steps go to masked words; raises ValueError for none and for all of them."""
        steps = self.task.settings.get("pretraining_steps")
        if not isinstance(steps, int) or not 0 < steps < self.task.steps:
            raise ValueError(
                f"{self.task.name}: pretraining_steps must be 1 to {self.task.steps - 1}, got {steps!r}"
            )
        return steps

    @cached_property
    def ended(self) -> dict[str, Attempt]:
        """What each training came to that came to its end."""
        return {}

    @cached_property
    def from_scratch(self) -> Training:
        """The task alone, with all steps."""
        return Training(
            step=self._part(FROM_SCRATCH),
            arm=self.arm,
            bench=self.bench,
            data=self.data,
        )

    @cached_property
    def pretraining(self) -> Pretraining:
        """Masked words."""
        score = f"{__name__}:masked_loss"
        step = self._part(PRETRAINING, steps=self.pretraining_steps, metric="masked_loss", evaluator=score)
        train, validation = masked_sides(self.data, cast(Task, step.task), step.seed)
        step = replace(step, architecture=f"{step.package}.{MODEL}")
        return Pretraining(
            step=step,
            arm=self.arm,
            bench=self.bench,
            data=train,
            validation=validation,
        )

    @cached_property
    def fine_tuning(self) -> FineTuning:
        """The task with the steps that are left, after a pretraining that came to its end."""
        encoder = self.pretraining.blueprint.export(self.ended[PRETRAINING].trained.model)
        step = self._part(FINE_TUNING, steps=self.task.steps - self.pretraining_steps)
        return FineTuning(
            step=step,
            arm=self.arm,
            bench=self.bench,
            data=self.data,
            pretrained=encoder,
        )

    def _part(self, name: str, **changes: Any) -> Step:
        """The step with a task of its own name, under which its learning rate is kept."""
        return replace(self.step, task=replace(self.task, name=f"{self.task.name}/{name}", **changes))

    def _score(self, training: Training, data: TaskData) -> Outcome:
        """Train, and score the model of the chosen rate on the test side of `data`."""
        try:
            best = training.best
            (values,) = scored(training.framework, best.trained.model, data, training.task).values()
        except (DivergedError, NotFiniteError) as error:
            return NoScore(reason=str(error))
        self.ended[training.task.name.rpartition("/")[2]] = best
        return values

    def _told(self) -> dict[str, str]:
        """The data, and what each side was trained with; raises ValueError where they had unlike amounts."""
        tokens = self.task.batch * self.task.max_length
        trained = {part: len(attempt.trained.losses) * tokens for part, attempt in self.ended.items()}
        if (
            len(trained) == len(PARTS)
            and trained[FROM_SCRATCH] != trained[PRETRAINING] + trained[FINE_TUNING]
        ):
            raise ValueError(f"unequal compute: {trained}")
        return {
            **self.data.details(),
            "pretraining_steps": str(self.pretraining_steps),
            "fine_tuning_steps": str(self.task.steps - self.pretraining_steps),
            "steps_from_scratch": str(self.task.steps),
            "batch": str(self.task.batch),
            "compute": f"{self.task.steps * tokens} token positions a side; masked words' head on top",
            "grid": " ".join(f"{rate:g}" for rate in self.task.learning_rates),
        }
