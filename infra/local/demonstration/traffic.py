"""Conversations in a VPC → flow log lines, as AWS would write them for one delivery slot of five minutes.

Clients come through balancers to applications, which ask databases and caches; workers call out and back up; scanners
are refused. Every accepted conversation has a record for each direction, and between two interfaces of the VPC both
interfaces have both. The same seed gives the same lines.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .estate import DEFAULT_FIELDS, Interface, Outside, Vpc

SLOT_S = 300
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
SYN, FIN, SYN_ACK = 2, 1, 18
NODATA_SHARE = 0.011
SKIPDATA_SHARE = 0.0007


@dataclass(frozen=True, slots=True)
class Record:
    """One flow record, before it is written in some format."""

    interface: Interface
    source: str
    destination: str
    source_port: int
    destination_port: int
    protocol: int
    packets: int
    num_bytes: int
    start: int
    end: int
    action: str
    flags: int
    is_ingress: bool


class SlotTraffic:
    """The lines of one VPC in one slot. `slot` is its beginning, Unix seconds: records end within the slot."""

    def __init__(self, vpc: Vpc, outside: Outside, slot: int, seed: str) -> None:
        self._vpc = vpc
        self._outside = outside
        self._slot = slot
        self._rng = random.Random(seed)
        self._write = _writer(vpc)

    def lines(self, count: int) -> list[str]:
        """Exactly so many."""
        lines: list[str] = []
        while len(lines) < count:
            lines.extend(self._conversation())
        return lines[:count]

    def _conversation(self) -> Iterator[str]:
        rng, roles = self._rng, self._vpc.interfaces
        dice = rng.random()
        if dice < NODATA_SHARE:
            return iter((self._empty("NODATA"),))
        if dice < NODATA_SHARE + SKIPDATA_SHARE:
            return iter((self._empty("SKIPDATA"),))
        if dice < 0.40:
            return self._from_outside(rng.choice(roles["balancer"]))
        if dice < 0.62:
            return self._inside(rng.choice(roles["balancer"]), rng.choice(roles["application"]))
        if dice < 0.74:
            return self._inside(rng.choice(roles["application"]), rng.choice(roles["database"]))
        if dice < 0.81:
            return self._inside(rng.choice(roles["application"]), rng.choice(roles["cache"]))
        if dice < 0.89:
            return self._to_outside(rng.choice(roles["worker"]), rng.choice(self._outside.services), 443, TCP)
        if dice < 0.93:
            clock = rng.choice(self._outside.time_servers)
            return self._to_outside(rng.choice(self._vpc.all_interfaces), clock, 123, UDP)
        if dice < 0.95:
            return self._ping(rng.choice(roles["bastion"]))
        if dice < 0.955:
            return self._to_outside(rng.choice(roles["database"]), self._outside.backup, 443, TCP, weight=400)
        return self._scan()

    # ---- kinds of conversation

    def _from_outside(self, server: Interface) -> Iterator[str]:
        rng, outside = self._rng, self._outside
        if rng.random() < 0.08:
            client = rng.choices(outside.clients6, cum_weights=outside.client6_weights)[0]
            return self._both_ways(server, client, server.address6, server.port, TCP, is_server=True, weight=3)
        client = rng.choices(outside.clients, cum_weights=outside.client_weights)[0]
        return self._both_ways(server, client, server.address, server.port, TCP, is_server=True, weight=3)

    def _inside(self, client: Interface, server: Interface) -> Iterator[str]:
        state = self._rng.getstate()
        yield from self._both_ways(server, client.address, server.address, server.port, TCP, is_server=True)
        after = self._rng.getstate()
        # The other interface saw the same packets.
        self._rng.setstate(state)
        yield from self._both_ways(client, client.address, server.address, server.port, TCP, is_server=False)
        self._rng.setstate(after)

    def _to_outside(self, client: Interface, server: str, port: int, protocol: int, weight: int = 1) -> Iterator[str]:
        return self._both_ways(client, client.address, server, port, protocol, is_server=False, weight=weight)

    def _ping(self, bastion: Interface) -> Iterator[str]:
        target = self._rng.choice(self._vpc.all_interfaces)
        if self._rng.random() < 0.3:
            return self._both_ways(target, bastion.address6, target.address6, 0, ICMP6, is_server=True)
        return self._both_ways(target, bastion.address, target.address, 0, ICMP, is_server=True)

    def _scan(self) -> Iterator[str]:
        """One scanner, many ports or many interfaces; nothing comes back."""
        rng, outside = self._rng, self._outside
        scanner = rng.choices(outside.scanners, cum_weights=outside.scanner_weights)[0]
        favourites = outside.favourite_ports[scanner]
        target = rng.choice(self._vpc.all_interfaces)
        is_sweep = rng.random() < 0.5
        port = rng.choice(favourites)
        for _ in range(rng.randrange(2, 12)):
            if is_sweep:
                target = rng.choice(self._vpc.all_interfaces)
            else:
                port = rng.choice(favourites) if rng.random() < 0.6 else rng.randrange(1, 65536)
            start, end = self._interval()
            packets = 1 if rng.random() < 0.9 else 3
            source_port = rng.randrange(32768, 61000)
            record = Record(
                target,
                scanner,
                target.address,
                source_port,
                port,
                TCP,
                packets,
                44 * packets,
                start,
                end,
                "REJECT",
                SYN,
                is_ingress=True,
            )
            yield self._write(record)

    def _both_ways(
        self,
        interface: Interface,
        client: str,
        server: str,
        port: int,
        protocol: int,
        *,
        is_server: bool,
        weight: int = 1,
    ) -> Iterator[str]:
        """The client's direction and the answer, as `interface` saw them; `is_server`: it is the server's."""
        rng = self._rng
        client_port = 0 if protocol in (ICMP, ICMP6) else rng.randrange(32768, 61000)
        start, end = self._interval()
        luck = max(rng.random(), 1e-6)
        asked = 1 + int(weight * min(-2 * math.log(luck) + 3 / luck**0.6, 50_000))
        answered = max(1, int(asked * rng.uniform(0.6, 1.6)))
        is_short = rng.random() < 0.6
        asked_bytes = asked * rng.randrange(44, 700 if weight < 100 else 1400)
        answered_bytes = answered * rng.randrange(44, 1200 if weight < 100 else 60)
        asked_flags, answered_flags = (SYN | FIN, SYN_ACK | FIN) if is_short else (0, 0)
        yield self._write(
            Record(
                interface,
                client,
                server,
                client_port,
                port,
                protocol,
                asked,
                asked_bytes,
                start,
                end,
                "ACCEPT",
                asked_flags if protocol == TCP else 0,
                is_ingress=is_server,
            )
        )
        yield self._write(
            Record(
                interface,
                server,
                client,
                port,
                client_port,
                protocol,
                answered,
                answered_bytes,
                start,
                end,
                "ACCEPT",
                answered_flags if protocol == TCP else 0,
                is_ingress=not is_server,
            )
        )

    def _interval(self) -> tuple[int, int]:
        """A slot's records end within it; the first ones began before."""
        end = self._slot + self._rng.randrange(SLOT_S)
        return end - self._rng.randrange(1, 60), end

    def _empty(self, status: str) -> str:
        start, end = self._interval()
        # AWS has written milliseconds into such records.
        factor = 1000 if status == "SKIPDATA" and self._rng.random() < 0.3 else 1
        interface = self._rng.choice(self._vpc.interfaces["idle"])
        values = dict.fromkeys(self._vpc.fields.split(), "-")
        known = {
            "version": _version(self._vpc.fields),
            "account-id": self._vpc.account,
            "interface-id": interface.id,
            "start": str(start * factor),
            "end": str(end * factor),
            "log-status": status,
            "vpc-id": self._vpc.id,
            "subnet-id": interface.subnet,
            "az-id": interface.zone,
            "region": self._vpc.region,
        }
        return " ".join(known.get(name, value) for name, value in values.items())


