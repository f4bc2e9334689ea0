//! Inflates an object by its first bytes, never by its name: all members of a gzip file, gzip in gzip, or nothing.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use super::DecodeError;
use super::chunks::Stopped;
use crate::object::StoreError;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Between two decoders; the outer one gains little from more.
const INNER_BYTES: usize = 32 << 10;

type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

type Inflating<R> = MultiGzDecoder<Peeked<R>>;

/// The inflated bytes of an object.
#[derive(Debug)]
pub(super) struct Inflated<R> {
    source: Source<R>,
    num_bytes: u64,
}

#[derive(Debug)]
enum Source<R> {
    Plain(Peeked<R>),
    Gzip(Box<Peeked<Inflating<R>>>),
    /// Firehose compresses what CloudWatch Logs has compressed already.
    GzipInGzip(Box<MultiGzDecoder<BufReader<Peeked<Inflating<R>>>>>),
}

impl<R: BufRead> Inflated<R> {
    /// Looks at the first bytes and decides how the rest is read.
    pub(super) fn open(reader: R) -> Result<Self, DecodeError> {
        let (is_gzip, peeked) = peek(reader)?;
        if !is_gzip {
            let source = Source::Plain(peeked);
            return Ok(Self { source, num_bytes: 0 });
        }
        let (is_gzip, peeked) = peek(MultiGzDecoder::new(peeked))?;
        let source = if is_gzip {
            let peeked = BufReader::with_capacity(INNER_BYTES, peeked);
            Source::GzipInGzip(Box::new(MultiGzDecoder::new(peeked)))
        } else {
            Source::Gzip(Box::new(peeked))
        };
        Ok(Self { source, num_bytes: 0 })
    }

    /// Reads the next inflated bytes; 0 at the good end of the object.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DecodeError> {
        let result = match &mut self.source {
            Source::Plain(reader) => reader.read(buffer),
            Source::Gzip(decoder) => decoder.read(buffer),
            Source::GzipInGzip(decoder) => decoder.read(buffer),
        };
        match result {
            Ok(num_bytes) => {
                self.num_bytes += num_bytes as u64;
                Ok(num_bytes)
            }
            Err(error) => Err(classify(error, self.num_bytes)),
        }
    }
}

/// Whether these bytes are gzip, and all of them again.
fn peek<R: Read>(mut reader: R) -> Result<(bool, Peeked<R>), DecodeError> {
    let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
    reader
        .by_ref()
        .take(GZIP_MAGIC.len() as u64)
        .read_to_end(&mut magic)
        .map_err(|error| classify(error, 0))?;
    let is_gzip = magic == GZIP_MAGIC;
    Ok((is_gzip, Cursor::new(magic).chain(reader)))
}

