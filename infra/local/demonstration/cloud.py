"""The demo's own buckets and queues in the local S3 and SQS."""

from __future__ import annotations

import gzip
import json
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .console import DemoFailed

NAME = "flowship-demo"
DLQ_NAME = f"{NAME}-dlq"
QUARANTINE_NAME = f"{NAME}-quarantine"
QUARANTINE_URI = f"s3://{QUARANTINE_NAME}/flowlogs"
REGION = "us-east-1"
RETENTION_S = 14 * 86_400
# As long as one invocation of `flowctl lambda-local` may take; on AWS, six times that.
VISIBILITY_TIMEOUT_S = 60
MAX_RECEIVES = 5
BATCH = 10
# S3 announces an object within a second here.
ANNOUNCED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Numbers:
    """What a queue says that it holds."""

    visible: int
    hidden: int
    delayed: int

    @property
    def all(self) -> int:
        """However it is held."""
        return self.visible + self.hidden + self.delayed


class Cloud:
    """A bucket for logs and one for quarantine, a queue and its dead-letter queue. `endpoint` is the local server's."""

    def __init__(self, endpoint: str) -> None:
        options: dict[str, Any] = {
            "endpoint_url": endpoint,
            "region_name": REGION,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }
        config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 3}, proxies={})
        self._s3 = boto3.client("s3", config=config, **options)
        self._sqs = boto3.client("sqs", config=config, **options)
        self.queue_url = ""
        self.dlq_url = ""

    # ---- installing

    def remove(self) -> bool:
        """Deletes what an earlier run left; whether there was anything."""
        found = False
        for name in (NAME, DLQ_NAME):
            try:
                url = self._sqs.get_queue_url(QueueName=name)["QueueUrl"]
            except self._sqs.exceptions.QueueDoesNotExist:
                continue
            self._sqs.delete_queue(QueueUrl=url)
            found = True
        buckets = [bucket["Name"] for bucket in self._s3.list_buckets()["Buckets"]]
        for name in (NAME, QUARANTINE_NAME):
            if name not in buckets:
                continue
            for keys in _chunks(list(self.keys(name)), 1000):
                objects = [{"Key": key} for key in keys]
                self._s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
            self._s3.delete_bucket(Bucket=name)
            found = True
        return found

    def install(self) -> None:
        """Buckets and queues, and the notification, which S3 tries with a test event."""
        self.dlq_url = self._create_queue(DLQ_NAME, {})
        policy = {"deadLetterTargetArn": self._arn(self.dlq_url), "maxReceiveCount": MAX_RECEIVES}
        self.queue_url = self._create_queue(
            NAME, {"VisibilityTimeout": str(VISIBILITY_TIMEOUT_S), "RedrivePolicy": json.dumps(policy)}
        )
        self._s3.create_bucket(Bucket=NAME)
        self._s3.create_bucket(Bucket=QUARANTINE_NAME)
        queue = {"Id": "flowship", "QueueArn": self._arn(self.queue_url), "Events": ["s3:ObjectCreated:*"]}
        self._s3.put_bucket_notification_configuration(
            Bucket=NAME, NotificationConfiguration={"QueueConfigurations": [queue]}
        )

    def _create_queue(self, name: str, attributes: dict[str, str]) -> str:
        attributes = {"MessageRetentionPeriod": str(RETENTION_S), **attributes}
        return str(self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def _arn(self, queue_url: str) -> str:
        answer = self._sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    # ---- objects

    def put(self, key: str, body: bytes) -> None:
        """Puts an object; S3 announces it on the queue."""
        self._s3.put_object(Bucket=NAME, Key=key, Body=body)

    def delete(self, key: str) -> None:
        """Deletes an object; its announcement stays."""
        self._s3.delete_object(Bucket=NAME, Key=key)

    def keys(self, bucket: str = NAME) -> Iterator[str]:
        """Every key in the bucket."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            yield from (item["Key"] for item in page.get("Contents", ()))

    def quarantine(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of each quarantine file, its head first."""
        files = {}
        for key in self.keys(QUARANTINE_NAME):
            body = self._s3.get_object(Bucket=QUARANTINE_NAME, Key=key)["Body"].read()
            files[key] = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        return files

    # ---- messages

    def numbers(self, queue_url: str) -> Numbers:
        """How many messages the queue holds."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        values = self._sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
        return Numbers(*(int(values[name]) for name in names))

    def wait_for_messages(self, expected: int) -> Numbers:
        """Waits until S3 has announced everything: the numbers in the end, whatever they are."""
        until = time.monotonic() + ANNOUNCED_WITHIN_S
        while True:
            numbers = self.numbers(self.queue_url)
            if numbers.all >= expected or time.monotonic() > until:
                return numbers
            time.sleep(0.2)

    def announce_again(self, keys: Sequence[str]) -> None:
        """Sends an S3 event for each key, as S3 does when an event is delivered twice."""
        for chunk in _chunks(keys, BATCH):
            entries = [{"Id": str(number), "MessageBody": s3_event(key)} for number, key in enumerate(chunk)]
            answer = self._sqs.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
            if answer.get("Failed"):
                raise DemoFailed(f"SQS refused a message: {answer['Failed'][0].get('Message')}")


# What the two clients raise.
CLOUD_ERRORS = (BotoCoreError, ClientError)


def s3_event(key: str) -> str:
    """The message that S3 sends for an object ("Event message structure" in the Amazon S3 user guide)."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": NAME, "arn": f"arn:aws:s3:::{NAME}"},
            "object": {"key": urllib.parse.quote_plus(key, safe="/")},
        },
    }
    return json.dumps({"Records": [record]})


def _chunks(items: Sequence[str], length: int) -> Iterator[Sequence[str]]:
    return (items[at : at + length] for at in range(0, len(items), length))
