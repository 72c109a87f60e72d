"""The file of ``--data``: what CSV and Parquet may hold, and every error with the row that is to blame."""

import csv
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.schema import Option, Task
from suites.tasks import labelled_file
from suites.tasks.data import DataMissing
from suites.tasks.labelled_file import BadFileError, read_rows
from suites.tasks.own_texts import check, load
from suites.tasks.rows_text import TEXT

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


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    pyarrow: Any = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    def write(**columns: Sequence[object]) -> Path:
        path = tmp_path / "texts.parquet"
        files.write_table(pyarrow.table({name: list(cells) for name, cells in columns.items()}), path)
        return path

    return write


def test_csv_and_parquet_of_the_same_rows_are_the_same_data(
    written: Callable[..., Path], parquet: Callable[..., Path]
) -> None:
    rows = [(f"text number {number}", number % 3) for number in range(53)]
    from_csv = load(task(written("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))))
    from_parquet = load(task(parquet(text=[text for text, _ in rows], label=[label for _, label in rows])))
    assert from_csv.test_texts == from_parquet.test_texts and from_csv.classes == ("0", "1", "2")
    np.testing.assert_array_equal(from_csv.train_inputs[0], from_parquet.train_inputs[0])
    np.testing.assert_array_equal(from_csv.train_targets, from_parquet.train_targets)


def test_texts_may_hold_newlines_quotes_and_commas_and_lines_are_still_counted(
    written: Callable[..., Path],
) -> None:
    content = 'text,label\r\n"one\r\n""two"", three\r\n\r\nfour",a\r\n\r\nfive,b\r\nsix\r\n'
    path = written(content)
    with pytest.raises(BadFileError, match=r"texts\.csv, line 8: 1 fields where the first line names 2"):
        read_rows(path)
    first, second = read_rows(written(content.removesuffix("six\r\n")))
    assert first.text == 'one\r\n"two", three\r\n\r\nfour'
    assert (first.place, second.place) == ("line 2", "line 7")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(str.strip),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_csv_writes_is_read_back(tmp_path: Path, texts: list[str]) -> None:
    path = tmp_path / "any.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "text"])
        writer.writerows((index, text) for index, text in enumerate(texts))
    assert [row.text for row in read_rows(path)] == texts


def test_a_field_may_be_larger_than_pythons_limit_which_is_left_as_it_was(
    written: Callable[..., Path],
) -> None:
    long = "word " * 50_000
    limit = csv.field_size_limit()
    rows = read_rows(written(f"text,label\n{long}z,a\nshort,b\n"))
    assert len(rows[0].text) == 250_001
    assert csv.field_size_limit() == limit
    with pytest.raises(BadFileError):
        read_rows(written(f"text,label\n{long},a,b\n"))
    assert csv.field_size_limit() == limit


def test_a_byte_order_mark_and_columns_of_other_names_do_not_matter(written: Callable[..., Path]) -> None:
    rows = read_rows(written("\ufeffid, label ,text\n7,a,one\n8, b ,two\n"))
    assert [(row.text, row.label, row.split) for row in rows] == [("one", "a", ""), ("two", "b", "")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "texts.csv is empty: its first line must name the columns text and label"),
        (" \n\n", "texts.csv is empty: its first line must name the columns text and label"),
        ("text,label\n", "texts.csv is empty: it has no row beside its columns' names"),
        ("texts,label\na,b\n", "texts.csv, line 1: there is no column 'text' (did you mean 'texts'?)"),
        ("text,class\na,b\n", "line 1: there is no column 'label'; the columns are 'text', 'class'"),
        ("\n\ntext\na\n", "texts.csv, line 3: there is no column 'label'"),
        ("text;label\na;b\n", "the columns are 'text;label'; fields must be separated by commas"),
        ("text,label,text\na,b,c\n", "line 1: the column 'text' is there 2 times"),
        ("text,label\none,a\n  ,b\n", "texts.csv, line 3: the text is empty"),
        ("text,label\none,a\ntwo,\n", "texts.csv, line 3: the label is missing"),
        ("text,label\n\none,a\ntwo, \n", "texts.csv, line 4: the label is missing"),
        ("text,label\none,a\ntwo,b,c\n", "line 3: 3 fields where the first line names 2 columns"),
        ("text,label\none,a\ntwo\n", "line 3: 1 fields where the first line names 2 columns"),
        ('text,label\none,a\n"two,b\nthree,c\n', "texts.csv, line 3: unexpected end of data"),
        ('text,label\none,a\n"two" 2,b\n', "texts.csv, line 3: ',' expected after '\"'"),
        (b"text,label\none,a\ncaf\xe9,b\n", "texts.csv, line 3: byte 0xe9 is not UTF-8"),
        ("text,label\none,a\n".encode("utf-16"), "texts.csv, line 1: byte 0xff is not UTF-8"),
        ("text,label,split\none,a,train\ntwo,b,dev\n", "line 3: split must be train, validation or test"),
        ("text,label,split\none,a,trian\n", "got 'trian' (did you mean 'train'?)"),
        ("text,label,split\none,a,\n", "line 2: split must be train, validation or test, got ''"),
        (f"text,label\na,{'long ' * 50}\n", "texts.csv, line 2: a label of 249 characters (at most 200)"),
    ],
)
def test_a_csv_file_that_cannot_be_read_says_why_and_on_which_line(
    content: str | bytes, said: str, written: Callable[..., Path]
) -> None:
    path = written(content)
    with pytest.raises(BadFileError) as refused:
        read_rows(path)
    assert said in str(refused.value)
    assert check(task(path)) == str(refused.value)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text": ["a", "b"], "class": [0, 1]}, "texts.parquet: there is no column 'label'"),
        ({"text": ["a", "b", ""], "label": [0, 1, 1]}, "texts.parquet, row 3: the text is empty"),
        ({"text": ["a", None], "label": [0, 1]}, "texts.parquet, row 2: the text is empty"),
        ({"text": ["a", "b"], "label": [0, None]}, "texts.parquet, row 2: the label is missing"),
        ({"text": [3, 5], "label": [0, 1]}, "row 1: the text must be text, got int 3"),
        (
            {"text": ["a", "b"], "label": [0.0, 1.5]},
            "row 1: a label must be text or a whole number, got float",
        ),
        ({"text": ["a"], "label": ["x"], "split": ["exam"]}, "row 1: split must be train, validation or"),
        ({"text": ["a", "b"], "label": ["x", "y"], "split": ["test", None]}, "row 2: split must be"),
        ({"text": [], "label": []}, "texts.parquet is empty: it has no row"),
    ],
)
def test_a_parquet_file_that_cannot_be_used_says_why_and_in_which_row(
    columns: dict[str, list[object]], said: str, parquet: Callable[..., Path]
) -> None:
    with pytest.raises(BadFileError) as refused:
        read_rows(parquet(**columns))
    assert said in str(refused.value)


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty"), (b"text,label\n", "is not a Parquet file")])
def test_what_is_called_parquet_and_is_none_is_refused(
    content: bytes, said: str, written: Callable[..., Path]
) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(BadFileError, match=f"texts.parquet {said}"):
        read_rows(written(content, "texts.parquet"))


