"""All explanations of one trained model on a few fixed examples, and how far each may be believed.

Two explanations: `occlusion`, which every model has, and `rollout`, where a variant's attention has rows.
Both are scored on the same examples, in the same order for every variant, within a stated budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.measuring import Finding
from suites.explanations import rollout
from suites.explanations.aopc import Limits, both_ends, limits, limits_cost
from suites.explanations.occlusion import Classifier, Example, features_of, filler_of
from suites.explanations.randomisation import rank_correlation, redrawn
from suites.explanations.written_out import Look, WrittenOut, agreeing
from suites.tasks.data import TaskData

# Below this share of examples the layer written out is not the layer that was trained.
LEAST_AGREEING = 0.75
Insert = Callable[[Mapping[str, np.ndarray]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much is spent on one model. `examples` are explained and scored, of the first `rolled` attention is
    looked at, and for the first `normalised` the limits of AOPC are searched with a `beam`, while that takes
    at most `searched` answers of the model; weights are redrawn `draws` times. Texts have `fewest` to `most`
    real tokens, images at most `blocks` features. Attention of more than `usual` tokens is looked at in
    fewer examples, for its rows grow with the square, and of more than `longest` in none. All of this is
    settled by the inputs alone, so that every variant is asked about the same."""

    examples: int = 32
    rolled: int = 16
    normalised: int = 8
    searched: int = 20_000
    beam: int = 2
    draws: int = 3
    fewest: int = 5
    most: int = 32
    blocks: int = 64
    usual: int = 64
    longest: int = 256

    @classmethod
    def of(cls, asked: int) -> Budget:
        """In proportion to the examples that a profile asks for, a hundred being what stands above."""
        whole = cls()
        parts = ("examples", "rolled", "normalised", "searched")
        shares = {name: max(2, getattr(whole, name) * asked // 100) for name in parts}
        return replace(whole, **shares)

    def looked_at(self, length: int) -> int:
        """Of how many examples of this length attention is looked at."""
        return max(2, int(self.rolled * min(1.0, (self.usual / length) ** 2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Faithfulness:
    """One value an example: AOPC from both ends, and the mean correlation with redrawn weights; NAOPC of the
    first examples, but for those whose answer nothing changes. `chosen` are the examples' numbers on the
    test side, `normalised` those with a NAOPC."""

    chosen: tuple[int, ...]
    comprehensiveness: tuple[float, ...]
    sufficiency: tuple[float, ...]
    randomisation: tuple[float, ...]
    normalised: tuple[int, ...]
    naopc: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What was found: by the name of the explanation; `rollout` only where there are rows, else `refused`
    says why not. `importances` of each example by explanation, one a feature. `exact` counts the examples
    whose limits are exact, of the `searched` ones, `passes` the answers that hiding features cost."""

    examples: tuple[Example, ...]
    importances: Mapping[str, Sequence[np.ndarray]]
    faithfulness: Mapping[str, Faithfulness]
    agreement: tuple[float, ...] = ()
    stability: Mapping[str, Sequence[float]] = field(default_factory=dict)
    refused: str = ""
    left_out: int = 0
    exact: int = 0
    searched: int = 0
    passes: int = 0


def choose(data: TaskData, budget: Budget) -> list[int]:
    """The numbers of the first test examples that are neither too short nor too long.

    Raises NotImplementedError for inputs that are neither tokens nor patches, Finding where there is none.
    """
    inputs = data.test_inputs
    if inputs[0].ndim == 3 and len(inputs) == 1:
        return list(range(min(budget.examples, len(inputs[0]))))
    if inputs[0].ndim != 2 or len(inputs) != 2:
        raise NotImplementedError("only token numbers with their padding, or patches, are hidden one by one")
    counts = inputs[1].sum(axis=1)
    fitting = np.flatnonzero((counts >= budget.fewest) & (counts <= budget.most))[: budget.examples]
    if not len(fitting):
        raise Finding(f"no test example has {budget.fewest} to {budget.most} tokens")
    return [int(number) for number in fitting]


def study(
    victim: Classifier,
    data: TaskData,
    weights: Mapping[str, np.ndarray],
    insert: Insert,
    written_out: Callable[[], WrittenOut],
    budget: Budget,
) -> Study:
    """Explain and score; `insert` sets the victim's weights, which are `weights` again at the end.

    `written_out` answers the model in NumPy, or raises NotImplementedError where there is none. Raises
    Finding where that model is not the victim.
    """
    chosen = choose(data, budget)
    filler = filler_of(data)
    examples = [_example(victim, data, number, filler, budget) for number in chosen]
    importances = {"occlusion": [example.importance() for example in examples]}
    redrawn_ones = {"occlusion": _occluded_again(examples, weights, insert, budget.draws)}
    numbers = {"occlusion": list(range(len(examples)))}
    stability: Mapping[str, Sequence[float]] = {}
    refused, left_out = "", 0
    try:
        looked_at = _looked_at(examples, budget)
        rolled = _Rolled.of(written_out(), looked_at, budget.draws)
    except NotImplementedError as error:
        refused = str(error) or "the variant says NotImplementedError"
    else:
        numbers["rollout"], left_out = rolled.kept, len(looked_at) - len(rolled.kept)
        importances["rollout"], redrawn_ones["rollout"] = rolled.importances, rolled.redrawn
        stability = rolled.stability
    scored, bounds = _scored(examples, chosen, numbers, importances, redrawn_ones, budget)
    return Study(
        examples=tuple(examples),
        importances=importances,
        faithfulness=scored,
        agreement=_agreement(numbers, importances),
        stability=stability,
        refused=refused,
        left_out=left_out,
        exact=sum(one.exact for one in bounds.values()),
        searched=len(bounds),
        passes=sum(example.passes for example in examples),
    )


def _example(victim: Classifier, data: TaskData, number: int, filler: np.ndarray, budget: Budget) -> Example:
    inputs = tuple(array[number] for array in data.test_inputs)
    return Example(victim, inputs, filler, features_of(inputs, budget.blocks))


def _looked_at(examples: Sequence[Example], budget: Budget) -> Sequence[Example]:
    length = len(examples[0].inputs[0])
    if length > budget.longest:
        raise NotImplementedError(
            f"attention of {length} tokens is not looked at: {budget.longest} are the most, "
            "for its rows grow with the square of the length"
        )
    return examples[: budget.looked_at(length)]


def _occluded_again(
    examples: Sequence[Example], weights: Mapping[str, np.ndarray], insert: Insert, draws: int
) -> list[list[np.ndarray]]:
    """Importances for the same classes with redrawn weights, a list of draws for each example."""
    found: list[list[np.ndarray]] = [[] for _ in examples]
    try:
        for seed in range(draws):
            insert(redrawn(weights, seed))
            for example, mine in zip(examples, found, strict=True):
                again = example.again()
                mine.append(again.importance())
                example.passes += again.passes
    finally:
        insert(weights)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rolled:
    """Rollouts of the examples `kept`, those for which the model written out answers as the victim does."""

    kept: list[int]
    importances: list[np.ndarray]
    redrawn: list[list[np.ndarray]]
    stability: Mapping[str, Sequence[float]]

    @classmethod
    def of(cls, model: WrittenOut, examples: Sequence[Example], draws: int) -> _Rolled:
        inputs = [np.stack(parts) for parts in zip(*(example.inputs for example in examples), strict=True)]
        look = model.look(inputs)
        kept = np.flatnonzero(agreeing(look, examples[0].victim.logits(inputs)))
        if len(kept) < LEAST_AGREEING * len(examples):
            raise Finding(
                f"the model written out in NumPy answers {len(examples) - len(kept)} of {len(examples)} "
                "examples otherwise: its attention is not that of the trained model"
            )
        again = [
            replace(model, weights=redrawn(model.weights, seed)).look([part[kept] for part in inputs])
            for seed in range(draws)
        ]
        mine = [examples[int(place)] for place in kept]
        by_draw = [_shares(one, mine, np.arange(len(mine))) for one in again]
        return cls(
            kept=[int(place) for place in kept],
            importances=_shares(look, mine, kept),
            redrawn=[list(draw) for draw in zip(*by_draw, strict=True)],
            stability=look.stability(),
        )


def _shares(look: Look, examples: Sequence[Example], places: np.ndarray) -> list[np.ndarray]:
    """What rollout gives each feature of each example, which stands at that place of the look."""
    shares = rollout.importance([rows for rows, _ in look.layers], look.padding)
    return [example.gathered(shares[place]) for place, example in zip(places, examples, strict=True)]


def _scored(
    examples: Sequence[Example],
    chosen: Sequence[int],
    numbers: Mapping[str, Sequence[int]],
    importances: Mapping[str, Sequence[np.ndarray]],
    redrawn_ones: Mapping[str, Sequence[Sequence[np.ndarray]]],
    budget: Budget,
) -> tuple[dict[str, Faithfulness], dict[int, Limits]]:
    ends = {
        name: {
            place: both_ends(examples[place], one)
            for place, one in zip(numbers[name], importances[name], strict=True)
        }
        for name in importances
    }
    bounds: dict[int, Limits] = {}
    for place in _searched(examples, budget):
        example = examples[place]
        scored = [end for mine in ends.values() if place in mine for end in mine[place]]
        bounds[place] = limits(example, budget.beam).widened(scored)
    found = {
        name: _faithfulness(chosen, numbers[name], ends[name], bounds, importances[name], redrawn_ones[name])
        for name in importances
    }
    return found, bounds


def _searched(examples: Sequence[Example], budget: Budget) -> list[int]:
    """The first examples, as long as the search for their limits stays within the budget; one at least."""
    costs = np.cumsum([limits_cost(one.features, budget.beam) for one in examples[: budget.normalised]])
    return list(range(max(1, int((costs <= budget.searched).sum()))))


def _faithfulness(
    chosen: Sequence[int],
    places: Sequence[int],
    ends: Mapping[int, tuple[float, float]],
    bounds: Mapping[int, Limits],
    importances: Sequence[np.ndarray],
    redrawn_ones: Sequence[Sequence[np.ndarray]],
) -> Faithfulness:
    normalised = {p: bounds[p].normalised(ends[p][0]) for p in places if p in bounds}
    kept = {place: value for place, value in normalised.items() if value is not None}
    return Faithfulness(
        chosen=tuple(chosen[place] for place in places),
        comprehensiveness=tuple(ends[place][0] for place in places),
        sufficiency=tuple(ends[place][1] for place in places),
        randomisation=tuple(
            float(np.mean([rank_correlation(one, other) for other in others]))
            for one, others in zip(importances, redrawn_ones, strict=True)
        ),
        normalised=tuple(chosen[place] for place in kept),
        naopc=tuple(kept.values()),
    )


def _agreement(
    numbers: Mapping[str, Sequence[int]], importances: Mapping[str, Sequence[np.ndarray]]
) -> tuple[float, ...]:
    """Rank correlation of rollout, which knows no sign, with the size of occlusion, an example."""
    if "rollout" not in importances:
        return ()
    return tuple(
        rank_correlation(shares, np.abs(importances["occlusion"][place]))
        for place, shares in zip(numbers["rollout"], importances["rollout"], strict=True)
    )
