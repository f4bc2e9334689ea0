//! What all benches do: open what the settings name, inflate, and make documents by the code that ships them.

use std::hint::black_box;
use std::io::Read;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use flowship::aws::{AwsContext, s3::S3Store};
use flowship::config::{Environment, ShipSettings};
use flowship::enrich::Enrichment;
use flowship::flow::LineError;
use flowship::object::ObjectRef;
use flowship::quarantine::Origin;
use flowship::ship::convert::{Closed, ConvertSettings, Converter, ReadSummary, Source, Stretch, Taker};

use crate::places::Places;

pub(crate) const READ_BYTES: usize = 256 << 10;

/// What a function does once at its start.
pub(crate) fn open(environment: &Environment) -> ConvertSettings {
    let settings = ShipSettings::read(environment).unwrap_or_else(|error| panic!("{error}"));
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let connect = async || S3Store::new(&AwsContext::load().await);
    let enrichment = runtime
        .block_on(Enrichment::open(&settings.enrich, connect))
        .unwrap_or_else(|error| panic!("{error}"));
    ConvertSettings::new(&settings, Arc::new(enrichment))
}

/// The environment's settings, and these places in the stead of its own.
pub(crate) fn with_places(places: &Places) -> Environment {
    let mut environment = Environment::of_process();
    environment
        .set("GEO_CITY_DB", places.city_database.to_str())
        .set("GEO_ASN_DB", places.asn_database.to_str())
        .set("NETWORK_MAP", places.subnets.to_str());
    environment
}

/// All documents of an object.
pub(crate) fn documents(object: &[u8], converter: &Converter, taker: &mut impl Taker) -> ReadSummary {
    let named = ObjectRef {
        bucket: "bench".into(),
        key: "object".into(),
        version_id: None,
    };
    let summary = converter.convert(object, 0, &Source::new(&named, None), taker);
    assert_eq!((&summary.failure, summary.counts.malformed), (&None, 0));
    summary
}

/// Takes the documents as the packer does, and drops them.
#[derive(Default)]
pub(crate) struct Counting {
    pub(crate) num_bytes: u64,
}

impl Taker for Counting {
    fn stretch(&mut self, stretch: Stretch) -> Result<(), Closed> {
        self.num_bytes += stretch.segment.num_bytes() as u64;
        black_box(stretch);
        Ok(())
    }

    fn malformed(&mut self, _origin: &Origin<'_>, _error: &LineError) {}
}

pub(crate) fn inflate(object: &[u8]) {
    let mut decoder = MultiGzDecoder::new(object);
    let mut buffer = vec![0; READ_BYTES];
    while decoder.read(&mut buffer).expect("the object is whole") > 0 {
        black_box(&buffer);
    }
}

pub(crate) fn inflated(object: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(object)
        .read_to_string(&mut text)
        .expect("the object is a gzip'd text");
    text
}
