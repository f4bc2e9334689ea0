//! What is made of the command lines: completions that shells load, manual pages for every command, and the code of a
//! wrong one.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

const PROGRAMS: [(&str, &str, &[&str]); 2] = [
    (
        "flowctl",
        env!("CARGO_BIN_EXE_flowctl"),
        &[
            "convert",
            "setup",
            "doctor",
            "ledger",
            "lambda-local",
            "completions",
            "man",
        ],
    ),
    (
        "redrive",
        env!("CARGO_BIN_EXE_redrive"),
        &[
            "stats",
            "list",
            "show",
            "send",
            "resume",
            "export",
            "import",
            "discard",
            "quarantine",
            "quarantine-stats",
            "quarantine-list",
            "quarantine-send",
            "completions",
            "man",
        ],
    ),
];

/// Neither needs a setting or a home.
fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .env_clear()
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// What bash says of a script that ends with `last`.
fn bash(script: &[u8], last: &str) -> Output {
    let script = [script, b"\n", last.as_bytes(), b"\n"].concat();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let bash = Command::new("bash")
        .arg("--norc")
        .arg(file.path())
        .stdin(Stdio::null())
        .output();
    bash.unwrap()
}

#[test]
fn bash_takes_the_completions_and_completes_verbs() {
    for (name, program, commands) in PROGRAMS {
        let script = run(program, &["completions", "bash"]).stdout;
        let last = format!(
            "complete -p {name}\nCOMP_WORDS=({name} '') COMP_CWORD=1\n_{name} {name} '' {name}\necho \"${{COMPREPLY[@]}}\""
        );
        let output = bash(&script, &last);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let told = String::from_utf8(output.stdout).unwrap();
        let offered: BTreeSet<&str> = told.split_whitespace().collect();
        for command in commands.iter().filter(|command| !command.contains("quarantine-")) {
            assert!(offered.contains(command), "{name} {command}: {told}");
        }
    }
}