/// The store's errors come through the decoder as they are; what is left is the decoder's own verdict.
fn classify(error: io::Error, num_bytes: u64) -> DecodeError {
    let is_ours = |inner: &(dyn std::error::Error + Send + Sync + 'static)| {
        inner.is::<StoreError>() || inner.is::<Stopped>()
    };
    if error.get_ref().is_some_and(is_ours) {
        let inner = error.into_inner().expect("its inner error was just looked at");
        return match inner.downcast::<StoreError>() {
            Ok(error) => DecodeError::Store(*error),
            Err(_stopped) => DecodeError::Stopped,
        };
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return DecodeError::TruncatedGzip { num_bytes };
    }
    DecodeError::CorruptGzip {
        num_bytes,
        source: error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::ChunkReader;
    use crate::object::ObjectRef;
    use crate::outcome::Reason;
    use bytes::Bytes;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;
    use tokio::sync::mpsc;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(bytes: &[u8]) -> Result<String, DecodeError> {
        inflate_from(bytes)
    }

    fn inflate_from(reader: impl BufRead) -> Result<String, DecodeError> {
        let mut inflated = Inflated::open(reader)?;
        let mut text = Vec::new();
        let mut buffer = [0; 7];
        loop {
            match inflated.read(&mut buffer)? {
                0 => return Ok(String::from_utf8(text).unwrap()),
                num_bytes => text.extend_from_slice(&buffer[..num_bytes]),
            }
        }
    }

    #[test]
    fn all_members_and_plain_text_and_nothing_are_read() {
        let members = [gzip("one\n"), gzip("two\n"), gzip(""), gzip("three")].concat();
        assert_eq!(inflate(&members).unwrap(), "one\ntwo\nthree");
        assert_eq!(inflate(b"plain text").unwrap(), "plain text");
        assert_eq!(inflate(b"ab").unwrap(), "ab");
        assert_eq!(inflate(b"").unwrap(), "");
    }

    #[test]
    fn every_cut_of_a_gzip_file_is_noticed() {
        let whole = [gzip("first member\n"), gzip("second member\n")].concat();
        let boundary = gzip("first member\n").len();
        for length in 2..whole.len() {
            let result = inflate(&whole[..length]);
            if length == boundary {
                // A file that ends with a whole member is a whole file.
                assert_eq!(result.unwrap(), "first member\n");
            } else {
                assert!(
                    matches!(result, Err(DecodeError::TruncatedGzip { .. })),
                    "{length}: {result:?}"
                );
            }
        }
    }

    #[test]
    fn a_wrong_checksum_and_garbage_after_the_end_are_corrupt() {
        let mut wrong = gzip("text");
        let crc = wrong.len() - 8;
        wrong[crc] ^= 1;
        let garbage = [gzip("text"), b"garbage after the trailer".to_vec()].concat();
        for bytes in [wrong, garbage] {
            let error = inflate(&bytes).unwrap_err();
            assert_eq!(error.failure().reason, Reason::DecodeCorruptGzip, "{error}");
        }
    }

    #[test]
    fn gzip_in_gzip_is_inflated_twice_and_no_deeper() {
        let gzip_bytes = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let inner = [gzip("one\n"), gzip("two\n")].concat();
        let twice = [gzip_bytes(&inner), gzip_bytes(&gzip("three"))].concat();
        assert_eq!(inflate(&twice).unwrap(), "one\ntwo\nthree");
        let thrice = gzip_bytes(&twice);
        let mut inflated = Inflated::open(&thrice[..]).unwrap();
        let mut buffer = [0; 2];
        inflated.read(&mut buffer).unwrap();
        assert_eq!(buffer, GZIP_MAGIC);
        for cut in [&twice[..twice.len() - 3], &gzip_bytes(&inner[..inner.len() - 3])] {
            assert!(matches!(inflate(cut), Err(DecodeError::TruncatedGzip { .. })));
        }
    }

    #[test]
    fn the_stores_own_error_comes_through_the_decoder() {
        let object = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version_id: None,
        };
        let cut = StoreError::Unavailable {
            object,
            detail: "connection reset".into(),
        };
        let (sender, receiver) = mpsc::channel(4);
        let bytes = gzip("a line that is cut");
        sender.try_send(Ok(Bytes::copy_from_slice(&bytes[..12]))).unwrap();
        sender.try_send(Err(cut.clone())).unwrap();
        let error = inflate_from(ChunkReader::new(receiver)).unwrap_err();
        assert!(matches!(error, DecodeError::Store(error) if error == cut));
    }

    #[test]
    fn a_sender_that_goes_away_is_no_end_of_file() {
        let (sender, receiver) = mpsc::channel(4);
        sender.try_send(Ok(Bytes::from_static(b"plain"))).unwrap();
        drop(sender);
        assert!(matches!(
            inflate_from(ChunkReader::new(receiver)),
            Err(DecodeError::Stopped)
        ));

        let (sender, receiver) = mpsc::channel(4);
        sender.try_send(Ok(Bytes::from_static(b"plain"))).unwrap();
        sender.try_send(Ok(Bytes::new())).unwrap();
        assert_eq!(inflate_from(ChunkReader::new(receiver)).unwrap(), "plain");
    }
}
