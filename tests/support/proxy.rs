//! A proxy that fails as it is told: between the function and S3, SQS or Elasticsearch.
//!
//! Requests and responses are passed on whole, one a connection. Rules are tried in order; the first that fits and is
//! not used up decides. Each counts what it did: a fault that never happened proves nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

mod message;
mod tests;

pub(crate) use message::{Message, ask};

/// Longest silence of a stalled answer: every client gives up before.
const LONGEST_STALL: Duration = Duration::from_secs(300);

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// An answer without asking the server: status (number and text), headers, body.
    Answer(
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
    ),
    /// The connection is reset; the server never sees the request.
    Reset,
    /// The server acts; instead of its answer the connection is reset.
    ResetInsteadOfAnswer,
    /// The server acts and answers; the answer comes so much later.
    Delay(Duration),
    /// The connection is reset after so many bytes of the answer's body.
    ResetAfter(usize),
    /// The connection ends in order after so many bytes of the answer's body.
    EndAfter(usize),
    /// Nothing more comes after so many bytes of the answer's body, until the client gives up.
    StallAfter(usize),
    /// The answer says that its body has so many bytes more, and fewer where negative, than it has.
    WrongLength(isize),
    /// The lowest bit of this byte of the answer's body is another.
    FlipBit(usize),
    /// The answer is changed.
    ChangeAnswer(fn(&mut Message)),
    /// The request is changed before the server sees it.
    ChangeRequest(fn(&mut Message)),
    /// The request is changed, and then the answer to it.
    ChangeBoth(fn(&mut Message), fn(&mut Message)),
}

/// Which requests a rule is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requests {
    /// All of these are in method, path and `x-amz-target`: `GET /bucket/key HTTP/1.1 AmazonSQS.SendMessage`.
    pub(crate) naming: &'static [&'static str],
    /// This holds for the (inflated) body, if asked for.
    pub(crate) body: Option<fn(&str) -> bool>,
}

impl Requests {
    /// Requests with all of these in method, path and `x-amz-target`.
    pub(crate) const fn naming(naming: &'static [&'static str]) -> Self {
        Self { naming, body: None }
    }

    /// Only those with such a body.
    pub(crate) const fn with_body(self, body: fn(&str) -> bool) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    fn fit(&self, request: &Message) -> bool {
        let summary = request.summary();
        let named = self.naming.iter().all(|part| summary.contains(part));
        named && self.body.is_none_or(|holds| holds(&request.text()))
    }
}

/// How often a rule applies.
#[derive(Clone, Debug)]
pub(crate) enum Uses {
    /// To the first so many requests.
    Times(u64),
    /// To all.
    ForEver,
    /// To each with this probability (0 to 1), by a generator with this seed.
    Share(f64, fastrand::Rng),
}

impl Uses {
    fn take(&mut self) -> bool {
        match self {
            Self::Times(0) => false,
            Self::Times(left) => {
                *left -= 1;
                true
            }
            Self::ForEver => true,
            Self::Share(probability, random) => random.f64() < *probability,
        }
    }
}

/// What a rule has seen and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Requests that it is about.
    pub(crate) requests: u64,
    /// Those of them that it spoiled.
    pub(crate) hits: u64,
    /// Those of them that are under way now.
    pub(crate) open: u64,
}

#[derive(Debug)]
struct Rule {
    requests: Requests,
    fault: Fault,
    uses: Uses,
    tally: Tally,
}

/// A proxy in front of one server. Ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct FaultProxy {
    address: SocketAddr,
    server: SocketAddr,
    rules: Arc<Mutex<Vec<Rule>>>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl FaultProxy {
    /// A proxy that passes everything on to the server at this URL.
    pub(crate) async fn start(server_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            server: address(server_url),
            rules: Arc::default(),
            accepting: Mutex::default(),
        };
        proxy.accept(listener);
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a rule behind the others; the answer is its number.
    pub(crate) fn add(&self, requests: Requests, fault: Fault, uses: Uses) -> usize {
        let mut rules = lock(&self.rules);
        rules.push(Rule {
            requests,
            fault,
            uses,
            tally: Tally::default(),
        });
        rules.len() - 1
    }

    /// From now on everything is passed on; rules still count the requests that they are about.
    pub(crate) fn heal(&self) {
        for rule in lock(&self.rules).iter_mut() {
            rule.uses = Uses::Times(0);
        }
    }

    /// What each rule has seen and done, in their order.
    pub(crate) fn tallies(&self) -> Vec<Tally> {
        lock(&self.rules).iter().map(|rule| rule.tally).collect()
    }

    /// Nobody listens any more: connections are refused, open ones are reset.
    pub(crate) async fn close(&self) {
        let accepting = lock(&self.accepting).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            assert!(accepting.await.is_err_and(|error| error.is_cancelled()));
        }
    }

    /// Listens again, on the same port.
    pub(crate) async fn open(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.accept(listener);
    }

    fn accept(&self, listener: TcpListener) {
        let (server, rules) = (self.server, Arc::clone(&self.rules));
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => {
                        connections.spawn(serve(client, server, Arc::clone(&rules)));
                    }
                    // A connection that broke is the client's concern.
                    Some(_ended) = connections.join_next() => {}
                }
            }
        });
        *lock(&self.accepting) = Some(accepting);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(accepting) = lock(&self.accepting).take() {
            accepting.abort();
        }
    }
}

