"""The document's data: uniform noise, the same for the same seed."""

import subprocess
import sys

import numpy as np

from implementations.on_keras.document import document_data


def test_the_data_are_uniform_noise_of_the_documents_shapes():
    encoder_tokens, decoder_tokens, target = document_data(samples=11, length=131, width=7, seed=5)
    assert [part.shape for part in (encoder_tokens, decoder_tokens, target)] == [
        (11, 131, 7),
        (11, 131, 7),
        (11, 131, 3),
    ]
    assert not np.array_equal(encoder_tokens, decoder_tokens)
    for part in (encoder_tokens, decoder_tokens, target):
        assert part.dtype == np.float32
        assert 0 <= part.min() < 0.01 and 0.99 < part.max() <= 1
        deciles, _ = np.histogram(part, bins=10, range=(0, 1))
        assert (np.abs(deciles / part.size - 0.1) < 0.025).all()


def test_a_seed_fixes_the_data_and_another_changes_them():
    first, again, other = (document_data(3, 5, 7, seed=seed) for seed in (1, 1, 2))
    for one, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, different)


def test_reading_the_document_imports_no_framework():
    code = (
        "import sys, implementations.on_keras.document\n"
        "found = {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
