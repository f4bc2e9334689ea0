//! For tests: an Elasticsearch or a Kibana that answers what was scripted, call by call, and nothing else.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::client::Client;
use crate::config::{Credentials, ElasticsearchSettings};

pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) answer: String,
    pub(crate) body: Option<Value>,
}

pub(crate) fn get(path: &str, status: u16, answer: &Value) -> Call {
    Call {
        method: Method::GET,
        path: format!("/{path}"),
        status,
        answer: answer.to_string(),
        body: None,
    }
}

pub(crate) struct Script {
    calls: Arc<Mutex<VecDeque<Call>>>,
    surprises: Arc<Mutex<Vec<String>>>,
    pub(crate) client: Client,
    pub(crate) settings: ElasticsearchSettings,
}

impl Script {
    pub(crate) async fn start(calls: Vec<Call>) -> Self {
        let calls = Arc::new(Mutex::new(VecDeque::from(calls)));
        let surprises = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let shared = (Arc::clone(&calls), Arc::clone(&surprises));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                let service = service_fn(move |request| answer(shared.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        let settings = ElasticsearchSettings {
            urls: vec![url.parse().unwrap()],
            credentials: Credentials::Anonymous,
            ca_file: None,
        };
        let client = Client::connect(&settings, async |_| Err(String::new())).await;
        Self {
            calls,
            surprises,
            client: client.unwrap(),
            settings,
        }
    }

    /// Every call of the script was made, and no other.
    pub(crate) fn finish(&self) {
        assert_eq!(*self.surprises.lock().unwrap(), Vec::<String>::new());
        let left: Vec<String> = self
            .calls
            .lock()
            .unwrap()
            .iter()
            .map(|call| format!("{} {}", call.method, call.path))
            .collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

type Shared = (Arc<Mutex<VecDeque<Call>>>, Arc<Mutex<Vec<String>>>);

async fn answer(
    (calls, surprises): Shared,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path_and_query().unwrap().to_string();
    let made = format!("{} {path}", request.method());
    let is_for_kibana = path.contains("/api/");
    let is_allowed = !is_for_kibana || request.headers().contains_key("kbn-xsrf");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Option<Value> = serde_json::from_slice(&body).ok().or_else(|| file_of_form(&body));
    let next = calls.lock().unwrap().pop_front();
    let (status, answer) = match next {
        Some(call) if is_allowed && made == format!("{} {}", call.method, call.path) && body == call.body => {
            (call.status, call.answer)
        }
        _ => {
            surprises.lock().unwrap().push(format!("{made} {body:?}"));
            (599, "not scripted".to_owned())
        }
    };
    let response = Response::builder().status(status).body(answer.into());
    Ok(response.unwrap())
}

/// The one file of a form, as a text.
fn file_of_form(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).unwrap();
    let boundary = text.lines().next()?;
    let (_headers, rest) = text.split_once("\r\n\r\n")?;
    Some(rest.split_once(&format!("\r\n{boundary}--"))?.0.into())
}
