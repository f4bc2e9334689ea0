//! Documents → segments → bodies. A segment belongs to one producer (one object), a body may hold segments of
//! several, so that small objects share a request.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Request bodies repeat themselves so much that the fastest level already gives 7:1; the next ones cost more CPU
/// than everything else together.
const GZIP_LEVEL: u32 = 1;

/// Which segment it is: its verdicts come back under this name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentId {
    /// Whose it is.
    pub producer: usize,
    /// Which of its producer's, from 0.
    pub number: u64,
}

/// A run of bulk items of one producer, in order, as NDJSON.
#[derive(Debug)]
pub struct Segment {
    id: SegmentId,
    bytes: Vec<u8>,
    items: Vec<Item>,
    attached: Vec<u8>,
    /// Where what is attached to an item ends, for as many items as were attached to.
    attached_ends: Vec<usize>,
}

/// One action line and its document: where it ends in the segment, and what its producer calls it.
#[derive(Clone, Copy, Debug)]
struct Item {
    end: usize,
    token: u64,
}

impl Segment {
    /// An empty segment with room for `capacity` bytes.
    pub fn new(id: SegmentId, capacity: usize) -> Self {
        Self {
            id,
            bytes: Vec::with_capacity(capacity),
            items: Vec::new(),
            attached: Vec::new(),
            attached_ends: Vec::new(),
        }
    }

    /// Its name.
    pub fn id(&self) -> SegmentId {
        self.id
    }

    /// Appends one item. `document` is JSON without a line break; `token` comes back with the verdict. Index and id must
    /// need no escaping in JSON.
    pub fn push(&mut self, index: &str, id: &[u8], token: u64, document: &[u8]) {
        let bytes = &mut self.bytes;
        bytes.reserve(index.len() + id.len() + document.len() + 64);
        bytes.extend_from_slice(br#"{"create":{"_index":""#);
        bytes.extend_from_slice(index.as_bytes());
        bytes.extend_from_slice(br#"","_id":""#);
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(b"\"}}\n");
        bytes.extend_from_slice(document);
        bytes.push(b'\n');
        self.items.push(Item {
            end: bytes.len(),
            token,
        });
    }

    /// Attaches to the last item what its producer wants back if the item is refused. It is not sent, and not counted
    /// in the segment's size. `write` appends it.
    pub fn attach(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let item = self.items.len().checked_sub(1).expect("an item was pushed");
        self.attached_ends.resize(item, self.attached.len());
        write(&mut self.attached);
        self.attached_ends.push(self.attached.len());
    }

    /// Size as NDJSON, bytes.
    pub fn num_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Number of documents.
    pub fn num_items(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items in order, as NDJSON.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The items in order: action line and document, each with its line break.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.items.len()).map(|item| {
            let bytes = self.item_bytes(item);
            let action = memchr::memchr(b'\n', bytes).expect("an action line ends with a line break");
            bytes.split_at(action + 1)
        })
    }

    fn item_bytes(&self, item: usize) -> &[u8] {
        let start = if item == 0 { 0 } else { self.items[item - 1].end };
        &self.bytes[start..self.items[item].end]
    }

    fn attached(&self, item: usize) -> &[u8] {
        let start = if item == 0 { 0 } else { self.attached_end(item - 1) };
        &self.attached[start..self.attached_end(item)]
    }

    fn attached_end(&self, item: usize) -> usize {
        let end = self.attached_ends.get(item);
        end.copied().unwrap_or(self.attached.len())
    }
}

/// The position of one item in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    segment: usize,
    item: usize,
}

/// What one `_bulk` request is made from. Kept until every item has its verdict, because items are sent again alone.
#[derive(Debug, Default)]
pub struct Body {
    segments: Vec<Segment>,
    num_bytes: usize,
}

impl Body {
    /// Size as NDJSON, bytes.
    pub fn num_bytes(&self) -> usize {
        self.num_bytes
    }

    /// Number of documents.
    pub fn num_items(&self) -> usize {
        self.segments.iter().map(Segment::num_items).sum()
    }

