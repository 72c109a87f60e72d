"""The attention that is shown is the attention that is applied: rows of every variant, on both frameworks."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from benches import bench_of

from bench.loading import load
from bench.measuring import Bench
from bench.schema import Arm, Measurement, Step
from implementations.catalog import VARIANTS
from implementations.definitions.projected import Given, Mixture
from implementations.on_torch.classifiers import build_patch_classifier, build_text_classifier
from implementations.on_torch.softmax import attend as torch_softmax
from implementations.on_torch.weights import export_weights, import_weights
from suites import interpretability
from suites.explanations.rows import Defined, Probed, open_attention
from suites.explanations.written_out import WrittenOut, agreeing
from suites.interpretability import UNITS, measure
from suites.on_torch import Torch
from suites.tasks.catalog import SENTIMENT
from suites.tasks.data import Source, TaskData

OURS = {row.name: row for row in VARIANTS if not row.peer_of and row.definition and "torch" in row.targets}
WITHOUT_ROWS = {"linformer", "native_sparse", "convolution"}
SUM_TO_ONE = {
    "softmax", "sdpa", "chunked", "flex", "multi_query", "grouped_query", "latent", "sliding_window",
    "block_sparse", "strided", "top_k", "hashing", "linear", "performer", "cosformer", "sparsemax", "entmax",
    "transformer_xl", "none", "uniform",
}  # fmt: skip
LOGITS = SUM_TO_ONE - {"linear", "performer", "cosformer", "none", "uniform"} | {
    "sigmoid", "differential", "talking_heads",
}  # fmt: skip
STANDARD_END = SUM_TO_ONE | {"sigmoid", "talking_heads", "nystrom"}
TIME, WIDTH, HEADS, CLASSES, VOCABULARY = 13, 24, 4, 3, 17


def options_of(name: str) -> dict[str, Any]:
    return {**OURS[name].options, **OURS[name].small}


def text_model(name: str, normalisation: str = "pre", seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = build_text_classifier(
        load(OURS[name].targets["torch"]),  # type: ignore[arg-type]
        width=WIDTH,
        heads=HEADS,
        causal=OURS[name].causal_only,
        max_length=TIME,
        options=options_of(name),
        vocabulary=VOCABULARY,
        classes=CLASSES,
        normalisation=normalisation,
        expansion=4.0,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return model.double().eval()


def texts(count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.random.default_rng(2).integers(1, VOCABULARY, (count, TIME))
    for row, length in zip(tokens, (TIME, 7, 10), strict=False):
        row[length:] = 0
    return tokens, tokens != 0


def written_out(name: str, model: torch.nn.Module) -> WrittenOut:
    attention = Defined(
        layer=load(OURS[name].definition),
        heads=HEADS,
        causal=OURS[name].causal_only,
        options=options_of(name),
    )
    return WrittenOut(weights=export_weights(model), attention=attention)


def answer(model: torch.nn.Module, *inputs: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(*(torch.tensor(one) for one in inputs)).numpy()


@pytest.mark.parametrize("name", OURS)
def test_the_model_written_out_answers_as_the_model_does(name: str) -> None:
    model, inputs = text_model(name), texts()
    look = written_out(name, model).look(inputs, rows=False)
    np.testing.assert_allclose(look.logits, answer(model, *inputs), rtol=0, atol=1e-9)
    assert agreeing(look, answer(model, *inputs)).all()


@pytest.mark.parametrize("normalisation", ["post", "rms"])
def test_norms_stand_where_the_weights_say(normalisation: str) -> None:
    model, inputs = text_model("softmax", normalisation), texts()
    look = written_out("softmax", model).look(inputs)
    np.testing.assert_allclose(look.logits, answer(model, *inputs), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", OURS)
def test_rows_are_there_or_refused_with_the_reason(name: str) -> None:
    model = written_out(name, text_model(name))
    if name in WITHOUT_ROWS:
        with pytest.raises(NotImplementedError, match="weight"):
            model.look(texts())
        return
    look = model.look(texts())
    assert [rows.shape for rows, _ in look.layers] == [(3, HEADS, TIME, TIME)] * 2
    assert all((scores is not None) == (name in LOGITS) for _, scores in look.layers)
    hidden = ~look.padding[:, None, None, :]
    for rows, _ in look.layers:
        assert not np.any(rows * hidden), "padding has weight"
        if OURS[name].causal_only:
            assert not np.any(rows * ~np.tri(TIME, dtype=bool)), "the future has weight"
        if name in SUM_TO_ONE:
            real = np.broadcast_to(look.padding[:, None], rows.shape[:3])
            sums = rows.sum(axis=-1)[real]
            assert np.all(np.isclose(sums, 1, atol=1e-9) | ((sums == 0) & (name == "cosformer")))
            assert np.all(rows >= 0) and not np.allclose(sums, 0)


@pytest.mark.parametrize("name", sorted(set(OURS) - WITHOUT_ROWS))
def test_rows_times_values_are_what_the_heads_answer(name: str) -> None:
    """Against the definition for every variant: nothing that it mixes is left out of its rows."""
    model = text_model(name)
    entered = np.random.default_rng(4).normal(size=(3, TIME, WIDTH))
    weights = {n.removeprefix("blocks.0.attention."): w for n, w in export_weights(model).items()}
    layer = load(OURS[name].definition)
    assert isinstance(layer, Mixture)
    _, padding = texts()
    told: dict[str, Any] = {
        "padding": padding,
        "causal": OURS[name].causal_only,
        "weights": weights,
        "heads": HEADS,
        "options": options_of(name),
    }
    given = Given(tokens=entered, source=entered, **told)
    values = layer.values(given)
    rows, _ = layer.rows(entered, **told)
    shared = np.repeat(values, HEADS // values.shape[1], axis=1)
    np.testing.assert_allclose(rows @ shared, layer.mix(given, values), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", sorted(STANDARD_END))
def test_rows_times_values_go_into_the_output_map_of_the_torch_layer(name: str) -> None:
    model, inputs = text_model(name), texts()
    seen: list[np.ndarray] = []
    for block in model.blocks:
        block.attention.output.register_forward_pre_hook(lambda _, given: seen.append(given[0].numpy()))
    answer(model, *inputs)
    written = written_out(name, model)
    entering: list[np.ndarray] = []

    class Listening(Defined):
        def rows(self, tokens: np.ndarray, padding: Any, weights: Any) -> Any:
            entering.append(tokens)
            return Defined.rows(self, tokens, padding, weights)

    listening = Listening(
        layer=written.attention.layer,  # type: ignore[attr-defined]
        heads=HEADS,
        causal=written.attention.causal,
        options=options_of(name),
    )
    look = replace(written, attention=listening).look(inputs)
    real = inputs[1]
    for place, (rows, _) in enumerate(look.layers):
        weights = {
            n.removeprefix(f"blocks.{place}.attention."): w
            for n, w in written.weights.items()
            if n.startswith(f"blocks.{place}.attention.")
        }
        given = Given(
            tokens=entering[place], source=entering[place], padding=real, causal=False, weights=weights,
            heads=HEADS, options=options_of(name),
        )  # fmt: skip
        values = written.attention.layer.values(given)  # type: ignore[attr-defined]
        mixed = rows @ np.repeat(values, HEADS // values.shape[1], axis=1)
        joined = mixed.transpose(0, 2, 1, 3).reshape(3, TIME, -1)
        np.testing.assert_allclose(joined[real], seen[place][real], rtol=0, atol=1e-9)


def test_a_kernel_without_a_definition_is_asked_for_its_rows() -> None:
    model, inputs = text_model("softmax").float(), texts()
    framework = Torch(device="cpu", threads=torch.get_num_threads())
    attention = open_attention("", torch_softmax, framework, heads=HEADS, causal=False, options={})
    assert isinstance(attention, Probed)
    probed = WrittenOut(weights=export_weights(model), attention=attention).look(inputs)
    defined = written_out("softmax", model).look(inputs)
    np.testing.assert_allclose(probed.logits, defined.logits, rtol=0, atol=1e-5)
    for (one, _), (other, _) in zip(probed.layers, defined.layers, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_a_class_without_a_definition_is_refused_by_name() -> None:
    with pytest.raises(NotImplementedError, match="Linear is a layer of its own"):
        open_attention("", torch.nn.Linear, None, heads=1, causal=False, options={})  # type: ignore[arg-type]


def test_models_that_are_not_written_out_are_refused() -> None:
    weights = export_weights(text_model("softmax"))
    attention = written_out("softmax", text_model("softmax")).attention
    for wrong, positions, reason in (
        (weights, "rotary", "rotary positions"),
        ({**weights, "blocks.0.attention.query_norm.scale": np.ones(3)}, "learned", "normalised queries"),
        ({n: w for n, w in weights.items() if "head" not in n}, "learned", "one head"),
    ):
        with pytest.raises(NotImplementedError, match=reason):
            WrittenOut(weights=wrong, attention=attention, positions=positions)


@pytest.mark.parametrize("name", ["softmax", "differential", "performer"])
def test_stability_figures_stand_for_each_layer(name: str) -> None:
    figures = written_out(name, text_model(name)).look(texts()).stability()
    assert all(len(values) == 2 for values in figures.values())
    assert all(0 < share <= 1 for share in figures["attention_entropy"])
    assert ("largest_logit" in figures) == (name in LOGITS)


def test_a_keras_model_of_patches_is_written_out_from_its_weights() -> None:
    classifiers = importlib.import_module("implementations.on_keras.classifiers")
    weights = importlib.import_module("implementations.on_keras.weights")
    row = OURS["differential"]
    model = classifiers.build_patch_classifier(
        load(row.targets["keras"]), width=WIDTH, heads=HEADS, causal=False, max_length=TIME, patch_width=5,
        options=options_of("differential"), classes=CLASSES,
    )  # fmt: skip
    patches = np.random.default_rng(3).normal(size=(3, TIME, 5)).astype(np.float32)
    attention = Defined(layer=load(row.definition), heads=HEADS, causal=False, options=dict(row.options))
    look = WrittenOut(weights=weights.export_weights(model), attention=attention).look([patches])
    np.testing.assert_allclose(look.logits, np.asarray(model(patches)), rtol=0, atol=1e-5)


SIDE = 4


def bright_patches(task: Any = None) -> TaskData:
    """Sixteen patches of four pixels; the class is which of three columns is bright."""
    generator = np.random.default_rng(0)
    sides = []
    for count in (60, 8):
        labels = generator.integers(0, CLASSES, count)
        patches = generator.random((count, SIDE * SIDE, 4)).astype(np.float32) / 4
        for patch, label in zip(patches, labels, strict=True):
            patch[label::SIDE] += 0.7
        sides.append((patches, labels))
    (train, train_labels), (test, test_labels) = sides
    return TaskData(
        train_inputs=(train,), train_targets=train_labels, test_inputs=(test,), test_targets=test_labels,
        loss="cross_entropy", score="accuracy", settings={"patch_width": 4, "classes": CLASSES},
        source=Source(name="made up", version="3", sha256="beef", licence="none", origin="this file"),
    )  # fmt: skip


class SmallVictim:
    """A torch patch classifier, trained for some steps, as the engine hands one over."""

    classes, draws = CLASSES, False

    def __init__(self, arm: Arm, data: TaskData) -> None:
        self.name = arm.implementation
        torch.manual_seed(0)
        self.model = build_patch_classifier(
            load(arm.target),  # type: ignore[arg-type]
            width=12, heads=2, causal=False, max_length=SIDE * SIDE, options=dict(arm.options),
            patch_width=4, classes=CLASSES, expansion=4.0,
        )  # fmt: skip
        self.blueprint = types.SimpleNamespace(export=export_weights, insert=import_weights)
        optimiser = torch.optim.Adam(self.model.parameters(), lr=0.01)
        for _ in range(60):
            optimiser.zero_grad()
            logits = self.model(torch.tensor(data.train_inputs[0]))
            torch.nn.functional.cross_entropy(logits, torch.tensor(data.train_targets)).backward()
            optimiser.step()

    def logits(self, inputs: Any) -> np.ndarray:
        return answer(self.model, *(np.asarray(one, np.float32) for one in inputs))


@pytest.fixture
def victims(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The engine's door to trained models, with small ones behind it."""

    def open_victim(step: Step, arm: Arm, bench: Bench) -> tuple[SmallVictim, TaskData]:
        return SmallVictim(arm, bright_patches()), bright_patches()

    monkeypatch.setattr(interpretability, "open_victim", open_victim)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def squared(query: Any, key: Any, value: Any, **options: Any) -> Any:
    return torch_softmax(query, key, value**2)