#[test]
fn every_shell_gets_a_script() {
    for (name, program, _) in PROGRAMS {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let script = String::from_utf8(run(program, &["completions", shell]).stdout).unwrap();
            assert!(script.contains(name) && script.contains("completions"), "{shell}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    for (name, program, commands) in PROGRAMS {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("man1");
        run(program, &["man", "--dir", dir.to_str().unwrap()]);
        let mut expected: BTreeSet<String> = commands
            .iter()
            .map(|command| format!("{name}-{command}.1"))
            .collect();
        expected.insert(format!("{name}.1"));
        let files = std::fs::read_dir(&dir).unwrap();
        let written: BTreeSet<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(written, expected);
        for file in &written {
            let page = std::fs::read_to_string(dir.join(file)).unwrap();
            assert!(
                page.contains(".TH ") && page.contains(".SH SYNOPSIS"),
                "{file}: {page}"
            );
            assert!(page.contains("Examples:"), "{file}: {page}");
        }
        let first = String::from_utf8(run(program, &["man"]).stdout).unwrap();
        let written = std::fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
        assert_eq!(first.trim_end(), written.trim_end());
    }
}

/// No line needs a setting or a server: each is refused before.
#[test]
fn wrong_command_lines_have_the_usage_code() {
    let lambda_local = [
        "lambda-local",
        "--function",
        "/nowhere",
        "--queue-url",
        "http://q/q",
    ];
    let lambda_local = |option: &'static str, value| [&lambda_local[..], &[option, value]].concat();
    for arguments in [
        vec!["convert", "--object", "foo", "x"],
        vec!["convert", "--object", "s3://logs/x", "one", "two"],
        vec!["convert", "--format", "bogus", "x"],
        vec!["ledger", "--from", "xx"],
        vec!["ledger", "--from", "1h", "--to", "2h"],
        lambda_local("--timeout-seconds", "0"),
        lambda_local("--timeout-seconds", "901"),
        lambda_local("--batch-size", "0"),
        lambda_local("--batch-size", "100"),
        lambda_local("--batching-window-seconds", "301"),
        lambda_local("--concurrency", "0"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_flowctl"))
            .env_clear()
            .args(&arguments)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(!told.is_empty() && output.stdout.is_empty(), "{arguments:?}");
    }
}

/// The help of a command on a terminal that is so wide; none: of the program.
fn help(program: &str, command: &str, columns: &str) -> String {
    // A page's name has the words of its command.
    let words: Vec<&str> = match command.split_once('-') {
        Some(("quarantine", verb)) => vec!["quarantine", verb],
        _ => command.split_whitespace().collect(),
    };
    let output = Command::new(program)
        .env_clear()
        .env("COLUMNS", columns)
        .args(words)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_fits_80_columns_and_no_example_is_broken() {
    for (name, program, commands) in PROGRAMS {
        for command in commands.iter().chain([&""]) {
            let told = help(program, command, "80");
            for line in told.lines() {
                assert!(line.chars().count() <= 80, "{name} {command}: {line}");
            }
            // What a terminal breaks cannot be copied.
            let examples = |told: &str| -> Vec<String> {
                let lines = told.lines().map(str::trim_start);
                let examples = lines.filter(|line| line.starts_with(&format!("{name} ")));
                examples.map(str::to_owned).collect()
            };
            let whole = examples(&help(program, command, "400"));
            assert!(!whole.is_empty(), "{name} {command} has no example");
            assert_eq!(examples(&told), whole, "{name} {command}");
        }
    }
}

#[test]
fn help_of_flowctl_and_convert() {
    let (_, program, _) = PROGRAMS[0];
    insta::assert_snapshot!(help(program, "", "80"), @"
    Sets up, checks and tries out flowship

    Usage: flowctl <COMMAND>

    Commands:
      convert       Turns flow log files into documents, one JSON object a line
      setup         Installs index templates, lifecycle policy and, if asked for,
                    Kibana's dashboards and rules
      doctor        Checks queues, Elasticsearch, files and formats, and says what
                    to do
      ledger        Shows whether a time range was fully ingested, and what is
                    missing
      lambda-local  Runs a Lambda binary as AWS would: fed from an SQS queue, on
                    this machine
      completions   Print the completions of a shell
      man           Print the manual page, or write a page per command
      help          Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    flowship is a Lambda function that ships AWS VPC flow logs from S3 to
    Elasticsearch: every line is indexed exactly once, or is kept where you can see
    it, with the reason. Settings are the environment variables FLOWSHIP_…, the same
    as the function's; an option replaces its variable. `redrive` handles what
    failed.

    Examples:
      flowctl setup                install or update the templates
      flowctl doctor               what is wrong, and what to do about it
      flowctl ledger --from 24h    was everything ingested?
      flowctl convert x.log.gz     what would be indexed of a file
    ");
    insta::assert_snapshot!(help(program, "convert", "80"), @"
    Turns flow log files into documents, one JSON object a line

    Usage: flowctl convert [OPTIONS] [FILE]...

    Arguments:
      [FILE]...  Flow log files; none, or `-`: stdin

    Options:
          --bulk             Write the action line of `_bulk` before each document
          --object <S3 URI>  The object that the file is a copy of, so that ids are
                             those of the object's documents
          --format <FIELDS>  Names of the columns, for input without a header line:
                             as in the flow log's format, with or without `${…}`
          --keep-nodata      Write NODATA records too
      -h, --help             Print help

    Files may be text, Parquet, or the JSON of Firehose and CloudWatch Logs, gzip'd
    or plain; what they are is seen from their bytes. A line that cannot be read is
    told on stderr with its file and number, and costs only itself. Without --bulk,
    nothing but the documents is written.

    Exit codes: 0 every line was read, 1 a file could not be read to its end, 2
    wrong command line, 3 some lines could not be read.

    Examples:
      What would be indexed of an object:
        aws s3 cp s3://logs/AWSLogs/…/x.log.gz - | flowctl convert

      A body for Elasticsearch's _bulk, with the ids of the object's documents:
        flowctl convert --bulk --object s3://logs/AWSLogs/…/x.log.gz x.log.gz

      With places, from a database of your own (FLOWSHIP_… settings hold here, too):
        FLOWSHIP_GEO_CITY_DB=GeoLite2-City.mmdb flowctl convert x.log.gz
    ");
}

#[test]
fn the_function_tells_a_person_what_it_is() {
    let shipper = env!("CARGO_BIN_EXE_shipper");
    insta::assert_snapshot!(String::from_utf8(run(shipper, &["--help"]).stdout).unwrap(), @"
    The Lambda function of flowship: AWS VPC flow logs from S3 to Elasticsearch.
    AWS Lambda runs it, packaged as `bootstrap`; it takes no arguments, only settings
    (FLOWSHIP_…). To run it here, fed from a queue:
      flowctl lambda-local --function <this file> --help
    ");
    let version = String::from_utf8(run(shipper, &["--version"]).stdout).unwrap();
    assert_eq!(version, format!("shipper {}\n", env!("CARGO_PKG_VERSION")));
}
