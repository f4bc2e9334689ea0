"""Puts one flow log object many times through the function and prints what that took."""

import json
import os
import pathlib
import resource
import subprocess
import sys
import urllib.request

import boto3

# A fresh JVM is steady only after about as many documents.
WARM_UP = 600_000
CONCURRENCIES = (1, 2)


class Server:
    """The node, and its process."""

    def __init__(self, url: str) -> None:
        self.url = url
        nodes = self.ask("GET", "/_nodes/process?filter_path=nodes.*.process.id")["nodes"]
        self.pid = next(iter(nodes.values()))["process"]["id"]

    def ask(self, method: str, path: str) -> dict:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method), timeout=300) as response:
            return json.load(response)

    def cpu_seconds(self) -> float:
        """User and system time of the process: garbage collection, compiling and merging are in it."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def num_documents(self) -> int:
        self.ask("POST", "/flowlogs-vpc-*/_refresh")
        return self.ask("GET", "/flowlogs-vpc-*/_count")["count"]


def function_seconds() -> float:
    """Of the function and of the runtime that feeds it, which does next to nothing."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ship(state: pathlib.Path, queue: str, dlq: str, concurrency: int) -> list[dict]:
    command = ["target/release/flowctl", "lambda-local", "--function", "target/release/shipper", "--queue-url", queue]
    command += ["--timeout-seconds", "300", "--memory", "1024", "--batch-size", "2", "--until-empty", "--json"]
    command += ["--concurrency", str(concurrency), "--log-file", str(state / "shipper.log")]
    command += ["--env", f"FLOWSHIP_DLQ_URL={dlq}"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    reports = [json.loads(line) for line in output.splitlines()]
    return [report for report in reports if "request_id" in report]


def main() -> None:
    state, num_objects, num_records = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    server = Server(os.environ["FLOWSHIP_ELASTICSEARCH_URLS"])
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.create_bucket(Bucket="bench")
    queue = sqs.create_queue(QueueName="bench", Attributes={"VisibilityTimeout": "1800"})["QueueUrl"]
    dlq = sqs.create_queue(QueueName="bench-dlq")["QueueUrl"]
    content = (state / "v5.log.gz").read_bytes()

    def put(name: str, count: int) -> None:
        for number in range(count):
            key = f"{name}/{number}.log.gz"
            s3.put_object(Bucket="bench", Key=key, Body=content)
            record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
            record["s3"] = {"bucket": {"name": "bench"}, "object": {"key": key}}
            sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"Records": [record]}))

    put("warm-up", -(-WARM_UP // num_records))
    ship(state, queue, dlq, 1)
    print(f"{'':<16}{'records/s':>12}{'function s/M':>14}{'server s/M':>12}{'MiB':>6}", flush=True)
    for concurrency in CONCURRENCIES:
        put(f"concurrency-{concurrency}", num_objects)
        documents, server_before, function_before = server.num_documents(), server.cpu_seconds(), function_seconds()
        reports = ship(state, queue, dlq, concurrency)
        millions = (server.num_documents() - documents) / 1e6
        if round(millions * 1e6) != num_objects * num_records:
            sys.exit(f"function: {num_objects * num_records} documents were expected, {millions * 1e6:.0f} came")
        # Invocations follow each other without a break, so that the time of all is the time of one process.
        seconds = sum(report["duration_ms"] for report in reports) / 1000 / concurrency
        row = [
            millions * 1e6 / seconds,
            (function_seconds() - function_before) / millions,
            (server.cpu_seconds() - server_before) / millions,
        ]
        memory = max(report["memory_mb_used"] for report in reports)
        print(f"{concurrency} at a time     {row[0]:>12.0f}{row[1]:>14.2f}{row[2]:>12.1f}{memory:>6}", flush=True)
        server.ask("DELETE", "/" + ",".join(server.ask("GET", "/flowlogs-vpc-*?filter_path=*.aliases")))


main()
