//! The object is not what it should be, or not what it was when S3 announced it.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use flowship::outcome::Reason;

use super::audit::{Object, audit};
use super::case::{Becomes, Case, Lasting, Place, Trouble};
use super::play;
use super::stage::{HIT, Stage};
use crate::support::{FlowLog, gzip};

/// What the cases of this family have in common. "Once": it is repaired before its dead letter is put back.
pub(super) const USUAL: Case = Case {
    name: "",
    place: Place::S3,
    trouble: Trouble::Broken,
    broken: None,
    concerns: &[HIT],
    becomes: Becomes::Letter(Reason::DecodeCorruptGzip),
    most_requests: 0,
    adjust: |_world| {},
};

const BROKEN: &[Case] = &[
    Case {
        name: "object-truncated-gzip",
        broken: Some(|bytes| bytes[..bytes.len() / 2].to_vec()),
        becomes: Becomes::Letter(Reason::DecodeTruncatedGzip),
        ..USUAL
    },
    Case {
        name: "object-wrong-checksum",
        broken: Some(wrong_checksum),
        ..USUAL
    },
    Case {
        name: "object-trailing-garbage",
        broken: Some(|bytes| [&bytes[..], b"garbage after the trailer"].concat()),
        ..USUAL
    },
    Case {
        name: "object-second-member-corrupt",
        broken: Some(second_member_corrupt),
        ..USUAL
    },
    Case {
        name: "object-no-flow-log",
        broken: Some(|_bytes| gzip(b"this is no flow log\n")),
        becomes: Becomes::Letter(Reason::FormatUnknown),
        ..USUAL
    },
    Case {
        name: "object-wrong-magic",
        broken: Some(|bytes| [b"PK\x03\x04", &bytes[4..]].concat()),
        becomes: Becomes::Letter(Reason::FormatUnknown),
        ..USUAL
    },
    Case {
        name: "object-no-parquet",
        broken: Some(|_bytes| b"PAR1....".to_vec()),
        becomes: Becomes::Letter(Reason::DecodeCorruptParquet),
        ..USUAL
    },
    Case {
        name: "object-column-twice",
        broken: Some(|_bytes| gzip(b"version srcaddr srcaddr\n2 10.0.0.1 10.0.0.2\n")),
        becomes: Becomes::Letter(Reason::FormatInvalid),
        ..USUAL
    },
    Case {
        name: "object-mostly-malformed",
        broken: Some(|_bytes| gzip("version srcaddr\n2 no-address\n".repeat(20).as_bytes())),
        becomes: Becomes::Letter(Reason::ObjectMostlyMalformed),
        adjust: |world| {
            let variable = "FLOWSHIP_QUARANTINE_MAX_LINES".to_owned();
            world.variables.insert(variable, "1".to_owned());
        },
        ..USUAL
    },
];

const CHANGED: &[Case] = &[
    Case {
        name: "object-overwritten",
        trouble: Trouble::Own(|stage, lasting| Box::pin(overwrite(stage, lasting))),
        ..USUAL
    },
    Case {
        name: "object-empty",
        trouble: Trouble::Own(|stage, lasting| Box::pin(empty(stage, lasting))),
        ..USUAL
    },
];

/// The last eight bytes are the checksum and the length. Source: RFC 1952, section 2.3.1.
pub(super) fn wrong_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    bytes
}

fn second_member_corrupt(bytes: Vec<u8>) -> Vec<u8> {
    let mut text = Vec::new();
    MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    let (first, second) = text.split_at(text.len() / 2);
    [gzip(first), wrong_checksum(gzip(second))].concat()
}

/// Overwritten between notice and read by a longer object; "for ever": then by another one, again and again.
async fn overwrite(stage: &Stage, lasting: Lasting) {
    stage.put_all(None).await;
    let mut objects = stage.objects.clone();
    let mut next = vec![FlowLog::new().records(1, 0, 250)];
    if lasting == Lasting::ForEver {
        next.extend((5..10).map(|number| FlowLog::new().records(number, 0, 40)));
    }
    let mut now = FlowLog::new();
    for log in next {
        for object in objects.iter_mut().filter(|object| object.key == HIT) {
            object.is_overwritten = true;
        }
        stage.world.put(HIT, log.gzip()).await;
        objects.push(Object::new(HIT, log.clone()));
        now = log;
    }
    stage.world.drain().await;
    let account = audit(&stage.world, &objects).await;
    assert!(
        account.letters.is_empty() && account.messages.is_empty(),
        "{account:?}"
    );
    assert_eq!(account.waiting, 0, "{account:?}");
    let told: u64 = stage
        .world
        .object_log()
        .iter()
        .filter_map(|line| line["lines"].as_u64())
        .sum();
    assert!(told > now.lines, "each notice was followed");
}

/// An empty object has no line, which is no failure; what fills it is announced anew.
async fn empty(stage: &Stage, lasting: Lasting) {
    stage.world.put(HIT, Vec::new()).await;
    stage.world.drain().await;
    let account = audit(&stage.world, &[]).await;
    assert!(
        account.letters.is_empty() && account.messages.is_empty(),
        "{account:?}"
    );
    assert_eq!(stage.world.object_log()[0]["lines"], 0);
    if lasting == Lasting::Once {
        stage.put_all(None).await;
        stage.world.drain().await;
        stage.assert_complete_or(None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_broken() {
    play(BROKEN, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_changes_after_its_notice() {
    play(CHANGED, None).await;
}
