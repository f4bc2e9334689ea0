//! Objects that take more time than one pass has.

use super::*;
use crate::config::QuarantineSettings;
use crate::quarantine::Place;

/// For reading, and for what comes after it. Tokio's clock cannot be paused while a blocking thread waits.
const TIME: Duration = Duration::from_secs(1);

async fn pass(world: &World, begin: ObjectPass) -> ObjectReport {
    let deadline = Deadline::new(Instant::now() + TIME * 2, TIME);
    let mut report = world.shipper.ship(vec![begin], deadline).await;
    report.objects.pop().unwrap()
}

/// Passes until nothing is left. One that gets no further is made again, as a queue would have it.
async fn passes(world: &World, object: &ObjectRef) -> Vec<ObjectReport> {
    let mut reports = Vec::new();
    let mut next = Some(ObjectPass::from(object.clone()));
    while let Some(begin) = next {
        let report = pass(world, begin.clone()).await;
        assert_eq!(report.first_line, begin.first_line);
        if let Some(failure) = &report.failure {
            assert_eq!(failure.reason, Reason::DeadlineExceeded);
        }
        if report.failure.is_some() && report.rest.is_none() {
            next = Some(begin);
            continue;
        }
        assert_eq!(report.counts.accounted(), report.counts.lines);
        next = report.rest.clone();
        reports.push(report);
    }
    reports
}

fn sum(reports: &[ObjectReport]) -> Counts {
    let mut sum = Counts::default();
    for report in reports {
        sum.add(&report.counts);
    }
    sum
}

/// Takes a few bodies a pass.
fn slow(settings: ShipSettings) -> World {
    let world = World::with(ShipSettings {
        bulk_in_flight: 1,
        ..settings
    });
    world.sink.delay(Duration::from_millis(300));
    world
}

#[tokio::test]
async fn an_object_of_many_passes_comes_to_the_same_as_one_pass() {
    let (whole, world) = (World::new(), slow(ShipSettings::default()));
    let text = gzip(&text(0, 40_000));
    let object = world.store.put("large", text.clone());
    whole.store.put("large", text);
    let one = whole.ship(std::slice::from_ref(&object)).await;
    let reports = passes(&world, &object).await;
    assert!(reports.len() >= 4, "{} passes", reports.len());
    let mut sum = sum(&reports);
    // Of passes that were made again.
    sum.indexed += std::mem::take(&mut sum.duplicate);
    assert_eq!(sum, one.objects[0].counts, "no line twice, none left out");
    assert!(
        world.sink.documents() == whole.sink.documents(),
        "the same documents and ids"
    );
}

#[tokio::test]
async fn each_pass_keeps_its_own_bad_lines_aside() {
    let quarantine = QuarantineSettings {
        place: Place::parse_uri("s3://logs/quarantine"),
        max_lines: 1000,
        max_share: 10,
    };
    let world = slow(ShipSettings {
        quarantine,
        ..ShipSettings::default()
    });
    let lines: String = text(0, 20_000)
        .lines()
        .enumerate()
        .map(|(number, line)| {
            if number % 100 == 99 {
                "2 bad\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    let object = world.store.put("large", lines.clone());
    let reports = passes(&world, &object).await;
    assert!(reports.len() >= 2, "{} passes", reports.len());
    let counts = sum(&reports);
    assert_eq!((counts.accounted(), counts.refused), (counts.lines, 0));
    let mut kept = Vec::new();
    for (key, head, lines) in world.quarantine.files() {
        assert!(key.ends_with(&format!("-{}.ndjson.gz", head.first_line)), "{key}");
        assert!(lines.iter().all(|line| line.line >= head.first_line));
        kept.extend(lines.iter().map(|line| line.line));
    }
    kept.sort_unstable();
    let bad: Vec<u64> = (1..)
        .zip(lines.lines())
        .filter(|(_, line)| *line == "2 bad")
        .map(|(n, _)| n)
        .collect();
    assert_eq!(kept, bad, "each bad line is in one file, once");
}

#[tokio::test]
async fn without_progress_there_is_nothing_to_go_on_with() {
    let world = World::new();
    let whole = gzip(&text(0, 100));
    let stalled = world.store.put_stalled("stalled", whole, 20);
    let report = pass(&world, stalled.into()).await;
    assert_eq!(
        (reason(&report), report.rest),
        (Some(Reason::DeadlineExceeded), None)
    );
}

#[tokio::test]
async fn what_fails_in_the_middle_is_no_progress() {
    let world = World::new();
    let object = world.store.put("large", gzip(&text(0, 40_000)));
    world.sink.always(Some(Fault::Status(503)));
    let report = pass(&world, object.into()).await;
    assert_eq!(
        (reason(&report), report.rest),
        (Some(Reason::BulkUnavailable), None)
    );
    assert_eq!(report.in_the_way, report.failure);
}

#[tokio::test]
async fn other_content_is_read_from_its_start() {
    let world = World::new();
    let object = world.store.put("object", text(0, 10));
    let begin = |etag: &str| ObjectPass {
        object: object.clone(),
        first_line: 8,
        etag: Some(etag.to_owned()),
    };
    let same = pass(&world, begin(MemoryStore::ETAG)).await;
    assert_eq!((same.first_line, same.counts.lines), (8, 4));
    let other = pass(&world, begin("\"other\"")).await;
    assert_eq!((other.first_line, other.counts.lines), (1, 10));
}

#[tokio::test]
async fn what_was_read_and_not_sent_in_time_takes_nothing_from_what_was_sent() {
    let world = slow(ShipSettings::default());
    // The first answer comes in time, the next one when no more may be sent, and more is read by then.
    world.sink.delay(TIME * 7 / 10);
    let object = world.store.put("large", gzip(&text(0, 20_000)));
    let mut next = Some(ObjectPass::from(object));
    let mut counts = Counts::default();
    while let Some(begin) = next {
        let report = pass(&world, begin.clone()).await;
        assert!(report.rest.is_none() || report.counts.lines > 0, "{report:?}");
        assert_eq!(report.counts.accounted(), report.counts.lines);
        next = report.rest;
        counts.add(&report.counts);
    }
    // The server may have written what it answered too late.
    counts.indexed += std::mem::take(&mut counts.duplicate);
    let expected = Counts {
        lines: 20_400,
        indexed: 20_000,
        no_data: 400,
        ..Counts::default()
    };
    assert_eq!(counts, expected);
}
