//! What the ledger is told of objects, and when: after their messages are settled, in one call, and nothing hangs on it.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use tokio::time::timeout;

use super::Message;
use super::log::milliseconds;
use crate::continuation::Earlier;
use crate::ledger::{self, Ledger, LedgerEntry, ObjectEntry};
use crate::notification::NotifiedObject;
use crate::object::KeyOrigin;
use crate::outcome::{Failure, Fate};
use crate::ship::ObjectReport;

/// The entry about an object. `so_far`: what all passes came to, with this one, which ended at `now`.
pub(super) fn entry(
    named: &NotifiedObject,
    report: &ObjectReport,
    so_far: &Earlier,
    message: &Message,
    fate: Fate,
    failure: Option<&Failure>,
    now: Timestamp,
) -> LedgerEntry {
    let object = &named.object;
    let KeyOrigin {
        account,
        region,
        flow_log_id,
    } = object.key_origin();
    let ended_at = now.round(Unit::Millisecond).unwrap_or(now);
    let (time, slot) = ledger::time_of(object, named.event_time, ended_at);
    let last_record = so_far.times.and_then(|(_, last)| ledger::second(last));
    let lag = last_record.map(|last| ended_at.as_millisecond().saturating_sub(last.as_millisecond()));
    let (reason, detail) = failure.map(ledger::describe).unzip();
    LedgerEntry {
        ended_at,
        account,
        region,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        object: ObjectEntry {
            uri: format!("s3://{}/{}", object.bucket, object.key),
            bucket: object.bucket.clone(),
            key: object.key.clone(),
            version_id: object.version_id.clone(),
            flow_log_id,
            time,
            slot,
            size: report.size,
            counts: so_far.counts,
            first_record: so_far.times.and_then(|(first, _)| ledger::second(first)),
            last_record,
            lag_ms: lag.and_then(|lag| lag.try_into().ok()),
            complete: fate == Fate::Indexed,
            fate,
            reason,
            detail,
            quarantine: so_far.quarantine.clone(),
            attempts: message.receive_count,
            hops: message.hops,
            passes: so_far.passes,
            duration_ms: milliseconds(report.elapsed),
            message_id: message.id.clone(),
        },
    }
}

/// Writes them in no more time than `limit`. The answer is how many were not written.
pub(super) async fn write<L: Ledger>(ledger: &L, mut entries: Vec<LedgerEntry>, limit: Duration) -> u64 {
    if entries.is_empty() {
        return 0;
    }
    // Of an object that two messages name, the better report stays.
    entries.sort_by_key(|entry| entry.object.complete);
    let (num_failed, error) = match timeout(limit, ledger.write(&entries)).await {
        Ok(Ok(())) => return 0,
        Ok(Err(error)) => (error.num_failed, error.detail),
        Err(_elapsed) => (entries.len() as u64, "no answer in time".to_owned()),
    };
    tracing::warn!(
        num_failed,
        error,
        "ledger entries not written; the function needs `index` and `auto_configure` on the ledger's indices \
         (LEDGER_INDEX)"
    );
    num_failed
}
