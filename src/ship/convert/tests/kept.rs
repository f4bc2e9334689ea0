//! Lines go aside and come back: the documents are those that the object makes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rows::of_texts;
use super::*;
use crate::bulk::delivery::Courier;
use crate::bulk::memory::MemorySink;
use crate::deadline::Deadline;
use crate::object::ObjectInfo;
use crate::quarantine::{Head, QuarantinedLine, SourceObject};

const FIELDS: &str = "srcaddr bytes end";

/// What was made of an object, or of lines of it.
struct Made {
    summary: ReadSummary,
    /// Documents by their action lines.
    documents: BTreeMap<String, String>,
    malformed: Vec<QuarantinedLine>,
    packer: Packer,
}

impl Taker for Made {
    fn stretch(&mut self, stretch: Stretch) -> Result<(), Closed> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let pairs = stretch.segment.pairs();
        self.documents
            .extend(pairs.map(|(action, document)| (text(action), text(document))));
        assert!(self.packer.push(stretch.segment).is_none());
        Ok(())
    }

    fn malformed(&mut self, origin: &Origin<'_>, error: &LineError) {
        self.malformed.push(QuarantinedLine::malformed(origin, error));
    }
}

impl Made {
    fn by(make: impl FnOnce(&Converter, &mut Self) -> ReadSummary) -> Self {
        let converter = Converter::new(ConvertSettings {
            keep_lines: true,
            ..settings()
        });
        let mut made = Self {
            summary: ReadSummary::default(),
            documents: BTreeMap::new(),
            malformed: Vec::new(),
            packer: Packer::new(usize::MAX),
        };
        made.summary = make(&converter, &mut made);
        made
    }

    fn of(object: &[u8]) -> Self {
        Self::by(|converter, made| converter.convert(object, 0, &source(), made))
    }

    fn again(head: &Head, lines: &[QuarantinedLine]) -> Self {
        let formats = KeptFormats::new(head);
        let lines = lines.iter().map(|line| formats.read(line).unwrap());
        Self::by(|converter, made| converter.convert_kept(lines, 0, &source(), made))
    }

    fn head(&self) -> Head {
        let object = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version_id: None,
        };
        let object = SourceObject::new(&object, &ObjectInfo::default());
        Head::new(object, 1, 0, self.summary.formats.headers.clone())
    }

    /// The lines of all documents as they go aside when Elasticsearch refuses them.
    async fn refuse(&mut self) -> Vec<QuarantinedLine> {
        let sink = MemorySink::default();
        sink.refuse_containing("{");
        let courier = Courier::new(sink, 64 << 20, 1, Duration::from_secs(1));
        let deadline = Deadline::new(
            tokio::time::Instant::now() + Duration::from_secs(60),
            Duration::ZERO,
        );
        let report = courier.deliver(self.packer.take().unwrap(), deadline).await;
        let refused = report.verdicts.values().flat_map(|verdicts| &verdicts.refused);
        let mut lines: Vec<QuarantinedLine> = refused.map(QuarantinedLine::refused).collect();
        lines.sort_by_key(|line| line.line);
        lines
    }
}

#[tokio::test]
async fn refused_lines_make_the_documents_that_their_object_made() {
    let objects = [
        // Two formats, a time that only the object has, a blank line, more than a segment.
        format!(
            "{FIELDS}\n{}\nend pkt-srcaddr\n1418530070 10.0.0.9\n- 10.0.0.8\n",
            "10.0.0.1 5 1418530070\n".repeat(9000)
        )
        .into_bytes(),
        format!(
            "{FIELDS}\n{}",
            r#"{"message":"10.0.0.1 5 1418530070"}{"message":"10.0.0.2 5 -"}"#
        )
        .into_bytes(),
        of_texts(
            &["srcaddr", "note", "end"],
            &[
                vec!["10.0.0.1", "two words", "1418530070"],
                vec!["10.0.0.2", "", "-"],
            ],
        ),
    ];
    for object in &objects {
        let mut first = Made::of(object);
        let refused = first.refuse().await;
        assert!(refused.len() > 1);
        let backwards: Vec<QuarantinedLine> = refused.iter().rev().cloned().collect();
        let mut again = Made::again(&first.head(), &backwards);
        assert_eq!(again.documents, first.documents);
        assert_eq!(again.summary.counts.lines, refused.len() as u64);
        assert_eq!(again.refuse().await, refused, "they can go aside again");
    }
}

