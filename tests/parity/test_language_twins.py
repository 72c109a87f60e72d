"""Language models, the translator and the vision classifier agree on torch and on Keras, as does decoding."""

from typing import Any

import numpy as np
import pytest

BATCH, TIME, SOURCE, MAX_LENGTH, HEADS, WIDTH, VOCABULARY = 2, 11, 7, 13, 3, 30, 31
OF_ALL = {"width": WIDTH, "heads": HEADS, "max_length": MAX_LENGTH, "options": {}}
SETTINGS = OF_ALL | {"causal": True, "vocabulary": VOCABULARY}
EVERY_WAY = [
    ("softmax", "none", "post"),
    ("softmax", "sinusoidal", "rms"),
    ("softmax", "learned", "pre"),
    ("softmax", "rotary", "qk"),
    ("softmax", "alibi", "rms"),
    ("softmax", "t5", "pre"),
    ("linear", "rotary", "pre"),
    ("linear", "sinusoidal", "post"),
]


def numbers(*shape: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, VOCABULARY, size=shape)


def padded_sources() -> np.ndarray:
    source = numbers(BATCH, SOURCE)
    source[0, 5:] = 0
    return source


def tensor(twin: Any, array: np.ndarray) -> Any:
    """The array as a tensor of the twin's framework."""
    import torch
    from keras import ops

    is_torch = isinstance(twin.model, torch.nn.Module)
    return torch.from_numpy(array.copy()) if is_torch else ops.convert_to_tensor(array)


def stepped(twin: Any, tokens: np.ndarray, state: Any) -> np.ndarray:
    """The logits after each of the tokens, read one by one."""
    import torch

    every = []
    with torch.no_grad():
        for place in range(tokens.shape[1]):
            logits, state = twin.model.step(tensor(twin, tokens[:, place]), state)
            every.append(np.array(logits))
    return np.stack(every, axis=1)


def lively(twins: tuple[Any, Any]) -> tuple[Any, Any]:
    """The twins without biases, which would make the same token likeliest everywhere."""
    weights = {
        name: array * 0 if name.endswith(("bias", "offset")) else array
        for name, array in twins[0].export().items()
    }
    for twin in twins:
        twin.load(weights)
    return twins


def assert_close(got: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(expected).max() > 1e-2, "an output near zero would agree with anything"
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("variant", "positions", "normalisation"), EVERY_WAY)
def test_language_models_agree_and_keras_decodes_as_it_reads(
    make_twins, assert_agree, variant, positions, normalisation
):
    own = {"positions": positions, "normalisation": normalisation}
    twins = make_twins("causal_lm", variant, **(SETTINGS | own))
    tokens = numbers(BATCH, TIME)
    assert_agree(twins, tokens)
    of_torch, of_keras = twins
    whole = of_torch.forward(tokens)
    assert_close(stepped(of_keras, tokens, of_keras.model.initial_state(BATCH)), whole)
    last, state = of_keras.model.prefill(tensor(of_keras, tokens[:, :5]))
    assert_close(np.array(last), whole[:, 4])
    assert_close(stepped(of_keras, tokens[:, 5:], state), whole[:, 5:])


def test_a_language_model_with_a_head_of_its_own_agrees(make_twins, assert_agree):
    assert_agree(make_twins("causal_lm", "softmax", **SETTINGS, tied=False), numbers(BATCH, TIME))


def test_a_language_model_with_padding_agrees(make_twins, assert_agree):
    tokens = padded_sources()
    assert_agree(make_twins("causal_lm", "softmax", **SETTINGS), tokens, tokens != 0)


