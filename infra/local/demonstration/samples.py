"""Every object that the demo puts into its bucket: key, bytes, and what must become of it."""

from __future__ import annotations

import calendar
import gzip
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .console import DemoFailed
from .estate import VPCS, Outside, Vpc
from .tally import Tally, tally, tally_of_gzip_start
from .traffic import SLOT_S, SlotTraffic

DAY_S = 86_400
NUM_DAYS = 3
# Delivery slots of a day with their share of its traffic. The first one holds records that began the day before.
SLOTS = {"0000": 0.5, "0835": 1.0, "1410": 1.4, "2055": 0.9}
# What share of the truncated object arrives.
CUT_AT = 0.6
# What is done to a line of the default format: the column, what is put in its place, and what flowship says to that.
SPOILS = (
    (13, [], "line.column_count"),
    (3, ["10.1.2.300"], "line.address"),
    (6, ["https"], "line.number"),
)
# Every so many objects, one is of several gzip members, as tools that concatenate deliveries leave them.
MULTI_MEMBER_EVERY = 6
# The documentation gives no time for two of its examples: the day on which their fields were announced.
STAMP_WITHOUT_TIME = "20190913T1000Z"


@dataclass(frozen=True)
class Sample:
    """One object."""

    key: str
    body: bytes
    expected: Tally


@dataclass(frozen=True)
class TruncatedSample:
    """An object of which only the first part arrived."""

    whole: Sample
    arrived: bytes
    # What lies before the cut.
    readable: Tally


@dataclass(frozen=True)
class SpoiledSample:
    """An object of which single lines are damaged."""

    sample: Sample
    # The damaged lines, and the reason that each must have.
    bad_lines: dict[str, str]


class SampleObjects:
    """All objects of one run. `today` decides on which days the traffic was; nothing else depends on the clock."""

    def __init__(self, num_records: int, hand_written: Path, today: int) -> None:
        self._num_records = num_records
        self._hand_written = hand_written
        self._outside = Outside()
        self._midnight = today // DAY_S * DAY_S
        self._plan = self._make_plan()

    @property
    def num_generated(self) -> int:
        """Objects with generated traffic, without the truncated one."""
        return len(self._plan)

    def generated(self) -> Iterator[Sample]:
        """Realistic traffic: exactly the number of records asked for, in all objects together."""
        shares = [share for _, _, share in self._plan]
        left, share_left = self._num_records, sum(shares)
        for number, (vpc, stamp, share) in enumerate(self._plan):
            count = round(left * share / share_left) if number < len(self._plan) - 1 else left
            left, share_left = left - count, share_left - share
            num_members = 3 if number % MULTI_MEMBER_EVERY == MULTI_MEMBER_EVERY - 1 else 1
            yield self._object(vpc, stamp, count, number, num_members)

    def from_the_documentation(self) -> Iterator[Sample]:
        """The hand-written files."""
        files = sorted(self._hand_written.glob("*.log"))
        if not files:
            raise DemoFailed(f"there are no sample files in {self._hand_written}: restore them with git")
        for number, file in enumerate(files):
            header, *lines = file.read_text().splitlines()
            columns = header.split()
            stamp = STAMP_WITHOUT_TIME
            if "end" in columns:
                stamp = _stamp(int(lines[0].split()[columns.index("end")]) // SLOT_S * SLOT_S)
            seconds = _seconds(stamp)
            day = time.strftime("%Y/%m/%d", time.gmtime(seconds))
            key = (
                f"AWSLogs/123456789010/vpcflowlogs/us-east-1/{day}/"
                f"123456789010_vpcflowlogs_us-east-1_fl-1234abcd_{stamp}_{number:08x}.log.gz"
            )
            body = gzip.compress(file.read_bytes(), mtime=0)
            yield Sample(key, body, tally(header, lines, seconds))

    def truncated(self) -> TruncatedSample:
        """An object whose upload broke off."""
        vpc, count = VPCS[0], max(500, self._num_records // 70)
        whole = self._object(vpc, self._midnight - DAY_S + 51_300, count, 1000, 1)
        arrived = whole.body[: int(len(whole.body) * CUT_AT)]
        return TruncatedSample(whole, arrived, tally_of_gzip_start(vpc.fields, arrived, 0))

    def spoiled(self) -> SpoiledSample:
        """An object whose writer was not careful: three of its lines are no flow records."""
        vpc, slot = VPCS[0], self._midnight - DAY_S + 51_900
        name, lines = self._lines(vpc, slot, 300, 1002)
        bad_lines = {}
        for number, (column, value, reason) in zip((40, 150, 260), SPOILS, strict=True):
            values = lines[number].split(" ")
            values[column : column + 1] = value
            lines[number] = " ".join(values)
            bad_lines[lines[number]] = reason
        expected = tally(vpc.fields, (line for line in lines if line not in bad_lines), slot)
        expected.lines += len(bad_lines)
        expected.quarantined = len(bad_lines)
        return SpoiledSample(Sample(name, _gzip(vpc.fields, lines, 1), expected), bad_lines)

    def vanished(self) -> Sample:
        """An object that somebody deletes before it is read."""
        return self._object(VPCS[1], self._midnight - DAY_S + 51_600, 10, 1001, 1)

    def _make_plan(self) -> list[tuple[Vpc, int, float]]:
        """VPC, slot and share of the records of each generated object."""
        plan = []
        for days_ago in range(NUM_DAYS, 0, -1):
            for slot, weight in SLOTS.items():
                seconds = self._midnight - days_ago * DAY_S + int(slot[:2]) * 3600 + int(slot[2:]) * 60
                for vpc in VPCS:
                    # Where much was logged, AWS delivers several objects for one slot.
                    num_objects = 2 if vpc.share > 2 else 1
                    plan.extend([(vpc, seconds, weight * vpc.share / num_objects)] * num_objects)
        return plan

    def _object(self, vpc: Vpc, slot: int, num_lines: int, number: int, num_members: int) -> Sample:
        key, lines = self._lines(vpc, slot, num_lines, number)
        return Sample(key, _gzip(vpc.fields, lines, num_members), tally(vpc.fields, lines, slot))

    def _lines(self, vpc: Vpc, slot: int, num_lines: int, number: int) -> tuple[str, list[str]]:
        """Key and lines of an object."""
        seed = f"flowship demo object {number}"
        name_hash = f"{random.Random(seed + ' name').getrandbits(32):08x}"
        lines = SlotTraffic(vpc, self._outside, slot, seed).lines(num_lines)
        date = time.strftime("%Y-%m-%d", time.gmtime(slot))
        name = f"{vpc.account}_vpcflowlogs_{vpc.region}_{vpc.flow_log}_{_stamp(slot)}_{name_hash}.log.gz"
        return f"{vpc.prefix(date)}/{name}", lines


def _gzip(header: str, lines: list[str], num_members: int) -> bytes:
    text = [header, *lines]
    per_member = -(-len(text) // num_members)
    parts = (text[at : at + per_member] for at in range(0, len(text), per_member))
    return b"".join(gzip.compress(("\n".join(part) + "\n").encode(), 6, mtime=0) for part in parts)


def _stamp(seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%MZ", time.gmtime(seconds))


def _seconds(stamp: str) -> int:
    return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%MZ"))
