"""Tells the story against servers that run and with binaries that are built: infra/local/demo takes care of both."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from .cloud import CLOUD_ERRORS, Cloud
from .console import Console, DemoFailed, Interrupted, catch_signals
from .samples import SampleObjects
from .search import PATTERN, Search
from .story import Story
from .tools import STACK_VARIABLES, Tools


def main() -> int:
    """Exit code: 0 everything is as it must be, 1 it is not, 128 + signal interrupted."""
    parser = argparse.ArgumentParser(prog="demonstration")
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--first-step", type=int, default=1)
    parser.add_argument("--began", type=float, default=time.time(), help="Unix seconds")
    parser.add_argument("--stop", action="store_true", help="the servers are stopped afterwards")
    arguments = parser.parse_args()
    catch_signals()
    console = Console(arguments.first_step, arguments.began)
    variables = {name: os.environ[name] for name in STACK_VARIABLES}
    tools = Tools(console, arguments.repository, variables)
    hand_written = arguments.repository / "tests/data/flowlogs"
    try:
        search = Search(variables["FLOWSHIP_ELASTICSEARCH_URLS"])
        story = Story(
            console,
            tools,
            Cloud(variables["AWS_ENDPOINT_URL"]),
            search,
            SampleObjects(arguments.records, hand_written, int(time.time())),
        )
        story.tell()
    except (DemoFailed, *CLOUD_ERRORS) as error:
        console.clear_progress()
        print(f"\ninfra/local/demo: {error}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        console.clear_progress()
        print("\ninfra/local/demo: interrupted; the next run starts afresh", file=sys.stderr)
        return int(interrupted.args[0])
    if not arguments.stop:
        console.heading("Look around: everything is still up")
        console.say(f"Elasticsearch    {search.url}/{PATTERN}/_search?pretty&q=event.action:REJECT")
        console.say(f"S3 and SQS       {variables['AWS_ENDPOINT_URL']}")
        console.say("the commands     source target/local/demo/env; then flowctl --help, redrive --help")
        console.say("the function's   target/local/demo/shipper.log, JSON lines")
        console.say("end it           infra/local/stack stop")
    console.say()
    console.say(f"Everything is as it must be, after {console.elapsed():.0f} s.")
    return 0


sys.exit(main())
