"""The template and the module, compared: parameters, resources, properties, rights, alarms, outputs, the dashboard.

Both are brought to Terraform's words: `!Ref MaxReceives` and `var.max_receives` are one thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from .sam import Json, Template, snake_case
from .template import as_list
from .terraform import Module
from .twins import ALONE, BESIDE, GUARDS, LOCALS, NAMES, POLICIES, PROPERTIES, RESOURCES, VALUES

# A package is uploaded before CloudFormation sees the template.
TERRAFORM_ONLY = {"package_file"}

# What is about Terraform's own work.
ABOUT_TERRAFORM = {"count", "depends_on", "lifecycle"}

NO_VALUE = {"Ref": "AWS::NoValue"}


def words(value: Any) -> Any:
    """A CloudFormation value in Terraform's words."""
    for theirs, ours in VALUES:
        if value == theirs:
            return ours
    match value:
        case {"Fn::If": [_, inner, other]} if other == NO_VALUE:
            return words(inner)
        case {"Ref": str(name)}:
            return _name(name)
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return _name(f"{name}.{attribute}")
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(.+?)\}", lambda found: "${" + _name(found[1]) + "}", text)
        case dict():
            return {name: words(inner) for name, inner in value.items()}
        case list():
            return [words(inner) for inner in value]
    return value


def parameters(template: Template, module: Module) -> Iterator[str]:
    """Names, types, defaults, limits, descriptions."""
    ours = {snake_case(name): _variable(snake_case(name), parameter) for name, parameter in template.parameters.items()}
    theirs = {name: variable for name, variable in module.variables.items() if name not in TERRAFORM_ONLY}
    yield from _differences("variable", ours, theirs)


def resources(template: Template, module: Module) -> Iterator[str]:
    """Every resource has its twin; so has every property, with the same value."""
    alarms = set(template.of_type("AWS::CloudWatch::Alarm"))
    yield from _only("resource", set(template.resources) - alarms, set(RESOURCES))
    yield from _only("resource", set(module.resources), set(RESOURCES.values()) | BESIDE)
    for ours, theirs in PROPERTIES.items():
        name, path = ours.split(" ")
        address, attribute = theirs.split(" ")
        mine = _at(words(template.properties(name)), path)
        other = _at(module.resources[address], attribute)
        if isinstance(other, str) and other.startswith("jsonencode("):
            mine = f"jsonencode({_hcl(mine)})"
        if mine != other:
            yield f"{ours} is {mine}, {theirs} is {other}"
    told = {
        " ".join([name, path.split(".")[0]]) for name, path in map(str.split, [*PROPERTIES, *PROPERTIES.values()])
    } | ALONE
    for name in RESOURCES:
        for member in template.properties(name):
            if f"{name} {member}" not in told:
                yield f"{name} {member} has no twin"
    for address in RESOURCES.values():
        for member in set(module.resources[address]) - ABOUT_TERRAFORM:
            if f"{address} {member}" not in told:
                yield f"{address} {member} has no twin"


def policies(template: Template, module: Module) -> Iterator[str]:
    """Statement by statement: effect, actions, resources, conditions, principals, and when it is there."""
    for name, document in POLICIES.items():
        ours = {of["Sid"]: _statement(GUARDS[condition], of) for condition, of in template.statements(name)}
        theirs = {of["sid"]: _normal(module, guard, of) for guard, of in module.statements(document)}
        yield from _differences(name, ours, theirs)


def computed(template: Template, module: Module) -> Iterator[str]:
    """What Terraform computes and CloudFormation looks up; the checks before use; other values with two forms."""
    for timeout, row in template.mappings["Timeout"].items():
        for local, value in (
            ("visibility_seconds", row["VisibilitySeconds"]),
            ("duration_alarm_ms", row["DurationAlarmMs"]),
        ):
            formula = re.fullmatch(r"(\d+) \* var\.timeout_seconds ([+-]) (\d+)", module.locals[local])
            if not formula or int(formula[1]) * int(timeout) + int(formula[2] + formula[3]) != int(value):
                yield f"timeout {timeout} s: {local} is not {value}"
    for name, text in LOCALS.items():
        if module.locals.get(name) != text:
            yield f"local.{name} is {module.locals.get(name)}, not {text}"
    ours = {
        _in_snake_case(assertion["AssertDescription"], template) + "."
        for rule in template.rules.values()
        for assertion in rule["Assertions"]
    }
    blocks = [*module.resources.values(), *module.data.values()]
    theirs = {
        condition["error_message"]
        for block in blocks
        for lifecycle in block.get("lifecycle", [])
        for condition in lifecycle.get("precondition", [])
    }
    yield from _only("rule", ours, theirs)


def alarms(template: Template, module: Module) -> Iterator[str]:
    """Alarm by alarm."""
    ours = {}
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        of = words(alarm["Properties"])
        ours[of["AlarmName"].removeprefix("${var.name}-")] = {
            "description": of["AlarmDescription"],
            "namespace": of["Namespace"],
            "metric": of["MetricName"],
            "dimensions": {each["Name"]: each["Value"] for each in of["Dimensions"]},
            "statistic": of["Statistic"],
            "evaluation_periods": of["EvaluationPeriods"],
            "comparison": of["ComparisonOperator"],
            "threshold": of["Threshold"],
            "missing_data": of["TreatMissingData"],
        }
        if of["Period"] != module.resources["aws_cloudwatch_metric_alarm.main"]["period"]:
            yield f"{of['AlarmName']}: another period"
    yield from _differences("alarm", ours, module.locals["alarms"])


