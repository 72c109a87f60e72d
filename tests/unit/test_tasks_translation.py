"""Translation: reading and splitting pairs, what the model is given, and how its texts are scored."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from made_up_language import OnNumPy

from bench.schema import Option, Task
from suites.framework import NOT_SCORED
from suites.tasks import translated, translation
from suites.tasks.data import DataMissing, TaskData, digest, held_out
from suites.tasks.help_pages import Pair, elements, help_folder, read_pairs, text_of, version
from suites.tasks.translated import BEGIN, END, PADDING, evaluate

LENGTH = 23
TASK = Task(
    name="translation",
    title="",
    architecture="encoder_decoder",
    target="suites.tasks.translation:load",
    metric="chrf",
    width=6,
    heads=2,
    max_length=LENGTH,
    batch=5,
    steps=3,
    learning_rates=(0.01,),
    causal=True,
)

needs_packages = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("tokenizers", "sacrebleu")),
    reason="needs tokenizers and sacrebleu",
)


def page(*texts: str) -> str:
    """A page as the help has it: what stands around the text has no ids of paragraphs."""
    heading = f'<p dir="auto">LibreOffice 7.4 Help</p><h1 id="hd_id1">\n<a name="b"></a>{texts[0]}!\n</h1>'
    return heading + "".join(f'<p id="par_id{n}" class="x">{text}</p>\n' for n, text in enumerate(texts))


@pytest.fixture
def help_pages(tmp_path: Path) -> Path:
    for number in range(37):
        for language, texts in (
            ("en-US", [f"Open file {number}", "Related Topics", "ABC=1", f"Delete page {number} &amp; more"]),
            ("de", [f"Datei {number} öffnen", "Verwandte Themen", "ABC=1", f"Seite {number} löschen"]),
        ):
            folder = tmp_path / language / "text" / "swriter"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.html").write_text(page(*texts), encoding="utf-8")
    (tmp_path / "en-US" / "text" / "swriter" / "untranslated.html").write_text(page("Only here"))
    return tmp_path


def with_settings(settings: Mapping[str, Option]) -> Task:
    return dataclasses.replace(TASK, settings=settings)


def loaded(folder: Path, **settings: Option) -> TaskData:
    own = {"data": str(folder), "vocabulary_size": 320, "encoder_layers": 1}
    return translation.load(with_settings(own | settings))


def test_elements_are_texts_by_their_ids_as_a_reader_sees_them() -> None:
    found = elements(
        '<p>no id</p><h2 id="hd_id7" dir="auto">\n<a name="x"></a>A &lt;title&gt;\n</h2>'
        '<p id="par_idN1" class="y">Choose <span class="emph">Tools -\n Options</span>.</p>'
        '<p id="par_idN1">a second one</p><p id="other">none</p>'
    )
    assert found == {"hd_id7": "A <title>", "par_idN1": "Choose Tools - Options."}


def test_what_only_one_system_shows_is_left_out() -> None:
    markup = (
        'Choose <span id="s"><span hidden="true" id="MACx" class="MAC"><span>Preferences</span></span>'
        '<span hidden="true" id="defaultx"><span class="emph">Tools - Options</span></span></span> now.'
    )
    assert text_of(markup) == "Choose Tools - Options now."


def test_pairs_stand_under_one_id_on_one_page(help_pages: Path) -> None:
    pairs = list(read_pairs(help_pages, "de"))
    assert len(pairs) == 37 * 5
    assert Pair(source="Delete page 7 & more", target="Seite 7 löschen", page="swriter/7.html") in pairs
    assert Pair(source="Open file 7!", target="Datei 7 öffnen!", page="swriter/7.html") in pairs


def test_a_page_is_on_one_side_and_no_source_text_on_both(help_pages: Path) -> None:
    pairs = list(read_pairs(help_pages, "de"))
    train, test = translation.split(pairs)
    for side, held in ((train, False), (test, True)):
        assert {held_out(digest(pair.page.encode()), 0.1) for pair in side} == {held}
        assert len({pair.source for pair in side}) == len(side) > 0
        assert all(pair.source != pair.target for pair in side)
    assert not {pair.source for pair in train} & {pair.source for pair in test}
    # What all pages say is said once, and kept for the test.
    assert sum(pair.source == "Related Topics" for pair in train + test) == 1
    assert any(pair.source == "Related Topics" for pair in test)


@needs_packages
def test_inputs_and_targets_are_the_pairs_with_their_marks(help_pages: Path) -> None:
    data = loaded(help_pages)
    sources, seen = data.test_inputs
    told = data.test_targets
    assert sources.shape == seen.shape == told.shape == (len(told), LENGTH)
    assert (seen[:, 0] == BEGIN).all()
    np.testing.assert_array_equal(
        seen[:, 1:][told[:, 1:] != NOT_SCORED], told[:, :-1][told[:, 1:] != NOT_SCORED]
    )
    for row in (*sources, *told):
        (end,) = np.flatnonzero(row == END)
        assert set(row[end + 1 :]) <= {PADDING, NOT_SCORED}
    references = [translated.text_of(row, data.pieces) for row in told]
    pairs = {pair.source: pair.target for pair in read_pairs(help_pages, "de")}
    texts = [translated.text_of(row, data.pieces) for row in sources]
    assert [pairs[text] for text in texts] == references
    assert data.settings == {"encoder_layers": 1, "vocabulary": len(data.pieces)}


@needs_packages
def test_what_is_known_of_the_data_stands_in_the_details(help_pages: Path) -> None:
    details = loaded(help_pages).details()
    assert details["data_source"] == "LibreOffice help, English and de"
    assert "#:1|" in details["bleu_signature"].replace("nrefs", "#")
    assert "version:" in details["chrf_signature"]
    assert len(details["tokenizer_sha256"]) == len(details["data_sha256"]) == 64
    assert int(details["pairs_read"]) == 37 * 5
    kept = sum(int(details[name]) for name in ("train_examples", "test_examples", "too_long"))
    assert kept == 37 * 5 - int(details["copies_left_out"])


@needs_packages
def test_pairs_that_are_too_long_are_left_out_and_counted(help_pages: Path) -> None:
    task = dataclasses.replace(
        TASK, max_length=17, settings={"data": str(help_pages), "vocabulary_size": 262}
    )
    data = translation.load(task)
    assert int(data.details()["too_long"]) > 0
    lengths = (data.train_targets != NOT_SCORED).sum(axis=1)
    assert lengths.max() <= 17


@needs_packages
def test_a_tab_separated_file_is_read_and_split_by_its_documents(tmp_path: Path) -> None:
    file = tmp_path / "pairs.tsv"
    lines = [f"Open file {n}\tDatei {n} öffnen\tpage {n // 3}" for n in range(90)]
    file.write_text("\n".join(lines) + "\r\n", encoding="utf-8")
    task = with_settings({"file": str(file), "vocabulary_size": 300})
    data = translation.load(task)
    assert data.source.sha256 == digest(file.read_bytes())
    assert data.source.origin == "pairs.tsv"
    texts = [translated.text_of(row, data.pieces) for row in data.test_inputs[0]]
    pages = {int(text.rsplit(" ", 1)[1]) // 3 for text in texts}
    assert sorted(texts) == sorted(f"Open file {n}" for n in range(90) if n // 3 in pages)
    assert {held_out(digest(f"page {number}".encode()), 0.1) for number in pages} == {True}


def test_a_file_that_is_not_there_or_has_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"no file .*nothing\.tsv"):
        translation.read_file(tmp_path / "nothing.tsv")
    (tmp_path / "one.tsv").write_text("a\tb\nalone\n")
    with pytest.raises(ValueError, match="line 2 must have 2 or 3 columns between tabs, got 1"):
        translation.read_file(tmp_path / "one.tsv")


def test_without_the_help_it_is_said_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="apt-get install libreoffice-help-en-us libreoffice-help-de"):
        help_folder(str(tmp_path), "de")


def test_the_version_is_that_of_the_start_page(help_pages: Path) -> None:
    assert version(help_pages) == ""
    start = help_pages / "en-US" / "text" / "shared" / "05" / "new_help.html"
    start.parent.mkdir(parents=True)
    start.write_text(page("Welcome"))
    assert version(help_pages) == "7.4"


def copying(pieces: int) -> object:
    """A model that goes on with the source's token of the same place."""

    def model(source: np.ndarray, target: np.ndarray) -> np.ndarray:
        return 30 * np.eye(pieces, dtype=np.float32)[source[:, : target.shape[1]]]

    return model


