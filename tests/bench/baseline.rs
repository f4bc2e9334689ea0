//! What documents are compared with: what no design beats, and what a shell user would write.

use std::hint::black_box;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::measure::children_seconds;
use crate::work::{READ_BYTES, inflate};

/// As large as the body of a request.
const BUFFER_BYTES: usize = 4 << 20;

/// Twelve fields as JSON.
const GAWK: &str = r#"NR>1{printf "{\"account\":\"%s\",\"interface\":\"%s\",\"src\":\"%s\",\"dst\":\"%s\",\"srcport\":%s,\"dstport\":%s,\"protocol\":%s,\"packets\":%s,\"bytes\":%s,\"start\":%s,\"end\":%s,\"action\":\"%s\"}\n",$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13}"#;

/// Inflating, and one copy of as many bytes as the documents have.
pub(crate) fn floor(object: &[u8], num_bytes: u64) {
    inflate(object);
    let source = vec![b'x'; READ_BYTES];
    let mut body = Vec::with_capacity(BUFFER_BYTES);
    for _ in 0..num_bytes / READ_BYTES as u64 {
        if body.len() + READ_BYTES > body.capacity() {
            body.clear();
        }
        body.extend_from_slice(black_box(&source));
    }
    black_box(&body);
}

/// CPU seconds of both processes; `None` where gawk is not installed.
pub(crate) fn zcat_gawk(object: &[u8]) -> Option<f64> {
    let mut file = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
    file.write_all(object)
        .expect("the folder for temporary files takes it");
    let before = children_seconds();
    // zcat decides by the name of a file; its stdin has none.
    let mut zcat = Command::new("zcat")
        .stdin(file.reopen().expect("it was just written"))
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let text = zcat.stdout.take().expect("it was asked for");
    let gawk = Command::new("gawk")
        .arg(GAWK)
        .stdin(text)
        .stdout(Stdio::null())
        .status();
    zcat.wait().ok()?;
    gawk.ok()?;
    Some(children_seconds() - before)
}