def outputs(template: Template, module: Module) -> Iterator[str]:
    """Names, values, descriptions."""
    ours = {}
    for name, output in template.outputs.items():
        value = output["Value"] | ({"Output": True} if "Condition" in output else {})
        described = {"description": output["Description"]} if "Description" in output else {}
        ours[snake_case(name)] = described | {"value": words(value)}
    yield from _differences("output", ours, module.outputs)


def dashboard(template: Template, module: Module) -> Iterator[str]:
    """One text, filled in with the same names."""
    text, names = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    if text != module.dashboard:
        yield "the template's dashboard is not infra/terraform/dashboard.json"
    call = module.resources["aws_cloudwatch_dashboard.main"]["dashboard_body"]
    if call != f'templatefile("${{path.module}}/dashboard.json", {_hcl(words(names))})':
        yield f"the dashboard's names are {_hcl(words(names))} and {call}"


def _name(name: str) -> str:
    return NAMES.get(name) or f"var.{snake_case(name)}"


def _in_snake_case(text: str, template: Template) -> str:
    return re.sub(r"\b\w+\b", lambda found: snake_case(found[0]) if found[0] in template.parameters else found[0], text)


def _variable(name: str, parameter: Json) -> Json:
    """The Terraform variable that a parameter must be."""
    allowed = [str(value) for value in parameter.get("AllowedValues", [])]
    default = parameter.get("Default")
    kind = {"String": "string", "Number": "number", "CommaDelimitedList": "list(string)"}[parameter["Type"]]
    if allowed == ["true", "false"]:
        kind, default, allowed = "bool", default == "true", []
    if kind == "list(string)":
        default = []
    conditions = []
    if allowed:
        values = allowed if kind == "number" else [f'"{value}"' for value in allowed]
        conditions.append(f"contains([{', '.join(values)}], var.{name})")
    limits = [(">=", parameter.get("MinValue")), ("<=", parameter.get("MaxValue"))]
    limited = [f"var.{name} {sign} {value}" for sign, value in limits if value is not None]
    if limited:
        conditions.append(" && ".join(limited))
    if "AllowedPattern" in parameter:
        conditions.append(f'can(regex("^({parameter["AllowedPattern"]})$", var.{name}))')
    return {
        "description": parameter["Description"],
        "type": kind,
        **({"default": default} if "Default" in parameter else {}),
        **({"validation": conditions} if conditions else {}),
    }


def _statement(guard: str | None, statement: Json) -> Json:
    principal = statement.get("Principal", {})
    principals = {"*": ["*"]} if principal == "*" else {kind: as_list(name) for kind, name in principal.items()}
    return {
        "guard": guard,
        "effect": statement["Effect"],
        "actions": sorted(as_list(statement["Action"])),
        "resources": as_list(words(statement["Resource"])),
        "principals": principals,
        "conditions": {
            (test, key): as_list(words(value))
            for test, keys in statement.get("Condition", {}).items()
            for key, value in keys.items()
        },
    }


def _normal(module: Module, guard: str | None, statement: Json) -> Json:
    actions = statement["actions"]
    if isinstance(actions, str):
        actions = module.locals[actions.removeprefix("local.")]
    return {
        "guard": guard,
        "effect": statement.get("effect", "Allow"),
        "actions": sorted(actions),
        "resources": as_list(statement["resources"]),
        "principals": {each["type"]: each["identifiers"] for each in statement.get("principals", [])},
        "conditions": {
            (each["test"], each["variable"]): as_list(each["values"]) for each in statement.get("condition", [])
        },
    }


def _differences(what: str, ours: Json, theirs: Json) -> Iterator[str]:
    yield from _only(what, set(ours), set(theirs))
    for name in ours.keys() & theirs.keys():
        mine, other = ours[name], theirs[name]
        if "validation" in other:
            other = other | {"validation": [each["condition"] for each in other["validation"]]}
        for member in sorted(mine.keys() | other.keys()):
            if mine.get(member) != other.get(member):
                yield f"{what} {name}: {member} is {mine.get(member)} in SAM, {other.get(member)} in Terraform"


def _only(what: str, ours: set[str], theirs: set[str]) -> Iterator[str]:
    for name in sorted(ours ^ theirs):
        yield f"{what} {name} is not in both"


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        try:
            value = value[int(step)] if step.isdigit() else value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _hcl(value: Any) -> str:
    """As the parser writes objects and lists."""
    match value:
        case dict():
            return "{" + ", ".join(f"{name} = {_hcl(inner)}" for name, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(_hcl(inner) for inner in value) + "]"
        case str() if re.fullmatch(r"(var|local|aws_\w+)\..+", value):
            return value
        case str():
            return f'"{value}"'
    return str(value)


CHECKS: dict[str, Callable[[Template, Module], Iterator[str]]] = {
    "SAM and Terraform: the same parameters": parameters,
    "SAM and Terraform: the same resources and properties": resources,
    "SAM and Terraform: the same policies": policies,
    "SAM and Terraform: the same computed values and rules": computed,
    "SAM and Terraform: the same alarms": alarms,
    "SAM and Terraform: the same outputs": outputs,
    "SAM and Terraform: the same dashboard": dashboard,
}
