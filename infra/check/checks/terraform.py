"""The Terraform module, read without a provider: blocks and expressions as text."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hcl2

Json = dict[str, Any]


@dataclass
class Module:
    """Blocks by address. A whole expression is its text; a string with `${…}` is a string."""

    variables: dict[str, Json] = field(default_factory=dict)
    locals: Json = field(default_factory=dict)
    outputs: dict[str, Json] = field(default_factory=dict)
    resources: dict[str, Json] = field(default_factory=dict)
    data: dict[str, Json] = field(default_factory=dict)
    dashboard: str = ""

    def statements(self, document: str) -> list[tuple[str | None, Json]]:
        """The statements of a policy document, each with the `for_each` that it stands under."""
        block = self.data[f"aws_iam_policy_document.{document}"]
        found: list[tuple[str | None, Json]] = [(None, statement) for statement in block.get("statement", [])]
        for dynamic in block.get("dynamic", []):
            found.append((dynamic["statement"]["for_each"], dynamic["statement"]["content"][0]))
        return found


def load(folder: Path) -> Module:
    """Reads all files of the module."""
    module = Module(dashboard=(folder / "dashboard.json").read_text())
    for path in sorted(folder.glob("*.tf")):
        with path.open() as file:
            parsed = _clean(hcl2.load(file))
        for block in parsed.get("locals", []):
            module.locals |= block
        for kind, into in (("variable", module.variables), ("output", module.outputs)):
            for block in parsed.get(kind, []):
                into |= block
        for kind, into in (("resource", module.resources), ("data", module.data)):
            for block in parsed.get(kind, []):
                for type_name, named in block.items():
                    into |= {f"{type_name}.{name}": body for name, body in named.items()}
    return module


def format_problems(folder: Path) -> list[str]:
    """What `terraform fmt` would change; without a terraform, what every file must have."""
    problems = []
    for path in sorted(folder.glob("*.tf")):
        text = path.read_text()
        if "\t" in text or re.search(r" +$", text, re.MULTILINE) or not text.endswith("}\n"):
            problems.append(f"{path.name}: has tabs, blanks at the end of a line, or no line end at its end")
    terraform = shutil.which("terraform")
    if terraform:
        run = subprocess.run(
            [terraform, f"-chdir={folder}", "fmt", "-check"], capture_output=True, text=True, check=False
        )
        problems += [f"{name}: not as `terraform fmt` writes it" for name in run.stdout.split()]
    return problems


def _clean(value: Any) -> Any:
    """Without the parser's own members, quotes and outer `${…}`."""
    match value:
        case dict():
            return {_clean(key): _clean(inner) for key, inner in value.items() if not key.startswith("__")}
        case list():
            return [_clean(inner) for inner in value]
        case str() if len(value) > 1 and value[0] == value[-1] == '"':
            return value[1:-1].replace('\\"', '"')
        case str() if value.startswith("${") and value.endswith("}"):
            return value[2:-1]
    return value
