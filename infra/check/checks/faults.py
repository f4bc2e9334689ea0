"""Faults put into a copy of what was read: each must be found by the check that is there for it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

from . import documents, parity, template
from .documents import Pages
from .sam import Json, Template
from .terraform import Module

Check = Callable[..., Iterator[str]]
# The check that must find it, what is wrong, and how that comes about in stack, module and pages.
Fault = tuple[Check, str, Callable[[Template, Module, Pages], object]]


def _statement(stack: Template, name: str, sid: str) -> Json:
    return next(statement for _condition, statement in stack.statements(name) if statement["Sid"] == sid)


FAULTS: list[Fault] = [
    (
        template.queues,
        "visibility below six timeouts",
        lambda s, m, p: s.mappings["Timeout"]["900"].update(VisibilitySeconds=900),
    ),
    (
        template.queues,
        "a timeout without a row",
        lambda s, m, p: s.parameters["TimeoutSeconds"]["AllowedValues"].append(30),
    ),
    (
        template.queues,
        "short polling",
        lambda s, m, p: s.properties("MainQueue").update(ReceiveMessageWaitTimeSeconds=0),
    ),
    (
        template.queues,
        "4 days of dead letters",
        lambda s, m, p: s.properties("DeadLetterQueue").update(MessageRetentionPeriod=345_600),
    ),
    (template.queues, "no redrive policy", lambda s, m, p: s.properties("MainQueue").pop("RedrivePolicy")),
    (
        template.queues,
        "SQS first",
        lambda s, m, p: s.properties("MainQueue")["RedrivePolicy"].update(maxReceiveCount=9),
    ),
    (
        template.queues,
        "any queue may dead-letter",
        lambda s, m, p: s.properties("DeadLetterQueue").pop("RedriveAllowPolicy"),
    ),
    (
        template.queues,
        "no encryption",
        lambda s, m, p: s.properties("DeadLetterQueue").update(SqsManagedSseEnabled=False),
    ),
    (
        template.senders,
        "any bucket sends",
        lambda s, m, p: _statement(s, "MainQueuePolicy", "ExistingBucketsNotify")["Condition"].pop("ArnEquals"),
    ),
    (
        template.mapping,
        "no partial batches",
        lambda s, m, p: s.properties("FunctionMessages").pop("FunctionResponseTypes"),
    ),
    (
        template.mapping,
        "no limit of concurrency",
        lambda s, m, p: s.properties("FunctionMessages").pop("ScalingConfig"),
    ),
    (template.mapping, "a loop is stopped", lambda s, m, p: s.properties("Function").pop("RecursiveLoop")),
    (
        template.rights,
        "a wildcard action",
        lambda s, m, p: _statement(s, "FunctionRole", "DeadLetter").update(Action="sqs:*"),
    ),
    (template.rights, "every secret", lambda s, m, p: _statement(s, "FunctionRole", "ReadSecret").update(Resource="*")),
    (
        template.rights,
        "a managed policy",
        lambda s, m, p: s.properties("FunctionRole").update(ManagedPolicyArns=["arn"]),
    ),
    (template.buckets, "a bucket that goes", lambda s, m, p: s.resources["LogBucket"].pop("DeletionPolicy")),
    (
        template.buckets,
        "a public bucket",
        lambda s, m, p: s.properties("QuarantineBucket").pop("PublicAccessBlockConfiguration"),
    ),
    (template.alarms, "an alarm less", lambda s, m, p: s.resources.pop("ThrottlesAlarm")),
    (
        template.alarms,
        "silence is fine",
        lambda s, m, p: s.properties("SilenceAlarm").update(TreatMissingData="notBreaching"),
    ),
    (template.alarms, "nobody is told", lambda s, m, p: s.properties("ErrorsAlarm").pop("AlarmActions")),
    (
        template.parameters,
        "a parameter without effect",
        lambda s, m, p: s.properties("Function").pop("EphemeralStorage"),
    ),
    (template.rules, "a rule that joins", lambda s, m, p: s.rules.update({"Joins": {"Fn::Join": ["", []]}})),
    (parity.parameters, "another default", lambda s, m, p: m.variables["batch_size"].update(default=1)),
    (parity.parameters, "another limit", lambda s, m, p: m.variables["max_receives"].pop("validation")),
    (parity.parameters, "a variable less", lambda s, m, p: m.variables.pop("zones")),
    (parity.resources, "a resource more", lambda s, m, p: m.resources.update({"aws_sqs_queue.other": {}})),
    (parity.resources, "an attribute more", lambda s, m, p: m.resources["aws_sqs_queue.main"].update(delay_seconds=1)),
    (
        parity.resources,
        "another attribute",
        lambda s, m, p: m.resources["aws_lambda_function.shipper"].update(memory_size=128),
    ),
    (
        parity.resources,
        "a setting less",
        lambda s, m, p: m.resources["aws_lambda_function.shipper"]["environment"][0]["variables"].popitem(),
    ),
    (parity.policies, "another right", lambda s, m, p: m.statements("function")[-1][1].update(effect="Allow")),
    (parity.policies, "another resource", lambda s, m, p: m.statements("function")[0][1].update(resources=["*"])),
    (
        parity.computed,
        "another formula",
        lambda s, m, p: m.locals.update(visibility_seconds="5 * var.timeout_seconds + 60"),
    ),
    (parity.alarms, "another alarm", lambda s, m, p: m.locals["alarms"]["silence"].update(threshold=0)),
    (parity.outputs, "an output less", lambda s, m, p: m.outputs.pop("dlq_url")),
    (parity.dashboard, "another dashboard", lambda s, m, p: setattr(m, "dashboard", "{}")),
    (
        documents.settings,
        "a setting that is new",
        lambda s, m, p: setattr(p, "settings", p.settings + "| `NEW` | 1 | new |\n"),
    ),
    (
        documents.settings,
        "a default that moved",
        lambda s, m, p: setattr(p, "settings", p.settings.replace("| 4194304 |", "| 1048576 |")),
    ),
    (
        documents.metrics,
        "a metric that went",
        lambda s, m, p: setattr(p, "metrics", p.metrics.replace("| `quarantined` |", "| `bad` |")),
    ),
    (
        documents.rights,
        "a right that is not told",
        lambda s, m, p: setattr(p, "rights", p.rights.replace("| `kms:Decrypt` |", "| `kms:Sign` |")),
    ),
    (documents.parameters, "old parameters", lambda s, m, p: setattr(p, "parameters", "")),
    (
        documents.alarms,
        "an alarm without advice",
        lambda s, m, p: setattr(p, "readme", p.readme.replace("| `silence` |", "| |")),
    ),
]


def unnoticed(stack: Template, module: Module, pages: Pages) -> Iterator[str]:
    """The faults that their check does not find, and the checks without a fault."""
    for check, name, plant in FAULTS:
        ours, theirs, texts = copy.deepcopy(stack), copy.deepcopy(module), copy.deepcopy(pages)
        plant(ours, theirs, texts)
        beside: dict[str, list[object]] = {parity.__name__: [theirs], documents.__name__: [texts]}
        if not any(check(ours, *beside.get(check.__module__, []))):
            yield f"{name}: not found"
    tried = {check for check, _name, _plant in FAULTS}
    every: list[Check] = [*template.CHECKS.values(), *parity.CHECKS.values(), *documents.CHECKS.values()]
    for check in every:
        if check not in tried:
            yield f"{check.__module__}.{check.__name__}: no fault is planted for it"
