"""Assertions on the transformed template: what the promise needs of queues, mapping, rights and alarms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from .sam import Template

DAY_S = 86_400
QUEUE = "MainQueue"
DLQ = "DeadLetterQueue"
MAPPING = "FunctionMessages"
ROLE = "FunctionRole"

# Rights that cannot be narrowed to a resource: "Required IAM permissions", AWS Lambda developer guide.
WITHOUT_RESOURCE = {"LambdaEntersVpc", "OnlyLambdaEntersVpc"}

# What must raise an alarm: (namespace, metric).
ALARMS = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
    ("AWS/Lambda", "Errors"),
    ("AWS/Lambda", "Throttles"),
    ("AWS/Lambda", "Duration"),
    ("AWS/Lambda", "Invocations"),
    ("MetricsNamespace", "quarantined"),
    ("MetricsNamespace", "dead_lettered"),
}


def queues(template: Template) -> Iterator[str]:
    """Visibility, retention, redriving, encryption."""
    main, dlq = template.properties(QUEUE), template.properties(DLQ)
    if main.get("VisibilityTimeout") != {"Fn::FindInMap": ["Timeout", {"Ref": "TimeoutSeconds"}, "VisibilitySeconds"]}:
        yield "the main queue's visibility timeout does not follow from the function's timeout"
    window = template.parameters["BatchWindowSeconds"]["MaxValue"]
    rows = template.mappings["Timeout"]
    if set(rows) != {str(timeout) for timeout in template.parameters["TimeoutSeconds"]["AllowedValues"]}:
        yield "not every timeout has a visibility timeout"
    for timeout, row in rows.items():
        if int(row["VisibilitySeconds"]) < 6 * int(timeout) + window:
            yield f"timeout {timeout} s: a message comes back before 6 × timeout + {window} s"
        if not 10_000 <= int(row["DurationAlarmMs"]) < int(timeout) * 1000:
            yield f"timeout {timeout} s: an alarm at {row['DurationAlarmMs']} ms is not near it"
    if main.get("ReceiveMessageWaitTimeSeconds") != 20:
        yield "the main queue has no long polling"
    if dlq.get("MessageRetentionPeriod") != 14 * DAY_S:
        yield "the dead-letter queue does not keep messages for 14 days"
    if not main.get("MessageRetentionPeriod", 0) < 14 * DAY_S:
        yield "the main queue keeps messages as long as the dead-letter queue, which counts from when they were sent"
    redrive = main.get("RedrivePolicy", {})
    if redrive.get("deadLetterTargetArn") != {"Fn::GetAtt": [DLQ, "Arn"]}:
        yield "the main queue has no redrive policy to the dead-letter queue"
    if not redrive.get("maxReceiveCount", 0) > template.parameters["MaxReceives"]["MaxValue"]:
        yield "SQS dead-letters, without a reason, before the function does"
    allow = dlq.get("RedriveAllowPolicy", {})
    arn = {"Fn::Sub": "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${Name}"}
    if main.get("QueueName") != {"Ref": "Name"} or allow != {"redrivePermission": "byQueue", "sourceQueueArns": [arn]}:
        yield "other queues than the main queue may dead-letter into the dead-letter queue"
    for name, queue in template.of_type("AWS::SQS::Queue").items():
        if queue["Properties"].get("SqsManagedSseEnabled") is not True:
            yield f"{name} is not encrypted"


def senders(template: Template) -> Iterator[str]:
    """Only S3, of named buckets of named accounts, may send to the main queue."""
    for _condition, statement in template.statements("MainQueuePolicy"):
        conditions = {key for test in statement.get("Condition", {}).values() for key in test}
        if statement["Principal"] != {"Service": "s3.amazonaws.com"} or statement["Action"] != "sqs:SendMessage":
            yield f"{statement['Sid']}: lets somebody else than S3 send, or do more than that"
        if conditions != {"aws:SourceArn", "aws:SourceAccount"}:
            yield f"{statement['Sid']}: any bucket may send"


def mapping(template: Template) -> Iterator[str]:
    """The event source mapping and what the function needs beside it."""
    properties = template.properties(MAPPING)
    expected = {
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "EventSourceArn": {"Fn::GetAtt": [QUEUE, "Arn"]},
        "BatchSize": {"Ref": "BatchSize"},
        "MaximumBatchingWindowInSeconds": {"Ref": "BatchWindowSeconds"},
        "ScalingConfig": {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}},
    }
    for name, value in expected.items():
        if properties.get(name) != value:
            yield f"the mapping's {name} is {properties.get(name)}, not {value}"
    function = template.properties("Function")
    if function.get("RecursiveLoop") != "Allow":
        yield "Lambda would stop an object that goes on in more than about 16 invocations"
    if function.get("Runtime") != "provided.al2023" or function.get("Handler") != "bootstrap":
        yield "the function is not a `bootstrap` of provided.al2023"
    if function.get("Role") != {"Fn::GetAtt": [ROLE, "Arn"]}:
        yield "the function has another role than the one that is checked"


def rights(template: Template) -> Iterator[str]:
    """No wildcards: not in what is allowed, and in resources only behind what is ours."""
    for name, resource in template.resources.items():
        if resource["Type"] not in ("AWS::IAM::Role", "AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"):
            continue
        if resource["Properties"].get("ManagedPolicyArns"):
            yield f"{name}: has rights by a managed policy"
        for _condition, statement in template.statements(name):
            sid = statement["Sid"]
            resources = as_list(statement["Resource"])
            if "*" in resources and sid not in WITHOUT_RESOURCE:
                yield f"{name}, {sid}: holds for every resource"
            if statement["Effect"] == "Allow" and any("*" in action for action in as_list(statement["Action"])):
                yield f"{name}, {sid}: has a wildcard action"
    actions = {action: condition for condition, action in granted(template)}
    if actions.get("kms:Decrypt") != "HasKmsKeys":
        yield "kms:Decrypt is granted without a key, or never"


def granted(template: Template) -> Iterator[tuple[str | None, str]]:
    """What the function's role may do, each with the condition of its statement."""
    for condition, statement in template.statements(ROLE):
        if statement["Effect"] == "Allow":
            for action in as_list(statement["Action"]):
                yield condition, action


