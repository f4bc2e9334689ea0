//! What a case plays on: a world of its own, proxies in it, and three objects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flowship::cli::lambda_local::Until;
use serde_json::Value;
use tokio::sync::watch;

use super::audit::{self, Account, Object};
use super::case::{Case, Place};
use crate::support::peek::peek;
use crate::support::proxy::Requests;
use crate::support::world::{Options, redrive};
use crate::support::{FaultProxy, FlowLog, World};

/// The object that a case is about, unless it is about several.
pub(crate) const HIT: &str = "hit.gz";
/// One that is none the worse where only [`HIT`] is hit.
pub(crate) const BYSTANDER: &str = "bystander.gz";
/// The same, with a malformed line.
pub(crate) const ONE_BAD_LINE: &str = "one-bad-line.gz";

/// The bad line of [`ONE_BAD_LINE`] goes into quarantine.
pub(crate) const PUT_ASIDE: Requests = Requests::naming(&["PUT ", "-quarantine/bad/"]);

const ELASTICSEARCH_URLS: &str = "FLOWSHIP_ELASTICSEARCH_URLS";

/// A world, the proxies between it and its servers, and its objects.
pub(crate) struct Stage {
    pub(crate) world: World,
    /// The proxy where the case's trouble is.
    pub(crate) proxy: Arc<FaultProxy>,
    /// That one, and those in front of the other servers.
    proxies: Proxies,
    pub(crate) objects: Vec<Object>,
}

/// A proxy in front of each server.
pub(crate) struct Proxies(BTreeMap<Place, Arc<FaultProxy>>);

impl Proxies {
    /// From now on the world's functions go through these. They cannot look into TLS: no function is told of one in
    /// front of `https://`.
    pub(crate) async fn start(world: &mut World) -> Self {
        let mut proxies = BTreeMap::new();
        for (place, variable, server) in [
            (Place::S3, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
            (Place::Sqs, "AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"),
            (Place::Elasticsearch, ELASTICSEARCH_URLS, ELASTICSEARCH_URLS),
        ] {
            let server = &world.variables[server];
            let proxy = Arc::new(FaultProxy::start(server).await);
            if !server.starts_with("https:") {
                world.variables.insert(variable.to_owned(), proxy.url());
            }
            proxies.insert(place, proxy);
        }
        Self(proxies)
    }

    /// The proxy in front of this server.
    pub(crate) fn to(&self, place: Place) -> &FaultProxy {
        &self.0[&place]
    }
}

impl Stage {
    /// A stage whose objects are not yet put. `name`: unique in the run. `options`: its Elasticsearch, if not the shared
    /// one.
    pub(crate) async fn set(name: &str, case: &Case, options: Option<Options>) -> Self {
        let options = Options {
            visibility_seconds: 5,
            ..options.unwrap_or_default()
        };
        let mut world = World::with(name, options).await;
        world.timeout = Duration::from_secs(20);
        for (variable, value) in [
            ("FLOWSHIP_MAX_RECEIVES", "2"),
            ("FLOWSHIP_BACKOFF_MAX_SECONDS", "1"),
        ] {
            world.variables.insert(variable.to_owned(), value.to_owned());
        }
        let proxies = Proxies::start(&mut world).await;
        (case.adjust)(&mut world);
        let objects = vec![
            Object::new(HIT, FlowLog::new().records(1, 0, 150)),
            Object::new(BYSTANDER, FlowLog::new().records(2, 0, 60)),
            Object::new(
                ONE_BAD_LINE,
                FlowLog::new()
                    .records(3, 0, 50)
                    .line("2 123 eni-1 not-an-address", 0)
                    .records(4, 0, 30),
            ),
        ];
        Self {
            world,
            proxy: Arc::clone(&proxies.0[&case.place]),
            proxies,
            objects,
        }
    }

