//! `redrive show`: everything about one dead letter, and what became of its objects.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::Session;
use super::copy::{AttributeCopy, MessageCopy};
use super::list::JsonLetter;
use super::presence::Presence;
use super::scan::{Scan, Stopped};
use super::select::{IdPrefix, parse_duration};
use super::text;
use crate::dead_letter::{DeadLetter, FailedObject};
use crate::object::{ObjectStore, StoreError};
use crate::queue::{MessageQueue, QueueError, QueueStatus, ReceivedMessage};

/// Longest life of a presigned URL. Source: "Download and upload objects with presigned URLs" in the S3 user guide.
const MAX_EXPIRY: Duration = Duration::from_secs(7 * 86_400);

/// A message id of SQS, a UUID, is whole at this length: none can begin with it and go on.
const WHOLE_ID_CHARS: usize = 36;

/// Options of `show`.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// The message's id, or the beginning of it that `list` shows
    #[arg(value_name = "ID")]
    pub(super) id: IdPrefix,
    /// Also print a URL for each object that reads it without further rights
    #[arg(long)]
    pub(super) presign: bool,
    /// How long these URLs work: 30m, 12h; at most 7d, and no longer than your credentials
    #[arg(long, value_name = "AGE", default_value = "1h", value_parser = parse_expiry, requires = "presign")]
    pub(super) expires: Duration,
}

fn parse_expiry(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| (Duration::from_secs(1)..=MAX_EXPIRY).contains(duration))
        .ok_or_else(|| "give a time from 1s to 7d, such as 30m or 12h".to_owned())
}

/// Messages whose id begins as was asked.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) messages: Vec<ReceivedMessage>,
    pub(super) num_seen: usize,
    pub(super) stopped: Option<Stopped>,
}

/// Looks for a message: through the whole queue, or until it is found by its whole id.
pub(super) async fn find<Q: MessageQueue>(
    queue: &Q,
    status: &QueueStatus,
    id: &IdPrefix,
    session: &Session,
) -> Result<Found, QueueError> {
    let mut scan = Scan::new(queue, status, &session.interrupt, &session.progress);
    let result = find_in(&mut scan, id).await;
    let (num_seen, stopped) = (scan.num_seen(), scan.stopped());
    session.tell_if_some(scan.finish().await);
    Ok(Found {
        messages: result?,
        num_seen,
        stopped,
    })
}

async fn find_in<Q: MessageQueue>(
    scan: &mut Scan<'_, Q>,
    id: &IdPrefix,
) -> Result<Vec<ReceivedMessage>, QueueError> {
    let mut found = Vec::new();
    while let Some(messages) = scan.next().await? {
        found.extend(messages.into_iter().filter(|message| id.begins(&message.id)));
        if found.len() == 1 && id.num_chars() >= WHOLE_ID_CHARS {
            break;
        }
    }
    Ok(found)
}

/// A dead letter with all that can be known of it.
#[derive(Debug)]
pub(super) struct Shown {
    message: ReceivedMessage,
    letter: DeadLetter,
    objects: Vec<ShownObject>,
}

/// An object that the dead letter names.
#[derive(Debug, Serialize)]
struct ShownObject {
    uri: String,
    version_id: Option<String>,
    account: Option<String>,
    region: Option<String>,
    flow_log: Option<String>,
    /// The object's own time: the stamp in its key, or else the time of the event.
    time: Option<String>,
    event_size: Option<u64>,
    event_etag: Option<String>,
    event_time: Option<String>,
    now: Presence,
    presigned_url: Option<String>,
}

impl Shown {
    /// Asks the store for the objects. `presign`: how long URLs to them are to work, if they are wanted.
    pub(super) async fn new<S: ObjectStore>(
        message: ReceivedMessage,
        store: &S,
        presign: Option<Duration>,
    ) -> Result<Self, StoreError> {
        let letter = DeadLetter::parse(&message);
        let mut objects = Vec::with_capacity(letter.objects.len());
        for failed in &letter.objects {
            objects.push(ShownObject::new(failed, store, presign).await?);
        }
        Ok(Self {
            message,
            letter,
            objects,
        })
    }

