"""The function's log → what it says that it did: one report for each pass over an object."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

SHIPPED, FAILED = "object shipped", "object failed"


@dataclass
class Counts:
    """lines = indexed + duplicate + no_data + quarantined + refused."""

    lines: int = 0
    indexed: int = 0
    duplicate: int = 0
    no_data: int = 0
    quarantined: int = 0
    refused: int = 0

    @property
    def accounted(self) -> int:
        """Lines that have an outcome."""
        return self.indexed + self.duplicate + self.no_data + self.quarantined + self.refused

    def add(self, other: Counts) -> None:
        """Adds another object's counters to these."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def row(self) -> list[int]:
        """In the order of a table."""
        return list(vars(self).values())


@dataclass(frozen=True)
class Pass:
    """One pass over one object."""

    key: str
    is_shipped: bool
    counts: Counts
    reason: str
    detail: str


@dataclass
class Ledger:
    """What one run of the function reported."""

    passes: list[Pass] = field(default_factory=list)

    def by_key(self) -> dict[str, list[Pass]]:
        """The passes over each object, in order."""
        result: dict[str, list[Pass]] = defaultdict(list)
        for one in self.passes:
            result[one.key].append(one)
        return dict(result)

    def total(self, *, shipped: bool) -> tuple[int, Counts]:
        """Number of passes that were shipped (or failed), and their counters together."""
        chosen = [one.counts for one in self.passes if one.is_shipped == shipped]
        sum_of_all = Counts()
        for counts in chosen:
            sum_of_all.add(counts)
        return len(chosen), sum_of_all


class FunctionLog:
    """The log file of the function, which every run appends to."""

    def __init__(self, path: Path, bucket: str) -> None:
        self.path = path
        self._prefix = f"s3://{bucket}/"
        self._offset = 0
        path.unlink(missing_ok=True)

    def news(self) -> Ledger:
        """What was reported since the last call."""
        if not self.path.exists():
            return Ledger()
        with self.path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        self._offset += len(text)
        return Ledger(list(self._passes(text.decode(errors="replace").splitlines())))

    def _passes(self, lines: Iterable[str]) -> Iterable[Pass]:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if not isinstance(row, dict) or row.get("message") not in (SHIPPED, FAILED):
                continue
            numbers = {name: int(row.get(name, 0)) for name in vars(Counts())}
            yield Pass(
                key=str(row.get("object", "")).removeprefix(self._prefix),
                is_shipped=row["message"] == SHIPPED,
                counts=Counts(**numbers),
                reason=str(row.get("reason", "")),
                detail=str(row.get("detail", "")),
            )
