//! The answers are written by hand, in the shapes of the Elasticsearch reference's pages on each API.

use serde_json::json;

use super::super::tests::{all, installation, now};
use super::*;

#[test]
fn health_is_red_yellow_or_green() {
    let of = |status: &str| judge_health(&Reply::Found(json!({ "status": status })));
    insta::assert_snapshot!(all(["green", "yellow", "red"].map(of)), @"
    Ok es.health: green
    Ok es.health: yellow: replicas are missing, nothing is refused
    Fail es.health: Elasticsearch's health is red: some indices cannot be written
    ");
}

fn settings(values: Value) -> Reply {
    Reply::Found(json!({"persistent": values, "transient": {}, "defaults": {
        "cluster.max_shards_per_node": "1000",
        "cluster.routing.allocation.disk.threshold_enabled": "true",
        "cluster.routing.allocation.disk.watermark.low": "85%",
        "cluster.routing.allocation.disk.watermark.low.max_headroom": "200GB",
        "cluster.routing.allocation.disk.watermark.high": "90%",
        "cluster.routing.allocation.disk.watermark.high.max_headroom": "150GB",
        "cluster.routing.allocation.disk.watermark.flood_stage": "95%",
        "cluster.routing.allocation.disk.watermark.flood_stage.max_headroom": "100GB",
        "cluster.routing.allocation.disk.watermark.flood_stage.frozen": "95%",
        "cluster.routing.allocation.disk.watermark.flood_stage.frozen.max_headroom": "20GB",
        "action.auto_create_index": "true",
    }}))
}

/// Two data nodes with so many shards, beside what the server says of its room.
fn shards(capacity: &Reply, active: u64, roles: Value) -> Check {
    let health = json!({
        "number_of_data_nodes": 2, "active_shards": active, "initializing_shards": 0, "unassigned_shards": 99,
    });
    let stats = json!({"nodes": {"x": {"roles": roles}}});
    let (health, stats) = (Reply::Found(health), Reply::Found(stats));
    judge_shards(capacity, &health, &settings(json!({})), &stats)
}

#[test]
fn room_for_shards_is_as_the_server_adds_it_up() {
    let capacity = |status: &str, data: Value, frozen: Value| {
        let details = json!({"data": data, "frozen": frozen});
        Reply::Found(json!({"indicators": {"shards_capacity": {"status": status, "details": details}}}))
    };
    let unused = || json!({"max_shards_in_cluster": 3000});
    let green = capacity("green", json!({"max_shards_in_cluster": 2000}), unused());
    let used = |used: u64, most: u64| json!({"max_shards_in_cluster": most, "current_used_shards": used});
    let checks = [
        shards(&green, 1700, json!(["data_hot"])),
        shards(&green, 1701, json!(["data_hot"])),
        shards(&green, 3000, json!(["data_frozen", "master"])),
        shards(&capacity("yellow", used(1993, 2000), unused()), 1, json!([])),
        shards(&capacity("red", used(2000, 2000), unused()), 1, json!([])),
        shards(
            &capacity("red", json!({"max_shards_in_cluster": 2000}), used(2998, 3000)),
            1,
            json!([]),
        ),
    ];
    insta::assert_snapshot!(all(checks), @"
    Ok es.shards: room for more: 2000 may be on all but frozen nodes, 3000 may be on frozen nodes
    Warn es.shards: 1800 of 2000 (90 %), 1000 a data node, if none is frozen or of a closed index
    Ok es.shards: room for more: 2000 may be on all but frozen nodes, 3000 may be on frozen nodes
    Warn es.shards: room for less than 10 more: 1993 of 2000 on all but frozen nodes, 3000 may be on frozen nodes
    Fail es.shards: 2000 of 2000 on all but frozen nodes, 3000 may be on frozen nodes: soon no new index can be created, or none now
    Fail es.shards: 2000 may be on all but frozen nodes, 2998 of 3000 on frozen nodes: soon no new index can be created, or none now
    ");
}

#[test]
fn where_the_server_does_not_add_them_up_many_shards_are_a_warning() {
    let of = |active| shards(&Reply::Absent, active, json!(["data_frozen"]));
    insta::assert_snapshot!(all([of(1700), of(1701), of(2000)]), @"
    Ok es.shards: 1799 of 2000 (89 %), 1000 a data node
    Warn es.shards: 1800 of 2000 (90 %), 1000 a data node, if none is frozen or of a closed index
    Warn es.shards: 2099 of 2000 (104 %), 1000 a data node, if none is frozen or of a closed index
    ");
}

#[test]
fn disks_are_measured_by_their_watermarks() {
    let of = |total: u64, available: u64, values: Value| {
        let nodes = json!({"nodes": {
            "x": {"name": "es-1", "roles": ["data_hot"], "fs": {"total": {"total_in_bytes": total, "available_in_bytes": available}}},
            "y": {"name": "es-2", "roles": ["master"], "fs": {"total": {"total_in_bytes": 100, "available_in_bytes": 1}}},
        }});
        judge_disks(&Reply::Found(nodes), &settings(values))
    };
    let gib = 1_u64 << 30;
    let checks = [
        of(100 * gib, 15 * gib, json!({})),
        of(100 * gib, 15 * gib - 1, json!({})),
        of(100 * gib, 9 * gib, json!({})),
        of(100 * gib, 5 * gib - 1, json!({})),
        // 85 % of a large disk would leave terabytes unused.
        of(10_000 * gib, 201 * gib, json!({})),
        of(
            100 * gib,
            gib,
            json!({
                "cluster.routing.allocation.disk.watermark.low": "3gb",
                "cluster.routing.allocation.disk.watermark.high": "2gb",
                "cluster.routing.allocation.disk.watermark.flood_stage": "500mb",
            }),
        ),
        of(
            100 * gib,
            1,
            json!({"cluster.routing.allocation.disk.threshold_enabled": "false"}),
        ),
    ];
    insta::assert_snapshot!(all(checks), @"
    Ok es.disk: es-1: 15.0 GiB of 100 GiB free, below the watermarks
    Warn es.disk: es-1: 14.9 GiB of 100 GiB free, no more shards are put here
    Warn es.disk: es-1: 9.0 GiB of 100 GiB free, shards are moved away
    Fail es.disk: es-1: 4.9 GiB of 100 GiB free, indices are write-blocked
    Ok es.disk: es-1: 201 GiB of 9.7 TiB free, below the watermarks
    Warn es.disk: es-1: 1.0 GiB of 100 GiB free, shards are moved away
    Skip es.disk: the watermarks are switched off: a full disk stops a node
    ");
}

/// Most of such a disk is a cache of fixed size, 90 % by default.
#[test]
fn a_disk_of_frozen_data_has_a_watermark_of_its_own() {
    let of = |roles: Value, available: u64| {
        let disk = json!({"total": {"total_in_bytes": 1000, "available_in_bytes": available}});
        let nodes = json!({"nodes": {"x": {"name": "es-1", "roles": roles, "fs": disk}}});
        judge_disks(&Reply::Found(nodes), &settings(json!({}))).verdict
    };
    let frozen = || json!(["data_frozen", "remote_cluster_client"]);
    assert_eq!(
        [
            of(frozen(), 60),
            of(frozen(), 49),
            of(json!(["data_frozen", "data_cold"]), 60)
        ],
        [Verdict::Ok, Verdict::Warn, Verdict::Warn]
    );
}

#[test]
fn clocks_differ_by_more_than_the_way_takes() {
    let of = |theirs: i64| {
        judge_clock(&Clock {
            before: now(),
            stats: Reply::Found(json!({"nodes": {"x": {"timestamp": now().as_millisecond() + theirs}}})),
            after: now() + jiff::SignedDuration::from_millis(40),
        })
    };
    insta::assert_snapshot!(all([of(20), of(-1500), of(30_040), of(30_041)]), @"
    Ok es.clock: no difference that could be seen (to 40 ms)
    Ok es.clock: a node is 1.500 s behind the clock here (to 40 ms)
    Ok es.clock: a node is 30.000 s ahead of the clock here (to 40 ms)
    Warn es.clock: a node is 30.001 s ahead of the clock here (to 40 ms)
    ");
}

#[test]
fn indices_are_created_by_the_first_pattern_that_fits() {
    let of = |value: &str| {
        let check = judge_auto_create(
            &settings(json!({"action.auto_create_index": value})),
            &installation(),
        );
        check.verdict
    };
    let guarded = [
        "false",
        "-flowlogs-*,-flowship-ledger-*,+*",
        "logs-*",
        "-flow*,+flowlogs-*",
    ];
    let open = ["true", "*", "-flowlogs-*,+*", "+flowlogs-vpc-*,-*", ""];
    assert_eq!(guarded.map(of), [Verdict::Ok; 4]);
    assert_eq!(
        open[..4].iter().map(|value| of(value)).collect::<Vec<_>>(),
        [Verdict::Warn; 4]
    );
}
