//! What `infra/` brings for deploying beside the templates: the package, and the notifications of existing buckets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::stack::repository;

/// Where the programs are that the scripts call.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A small program of this machine, built against an older glibc than Lambda's, or the same.
const SMALL_BINARY: &str = "/bin/true";

fn package(binary: &Path, zip: &Path, path: &str) -> Output {
    Command::new(python())
        .arg(repository("infra/package"))
        .env("PATH", path)
        .arg("--binary")
        .arg(binary)
        .arg("--output")
        .arg(zip)
        .output()
        .unwrap()
}

/// The interpreter itself: what chooses between several may change the search path.
fn python() -> String {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The search path with a program of the test's own in front.
fn with_program(folder: &Path, name: &str, script: &str) -> String {
    let program = folder.join(name);
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{PATH}", folder.display())
}

#[test]
fn the_same_binary_makes_the_same_package_whose_bootstrap_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.zip"), folder.path().join("2.zip"));
    for zip in [&first, &second] {
        let output = package(Path::new(SMALL_BINARY), zip, PATH);
        assert!(output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stdout).unwrap();
        let architecture = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x86_64"
        };
        assert!(told.contains(&format!("Architecture={architecture},")), "{told}");
    }
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    let unpacked = folder.path().join("unpacked");
    let unzip = Command::new("python3")
        .arg(repository("infra/local/tools.py"))
        .arg("unzip")
        .args([&first, &unpacked])
        .status()
        .unwrap();
    assert!(unzip.success());
    assert!(
        Command::new(unpacked.join("bootstrap"))
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn what_lambda_cannot_run_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let zip = folder.join("bootstrap.zip");
    let script = folder.join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let output = package(&script, &zip, PATH);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    let told = told.replace(folder.to_str().unwrap(), "");
    insta::assert_snapshot!(told, @"infra/package: /script is no 64-bit Linux binary");

    let newer = "#!/bin/sh\necho ' DF *UND* (GLIBC_2.38) strlcpy'\necho ' DF *UND* (GLIBC_2.9) pipe2'\n";
    let newer = with_program(folder, "objdump", newer);
    let output = package(Path::new(SMALL_BINARY), &zip, &newer);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"infra/package: /bin/true needs glibc 2.38, Amazon Linux 2023 has 2.34: build it on Debian 12, or in a container of Amazon Linux 2023");
    assert!(!zip.exists());
}

/// Stands for the AWS CLI: a file a bucket.
const AWS: &str = r#"#!/bin/sh
case $2 in
  get-bucket-notification-configuration) cat "$BUCKETS/$4" ;;
  put-bucket-notification-configuration) printf %s "$8" >"$BUCKETS/$4" ;;
  *) exit 252 ;;
esac
"#;
const QUEUE_ARN: &str = "arn:aws:sqs:eu-west-1:123456789012:flowship";

struct Buckets(tempfile::TempDir);

impl Buckets {
    fn notify(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(python())
            .arg(repository("infra/notify"))
            .env("PATH", with_program(self.0.path(), "aws", AWS))
            .env("BUCKETS", self.0.path())
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn write(&self, bucket: &str, text: &str) {
        fs::write(self.0.path().join(bucket), text).unwrap();
    }

    fn read(&self, bucket: &str) -> Value {
        serde_json::from_slice(&fs::read(self.0.path().join(bucket)).unwrap()).unwrap()
    }
}

#[test]
fn a_bucket_keeps_the_notifications_that_it_has() {
    let buckets = Buckets(tempfile::tempdir().unwrap());
    let theirs =
        json!({"Id": "theirs", "QueueArn": "arn:aws:sqs:eu-west-1:1:q", "Events": ["s3:ObjectRemoved:*"]});
    let before = json!({"EventBridgeConfiguration": {}, "QueueConfigurations": [theirs]});
    buckets.write("busy", &before.to_string());
    // What the AWS CLI prints for a bucket without notifications.
    buckets.write("new", "");
    let told = buckets.notify(&["--dry-run", QUEUE_ARN, "busy"]);
    assert!(told.1.starts_with("busy: would put {"), "{told:?}");
    assert_eq!(buckets.read("busy"), before);

    let told = buckets.notify(&[QUEUE_ARN, "busy", "new"]);
    assert_eq!(told, (Some(0), "busy: notifies\nnew: notifies\n".to_owned()));
    let ours = json!({"Id": "flowship", "QueueArn": QUEUE_ARN, "Events": ["s3:ObjectCreated:*"]});
    let both = json!({"EventBridgeConfiguration": {}, "QueueConfigurations": [theirs, ours]});
    assert_eq!(buckets.read("busy"), both);
    assert_eq!(buckets.read("new"), json!({"QueueConfigurations": [ours]}));

    // A prefix replaces our own, as S3 spells it when asked.
    let told = buckets.notify(&["--prefix", "AWSLogs/", QUEUE_ARN, "new"]);
    assert_eq!(told.1, "new: notifies\n");
    let spelled = buckets.read("new").to_string().replace("prefix", "Prefix");
    buckets.write("new", &spelled);
    let told = buckets.notify(&["--prefix", "AWSLogs/", QUEUE_ARN, "new", "missing"]);
    assert_eq!(told, (Some(1), "new: nothing to do\n".to_owned()));
}

/// The format of flow logs that the page tells people to choose, which they cannot change later.
#[test]
fn the_documented_format_of_flow_logs_fills_every_panel() {
    let page = fs::read_to_string(repository("infra/README.md")).unwrap();
    let (_, rest) = page.split_once("--log-format '").unwrap();
    let (format, _) = rest.split_once('\'').unwrap();
    let columns: Vec<&str> = format
        .split(' ')
        .map(|column| column.strip_prefix("${").unwrap().strip_suffix('}').unwrap())
        .collect();
    let value = |column: &&str| match *column {
        "version" => "5",
        "srcaddr" | "pkt-srcaddr" => "10.0.0.1",
        "dstaddr" | "pkt-dstaddr" => "10.0.0.2",
        "start" | "end" => "1794960000",
        "action" => "ACCEPT",
        "log-status" => "OK",
        "srcport" | "dstport" | "protocol" | "packets" | "bytes" => "6",
        _ => "-",
    };
    let record: Vec<&str> = columns.iter().map(value).collect();
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("x.log");
    fs::write(&object, format!("{}\n{}\n", columns.join(" "), record.join(" "))).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_flowctl"))
        .args(["doctor", "--json", "--object"])
        .arg(&object)
        .env_clear()
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let panels = checks
        .iter()
        .find(|check| check["name"] == "object.panels")
        .unwrap();
    assert_eq!(panels["verdict"], "ok", "{panels}");
}
