"""What Elasticsearch holds: counts and tables, asked over HTTP as anybody would."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from .console import DemoFailed

INDEX_PREFIX = "flowlogs"
PATTERN = f"{INDEX_PREFIX}-vpc-*"
LEDGER_PATTERN = "flowship-ledger-*"
TIMEOUT_S = 60
# More buckets a shard than there are different values here: the sums are exact, not estimates.
EXACT = 20_000


@dataclass(frozen=True)
class Index:
    """One day's index."""

    name: str
    documents: int
    num_bytes: int


class Search:
    """An Elasticsearch without passwords, such as the local one."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # No proxy: the server is on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def version(self) -> str:
        """The server's version."""
        nodes = self._call("GET", "/_nodes/_local?filter_path=nodes.*.version")["nodes"]
        return str(next(iter(nodes.values()))["version"])

    def indices(self) -> list[Index]:
        """The indices of flow logs, in the order of their days, as of now."""
        self._call("POST", f"/{PATTERN}/_refresh")
        stats = self._call("GET", f"/{PATTERN}/_stats/docs,store?level=indices")["indices"]
        found = [
            Index(name, values["primaries"]["docs"]["count"], values["primaries"]["store"]["size_in_bytes"])
            for name, values in stats.items()
        ]
        return sorted(found, key=lambda index: index.name)

    def delete_indices(self) -> int:
        """Deletes the indices of flow logs, and of the ledger; how many the first were."""
        names = [index.name for index in self.indices()]
        for name in [*names, *self._call("GET", f"/{LEDGER_PATTERN}/_settings")]:
            self._call("DELETE", f"/{name}")
        return len(names)

    def refresh_ledger(self) -> None:
        """Shows what was written into the ledger until now."""
        self._call("POST", f"/{LEDGER_PATTERN}/_refresh")

    def total_bytes(self) -> int:
        """The bytes of all records together, asked by the alias `network.bytes`."""
        answer = self._aggregate({"bytes": {"sum": {"field": "network.bytes"}}})
        return int(answer["bytes"]["value"])

    def accounts(self) -> dict[tuple[str, str], int]:
        """Records of each account and action."""
        actions = {"terms": {"field": "event.action", "size": 10}}
        accounts = {"terms": {"field": "cloud.account.id", "size": 100}, "aggs": {"actions": actions}}
        answer = self._aggregate({"accounts": accounts})
        return {
            (account["key"], action["key"]): action["doc_count"]
            for account in answer["accounts"]["buckets"]
            for action in account["actions"]["buckets"]
        }

    def top_talkers(self, size: int) -> list[dict[str, Any]]:
        """Sources with the most bytes."""
        terms = {"field": "source.ip", "size": size, "shard_size": EXACT, "order": {"bytes": "desc"}}
        inner = {
            "bytes": {"sum": {"field": "network.bytes"}},
            "packets": {"sum": {"field": "network.packets"}},
            "peers": {"cardinality": {"field": "destination.ip"}},
        }
        answer = self._aggregate({"talkers": {"terms": terms, "aggs": inner}})
        return list(answer["talkers"]["buckets"])

    def rejected_ports(self, size: int) -> list[dict[str, Any]]:
        """Destination ports of refused packets, with the number of different sources."""
        terms = {"field": "destination.port", "size": size, "shard_size": EXACT}
        inner = {
            "sources": {"cardinality": {"field": "source.ip"}},
            "targets": {"cardinality": {"field": "destination.ip"}},
        }
        answer = self._aggregate({"ports": {"terms": terms, "aggs": inner}}, query={"term": {"event.action": "REJECT"}})
        return list(answer["ports"]["buckets"])

    def _aggregate(self, aggregations: dict[str, Any], query: dict[str, Any] | None = None) -> dict[str, Any]:
        body = {"size": 0, "query": query or {"match_all": {}}, "aggs": aggregations}
        return dict(self._call("POST", f"/{PATTERN}/_search", body)["aggregations"])

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"}, method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            said = error.read(400).decode(errors="replace")
            raise DemoFailed(f"Elasticsearch answered {error.code} to {method} {path}: {said}") from error
        except OSError as error:
            raise DemoFailed(f"Elasticsearch at {self.url} did not answer {method} {path}: {error}") from error
