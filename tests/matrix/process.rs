//! The function's process ends where it hurts: killed between what a server did and what the function knows of it,
//! and hung until its time is up.

use std::time::Duration;

use flowship::cli::lambda_local::Until;
use rustix::process::{Pid, Signal, kill_process};

use super::audit::{Account, Object, UNKNOWN, audit};
use super::case::{Becomes, Case, Lasting, Place, Trouble};
use super::play;
use super::stage::{HIT, Stage};
use crate::support::FlowLog;
use crate::support::peek::peek;
use crate::support::proxy::{Fault, Requests, Uses};

/// What the cases of this family have in common: a course of their own.
const USUAL: Case = Case {
    name: "",
    place: Place::Elasticsearch,
    trouble: Trouble::Broken,
    broken: None,
    concerns: &[],
    becomes: Becomes::Indexed,
    most_requests: 0,
    adjust: |_world| {},
};

const ENDS: &[Case] = &[
    Case {
        name: "process-killed-bulk-unread",
        trouble: Trouble::Own(|stage, lasting| Box::pin(end(stage, lasting, Answer::Bulk, Signal::KILL))),
        ..USUAL
    },
    Case {
        name: "process-killed-line-aside",
        place: Place::S3,
        trouble: Trouble::Own(|stage, lasting| {
            Box::pin(end(stage, lasting, Answer::Quarantine, Signal::KILL))
        }),
        ..USUAL
    },
    Case {
        name: "process-killed-letter-sent",
        place: Place::Sqs,
        trouble: Trouble::Own(|stage, lasting| {
            Box::pin(end(stage, lasting, Answer::DeadLetter, Signal::KILL))
        }),
        broken: Some(|bytes| bytes[..bytes.len() / 2].to_vec()),
        ..USUAL
    },
    Case {
        name: "process-killed-rest-sent",
        place: Place::Sqs,
        trouble: Trouble::Own(|stage, lasting| Box::pin(end_when_handed_on(stage, lasting))),
        adjust: |world| {
            // Half of it for work, some bodies; the other half to end in order.
            world.timeout = Duration::from_secs(10);
            world.variables.extend([
                ("FLOWSHIP_MAX_RECEIVES".to_owned(), "100".to_owned()),
                ("FLOWSHIP_DEADLINE_MARGIN_MS".to_owned(), "5000".to_owned()),
                ("FLOWSHIP_BULK_IN_FLIGHT".to_owned(), "1".to_owned()),
                ("FLOWSHIP_BULK_MAX_BYTES".to_owned(), "1048576".to_owned()),
            ]);
        },
        ..USUAL
    },
    Case {
        name: "process-hangs",
        trouble: Trouble::Own(|stage, lasting| Box::pin(end(stage, lasting, Answer::Bulk, Signal::STOP))),
        adjust: |world| world.timeout = Duration::from_secs(4),
        ..USUAL
    },
];

/// An answer that the process does not live to see.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Bulk,
    Quarantine,
    DeadLetter,
    Continuation,
}

