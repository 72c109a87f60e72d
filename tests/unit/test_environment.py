"""Where a run was measured: read, not guessed, and identified by what lasts."""

from dataclasses import replace

from bench.environment import capture, cpu_model, differences, identify


def test_the_same_machine_looked_at_twice_has_the_same_id() -> None:
    one, two = (capture(threads=2, backend="tensorflow") for _ in range(2))
    assert one.id == two.id
    assert replace(two, load_before=9.0, commit="another", dirty=True) != two
    assert identify(replace(two, load_before=9.0, commit="another", dirty=True)) == one.id


def test_another_release_of_torch_or_another_number_of_threads_is_another_environment() -> None:
    here = capture(threads=2, backend="tensorflow")
    other = replace(here, versions={**here.versions, "torch": "0.0.1"})
    assert identify(other) != here.id
    assert identify(replace(here, threads=1)) != here.id
    assert differences(here, replace(here, threads=1)) == ["threads: 2 / 1"]


def test_no_country_is_assumed() -> None:
    assert capture(threads=1, backend="tensorflow").country is None


def test_the_processor_is_named_as_the_kernel_names_it() -> None:
    assert cpu_model("processor : 0\nmodel name : A Chip 3000\nflags : none\n") == "A Chip 3000"
    assert cpu_model("no such line")
