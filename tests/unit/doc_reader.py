"""Somebody who reads a page of docs/ and does what it says: see `doc_pages` for what a block is."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from doc_pages import Block, PageError, before, blocks


class Reader:
    """Somebody who does all that a page says, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tools = folder.parent / f"{folder.name}-tools"
        self._site = folder.parent / f"{folder.name}-site"
        self._printed: str | None = None
        for place in (self.folder, self._tools, self._site):
            place.mkdir()
        for name, module in (("attnbench", "-P -m bench.cli"), ("python", ""), ("pip", "-m pip")):
            script = self._tools / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n')
            script.chmod(0o755)

    @property
    def _environment(self) -> dict[str, str]:
        """Packages are installed beside this environment, from what it has: nothing is fetched."""
        return {
            **os.environ,
            "PATH": os.pathsep.join((str(self._tools), os.environ["PATH"])),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(self._site), os.environ.get("PYTHONPATH", "")))),
            "PIP_TARGET": str(self._site),
            "PIP_UPGRADE": "1",
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_QUIET": "1",
            "COLUMNS": "110",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{
                f"GIT_{who}_{what}": f"{who}@localhost"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        }

    def read(self, page: Path) -> None:
        """All of it; raises PageError where something is not as it says."""
        for earlier in before(page):
            for block in blocks(earlier):
                if block.role == "file":
                    self._write(block)
        for block in blocks(page):
            {"file": self._write, "run": self._run, "output": self._compare, "shown": _pass}[block.role](
                block
            )

    def _write(self, block: Block) -> None:
        path = self.folder / str(block.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)

    def _run(self, block: Block) -> None:
        expected = int(block.said("exit code") or 0)
        script = block.said("tested as") or block.text
        command = ["bash", "-euo", "pipefail", "-c", script]
        if block.language == "python":
            command = [str(self._tools / "python"), "-c", script]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != expected:
            raise PageError(
                f"{block.where} ended with {done.returncode}, not {expected}:\n{script}\n"
                f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        self._printed = done.stdout + done.stderr

    def _compare(self, block: Block) -> None:
        if self._printed is None:
            raise PageError(f"{block.where}: output of nothing")
        printed = [" ".join(line.split()) for line in self._printed.splitlines()]
        for line in block.text.splitlines():
            pattern = ".*".join(re.escape(" ".join(part.split())) for part in line.split("…"))
            pattern = pattern.replace(r"\ .*", ".*").replace(r".*\ ", ".*")
            if not any(re.fullmatch(rf"\s*{pattern}\s*", one) for one in printed):
                raise PageError(f"{block.where}: {line!r} was not printed, but\n{self._printed[-3000:]}")


def _pass(_: Block) -> None:
    """Shown only, for the reason it gives."""
