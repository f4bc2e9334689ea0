"""Puts a small and a large flow log object through the shipper and prints its memory at rest and at its peak."""

import gzip
import http.server
import json
import pathlib
import random
import subprocess
import sys
import threading
import zlib

import boto3

HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n"
)


class Sink(http.server.BaseHTTPRequestHandler):
    """Answers every `_bulk` as if all documents were created."""

    protocol_version = "HTTP/1.1"
    documents = 0

    def do_GET(self) -> None:
        self.answer(b"{}")

    def do_POST(self) -> None:
        body = zlib.decompress(self.rfile.read(int(self.headers["content-length"])), 31)
        count = body.count(b"\n") // 2
        Sink.documents += count
        items = b",".join([b'{"create":{"status":201}}'] * count)
        self.answer(b'{"errors":false,"items":[' + items + b"]}")

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def write_object(path: pathlib.Path, megabytes: float) -> int:
    """Writes random records until the gzip'd file has that size; returns the number of lines."""
    pick = random.Random(7)
    lines = 0
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1) as out:
        out.write(HEADER.encode())
        while raw.tell() < megabytes * 1_000_000:
            chunk = []
            for _ in range(2000):
                end = 1_795_000_000 + pick.randrange(86_400)
                bits = pick.getrandbits(64)
                chunk.append(
                    f"2 123456789012 eni-0{bits & 0xFFFF:016x} 10.{bits >> 8 & 255}.{bits >> 16 & 255}.{bits >> 24 & 255} "
                    f"172.16.{bits >> 32 & 255}.{bits >> 40 & 255} {bits >> 48} 443 6 {bits & 1023} {bits & 0xFFFFF} "
                    f"{end - 60} {end} ACCEPT OK\n"
                )
            out.write("".join(chunk).encode())
            lines += len(chunk)
    return lines


def main() -> None:
    megabytes, state = float(sys.argv[1]), pathlib.Path(sys.argv[2])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.create_bucket(Bucket="memory")
    queue = sqs.create_queue(QueueName="memory", Attributes={"VisibilityTimeout": "900"})["QueueUrl"]
    dlq = sqs.create_queue(QueueName="memory-dlq")["QueueUrl"]
    total = 0
    for name, size in [("small", 0.5), ("large", megabytes)]:
        path = state / f"{name}.gz"
        total += write_object(path, size)
        s3.upload_file(str(path), "memory", name)
        record = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "memory"}, "object": {"key": name}},
        }
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"Records": [record]}))
    command = ["target/release/flowctl", "lambda-local", "--function", "target/release/shipper", "--queue-url", queue]
    command += ["--batch-size", "1", "--timeout-seconds", "900", "--until-empty", "--json"]
    command += ["--env", f"FLOWSHIP_ELASTICSEARCH_URLS=http://127.0.0.1:{server.server_port}"]
    command += ["--env", f"FLOWSHIP_DLQ_URL={dlq}", "--log-file", str(state / "shipper.log")]
    # Its entries come by `_bulk`, too, and would be counted as documents.
    command += ["--env", "FLOWSHIP_LEDGER_INDEX=none"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    reports = [json.loads(line) for line in output.splitlines()]
    small, large = [report for report in reports if "memory_mb_used" in report and "request_id" in report]
    if Sink.documents != total:
        sys.exit(f"{Sink.documents} documents arrived, {total} were expected")
    rest, peak = small["resting_memory_mb"], large["memory_mb_used"]
    result = {
        "object_mb": megabytes,
        "lines": total,
        "at_rest_mib": rest,
        "peak_mib": peak,
        "growth_mib": peak - rest,
        "lines_per_second": round(total / (large["duration_ms"] / 1000)),
    }
    print(json.dumps(result))


main()
