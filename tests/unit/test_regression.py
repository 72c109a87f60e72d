"""What asv follows: figures read from rows worked out by hand, and the reason wherever there is none."""

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asv_runner", reason="pip install 'attnbench[regression]'")

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "suites" / "regression"


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """The folder as asv imports it, by its basename; the installed wheel does not hold it."""
    spec = importlib.util.spec_from_file_location("regression", FOLDER / "__init__.py")
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["regression"] = package
    spec.loader.exec_module(package)
    yield importlib.import_module("regression.engine")
    for name in [name for name in sys.modules if name.split(".")[0] == "regression"]:
        del sys.modules[name]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """asv's working directory of one commit."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def row(implementation: str = "linear@torch", **fields: Any) -> dict[str, Any]:
    default = {"suite": "throughput", "metric": "seconds", "subject": "layer/forward/512", "launch": 0}
    return {**default, "implementation": implementation, "role": "candidate", "status": "ok", "values": [1.0],
            "reason": "", **fields}  # fmt: skip


def told(here: Path, *rows: dict[str, Any], code: int = 0, said: str = "") -> None:
    """A run as the command leaves it: a line a step."""
    place = here / "speed" / "torch"
    (place / "run").mkdir(parents=True, exist_ok=True)
    (place / "told.json").write_text(json.dumps({"exit": code, "said": said}))
    lines = (json.dumps({"job": "j", "step": "s", "measurements": [each]}) for each in rows)
    (place / "run" / "measurements.jsonl").write_text("".join(line + "\n" for line in lines))


def test_a_ratio_is_of_the_launches_that_both_were_in(engine: Any, here: Path) -> None:
    told(
        here,
        row("softmax@torch", role="reference", values=[1.0, 2.0, 4.0]),
        row("softmax@torch", role="control", values=[9.0, 9.0, 9.0]),
        row("softmax@torch", role="reference", launch=1, values=[1.0]),
        row("softmax@torch", role="reference", launch=2, values=[1.0]),
        row(values=[2.0, 4.0, 80.0]),
        row(launch=1, values=[8.0]),
        row(launch=0, subject="layer/train_step/512", values=[5.0]),
    )
    # Medians of 2 and 8 in the two launches; the third holds the reference alone.
    assert engine.ratio("speed", "linear@torch", "layer/forward/512") == pytest.approx(4.0)


def test_accuracy_is_over_seeds_and_under_attack_over_all_attacks_or_none(engine: Any, here: Path) -> None:
    scores = importlib.import_module("regression.scores")
    attacked = {"suite": "robustness", "metric": "robust_accuracy"}
    square, *others = (f"{scores.TASK}/{attack}" for attack in scores.ATTACKS)
    learnt = [
        row(suite="accuracy", metric="accuracy", subject=scores.TASK, seed=seed, values=values)
        for seed, values in enumerate(([1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]))
    ]
    broken = [row(**attacked, subject=subject, values=[0.0, 0.0]) for subject in others]
    told(here, *learnt, row(**attacked, subject=square, values=[1.0, 0.5]), *broken)
    followed = scores.Scores()
    assert followed.track_accuracy_lost("speed", "linear@torch") == pytest.approx(0.25)
    assert followed.track_robust_accuracy_lost("speed", "linear@torch") == pytest.approx(0.75)
    doubted = row(**attacked, subject=square, status="inconclusive", values=[], reason="above chance")
    told(here, doubted, *broken)
    with pytest.raises(NotImplementedError, match="above chance"):
        followed.track_robust_accuracy_lost("speed", "linear@torch")


def test_what_failed_is_failed_and_what_cannot_be_is_not(engine: Any, here: Path) -> None:
    told(
        here,
        row(status="failed", values=[], reason="RuntimeError: a leak"),
        row(subject="layer/decode/512", status="unsupported", values=[], reason="keeps no state"),
    )
    with pytest.raises(RuntimeError, match="a leak"):
        engine.values(engine.rows("speed", "linear@torch", "throughput", "seconds", "layer/forward/512"))
    with pytest.raises(engine.SkipNotImplemented, match="unsupported: keeps no state"):
        engine.values(engine.rows("speed", "linear@torch", "throughput", "seconds", "layer/decode/512"))


@pytest.mark.parametrize(
    ("code", "raised"),
    [(2, NotImplementedError), (3, NotImplementedError), (1, RuntimeError), (-9, RuntimeError)],
)
def test_no_row_is_never_a_number(engine: Any, here: Path, code: int, raised: type[Exception]) -> None:
    told(here, code=code, said="No such option: --lengths")
    with pytest.raises(raised, match="No such option: --lengths"):
        engine.rows("speed", "linear@torch", "throughput")


def test_the_reason_of_what_is_not_applicable_is_told(
    engine: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    @engine.reasoned
    def track_joules(_: str) -> float:
        engine.skipped("no counter")
        return 0.0

    with pytest.raises(NotImplementedError):
        track_joules("")
    assert capsys.readouterr().err == "unsupported: no counter\n"


def test_a_commit_is_asked_for_what_it_knows(
    engine: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    listed = {
        "suites": [{"name": "throughput"}],
        "variants": [{"name": "sdpa", "targets": {"torch": "m:Sdpa"}}, {"name": "linear", "targets": {}}],
    }

    def attnbench(*arguments: str) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        out = json.dumps(listed[arguments[1]]) if arguments[0] == "list" else ""
        return subprocess.CompletedProcess(arguments, 0, out, "")

    monkeypatch.setattr(engine, "attnbench", attnbench)
    engine.ask(
        "speed", ("throughput", "robustness"), ("--seed", "0"), ("sdpa@torch", "linear@torch", "linear@keras")
    )
    (run,) = asked[2:]
    assert run == ("run", "sdpa", "--on", "torch", "--suite", "throughput", "--seed", "0",
                   "--out", str(Path("speed/torch/run")), "--quiet")  # fmt: skip
    with pytest.raises(NotImplementedError, match="none of throughput, robustness, linear on keras"):
        engine.rows("speed", "linear@keras", "throughput")


def test_a_commit_that_cannot_be_asked_has_failed(
    engine: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = subprocess.CompletedProcess((), 1, "", "ImportError: bench")
    monkeypatch.setattr(engine, "attnbench", lambda *_: broken)
    with pytest.raises(RuntimeError, match="ImportError: bench"):
        engine.ask("speed", ("throughput",), (), ("sdpa@torch",))


def test_nothing_followed_comes_from_the_working_tree() -> None:
    """asv puts the folder's parent on the path, where `import memory` would find this tree's."""
    beside = {path.stem for path in (ROOT / "suites").iterdir()} | {"suites", "implementations", "reports"}
    for path in FOLDER.glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), flags=re.MULTILINE)
        assert imported or path.stem == "__init__"
        assert not beside & set(imported), path.name


def test_asv_installs_the_releases_that_are_pinned() -> None:
    lines = (ROOT / "asv.conf.json").read_text().splitlines()
    conf = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and line[0] != "#"
    )
    asked = conf["matrix"]["req"]
    assert asked, "the environment's name tells which releases a series was measured with"
    for name, releases in asked.items():
        assert releases == [pins[name.removeprefix("pip+").replace("_", "-")]], name
    assert conf["benchmark_dir"] == "suites/regression"