def _version(fields: str) -> str:
    """The highest version among the selected fields."""
    names = fields.split()
    return "5" if "flow-direction" in names else "3" if "vpc-id" in names else "2"


def _writer(vpc: Vpc) -> Callable[[Record], str]:
    """Record → line in the VPC's format."""
    if vpc.fields == DEFAULT_FIELDS:
        account = vpc.account

        def write_default(r: Record) -> str:
            return (
                f"2 {account} {r.interface.id} {r.source} {r.destination} {r.source_port} {r.destination_port} "
                f"{r.protocol} {r.packets} {r.num_bytes} {r.start} {r.end} {r.action} OK"
            )

        return write_default

    names, version = vpc.fields.split(), _version(vpc.fields)

    def write_own(r: Record) -> str:
        is_outside = not (r.source.startswith("10.") and r.destination.startswith("10."))
        values = {
            "version": version,
            "account-id": vpc.account,
            "interface-id": r.interface.id,
            "srcaddr": r.source,
            "dstaddr": r.destination,
            "srcport": str(r.source_port),
            "dstport": str(r.destination_port),
            "protocol": str(r.protocol),
            "packets": str(r.packets),
            "bytes": str(r.num_bytes),
            "start": str(r.start),
            "end": str(r.end),
            "action": r.action,
            "log-status": "OK",
            "vpc-id": vpc.id,
            "subnet-id": r.interface.subnet,
            "instance-id": r.interface.instance,
            "tcp-flags": str(r.flags),
            "type": "IPv6" if ":" in r.source else "IPv4",
            "pkt-srcaddr": r.source,
            "pkt-dstaddr": r.destination,
            "region": vpc.region,
            "az-id": r.interface.zone,
            "flow-direction": "ingress" if r.is_ingress else "egress",
            "traffic-path": "-" if r.is_ingress else "8" if is_outside else "1",
        }
        return " ".join(values.get(name, "-") for name in names)

    return write_own
