//! Several couriers, as in several function instances, before one server that takes so many documents a second and
//! keeps so many bytes waiting, and no more. Time is simulated, chance is seeded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::delivery::Courier;
use super::{Body, BulkAnswer, BulkSink, Packer, Segment, SegmentId, SendError};
use crate::deadline::Deadline;

/// A server as Elasticsearch behaves under `indexing_pressure.memory.limit`.
#[derive(Clone, Copy, Debug)]
struct Model {
    name: &'static str,
    documents_per_second: u32,
    /// Bytes that may wait or be worked on; what does not fit is rejected at once.
    room: usize,
    /// Rejects the documents that do not fit, as a full queue of a shard does, instead of the whole request.
    by_item: bool,
    round_trip: Duration,
}

#[derive(Debug)]
struct Server {
    model: Model,
    room: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    busy_until: Instant,
    /// Documents that wait or are worked on.
    num_waiting: usize,
    /// Documents taken, by courier.
    taken: Vec<u64>,
    num_accepted: u64,
    num_rejected: u64,
    num_under_way: usize,
    /// Since it was last looked.
    largest: usize,
    most_under_way: usize,
}

#[derive(Clone, Debug)]
struct Line {
    server: Arc<Server>,
    courier: usize,
}

impl BulkSink for Line {
    async fn send_bulk(&self, gzip: Bytes, _timeout: Duration) -> Result<BulkAnswer, SendError> {
        // A gzip file ends with the length of what it holds (RFC 1952).
        let length = gzip.last_chunk().copied().map(u32::from_le_bytes).unwrap();
        let num_items = length as usize / ITEM_BYTES;
        assert!(num_items > 0 && (length as usize).is_multiple_of(ITEM_BYTES));
        let Model { round_trip, .. } = self.server.model;
        sleep(round_trip / 2).await;
        let (num_taken, done) = self.server.admit(num_items);
        sleep_until(done).await;
        self.server.let_go(self.courier, num_taken);
        sleep(round_trip / 2).await;
        let taken = json!({"create": {"status": 201}});
        let rejected =
            json!({"create": {"status": 429, "error": {"type": "es_rejected_execution_exception"}}});
        let mut items = vec![taken; num_taken];
        items.resize(num_items, rejected);
        let status = if num_taken == 0 { 429 } else { 200 };
        Ok(BulkAnswer {
            status,
            retry_after: None,
            redirected_to: None,
            body: Bytes::from(json!({ "items": items }).to_string()),
        })
    }
}

impl Server {
    fn new(model: Model, num_couriers: usize) -> Self {
        let state = State {
            busy_until: Instant::now(),
            num_waiting: 0,
            taken: vec![0; num_couriers],
            num_accepted: 0,
            num_rejected: 0,
            largest: 0,
            num_under_way: 0,
            most_under_way: 0,
        };
        Self {
            model,
            room: AtomicUsize::new(model.room),
            state: Mutex::new(state),
        }
    }

    /// How many of the documents are taken, and when they are indexed.
    fn admit(&self, num_items: usize) -> (usize, Instant) {
        let state = &mut *self.state.lock().unwrap();
        let room = self.room.load(Ordering::Relaxed) / ITEM_BYTES;
        let fitting = room.saturating_sub(state.num_waiting).min(num_items);
        let takes_part = self.model.by_item || fitting == num_items;
        let num_taken = if takes_part { fitting } else { 0 };
        state.largest = state.largest.max(num_items * ITEM_BYTES);
        state.num_under_way += 1;
        state.most_under_way = state.most_under_way.max(state.num_under_way);
        if num_taken == num_items {
            state.num_accepted += 1;
        } else {
            state.num_rejected += 1;
        }
        let documents = |num: usize| Duration::from_secs(num as u64) / self.model.documents_per_second;
        let work = documents(num_taken) + documents(num_items - num_taken) / REJECTION_COST;
        state.busy_until = state.busy_until.max(Instant::now()) + work;
        if num_taken == 0 {
            return (0, Instant::now());
        }
        state.num_waiting += num_taken;
        (num_taken, state.busy_until)
    }

    fn let_go(&self, courier: usize, num_taken: usize) {
        let state = &mut *self.state.lock().unwrap();
        state.taken[courier] += num_taken as u64;
        state.num_waiting -= num_taken;
        state.num_under_way -= 1;
    }
}

const MAX_BYTES: usize = 256 << 10;
const ITEM_BYTES: usize = 2048;
const IN_FLIGHT: usize = 2;

/// To inflate and to parse a request only to reject it is a part of the work that indexing it is: a tenth.
const REJECTION_COST: u32 = 10;

