//! Passes that end in the middle of an object, and passes that begin there: together they are one pass.

use super::rows::of_texts;
use super::*;
use crate::outcome::Counts;

/// A pass from this line on.
fn run_from(first_line: u64, object: &[u8]) -> (ReadSummary, String) {
    let source = source().from_line(first_line);
    let mut packing = Packing(Some(Packer::new(usize::MAX)));
    let summary = Converter::new(settings()).convert(object, 0, &source, &mut packing);
    let body = packing.0.unwrap().take();
    (summary, body.map(|body| body.to_ndjson()).unwrap_or_default())
}

fn numbers(summary: &ReadSummary) -> [u64; 3] {
    [
        summary.counts.lines,
        summary.counts.no_data,
        summary.counts.malformed,
    ]
}

/// Whether an object that ends after `num_before` lines and the rest of the whole one are the whole one.
fn assert_parts_are_the_whole(before: &[u8], whole: &[u8], num_before: usize) -> Result<(), TestCaseError> {
    let (first, first_documents) = run(before, &settings());
    if first.failure.is_some() {
        return Ok(());
    }
    let (all, documents) = run(whole, &settings());
    let (rest, rest_documents) = run_from(num_before as u64 + 1, whole);
    prop_assert_eq!(&rest.failure, &all.failure);
    prop_assert_eq!(first_documents + &rest_documents, documents);
    let (first_numbers, rest_numbers) = (numbers(&first), numbers(&rest));
    let sum = [0, 1, 2].map(|number| first_numbers[number] + rest_numbers[number]);
    prop_assert_eq!(sum, numbers(&all));
    prop_assert_eq!(
        first.counts.first_malformed.or(rest.counts.first_malformed),
        all.counts.first_malformed
    );
    Ok(())
}

/// Lines with their line breaks, each of which is one line.
fn text(lines: &[Vec<u8>]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [&line[..], b"\n"].concat())
        .collect()
}

fn two_members(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    for half in [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]] {
        let mut encoder = GzEncoder::new(&mut compressed, Compression::fast());
        encoder.write_all(half).unwrap();
        encoder.finish().unwrap();
    }
    compressed
}

fn events(lines: &[Vec<u8>]) -> Vec<u8> {
    let message = |line: &Vec<u8>| {
        let message = String::from_utf8_lossy(line);
        serde_json::json!({"id": "1", "timestamp": 1_418_530_010_000_u64, "message": message})
    };
    let events: Vec<Value> = lines.iter().map(message).collect();
    let document =
        serde_json::json!({"messageType": "DATA_MESSAGE", "logGroup": "flows", "logEvents": events});
    document.to_string().into_bytes()
}

proptest! {
    #[test]
    fn the_rest_after_any_line_completes_the_object(
        lines in prop::collection::vec(any_line(), 1..30), place: prop::sample::Index,
    ) {
        let plain = |line: &Vec<u8>| !line.contains(&b'\n') && !line.contains(&b'{');
        let lines: Vec<Vec<u8>> = lines.into_iter().filter(plain).collect();
        let whole = text(&lines);
        prop_assume!(!lines.is_empty() && !whole.starts_with(&[0x1f, 0x8b]) && !whole.starts_with(b"PAR"));
        let num_before = place.index(lines.len());
        let before = text(&lines[..num_before]);
        assert_parts_are_the_whole(&before, &whole, num_before)?;
        assert_parts_are_the_whole(&two_members(&before), &two_members(&whole), num_before)?;
        assert_parts_are_the_whole(&events(&lines[..num_before]), &events(&lines), num_before)?;
    }

    #[test]
    fn the_rest_after_any_row_completes_the_file(
        ports in prop::collection::vec(prop::sample::select(vec!["443", "80", "-", "x", ""]), 1..30),
        place: prop::sample::Index,
    ) {
        let names = ["interface_id", "vpc_id", "az_id", "srcaddr", "dstaddr", "srcport", "end"];
        let rows: Vec<Vec<&str>> = ports.iter().enumerate().map(|(number, port)| {
            let (own, other) = if number % 2 == 0 { ("10.0.0.1", "10.0.0.2") } else { ("10.0.0.2", "10.0.0.1") };
            let (interface, zone) = if number % 2 == 0 { ("eni-1", "use1-az1") } else { ("eni-2", "use1-az2") };
            vec![interface, "vpc-1", zone, own, other, *port, "1418530070"]
        }).collect();
        let num_before = place.index(rows.len());
        let before = of_texts(&names, &rows[..num_before]);
        assert_parts_are_the_whole(&before, &of_texts(&names, &rows), num_before)?;
    }
}

/// Takes so many stretches, and no more.
struct Taking {
    packer: Packer,
    num_left: usize,
    next_line: u64,
}

impl Taker for Taking {
    fn stretch(&mut self, stretch: Stretch) -> Result<(), Closed> {
        self.num_left = self.num_left.checked_sub(1).ok_or(Closed)?;
        assert!(stretch.next_line > self.next_line, "each pass gets further");
        self.next_line = stretch.next_line;
        assert!(self.packer.push(stretch.segment).is_none());
        Ok(())
    }

    fn malformed(&mut self, _origin: &Origin<'_>, _error: &LineError) {}
}

#[test]
fn passes_that_take_one_stretch_each_come_to_the_same_as_one_pass() {
    let no_data = "2 1 eni-1 - - - - - - - 1431280876 1431280934 - NODATA";
    let lines = (0..6000).map(|number| match number % 1000 {
        10 => "2 1 eni-1\n".to_owned(),
        20 => format!("\n{HEADER}\n"),
        30 => format!("{no_data}\n"),
        _ => format!(
            "{}\n",
            GOOD.replace("1418530070", &(1_418_530_070 + number).to_string())
        ),
    });
    let object = two_members(format!("{HEADER}\n{}", lines.collect::<String>()).as_bytes());
    let (all, documents) = run(&object, &settings());
    let (mut first_line, mut sum, mut parts, mut num_passes) = (1, Counts::default(), String::new(), 0);
    loop {
        num_passes += 1;
        let mut taking = Taking {
            packer: Packer::new(usize::MAX),
            num_left: 1,
            next_line: first_line,
        };
        let source = source().from_line(first_line);
        let summary = Converter::new(settings()).convert(&object[..], 0, &source, &mut taking);
        assert_eq!(summary.failure, None);
        let [lines, no_data, refused] = numbers(&summary);
        sum.add(&Counts {
            lines,
            no_data,
            refused,
            ..Counts::default()
        });
        parts += &taking.packer.take().unwrap().to_ndjson();
        if !summary.is_stopped {
            break;
        }
        first_line = taking.next_line;
    }
    assert!(num_passes >= 10, "{num_passes}");
    assert_eq!([sum.lines, sum.no_data, sum.refused], numbers(&all));
    assert!(parts == documents, "the documents and their ids");
}

#[test]
fn an_object_that_ends_before_the_line_is_another_object() {
    let object = format!("{HEADER}\n{GOOD}\n{GOOD}\n");
    let reason = |line| {
        run_from(line, object.as_bytes())
            .0
            .failure
            .map(|failure| failure.reason)
    };
    assert_eq!([reason(3), reason(4)], [None, None]);
    assert_eq!(reason(5), Some(Reason::ObjectChanged));
}