def test_text_in_parquet_that_is_not_utf_8_is_refused_with_its_row(tmp_path: Path) -> None:
    pyarrow: Any = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    # Arrow's text is bytes that nobody has checked.
    places = pyarrow.array([0, 2, 6], pyarrow.int32()).buffers()[1]
    buffers = [None, places, pyarrow.py_buffer(b"okcaf\xe9")]
    text = pyarrow.Array.from_buffers(pyarrow.string(), 2, buffers)
    files.write_table(pyarrow.table({"text": text, "label": [0, 1]}), tmp_path / "texts.parquet")
    with pytest.raises(BadFileError, match=r"texts\.parquet, row 2: the text is not UTF-8"):
        read_rows(tmp_path / "texts.parquet")


def test_a_damaged_parquet_file_is_refused(parquet: Callable[..., Path]) -> None:
    path = parquet(text=[f"text number {number}" for number in range(997)], label=[0] * 997)
    content = path.read_bytes()
    path.write_bytes(content[:40] + bytes(101) + content[141:])
    with pytest.raises(BadFileError, match=r"texts\.parquet is not a Parquet file that can be read"):
        read_rows(path)


def test_without_pyarrow_parquet_says_what_to_install_and_csv_is_read_all_the_same(
    written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled_file.importlib.util, "find_spec", lambda name: None)
    assert len(read_rows(written(GOOD))) == 3
    with pytest.raises(DataMissing, match=r"pyarrow, which is not installed: pip install attnbench\[data\]"):
        read_rows(written(b"", "texts.parquet"))


def test_a_file_that_is_not_there_is_a_folder_or_has_another_suffix_is_refused(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    for path in (tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(DataMissing, match=f"there is no file {path}"):
            read_rows(path)
    with pytest.raises(BadFileError, match=r"texts\.tsv is neither .* must end in \.csv or \.parquet"):
        read_rows(written(GOOD, "texts.tsv"))
    assert len(read_rows(written(GOOD, "texts.CSV"))) == 3


def test_reading_imports_no_pandas(written: Callable[..., Path]) -> None:
    script = (
        "import sys; from pathlib import Path; from suites.tasks.labelled_file import read_rows\n"
        f"read_rows(Path({str(written(GOOD))!r}))\n"
        "assert not {'pandas', 'pyarrow', 'torch', 'keras', 'datasets', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
