"""The template against the pages: settings, metrics, rights, parameters, what each alarm means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .sam import Template, snake_case
from .template import granted

# Settings that the template sets by itself, or not at all: credentials belong into the secret, files into a layer, and
# alarms are computed from the margin's default.
NOT_PARAMETERS = {
    "QUEUE_URL",
    "DLQ_URL",
    "ELASTICSEARCH_API_KEY",
    "ELASTICSEARCH_USERNAME",
    "ELASTICSEARCH_PASSWORD",
    "ELASTICSEARCH_SECRET_FILE",
    "KIBANA_URL",
    "DEADLINE_MARGIN_MS",
}
SET_BY_TEMPLATE = {"QUEUE_URL", "DLQ_URL"}

PARAMETERS_HEAD = """Parameters of the SAM template and, in `snake_case`, variables of the Terraform module. Lists are written with commas for
SAM. `infra/check/run --write` writes this page from the template.

| parameter | default | allowed | |
|---|---|---|---|
"""


@dataclass
class Pages:
    """Pages by what they are about. `write_parameters` replaces one of them."""

    settings: str
    metrics: str
    rights: str
    readme: str
    parameters: str
    parameters_path: Path

    @staticmethod
    def read(repository: Path) -> Pages:
        """Reads all pages; the one that is written here may be missing."""
        path = repository / "infra/parameters.md"
        return Pages(
            settings=(repository / "src/config/settings.md").read_text(),
            metrics=(repository / "src/telemetry/metrics.md").read_text(),
            rights=(repository / "infra/rights.md").read_text(),
            readme=(repository / "infra/README.md").read_text(),
            parameters=path.read_text() if path.exists() else "",
            parameters_path=path,
        )

    def write_parameters(self, template: Template) -> None:
        """Writes the page of parameters."""
        self.parameters = _parameters_page(template)
        self.parameters_path.write_text(self.parameters)


def settings(template: Template, pages: Pages) -> Iterator[str]:
    """Every setting is a parameter with the same default, or is set, or has a reason not to be."""
    variables = template.properties("Function")["Environment"]["Variables"]
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", pages.settings, re.MULTILINE)
    names = {name for name, _default in rows}
    expected = names - NOT_PARAMETERS | SET_BY_TEMPLATE
    for name in sorted(expected ^ {variable.removeprefix("FLOWSHIP_") for variable in variables}):
        yield f"{name} is a setting of the function or a variable of the template, not both"
    by_setting = {snake_case(name).upper(): parameter for name, parameter in template.parameters.items()}
    for name, default in rows:
        if name in NOT_PARAMETERS:
            continue
        parameter = by_setting.get(name)
        if parameter is None:
            yield f"{name} is no parameter"
        elif str(parameter.get("Default", "")) != default.strip():
            yield f"{name}: the default is {default!r} in the function, {parameter.get('Default')!r} in the template"


def metrics(template: Template, pages: Pages) -> Iterator[str]:
    """Own metrics that are alarmed on or shown exist."""
    names = set(re.findall(r"^\| `([a-z_]+)` \|", pages.metrics, re.MULTILINE))
    text = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"][0]
    used = set(re.findall(r'"\$\{namespace\}", "(\w+)"', text))
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        if alarm["Properties"]["Namespace"] == {"Ref": "MetricsNamespace"}:
            used.add(alarm["Properties"]["MetricName"])
    for name in sorted(used - names):
        yield f"{name} is no metric of the function"


def rights(template: Template, pages: Pages) -> Iterator[str]:
    """The page names every right of the role, and no other."""
    rows = set(re.findall(r"^\| `(\w+:\w+)` \|.*\| (.*?) \|$", pages.rights, re.MULTILINE))
    when = {"HasKmsKeys": "`KmsKeyArns`", "HasVpc": "`SubnetIds`"}
    held = {(action, when.get(condition or "", "always")) for condition, action in granted(template)}
    for action, condition in sorted(rows ^ held):
        yield f"{action} ({condition}) is in the role or in infra/rights.md, not in both"


def parameters(template: Template, pages: Pages) -> Iterator[str]:
    """The page of parameters is that of the template."""
    if pages.parameters != _parameters_page(template):
        yield "infra/parameters.md is not up to date: infra/check/run --write"


def alarms(template: Template, pages: Pages) -> Iterator[str]:
    """Every alarm, and every alarm's place on the dashboard."""
    dashboard = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"][0]
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        name = alarm["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("${Name}-")
        if f"| `{name}` |" not in pages.readme:
            yield f"infra/README.md does not say what the alarm {name} means"
        if f':alarm:${{name}}-{name}"' not in dashboard:
            yield f"the dashboard does not show the alarm {name}"


def _parameters_page(template: Template) -> str:
    rows = []
    for name, parameter in template.parameters.items():
        default = parameter.get("Default")
        shown = "**required**" if default is None else f"`{default}`" if default != "" else ""
        low, high = parameter.get("MinValue"), parameter.get("MaxValue")
        allowed = ", ".join(str(value) for value in parameter.get("AllowedValues", []))
        if low is not None:
            allowed = f"{low} to {high}" if high is not None else f"from {low}"
        rows.append(f"| `{name}` | {shown} | {allowed} | {parameter['Description']} |\n")
    return PARAMETERS_HEAD + "".join(rows)


CHECKS: dict[str, Callable[[Template, Pages], Iterator[str]]] = {
    "pages: every setting of the function is a parameter": settings,
    "pages: alarms and dashboard use metrics that exist": metrics,
    "pages: rights.md is the role": rights,
    "pages: parameters.md is the template": parameters,
    "pages: every alarm is explained and shown": alarms,
}
