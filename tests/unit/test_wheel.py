"""What an installation brings: four packages and no fifth top-level name."""

from importlib.metadata import distribution

import pytest


def test_the_wheel_holds_the_four_packages_and_nothing_else() -> None:
    files = distribution("attnbench").files or []
    top = {file.parts[0] for file in files if not file.parts[0].startswith("..")}
    packages = {name for name in top if not name.endswith(".dist-info")}
    if not {"bench", "suites"} <= packages:
        pytest.skip("attnbench is installed in editable form here; tox tests the wheel")
    assert packages == {"bench", "implementations", "suites", "reports"}
    assert not [file for file in files if "regression" in file.parts or "tests" in file.parts]
    assert [file for file in files if file.name == "english_stopwords.txt"], "attacks need their stop words"
    assert [file for file in files if file.name == "page.html"], "the page's template must be in the wheel"