    /// From now on nothing is given up because a server is slow.
    pub(crate) fn be_patient(&mut self) {
        let variables = &mut self.world.variables;
        variables.insert("FLOWSHIP_MAX_RECEIVES".into(), "100".into());
    }

    /// The proxy in front of one of the servers.
    pub(crate) fn proxy_of(&self, place: Place) -> &FaultProxy {
        self.proxies.to(place)
    }

    /// Puts all objects; `broken` makes of what [`HIT`] should be what it is.
    pub(crate) async fn put_all(&self, broken: Option<fn(Vec<u8>) -> Vec<u8>>) {
        for object in &self.objects {
            let bytes = object.log.gzip();
            let bytes = match broken {
                Some(broken) if object.key == HIT => broken(bytes),
                _ => bytes,
            };
            self.world.put(&object.key, bytes).await;
        }
    }

    /// Puts [`HIT`] as it should be.
    pub(crate) async fn repair(&self) {
        let hit = self.objects.iter().find(|object| object.key == HIT).unwrap();
        self.world.put(HIT, hit.log.gzip()).await;
    }

    /// Runs the function for so many invocations.
    pub(crate) async fn invoke(&self, num_invocations: u64) {
        let function = self.world.function().await;
        let run = function.run(Until::default().or_invocations(num_invocations), |_report| {});
        let run = tokio::time::timeout(Duration::from_secs(120), run).await;
        run.expect("the messages come back").unwrap();
        function.shut_down().await;
    }

    /// Runs the function until every message was received so often.
    pub(crate) async fn run_until_received(&self, times: u32) {
        let (stop, stopped) = watch::channel(false);
        let function = self.world.function().await;
        let run = function.run(Until::default().or_stopped(stopped), |_report| {});
        let look = async {
            while !self.is_received(times).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            stop.send_replace(true);
        };
        let both = async { tokio::join!(run, look) };
        let both = tokio::time::timeout(Duration::from_secs(120), both).await;
        let (summary, ()) = both.expect("the messages come back");
        summary.unwrap();
        function.shut_down().await;
    }

    async fn is_received(&self, times: u32) -> bool {
        let messages = peek(&self.world.queue).await;
        messages.iter().all(|message| message.receive_count >= times)
    }

    /// Puts all dead letters back with the real `redrive`; returns its report.
    pub(crate) async fn put_back(&self) -> Value {
        put_back(&self.world)
    }

    /// Where each line is.
    pub(crate) async fn audit(&self) -> Account {
        audit::audit(&self.world, &self.objects).await
    }

    /// All lines are indexed, the malformed one is in quarantine, and nothing is left to do; but for an object that
    /// stays broken, of which nothing more is asked than that the audit finds its lines.
    pub(crate) async fn assert_complete_or(&self, broken: Option<&str>) {
        let account = self.audit().await;
        assert!(account.messages.is_empty(), "{:?}", account.messages);
        let letters: Vec<&str> = account.letters.iter().map(|letter| &*letter.key).collect();
        assert_eq!(letters, Vec::from_iter(broken), "{:#?}", account.letters);
        let objects = self.objects.iter().filter(|object| !object.is_overwritten);
        let (lines, documents) = objects.fold((0, 0), |(lines, documents), object| {
            (lines + object.log.lines, documents + object.log.documents)
        });
        assert_eq!(account.quarantined as u64, lines - documents);
        let indexed = account.indexed + account.waiting;
        assert!(
            indexed as u64 >= documents && (account.waiting == 0 || broken.is_some()),
            "{account:#?}"
        );
    }
}

/// Puts all dead letters of a world back with the real `redrive`; returns its report.
pub(crate) fn put_back(world: &World) -> Value {
    // The function's settings may leave the main queue out.
    let arguments = [
        "send",
        "--yes",
        "--force",
        "--no-canary",
        "--json",
        "--queue-url",
        world.queue.url(),
    ];
    let output = tokio::task::block_in_place(|| redrive(world, &arguments));
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
