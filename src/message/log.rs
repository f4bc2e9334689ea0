//! What the log says of objects and invocations.

use std::time::Duration;

use super::{BatchReport, Message};
use crate::continuation::Earlier;
use crate::outcome::{Counts, Fate};
use crate::ship::ObjectReport;

/// One line an object: what became of its lines, and of the object.
pub(super) fn log_object(report: &ObjectReport, earlier: &Earlier, message: &Message, fate: Fate) {
    let becomes = fate.as_str();
    let Counts {
        lines,
        indexed,
        duplicate,
        no_data,
        quarantined,
        refused,
    } = report.counts;
    let elapsed_ms = milliseconds(report.elapsed);
    let bytes_read = report.num_bytes_read;
    let object = report.object.to_string();
    let (message_id, attempt) = (&message.id, message.receive_count);
    let (pass, first_line, lines_before) = (earlier.passes + 1, report.first_line, earlier.counts.lines);
    match &report.failure {
        None => tracing::info!(
            object,
            bytes_read,
            lines,
            indexed,
            duplicate,
            no_data,
            quarantined,
            refused,
            elapsed_ms,
            message_id,
            attempt,
            pass,
            first_line,
            lines_before,
            becomes,
            quarantine = report.quarantine.as_ref().map(ToString::to_string),
            "object shipped"
        ),
        Some(_) if fate == Fate::GoesOn => tracing::info!(
            object,
            bytes_read,
            lines,
            indexed,
            duplicate,
            no_data,
            quarantined,
            refused,
            elapsed_ms,
            message_id,
            attempt,
            pass,
            first_line,
            lines_before,
            becomes,
            quarantine = report.quarantine.as_ref().map(ToString::to_string),
            in_the_way = report.in_the_way.as_ref().map(ToString::to_string),
            "object is not finished"
        ),
        Some(failure) => tracing::warn!(
            object, bytes_read, lines, indexed, duplicate, no_data, quarantined, refused, elapsed_ms, message_id, attempt,
            pass, first_line, lines_before, becomes,
            reason = %failure.reason, detail = failure.detail,
            "object failed"
        ),
    }
}

/// Whole milliseconds, as a number in the log.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One line an invocation.
pub(super) fn log_invocation(batch: &BatchReport, request_id: &str) {
    let Counts {
        lines,
        indexed,
        duplicate,
        no_data,
        quarantined,
        refused,
    } = batch.counts;
    let work = &batch.work;
    tracing::info!(
        request_id,
        messages = batch.num_messages,
        failed = batch.failed_ids.len(),
        dead_lettered = batch.num_dead_letters,
        handed_on = batch.num_continuations,
        ignored = batch.num_ignored,
        objects = work.num_objects,
        lines,
        indexed,
        duplicate,
        no_data,
        quarantined,
        refused,
        bytes_read = work.num_bytes_read,
        bulk_requests = work.num_requests,
        bulk_bytes = work.num_bytes_sent,
        resent = work.num_resent,
        throttles = work.num_throttles,
        ledger_failed = batch.num_ledger_failed,
        duration_ms = batch.duration_ms,
        time_left_ms = batch.time_left_ms,
        "invocation finished"
    );
}
