"""Content keys: what an implementation stands on changes its key, and nothing else does."""

from dataclasses import replace
from pathlib import Path

import pytest
from engine import TASK, make_job

from bench.environment import capture
from bench.gate.asking import Told
from bench.gate.keys import Keys, Sources, meaning
from bench.gate.sides import Side

FILES = {
    "package/__init__.py": "",
    "package/variant.py": "from package.layer import Layer\n\n\nclass Variant(Layer):\n    width = 3\n",
    "package/layer.py": "from . import norms\n\n\nclass Layer:\n    norm = norms.norm\n",
    "package/norms.py": "def norm(x):\n    return x\n",
    "package/other.py": "OTHER = 1\n",
    "package/table.csv": "1,2\n",
    "top.py": "import package.variant\n",
}


def sources(folder: Path, **changes: str) -> Sources:
    for name, text in {
        **FILES,
        **{name.replace("__", "/") + ".py": text for name, text in changes.items()},
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return Sources((str(folder),))


TARGET = ["package.variant:Variant"]


def test_the_closure_holds_what_is_imported_and_the_data_beside_it(tmp_path: Path) -> None:
    names = [name for name, _ in sources(tmp_path).closure(TARGET)]
    assert names == ["package", "package table.csv", "package.layer", "package.norms", "package.variant"]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"package__norms": "def norm(x):\n    return 2 * x\n"}, False),
        ({"package__variant": FILES["package/variant.py"].replace("3", "5")}, False),
        ({"package__other": "OTHER = 2\n"}, True),
        (
            {"package__norms": '"""Norms."""\n\n\ndef norm(x):\n    """It."""\n    # why\n    return (x)\n'},
            True,
        ),
        ({"package__norms": 'def norm(x):\n    """1."""\n    return norm.__doc__\n'}, False),
    ],
)
def test_code_that_runs_counts_and_words_about_it_do_not(
    tmp_path: Path, changes: dict[str, str], same: bool
) -> None:
    before = sources(tmp_path / "one").key(TARGET)
    assert (sources(tmp_path / "two", **changes).key(TARGET) == before) is same


def test_other_files_count_by_their_bytes(tmp_path: Path) -> None:
    before = sources(tmp_path / "one").key(TARGET)
    after = sources(tmp_path / "two")
    (tmp_path / "two" / "package" / "table.csv").write_text("1,3\n")
    assert after.key(TARGET) != before


def test_a_name_that_is_computed_could_be_any_module_of_the_package(tmp_path: Path) -> None:
    wild = "import importlib\n\n\ndef norm(name):\n    return importlib.import_module(name)\n"
    names = [name for name, _ in sources(tmp_path, package__norms=wild).closure(TARGET)]
    assert "package.other" in names


def test_names_in_texts_are_followed(tmp_path: Path) -> None:
    told = sources(tmp_path, package__norms='norm = "package.other:OTHER"\n')
    assert "package.other" in [name for name, _ in told.closure(TARGET)]


def test_a_users_file_counts_with_its_neighbours(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kernel.py").write_text("import neighbour\nimport package.norms\n")
    (mine / "neighbour.py").write_text("x = 1\n")
    told = sources(tmp_path / "code")
    target = [f"{mine / 'kernel.py'}:attend"]
    before = told.key(target)
    assert [name for name, _ in told.closure(target)] == [
        "beside neighbour",
        "file kernel.py",
        "package",
        "package table.csv",
        "package.norms",
    ]
    (mine / "neighbour.py").write_text("x = 2\n")
    assert sources(tmp_path / "code").key(target) != before


def test_the_first_folder_that_has_a_package_has_it_whole(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "package").mkdir(parents=True)
        (tmp_path / name / "package" / "__init__.py").write_text("")
    (tmp_path / "two" / "package" / "only_there.py").write_text("")
    told = Sources((str(tmp_path / "one"), str(tmp_path / "two")))
    assert told.place("package") == tmp_path / "one" / "package" / "__init__.py"
    assert told.place("package.only_there") is None


def test_what_cannot_be_parsed_counts_as_it_stands() -> None:
    assert meaning(b"def (") == b"def ("
    assert meaning(b"x = 1  # one") == meaning(b"x=1")


def key_of_a_task(folder: Path, target: str) -> str:
    """Of work on a task that stands at `target`, in an engine and code under the folder."""
    environment = capture(threads=1, backend="tensorflow")
    told = Told(variants=(), architectures=(), environment=environment, engine="", ours="")
    side = Side(
        name="baseline",
        title="",
        python="",
        engine=str(folder / "engine"),
        folders=(str(folder / "code"),),
        tree="",
        told=told,
    )
    job = make_job("job", {"one": ["steady"]})
    step = replace(job.steps[0], task=replace(TASK, target=target))
    return Keys(side).of(job, step, step.arms[0])


def test_a_packages_own_task_counts_and_a_built_in_one_is_the_engines(tmp_path: Path) -> None:
    for name in ("engine/suites", "code/suites", "code/mine"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "task.py").write_text("def load(task): ...\n")
    before = {target: key_of_a_task(tmp_path, target) for target in ("mine.task:load", "suites.task:load")}
    for name in ("code/suites", "code/mine"):
        (tmp_path / name / "task.py").write_text("def load(task): return task\n")
    after = {target: key_of_a_task(tmp_path, target) for target in before}
    assert after["mine.task:load"] != before["mine.task:load"]
    assert after["suites.task:load"] == before["suites.task:load"]
