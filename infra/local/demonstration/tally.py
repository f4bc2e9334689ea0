"""Flow log text → what must become of it. Counts lines and knows nothing of how flowship works."""

from __future__ import annotations

import time
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

# A larger number cannot be seconds of this century: SKIPDATA records with milliseconds occur.
MAX_SECONDS = 2**31 - 1


@cache
def _day(days_since_epoch: int) -> str:
    return time.strftime("%Y.%m.%d", time.gmtime(days_since_epoch * 86_400))


@dataclass
class Tally:
    """What some lines of flow logs come to in Elasticsearch."""

    lines: int = 0
    no_data: int = 0
    quarantined: int = 0
    num_bytes: int = 0
    per_day: Counter[str] = field(default_factory=Counter)
    per_account: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def documents(self) -> int:
        """NODATA records are counted, bad lines are kept aside: neither is indexed."""
        return self.lines - self.no_data - self.quarantined

    def add(self, other: Tally) -> None:
        """Adds another tally to this one."""
        self.lines += other.lines
        self.no_data += other.no_data
        self.quarantined += other.quarantined
        self.num_bytes += other.num_bytes
        self.per_day.update(other.per_day)
        self.per_account.update(other.per_account)


def tally(header: str, lines: Iterable[str], stamp: int) -> Tally:
    """Counts data lines. A record without a time belongs to the day of its object's `stamp`."""
    column = {name: number for number, name in enumerate(header.split())}
    end, start, status = column.get("end"), column.get("start"), column.get("log-status")
    account, action, num_bytes = column.get("account-id"), column.get("action"), column.get("bytes")
    result = Tally()

    def value(values: list[str], position: int | None) -> str:
        return "-" if position is None else values[position]

    for line in lines:
        values = line.split()
        result.lines += 1
        if value(values, status) == "NODATA":
            result.no_data += 1
            continue
        moment = value(values, end)
        if moment == "-":
            moment = value(values, start)
        seconds = stamp if moment == "-" else int(moment)
        if seconds > MAX_SECONDS:
            seconds //= 1000
        result.per_day[_day(seconds // 86_400)] += 1
        result.per_account[value(values, account), value(values, action)] += 1
        if value(values, num_bytes) != "-":
            result.num_bytes += int(values[num_bytes])  # type: ignore[index]
    return result


def tally_of_gzip_start(header: str, start: bytes, stamp: int) -> Tally:
    """Counts the whole lines that lie before the end of a gzip stream that was cut off."""
    text = zlib.decompressobj(wbits=31).decompress(start).decode()
    whole_lines = text[: text.rfind("\n") + 1].splitlines()
    return tally(header, whole_lines[1:], stamp)
