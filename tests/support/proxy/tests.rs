//! Each fault as a client sees it. The server is a proxy too, one that answers everything by itself.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::{Fault, FaultProxy, Message, Requests, Tally, Uses, address, ask};

const ALL: Requests = Requests::naming(&[]);
const BODY: &str = "0123456789";

/// Answers requests with `0123456789`; those that hold `unknown` not at all.
async fn server() -> FaultProxy {
    let server = FaultProxy::start("http://127.0.0.1:1").await;
    let unknown = ALL.with_body(|body| body.contains("unknown"));
    server.add(unknown, Fault::Reset, Uses::ForEver);
    server.add(ALL, Fault::Answer("200 OK", &[], BODY), Uses::ForEver);
    server
}

async fn get(proxy: &FaultProxy, body: &str) -> io::Result<String> {
    let request = Message {
        first_line: "POST /a/b HTTP/1.1".into(),
        headers: vec![("X-Amz-Target".into(), "AmazonSQS.SendMessage".into())],
        body: body.into(),
    };
    let answer = ask(address(&proxy.url()), &request).await?;
    Ok(format!("{} {}", answer.first_line, answer.text()))
}

/// What a client gets through a proxy with this fault.
async fn through(fault: Fault, body: &str) -> io::Result<String> {
    let server = server().await;
    let proxy = FaultProxy::start(&server.url()).await;
    proxy.add(ALL, fault, Uses::ForEver);
    get(&proxy, body).await
}

#[tokio::test]
async fn each_fault_is_what_it_is_called() {
    let good = "HTTP/1.1 200 OK 0123456789";
    let answer = Fault::Answer("429 Too Many Requests", &[("Retry-After", "1")], "later");
    assert_eq!(
        through(answer, "").await.unwrap(),
        "HTTP/1.1 429 Too Many Requests later"
    );
    for (fault, kind) in [
        (Fault::Reset, io::ErrorKind::ConnectionReset),
        (Fault::ResetInsteadOfAnswer, io::ErrorKind::ConnectionReset),
        (Fault::ResetAfter(3), io::ErrorKind::ConnectionReset),
        (Fault::EndAfter(3), io::ErrorKind::UnexpectedEof),
        (Fault::WrongLength(1), io::ErrorKind::UnexpectedEof),
    ] {
        assert_eq!(through(fault, "").await.unwrap_err().kind(), kind, "{fault:?}");
    }
    assert_eq!(
        through(Fault::FlipBit(1), "").await.unwrap(),
        "HTTP/1.1 200 OK 0023456789"
    );
    let upper = Fault::ChangeAnswer(|answer| answer.body.truncate(2));
    assert_eq!(through(upper, "").await.unwrap(), "HTTP/1.1 200 OK 01");
    assert_eq!(
        through(Fault::Delay(Duration::from_millis(1)), "").await.unwrap(),
        good
    );
    let known = Fault::ChangeRequest(|request| request.body = b"known".into());
    assert_eq!(through(known, "unknown").await.unwrap(), good);
    let stalled = timeout(Duration::from_millis(200), through(Fault::StallAfter(3), ""));
    assert!(stalled.await.is_err(), "nothing more comes");
}

#[tokio::test]
async fn a_rule_is_for_the_requests_that_it_names_and_as_often_as_it_says() {
    let server = server().await;
    let proxy = FaultProxy::start(&server.url()).await;
    let busy = Fault::Answer("503 Service Unavailable", &[], "");
    let other = Requests::naming(&["POST ", "/other"]);
    proxy.add(other, busy, Uses::ForEver);
    let twice = Requests::naming(&["/a/b", "SendMessage"]).with_body(|body| body == "x");
    proxy.add(twice, busy, Uses::Times(2));
    proxy.add(ALL, busy, Uses::Share(0.5, fastrand::Rng::with_seed(1)));
    let mut num_good = 0;
    for _request in 0..100 {
        num_good += u32::from(get(&proxy, "x").await.unwrap().contains("200"));
    }
    let tallies = proxy.tallies();
    let [none, some, half] = tallies[..] else {
        panic!("{tallies:?}")
    };
    assert_eq!(none, Tally::default());
    assert_eq!((some.requests, some.hits), (100, 2));
    assert_eq!((half.requests, half.hits), (100, u64::from(98 - num_good)));
    assert!((30..70).contains(&num_good), "{num_good}");
    proxy.heal();
    assert!(get(&proxy, "x").await.unwrap().contains("200"));
    assert_eq!(proxy.tallies()[1].requests, 101);
}

#[tokio::test]
async fn a_closed_proxy_refuses_connections_until_it_is_opened() {
    let server = server().await;
    let proxy = FaultProxy::start(&server.url()).await;
    proxy.close().await;
    let refused = get(&proxy, "").await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    proxy.open().await;
    assert!(get(&proxy, "").await.unwrap().contains("200"));
}