@needs_packages
def test_a_model_that_is_right_scores_100_and_costs_no_bits(help_pages: Path) -> None:
    data = loaded(help_pages)
    (source, seen), told = data.test_inputs, data.test_targets
    # The source's own tokens are asked for.
    goal = np.where(source == PADDING, NOT_SCORED, source)
    found = evaluate(OnNumPy(), copying(len(data.pieces)), (source, seen), goal, data, TASK)  # type: ignore[arg-type]
    assert set(found) == set(translated_units())
    for name in ("bleu", "bleu_greedy"):
        assert found[name] == pytest.approx([100.0])
    for name in ("chrf", "chrf_greedy"):
        np.testing.assert_allclose(found[name], [100.0] * len(told))
    np.testing.assert_allclose(found["bits_per_byte"], 0.0, atol=1e-9)


def translated_units() -> dict[str, str]:
    from suites.tasks.scores import UNITS

    return UNITS["translation"]


@needs_packages
def test_the_source_copied_scores_as_the_model_that_copies(help_pages: Path) -> None:
    data = loaded(help_pages)
    found = evaluate(  # type: ignore[arg-type]
        OnNumPy(), copying(len(data.pieces)), data.test_inputs, data.test_targets, data, TASK
    )
    baseline = translation.source_copied(data)
    assert baseline["bleu"] == found["bleu"].tolist()
    np.testing.assert_allclose(baseline["chrf"], found["chrf"])
    assert 0 < np.mean(baseline["chrf"]) < 60


@needs_packages
def test_without_a_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataMissing, match=r"sacrebleu.*pip install attnbench\[data\]"):
        translation.load(TASK)
