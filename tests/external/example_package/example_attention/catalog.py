"""What attnbench reads: one row, no framework imported."""

from bench.schema import Variant

VARIANTS = (
    Variant(
        name="cosine_similarity",
        title="Softmax over cosine similarities",
        paper="",
        equation="out = softmax(10 cos(Q, K)) V",
        time="n^2 d",
        memory="n^2",
        time_exponent=2.0,
        exact=False,
        causal=True,
        cross_attention=True,
        trainable=True,
        targets={"torch": "example_attention.kernel:attend"},
        unsupported={"keras": "not written"},
    ),
)
