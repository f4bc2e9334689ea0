//! The whole path from the bytes of an object to bulk bodies in memory, as CPU time of one thread, beside what no
//! design beats (inflating, and writing the output once) and beside `zcat | gawk`.
//!
//! ```text
//! cargo bench --bench pipeline                       # 200,000 records of each kind
//! cargo bench --bench pipeline -- x.log.gz …         # these objects
//! cargo bench --bench pipeline -- --profile x.log.gz # only the documents, 20 times: for a profiler
//! cargo bench --bench pipeline -- --write v5 50000 x.log.gz   # makes an object
//! cargo bench --bench pipeline -- --write-places FOLDER       # makes city.mmdb, asn.mmdb and subnets.json
//! ```
//!
//! Everything is measured in turn, seven times; what is printed are medians and their ratios. Settings are those of the
//! environment; the rows "with places" have the generated databases and the map of 1,000 subnets in their stead.
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

mod baseline;
mod measure;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "written for the integration tests, which read descriptions from files"
)]
#[path = "../support/mmdb.rs"]
mod mmdb;
mod objects;
mod parquet;
mod places;
mod work;

use std::fs;
use std::hint::black_box;
use std::path::Path;

use flowship::bulk::{Body, Packer};
use flowship::config::Environment;
use flowship::flow::LineError;
use flowship::quarantine::Origin;
use flowship::ship::convert::{Closed, Converter, Stretch, Taker};

use measure::{Step, Table, cpu_seconds, wall_seconds};
use objects::Fields;
use places::Places;
use work::{Counting, documents, open, with_places};

const NUM_ROUNDS: usize = 7;
const SEED: u64 = 7;
/// 102,400 networks with a city each.
const NETWORK_BITS: u8 = 18;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // As criterion does it: only `cargo bench` says `--bench`.
    let is_test = arguments.contains(&"--test") || !arguments.contains(&"--bench");
    let arguments: Vec<&str> = arguments
        .into_iter()
        .filter(|argument| !["--bench", "--test"].contains(argument))
        .collect();
    match arguments[..] {
        ["--write", kind, num_records, path] => {
            let num_records = num_records.parse().expect("RECORDS is a number");
            let fields = match kind {
                "v2" => Fields::V2,
                "v5" => Fields::V5,
                _ => panic!("`{kind}` is neither v2 nor v5"),
            };
            write(path, &objects::object(fields, num_records, SEED));
        }
        ["--write-places", folder] => {
            Places::write(Path::new(folder), NETWORK_BITS);
        }
        ["--profile", ref files @ ..] => profile(files),
        [option, ..] if option.starts_with('-') => {
            panic!("`{option}` is none of --profile, --write KIND RECORDS FILE and --write-places FOLDER")
        }
        ref files => compare(files, is_test),
    }
}

fn compare(files: &[&str], is_test: bool) {
    let (num_records, num_rounds, network_bits) = if is_test {
        (2_000, 1, 12)
    } else {
        (200_000, NUM_ROUNDS, NETWORK_BITS)
    };
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let places = Places::write(folder.path(), network_bits);
    if files.is_empty() {
        for (name, fields) in [("v2", Fields::V2), ("v5", Fields::V5)] {
            let object = objects::object(fields, num_records, SEED);
            measure(name, &object, &places, num_rounds);
        }
    }
    for file in files {
        measure(file, &read(file), &places, num_rounds);
    }
}

fn read(file: &str) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn write(file: &str, bytes: &[u8]) {
    fs::write(file, bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
}

fn profile(files: &[&str]) {
    let converter = Converter::new(open(&Environment::of_process()));
    for file in files {
        let object = read(file);
        for _ in 0..20 {
            let mut num_records = 0;
            let seconds = cpu_seconds(|| {
                num_records = documents(&object, &converter, &mut Counting::default())
                    .counts
                    .lines;
            });
            println!("{:.3} us/record", seconds * 1e6 / num_records as f64);
        }
    }
}

fn measure(name: &str, object: &[u8], places: &Places, num_rounds: usize) {
    let plain = Converter::new(open(&Environment::of_process()));
    let settings = open(&with_places(places));
    let placed = Converter::new(settings.clone());

    let text = work::inflated(object);
    let parquet = parquet::object(&text);
    let mut taker = Counting::default();
    let num_records = documents(object, &plain, &mut taker).counts.lines;
    let plain_bytes = taker.num_bytes;
    let mut taker = Counting::default();
    documents(object, &placed, &mut taker);
    let placed_bytes = taker.num_bytes;
    println!(
        "{name}: {num_records} records of {} bytes, {plain_bytes} of bulk body, {placed_bytes} with places",
        text.len() as u64 / num_records.max(1),
        plain_bytes = plain_bytes / num_records.max(1),
        placed_bytes = placed_bytes / num_records.max(1),
    );

    let count = |object: &[u8], converter: &Converter| {
        documents(object, converter, &mut Counting::default());
    };
    let compress = |converter: &Converter| {
        documents(object, converter, &mut Compressing::default());
    };
    let on_one_thread = || (0..2).for_each(|_| count(object, &placed));
    let on_two_threads = || {
        std::thread::scope(|scope| {
            scope.spawn(|| count(object, &placed));
            count(object, &placed);
        });
    };
    let mut table = Table::new(vec![
        Step::new("inflate", || Some(cpu_seconds(|| work::inflate(object)))),
        Step::new("floor: inflate, copy the documents", || {
            Some(cpu_seconds(|| baseline::floor(object, plain_bytes)))
        }),
        Step::new("documents", || Some(cpu_seconds(|| count(object, &plain))))
            .over("floor: inflate, copy the documents"),
        Step::new("documents in gzip'd bodies", || {
            Some(cpu_seconds(|| compress(&plain)))
        })
        .over("inflate"),
        Step::new("floor with places", || {
            Some(cpu_seconds(|| baseline::floor(object, placed_bytes)))
        }),
        Step::new("with places", || Some(cpu_seconds(|| count(object, &placed)))).over("floor with places"),
        Step::new("with places, first object of a process", || {
            let first = Converter::new(settings.clone());
            Some(cpu_seconds(|| count(object, &first)))
        })
        .over("with places"),
        Step::new("with places, in gzip'd bodies", || {
            Some(cpu_seconds(|| compress(&placed)))
        })
        .over("inflate"),
        Step::new("with places, from Parquet", || {
            Some(cpu_seconds(|| count(&parquet, &placed)))
        })
        .over("with places"),
        Step::new("two objects on two threads, elapsed", || {
            Some(wall_seconds(on_two_threads) / 2.0)
        }),
        Step::new("two objects on one thread, elapsed", || {
            Some(wall_seconds(on_one_thread) / 2.0)
        })
        .over("two objects on two threads, elapsed"),
        Step::new("zcat | gawk, 12 fields as JSON", || baseline::zcat_gawk(object)).over("documents"),
    ]);
    table.measure(num_rounds);
    table.print(num_records);
}

/// Packs and compresses bodies as they are sent.
struct Compressing(Packer);

impl Default for Compressing {
    fn default() -> Self {
        Self(Packer::new(4 << 20))
    }
}

impl Taker for Compressing {
    fn stretch(&mut self, stretch: Stretch) -> Result<(), Closed> {
        let compress = |body: Body| black_box(body.compress(&body.positions()));
        self.0.push(stretch.segment).map(compress);
        Ok(())
    }

    fn malformed(&mut self, _origin: &Origin<'_>, _error: &LineError) {}
}
