"""The SAM template: as it is written, as CloudFormation gets it, and what cfn-lint says of it."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

Json = dict[str, Any]


@dataclass(frozen=True)
class Template:
    """`resources` are those that CloudFormation makes: the transform has replaced the SAM ones."""

    parameters: dict[str, Json]
    mappings: Json
    conditions: Json
    rules: Json
    outputs: Json
    resources: dict[str, Json]
    text: str

    def properties(self, name: str) -> Json:
        """The properties of a resource."""
        properties: Json = self.resources[name].get("Properties", {})
        return properties

    def of_type(self, kind: str) -> dict[str, Json]:
        """The resources of a type, by name."""
        return {name: of for name, of in self.resources.items() if of["Type"] == kind}

    def statements(self, name: str) -> list[tuple[str | None, Json]]:
        """The statements of a policy or of the only policy of a role, each with the condition it stands under."""
        properties = self.properties(name)
        document = properties.get("PolicyDocument") or properties["Policies"][0]["PolicyDocument"]
        return [under_condition(statement) for statement in document["Statement"]]


def under_condition(value: Any) -> tuple[str | None, Any]:
    """What `!If [condition, value, !Ref AWS::NoValue]` holds; anything else stands under no condition."""
    match value:
        case {"Fn::If": [str(condition), inner, {"Ref": "AWS::NoValue"}]}:
            return condition, inner
    return None, value


def load(path: Path) -> Template:
    """Reads and transforms the template."""
    text = path.read_text()
    written = yaml_parse(text)
    written["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://bucket/bootstrap.zip"
    # A region is asked for and not used.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    transformed = translator.translate(copy.deepcopy(written), {})
    return Template(
        parameters=written["Parameters"],
        mappings=written["Mappings"],
        conditions=written["Conditions"],
        rules=transformed["Rules"],
        outputs=transformed["Outputs"],
        resources=transformed["Resources"],
        text=text,
    )


def lint(path: Path) -> list[str]:
    """What cfn-lint finds; warnings count."""
    command = [str(Path(sys.executable).parent / "cfn-lint"), "--format", "parseable", "--", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return []
    return (run.stdout + run.stderr).strip().splitlines() or [f"cfn-lint ended with {run.returncode}"]


def snake_case(name: str) -> str:
    """`LogBucketArns` → `log_bucket_arns`."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