def test_greedy_generation_agrees_and_drawing_follows_its_seed(make_twins):
    from implementations.on_keras.generation import generate as generate_on_keras
    from implementations.on_torch.generation import generate as generate_on_torch

    of_torch, of_keras = lively(make_twins("causal_lm", "linear", **SETTINGS, tied=False))
    prompts = tensor(of_torch, numbers(BATCH, 3)), tensor(of_keras, numbers(BATCH, 3))
    expected = generate_on_torch(of_torch.model, prompts[0], 7).numpy()
    assert len(set(expected.flatten())) > 3, "a model that repeats itself shows little"
    np.testing.assert_array_equal(np.array(generate_on_keras(of_keras.model, prompts[1], 7)), expected)
    first, again, other = (
        np.array(generate_on_keras(of_keras.model, prompts[1], 7, temperature=9.0, seed=seed))
        for seed in (3, 3, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(("variant", "positions", "normalisation"), EVERY_WAY)
def test_translators_agree_and_keras_decodes_as_it_reads(
    make_twins, assert_agree, variant, positions, normalisation
):
    own = {"positions": positions, "normalisation": normalisation}
    twins = make_twins("encoder_decoder", variant, **(SETTINGS | own))
    source, target = padded_sources(), numbers(BATCH, TIME, seed=3)
    assert_agree(twins, source, target)
    of_torch, of_keras = twins
    decoded = stepped(of_keras, target, of_keras.model.begin(tensor(of_keras, source)))
    assert_close(decoded, of_torch.forward(source, target))


def test_a_translator_with_two_vocabularies_agrees(make_twins, assert_agree):
    own = {"target_vocabulary": 37, "tied": False, "encoder_layers": 1, "decoder_layers": 3}
    twins = make_twins("encoder_decoder", "softmax", **SETTINGS, **own)
    source, target = numbers(BATCH, SOURCE), numbers(BATCH, TIME, seed=3)
    assert_agree(twins, source, target, padded_sources() != 0)


def test_greedy_translations_agree(make_twins):
    from implementations.on_keras.generation import translate as translate_on_keras
    from implementations.on_torch.generation import translate as translate_on_torch

    of_torch, of_keras = make_twins("encoder_decoder", "softmax", **SETTINGS)
    own = {"begin": 1, "end": 0, "steps": 9}
    expected = translate_on_torch(of_torch.model, tensor(of_torch, padded_sources()), **own).numpy()
    got = np.array(translate_on_keras(of_keras.model, tensor(of_keras, padded_sources()), **own))
    np.testing.assert_array_equal(got, expected)


class Scripted:
    """A translator that says what it was told to, and counts its steps."""

    SAID = np.array([[5, 3, 7, 5, 7], [7, 5, 5, 3, 7]])

    def begin(self, source: Any, source_padding: Any = None) -> int:
        self.steps = 0
        return 0

    def step(self, token: Any, state: int) -> tuple[Any, int]:
        from keras import ops

        self.steps += 1
        return ops.one_hot(self.SAID[:, state], VOCABULARY), state + 1


@pytest.mark.parametrize(("end", "steps", "taken"), [(3, 5, 4), (11, 5, 5), (3, 3, 3)])
def test_a_translation_on_keras_stays_ended_and_stops_when_all_have_ended(end, steps, taken):
    from implementations.on_keras.generation import translate

    model = Scripted()
    answer = np.array(translate(model, numbers(BATCH, SOURCE), begin=1, end=end, steps=steps))
    said = np.array([[5, 3, 3, 3, 3], [7, 5, 5, 3, 3]]) if end == 3 else Scripted.SAID
    np.testing.assert_array_equal(answer, said[:, :steps])
    assert model.steps == taken


def test_models_with_memory_agree_from_segment_to_segment(make_twins, assert_agree):
    twins = make_twins("transformer_xl_lm", "transformer_xl", **SETTINGS, memory_length=5)
    tokens = numbers(BATCH, TIME)
    assert_agree(twins, tokens)
    of_torch, of_keras = twins
    memories: list[Any] = [None, None]
    for first, last in ((0, 3), (3, 8), (8, TIME)):
        answers = []
        for place, twin in enumerate(twins):
            logits, memories[place] = twin.model.read(tensor(twin, tokens[:, first:last]), memories[place])
            answers.append(logits.detach().numpy() if twin is of_torch else np.array(logits))
        assert_close(answers[1], answers[0])
    assert [part.shape for part in memories[1]] == [(BATCH, 5, WIDTH)] * 2
    decoded = stepped(of_keras, tokens, of_keras.model.initial_state(BATCH))
    assert_close(decoded, of_torch.forward(tokens))


def test_no_gradient_reaches_what_keras_remembers(make_twins):
    import tensorflow

    _, twin = make_twins("transformer_xl_lm", "transformer_xl", **SETTINGS, memory_length=5)
    with tensorflow.GradientTape() as tape:
        logits, memory = twin.model.read(numbers(BATCH, TIME))
        loss = sum(tensorflow.reduce_sum(part) for part in memory)
    assert tape.gradient(loss, twin.model.embedding.embeddings.value) is None
    assert logits.shape == (BATCH, TIME, VOCABULARY)


@pytest.mark.parametrize(("positions", "causal"), [("learned", False), ("sinusoidal", True), ("t5", False)])
def test_vision_classifiers_agree(make_twins, assert_agree, positions, causal):
    own = {"image": 10, "patch": 5, "channels": 2, "classes": 7, "positions": positions, "causal": causal}
    twins = make_twins("vision_classifier", "softmax", **OF_ALL, **own)
    assert_agree(twins, np.random.default_rng(5).normal(size=(BATCH, 10, 10, 2)).astype("float32"))


@pytest.mark.parametrize(
    ("positions", "normalisation"),
    [("sinusoidal", "post"), ("learned", "rms"), ("alibi", "qk"), ("t5", "pre")],
)
def test_encoders_agree_on_places_and_norms(make_twins, assert_agree, positions, normalisation):
    own = {"causal": False, "positions": positions, "normalisation": normalisation, "layers": 1}
    twins = make_twins("encoder", "softmax", **OF_ALL, **own)
    assert_agree(twins, np.random.default_rng(5).normal(size=(BATCH, TIME, WIDTH)).astype("float32"))


@pytest.mark.parametrize("architecture", ["text_classifier", "patch_classifier"])
def test_classifiers_agree_without_learned_positions(make_twins, assert_agree, architecture):
    own = {"causal": False, "classes": 5, "positions": "alibi", "normalisation": "post"}
    of_text = architecture == "text_classifier"
    own |= {"vocabulary": VOCABULARY} if of_text else {"patch_width": 17}
    patches = np.random.default_rng(5).normal(size=(BATCH, TIME, 17)).astype("float32")
    twins = make_twins(architecture, "softmax", **OF_ALL, **own)
    assert_agree(twins, padded_sources() if of_text else patches)


@pytest.mark.parametrize("variant", ["softmax", "linear"])
def test_masked_language_models_agree(make_twins, assert_agree, variant):
    twins = make_twins("masked_lm", variant, **OF_ALL, causal=False, vocabulary=VOCABULARY)
    tokens = padded_sources()
    assert_agree(twins, tokens, tokens != 0)
    assert_agree(twins, tokens, tokens != 0, np.array([[4, 0, 2], [6, 1, 1]]))
