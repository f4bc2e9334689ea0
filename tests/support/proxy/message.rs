//! One HTTP/1.1 request or response, held as a whole.

use std::io::{self, Read as _};
use std::net::SocketAddr;

use flate2::read::MultiGzDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request or a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// `GET /path HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub(crate) first_line: String,
    pub(crate) headers: Vec<(String, String)>,
    /// As it was sent, without the framing of chunks.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The answer of a server. `status`: number and text.
    pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Self {
            first_line: format!("HTTP/1.1 {status}"),
            headers: headers.collect(),
            body: body.into(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    pub(crate) fn remove_header(&mut self, name: &str) {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// The body as text, inflated if need be.
    pub(crate) fn text(&self) -> String {
        let mut inflated = Vec::new();
        if self.header("content-encoding") == Some("gzip") {
            let mut decoder = MultiGzDecoder::new(&self.body[..]);
            decoder.read_to_end(&mut inflated).expect("a body is whole");
        } else {
            inflated.clone_from(&self.body);
        }
        String::from_utf8_lossy(&inflated).into_owned()
    }

    /// What rules are matched with: method, path and, of AWS's JSON services, the operation.
    pub(super) fn summary(&self) -> String {
        let target = self.header("x-amz-target").unwrap_or_default();
        format!("{} {target}", self.first_line)
    }

    /// The next request of a connection; `None` if it was closed.
    pub(super) async fn read_request(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let Some((mut request, rest)) = Self::read_head(stream).await? else {
            return Ok(None);
        };
        if request.header("expect").is_some() {
            request.remove_header("expect");
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = rest;
        if request.is_chunked() {
            request.read_chunked(stream).await?;
        } else {
            let length = request.content_length().unwrap_or(0);
            request.read_until(stream, length).await?;
        }
        Ok(Some(request))
    }

    async fn read_response(stream: &mut TcpStream, is_head: bool) -> io::Result<Self> {
        let head = Self::read_head(stream).await?;
        let (mut response, rest) = head.ok_or(io::ErrorKind::UnexpectedEof)?;
        response.body = rest;
        if is_head {
            return Ok(response);
        }
        if response.is_chunked() {
            response.read_chunked(stream).await?;
        } else if let Some(length) = response.content_length() {
            response.read_until(stream, length).await?;
        } else {
            stream.read_to_end(&mut response.body).await?;
        }
        Ok(response)
    }

    /// The head, and what came behind it.
    async fn read_head(stream: &mut TcpStream) -> io::Result<Option<(Self, Vec<u8>)>> {
        let mut bytes = Vec::with_capacity(16 << 10);
        let end = loop {
            if let Some(end) = position(&bytes, b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let rest = bytes.split_off(end + 4);
        let head = String::from_utf8_lossy(&bytes);
        let mut lines = head.trim_end().lines();
        let first_line = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        let message = Self {
            first_line,
            headers: headers.collect(),
            body: Vec::new(),
        };
        Ok(Some((message, rest)))
    }

    async fn read_until(&mut self, stream: &mut TcpStream, length: usize) -> io::Result<()> {
        self.body.reserve(length.saturating_sub(self.body.len()));
        while self.body.len() < length {
            if stream.read_buf(&mut self.body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Reads chunks until the last one, and takes them out of their framing. Trailers are dropped.
    async fn read_chunked(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let mut body = Vec::new();
        let mut at = 0;
        loop {
            let size_end = self.find_from(stream, at).await?;
            let size = String::from_utf8_lossy(&self.body[at..size_end]);
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16);
            let size = size.map_err(io::Error::other)?;
            at = size_end + 2;
            self.read_until(stream, at + size + 2).await?;
            body.extend_from_slice(&self.body[at..at + size]);
            at += size + 2;
            if size == 0 {
                self.body = body;
                self.remove_header("transfer-encoding");
                return Ok(());
            }
        }
    }

    async fn find_from(&mut self, stream: &mut TcpStream, at: usize) -> io::Result<usize> {
        loop {
            if let Some(end) = position(&self.body[at..], b"\r\n") {
                return Ok(at + end);
            }
            if stream.read_buf(&mut self.body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    fn content_length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }

    /// Writes the head; it says that the body has `length` bytes, and that nothing follows on this connection.
    pub(super) async fn write_head(&self, stream: &mut TcpStream, length: Option<usize>) -> io::Result<()> {
        let mut head = format!("{}\r\n", self.first_line);
        for (name, value) in &self.headers {
            let is_ours = ["connection", "keep-alive"].contains(&&*name.to_lowercase())
                || (length.is_some() && name.eq_ignore_ascii_case("content-length"));
            if !is_ours {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if let Some(length) = length {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head.push_str("Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await
    }

    pub(super) async fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        self.write_head(stream, Some(self.body.len())).await?;
        stream.write_all(&self.body).await
    }

    pub(super) fn is_head(&self) -> bool {
        self.first_line.starts_with("HEAD ")
    }
}

/// Asks a server.
pub(crate) async fn ask(server: SocketAddr, request: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    request.write(&mut stream).await?;
    Message::read_response(&mut stream, request.is_head()).await
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