impl Answer {
    /// The requests whose answers come much later than anybody waits.
    fn requests(self) -> Requests {
        match self {
            Self::Bulk => {
                Requests::naming(&["/_bulk"]).with_body(|body| !body.contains(r#""_index":"flowship-ledger"#))
            }
            Self::Quarantine => Requests::naming(&["PUT ", "-quarantine/bad/"]),
            Self::DeadLetter => {
                Requests::naming(&["AmazonSQS.SendMessage"]).with_body(|body| body.contains("-dlq"))
            }
            Self::Continuation => {
                Requests::naming(&["AmazonSQS.SendMessage"]).with_body(|body| body.contains("resume_line"))
            }
        }
    }

    /// Whether the server has acted, after it has done so this many times before.
    async fn is_due(self, stage: &Stage, num_before: usize) -> bool {
        let world = &stage.world;
        match self {
            Self::Bulk => world.num_documents_so_far().await > 0,
            Self::Quarantine => !world.quarantine().await.is_empty(),
            Self::DeadLetter => peek(&world.dead_letters).await.len() > num_before,
            Self::Continuation => num_continuations(stage).await > num_before,
        }
    }
}

async fn num_continuations(stage: &Stage) -> usize {
    let messages = peek(&stage.world.queue).await;
    let continues = messages
        .iter()
        .filter(|message| message.attributes.contains_key("resume_line"));
    continues.count()
}

/// The process ends when the server has acted and the answer is on its way: once, or each time until the queue's own
/// redrive policy takes the messages.
async fn end(stage: &Stage, lasting: Lasting, answer: Answer, signal: Signal) {
    // S3's test event must not be among the dead letters.
    stage.world.drain().await;
    stage.put_all(broken(answer)).await;
    if lasting == Lasting::ForEver {
        stage.world.give_up_after(2).await;
    }
    let uses = match lasting {
        Lasting::Once => Uses::Times(1),
        Lasting::ForEver => Uses::ForEver,
    };
    let num_ends = run_and_end(stage, uses, answer, signal).await;
    let mut account = stage.audit().await;
    match lasting {
        Lasting::Once => assert_eq!(num_ends, 1),
        Lasting::ForEver => {
            assert!(num_ends >= 2, "{num_ends}");
            assert_moved(stage, &account);
            stage.proxy.heal();
        }
    }
    if answer == Answer::DeadLetter {
        // The one that nobody has acknowledged, and another.
        let letters = account.letters.iter();
        let ours = letters.filter(|letter| letter.reason == "decode.truncated_gzip");
        assert_eq!(ours.count(), 2, "{:#?}", account.letters);
        stage.repair().await;
    }
    if !account.letters.is_empty() {
        stage.put_back().await;
        stage.world.announced(account.letters.len() as u64);
        stage.world.drain().await;
        account = stage.audit().await;
    }
    assert!(account.letters.is_empty(), "{:#?}", account.letters);
    stage.assert_complete_or(None).await;
}

fn broken(answer: Answer) -> Option<fn(Vec<u8>) -> Vec<u8>> {
    (answer == Answer::DeadLetter).then_some(|bytes| bytes[..bytes.len() / 2].to_vec())
}

/// All messages came back too often: the queue moved them, and nobody could say why.
fn assert_moved(stage: &Stage, account: &Account) {
    let moved = account.letters.iter().filter(|letter| letter.reason == UNKNOWN);
    let moved: Vec<&str> = moved.map(|letter| &*letter.key).collect();
    let mut all: Vec<&str> = stage.objects.iter().map(|object| &*object.key).collect();
    all.sort_unstable();
    assert_eq!(moved, all, "{:#?}", account.letters);
    assert!(account.messages.is_empty(), "{:?}", account.messages);
}

/// Runs the function until the queue is empty, and ends its process whenever it waits for such an answer to a request
/// that is spoiled. The answer is how often that was.
async fn run_and_end(stage: &Stage, uses: Uses, answer: Answer, signal: Signal) -> usize {
    let late = Fault::Delay(Duration::from_secs(120));
    let rule = stage.proxy.add(answer.requests(), late, uses);
    stage.world.wait_for_announced().await;
    let function = stage.world.function().await;
    let mut num_ends = 0;
    let ends = async {
        let mut num_seen = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let hits = stage.proxy.tallies()[rule].hits;
            if hits > num_seen && answer.is_due(stage, num_ends).await {
                num_seen = hits;
                for pid in function.child_pids() {
                    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
                    kill_process(pid, signal).unwrap();
                    num_ends += 1;
                }
            }
        }
    };
    let run = function.run(Until::default().or_empty(), |_report| {});
    let run = tokio::time::timeout(Duration::from_secs(120), run);
    tokio::select! {
        summary = run => {
            summary.expect("the messages come back").unwrap();
        }
        () = ends => unreachable!("it only ends things"),
    }
    function.shut_down().await;
    num_ends
}

/// The rest of an object is handed on, and the process does not live to say so: it is handed on again, and what is
/// shipped twice is found to be there. "For ever" it happens twice.
async fn end_when_handed_on(stage: &Stage, lasting: Lasting) {
    // Some twenty bodies, at most sixteen of which an invocation has the time for; the end of its time is enough for two.
    const NUM_RECORDS: u32 = 50_000;
    let times = match lasting {
        Lasting::Once => 1,
        Lasting::ForEver => 2,
    };
    let bulk = Requests::naming(&["/_bulk"]);
    let elasticsearch = stage.proxy_of(Place::Elasticsearch);
    elasticsearch.add(bulk, Fault::Delay(Duration::from_millis(300)), Uses::ForEver);
    let large = [Object::new(HIT, FlowLog::new().records(1, 0, NUM_RECORDS))];
    stage.world.put(HIT, large[0].log.gzip()).await;
    let uses = Uses::Times(times);
    let num_ends = run_and_end(stage, uses, Answer::Continuation, Signal::KILL).await;
    assert_eq!(num_ends as u64, times);
    let account = audit(&stage.world, &large).await;
    assert_eq!(account.indexed, NUM_RECORDS as usize);
    assert!(
        account.letters.is_empty() && account.messages.is_empty(),
        "{account:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_ends_before_it_has_its_answer() {
    play(ENDS, None).await;
}
