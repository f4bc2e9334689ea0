"""flowship's binaries, run as a person would run them, and the environment that they need."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .console import INDENT, Console, DemoFailed, run

# What `infra/local/stack` tells about its servers.
STACK_VARIABLES = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "FLOWSHIP_ELASTICSEARCH_URLS",
)


@dataclass
class Tools:
    """Where the binaries are, and their variables."""

    console: Console
    repository: Path
    variables: dict[str, str]

    @property
    def binaries(self) -> Path:
        """What cargo built."""
        return self.repository / "target/release"

    @property
    def folder(self) -> Path:
        """The demo's own files."""
        return self.repository / "target/local/demo"

    def relative(self, path: Path) -> str:
        """As seen from the repository, where a person is."""
        return str(path.relative_to(self.repository))

    def write_env_file(self) -> Path:
        """A file to `source`, with which every command of the demo can be repeated."""
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.variables.items()]
        lines.append(f'export PATH={shlex.quote(str(self.binaries))}:"$PATH"')
        path = self.folder / "env"
        path.write_text("\n".join(lines) + "\n")
        return path

    def show(self, *command: str) -> None:
        """Runs a command and shows what it printed."""
        self.console.command(shlex.join(command))
        code, text = run(self._with_path(command), self._environment(), capture=True)
        for line in text.rstrip().splitlines():
            self.console.say(INDENT + line)
        self._expect_success(command, code)

    def follow(self, *command: str, hint: str) -> None:
        """Runs a command that shows its own progress."""
        self.console.command(shlex.join(command))
        code, _ = run(self._with_path(command), self._environment(), capture=False)
        self._expect_success(command, code, hint)

    def rows(self, *command: str, may_be_incomplete: bool = False) -> list[dict[str, Any]]:
        """Runs a command that prints a JSON object a line; nothing selected is no row."""
        code, text = run(self._with_path(command), self._environment(), capture=True)
        if code == 4:
            return []
        if not (may_be_incomplete and code == 3):
            self._expect_success(command, code, text.strip())
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def _with_path(self, command: tuple[str, ...]) -> list[str]:
        return [str(self.binaries / command[0]), *command[1:]]

    def _environment(self) -> dict[str, str]:
        return dict(os.environ) | self.variables

    @staticmethod
    def _expect_success(command: tuple[str, ...], code: int, hint: str = "") -> None:
        if code != 0:
            because = f": {hint}" if hint else ""
            raise DemoFailed(f"`{shlex.join(command)}` ended with exit code {code}{because}")
