"""What crosses between the one who runs and a node, without a cluster between them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from engine import TASK, make_job

from bench import wire
from bench.executors import carried, on_node
from bench.executors.on_node import Found, inherited
from bench.executors.protocol import ExecutorError, opened
from bench.launch import Outcome
from bench.worker import Answer

LOGGED = Path(__file__).parent.parent / "standin" / "logged.py"


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "a//b", "a/../b", ".x", "a/.x", "", "a\\b", "a\0b", "a b", "a/b/", "~/x", "-x"],
)
def test_a_name_that_would_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="may not be called"):
        carried.write(tmp_path, name, b"x")
    assert not list(tmp_path.rglob("*"))


def test_files_arrive_as_they_were_and_only_once(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    content = bytes(range(256)) * 3
    carried.write(here, "task-1a/linear@torch-2b/seed-0.safetensors", content)
    Path(here, "half.json.77.new").write_bytes(b"unfinished")
    now = carried.seen(here)
    for name, sent in carried.read(here, carried.newer(now, {})):
        carried.write(there, *carried.opened(carried.frame(carried.FILE, sent, name))[1:])
    found = [path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()]
    assert found == ["task-1a/linear@torch-2b/seed-0.safetensors"]
    assert Path(there, found[0]).read_bytes() == content
    assert carried.newer(carried.seen(here), now) == []


def test_a_description_arrives_after_the_weights_that_it_makes_count(tmp_path: Path) -> None:
    for order, name in enumerate(("z.safetensors", "a.json")):
        carried.write(tmp_path, name, b"x")
        os.utime(tmp_path / name, ns=(order, order))
    assert carried.newer(carried.seen(tmp_path), {}) == ["z.safetensors", "a.json"]


def test_a_worker_on_a_node_inherits_nothing_that_changes_figures() -> None:
    own = {
        "PATH": "/bin",
        "HOME": "/root",
        "OMP_NUM_THREADS": "7",
        "OMP_PROC_BIND": "true",
        "KMP_AFFINITY": "compact",
        "MALLOC_ARENA_MAX": "1",
        "LD_PRELOAD": "other_malloc.so",
        "RAY_JOB_ID": "1",
        "TF_NUM_INTRAOP_THREADS": "7",
        "KERAS_BACKEND": "jax",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }
    assert inherited(own, {"KERAS_BACKEND": "tensorflow"}) == {
        "PATH": "/bin",
        "HOME": "/root",
        "KERAS_BACKEND": "tensorflow",
    }


def test_a_node_tells_what_it_is() -> None:
    found = wire.decode(on_node.look(3, {"KERAS_BACKEND": "jax"}), Found)
    assert found.environment.threads == 3
    assert found.environment.versions["keras backend"] == "jax"
    assert found.machine


def test_a_job_on_a_node_answers_with_its_files_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_node.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(on_node, "_undo_niceness", lambda: None)
    job = make_job("job", {"a/0": ["steady"]})
    steps = (replace(job.steps[0], task=TASK),)
    environment = {"STANDIN_LOG": str(tmp_path / "log")}
    job = replace(job, target=f"{LOGGED}:measure", steps=steps, environment=environment)
    on_node.take("token", carried.frame(carried.FILE, b"earlier", "digits/0.json"))
    told = [carried.opened(message) for message in on_node.carry_out(wire.encode(job), "token", {})]
    assert [kind for kind, _, _ in told] == [carried.FILE, carried.ANSWER, carried.OUTCOME]
    assert told[0][1:] == ("digits/0-steady0@none.json", b"trained 0")
    answer = wire.decode(told[1][2], Answer)
    assert answer.measurements[0].details["found"] == "0.json=earlier"
    assert wire.decode(told[2][2], Outcome).ending == "done"
    assert json.loads((tmp_path / "log").read_text().splitlines()[0])["foreign"]["OMP_NUM_THREADS"] == "1"
    on_node.tidy("token")
    assert not (tmp_path / "attnbench-token").exists()


def test_an_executor_that_there_is_not_is_refused_in_words() -> None:
    with pytest.raises(ExecutorError, match="there are local and ray"), opened("slurm"):
        pass
    with pytest.raises(ExecutorError, match="give --executor ray"), opened("local", "10.0.0.1:6379"):
        pass
