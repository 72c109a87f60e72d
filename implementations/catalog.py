"""One row a variant and one a model: what is compared, what it claims, and where its code is.

Imports no framework: a target is named as ``"module:Name"`` and loaded inside a worker only. The rows of
the variants stand in `implementations.families`, a file a family. A flag (`exact`, `causal`,
`cross_attention`) is a claim that the certificate checks. `time` and `memory` count one head; n is the
length, w the window, d the width of a head, m the random features, k the landmarks.
"""

from functools import partial

from bench.schema import Architecture, Variant
from implementations.families import (
    chosen,
    controls,
    exact,
    fewer_keys,
    kernels,
    long_context,
    peers,
    recurrent,
    scores,
    sparse,
)
from implementations.families.places import KERAS, TORCH, on_both

_FAMILIES = (
    exact,
    fewer_keys,
    sparse,
    chosen,
    kernels,
    recurrent,
    scores,
    long_context,
    controls,
    peers,
)
VARIANTS: tuple[Variant, ...] = tuple(row for family in _FAMILIES for row in family.VARIANTS)

_model = partial(Architecture, packages={"torch": TORCH, "keras": KERAS})


ARCHITECTURES: tuple[Architecture, ...] = (
    _model(name="layer", title="One attention layer", targets=on_both("layer:build_layer")),
    _model(
        name="encoder",
        title="Transformer encoder",
        targets=on_both("encoder:build_encoder"),
    ),
    _model(
        name="text_classifier",
        title="Text classifier: embedding, encoder, mean, linear",
        token_numbers=True,
        targets=on_both("classifiers:build_text_classifier"),
    ),
    _model(
        name="masked_lm",
        title="Masked language model (BERT-shaped): the text classifier's encoder, tied head",
        token_numbers=True,
        targets=on_both("masked_language_model:build_masked_lm"),
    ),
    _model(
        name="patch_classifier",
        title="Image classifier over patches: linear embedding, encoder, mean, linear",
        targets=on_both("classifiers:build_patch_classifier"),
    ),
    _model(
        name="vision_classifier",
        title="Image classifier (ViT-shaped): patches, encoder, mean, linear",
        targets=on_both("vision_classifier:build_vision_classifier"),
    ),
    _model(
        name="causal_lm",
        title="Causal language model (GPT-shaped): embedding, causal blocks, tied head",
        needs_causal=True,
        token_numbers=True,
        decodes=True,
        targets=on_both("language_model:build_causal_lm"),
    ),
    _model(
        name="transformer_xl_lm",
        title="Transformer-XL language model: causal blocks with a memory across segments",
        needs_causal=True,
        needs_segment_memory=True,
        token_numbers=True,
        decodes=True,
        targets=on_both("transformer_xl_model:build_transformer_xl_lm"),
    ),
    _model(
        name="encoder_decoder",
        title="Encoder-decoder for translation: encoder, causal decoder with cross-attention, tied head",
        needs_cross_attention=True,
        needs_causal=True,
        token_numbers=True,
        decodes=True,
        targets=on_both("encoder_decoder:build_encoder_decoder"),
    ),
    _model(
        name="image_generator",
        title="Image generator: encoder and decoder to colours",
        needs_cross_attention=True,
        targets=on_both("image_generator:build_image_generator"),
    ),
)
