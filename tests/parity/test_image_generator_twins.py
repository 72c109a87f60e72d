"""The document's generator: one function on both frameworks, and the one that the document describes."""

import numpy as np
import pytest

from implementations.on_keras.document import DOCUMENT_TRAINING, document_data

BATCH, SOURCE, TIME, WIDTH, HEADS = 2, 13, 11, 64, 4
SETTINGS = {"width": WIDTH, "heads": HEADS, "causal": False, "max_length": SOURCE, "options": {}}
# Models are the same whatever they hold; the layers' own twins are held together elsewhere.
TWINNED = ["softmax", "linear"]


@pytest.fixture
def inputs() -> tuple[np.ndarray, np.ndarray]:
    encoder_tokens, _, _ = document_data(BATCH, SOURCE, WIDTH, seed=31)
    _, decoder_tokens, _ = document_data(BATCH, TIME, WIDTH, seed=37)
    return encoder_tokens, decoder_tokens


def softened(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights as large as trained ones: the sigmoid must not saturate, or it would agree with anything."""
    return {name: 1 + array / 4 if name.endswith("scale") else array / 4 for name, array in weights.items()}


@pytest.fixture
def twins_of(make_twins):
    def make(variant: str):
        twins = make_twins("image_generator", variant, **SETTINGS)
        for twin in twins:
            twin.load(softened(twin.export()))
        return twins

    return make


def written_out(weights: dict[str, np.ndarray], encoder_tokens, decoder_tokens) -> np.ndarray:
    """The document's generator in NumPy and float64, from its description alone."""
    w = {name: array.astype("float64") for name, array in weights.items()}

    def linear(x, path):
        return x @ w[f"{path}.kernel"] + w[f"{path}.bias"]

    def norm(x, path):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3)
        return scaled * w[f"{path}.scale"] + w[f"{path}.offset"]

    def attention(x, source, path):
        q, k, v = (
            linear(tokens, f"{path}.{name}").reshape(BATCH, -1, HEADS, WIDTH)
            for tokens, name in ((x, "query"), (source, "key"), (source, "value"))
        )
        scores = np.exp(np.einsum("bthd,bshd->bhts", q, k) / np.sqrt(WIDTH))
        mixed = np.einsum("bhts,bshd->bthd", scores / scores.sum(-1, keepdims=True), v)
        return linear(mixed.reshape(BATCH, -1, HEADS * WIDTH), f"{path}.output")

    def feed_forward(x, path):
        return linear(np.maximum(linear(x, f"{path}.expand"), 0), f"{path}.contract")

    x = encoder_tokens
    for path in ("encoder.0", "encoder.1"):
        a = norm(attention(x, x, f"{path}.attention") + x, f"{path}.norm1")
        x = norm(feed_forward(a, path) + x, f"{path}.norm2")
    y = decoder_tokens
    for path in ("decoder.0", "decoder.1"):
        a = norm(attention(y, y, f"{path}.self_attention") + y, f"{path}.norm1")
        c = norm(attention(a, x, f"{path}.cross_attention") + y, f"{path}.norm2")
        y = norm(feed_forward(c, path) + y, f"{path}.norm3")
    return 1 / (1 + np.exp(-linear(y, "head")))


def test_both_hold_the_documents_number_of_parameters(twins_of):
    assert [twin.parameters() for twin in twins_of("softmax")] == [432_963, 432_963]
    assert DOCUMENT_TRAINING.parameters == 432_963


@pytest.mark.parametrize("variant", TWINNED)
def test_outputs_and_gradients_agree(twins_of, assert_agree, inputs, variant):
    twins = twins_of(variant)
    assert twins[0].forward(*inputs).std() > 0.05, "saturated colours would agree with anything"
    assert_agree(twins, *inputs)


def test_both_are_the_generator_that_the_document_describes(twins_of, inputs):
    for twin in twins_of("softmax"):
        expected = written_out(twin.export(), *inputs)
        np.testing.assert_allclose(twin.forward(*inputs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", TWINNED)
def test_shuffling_decoder_tokens_shuffles_the_output_and_changes_nothing_else(twins_of, inputs, variant):
    encoder_tokens, decoder_tokens = inputs
    order = np.random.default_rng(41).permutation(TIME)
    assert (order != np.arange(TIME)).any()
    for twin in twins_of(variant):
        output = twin.forward(encoder_tokens, decoder_tokens)
        shuffled = twin.forward(encoder_tokens, np.ascontiguousarray(decoder_tokens[:, order]))
        np.testing.assert_allclose(shuffled, output[:, order], atol=1e-5)
        assert np.abs(shuffled - output).max() > 1e-2


def test_shuffling_encoder_tokens_changes_nothing(twins_of, inputs):
    encoder_tokens, decoder_tokens = inputs
    for twin in twins_of("softmax"):
        output = twin.forward(encoder_tokens, decoder_tokens)
        reversed_source = np.ascontiguousarray(encoder_tokens[:, ::-1])
        np.testing.assert_allclose(twin.forward(reversed_source, decoder_tokens), output, atol=1e-5)


def test_both_refuse_a_causal_generator(make_twins):
    for framework in (0, 1):
        with pytest.raises(ValueError, match="causal"):
            make_twins("image_generator", "softmax", **(SETTINGS | {"causal": True}))[framework]


def test_one_adam_step_from_the_documents_start_agrees(make_twins, inputs):
    """Losses within 1e-6; weights within 2e-5 after a step of up to 1e-3, so within 2% of the step.

    Keras adds its epsilon to sqrt(v), torch to the bias-corrected sqrt(v / (1 - beta_2)): in the first
    step they mean the same number when torch's is larger by 1 / sqrt(1 - beta_2).
    """
    import keras
    import tensorflow
    import torch

    training = DOCUMENT_TRAINING
    _, _, target = document_data(BATCH, TIME, WIDTH, seed=43)
    torch_twin, keras_twin = make_twins("image_generator", "softmax", **SETTINGS)
    keras.utils.set_random_seed(47)
    start = type(keras_twin)("image_generator", "softmax", SETTINGS).export()
    torch_twin.load(start)
    keras_twin.load(start)

    optimizer = torch.optim.Adam(
        torch_twin.model.parameters(),
        lr=training.learning_rate,
        betas=(training.beta_1, training.beta_2),
        eps=training.epsilon / (1 - training.beta_2) ** 0.5,
    )
    output = torch_twin.model(*map(torch.from_numpy, inputs))
    torch_loss = torch.nn.functional.mse_loss(output, torch.from_numpy(target))
    torch_twin.model.zero_grad()
    torch_loss.backward()
    optimizer.step()

    variables = keras_twin.model.trainable_variables
    with tensorflow.GradientTape() as tape:
        keras_loss = tensorflow.reduce_mean(
            keras.losses.mean_squared_error(target, keras_twin.model(*inputs))
        )
    gradients = tape.gradient(keras_loss, [variable.value for variable in variables])
    keras.optimizers.Adam().apply(gradients, variables)

    assert float(keras_loss) == pytest.approx(torch_loss.item(), abs=1e-6)
    expected, got = torch_twin.export(), keras_twin.export()
    moved = max(np.abs(expected[name] - start[name]).max() for name in start)
    assert moved == pytest.approx(training.learning_rate, rel=0.05)
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, atol=2e-5, rtol=0, err_msg=name)
