"""Rows of the tasks that write: language modelling by bytes and by byte pairs, with memory, translation.

They are measured where they are named. `quick` trains each model for about
a minute on one core, in which language models fall short of the n-grams beside them and no translation is
of use (bits a byte tell variants apart before chrF does); `full` takes hours, and learns. Imports no
framework and no data.
"""

from __future__ import annotations

from dataclasses import replace

from bench.schema import Metric, Task

METRICS = (
    Metric(name="bits_per_byte", title="bits a byte of text", unit="bits", better="lower"),
    Metric(
        name="bits_by_position", title="bits a byte by position", unit="bits", better="lower", ranks=False
    ),
    Metric(
        name="bits_per_byte_alone",
        title="bits a byte without memory",
        unit="bits",
        better="lower",
        ranks=False,
    ),
    # Of tokens, so that it tells models of one vocabulary apart only.
    Metric(name="perplexity", title="perplexity of a token", unit="tokens", better="lower", ranks=False),
    Metric(name="chrf", title="chrF of translations", unit="chrF", better="higher"),
    Metric(name="chrf_greedy", title="chrF, greedy search", unit="chrF", better="higher", ranks=False),
    Metric(name="bleu", title="BLEU of translations", unit="BLEU", better="higher"),
    Metric(name="bleu_greedy", title="BLEU, greedy search", unit="BLEU", better="higher", ranks=False),
)

# A window or a number of landmarks as long as the text would be plain attention under another name.
_SHORT = {"sliding_window": {"window": 32}, "linformer": {"landmarks": 32}, "performer": {"features": 64}}
_LONG = {"sliding_window": {"window": 128}, "linformer": {"landmarks": 128}, "performer": {"features": 128}}
_SENTENCE = {"sliding_window": {"window": 8}, "linformer": {"landmarks": 8}, "performer": {"features": 64}}
_BASELINES = {
    "kneser_ney@numpy": "suites.tasks.language_baselines:ngrams",
    "lzma@stdlib": "suites.tasks.language_baselines:lzma_after_training",
    "zlib@stdlib": "suites.tasks.language_baselines:zlib_after_training",
}

LANGUAGE_BYTES = Task(
    name="language_bytes",
    title="The next byte of a film review (IMDB)",
    architecture="causal_lm",
    target="suites.tasks.language_bytes:load",
    metric="bits_per_byte",
    evaluator="suites.tasks.language:evaluate",
    causal=True,
    width=64,
    heads=4,
    max_length=128,
    batch=16,
    steps=1600,
    learning_rates=(3e-3,),
    settings={"layers": 2, "train_documents": 4_000, "test_examples": 1_000},
    variant_options=_SHORT,
    baselines=_BASELINES,
    default=False,
)

LANGUAGE_BPE = replace(
    LANGUAGE_BYTES,
    name="language_bpe",
    title="The next byte pair of a film review (IMDB)",
    target="suites.tasks.language_bpe:load",
    max_length=64,
    steps=800,
    settings={**LANGUAGE_BYTES.settings, "vocabulary_size": 2_048},
)

SHAKESPEARE = replace(
    LANGUAGE_BYTES,
    name="shakespeare",
    title="The next byte of a play by Shakespeare",
    target="suites.tasks.shakespeare:load",
    settings={"layers": 2, "test_examples": 1_000},
)

# Trained on segments of 128, read 64 at a time with a memory of 64.
LANGUAGE_MEMORY = replace(
    LANGUAGE_BYTES,
    name="language_memory",
    title="The next byte of a film review, with a memory of what was read before",
    architecture="transformer_xl_lm",
    evaluator="suites.tasks.language_memory:evaluate",
    target="suites.tasks.language_memory:load",
    steps=800,
    settings={**LANGUAGE_BYTES.settings, "read_length": 64, "memory_length": 64},
)

TRANSLATION = Task(
    name="translation",
    title="English to German: LibreOffice's help",
    architecture="encoder_decoder",
    target="suites.tasks.translation:load",
    metric="chrf",
    evaluator="suites.tasks.translated:evaluate",
    causal=True,
    width=64,
    heads=4,
    max_length=32,
    batch=32,
    steps=600,
    learning_rates=(3e-3,),
    settings={"encoder_layers": 2, "decoder_layers": 2, "vocabulary_size": 2_048, "test_examples": 100},
    variant_options=_SENTENCE,
    baselines={"source_copied@sacrebleu": "suites.tasks.translation:source_copied"},
    default=False,
)

_GRID = (1e-3, 3e-3)
_LAYERS = {"layers": 4, "test_examples": 2_000}


def _in_full(task: Task, **settings: int | str) -> Task:
    """Wider, longer, on all of the text, with the learning rate chosen."""
    return replace(
        task,
        width=128,
        max_length=512,
        steps=6_000,
        learning_rates=_GRID,
        variant_options=_LONG,
        settings={**_LAYERS, **settings},
    )


LANGUAGE: dict[str, tuple[Task, ...]] = {
    "smoke": (),
    "quick": (LANGUAGE_BYTES, LANGUAGE_BPE, SHAKESPEARE, LANGUAGE_MEMORY, TRANSLATION),
    "full": (
        _in_full(LANGUAGE_BYTES),
        replace(_in_full(LANGUAGE_BPE, vocabulary_size=8_192), max_length=256),
        _in_full(SHAKESPEARE),
        _in_full(LANGUAGE_MEMORY, read_length=256, memory_length=256),
        replace(
            TRANSLATION,
            width=128,
            max_length=64,
            steps=6_000,
            learning_rates=_GRID,
            settings={
                "encoder_layers": 3,
                "decoder_layers": 3,
                "vocabulary_size": 8_192,
                "test_examples": 1_000,
            },
        ),
    ),
}