def buckets(template: Template) -> Iterator[str]:
    """Own buckets are closed, encrypted, and outlive the stack."""
    for name, bucket in template.of_type("AWS::S3::Bucket").items():
        properties = bucket["Properties"]
        if set(properties.get("PublicAccessBlockConfiguration", {}).values()) != {True}:
            yield f"{name} may become public"
        if "BucketEncryption" not in properties:
            yield f"{name} is not encrypted"
        if bucket.get("DeletionPolicy") != "Retain" or bucket.get("UpdateReplacePolicy") != "Retain":
            yield f"{name} is deleted with the stack"
        if not any(
            policy["Properties"]["Bucket"] == {"Ref": name}
            for policy in template.of_type("AWS::S3::BucketPolicy").values()
        ):
            yield f"{name} has no policy that asks for TLS"


def alarms(template: Template) -> Iterator[str]:
    """Every alarm of the list, told to somebody, and silence is alarming where it must be."""
    found = set()
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        namespace = properties["Namespace"]
        metric = properties["MetricName"]
        found.add((namespace["Ref"] if isinstance(namespace, dict) else namespace, metric))
        to_topic = [{"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, {"Ref": "AWS::NoValue"}]}]
        if properties.get("AlarmActions") != to_topic or properties.get("OKActions") != to_topic:
            yield f"{name} tells nobody"
        if (metric == "Invocations") != (properties["TreatMissingData"] == "breaching"):
            yield f"{name}: missing data means the wrong thing"
    for namespace, metric in ALARMS - found:
        yield f"no alarm on {namespace} {metric}"
    for namespace, metric in found - ALARMS:
        yield f"an alarm that no list has: {namespace} {metric}"


def parameters(template: Template) -> Iterator[str]:
    """Every parameter is described and used; CloudFormation has limits for both."""
    used = set(references(template.resources)) | set(references(template.conditions)) | set(references(template.rules))
    for name, parameter in template.parameters.items():
        if name not in used:
            yield f"parameter {name} has no effect"
        if not parameter.get("Description"):
            yield f"parameter {name} is not described"


def rules(template: Template) -> Iterator[str]:
    """Rules have functions of their own, and few of the others: "Rule functions", CloudFormation template reference."""
    known = {"Fn::And", "Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn", "Fn::Equals", "Fn::Not", "Fn::Or"}
    for name in sorted(set(re.findall(r"'(Fn::\w+)'", str(template.rules))) - known):
        yield f"{name} is no function of rules"


def references(value: Any) -> Iterator[str]:
    """Names in `Ref` and in `Sub` texts."""
    match value:
        case {"Ref": str(name)}:
            yield name
        case str():
            yield from (part.split("}")[0] for part in value.split("${")[1:])
        case dict():
            for inner in value.values():
                yield from references(inner)
        case list():
            for inner in value:
                yield from references(inner)


def as_list(value: Any) -> list[Any]:
    """IAM takes one for a list of one."""
    return value if isinstance(value, list) else [value]


CHECKS: dict[str, Callable[[Template], Iterator[str]]] = {
    "queues: visibility, retention, redriving, encryption": queues,
    "only S3 may send, and only from named buckets": senders,
    "mapping and function: partial batches, concurrency, recursion": mapping,
    "rights: no wildcards": rights,
    "buckets: closed, encrypted, kept": buckets,
    "alarms: all of the list, and told": alarms,
    "parameters: described and used": parameters,
    "rules: only functions that rules have": rules,
}
