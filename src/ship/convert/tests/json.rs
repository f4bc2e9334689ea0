//! The shapes of Firehose and CloudWatch Logs → summaries and NDJSON.

use serde_json::json;

use super::*;

fn wrapped(line: &str) -> String {
    json!({"message": line}).to_string()
}

/// A document of CloudWatch Logs with these messages, in AWS's order of members.
fn document(messages: &[&str]) -> String {
    let event = |message: &&str| {
        let message = json!(message);
        format!(
            r#"{{"id":"31953106606966983378809025079804211143289615424298221568","timestamp":1418530010000,"message":{message},"extractedFields":{{"a":"{{x"}}}}"#
        )
    };
    let events: Vec<String> = messages.iter().map(event).collect();
    format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"123456789010","logGroup":"flows","logStream":"eni-1-all","subscriptionFilters":["all"],"logEvents":[{}]}}"#,
        events.join(",")
    )
}

/// From the CloudWatch Logs user guide, where it says how a destination is checked.
const CONTROL: &str = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1510109208016,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn failure(object: &[u8]) -> (usize, Failure) {
    let (summary, ndjson) = run(object, &settings());
    (ids(&ndjson).len(), summary.failure.unwrap())
}

#[test]
fn wrapped_lines_are_the_lines_with_or_without_line_breaks() {
    let other = GOOD.replace("10.0.0.1", "2001:db8::1");
    let plain = run(format!("{GOOD}\n{other}\n{GOOD}\n").as_bytes(), &settings());
    let lines = [
        &*wrapped(GOOD),
        &*wrapped(&other),
        &*wrapped(&format!("{GOOD}\n")),
    ];
    for between in ["", "\n", "\r\n", " \t\n", "  "] {
        assert_eq!(
            run(lines.join(between).as_bytes(), &settings()),
            plain,
            "{between:?}"
        );
    }
    let with_time = format!(
        "{}\n{}",
        json!({"timestamp": 1, "message": GOOD}),
        json!({"message": other, "owner": {"a": ["}"]}})
    );
    let (summary, ndjson) = run(format!("\u{feff}{with_time}\n{GOOD}").as_bytes(), &settings());
    assert_eq!((summary, ndjson), plain, "wrapped lines and others side by side");
}

#[test]
fn wrapped_lines_follow_the_configured_format_or_a_header() {
    let record = wrapped("10.0.0.1 1418530070");
    let configured = ConvertSettings {
        format: Some(Format::parse(b"srcaddr end").unwrap()),
        ..settings()
    };
    let (_, with_setting) = run(record.as_bytes(), &configured);
    let (_, with_header) = run(format!("srcaddr end\n{record}").as_bytes(), &settings());
    let (_, with_wrapped_header) = run(
        format!("{}{record}", wrapped("srcaddr end")).as_bytes(),
        &settings(),
    );
    assert_eq!(ids(&with_setting).len(), 1);
    assert!(with_setting == with_header && with_header == with_wrapped_header);
    assert_eq!(failure(record.as_bytes()).1.reason, Reason::FormatUnknown);
}