#[test]
fn lines_that_cannot_be_read_are_the_same_again() {
    let mut text =
        format!("{FIELDS}\n10.0.0.1 5\n10.0.0.1 x 1418530070\nx 5 -\n{{\"other\":1}}\n").into_bytes();
    text.extend_from_slice(b"\xff\n");
    let mut objects = vec![text];
    objects.push(of_texts(
        &["srcaddr", "srcport", "end"],
        &[vec!["10.0.0.1", "4 5", "-"]],
    ));
    for (object, num_lines) in objects.iter().zip([5, 1]) {
        let first = Made::of(object);
        let again = Made::again(&first.head(), &first.malformed);
        assert_eq!(again.malformed, first.malformed);
        assert_eq!(
            (again.summary.counts.lines, again.summary.counts.malformed),
            (num_lines, num_lines)
        );
    }
}

/// Instead of a better parser, the file gets the format that the lines are of.
#[test]
fn a_line_that_can_be_read_by_now_is_the_document_that_it_would_have_been() {
    let lines = "10.0.0.1 5 1418530070\n10.0.0.2 5 1418530070\n";
    let expected = Made::of(format!("{FIELDS}\n{lines}").as_bytes());
    let first = Made::of(format!("{FIELDS} action\n{lines}").as_bytes());
    assert_eq!(first.malformed.len(), 2);
    let again = Made::again(&expected.head(), &first.malformed);
    assert_eq!(again.documents, expected.documents);
}

/// Instead of a better parser, the row gets JSON that wraps a line.
#[test]
fn json_that_wraps_a_line_by_now_is_unwrapped() {
    let expected = Made::of(format!("{FIELDS}\n10.0.0.1 5 1418530070\n").as_bytes());
    let first = Made::of(format!("{FIELDS}\n{{\"m\":\"10.0.0.1 5 1418530070\"}}\n").as_bytes());
    let row = serde_json::to_string(&first.malformed[0]).unwrap();
    let row = row.replace(r#"{\"m\":"#, r#"{\"message\":"#);
    let again = Made::again(&first.head(), &[serde_json::from_str(&row).unwrap()]);
    assert_eq!(again.documents, expected.documents);
}

#[test]
fn what_was_not_kept_cannot_be_converted_and_says_why() {
    let first = Made::of(format!("{FIELDS}\n{}\n", "x".repeat(70_000)).as_bytes());
    let formats = KeptFormats::new(&first.head());
    assert_eq!(formats.read(&first.malformed[0]).unwrap_err(), NotKept::NoText);

    let row = |members: &str| {
        let row = format!(r#"{{"line":1,"reason":"line.number","detail":"",{members}}}"#);
        serde_json::from_str::<QuarantinedLine>(&row).unwrap()
    };
    for (members, expected) in [
        (r#""ordinal":0,"raw":"a""#, NotKept::NoFormat),
        (r#""ordinal":0,"format":1,"raw":"a""#, NotKept::NoFormat),
        (r#""ordinal":0,"format":0"#, NotKept::Damaged),
        (r#""ordinal":0,"format":0,"raw_base64":"?""#, NotKept::Damaged),
        (
            r#""ordinal":0,"format":0,"widths":[1,2],"raw":"a bcd""#,
            NotKept::Damaged,
        ),
        (
            r#""ordinal":0,"format":0,"widths":[4294967295],"raw":"a""#,
            NotKept::Damaged,
        ),
        (
            r#""ordinal":18446744073709551615,"format":0,"raw":"a""#,
            NotKept::Damaged,
        ),
    ] {
        assert_eq!(formats.read(&row(members)).unwrap_err(), expected, "{members}");
    }
    let unusable = Head {
        formats: vec!["end end".into()],
        ..first.head()
    };
    let line = row(r#""ordinal":0,"format":0,"raw":"a""#);
    assert_eq!(
        KeptFormats::new(&unusable).read(&line).unwrap_err(),
        NotKept::NoFormat
    );
}
