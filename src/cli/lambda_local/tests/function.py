#!/usr/bin/env python3
"""A Lambda function that does what the body of the event's first message tells it, written against the documented
Runtime API only. It appends what it sees to the file $RECORD, one JSON object a line."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time

RUNTIME = "/2018-06-01/runtime"
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def record(**what):
    if "RECORD" in os.environ:
        with open(os.environ["RECORD"], "a", encoding="utf-8") as file:
            file.write(json.dumps({"pid": os.getpid(), **what}) + "\n")


def call(method, path, body=None):
    connection.request(method, RUNTIME + path, body=body)
    response = connection.getresponse()
    return response, response.read()


def post(path, body):
    response, answer = call("POST", path, body)
    record(posted=path.rsplit("/", 1)[-1], status=response.status, answer=answer.decode())


def initialise():
    how = os.environ.get("TEST_INIT", "")
    if how == "exit":
        print("reading settings", flush=True)
        print("FLOWSHIP_DLQ_URL is not set", file=sys.stderr, flush=True)
        sys.exit(7)
    if how == "hang":
        time.sleep(600)
    if how == "error":
        body = {"errorType": "Runtime.BadSettings", "errorMessage": "no secret"}
        post("/init/error", json.dumps(body))
        sys.exit(1)
    if how.startswith("exit unless "):
        if not os.path.exists(how.removeprefix("exit unless ")):
            sys.exit(7)


def is_bad(message):
    """`bad`, or `bad until N` while it was received fewer times than N."""
    received = int(message["attributes"]["ApproximateReceiveCount"])
    body = message["body"]
    return body == "bad" or (body.startswith("bad until ") and received < int(body.removeprefix("bad until ")))


def serve():
    response, body = call("GET", "/invocation/next")
    event = json.loads(body)
    record(event=event, headers=dict(response.getheaders()), received_at_ms=time.time() * 1000)
    request = "/invocation/" + response.getheader("Lambda-Runtime-Aws-Request-Id")
    records = event["Records"]
    order = records[0]["body"] if records else "ok"

    if order.startswith("answer "):
        post(request + "/response", order.removeprefix("answer ").encode())
    elif order == "error":
        post(request + "/error", b'{"errorType":"Custom.Broken","errorMessage":"it broke"}')
    elif order.startswith("exit "):
        print("last words", file=sys.stderr, flush=True)
        sys.exit(int(order.removeprefix("exit ")))
    elif order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif order == "hang":
        # A process of its own, as of a wrapper script: it must not be left behind.
        sleeper = subprocess.Popen(["sleep", "600"])
        record(sleeper=sleeper.pid)
        time.sleep(600)
    elif order == "leave after the answer":
        post(request + "/response", b"{}")
        sys.exit(0)
    elif order == "repeat the answer":
        post("/invocation/00000000-0000-4000-8000-000000000000/response", b"{}")
        post(request + "/response", b"{}")
        post(request + "/response", b"{}")
    elif order == "7 MiB":
        post(request + "/response", b'"' + b"x" * (7 << 20) + b'"')
    elif order == "slow":
        time.sleep(0.3)
        post(request + "/response", b"{}")
    else:
        bad = [r["messageId"] for r in records if is_bad(r)]
        answer = {"batchItemFailures": [{"itemIdentifier": i} for i in bad]}
        post(request + "/response", json.dumps(answer))


record(environment=dict(os.environ))
print("hello from the function", flush=True)
initialise()
while True:
    serve()
