"""The user's own texts: the sides that a file gives, and files that nothing can be learnt from."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.schema import Option, Task
from suites.tasks import own_texts
from suites.tasks.data import DataMissing, TaskData, digest
from suites.tasks.labelled_file import BadFileError
from suites.tasks.own_texts import load
from suites.tasks.rows_text import TEXT
from suites.tasks.texts import content_key

GOOD = "text,label,split\na fine day,yes,train\na bad day,no,train\na day,yes,test\n"


def task(path: Path, **more: Option) -> Task:
    return dataclasses.replace(TEXT, max_length=7, settings={"data": str(path), "layers": 1, **more})


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(content: str | bytes, name: str = "texts.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def numbered(rows: int, label: Callable[[int], str] = lambda number: "ab"[number % 2]) -> str:
    return "text,label\n" + "".join(f"text number {number},{label(number)}\n" for number in range(rows))


def test_a_file_with_a_split_gives_the_sides_that_it_names(written: Callable[..., Path]) -> None:
    data = load(task(written(GOOD)))
    assert sorted(data.train_texts) == ["a bad day", "a fine day"]
    assert data.test_texts == ("a day",)
    assert data.classes == ("no", "yes")
    assert {text: int(label) for text, label in zip(data.train_texts, data.train_targets, strict=True)} == {
        "a bad day": 0,
        "a fine day": 1,
    }
    assert data.settings == {"layers": 1, "vocabulary": len(data.vocabulary) + 2, "classes": 2}


def test_results_name_the_file_its_hash_and_its_classes(written: Callable[..., Path]) -> None:
    path = written(GOOD)
    told = load(task(path)).details()
    assert told["data_source"] == "the user's file texts.csv"
    assert told["data_sha256"] == digest(path.read_bytes())
    assert told["classes"] == '["no", "yes"]'
    assert (told["rows_read"], told["validation_rows"], told["left_out_of_training"]) == ("3", "0", "0")


def test_whole_numbers_as_labels_are_ordered_by_value_and_words_by_letters(
    written: Callable[..., Path],
) -> None:
    assert load(task(written(numbered(97, lambda n: str((10, 9, -1)[n % 3]))))).classes == ("-1", "9", "10")
    assert load(task(written(numbered(97, lambda n: ("10", "9", "x")[n % 3])))).classes == ("10", "9", "x")


def test_without_a_split_a_fifth_is_held_out_by_content_whatever_the_order_of_rows(
    written: Callable[..., Path],
) -> None:
    lines = numbered(503).splitlines(keepends=True)
    first = load(task(written("".join(lines))))
    second = load(task(written("".join([lines[0], *reversed(lines[1:])]), "reversed.csv")))
    assert (first.train_texts, first.test_texts) == (second.train_texts, second.test_texts)
    assert len(first.test_texts) / 503 == pytest.approx(0.2, abs=0.05)
    assert set(first.test_texts) == {
        f"text number {n}" for n in range(503) if int(content_key(f"text number {n}")[:8], 16) < 0.2 * 16**8
    }


def test_copies_are_on_one_side(written: Callable[..., Path]) -> None:
    again = "".join(f'" TEXT, number {number}!",a\n' for number in range(101))
    data = load(task(written(numbered(101) + again)))
    assert not set(map(content_key, data.train_texts)) & set(map(content_key, data.test_texts))
    assert len(data.train_texts) + len(data.test_texts) == 202


def test_training_and_validation_copies_of_test_rows_are_left_out(written: Callable[..., Path]) -> None:
    copies = '"A day!",yes,train\n"a, day",no,validation\n'
    data = load(task(written(GOOD + copies)))
    assert sorted(data.train_texts) == ["a bad day", "a fine day"]
    assert data.counts["left_out_of_training"] == 2


def test_training_copies_of_validation_rows_are_left_out(written: Callable[..., Path]) -> None:
    rows = '"a FINE day",yes,validation\nworse,no,train\nbest,yes,train\n'
    data = load(task(written(GOOD + rows)))
    assert data.train_texts[0] == "a FINE day" and data.validation_examples == 1
    assert sorted(data.train_texts[1:]) == ["a bad day", "best", "worse"]


def test_validation_rows_lead_the_training_side_and_a_limit_takes_of_both(
    written: Callable[..., Path],
) -> None:
    sides = ("train", "train", "validation", "test")
    rows = "".join(f"text number {n},{'ab'[n // 4 % 2]},{sides[n % 4]}\n" for n in range(400))
    path = written("text,label,split\n" + rows)

    def validating(data: TaskData) -> list[bool]:
        return [int(text.split()[-1]) % 4 == 2 for text in data.train_texts]

    whole, some = load(task(path)), load(task(path, train_examples=90))
    assert validating(whole) == [True] * 100 + [False] * 200
    assert whole.counts["validation_rows"] == whole.validation_examples == 100
    found = validating(some)
    assert found == sorted(found, reverse=True) and sum(found) == pytest.approx(30, abs=15)
    assert some.validation_examples == sum(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,label\none,a\ntwo,a\n", "all 2 rows have the label 'a'; there must be two classes"),
        (GOOD + "new,perhaps,test\n", "texts.csv, line 5: the class 'perhaps' is on the test side and no"),
        (GOOD + "new,perhaps,validation\nnewer,perhaps,test\n", "texts.csv, line 6: the class 'perhaps'"),
        (GOOD.replace("day,no,train", "day,no,validation"), "all of its 1 train rows have the same label"),
        (GOOD.replace("test", "train"), "texts.csv has no test rows: no row has the split test"),
        (GOOD.replace("train", "validation"), "texts.csv has no train rows: no row has the split train"),
        ("text,label\ntext 1,a\ntext 2,b\n", "none of its 2 rows falls on the test side of the split by"),
    ],
)
def test_sides_that_nothing_can_be_learnt_from_are_refused(
    content: str, said: str, written: Callable[..., Path]
) -> None:
    with pytest.raises(BadFileError) as refused:
        load(task(written(content)))
    assert said in str(refused.value)


def test_a_class_that_the_split_by_content_leaves_on_the_test_side_only_is_refused(
    written: Callable[..., Path],
) -> None:
    held = next(n for n in range(1000) if int(content_key(f"text number {n}")[:8], 16) < 0.2 * 16**8)
    path = written(numbered(59, lambda number: "rare" if number == held else "ab"[number % 2]))
    with pytest.raises(BadFileError, match=rf"line {held + 2}: the class 'rare' .* add rows of it, or a col"):
        load(task(path))


def test_more_classes_than_a_column_of_labels_has_are_taken_for_the_wrong_column(
    written: Callable[..., Path],
) -> None:
    with pytest.raises(BadFileError, match="holds 1,003 different values, more than the 1,000 classes"):
        load(task(written(numbered(1003, str))))


def test_without_a_file_the_task_says_how_to_name_one() -> None:
    with pytest.raises(DataMissing, match="name it with --data FILE"):
        load(TEXT)


def test_a_file_that_was_changed_since_the_run_was_planned_is_not_gone_on_with(
    written: Callable[..., Path],
) -> None:
    path = written(GOOD)
    planned = task(path, data_sha256=digest(path.read_bytes()))
    assert load(planned).test_texts == ("a day",)
    written(GOOD + "another,yes,test\n")
    with pytest.raises(DataMissing, match="no longer the file that the run was planned with"):
        load(planned)


def test_baselines_answer_for_every_test_row(written: Callable[..., Path]) -> None:
    content = "text,label\n" + "".join(
        f"{'good' if n % 3 else 'awful'} film number {n},{'up' if n % 3 else 'down'}\n" for n in range(211)
    )
    data = load(task(written(content)))
    assert np.mean(own_texts.tfidf_logistic_regression(data)["accuracy"]) > 0.95
    most = np.mean([text.startswith("good") for text in data.test_texts])
    assert np.mean(own_texts.majority(data)["accuracy"]) == pytest.approx(most)