    /// For programs: nothing is cut short or replaced.
    pub(super) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Json<'a> {
            #[serde(flatten)]
            letter: JsonLetter<'a>,
            object_details: &'a [ShownObject],
            attributes: BTreeMap<String, AttributeCopy>,
            system_attributes: &'a BTreeMap<String, String>,
            body: &'a str,
        }
        let copy = MessageCopy::of(&self.message);
        let json = Json {
            letter: JsonLetter::new(&self.letter),
            object_details: &self.objects,
            attributes: copy.attributes,
            system_attributes: &self.message.system_attributes,
            body: &self.message.body,
        };
        serde_json::to_string(&json).expect("plain values become JSON")
    }

    /// For people.
    pub(super) fn lines(&self, now: Timestamp) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            lines.extend(value.map(|value| format!("{name:<9}  {}", text::printable(&value))));
        };
        let letter = &self.letter;
        let time = |time: Timestamp| format!("{} ({} ago)", text::time(time), text::age(now, time));
        add("id", Some(letter.id.clone()));
        let disposition = letter.disposition.as_deref();
        let disposition = disposition.map_or_else(String::new, |word| format!(" ({word})"));
        add("reason", Some(format!("{}{disposition}", letter.reason())));
        add("detail", letter.detail.clone());
        add("failed", letter.failed_at.map(time));
        add("sent", Some(time(letter.sent_at)));
        add("attempts", letter.attempts.map(|attempts| attempts.to_string()));
        add("hops", Some(letter.hops.to_string()));
        add("progress", letter.progress.as_deref().map(text::progress));
        add("request", letter.request_id.clone());
        add("version", letter.version.clone());
        add(
            "moved",
            letter
                .moved_from
                .as_ref()
                .map(|arn| format!("by the redrive policy of {arn}")),
        );
        add(
            "receives",
            Some(format!("{}, this one included", letter.receive_count)),
        );
        add("problem", letter.body_problem.clone());
        for object in &self.objects {
            lines.push(String::new());
            lines.extend(object.lines());
        }
        lines.push(String::new());
        lines.extend(self.attribute_lines());
        lines.push("body".to_owned());
        // Its own lines are not broken.
        lines = text::fit(lines);
        lines.extend(
            pretty(&self.message.body)
                .lines()
                .map(|line| format!("  {}", text::printable(line))),
        );
        lines
    }

    fn attribute_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |name: &str, value: &str| {
            lines.push(format!(
                "  {} = {}",
                text::printable(name),
                text::printable(value)
            ));
        };
        for (name, attribute) in &self.message.attributes {
            let copy = AttributeCopy::of(attribute);
            add(&format!("{name} ({})", copy.data_type()), copy.text());
        }
        if !lines.is_empty() {
            lines.insert(0, "attributes".to_owned());
        }
        lines.push("attributes of the queue".to_owned());
        for (name, value) in &self.message.system_attributes {
            lines.push(format!(
                "  {} = {}",
                text::printable(name),
                text::printable(value)
            ));
        }
        lines
    }
}

/// JSON with a line per field; anything else as it is.
fn pretty(body: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(body);
    value
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_no_json| body.to_owned())
}

impl ShownObject {
    async fn new<S: ObjectStore>(
        failed: &FailedObject,
        store: &S,
        presign: Option<Duration>,
    ) -> Result<Self, StoreError> {
        let FailedObject {
            object,
            event_time,
            facts,
        } = failed;
        let origin = object.key_origin();
        let presigned_url = match presign {
            Some(expires_in) => Some(store.presigned_url(object, expires_in).await?),
            None => None,
        };
        Ok(Self {
            uri: format!("s3://{}/{}", object.bucket, object.key),
            version_id: object.version_id.clone(),
            account: origin.account,
            region: origin.region,
            flow_log: origin.flow_log_id,
            time: failed.time().map(text::time),
            event_size: facts.size,
            event_etag: facts.etag.clone(),
            event_time: event_time.map(text::time),
            now: Presence::ask(store, failed).await,
            presigned_url,
        })
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("object     {}", text::printable(&self.uri))];
        let mut add = |name: &str, value: Option<String>| {
            lines.extend(value.map(|value| format!("  {name:<8} {}", text::printable(&value))));
        };
        add("version", self.version_id.clone());
        add("account", self.account.clone());
        add("region", self.region.clone());
        add("flow log", self.flow_log.clone());
        add("time", self.time.clone());
        let size = self.event_size.map(|size| format!("{size} bytes"));
        let etag = self.event_etag.as_ref().map(|etag| format!("ETag {etag}"));
        let time = self.event_time.as_ref().map(|time| format!("written {time}"));
        let event: Vec<String> = [size, etag, time].into_iter().flatten().collect();
        add("event", (!event.is_empty()).then(|| event.join(", ")));
        add("now", Some(self.now.line()));
        add("url", self.presigned_url.clone());
        lines
    }
}

#[cfg(test)]
mod tests;
