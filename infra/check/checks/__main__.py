"""Runs all checks; one line each, then one line a problem."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import documents, faults, parity, sam, template, terraform


def main() -> int:
    """The exit code: whether there were problems."""
    parser = argparse.ArgumentParser(prog="infra/check/run")
    parser.add_argument("--write", action="store_true", help="write infra/parameters.md first")
    arguments = parser.parse_args()

    repository = Path(__file__).resolve().parents[3]
    infra = repository / "infra"
    path = infra / "sam/template.yaml"
    stack, module = sam.load(path), terraform.load(infra / "terraform")
    pages = documents.Pages.read(repository)
    if arguments.write:
        pages.write_parameters(stack)

    results = {
        "cfn-lint and the SAM transform": sam.lint(path),
        "Terraform: format": terraform.format_problems(infra / "terraform"),
    }
    results |= {what: list(check(stack)) for what, check in template.CHECKS.items()}
    results |= {what: list(check(stack, module)) for what, check in parity.CHECKS.items()}
    results |= {what: list(check(stack, pages)) for what, check in documents.CHECKS.items()}
    if not any(results.values()):
        results[f"each of {len(faults.FAULTS)} planted faults is found"] = list(faults.unnoticed(stack, module, pages))

    for what, problems in results.items():
        print(f"{'PROBLEM' if problems else 'ok':8}{what}")
        for problem in problems:
            print(f"        {problem}")
    return 1 if any(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
