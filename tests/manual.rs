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
            assert!(
                page.contains("Examples:") || *file == "flowctl.1",
                "{file}: {page}"
            );
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
