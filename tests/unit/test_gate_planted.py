"""The gate on a scratch repository: real sides, real worker processes, figures that are written down."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gated import HERE, Repository, registry

from bench.gate.cells import Cell
from bench.gate.gating import GateRequest, gate
from bench.gate.result import GateResult
from bench.gate.sides import SideError, Source
from bench.schema import Request


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository(tmp_path / "repository")
    made.commit("the beginning")
    monkeypatch.chdir(made.folder)
    return made


def gated(
    tmp_path: Path, *suites: str, baseline: str = "HEAD", candidate: str = "", **more: object
) -> GateResult:
    asked = GateRequest(
        request=Request(
            variants=("softmax", "sliding_window"),
            frameworks=("torch",),
            suites=suites,
            profile="smoke",
            seed=3,
        ),
        sources={"baseline": Source(commit=baseline), "candidate": Source(commit=candidate)},
        margin=0.02,
        command="attnbench gate",
        turns=f"{HERE}:turns",
        **more,
    )
    scratch = tmp_path / f"scratch{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    return gate(asked, registry(), scratch, tmp_path / "kept", lambda line: None)


def words(result: GateResult, suite: str) -> dict[tuple[str, str], str]:
    return {(c.implementation, c.subject): c.shown for c in result.cells if c.suite == suite}


def measured(cells: tuple[Cell, ...]) -> Iterator[Cell]:
    return (cell for cell in cells if not cell.unchanged)


@pytest.mark.slow
def test_a_slower_variant_is_named_and_the_rest_is_not_measured(
    repository: Repository, tmp_path: Path
) -> None:
    repository.write("sliding_window", seconds=0.012)
    result = gated(tmp_path, "throughput", launches=6)
    found = {c.subject: c for c in measured(result.cells) if c.suite == "throughput"}
    assert {cell.implementation for cell in found.values()} == {"sliding_window@torch"}
    assert {cell.word for cell in found.values()} == {"worse"}
    assert all(cell.confirmed and cell.control is not None for cell in found.values())
    assert all(cell.low < 1.2 < cell.high for cell in found.values())
    assert words(result, "throughput")["softmax@torch", "layer/forward/17"] == "same"
    assert result.exit_code == 1
    assert "with changes" in result.titles["candidate"]


@pytest.mark.slow
def test_what_was_measured_once_is_not_measured_again(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("sliding_window", seconds=0.012, peak=1 << 25)
    first = gated(tmp_path, "throughput", "memory")
    monkeypatch.setattr("bench.launch.Launcher._start", lambda *_: pytest.fail("a worker was started"))
    again = gated(tmp_path, "throughput", "memory")
    assert again.cells == first.cells


@pytest.mark.slow
def test_documentation_layout_and_renamed_files_of_nobody_change_nothing(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = repository.package / "sliding_window.py"
    module.write_text(
        module.read_text().replace('"""A variant', '"""Another word for a variant') + "\n\n# end\n"
    )
    (repository.package / "unused.py").write_text("SECONDS = 3\n")
    monkeypatch.setattr("bench.launch.Launcher._start", lambda *_: pytest.fail("a worker was started"))
    result = gated(tmp_path)
    assert result.cells
    assert all(cell.unchanged and cell.word == "same" for cell in result.cells)
    assert result.exit_code == 0


@pytest.mark.slow
def test_memory_causality_and_accuracy_are_gated_between_commits(
    repository: Repository, tmp_path: Path
) -> None:
    repository.write("sliding_window", peak=int(1.05 * (1 << 24)), causal=False, right=0.7)
    after = repository.commit("three things at once")
    repository.write("sliding_window")
    result = gated(tmp_path, "memory", "accuracy", "certificate", baseline="HEAD~1", candidate=after)
    assert words(result, "memory")["sliding_window@torch", "layer/forward/37"] == "more"
    broken = next(c for c in result.cells if c.metric == "causality" and not c.unchanged)
    assert (broken.shown, broken.reason, broken.confirmed) == ("broken", "token 3 saw token 5", True)
    # This profile's one seed has no scatter: five more were taken, and six to confirm.
    lost = next(c for c in result.cells if c.suite == "accuracy" and not c.unchanged)
    assert (lost.implementation, lost.shown, lost.evidence) == ("sliding_window@torch", "worse", 6)
    assert "three things at once" in result.titles["candidate"]


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "reason"), [(-1, "exited with code 7"), (1000, "ValueError: as asked")])
def test_an_arm_that_fails_costs_its_own_cells(
    repository: Repository, tmp_path: Path, seconds: float, reason: str
) -> None:
    repository.write("sliding_window", seconds=seconds)
    repository.write("softmax", seconds=0.0101)
    result = gated(tmp_path, "throughput")
    failed = {
        c.subject: c for c in result.cells if c.implementation == "sliding_window@torch" and c.kind == "time"
    }
    assert {cell.word for cell in failed.values()} == {"not_measured"}
    assert all(cell.reason.startswith("candidate: ") and reason in cell.reason for cell in failed.values())
    assert words(result, "throughput")["softmax@torch", "layer/forward/37"] in ("same", "undecided")
    assert result.exit_code == 3


@pytest.mark.slow
def test_a_true_null_is_measured_when_asked_for_and_its_scatter_told(
    repository: Repository, tmp_path: Path
) -> None:
    result = gated(tmp_path, "throughput", again=True, launches=4)
    assert not any(cell.unchanged for cell in result.cells if cell.kind == "time")
    assert not result.words("worse")
    assert result.scatter == pytest.approx(0.006, rel=0.9)


def test_a_side_whose_catalogue_does_not_load_cannot_be_measured(
    repository: Repository, tmp_path: Path
) -> None:
    (repository.package / "catalog.py").write_text("from bench.schema import NothingLikeIt\n")
    with pytest.raises(SideError, match=r"(?s)candidate: .*NothingLikeIt"):
        gated(tmp_path, "throughput")


def test_a_variant_that_is_gone_is_not_fine_and_a_new_one_is_only_told(
    repository: Repository, tmp_path: Path
) -> None:
    catalog = repository.package / "catalog.py"
    catalog.write_text(catalog.read_text().replace("'sliding_window'", "'linear'"))
    (repository.package / "sliding_window.py").rename(repository.package / "linear.py")
    result = gated(tmp_path, "throughput")
    (gone,) = result.words("not_measured")
    assert (gone.implementation, gone.reason) == ("sliding_window@torch", "the candidate has none")
    assert result.exit_code == 3