    /// Its segments, and how many documents each has.
    pub fn segments(&self) -> impl Iterator<Item = (SegmentId, usize)> {
        self.segments
            .iter()
            .map(|segment| (segment.id, segment.num_items()))
    }

    fn push(&mut self, mut segment: Segment) {
        self.num_bytes += segment.num_bytes();
        // Many small objects share a body: the room their segments were given must not add up.
        if segment.bytes.capacity() > 2 * segment.bytes.len() {
            segment.bytes.shrink_to_fit();
            segment.attached.shrink_to_fit();
        }
        self.segments.push(segment);
    }

    /// The whole body as NDJSON.
    #[cfg(test)]
    pub(crate) fn to_ndjson(&self) -> String {
        let bytes: Vec<u8> = self
            .segments
            .iter()
            .flat_map(|segment| &segment.bytes)
            .copied()
            .collect();
        String::from_utf8(bytes).expect("documents are UTF-8")
    }

    /// All items, in order.
    pub fn positions(&self) -> Vec<Position> {
        let mut positions = Vec::with_capacity(self.num_items());
        for (number, segment) in self.segments.iter().enumerate() {
            positions.extend((0..segment.num_items()).map(|item| Position {
                segment: number,
                item,
            }));
        }
        positions
    }

    pub(super) fn item_bytes(&self, position: Position) -> &[u8] {
        self.segments[position.segment].item_bytes(position.item)
    }

    pub(super) fn segment_id(&self, position: Position) -> SegmentId {
        self.segments[position.segment].id
    }

    pub(super) fn attached(&self, position: Position) -> &[u8] {
        self.segments[position.segment].attached(position.item)
    }

    pub(super) fn token(&self, position: Position) -> u64 {
        self.segments[position.segment].items[position.item].token
    }

    /// How many of `due` fit into `max_bytes` of NDJSON: at least one.
    pub(super) fn fitting(&self, due: &[Position], max_bytes: usize) -> usize {
        let mut num_bytes = 0;
        let fitting = due.iter().take_while(|position| {
            num_bytes += self.item_bytes(**position).len();
            num_bytes <= max_bytes
        });
        fitting.count().clamp(1, due.len())
    }

    /// The gzip'd NDJSON of these items.
    pub fn compress(&self, positions: &[Position]) -> Vec<u8> {
        const MEMORY: &str = "writing to memory does not fail";
        let mut encoder = GzEncoder::new(
            Vec::with_capacity(self.num_bytes / 8),
            Compression::new(GZIP_LEVEL),
        );
        // Neighbours are written in one piece.
        for run in positions.chunk_by(|a, b| a.segment == b.segment && a.item + 1 == b.item) {
            let (first, last) = (run[0], run[run.len() - 1]);
            let segment = &self.segments[first.segment];
            let start = if first.item == 0 {
                0
            } else {
                segment.items[first.item - 1].end
            };
            encoder
                .write_all(&segment.bytes[start..segment.items[last.item].end])
                .expect(MEMORY);
        }
        encoder.finish().expect(MEMORY)
    }
}

/// Fills bodies with segments.
#[derive(Debug)]
pub struct Packer {
    max_bytes: usize,
    body: Body,
}

