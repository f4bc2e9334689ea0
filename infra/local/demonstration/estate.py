"""Whose traffic it is: three accounts, five VPCs, their interfaces, and who talks to them from outside.

The same in every run. All public addresses are from ranges that nobody uses (RFC 5737, RFC 2544, RFC 3849).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

DEFAULT_FIELDS = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
# Two formats of the users' own: some fields in another order, and all fields up to version 5.
OWN_ORDER_FIELDS = (
    "vpc-id subnet-id az-id flow-direction tcp-flags interface-id account-id action srcaddr srcport dstaddr dstport "
    "protocol packets bytes start end log-status version"
)
ALL_FIELDS = (
    f"{DEFAULT_FIELDS} vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id "
    "sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path"
)

ZONES = ("use1-az1", "use1-az2", "use1-az4")

# What scanners knock at, the most popular first.
POPULAR_PORTS = (23, 22, 3389, 445, 8080, 6379, 5900, 1433, 3306, 2375, 9200, 5060, 25, 11211)
_ZIPF_OF_PORTS = list(accumulate(1 / (rank + 2) for rank in range(len(POPULAR_PORTS))))

# role: number of interfaces, and the port on which it serves
ROLES = {
    "balancer": (3, 443),
    "application": (10, 8080),
    "database": (3, 5432),
    "cache": (2, 6379),
    "bastion": (1, 22),
    "worker": (9, 9100),
    "idle": (4, 0),
}


@dataclass(frozen=True)
class Interface:
    """One network interface."""

    id: str
    instance: str
    address: str
    address6: str
    subnet: str
    zone: str
    port: int


@dataclass(frozen=True)
class Vpc:
    """One VPC with one flow log."""

    name: str
    account: str
    region: str
    id: str
    flow_log: str
    fields: str
    is_hive: bool
    share: float
    interfaces: dict[str, list[Interface]]

    @cached_property
    def all_interfaces(self) -> list[Interface]:
        """Of all roles."""
        return [interface for role in self.interfaces.values() for interface in role]

    def prefix(self, date: str) -> str:
        """The folder of a day (`yyyy-MM-dd`) in the bucket."""
        year, month, day = date.split("-")
        if self.is_hive:
            return (
                f"AWSLogs/aws-account-id={self.account}/aws-service=vpcflowlogs/aws-region={self.region}/"
                f"year={year}/month={month}/day={day}"
            )
        return f"AWSLogs/{self.account}/vpcflowlogs/{self.region}/{year}/{month}/{day}"


def _vpc(number: int, name: str, account: str, fields: str, share: float, is_hive: bool = False) -> Vpc:
    rng = random.Random(f"flowship demo {name}")
    subnets = [f"subnet-0{rng.getrandbits(64):016x}" for _ in ZONES]
    interfaces: dict[str, list[Interface]] = {}
    host = 10
    for role, (count, port) in ROLES.items():
        interfaces[role] = []
        for position in range(count):
            zone = position % len(ZONES)
            host += rng.randrange(1, 9)
            is_managed = role == "balancer"
            interfaces[role].append(
                Interface(
                    id=f"eni-0{rng.getrandbits(64):016x}",
                    instance="-" if is_managed else f"i-0{rng.getrandbits(64):016x}",
                    address=f"10.{16 * number}.{zone * 16}.{host}",
                    address6=f"2001:db8:{number:x}:{zone + 1:x}00::{rng.getrandbits(16):x}:{host:x}",
                    subnet=subnets[zone],
                    zone=ZONES[zone],
                    port=port,
                )
            )
    return Vpc(
        name=name,
        account=account,
        region="us-east-1",
        id=f"vpc-0{rng.getrandbits(64):016x}",
        flow_log=f"fl-0{rng.getrandbits(64):016x}",
        fields=fields,
        is_hive=is_hive,
        share=share,
        interfaces=interfaces,
    )


VPCS = (
    _vpc(1, "shop", "111122223333", DEFAULT_FIELDS, 2.2),
    _vpc(2, "shop-data", "111122223333", DEFAULT_FIELDS, 1.0),
    _vpc(3, "office", "444455556666", OWN_ORDER_FIELDS, 0.9),
    _vpc(4, "services", "444455556666", DEFAULT_FIELDS, 1.1, is_hive=True),
    _vpc(5, "lab", "777788889999", ALL_FIELDS, 0.8),
)


class Outside:
    """Who is on the internet: clients, a few of which do most of the talking; services; scanners."""

    def __init__(self) -> None:
        rng = random.Random("flowship demo outside")
        self.clients = [f"198.{rng.choice((18, 19))}.{rng.randrange(256)}.{rng.randrange(1, 255)}" for _ in range(4000)]
        self.clients6 = [f"2001:db8:{rng.randrange(0xA000, 0xFFFF):x}::{rng.getrandbits(16):x}" for _ in range(400)]
        self.services = [f"198.51.100.{host}" for host in range(10, 40)]
        self.backup = "198.51.100.200"
        self.time_servers = ["192.0.2.123", "192.0.2.124"]
        self.scanners = [f"203.0.113.{host}" for host in rng.sample(range(1, 255), 60)]
        # Every scanner has its own few ports.
        self.favourite_ports = {
            scanner: rng.choices(POPULAR_PORTS, cum_weights=_ZIPF_OF_PORTS, k=rng.randrange(1, 6))
            for scanner in self.scanners
        }
        self.scanner_weights = list(accumulate(1 / (rank + 3) for rank in range(len(self.scanners))))
        # Zipf: the k-th client talks a k-th as often as the first.
        self.client_weights = list(accumulate(1 / (rank + 8) for rank in range(len(self.clients))))
        self.client6_weights = list(accumulate(1 / (rank + 4) for rank in range(len(self.clients6))))
