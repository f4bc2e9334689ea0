"""The demo, step by step. Every step says what it does, does it with the real binaries, and checks what came of it."""

from __future__ import annotations

from typing import Any

from .cloud import DLQ_NAME, NAME, QUARANTINE_NAME, QUARANTINE_URI, Cloud
from .console import Console, DemoFailed, size, thousands
from .estate import VPCS
from .ledger import Counts, FunctionLog, Ledger, Pass
from .samples import NUM_DAYS, Sample, SampleObjects, SpoiledSample, TruncatedSample
from .search import PATTERN, Search
from .tally import Tally
from .tools import Tools

CONCURRENCY = 2
# The accounts of the hand-written samples would only lengthen the table.
MIN_RECORDS_OF_AN_ACCOUNT = 100
NUM_TOP = 8


class Story:
    """One run of the demo."""

    def __init__(self, console: Console, tools: Tools, cloud: Cloud, search: Search, samples: SampleObjects) -> None:
        self._console = console
        self._tools = tools
        self._cloud = cloud
        self._search = search
        self._samples = samples
        self._log = FunctionLog(tools.folder / "shipper.log", NAME)
        # What must become of each object that can be read, and of all of them.
        self._expected: dict[str, Tally] = {}
        self._truncated: TruncatedSample | None = None
        self._vanished: Sample | None = None
        self._spoiled: SpoiledSample | None = None

    def tell(self) -> None:
        """All steps."""
        self._install()
        self._upload()
        self._ship()
        self._account()
        self._look_into_quarantine()
        self._look_into_dlq()
        self._ask_elasticsearch()
        self._repair()
        self._deliver_again()
        self._sum_up()

    # ---- before anything is shipped

    def _install(self) -> None:
        console, tools = self._console, self._tools
        console.step("Install the index templates, the buckets and the queues")
        num_indices = self._search.delete_indices()
        if self._cloud.remove() or num_indices:
            console.say(f"deleted what an earlier run left: {num_indices} indices {PATTERN}, buckets and queues {NAME}")
        tools.show("flowctl", "setup")
        self._cloud.install()
        tools.variables["FLOWSHIP_QUEUE_URL"] = self._cloud.queue_url
        tools.variables["FLOWSHIP_DLQ_URL"] = self._cloud.dlq_url
        tools.variables["FLOWSHIP_QUARANTINE_URI"] = QUARANTINE_URI
        env_file = tools.write_env_file()
        console.say(f"bucket {NAME} announces new objects on queue {NAME}; dead letters go to {DLQ_NAME}")
        console.say(f"single bad lines go to {QUARANTINE_URI}")
        console.say(f"to repeat the commands below: source {tools.relative(env_file)}")

    def _upload(self) -> None:
        console, number_of = self._console, self._samples.num_generated
        console.step("Put flow logs into the bucket")
        num_bytes, generated = 0, Tally()
        for number, sample in enumerate(self._samples.generated(), 1):
            self._put(sample)
            generated.add(sample.expected)
            num_bytes += len(sample.body)
            console.progress(f"{number}/{number_of} objects, {thousands(generated.lines)} records, {size(num_bytes)}")
        hand_written = list(self._samples.from_the_documentation())
        for sample in hand_written:
            self._put(sample)
        self._spoiled = self._samples.spoiled()
        self._put(self._spoiled.sample)
        self._truncated = self._samples.truncated()
        self._vanished = self._samples.vanished()
        self._cloud.put(self._truncated.whole.key, self._truncated.arrived)
        self._cloud.put(self._vanished.key, self._vanished.body)
        self._cloud.delete(self._vanished.key)

        console.say(
            f"{number_of} objects with {thousands(generated.lines)} generated records, {size(num_bytes)} gzipped:"
        )
        console.say(f"    {NUM_DAYS} days, {len({vpc.account for vpc in VPCS})} accounts, {len(VPCS)} VPCs")
        num_examples = sum(sample.expected.lines for sample in hand_written)
        console.say(f"{len(hand_written)} objects with the {num_examples} examples of AWS's documentation")
        console.say(f"1 object of which {len(self._spoiled.bad_lines)} lines are no flow records")
        console.say("1 object whose gzip stream is cut off, and 1 that is deleted before anybody reads it")
        # The test event comes when the notification is set.
        num_messages = number_of + len(hand_written) + 3 + 1
        numbers = self._cloud.wait_for_messages(num_messages)
        console.check(
            f"{num_messages} messages are in the queue: S3 announced every object, and sent its test event",
            numbers.all,
            num_messages,
        )

    def _put(self, sample: Sample) -> None:
        self._cloud.put(sample.key, sample.body)
        self._expected[sample.key] = sample.expected

    # ---- the first pass

    def _ship(self) -> None:
        self._console.step("Run the Lambda function until the queue is empty")
        self._drain()

    def _drain(self) -> None:
        function = self._tools.relative(self._tools.binaries / "shipper")
        log = self._tools.relative(self._log.path)
        self._tools.follow(
            *("flowctl", "lambda-local", "--function", function, "--until-empty"),
            *("--concurrency", str(CONCURRENCY), "--log-file", log),
            hint=f"the function's own words are in {log}",
        )
        self._console.check("the queue is empty", self._cloud.numbers(self._cloud.queue_url).all, 0)

    def _account(self) -> None:
        console, ledger = self._console, self._log.news()
        console.step("Account for every line: lines = indexed + duplicate + no data + quarantined")
        self._show_ledger(ledger)
        self._check_sums(ledger)
        by_key = ledger.by_key()
        shipped = {key: _outcome(passes) for key, passes in by_key.items() if passes[-1].is_shipped}
        expected = {key: (tally.lines, tally.documents, tally.no_data) for key, tally in self._expected.items()}
        console.check(
            f"{len(expected)} objects are shipped, each with the documents and NODATA records that it has",
            _differences(shipped, expected),
            {},
        )
        truncated, vanished = self._broken()
        failed = {key: passes[-1] for key, passes in by_key.items() if not passes[-1].is_shipped}
        console.check(
            "two objects failed, each with its reason",
            {key: one.reason for key, one in failed.items()},
            {truncated.whole.key: "decode.truncated_gzip", vanished.key: "object.not_found"},
        )
        console.check(
            f"the {thousands(truncated.readable.lines)} lines before the cut in the truncated one are accounted for",
            failed[truncated.whole.key].counts.accounted,
            truncated.readable.lines,
        )

    def _show_ledger(self, ledger: Ledger) -> None:
        rows: list[list[str | int]] = []
        together = Counts()
        for name, is_shipped in (("shipped", True), ("failed", False)):
            number, counts = ledger.total(shipped=is_shipped)
            if number:
                rows.append([name, number, *counts.row()])
                together.add(counts)
        if len(rows) > 1:
            rows.append(["together", len(ledger.passes), *together.row()])
        self._console.table(["objects", "number", "lines", "indexed", "duplicate", "no data", "quarantined", "refused"], rows)

    def _check_sums(self, ledger: Ledger) -> None:
        last = [passes[-1] for passes in ledger.by_key().values()]
        wrong = [one.key for one in last if one.counts.accounted != one.counts.lines]
        self._console.check(f"the sum holds for each of {len(last)} objects", wrong, [])

    def _look_into_quarantine(self) -> None:
        console = self._console
        console.step("Look into the quarantine")
        for key, (head, *rows) in self._cloud.quarantine().items():
            console.say(f"s3://{QUARANTINE_NAME}/{key}")
            console.say(f"    of s3://{head['object']['bucket']}/{head['object']['key']}")
            console.table(
                ["line", "reason", "detail"],
                [[str(row["line"]), row["reason"], row["detail"]] for row in sorted(rows, key=lambda row: row["line"])],
            )
        self._check_quarantine("the damaged lines are there as they were, each with its reason, and no other line is")

    def _check_quarantine(self, fact: str) -> None:
        spoiled = self._spoiled
        if spoiled is None:
            raise DemoFailed("the steps are out of order")
        found = [
            (head["object"]["key"], {row["raw"]: row["reason"] for row in rows})
            for head, *rows in self._cloud.quarantine().values()
        ]
        self._console.check(fact, found, [(spoiled.sample.key, spoiled.bad_lines)])

    def _look_into_dlq(self) -> None:
        console, tools = self._console, self._tools
        console.step("Look into the dead-letter queue")
        tools.show("redrive", "stats")
        tools.show("redrive", "list", "--verbose")
        truncated, vanished = self._broken()
        self._check_letters(
            "the dead-letter queue holds exactly these two",
            {truncated.whole.key: "decode.truncated_gzip", vanished.key: "object.not_found"},
        )

    def _check_letters(self, fact: str, expected: dict[str, str]) -> None:
        rows = self._tools.rows("redrive", "list", "--json")
        found = [(uri, row["reason"]) for row in rows for uri in row["objects"]]
        wanted = [(f"s3://{NAME}/{key}", reason) for key, reason in expected.items()]
        self._console.check(fact, sorted(found), sorted(wanted))

    # ---- what a person wants to see

    def _ask_elasticsearch(self) -> None:
        console = self._console
        truncated, _ = self._broken()
        console.step("Ask Elasticsearch")
        expected = self._expected_sum()
        expected.add(truncated.readable)
        self._check_indices("every index holds what was generated for its day", expected, show=True)
        console.check("the bytes of all records add up", self._search.total_bytes(), expected.num_bytes)

        accounts = self._search.accounts()
        console.say()
        console.say("Accepted and rejected records by account (without the documentation's examples)")
        rows: list[list[str | int]] = []
        for name in sorted({account for account, _ in accounts}):
            accepted, rejected = accounts.get((name, "ACCEPT"), 0), accounts.get((name, "REJECT"), 0)
            if accepted + rejected >= MIN_RECORDS_OF_AN_ACCOUNT:
                rows.append([name, accepted, rejected])
        console.table(["account", "accepted", "rejected"], rows)
        with_action = {key: number for key, number in expected.per_account.items() if "-" not in key}
        console.check("so many were generated", accounts, with_action)

        console.say()
        console.say("Top talkers: who sent the most bytes")
        talkers = self._search.top_talkers(NUM_TOP)
        console.table(
            ["source", "sent", "packets", "records", "peers"],
            [
                [
                    row["key"],
                    size(row["bytes"]["value"]),
                    int(row["packets"]["value"]),
                    row["doc_count"],
                    row["peers"]["value"],
                ]
                for row in talkers
            ],
        )
        console.say()
        console.say("Rejected: which ports are knocked at, and by how many")
        console.table(
            ["port", "records", "sources", "targets"],
            [
                [str(row["key"]), row["doc_count"], row["sources"]["value"], row["targets"]["value"]]
                for row in self._search.rejected_ports(NUM_TOP)
            ],
        )

    def _check_indices(self, fact: str, expected: Tally, *, show: bool = False) -> None:
        indices = self._search.indices()
        if show:
            rows: list[list[str | int]] = [[i.name, i.documents, size(i.num_bytes)] for i in indices]
            rows.append(
                [f"{len(indices)} indices", sum(i.documents for i in indices), size(sum(i.num_bytes for i in indices))]
            )
            self._console.table(["index", "documents", "store"], rows)
        prefix = PATTERN.rstrip("*")
        self._console.check(fact, {i.name.removeprefix(prefix): i.documents for i in indices}, dict(expected.per_day))

    # ---- repair, redrive, and everything again

    def _repair(self) -> None:
        console, tools = self._console, self._tools
        truncated, vanished = self._broken()
        console.step("Repair the truncated object and redrive it")
        self._cloud.put(truncated.whole.key, truncated.whole.body)
        self._expected[truncated.whole.key] = truncated.whole.expected
        console.say(
            "the whole object is put again; S3 announces it too, so it is delivered twice: that must not matter"
        )
        tools.show("redrive", "send", "--reason", "decode.*")
        journal = tools.folder / "redrive.ndjson"
        journal.unlink(missing_ok=True)
        console.say("no function runs at this moment, and redrive would not send where nobody receives: hence --force")
        command = ("redrive", "send", "--reason", "decode.*", "--yes", "--force")
        tools.show(*command, "--journal", tools.relative(journal))
        self._drain()
        ledger = self._log.news()
        self._show_ledger(ledger)
        self._check_sums(ledger)
        passes = ledger.by_key().get(truncated.whole.key, [])
        missing = truncated.whole.expected.documents - truncated.readable.documents
        console.check(
            f"the {thousands(missing)} documents behind the cut were added, once; the others were there",
            (sum(one.counts.indexed for one in passes), all(one.is_shipped for one in passes)),
            (missing, True),
        )
        self._check_indices(
            f"Elasticsearch holds every line once: {thousands(self._expected_sum().documents)} documents",
            self._expected_sum(),
        )
        self._check_letters(
            "the dead-letter queue holds only the object that does not exist", {vanished.key: "object.not_found"}
        )

    def _deliver_again(self) -> None:
        console = self._console
        console.step("Deliver everything once more")
        keys = sorted(self._cloud.keys())
        console.check(
            f"the bucket holds {len(self._expected)} objects, all of which can be read", keys, sorted(self._expected)
        )
        self._cloud.announce_again(keys)
        console.say(f"{len(keys)} announcements are sent again, as SQS and S3 may do at any time")
        self._drain()
        ledger = self._log.news()
        self._show_ledger(ledger)
        self._check_sums(ledger)
        reported = Counts()
        for passes in ledger.by_key().values():
            reported.add(passes[-1].counts)
        expected = self._expected_sum()
        console.check(
            f"0 documents were added: all {thousands(expected.documents)} are duplicates",
            (sum(one.counts.indexed for one in ledger.passes), reported.duplicate),
            (0, expected.documents),
        )
        self._check_indices("every index holds as many documents as before", expected)
        self._check_quarantine("the quarantine holds the same lines as before, once")
        self._check_ledger()

    def _check_ledger(self) -> None:
        self._search.refresh_ledger()
        # The demo's days have few slots, and the ledger says so: exit code 3.
        rows = self._tools.rows("flowctl", "ledger", "--from", "2000-01-01", "--json", may_be_incomplete=True)
        found = [(row["complete_objects"], [one["flowship.object"]["fate"] for one in row["incomplete"]]) for row in rows]
        number = len(self._expected)
        self._console.check(f"ledger: {number} objects complete, 1 dead letter", found, [(number, ["dead letter"])])

    def _sum_up(self) -> None:
        console, expected = self._console, self._expected_sum()
        console.heading("What you have seen")
        documents, no_data = thousands(expected.documents), thousands(expected.no_data)
        console.say(
            f"{len(self._expected)} objects with {thousands(expected.lines)} lines went from S3 through SQS and the "
            "Lambda function into\n"
            f"Elasticsearch: {documents} documents; {no_data} NODATA records are counted only, and "
            f"{expected.quarantined} bad lines are in quarantine.\n"
            "A truncated object, its repair and redrive, and a second delivery of everything later,\n"
            "every line is there exactly once. One dead letter is left, with its reason: its object is gone.\n"
            f"The {console.num_checks} facts marked `ok` were checked against what was generated."
        )

    # ---- helpers

    def _broken(self) -> tuple[TruncatedSample, Sample]:
        if self._truncated is None or self._vanished is None:
            raise DemoFailed("the steps are out of order")
        return self._truncated, self._vanished

    def _expected_sum(self) -> Tally:
        """What all objects that can be read must come to."""
        result = Tally()
        for tally in self._expected.values():
            result.add(tally)
        return result


def _outcome(passes: list[Pass]) -> tuple[int, int, int]:
    """Lines, documents and NODATA records of an object, whose documents several passes may have indexed."""
    last = passes[-1].counts
    return last.lines, sum(one.counts.indexed for one in passes), last.no_data


def _differences(actual: dict[str, Any], expected: dict[str, Any]) -> dict[str, str]:
    """Only what differs: there are many objects."""
    return {
        key: f"{expected.get(key)} expected, {actual.get(key)} found"
        for key in sorted(actual.keys() | expected.keys())
        if actual.get(key) != expected.get(key)
    }
