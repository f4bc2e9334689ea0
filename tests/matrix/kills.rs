//! The function is killed two hundred times, wherever it happens to be: cold, reading, with requests under way.
//!
//! `FLOWSHIP_TEST_KILLS` and `FLOWSHIP_TEST_SEED` set how often, and where the random numbers begin.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use flowship::aws::sqs::SqsQueue;
use flowship::cli::lambda_local::{LambdaLocal, Until};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use tokio::time::Instant;

use super::case::Place;
use super::crowd::{Crowd, SLOW};
use super::parameter;
use super::stage::Proxies;
use crate::support::World;
use crate::support::proxy::{Fault, Requests, Uses};
use crate::support::world::{Options, wait_until};

/// Functions that are killed, each with a life of its own.
const NUM_LANES: usize = 3;

/// Messages that there are always to be.
const NUM_MESSAGES: u64 = 15;

/// Of so many lives one ends before it has an object.
const COLD: u32 = 4;

/// A life ends no later than this after its first object was asked for; most much earlier.
const LONGEST_LIFE: Duration = Duration::from_millis(2500);

/// The longest time until a process that is to die cold does.
const LONGEST_START: Duration = Duration::from_millis(80);

/// Requests that tell where a process is, what they are called, and how much longer they take: rare ones would hardly
/// ever be hit.
const STAGES: [(&str, Place, Requests, Duration); 6] = [
    ("dead letter", Place::Sqs, DEAD_LETTER, Duration::from_millis(300)),
    (
        "continuation",
        Place::Sqs,
        CONTINUATION,
        Duration::from_millis(600),
    ),
    ("quarantine", Place::S3, QUARANTINE, Duration::from_millis(300)),
    ("ledger", Place::Elasticsearch, LEDGER, Duration::ZERO),
    ("bulk", Place::Elasticsearch, BULK, Duration::ZERO),
    ("reading", Place::S3, READ, Duration::ZERO),
];

const DEAD_LETTER: Requests =
    Requests::naming(&["AmazonSQS.SendMessage"]).with_body(|body| body.contains("-dlq"));
const CONTINUATION: Requests =
    Requests::naming(&["AmazonSQS.SendMessage"]).with_body(|body| body.contains("resume_line"));
const QUARANTINE: Requests = Requests::naming(&["PUT "]);
const LEDGER: Requests =
    Requests::naming(&["/_bulk"]).with_body(|body| body.contains(r#""_index":"flowship-ledger"#));
const BULK: Requests = Requests::naming(&["/_bulk"]);
const READ: Requests = Requests::naming(&["GET "]);

/// One function behind proxies of its own, which tell what it is about.
struct Lane {
    function: LambdaLocal<SqsQueue>,
    proxies: Proxies,
    /// The rules of [`STAGES`].
    rules: Vec<usize>,
}

/// What all lanes have in common.
struct Hunt {
    num_left: Cell<u64>,
    is_over: Cell<bool>,
    /// Kills by what the process was about.
    killed: RefCell<BTreeMap<&'static str, u64>>,
}

impl Lane {
    async fn new(world: &mut World) -> Self {
        let proxies = Proxies::start(world).await;
        let slow = BULK.with_body(|body| body.contains(SLOW));
        let long = Fault::Delay(Duration::from_millis(900));
        proxies.to(Place::Elasticsearch).add(slow, long, Uses::ForEver);
        let mut rules = Vec::new();
        for (_, place, requests, longer) in STAGES {
            rules.push(
                proxies
                    .to(place)
                    .add(requests, Fault::Delay(longer), Uses::ForEver),
            );
        }
        Self {
            function: world.function().await,
            proxies,
            rules,
        }
    }

    /// Runs the function, and kills it again and again until there were enough kills.
    async fn live(&self, hunt: &Hunt, mut random: fastrand::Rng) {
        let (stop, stopped) = watch::channel(false);
        let run = self
            .function
            .run(Until::default().or_stopped(stopped), |_report| {});
        let kills = async {
            while hunt.num_left.get() > 0 {
                hunt.num_left.set(hunt.num_left.get() - 1);
                let stage = self.kill(&mut random).await;
                *hunt.killed.borrow_mut().entry(stage).or_default() += 1;
            }
            stop.send_replace(true);
        };
        let (summary, ()) = tokio::join!(run, kills);
        summary.unwrap();
        self.function.shut_down().await;
    }

    /// Waits for a process, and kills it at some moment. The answer is what it was about.
    async fn kill(&self, random: &mut fastrand::Rng) -> &'static str {
        let mut pid = None;
        wait_until("there is a process", async || {
            pid = self.function.child_pids().pop();
            pid.is_some()
        })
        .await;
        let pid = pid.expect("it was waited for");
        let at_first = self.look();
        let is_at_work = |now: &[Seen]| now.iter().zip(&at_first).any(|(now, first)| now.0 > first.0);
        if random.u32(0..COLD) == 0 {
            tokio::time::sleep(LONGEST_START.mul_f64(random.f64())).await;
        } else {
            wait_until("the process has work", async || is_at_work(&self.look())).await;
            let share = random.f64().powi(3);
            tokio::time::sleep(LONGEST_LIFE.mul_f64(share)).await;
        }
        let now = self.look();
        kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).expect("it was alive");
        wait_until("the process is gone", async || {
            !self.function.child_pids().contains(&pid)
        })
        .await;
        // What an earlier process had under way may still be.
        let is_its = |number: &usize| now[*number].1 > 0 && now[*number].0 > at_first[*number].0;
        match (0..STAGES.len()).find(is_its) {
            Some(number) => STAGES[number].0,
            None if is_at_work(&now) => "between",
            None => "cold start",
        }
    }

    fn look(&self) -> Vec<Seen> {
        let rules = STAGES.iter().zip(&self.rules);
        let tallies = rules.map(|((_, place, _, _), rule)| self.proxies.to(*place).tallies()[*rule]);
        tallies.map(|tally| (tally.requests, tally.open)).collect()
    }
}

