//! The whole path from the gzip'd bytes of an object to bulk bodies in memory, as CPU time of one thread, beside what
//! no design beats (inflating, and writing the output once) and beside `zcat | gawk`.
//!
//! ```text
//! cargo bench --bench pipeline                      # 200,000 records of each kind
//! cargo bench --bench pipeline -- x.log.gz …        # these objects
//! cargo bench --bench pipeline -- --profile x.log.gz # only the documents, 20 times: for a profiler
//! ```
//!
//! Everything is measured in turn, seven times; what is printed are medians and their ratios.
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

mod objects;

use std::hint::black_box;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use flowship::aws::{AwsContext, s3::S3Store};
use flowship::bulk::{Body, Packer, Segment};
use flowship::config::{Environment, ShipSettings};
use flowship::enrich::Enrichment;
use flowship::flow::LineError;
use flowship::object::ObjectRef;
use flowship::quarantine::Origin;
use flowship::ship::convert::{Closed, ConvertSettings, Converter, Source, Taker};
use rustix::time::{ClockId, clock_gettime};

const NUM_ROUNDS: usize = 7;
const READ_BYTES: usize = 256 << 10;

/// What a shell user would write: twelve fields as JSON.
const GAWK: &str = r#"NR>1{printf "{\"account\":\"%s\",\"interface\":\"%s\",\"src\":\"%s\",\"dst\":\"%s\",\"srcport\":%s,\"dstport\":%s,\"protocol\":%s,\"packets\":%s,\"bytes\":%s,\"start\":%s,\"end\":%s,\"action\":\"%s\"}\n",$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13}"#;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let files: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let (num_records, num_rounds) = if is_test {
        (2_000, 1)
    } else {
        (200_000, NUM_ROUNDS)
    };
    if arguments.iter().any(|argument| argument == "--profile") {
        return profile(&files);
    }
    println!("object            records  us/record: inflate   floor  documents  with gzip  zcat|gawk");
    if files.is_empty() {
        for (name, fields) in [("v2", objects::Fields::V2), ("v5", objects::Fields::V5)] {
            measure(name, &objects::object(fields, num_records, 7), num_rounds);
        }
    }
    for file in files {
        let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        measure(file, &bytes, num_rounds);
    }
}

fn converter() -> Converter {
    let settings =
        ShipSettings::read(&Environment::of_process()).expect("the environment's settings are usable");
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let connect = async || S3Store::new(&AwsContext::load().await);
    let enrichment = runtime
        .block_on(Enrichment::open(&settings.enrich, connect))
        .unwrap_or_else(|error| panic!("{error}"));
    Converter::new(ConvertSettings::new(&settings, Arc::new(enrichment)))
}

fn profile(files: &[&String]) {
    let converter = converter();
    for file in files {
        let object = std::fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        for _ in 0..20 {
            let mut num_records = 0;
            let seconds =
                cpu_seconds(|| num_records = documents(&object, &converter, &mut Counting::default()));
            println!("{:.3} us/record", seconds * 1e6 / num_records as f64);
        }
    }
}

fn measure(name: &str, object: &[u8], num_rounds: usize) {
    let converter = converter();
    let mut times: [Vec<f64>; 5] = Default::default();
    let (mut num_records, mut num_bytes) = (0, 0);
    for _ in 0..num_rounds {
        let mut taker = Counting::default();
        times[2].push(cpu_seconds(|| {
            num_records = documents(object, &converter, &mut taker);
        }));
        num_bytes = taker.num_bytes;
        times[0].push(cpu_seconds(|| inflate(object)));
        times[1].push(cpu_seconds(|| floor(object, num_bytes)));
        let mut taker = Compressing::default();
        times[3].push(cpu_seconds(|| {
            num_records = documents(object, &converter, &mut taker);
        }));
        times[4].extend(zcat_gawk(name, object));
    }
    let [inflate, floor, documents, compressed, gawk] = times.map(median);
    let per_record = |seconds: Option<f64>| match seconds {
        Some(seconds) => format!("{:.3}", seconds * 1e6 / num_records as f64),
        None => "-".to_owned(),
    };
    let ratio = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => format!("{:.2}", a / b),
        _ => "-".to_owned(),
    };
    println!(
        "{name:<16} {num_records:>8} {:>19} {:>7} {:>10} {:>10} {:>10}",
        per_record(inflate),
        per_record(floor),
        per_record(documents),
        per_record(compressed),
        per_record(gawk)
    );
    println!(
        "  {} bytes of bulk body a record; documents / floor {}, with gzip / inflate {}, zcat|gawk / documents {}",
        num_bytes / num_records.max(1),
        ratio(documents, floor),
        ratio(compressed, inflate),
        ratio(gawk, documents)
    );
}

