"""Targets by module or by file, and what a newcomer reads when one is wrong."""

from pathlib import Path

import pytest

from bench.loading import LoadError, load


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("SCALE = 3\n")
    (tmp_path / "mine.py").write_text(
        "import neighbour_of_mine\ndef attend(): return neighbour_of_mine.SCALE\n"
    )
    found = load(f"{tmp_path / 'mine.py'}:attend")
    assert callable(found) and found() == 3


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_colon", "must have the form"),
        ("missing.py:attend", "there is no file missing.py"),
        ("no_such_package.kernels:attend", "there is no module"),
        ("bench.loading:laod", r"did you mean 'load'\?"),
    ],
)
def test_a_wrong_target_says_what_was_wrong(target: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        load(target)


def test_a_module_that_fails_to_import_another_says_so_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load("needs_more:attend")