/// Where the server of a URL, with or without its scheme, listens.
pub(crate) fn address(url: &str) -> SocketAddr {
    let authority = url.split_once("://").map_or(url, |(_scheme, rest)| rest);
    let authority = authority.trim_end_matches('/').replace("localhost", "127.0.0.1");
    authority.parse().unwrap_or_else(|_| panic!("no address: {url}"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that is under way, as its rules count it.
struct Open {
    rules: Arc<Mutex<Vec<Rule>>>,
    fitting: Vec<usize>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut rules = lock(&self.rules);
        for number in &self.fitting {
            rules[*number].tally.open -= 1;
        }
    }
}

/// The fault for a request, if any; counts.
fn decide(rules: &Arc<Mutex<Vec<Rule>>>, request: &Message) -> (Option<Fault>, Open) {
    let mut decided = None;
    let mut fitting = Vec::new();
    for (number, rule) in lock(rules).iter_mut().enumerate() {
        if !rule.requests.fit(request) {
            continue;
        }
        rule.tally.requests += 1;
        rule.tally.open += 1;
        fitting.push(number);
        if decided.is_none() && rule.uses.take() {
            rule.tally.hits += 1;
            decided = Some(rule.fault);
        }
    }
    let rules = Arc::clone(rules);
    (decided, Open { rules, fitting })
}

async fn serve(mut client: TcpStream, server: SocketAddr, rules: Arc<Mutex<Vec<Rule>>>) -> io::Result<()> {
    let Some(mut request) = Message::read_request(&mut client).await? else {
        return Ok(());
    };
    // Answers are to be read here.
    request.remove_header("accept-encoding");
    let (fault, _open) = decide(&rules, &request);
    match fault {
        Some(Fault::Reset) => return reset(client),
        Some(Fault::Answer(status, headers, body)) => {
            let mut answer = Message::answer(status, headers, body);
            if request.is_head() {
                answer.body.clear();
            }
            answer.write(&mut client).await?;
            return client.shutdown().await;
        }
        Some(Fault::ChangeRequest(change) | Fault::ChangeBoth(change, _)) => change(&mut request),
        _ => {}
    }
    let answer = ask(server, &request).await?;
    if request.is_head() {
        answer.write_head(&mut client, None).await?;
        return client.shutdown().await;
    }
    pass_on(client, answer, fault).await
}

async fn pass_on(mut client: TcpStream, mut answer: Message, fault: Option<Fault>) -> io::Result<()> {
    let mut claimed = answer.body.len();
    let part = |bytes: usize| bytes.min(claimed);
    match fault {
        Some(Fault::ResetInsteadOfAnswer) => return reset(client),
        Some(Fault::ResetAfter(bytes)) => {
            write_part(&mut client, &answer, part(bytes)).await?;
            return reset(client);
        }
        Some(Fault::EndAfter(bytes)) => {
            write_part(&mut client, &answer, part(bytes)).await?;
            return client.shutdown().await;
        }
        Some(Fault::StallAfter(bytes)) => {
            write_part(&mut client, &answer, part(bytes)).await?;
            let gone = client.read_u8();
            drop(tokio::time::timeout(LONGEST_STALL, gone).await);
            return Ok(());
        }
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::WrongLength(by)) => claimed = claimed.saturating_add_signed(by),
        Some(Fault::FlipBit(byte)) => answer.body[byte] ^= 1,
        Some(Fault::ChangeAnswer(change) | Fault::ChangeBoth(_, change)) => {
            change(&mut answer);
            claimed = answer.body.len();
        }
        _ => {}
    }
    answer.write_head(&mut client, Some(claimed)).await?;
    client.write_all(&answer.body).await?;
    client.shutdown().await
}

/// The whole head, and a part of the body.
async fn write_part(client: &mut TcpStream, answer: &Message, bytes: usize) -> io::Result<()> {
    answer.write_head(client, Some(answer.body.len())).await?;
    client.write_all(&answer.body[..bytes]).await?;
    client.flush().await
}

/// Dropping the stream sends a reset.
fn reset(stream: TcpStream) -> io::Result<()> {
    stream.set_zero_linger()
}