fn documents(object: &[u8], converter: &Converter, taker: &mut impl Taker) -> u64 {
    let named = ObjectRef {
        bucket: "bench".into(),
        key: "object".into(),
        version_id: None,
    };
    let summary = converter.convert(object, 0, &Source::new(&named, None), taker);
    assert_eq!((summary.failure, summary.malformed), (None, 0));
    summary.lines
}

fn inflate(object: &[u8]) {
    let mut decoder = MultiGzDecoder::new(object);
    let mut buffer = vec![0; READ_BYTES];
    while decoder.read(&mut buffer).expect("the object is whole") > 0 {
        black_box(&buffer);
    }
}

/// Inflating, and one copy of as many bytes as the documents have.
fn floor(object: &[u8], num_bytes: u64) {
    inflate(object);
    let source = vec![b'x'; READ_BYTES];
    let mut body = Vec::with_capacity(4 << 20);
    for _ in 0..num_bytes / READ_BYTES as u64 {
        if body.len() + READ_BYTES > body.capacity() {
            body.clear();
        }
        body.extend_from_slice(black_box(&source));
    }
    black_box(&body);
}

/// Takes the documents as the packer does, and drops them.
#[derive(Default)]
struct Counting {
    num_bytes: u64,
}

impl Taker for Counting {
    fn segment(&mut self, segment: Segment) -> Result<(), Closed> {
        self.num_bytes += segment.num_bytes() as u64;
        black_box(segment);
        Ok(())
    }

    fn malformed(&mut self, _origin: &Origin<'_>, _error: &LineError) {}
}

/// Packs and compresses bodies as they are sent.
struct Compressing(Packer);

impl Default for Compressing {
    fn default() -> Self {
        Self(Packer::new(4 << 20))
    }
}

impl Taker for Compressing {
    fn segment(&mut self, segment: Segment) -> Result<(), Closed> {
        let compress = |body: Body| black_box(body.compress(&body.positions()));
        self.0.push(segment).map(compress);
        Ok(())
    }

    fn malformed(&mut self, _origin: &Origin<'_>, _error: &LineError) {}
}

/// CPU seconds of both processes; `None` where gawk is not installed.
fn zcat_gawk(name: &str, object: &[u8]) -> Option<f64> {
    let name = name.rsplit('/').next().unwrap_or_default();
    let file: PathBuf = std::env::temp_dir().join(format!("flowship-bench-{}-{name}", std::process::id()));
    std::fs::write(&file, object).expect("the temporary folder takes it");
    let before = children_seconds();
    let zcat = Command::new("zcat").arg(&file).stdout(Stdio::piped()).spawn();
    let gawk = zcat.and_then(|mut zcat| {
        let text = zcat.stdout.take().expect("it was asked for");
        let mut gawk = Command::new("gawk")
            .arg(GAWK)
            .stdin(text)
            .stdout(Stdio::null())
            .spawn()?;
        gawk.wait()?;
        zcat.wait()
    });
    let seconds = children_seconds() - before;
    std::fs::remove_file(&file).expect("it was just written");
    gawk.is_ok().then_some(seconds)
}

/// What the processes took that have ended: fields 16 and 17 of /proc/self/stat, hundredths of a second.
fn children_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace();
    let ticks = fields
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn cpu_seconds(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let before = now();
    work();
    now() - before
}

fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}
