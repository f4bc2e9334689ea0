//! Three functions ship three hundred objects while one of twenty calls fails, whatever it is.
//!
//! `FLOWSHIP_TEST_LOAD_RUNS=20` repeats it as often; `FLOWSHIP_TEST_SEED` sets where the random numbers begin, those of
//! each further run one later.

use std::time::Duration;

use flowship::outcome::{Disposition, Reason};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::audit::Account;
use super::case::Place;
use super::crowd::Crowd;
use super::parameter;
use super::stage::{Proxies, put_back};
use crate::support::World;
use crate::support::proxy::{Fault, Message, Requests, Uses};
use crate::support::world::Options;

const NUM_OBJECTS: usize = 300;

/// How many of all calls fail.
const SHARE: f64 = 0.05;

const S3: &[Fault] = &[
    Fault::Reset,
    Fault::Answer("503 Slow Down", &[], SLOW_DOWN),
    Fault::EndAfter(300),
    Fault::ResetAfter(700),
    Fault::ResetInsteadOfAnswer,
];
const SQS: &[Fault] = &[
    Fault::Reset,
    Fault::Answer("503 Service Unavailable", &[], "unavailable"),
    Fault::EndAfter(10),
    Fault::ResetInsteadOfAnswer,
];
const ELASTICSEARCH: &[Fault] = &[
    Fault::Reset,
    Fault::Answer("503 Service Unavailable", &[], "<html>503</html>"),
    Fault::EndAfter(20),
    Fault::ResetAfter(20),
    Fault::ResetInsteadOfAnswer,
    Fault::ChangeAnswer(throttle_some),
];

// "Error responses" in the Amazon S3 API reference.
const SLOW_DOWN: &str =
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

/// Every third item of a bulk answer says that its document was not taken, though it was.
fn throttle_some(answer: &mut Message) {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else {
        return;
    };
    let Some(items) = body["items"].as_array_mut() else {
        return;
    };
    let error = json!({"type": "es_rejected_execution_exception", "reason": "rejected execution"});
    for item in items.iter_mut().step_by(3) {
        *item = json!({"create": {"status": 429, "error": error}});
    }
    body["errors"] = json!(true);
    answer.body = body.to_string().into_bytes();
}

/// Faults for this share of all requests to each of the servers.
async fn spoil(world: &mut World, random: &mut fastrand::Rng) -> Proxies {
    let proxies = Proxies::start(world).await;
    let servers = [
        (Place::S3, Requests::naming(&[]), S3),
        (Place::Sqs, Requests::naming(&[]), SQS),
        (Place::Elasticsearch, Requests::naming(&["/_bulk"]), ELASTICSEARCH),
    ];
    for (place, requests, faults) in servers {
        for (number, fault) in faults.iter().enumerate() {
            // What is left to the others, so that each has the same share.
            let before = SHARE / faults.len() as f64 * number as f64;
            let share = SHARE / faults.len() as f64 / (1.0 - before);
            proxies
                .to(place)
                .add(requests, *fault, Uses::Share(share, random.fork()));
        }
    }
    proxies
}

/// The answer is what happened.
async fn run(seed: u64) -> String {
    let begin = Instant::now();
    let mut random = fastrand::Rng::with_seed(seed);
    let options = Options {
        visibility_seconds: 10,
        ..Options::default()
    };
    let mut world = World::with(&format!("load-{seed}"), options).await;
    world.timeout = Duration::from_secs(8);
    world.mapping.concurrency = 3;
    // Many calls.
    world.mapping.batch_size = 5;
    let proxies = spoil(&mut world, &mut random).await;
    let mut crowd = Crowd::new(random.fork());
    crowd.put(&world, NUM_OBJECTS).await;
    let put = begin.elapsed();
    world.drain().await;
    let mut account = crowd.audit(&world).await;
    let mut faults = Vec::new();
    let mut num_faults = 0;
    for place in [Place::S3, Place::Sqs, Place::Elasticsearch] {
        let tallies = proxies.to(place).tallies();
        let hits: Vec<u64> = tallies.iter().map(|tally| tally.hits).collect();
        faults.push(format!("{place:?} {hits:?} of {}", tallies[0].requests));
        num_faults += hits.iter().sum::<u64>();
    }
    assert!(num_faults > 10, "too few: {faults:?}");
    let num_given_up = num_transient(&account);
    if num_given_up > 0 {
        // Whoever has had bad luck too often.
        for place in [Place::S3, Place::Sqs, Place::Elasticsearch] {
            proxies.to(place).heal();
        }
        put_back(&world);
        world.announced(account.letters.len() as u64);
        world.drain().await;
        account = crowd.audit(&world).await;
    }
    crowd.assert_complete(&account);
    format!(
        "seed {seed}: {:?}, put in {put:?}; faults: {}; {num_given_up} given up and put back; {} lines indexed, {} in \
         quarantine, {} dead letters",
        begin.elapsed(),
        faults.join(", "),
        account.indexed,
        account.quarantined,
        account.letters.len(),
    )
}

/// Dead letters of objects that are as they should be.
fn num_transient(account: &Account) -> usize {
    let is_transient = |reason: &str| {
        let reason = Reason::all().find(|other| other.as_str() == reason);
        reason.is_some_and(|reason| reason.disposition() == Disposition::Transient)
    };
    let letters = account.letters.iter();
    letters.filter(|letter| is_transient(&letter.reason)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_functions_with_every_twentieth_call_failing_lose_and_repeat_nothing() {
    let num_runs = parameter("FLOWSHIP_TEST_LOAD_RUNS", 1);
    let seed = parameter("FLOWSHIP_TEST_SEED", fastrand::u64(..));
    println!("FLOWSHIP_TEST_LOAD_RUNS={num_runs} FLOWSHIP_TEST_SEED={seed}");
    for number in 0..num_runs {
        println!("{}", run(seed.wrapping_add(number)).await);
    }
}