impl Packer {
    /// Bodies of at most `max_bytes` of NDJSON; a segment must not be larger than that.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            body: Body::default(),
        }
    }

    /// Adds a segment. When it does not fit, the body until here is full and returned.
    pub fn push(&mut self, segment: Segment) -> Option<Body> {
        let full = self.body.num_bytes + segment.num_bytes() > self.max_bytes;
        let done = if full { self.take() } else { None };
        if !segment.is_empty() {
            self.body.push(segment);
        }
        done
    }

    /// What was gathered until now, if anything.
    pub fn take(&mut self) -> Option<Body> {
        (!self.body.segments.is_empty()).then(|| std::mem::take(&mut self.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::MultiGzDecoder;
    use proptest::prelude::*;
    use std::io::Read;

    fn segment(producer: usize, sizes: &[usize], token: &mut u64) -> Segment {
        let mut segment = Segment::new(SegmentId { producer, number: 0 }, 0);
        for size in sizes {
            segment.push("i", b"id", *token, &vec![b'x'; *size]);
            *token += 1;
        }
        segment
    }

    fn inflate(gzip: &[u8]) -> String {
        let mut text = String::new();
        MultiGzDecoder::new(gzip).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn an_item_is_an_action_line_and_its_document() {
        let mut segment = Segment::new(SegmentId::default(), 0);
        segment.push("flowlogs-vpc-2026.11.20", b"aW0", 3, b"{}");
        let mut packer = Packer::new(1000);
        assert!(packer.push(segment).is_none());
        let body = packer.take().unwrap();
        let expected = "{\"create\":{\"_index\":\"flowlogs-vpc-2026.11.20\",\"_id\":\"aW0\"}}\n{}\n";
        assert_eq!(inflate(&body.compress(&body.positions())), expected);
    }

    #[test]
    fn what_is_attached_stays_with_its_item_and_is_not_sent() {
        let mut segment = Segment::new(SegmentId::default(), 0);
        for number in 0..5_u64 {
            segment.push("i", b"id", number, b"{}");
            if matches!(number, 1 | 3) {
                segment.attach(|attached| attached.extend_from_slice(format!("<{number}>").as_bytes()));
            }
        }
        let mut packer = Packer::new(1000);
        packer.push(segment);
        let body = packer.take().unwrap();
        let attached: Vec<&[u8]> = body.positions().into_iter().map(|p| body.attached(p)).collect();
        assert_eq!(attached, [&b""[..], b"<1>", b"", b"<3>", b""]);
        assert!(!body.to_ndjson().contains('<'));
    }

    #[test]
    fn only_the_items_asked_for_are_sent_again() {
        let mut token = 0;
        let mut packer = Packer::new(10_000);
        packer.push(segment(0, &[1, 2, 3], &mut token));
        packer.push(segment(1, &[4, 5], &mut token));
        let body = packer.take().unwrap();
        let positions = body.positions();
        let text = inflate(&body.compress(&[positions[0], positions[2], positions[3]]));
        let documents: Vec<usize> = text.lines().skip(1).step_by(2).map(str::len).collect();
        assert_eq!(documents, [1, 3, 4]);
        assert_eq!(
            (body.segment_id(positions[3]).producer, body.token(positions[3])),
            (1, 3)
        );
    }

    proptest! {
        #[test]
        fn every_document_is_in_exactly_one_body_and_no_body_is_too_large(
            segments in prop::collection::vec(prop::collection::vec(0_usize..150, 0..6), 0..40),
            max_bytes in 1200_usize..4000,
        ) {
            let mut token = 0;
            let mut packer = Packer::new(max_bytes);
            let mut bodies = Vec::new();
            for (producer, sizes) in segments.iter().enumerate() {
                bodies.extend(packer.push(segment(producer, sizes, &mut token)));
            }
            bodies.extend(packer.take());
            let mut seen = Vec::new();
            for body in &bodies {
                prop_assert!(body.num_bytes() <= max_bytes);
                prop_assert!(body.num_items() > 0);
                seen.extend(body.positions().into_iter().map(|position| body.token(position)));
            }
            prop_assert_eq!(seen, (0..token).collect::<Vec<_>>());
        }

        #[test]
        fn pieces_of_a_body_are_within_the_limit_and_never_empty(
            sizes in prop::collection::vec(0_usize..300, 1..20), max_bytes in 1_usize..1000,
        ) {
            let mut packer = Packer::new(usize::MAX);
            packer.push(segment(0, &sizes, &mut 0));
            let body = packer.take().unwrap();
            let positions = body.positions();
            let fitting = body.fitting(&positions, max_bytes);
            let num_bytes: usize = positions[..fitting].iter().map(|p| body.item_bytes(*p).len()).sum();
            prop_assert!(fitting >= 1 && (num_bytes <= max_bytes || fitting == 1));
        }
    }
}
