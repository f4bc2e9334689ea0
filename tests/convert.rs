//! `flowctl convert`: files and stdin, without any server.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::stack::repository;
use crate::support::{FlowLog, gzip};

fn convert(arguments: &[&str], input: &[u8]) -> Output {
    convert_with(&[], arguments, input)
}

fn convert_with(variables: &[(&str, &str)], arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowctl"))
        .envs(variables.iter().copied())
        .arg("convert")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A reader that stops early is no error of the writer.
    let writing = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn stdin_plain_or_compressed_gives_the_same_documents() {
    let log = FlowLog::new().records(1, 0, 3000).no_data(5);
    let plain = convert(&[], log.text().as_bytes());
    assert_eq!(plain.status.code(), Some(0));
    assert_eq!(lines(&plain).len(), 3000);
    assert_eq!(plain.stdout, convert(&["-"], &log.gzip()).stdout);
    assert_eq!(plain.stdout, convert(&["-"], &log.gzip_members(7)).stdout);
    assert_eq!(
        lines(&convert(&["--keep-nodata"], log.text().as_bytes())).len(),
        3005
    );
}

#[test]
fn parquet_is_read_from_a_file_and_from_stdin() {
    let path = repository("tests/data/flowlogs-known/v2.parquet");
    let text = std::fs::read_to_string(repository("tests/data/flowlogs-known/v2.expected.ndjson")).unwrap();
    let expected: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let from_file = convert(&["--keep-nodata", path.to_str().unwrap()], b"");
    let from_stdin = convert(&["--keep-nodata"], &std::fs::read(path).unwrap());
    for output in [from_file, from_stdin] {
        assert_eq!(
            (output.status.code(), lines(&output)),
            (Some(0), expected.clone())
        );
    }
}

#[test]
fn bad_lines_are_told_with_file_and_number() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.log"), folder.path().join("bad.log.gz"));
    std::fs::write(&good, FlowLog::new().records(1, 0, 2).text()).unwrap();
    let text = FlowLog::new().records(2, 0, 1).line("1 2 3", 0).records(3, 0, 1);
    std::fs::write(&bad, text.gzip()).unwrap();
    let output = convert(&[good.to_str().unwrap(), bad.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(lines(&output).len(), 4);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        told,
        format!("{}:3: has 3 columns, the format has 14\n", bad.display())
    );
}

#[test]
fn a_damaged_file_and_a_missing_one_are_errors() {
    let whole = FlowLog::new().records(1, 0, 3000).gzip();
    let output = convert(&[], &whole[..whole.len() / 2]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        !lines(&output).is_empty(),
        "the lines before the damage are there"
    );
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("decode.truncated_gzip")
    );
    let output = convert(&["/nowhere/at.all"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("/nowhere/at.all cannot be opened")
    );
}

#[test]
fn a_format_stands_in_for_the_header() {
    let output = convert(
        &["--format", "${srcaddr} ${dstaddr} ${end}"],
        b"10.0.0.1 10.0.0.2 1418530070\n",
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(lines(&output)[0]["destination"]["ip"], "10.0.0.2");
}

#[test]
fn what_is_no_file_is_told_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.log");
    std::fs::write(&good, FlowLog::new().records(1, 0, 2).text()).unwrap();
    let folder = folder.path().to_str().unwrap();
    let output = convert(&["/nowhere/at.all", folder, good.to_str().unwrap()], b"");
    assert_eq!((output.status.code(), lines(&output).len()), (Some(1), 2));
    let told = String::from_utf8(output.stderr).unwrap();
    let (missing, is_folder) = told.trim_end().split_once('\n').unwrap();
    assert!(
        missing.starts_with("flowctl: /nowhere/at.all cannot be opened"),
        "{told}"
    );
    assert_eq!(
        is_folder,
        format!("flowctl: {folder} is a folder: name the files in it")
    );
}

#[test]
fn a_network_map_gives_the_zones_unless_they_are_switched_off() {
    let folder = repository("tests/data/flowlogs-known");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let maps = ["subnets", "interfaces"].map(|kind| file(&format!("zones-v2-interfaces.map-{kind}.json")));
    let map = ("FLOWSHIP_NETWORK_MAP", &*maps.join(","));
    let log = file("zones-v2-interfaces.log");
    let zones = |variables: &[(&str, &str)]| -> Vec<Value> {
        let output = convert_with(variables, &[&log], b"");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let documents = lines(&output).into_iter();
        documents
            .map(|document| document["flowship"]["source"]["zone"].clone())
            .collect()
    };
    assert_eq!(zones(&[map])[..3], ["use1-az1", "use1-az3", "use1-az3"]);
    assert!(zones(&[]).iter().all(Value::is_null));
    assert!(
        zones(&[map, ("FLOWSHIP_ZONES", "false")])
            .iter()
            .all(Value::is_null)
    );

    let output = convert_with(&[("FLOWSHIP_NETWORK_MAP", &log)], &[&log], b"");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("FLOWSHIP_NETWORK_MAP") && told.contains("line 1 column"),
        "{told}"
    );
}

#[test]
fn bulk_pairs_carry_the_index_and_the_ids_of_the_object() {
    let line = "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK\n";
    let output = convert(
        &["--bulk", "--object", "s3://logs/a b/c.log.gz"],
        &gzip(line.as_bytes()),
    );
    let pairs = lines(&output);
    assert_eq!(pairs.len(), 2);
    // The id is the one that src/document/id.rs holds on to.
    assert_eq!(pairs[0]["create"]["_index"], "flowlogs-vpc-2014.12.14");
    assert_eq!(pairs[0]["create"]["_id"], "VI0NFhb3NcHHJfcleb5e");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowctl"))
        .arg("convert")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let written = child
        .stdin
        .take()
        .unwrap()
        .write_all(FlowLog::new().records(1, 0, 5000).text().as_bytes());
    drop(written);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
