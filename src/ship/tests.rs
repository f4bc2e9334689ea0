//! Whole passes in memory: what is delivered, what the reports say, and that both add up.

use std::collections::HashSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::bulk::memory::{Fault, MemorySink};
use crate::object::memory::MemoryStore;
use crate::outcome::{Counts, Disposition};
use crate::quarantine::memory::MemoryQuarantine;

mod quarantine;
mod replay;
mod resumed;

const HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

/// Records of one object: a NODATA record after every 50 ordinary ones.
fn text(first: u32, num_records: u32) -> String {
    let mut text = format!("{HEADER}\n");
    for number in first..first + num_records {
        let end = 1_418_530_070 + number * 60;
        text.push_str(&format!(
            "2 123456789010 eni-1 10.0.0.1 10.0.{}.2 {} 443 6 3 {number} {} {end} ACCEPT OK\n",
            number % 256,
            1024 + number % 60_000,
            end - 50
        ));
        if number % 50 == 49 {
            text.push_str(&format!(
                "2 123456789010 eni-1 - - - - - - - {} {end} - NODATA\n",
                end - 50
            ));
        }
    }
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

struct World {
    store: MemoryStore,
    sink: MemorySink,
    quarantine: MemoryQuarantine,
    shipper: Shipper<MemoryStore, MemorySink, MemoryQuarantine>,
}

impl World {
    fn new() -> Self {
        Self::with(ShipSettings::default())
    }

    fn with(settings: ShipSettings) -> Self {
        let (store, sink) = (MemoryStore::default(), MemorySink::default());
        let quarantine = MemoryQuarantine::default();
        let settings = ShipSettings {
            bulk_max_bytes: 1 << 20,
            ..settings
        };
        let shipper = Shipper::new(
            store.clone(),
            sink.clone(),
            quarantine.clone(),
            settings,
            Arc::default(),
        );
        Self {
            store,
            sink,
            quarantine,
            shipper,
        }
    }

    async fn ship(&self, objects: &[ObjectRef]) -> ShipReport {
        self.ship_within(objects, 600).await
    }

    async fn ship_within(&self, objects: &[ObjectRef], seconds: u64) -> ShipReport {
        let deadline = Deadline::new(Instant::now() + Duration::from_secs(seconds), Duration::ZERO);
        let report = self
            .shipper
            .ship(objects.iter().cloned().map(ObjectPass::from).collect(), deadline)
            .await;
        let shown: Vec<&ObjectRef> = report.objects.iter().map(|report| &report.object).collect();
        assert_eq!(
            shown,
            objects.iter().collect::<Vec<_>>(),
            "one report an object, in order"
        );
        report
    }
}

fn reason(report: &ObjectReport) -> Option<Reason> {
    report.failure.as_ref().map(|failure| failure.reason)
}

#[tokio::test]
async fn every_line_of_every_object_is_delivered_once() {
    let world = World::new();
    let objects: Vec<ObjectRef> = (0..12)
        .map(|number| {
            world
                .store
                .put(&format!("object-{number}"), gzip(&text(number * 1000, 500)))
        })
        .collect();
    let report = world.ship(&objects).await;
    for object in &report.objects {
        let expected = Counts {
            lines: 510,
            indexed: 500,
            no_data: 10,
            ..Counts::default()
        };
        assert_eq!((object.counts, &object.failure), (expected, &None));
    }
    assert_eq!(world.sink.num_documents(), 6000);
    assert!(
        world.sink.requests().len() < 12,
        "small objects share bodies: {:?}",
        world.sink.requests()
    );

    let again = world.ship(&objects).await;
    assert_eq!(
        again.counts(),
        Counts {
            lines: 6120,
            duplicate: 6000,
            no_data: 120,
            ..Counts::default()
        }
    );
    assert_eq!(world.sink.num_documents(), 6000);
}

#[tokio::test]
async fn documents_do_not_depend_on_how_they_were_delivered() {
    let (alone, together) = (World::new(), World::new());
    for world in [&alone, &together] {
        for number in 0..3 {
            world
                .store
                .put(&format!("object-{number}"), gzip(&text(number * 1000, 2000)));
        }
    }
    let objects: Vec<ObjectRef> = (0..3)
        .map(|number| ObjectRef {
            bucket: "logs".into(),
            key: format!("object-{number}"),
            version_id: None,
        })
        .collect();
    for object in objects.iter().rev() {
        alone.ship(std::slice::from_ref(object)).await;
    }
    together.ship(&objects).await;
    assert_eq!(alone.sink.documents(), together.sink.documents());
    let indices: HashSet<String> = alone
        .sink
        .documents()
        .into_keys()
        .map(|(index, _)| index)
        .collect();
    assert!(
        indices.contains("flowlogs-vpc-2014.12.14") && indices.contains("flowlogs-vpc-2014.12.15"),
        "{indices:?}"
    );
}

#[tokio::test]
async fn a_missing_a_broken_and_a_panicking_object_leave_the_others_alone() {
    let world = World::new();
    let good = world.store.put("good", gzip(&text(0, 300)));
    let missing = ObjectRef {
        key: "missing".into(),
        ..good.clone()
    };
    let whole = gzip(&text(10_000, 3000));
    let truncated = world.store.put("truncated", whole[..whole.len() / 2].to_vec());
    let reset = world.store.put_cut("reset", whole.clone(), whole.len() / 2);
    let panicking = world.store.put_panicking("panicking");
    let report = world
        .ship(&[missing, truncated.clone(), good, reset.clone(), panicking])
        .await;
    let reasons: Vec<_> = report.objects.iter().map(reason).collect();
    assert_eq!(
        reasons,
        [
            Some(Reason::ObjectNotFound),
            Some(Reason::DecodeTruncatedGzip),
            None,
            Some(Reason::ObjectUnavailable),
            Some(Reason::InternalError)
        ]
    );
    assert_eq!(report.objects[2].counts.indexed, 300);
    let delivered = report.objects[1].counts;
    assert!(delivered.indexed > 0 && delivered.accounted() == delivered.lines);

    // Repaired, the rest is added and what was there is found again.
    world.store.put("truncated", whole.clone());
    world.store.put("reset", whole);
    let repaired = world.ship(&[truncated, reset]).await;
    for (object, before) in repaired
        .objects
        .iter()
        .zip([&report.objects[1], &report.objects[3]])
    {
        assert_eq!(object.failure, None);
        assert_eq!(object.counts.duplicate, before.counts.indexed);
        assert_eq!(object.counts.indexed + object.counts.duplicate, 3000);
    }
    assert_eq!(world.sink.num_documents(), 300 + 2 * 3000);
}

#[tokio::test]
async fn without_a_quarantine_bad_lines_and_refused_documents_fail_the_object_after_all_good_lines() {
    let world = World::new();
    let bad_line = world.store.put("bad-line", format!("{}2 bad\n", text(0, 10)));
    let bad_document = world.store.put("bad-document", text(1000, 10));
    world.sink.refuse_containing(r#""bytes":1005"#);
    let report = world.ship(&[bad_line, bad_document]).await;
    let told: Vec<String> = report
        .objects
        .iter()
        .map(|object| object.failure.as_ref().unwrap().to_string())
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    line.malformed: 1 of 11 lines: line 12 has 2 columns, the format has 14
    bulk.rejected: 1 of 10 lines: line 7: 400 document_parsing_exception: scripted
    ");
    let counts: Vec<Counts> = report.objects.iter().map(|object| object.counts).collect();
    assert_eq!(
        counts[0],
        Counts {
            lines: 11,
            indexed: 10,
            refused: 1,
            ..Counts::default()
        }
    );
    assert_eq!(
        counts[1],
        Counts {
            lines: 10,
            indexed: 9,
            refused: 1,
            ..Counts::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_transient_even_for_an_object_with_bad_lines() {
    let world = World::new();
    let object = world.store.put("object", format!("{}2 bad\n", text(0, 10)));
    world.sink.always(Some(Fault::Status(503)));
    let report = world.ship_within(&[object], 30).await;
    assert_eq!(reason(&report.objects[0]), Some(Reason::BulkUnavailable));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_transient_even_for_a_damaged_object() {
    let world = World::new();
    let whole = gzip(&text(0, 3000));
    let object = world.store.put("truncated", whole[..whole.len() / 2].to_vec());
    world.sink.always(Some(Fault::Status(503)));
    let report = world.ship_within(&[object], 30).await;
    assert_eq!(reason(&report.objects[0]), Some(Reason::BulkUnavailable));
}

#[tokio::test]
async fn a_body_that_is_lost_fails_its_objects_and_no_others() {
    let world = World::with(ShipSettings {
        objects_in_flight: 1,
        bulk_in_flight: 1,
        ..ShipSettings::default()
    });
    // More than a body, so that it is the first one's.
    let lost = world.store.put("lost", gzip(&text(0, 6000)));
    world.sink.script([Fault::Panic]);
    let report = world.ship(std::slice::from_ref(&lost)).await;
    let failure = report.objects[0].failure.as_ref().unwrap();
    assert_eq!(
        failure.to_string(),
        "internal.error: delivering documents: scripted"
    );
    let whole = world.store.put("whole", gzip(&text(6000, 300)));
    let report = world.ship(&[whole, lost]).await;
    assert_eq!(
        [reason(&report.objects[0]), reason(&report.objects[1])],
        [None, None]
    );
    assert_eq!(world.sink.num_documents(), 6300);
}

#[tokio::test]
async fn an_operators_problem_stops_reading() {
    let world = World::new();
    let object = world.store.put("large", text(0, 12_000));
    world.sink.always(Some(Fault::Status(401)));
    let report = world.ship(&[object]).await;
    assert_eq!(reason(&report.objects[0]), Some(Reason::BulkUnauthorized));
    assert!(
        report.objects[0].counts.lines < 60_000,
        "{:?}",
        report.objects[0].counts
    );
}

#[tokio::test]
async fn what_is_not_finished_at_the_deadline_is_told_apart_from_what_is() {
    let world = World::new();
    let done = world.store.put("done", gzip(&text(0, 100)));
    let whole = gzip(&text(1000, 3000));
    let stalled = world.store.put_stalled("stalled", whole.clone(), whole.len() / 2);
    let report = world.ship_within(&[done, stalled], 3).await;
    assert_eq!(reason(&report.objects[0]), None);
    assert_eq!(reason(&report.objects[1]), Some(Reason::DeadlineExceeded));
    let Counts { lines, indexed, .. } = report.objects[1].counts;
    assert!(lines >= indexed, "{:?}", report.objects[1].counts);
}

#[tokio::test]
async fn bodies_are_full_however_slowly_they_are_taken() {
    let world = World::new();
    let object = world.store.put("large", gzip(&text(0, 12_000)));
    world.ship(std::slice::from_ref(&object)).await;
    let num_bodies = world.sink.requests().len();
    world.sink.delay(LINGER + Duration::from_millis(100));
    world.ship(&[object]).await;
    let requests = world.sink.requests().split_off(num_bodies);
    assert!(
        requests.len() <= num_bodies + 1,
        "{num_bodies} bodies, then {requests:?}"
    );
}

#[tokio::test]
async fn a_batch_without_objects_is_an_empty_report() {
    let report = World::new().ship(&[]).await;
    assert!(report.objects.is_empty());
    assert_eq!(report.work.num_requests, 0);
}
