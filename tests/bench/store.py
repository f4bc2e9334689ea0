"""Ships one object into a running Elasticsearch, once for every set of settings, and prints what it cost the server."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time
import urllib.parse
import zlib
from collections.abc import Iterator
from typing import Any

BODY_BYTES = 4 << 20
IN_FLIGHT = 2
# A fresh JVM is steady only after about as many documents.
WARM_UP = 600_000
LARGEST_FIELDS = 16


class Server:
    """The node, and its process."""

    def __init__(self, url: str) -> None:
        self.host = urllib.parse.urlsplit(url).netloc
        process = self.ask("GET", "/_nodes/process?filter_path=nodes.*.process.id")
        self.pid = next(iter(process["nodes"].values()))["process"]["id"]

    def ask(self, method: str, path: str) -> Any:
        connection = http.client.HTTPConnection(self.host, timeout=900)
        connection.request(method, path)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        if response.status >= 300:
            sys.exit(f"store: {method} {path}: {response.status} {text[:500]!r}")
        return json.loads(text)

    def cpu_seconds(self) -> float:
        """User and system time of the process: garbage collection, compiling and merging are in it."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def settle(self) -> None:
        """Waits until nothing is merged any more."""
        calm = 0
        while calm < 4:
            stats = self.ask("GET", "/_nodes/stats/indices/merge?filter_path=nodes.*.indices.merges.current")
            merging = sum(node["indices"]["merges"]["current"] for node in stats["nodes"].values())
            calm = calm + 1 if merging == 0 else 0
            time.sleep(0.25)

    def indices(self) -> list[str]:
        return list(self.ask("GET", "/flowlogs-vpc-*?filter_path=*.aliases&expand_wildcards=all"))

    def store(self) -> tuple[int, int]:
        """Bytes and documents of the primary shards."""
        stats = self.ask("GET", "/flowlogs-vpc-*/_stats/store,docs?filter_path=_all.primaries")["_all"]["primaries"]
        return stats["store"]["size_in_bytes"], stats["docs"]["count"]

    def clear(self) -> None:
        for index in self.indices():
            self.ask("DELETE", f"/{index}")


def environment(state: pathlib.Path, settings: dict[str, str]) -> dict[str, str]:
    chosen = {"GEO_CITY_DB": str(state / "city.mmdb"), "GEO_ASN_DB": str(state / "asn.mmdb")} | settings
    return dict(os.environ) | {f"FLOWSHIP_{name}": value for name, value in chosen.items()}


def bodies(state: pathlib.Path, settings: dict[str, str]) -> Iterator[bytes]:
    """NDJSON of at most BODY_BYTES each, in whole pairs of lines."""
    command = ["target/release/flowctl", "convert", "--bulk", "--object", "s3://bench/v5.log.gz", str(state / "v5.log.gz")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(state, settings)) as convert:
        assert convert.stdout is not None
        rest = b""
        while chunk := convert.stdout.read(BODY_BYTES - len(rest)):
            buffer = rest + chunk
            end = buffer.rfind(b"\n") + 1
            if buffer.count(b"\n", 0, end) % 2:
                end = buffer.rfind(b"\n", 0, end - 1) + 1
            if end:
                yield buffer[:end]
            rest = buffer[end:]
        if rest:
            sys.exit("store: the documents end in the middle of a line")
        # Whoever wants only the first bodies ends the pipe early.
        convert.stdout.close()
        if convert.wait() != 0:
            sys.exit("store: flowctl convert failed")


def send(server: Server, source: Iterator[bytes]) -> int:
    """Sends all bodies; every document must be new. Returns the number of documents."""
    waiting: queue.Queue[bytes | None] = queue.Queue(maxsize=2 * IN_FLIGHT)
    counts, problems = [], []

    def work() -> None:
        connection = http.client.HTTPConnection(server.host, timeout=300)
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        while (body := waiting.get()) is not None:
            compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
            packed = compressor.compress(body) + compressor.flush()
            connection.request("POST", "/_bulk?filter_path=errors,items.*.status", packed, headers)
            response = connection.getresponse()
            text = response.read()
            num_documents = body.count(b"\n") // 2
            if text.count(b'"status":201') != num_documents:
                problems.append(f"{response.status} {text[:300]!r}")
            counts.append(num_documents)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(IN_FLIGHT)]
    for worker in workers:
        worker.start()
    for body in source:
        waiting.put(body)
        if problems:
            break
    for _ in workers:
        waiting.put(None)
    for worker in workers:
        worker.join()
    if problems:
        sys.exit(f"store: not every document was created: {problems[0]}")
    return sum(counts)


def warm_up(server: Server, state: pathlib.Path) -> None:
    num_left = WARM_UP
    while num_left > 0:
        shipped = send(server, itertools.islice(bodies(state, {}), num_left // 4_000 + 1))
        num_left -= shipped
        server.clear()
    server.settle()


def measure(server: Server, state: pathlib.Path, settings: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The row of a table, and what every field takes."""
    server.settle()
    before = server.cpu_seconds()
    num_documents = send(server, bodies(state, settings))
    server.ask("POST", "/flowlogs-vpc-*/_flush?force=true&wait_if_ongoing=true")
    server.ask("POST", "/flowlogs-vpc-*/_refresh")
    server.settle()
    indexing = server.cpu_seconds() - before
    before = server.cpu_seconds()
    server.ask("POST", "/flowlogs-vpc-*/_forcemerge?max_num_segments=1")
    server.ask("POST", "/flowlogs-vpc-*/_flush?force=true")
    server.settle()
    merging = server.cpu_seconds() - before
    server.ask("POST", "/flowlogs-vpc-*/_refresh")
    # Sizes are kept for ten seconds.
    time.sleep(11)
    num_bytes, num_stored = server.store()
    if num_stored != num_documents:
        sys.exit(f"store: {num_documents} documents were sent, {num_stored} are stored")
    fields: dict[str, int] = {}
    for index in server.indices():
        usage = server.ask("POST", f"/{index}/_disk_usage?run_expensive_tasks=true")[index]["fields"]
        for name, field in usage.items():
            fields[name] = fields.get(name, 0) + field["total_in_bytes"]
    millions = num_documents / 1e6
    row = f"{num_bytes / num_documents:>10.1f}{indexing / millions:>12.1f}{merging / millions:>10.1f}"
    server.clear()
    return row, {name: size / num_documents for name, size in fields.items()}


def main() -> None:
    state = pathlib.Path(sys.argv[1])
    server = Server(os.environ["FLOWSHIP_ELASTICSEARCH_URLS"])
    variants = [
        ("default, with geo", {}),
        ("without community id", {"COMMUNITY_ID": "false"}),
        ("without geo", {"GEO_CITY_DB": "", "GEO_ASN_DB": ""}),
        ("without zones", {"ZONES": "false"}),
    ]
    for argument in sys.argv[2:]:
        name, _, value = argument.partition("=")
        variants.append((argument, {name: value}))
    warm_up(server, state)
    print(f"{'':<28}{'bytes/doc':>10}{'CPU s/M':>12}{'merge':>10}", flush=True)
    usages = []
    for name, settings in variants:
        row, usage = measure(server, state, settings)
        print(f"{name:<28}{row}", flush=True)
        usages.append(usage)
    print("\nbytes a document of the largest fields, with the default")
    for field, size in sorted(usages[0].items(), key=lambda item: -item[1])[:LARGEST_FIELDS]:
        print(f"  {field:<42}{size:>8.1f}")


main()
