"""`attnbench history` on made-up nights: the planted step is found and told."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "standin"))
from nightly import MadeUpNights, commit

from bench.registry import UnknownNameError
from bench.store import StoreError
from reports.history.page import write_history
from reports.history.reading import CACHE, read_table
from reports.history.series import find_runs, read_series

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nights")
    made = MadeUpNights(
        variants=("linear", "performer", HOSTILE), steps={("linear", 35): 1.05}, upgraded=50, accuracy=True
    )
    made.write(folder)
    return folder


def test_the_planted_step_is_found_with_its_commits_and_nothing_else(nights: Path, tmp_path: Path) -> None:
    found = write_history([nights], tmp_path)
    assert {change["implementation"] for change in found["changes"]} == {"linear@torch"}
    assert len(found["changes"]) == 2
    for change in found["changes"]:
        assert (change["kind"], change["after_commit"], change["commit"]) == ("worse", commit(34), commit(35))
        assert change["change"] == pytest.approx(0.05, abs=0.006)
    assert [one["what"] for one in found["environments"]] == ["versions.torch: 2.12.0 → 2.13.0"]
    assert json.loads((tmp_path / "history.json").read_text())["nights"] == 60


def test_a_reference_that_slows_is_told_once_and_not_as_everything_else_getting_faster(
    tmp_path: Path,
) -> None:
    variants = ("linear", "performer", "window", "sparse", "mixer", "pooling")
    steps = {(variant, 35): 1 / 1.05 for variant in variants}
    made = MadeUpNights(nights=45, variants=variants, subjects=("layer/forward/512",), steps=steps)
    made.write(tmp_path / "runs")
    (change,) = write_history([tmp_path / "runs"], tmp_path)["changes"]
    assert (change["kind"], change["implementation"]) == ("reference", "6 ratios to the reference@torch")
    assert change["change"] == pytest.approx(-0.05, abs=0.006)
    assert change["commit"] == commit(35)
    assert "6 ratios to the reference" in (tmp_path / "index.html").read_text()


def test_what_is_told_of_a_variant_does_not_depend_on_which_others_are_asked_for(nights: Path) -> None:
    runs = find_runs([nights])
    some = read_series(runs, ["seconds"], ["linear"])
    assert some == [one for one in read_series(runs, ["seconds"], []) if one in some]
    assert {one.implementation for one in some} == {"linear@torch"}


def test_one_launch_astray_of_three_does_not_move_a_night(tmp_path: Path) -> None:
    paths = MadeUpNights(nights=1, variants=("linear",), launches=3).write(tmp_path)
    (whole,) = read_series(find_runs([tmp_path]), ["seconds"], ["linear"])[:1]
    record = paths[0] / "measurements.jsonl"
    lines = [json.loads(line) for line in record.read_bytes().splitlines()]
    for line in lines:
        for row in line["measurements"]:
            if row["launch"] == 1 and row["implementation"] == "linear@torch":
                row["values"] = [10 * value for value in row["values"]]
    record.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (astray,) = read_series(find_runs([tmp_path]), ["seconds"], ["linear"])[:1]
    assert astray.nights[0].value == pytest.approx(whole.nights[0].value, rel=0.01)


def test_series_are_ratios_to_the_reference_of_the_launch_and_scores_are_themselves(nights: Path) -> None:
    series = {(one.implementation, one.subject): one for one in read_series(find_runs([nights]), [], [])}
    ratio = series["performer@torch", "layer/forward/512"]
    assert (ratio.unit, ratio.paired) == ("ratio", True)
    assert all(night.value == pytest.approx(0.5, abs=0.03) for night in ratio.nights)
    alone = series["softmax@torch", "layer/forward/512"]
    assert (alone.unit, alone.paired) == ("s", False)
    score = series["linear@torch", "reviews"]
    assert (score.unit, score.paired, len(score.nights)) == ("fraction", False, 60)


def test_the_cache_says_what_the_record_says_and_never_outlives_it(nights: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(nights / "night-003", run)
    (run / CACHE).unlink(missing_ok=True)
    fresh = read_table(run)
    assert (run / CACHE).is_file()
    assert read_table(run).equals(fresh)
    record = run / "measurements.jsonl"
    record.write_bytes(b"".join(record.read_bytes().splitlines(keepends=True)[:1]))
    assert 0 < len(read_table(run)) < len(fresh)
    (run / CACHE).write_bytes(b"torn")
    assert 0 < len(read_table(run)) < len(fresh)


def test_a_torn_line_is_left_out_with_a_warning(nights: Path, tmp_path: Path) -> None:
    shutil.copytree(nights / "night-003", tmp_path / "run")
    record = tmp_path / "run" / "measurements.jsonl"
    whole = len(read_table(tmp_path / "run"))
    record.write_bytes(record.read_bytes()[:-20])
    with pytest.warns(UserWarning, match="1 torn line"):
        assert 0 < len(read_table(tmp_path / "run")) < whole


def test_another_machine_is_another_series(nights: Path, tmp_path: Path) -> None:
    shutil.copytree(nights, tmp_path / "runs")
    for night in range(0, 60, 2):
        manifest = tmp_path / "runs" / f"night-{night:03d}" / "run.json"
        manifest.write_text(manifest.read_text().replace("Made-up processor", "Other processor"))
    series = read_series(find_runs([tmp_path / "runs"]), ["seconds"], ["linear"])
    assert len(series) == 4
    assert {len(one.nights) for one in series} == {30}


def test_names_are_text_on_the_page(nights: Path, tmp_path: Path) -> None:
    write_history([nights], tmp_path, variants=[HOSTILE])
    page = (tmp_path / "index.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_what_no_run_holds_is_refused_with_what_there_is(nights: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'linear'"):
        write_history([nights], tmp_path, variants=["liner"])
    with pytest.raises(UnknownNameError, match="known: accuracy, seconds"):
        write_history([nights], tmp_path, metrics=["second"])
    with pytest.raises(StoreError, match="no run in"):
        write_history([tmp_path / "nowhere"], tmp_path)


def test_the_command_prints_a_table_of_80_columns(nights: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "bench.cli", "history", str(nights), "--metric", "seconds"]
    command += ["--variant", "linear", "--out", str(tmp_path)]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "worse" in done.stdout and "linear@torch" in done.stdout and "0022002200.." in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    nowhere = subprocess.run(
        [*command[:5], str(tmp_path / "no")], capture_output=True, text=True, check=False
    )
    assert nowhere.returncode == 2
    assert "no run in" in nowhere.stderr