/// Requests of a stage so far, and those under way.
type Seen = (u64, u64);

#[tokio::test(flavor = "multi_thread")]
async fn a_function_killed_two_hundred_times_loses_and_repeats_nothing() {
    let num_kills = parameter("FLOWSHIP_TEST_KILLS", 200);
    let seed = parameter("FLOWSHIP_TEST_SEED", fastrand::u64(..));
    println!("FLOWSHIP_TEST_KILLS={num_kills} FLOWSHIP_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let options = Options {
        visibility_seconds: 3,
        // What is killed so often must not be taken by the queue's own redrive policy.
        max_receive_count: 1000,
        ..Options::default()
    };
    let mut world = World::with("kills", options).await;
    world.timeout = Duration::from_secs(3);
    world.mapping.batch_size = 3;
    world.mapping.max_init_failures = u32::MAX;
    world.variables.extend([
        ("FLOWSHIP_MAX_RECEIVES".to_owned(), "1000".to_owned()),
        ("FLOWSHIP_BULK_IN_FLIGHT".to_owned(), "1".to_owned()),
        ("FLOWSHIP_BULK_MAX_BYTES".to_owned(), "1048576".to_owned()),
    ]);
    let direct = world.variables.clone();
    let mut lanes = Vec::new();
    for _lane in 0..NUM_LANES {
        world.variables.clone_from(&direct);
        lanes.push(Lane::new(&mut world).await);
    }
    world.variables = direct;

    let begin = Instant::now();
    let mut crowd = Crowd::new(random.fork());
    let hunt = Hunt {
        num_left: Cell::new(num_kills),
        is_over: Cell::new(false),
        killed: RefCell::default(),
    };
    let mut live = |number: usize| lanes[number].live(&hunt, random.fork());
    let lives = async {
        tokio::join!(live(0), live(1), live(2));
        hunt.is_over.set(true);
    };
    let feed = async {
        while !hunt.is_over.get() {
            if world.num_messages().await < NUM_MESSAGES {
                crowd.put(&world, 5).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::join!(lives, feed);
    let killed = hunt.killed.into_inner();
    println!("{:?}: killed {killed:?}", begin.elapsed());

    world.mapping.concurrency = NUM_LANES;
    world.drain().await;
    let account = crowd.audit(&world).await;
    crowd.assert_complete(&account);
    let log = world.log().join("\n");
    println!(
        "{:?}: {} objects, {} lines indexed, {} in quarantine, {} dead letters, {} times handed on",
        begin.elapsed(),
        crowd.len(),
        account.indexed,
        account.quarantined,
        account.letters.len(),
        log.matches(r#""becomes":"goes on""#).count(),
    );
}
