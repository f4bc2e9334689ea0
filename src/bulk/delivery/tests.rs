//! Delivery against an index in memory, with scripted faults and a paused clock.

use tokio::time::Instant;

use super::*;
use crate::bulk::memory::{Fault, MemorySink};
use crate::bulk::{Packer, Segment, SegmentId};

const fn first_of(producer: usize) -> SegmentId {
    SegmentId { producer, number: 0 }
}

fn body(producers: &[(usize, std::ops::Range<u64>)]) -> Body {
    let mut packer = Packer::new(usize::MAX);
    for (producer, tokens) in producers {
        let mut segment = Segment::new(first_of(*producer), 0);
        for token in tokens.clone() {
            let id = format!("{producer}-{token}");
            segment.push(
                "i",
                id.as_bytes(),
                token,
                format!(r#"{{"n":{token}}}"#).as_bytes(),
            );
        }
        assert!(packer.push(segment).is_none());
    }
    packer.take().unwrap()
}

fn courier(sink: &MemorySink) -> Courier<MemorySink> {
    Courier::new(sink.clone(), 1 << 20, 2, Duration::from_secs(90))
}

fn within(seconds: u64) -> Deadline {
    Deadline::new(Instant::now() + Duration::from_secs(seconds), Duration::ZERO)
}

fn counts(report: &BodyReport, producer: usize) -> (u64, u64, usize, u64) {
    let verdicts = &report.verdicts[&first_of(producer)];
    (
        verdicts.delivered,
        verdicts.duplicate,
        verdicts.refused.len(),
        verdicts.failed,
    )
}

fn failure(report: &BodyReport, producer: usize) -> &Failure {
    report.verdicts[&first_of(producer)].failure.as_ref().unwrap()
}

fn is_late(report: &BodyReport) -> bool {
    report.verdicts[&first_of(0)].is_late
}

#[tokio::test(start_paused = true)]
async fn each_producer_gets_its_own_verdicts() {
    let sink = MemorySink::default();
    courier(&sink).deliver(body(&[(0, 0..2)]), within(60)).await;
    let report = courier(&sink)
        .deliver(body(&[(0, 0..3), (7, 0..2)]), within(60))
        .await;
    assert_eq!(counts(&report, 0), (1, 2, 0, 0));
    assert_eq!(counts(&report, 7), (2, 0, 0, 0));
    assert_eq!(report.num_requests, 1);
}

#[tokio::test(start_paused = true)]
async fn only_throttled_items_are_sent_again() {
    let sink = MemorySink::default();
    sink.script([Fault::Items(vec![1, 3], 429, "es_rejected_execution_exception")]);
    let report = courier(&sink).deliver(body(&[(0, 0..5)]), within(60)).await;
    assert_eq!(counts(&report, 0), (5, 0, 0, 0));
    assert_eq!(sink.requests(), [5, 2]);
    assert_eq!((report.num_resent, report.num_throttles), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_document_is_named_and_its_neighbours_are_delivered() {
    let sink = MemorySink::default();
    sink.refuse_containing(r#""n":2"#);
    let report = courier(&sink).deliver(body(&[(0, 0..5)]), within(60)).await;
    assert_eq!(counts(&report, 0), (4, 0, 1, 0));
    assert_eq!(report.verdicts[&first_of(0)].refused[0].token, 2);
}

#[tokio::test(start_paused = true)]
async fn outages_are_waited_out() {
    let sink = MemorySink::default();
    sink.script([
        Fault::Refuse,
        Fault::Status(503),
        Fault::Status(429),
        Fault::Status(502),
    ]);
    let report = courier(&sink).deliver(body(&[(0, 0..5)]), within(60)).await;
    assert_eq!(counts(&report, 0), (5, 0, 0, 0));
    assert_eq!(report.num_requests, 5);
    assert_eq!((report.num_resent, report.num_throttles), (20, 2), "503 and 429");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_ends_in_duplicates_not_in_copies() {
    let sink = MemorySink::default();
    sink.script([Fault::LoseAnswer]);
    let report = courier(&sink).deliver(body(&[(0, 0..5)]), within(60)).await;
    assert_eq!(counts(&report, 0), (0, 5, 0, 0));
    assert_eq!(sink.num_documents(), 5);
}

#[tokio::test(start_paused = true)]
async fn fewer_items_than_documents_deliver_nothing_until_a_whole_answer_comes() {
    let sink = MemorySink::default();
    sink.script([Fault::DropItem]);
    let report = courier(&sink).deliver(body(&[(0, 0..5)]), within(60)).await;
    assert_eq!(counts(&report, 0), (0, 5, 0, 0));
    assert_eq!(sink.requests(), [5, 5]);
}

#[tokio::test(start_paused = true)]
async fn answers_that_never_match_are_given_up() {
    let sink = MemorySink::default();
    sink.always(Some(Fault::DropItem));
    let report = courier(&sink).deliver(body(&[(0, 0..5)]), within(600)).await;
    assert_eq!(counts(&report, 0), (0, 0, 0, 5));
    assert_eq!(failure(&report, 0).reason, Reason::BulkAnswerInvalid);
    assert_eq!(report.num_requests, u64::from(MAX_INVALID_ANSWERS));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_split_until_it_fits() {
    let sink = MemorySink::default();
    sink.limit(300);
    let report = courier(&sink).deliver(body(&[(0, 0..50)]), within(60)).await;
    assert_eq!(counts(&report, 0), (50, 0, 0, 0));
    assert_eq!(sink.num_documents(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_document_at_all_is_the_operators_problem() {
    let sink = MemorySink::default();
    sink.limit(10);
    let courier = courier(&sink);
    let report = courier.deliver(body(&[(0, 0..3), (1, 3..8)]), within(60)).await;
    for (producer, num_documents) in [(0, 3), (1, 5)] {
        assert_eq!(counts(&report, producer), (0, 0, 0, num_documents));
        let failure = failure(&report, producer);
        assert_eq!(failure.reason, Reason::BulkMisconfigured);
        assert!(
            failure.detail.starts_with("413 for a single document"),
            "{failure}"
        );
    }
    let requests = sink.requests();
    assert_eq!(requests.last(), Some(&1), "not asked for each: {requests:?}");
    assert!(requests.len() <= 4, "{requests:?}");

    // Mended, it gets whole bodies again from the same process.
    sink.limit(1 << 20);
    let report = courier.deliver(body(&[(0, 0..8)]), within(60)).await;
    assert_eq!((counts(&report, 0), report.num_requests), ((8, 0, 0, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn throttling_of_the_whole_request_makes_it_smaller() {
    let sink = MemorySink::default();
    sink.script([Fault::Status(429), Fault::Status(429)]);
    let courier = Courier::new(sink.clone(), 64 << 10, 2, Duration::from_secs(90));
    let report = courier.deliver(body(&[(0, 0..1200)]), within(60)).await;
    assert_eq!(counts(&report, 0), (1200, 0, 0, 0));
    assert!(sink.requests()[2] < sink.requests()[0], "{:?}", sink.requests());
}

#[tokio::test(start_paused = true)]
async fn an_operators_problem_is_not_hammered() {
    let sink = MemorySink::default();
    sink.always(Some(Fault::Status(403)));
    let report = courier(&sink).deliver(body(&[(0, 0..5)]), within(600)).await;
    assert_eq!((counts(&report, 0), report.num_requests), ((0, 0, 0, 5), 1));
    assert!(!is_late(&report), "more time would not help");
    assert_eq!(failure(&report, 0).reason, Reason::BulkUnauthorized);
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_before_the_deadline_and_says_why() {
    let sink = MemorySink::default();
    sink.always(Some(Fault::Status(503)));
    let started = Instant::now();
    let report = courier(&sink).deliver(body(&[(0, 0..5)]), within(40)).await;
    assert!(started.elapsed() <= Duration::from_secs(40));
    assert_eq!((counts(&report, 0), is_late(&report)), ((0, 0, 0, 5), true));
    assert_eq!(failure(&report, 0).reason, Reason::BulkUnavailable);
}

#[tokio::test(start_paused = true)]
async fn no_time_at_all_is_told_as_such() {
    let sink = MemorySink::default();
    let report = courier(&sink).deliver(body(&[(0, 0..5)]), within(0)).await;
    assert_eq!(failure(&report, 0).reason, Reason::DeadlineExceeded);
    assert_eq!(sink.requests(), [0_usize; 0]);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_wait_through_an_outage_knock_together_and_all_tell_its_reason() {
    for (status, reason) in [(503, Reason::BulkUnavailable), (429, Reason::BulkThrottled)] {
        let sink = MemorySink::default();
        sink.always(Some(Fault::Status(status)));
        let courier = Arc::new(courier(&sink));
        let mut bodies = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (courier, deadline) = (Arc::clone(&courier), within(60));
            bodies.spawn(async move { courier.deliver(body(&[(0, 0..5)]), deadline).await });
        }
        for report in bodies.join_all().await {
            assert_eq!(counts(&report, 0), (0, 0, 0, 5));
            assert_eq!(failure(&report, 0).reason, reason);
        }
        // Two at first. Of 0.2 s, 0.4 s, … 30 s half is waited on average, so a minute has about 11 pauses.
        let num_requests = sink.requests().len();
        assert!((3..40).contains(&num_requests), "{num_requests}");
    }
}