#[test]
fn json_that_wraps_no_line_costs_its_line() {
    let long = wrapped(&"x".repeat(MAX_LINE_BYTES));
    let endless = format!("{{\"message\":\"{}", "x".repeat(1_000_000));
    let bad = [
        "{}",
        r#"{"message":5}"#,
        r#"{"message":"2 1 eni"#,
        "{]",
        "{",
        &long,
        &endless,
        r#"{"logEvents":[]}"#,
    ];
    let lines: Vec<String> = bad
        .iter()
        .map(|bad| format!("{}\n{bad}\n", wrapped(GOOD)))
        .collect();
    let (summary, ndjson) = run(lines.concat().as_bytes(), &settings());
    assert_eq!(
        (summary.counts.lines, summary.counts.malformed, ids(&ndjson).len()),
        (16, 8, 8)
    );
    let (line_number, error) = summary.counts.first_malformed.unwrap();
    assert_eq!(line_number, 2);
    insta::assert_snapshot!(error.to_string(), @r#"begins as JSON and is not `{"message": "…"}`"#);
}

#[test]
fn events_are_the_lines_in_whatever_way_their_documents_are_put_together() {
    let other = GOOD.replace("10.0.0.1", "2001:db8::1");
    let plain = run(format!("{GOOD}\n{other}\n{GOOD}\n").as_bytes(), &settings());
    let documents = [
        &*document(&[GOOD, &other]),
        CONTROL,
        &*document(&[]),
        &*document(&[&format!("{GOOD}\r\n")]),
    ];
    let in_a_row = documents.concat().into_bytes();
    let members: Vec<Vec<u8>> = documents
        .iter()
        .map(|document| gzip(document.as_bytes()))
        .collect();
    let pretty = |text: &str| {
        text.replace("{\"", "{\n  \"")
            .replace(",\"", ",\n  \"")
            .replace("\":", "\" : ")
    };
    let objects = [
        in_a_row.clone(),
        documents.join("\n").into_bytes(),
        documents.map(pretty).join("\r\n").into_bytes(),
        gzip(&in_a_row),
        members.concat(),
        gzip(&members.concat()),
    ];
    for (number, object) in objects.iter().enumerate() {
        assert_eq!(run(object, &settings()), plain, "object {number}");
    }
}

#[test]
fn a_bad_event_costs_itself_and_is_named() {
    let whole = document(&[GOOD, "2 1 eni", GOOD]);
    let (long, shorter) = ("x".repeat(1_000_000), "x".repeat(70_000));
    let without = whole.replace(&json!("2 1 eni").to_string(), "17");
    for (object, told) in [
        (whole.clone(), "has 3 columns, the format has 14"),
        (without, r#"begins as JSON and is not `{"message": "…"}`"#),
        (
            document(&[GOOD, &long, GOOD]),
            "is 1000133 bytes long, at most 65536 are read",
        ),
        (
            document(&[GOOD, &shorter, GOOD]),
            "is 70000 bytes long, at most 65536 are read",
        ),
    ] {
        let (summary, ndjson) = run(object.as_bytes(), &settings());
        assert_eq!(
            (summary.counts.lines, summary.counts.malformed, ids(&ndjson).len()),
            (3, 1, 2)
        );
        let (event_number, error) = summary.counts.first_malformed.unwrap();
        assert_eq!((event_number, error.to_string()), (2, told.to_owned()));
    }
}

#[test]
fn events_before_the_damage_are_handed_on() {
    let whole = document(&[GOOD, GOOD]);
    let (before, after) = whole.rsplit_once("{\"id\"").unwrap();
    let told: Vec<String> = [
        format!("{whole}{before}"),
        format!("{whole}{before}{{\"id\":}},{{\"id\"{after}"),
        format!("{whole}{before}5]}}"),
        format!("{whole},{whole}"),
        format!("{whole}{{\"messageType\":\"DATA_MESSAGE\",\"events\":[]}}"),
        format!("{whole}{{\"logEvents\":null}}"),
        format!("{whole}{{\"logEvents"),
        format!("{whole}{{\"logEvents\"}}"),
        format!("{whole}{{\"owner\":[1,2"),
        format!("{whole}{whole}}}"),
    ]
    .iter()
    .map(|object| {
        let (num_documents, failure) = failure(object.as_bytes());
        assert!(num_documents >= 2 && failure.reason == Reason::DecodeCorruptJson);
        failure.detail
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    the JSON is damaged after 3 events: it ends in the middle
    the JSON is damaged after 3 events: expected value at line 1 column 7
    the JSON is damaged after 3 events: `5` is out of place
    the JSON is damaged after 2 events: `,` is out of place
    the JSON is damaged after 2 events: a document has no `logEvents`
    the JSON is damaged after 2 events: `logEvents` is no list
    the JSON is damaged after 2 events: a name has no end
    the JSON is damaged after 2 events: a name has no value
    the JSON is damaged after 2 events: it ends in the middle of a value
    the JSON is damaged after 4 events: `}` is out of place
    ");
}

#[test]
fn a_document_of_any_length_is_read() {
    let num_events = 20_000;
    let object = document(&vec![GOOD; num_events]);
    let (summary, ndjson) = run(object.as_bytes(), &settings());
    assert_eq!(
        (summary.counts.lines, summary.counts.malformed, summary.failure),
        (20_000, 0, None)
    );
    let plain = run(format!("{GOOD}\n").repeat(num_events).as_bytes(), &settings());
    assert_eq!(ndjson, plain.1);
}

proptest! {
    #[test]
    fn both_shapes_give_the_documents_of_the_lines_that_they_hold(
        lines in prop::collection::vec(any_line(), 1..30),
        num_in_first in 0_usize..30,
        member in 0_usize..10_000,
    ) {
        // What JSON cannot hold, or would unwrap or not: bytes that are no UTF-8, line breaks, JSON itself.
        let lines: Vec<String> = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).replace(['\n', '\r', '{', '\u{feff}'], "?"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        prop_assume!(!lines[0].starts_with("PAR"));
        let plain = run(lines.join("\n").as_bytes(), &settings());
        let wrapped: String = lines.iter().map(|line| wrapped(line)).collect();
        prop_assert_eq!(&run(wrapped.as_bytes(), &settings()), &plain);

        let (first, second) = lines.split_at(num_in_first.min(lines.len()));
        let documents = document(first) + &document(second);
        let at = member % documents.len();
        let members = [gzip(&documents.as_bytes()[..at]), gzip(&documents.as_bytes()[at..])].concat();
        prop_assert_eq!(&run(documents.as_bytes(), &settings()), &plain);
        prop_assert_eq!(&run(&members, &settings()), &plain);
        prop_assert_eq!(&run(&gzip(&members), &settings()), &plain);
    }

    #[test]
    fn damaged_documents_lose_nothing_without_a_word(place: usize, byte: u8) {
        let mut object = (document(&[GOOD, GOOD]) + CONTROL + &document(&[GOOD])).into_bytes();
        let place = place % object.len();
        object[place] = byte;
        let (summary, ndjson) = run(&object, &settings());
        let num_documents = u64::try_from(ids(&ndjson).len()).unwrap();
        prop_assert_eq!(summary.counts.lines, num_documents + summary.counts.malformed + summary.counts.no_data);
        // A damaged type makes a line of the control message; a damaged beginning makes no documents of it all.
        prop_assert!(summary.failure.is_some() || summary.counts.malformed > 0 || summary.counts.lines == 3, "{:?}", summary);
    }
}