def measured(target: str, name: str = "softmax", definition: str = "") -> dict[str, Measurement]:
    arm = Arm(implementation=f"{name}@torch", role="candidate", target=target)
    arm = replace(arm, claims=replace(arm.claims, definition=definition))
    task = replace(SENTIMENT, name="bright", width=12, heads=2, max_length=SIDE * SIDE, variant_options={})
    step = Step(key="bright", arms=(arm,), task=task, subject="bright", examples=100)
    bench = bench_of("interpretability", step, metric="naopc")
    return {row.metric: row for row in measure(step, bench)}


def test_a_trained_model_gets_every_metric(victims: None) -> None:
    rows = measured("implementations.on_torch.softmax:attend", definition=OURS["softmax"].definition)
    assert set(rows) == set(UNITS)
    assert rows["naopc"].status == "ok" and 0.5 < np.mean(rows["naopc"].values) <= 1
    assert np.mean(rows["aopc_comprehensiveness"].values) > np.mean(rows["aopc_sufficiency"].values)
    assert abs(np.mean(rows["randomisation_correlation"].values)) < 0.5
    assert len(rows["rollout_occlusion_correlation"].values or rows["attention_entropy"].values) > 0
    assert int(rows["naopc"].details["forward_passes"]) > 1000


def test_rollout_of_uniform_mixing_explains_the_architecture_only(victims: None) -> None:
    """Its rows are the same whatever was learnt."""
    rows = measured("implementations.on_torch.controls:UniformMixing", "uniform", OURS["uniform"].definition)
    assert rows["randomisation_correlation_rollout"].values == (1.0,) * 8
    assert rows["naopc_rollout"].status == "inconclusive"
    assert "explains the architecture, not the model" in rows["naopc_rollout"].reason
    assert rows["naopc"].status == "ok"
    assert rows["largest_logit"].status == "unsupported" and "logits" in rows["largest_logit"].reason


def test_a_kernel_that_is_not_linear_in_its_values_is_found_out(victims: None) -> None:
    sys.modules["made_up_kernels"] = types.ModuleType("made_up_kernels")
    sys.modules["made_up_kernels"].__dict__["squared"] = squared
    (row,) = measured("made_up_kernels:squared", "squared").values()
    del sys.modules["made_up_kernels"]
    assert row.status == "failed" and "not that of the trained model" in row.reason