/// That many documents, each of [`ITEM_BYTES`] with its action line.
fn body(num_items: usize) -> Body {
    const FRAME: usize = r#"{"create":{"_index":"i","_id":"00000000"}}"#.len() + r#"{"text":""}"#.len() + 2;
    let mut segment = Segment::new(SegmentId::default(), num_items * ITEM_BYTES);
    let document = format!(r#"{{"text":"{}"}}"#, "x".repeat(ITEM_BYTES - FRAME));
    for token in 0..num_items as u64 {
        segment.push("i", format!("{token:08}").as_bytes(), token, document.as_bytes());
    }
    let mut packer = Packer::new(usize::MAX);
    assert!(packer.push(segment).is_none());
    packer.take().unwrap()
}

/// Couriers with more work than they can do, before one server.
struct Scene {
    server: Arc<Server>,
    /// Ends with the scene.
    _work: JoinSet<()>,
}

impl Scene {
    fn open(model: Model, num_couriers: usize) -> Self {
        let server = Arc::new(Server::new(model, num_couriers));
        let deadline = Deadline::new(Instant::now() + Duration::from_secs(86_400), Duration::ZERO);
        let mut work = JoinSet::new();
        for courier in 0..num_couriers {
            let server = Arc::clone(&server);
            let line = Line { server, courier };
            let courier = Arc::new(Courier::new(line, MAX_BYTES, IN_FLIGHT, Duration::from_secs(90)));
            for _ in 0..IN_FLIGHT {
                let courier = Arc::clone(&courier);
                work.spawn(async move {
                    loop {
                        let most = MAX_BYTES / ITEM_BYTES;
                        let body = body(fastrand::usize(most / 2..=most));
                        courier.deliver(body, deadline).await;
                    }
                });
            }
        }
        Self { server, _work: work }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.server.state.lock().unwrap()
    }
}

/// Runs it in simulated time, with one thread for all else that the couriers do.
fn simulate<T>(seed: u64, scene: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    fastrand::seed(seed);
    runtime.block_on(scene)
}

#[derive(Debug)]
struct Outcome {
    /// Of the server's capacity.
    throughput: f64,
    /// The courier that got least, of its fair share.
    least_share: f64,
    /// Requests rejected, wholly or in part, for each one that was taken.
    rejections: f64,
}

/// What the couriers make of a server in the time in which it can do so many documents.
fn run(model: Model, num_couriers: usize, num_documents: u32, seed: u64) -> Outcome {
    let time = Duration::from_secs((num_documents / model.documents_per_second).into());
    simulate(seed, async {
        let scene = Scene::open(model, num_couriers);
        sleep(time).await;
        let state = scene.state();
        let total = state.taken.iter().sum::<u64>() as f64;
        let least = *state.taken.iter().min().unwrap() as f64;
        Outcome {
            throughput: total / f64::from(num_documents),
            least_share: least * num_couriers as f64 / total,
            rejections: state.num_rejected as f64 / state.num_accepted as f64,
        }
    })
}

const ROOMY: Model = Model {
    name: "room for two bodies",
    documents_per_second: 125,
    room: 2 * MAX_BYTES,
    by_item: false,
    round_trip: Duration::from_millis(10),
};

const MODELS: [Model; 5] = [
    ROOMY,
    Model {
        name: "room for two bodies, far away",
        round_trip: Duration::from_millis(100),
        ..ROOMY
    },
    Model {
        name: "room for half a body",
        room: MAX_BYTES / 2,
        ..ROOMY
    },
    Model {
        name: "room for half a body, by item",
        room: MAX_BYTES / 2,
        by_item: true,
        ..ROOMY
    },
    Model {
        name: "room for half a body, fast",
        documents_per_second: 500,
        room: MAX_BYTES / 2,
        ..ROOMY
    },
];

#[test]
fn a_server_that_throttles_is_used_and_shared_however_many_functions_there_are() {
    for model in MODELS {
        for num_couriers in [1, 2, 4, 8] {
            // Enough that chance evens out.
            let num_documents = 10_000 * u32::try_from(num_couriers.max(2)).unwrap();
            let outcome = run(model, num_couriers, num_documents, 1);
            let what = format!(
                "{num_couriers} before a server with {}: {outcome:.2?}",
                model.name
            );
            assert!(outcome.throughput > 0.8, "{what}");
            assert!(outcome.least_share > 0.5, "{what}");
            assert!(outcome.rejections < 1.0, "{what}");
        }
    }
}

#[test]
fn after_the_pressure_full_size_and_full_flight_are_reached_again() {
    simulate(1, async {
        let scene = Scene::open(MODELS[2], 1);
        let minutes = async |num: u64| {
            {
                let mut state = scene.state();
                (state.largest, state.most_under_way) = (0, 0);
            }
            sleep(Duration::from_secs(60 * num)).await;
            let state = scene.state();
            (state.largest, state.most_under_way)
        };
        let (largest, _) = minutes(5).await;
        assert!(largest < MAX_BYTES, "{largest}");
        scene.server.room.store(100 * MAX_BYTES, Ordering::Relaxed);
        minutes(5).await;
        let (largest, most_under_way) = minutes(1).await;
        assert!(largest > MAX_BYTES * 9 / 10, "{largest}");
        assert_eq!(most_under_way, IN_FLIGHT);
    });
}
