//! What the process stands on gives way: memory, disk, clock, or a library that panics.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use flowship::cli::lambda_local::Outcome;

use super::audit::{Account, Object, UNKNOWN, audit};
use super::case::{Becomes, Case, Lasting, Place, Trouble};
use super::play;
use super::stage::{HIT, Stage};
use crate::support::proxy::{Fault, Message, Requests};
use crate::support::{FaultProxy, FlowLog, World, parquet};

/// What the cases of this family have in common.
const USUAL: Case = Case {
    name: "",
    place: Place::S3,
    trouble: Trouble::Broken,
    broken: None,
    concerns: &[],
    becomes: Becomes::Indexed,
    most_requests: 0,
    adjust: |_world| {},
};

const CASES: &[Case] = &[
    Case {
        name: "process-panics",
        trouble: Trouble::Own(|stage, lasting| Box::pin(panic_over_one_object(stage, lasting))),
        ..USUAL
    },
    Case {
        name: "process-no-temporary-folder",
        trouble: Trouble::Own(|stage, lasting| Box::pin(spool_nowhere(stage, lasting))),
        adjust: |world| {
            let folder = new_folder(world).join("temporary");
            let folder = folder.display().to_string();
            world.variables.insert("TMPDIR".to_owned(), folder);
        },
        ..USUAL
    },
    Case {
        name: "process-out-of-memory",
        trouble: Trouble::Own(|stage, lasting| Box::pin(run_out_of_memory(stage, lasting))),
        adjust: |world| {
            // Reserved address space would be counted too.
            world
                .variables
                .insert("MALLOC_ARENA_MAX".to_owned(), "1".to_owned());
            start_with(world, r#"ulimit -v "$(cat "$folder/limit")""#);
            limit_memory(world, None);
        },
        ..USUAL
    },
    Case {
        name: "process-clock-late",
        trouble: Trouble::Own(|stage, lasting| Box::pin(have_no_time(stage, lasting))),
        adjust: |world| {
            world
                .variables
                .insert("FLOWSHIP_MAX_RECEIVES".to_owned(), "100".to_owned());
            start_behind_clock(world);
        },
        ..USUAL
    },
    Case {
        name: "process-clock-early",
        trouble: Trouble::Own(|stage, lasting| Box::pin(have_too_much_time(stage, lasting))),
        adjust: |world| {
            world.timeout = Duration::from_secs(4);
            start_behind_clock(world);
        },
        ..USUAL
    },
];

/// The decoder panics over one object of a batch: that one is a dead letter, the others are indexed. "For ever" it is so
/// again when it is put back.
async fn panic_over_one_object(stage: &Stage, lasting: Lasting) {
    stage.put_all(Some(without_dictionary)).await;
    stage.world.drain().await;
    assert_letter_of_hit(&stage.audit().await, "decode.corrupt_parquet", "0");
    let log = stage.world.log().join("\n");
    assert!(
        log.contains("panicked at") && log.contains("Decoder for dict"),
        "{log}"
    );
    if lasting == Lasting::Once {
        stage.repair().await;
    }
    stage.put_back().await;
    stage.world.announced(1);
    stage.world.drain().await;
    if lasting == Lasting::Once {
        stage.assert_complete_or(None).await;
    } else {
        assert_letter_of_hit(&stage.audit().await, "decode.corrupt_parquet", "1");
        stage.assert_complete_or(Some(HIT)).await;
    }
}

fn assert_letter_of_hit(account: &Account, reason: &str, hops: &str) {
    let letters = account.letters.iter();
    let told = letters.map(|letter| (&*letter.key, &*letter.reason, &*letter.message.attributes["hops"]));
    assert_eq!(
        Vec::from_iter(told),
        [(HIT, reason, hops)],
        "{:#?}",
        account.letters
    );
    assert!(account.messages.is_empty(), "{:?}", account.messages);
}

/// A Parquet file of the same records whose first column has lost its dictionary: field 11 of the column's metadata,
/// `dictionary_page_offset`, is 4 there, and becomes field 19, which nobody knows. The decoder panics. Source:
/// `parquet.thrift` and Thrift's compact protocol.
fn without_dictionary(gzip: Vec<u8>) -> Vec<u8> {
    let mut bytes = to_parquet(gzip);
    let footer = u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk().unwrap());
    let begin = bytes.len() - 8 - usize::try_from(footer).unwrap();
    let field = bytes[begin..].windows(2).position(|field| field == [0x26, 8]);
    bytes[begin + field.unwrap()] = 0xa6;
    bytes
}

fn to_parquet(gzip: Vec<u8>) -> Vec<u8> {
    let mut text = String::new();
    MultiGzDecoder::new(&gzip[..]).read_to_string(&mut text).unwrap();
    parquet::object(&text)
}

/// The folder for temporary files, where Parquet files are read from, is not there.
async fn spool_nowhere(stage: &Stage, lasting: Lasting) {
    let temporary = folder(&stage.world).join("temporary");
    stage.put_all(Some(to_parquet)).await;
    stage.world.wait_for_announced().await;
    if lasting == Lasting::Once {
        stage.invoke(1).await;
        fs::create_dir(&temporary).unwrap();
        stage.world.drain().await;
    } else {
        stage.world.drain().await;
        assert_letter_of_hit(&stage.audit().await, "decode.spool_failed", "0");
        fs::create_dir(&temporary).unwrap();
        stage.put_back().await;
        stage.world.announced(1);
        stage.world.drain().await;
    }
    assert!(stage.world.log().join("\n").contains("decode.spool_failed"));
    stage.assert_complete_or(None).await;
}

/// The process may have hardly more memory than it has at rest, and gets a large object.
async fn run_out_of_memory(stage: &Stage, lasting: Lasting) {
    let world = &stage.world;
    let rest = memory_at_rest(world).await;
    let large = [Object::new(HIT, FlowLog::new().records(1, 0, 20_000))];
    world.put(HIT, large[0].log.gzip()).await;
    let messages = world.receive(1).await;
    // Enough for one more thread, whose stack has 2 MiB, and not for a body of documents.
    limit_memory(world, Some(rest + 3 * 1024));
    let function = world.function().await;
    let report = function.invoke(&messages).await.unwrap();
    function.shut_down().await;
    assert!(matches!(report.outcome, Outcome::Crashed { .. }), "{report:?}");
    if lasting == Lasting::ForEver {
        world.give_up_after(2).await;
        world.drain().await;
        let account = audit(world, &large).await;
        let told: Vec<_> = account.letters.iter().map(|letter| &*letter.reason).collect();
        assert_eq!(told, [UNKNOWN], "{:#?}", account.letters);
        stage.put_back().await;
        world.announced(1);
    }
    limit_memory(world, None);
    world.drain().await;
    let account = audit(world, &large).await;
    assert_eq!(account.indexed, 20_000);
    assert!(
        account.letters.is_empty() && account.messages.is_empty(),
        "{account:?}"
    );
}

/// The address space of a process that has handled an event that asked for nothing, KiB.
async fn memory_at_rest(world: &World) -> u64 {
    let nothing = r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectRemoved:Delete"}]}"#;
    world.send(nothing).await;
    let messages = world.receive(1).await;
    let function = world.function().await;
    let mut report = function.invoke(&messages).await.unwrap();
    function.settle(&messages, &mut report).await;
    let status = fs::read_to_string(format!("/proc/{}/status", function.child_pids()[0])).unwrap();
    function.shut_down().await;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmPeak:"))
        .unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Processes that start from now on have so much address space, KiB.
fn limit_memory(world: &World, limit: Option<u64>) {
    let limit = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    fs::write(folder(world).join("limit"), limit).unwrap();
}

/// The process believes that its time was up an hour ago.
async fn have_no_time(stage: &Stage, lasting: Lasting) {
    stage.put_all(None).await;
    stage.world.wait_for_announced().await;
    behind_clock(stage, an_hour_earlier, lasting, stage.world.drain()).await;
    for line in stage.world.invocation_log().iter().take(1) {
        let time_left = line["time_left_ms"].as_u64().unwrap();
        assert!(time_left < 5_000, "it knows nothing of its time: {line}");
    }
    stage.assert_complete_or(None).await;
}

/// The process believes that it has another hour, S3 does not answer, and its time is up.
async fn have_too_much_time(stage: &Stage, lasting: Lasting) {
    let get = Requests::naming(&["GET "]);
    let never = Fault::Delay(Duration::from_secs(120));
    stage.proxy.add(get, never, lasting.uses(3));
    stage.put_all(None).await;
    let messages = stage.world.receive(3).await;
    let deliver = async {
        let function = stage.world.function().await;
        let report = function.invoke(&messages).await.unwrap();
        assert_eq!(report.outcome, Outcome::TimedOut);
        function.shut_down().await;
        if lasting == Lasting::ForEver {
            stage.world.give_up_after(2).await;
        }
        stage.world.drain().await;
    };
    behind_clock(stage, an_hour_later, Lasting::ForEver, deliver).await;
    let account = stage.audit().await;
    if lasting == Lasting::ForEver {
        let told: Vec<_> = account.letters.iter().map(|letter| &*letter.reason).collect();
        assert_eq!(told, [UNKNOWN; 3], "{:#?}", account.letters);
        stage.proxy.heal();
        stage.put_back().await;
        stage.world.announced(3);
        behind_clock(stage, an_hour_later, lasting, stage.world.drain()).await;
    }
    stage.assert_complete_or(None).await;
}

fn an_hour_earlier(answer: &mut Message) {
    shift_deadline(answer, -3_600_000);
}

fn an_hour_later(answer: &mut Message) {
    shift_deadline(answer, 3_600_000);
}

fn shift_deadline(answer: &mut Message, by_ms: i64) {
    let name = "lambda-runtime-deadline-ms";
    // When the function is shut down, there is no event in the answer.
    let Some(deadline) = answer.header(name) else {
        return;
    };
    let deadline: i64 = deadline.parse().unwrap();
    answer.remove_header(name);
    answer
        .headers
        .push((name.to_owned(), (deadline + by_ms).to_string()));
}

/// The function's processes tell where their Runtime API is, and wait until they are told of another.
fn start_behind_clock(world: &mut World) {
    let wait = r#"
        echo "$AWS_LAMBDA_RUNTIME_API" > "$folder/$$" && mv "$folder/$$" "$folder/api"
        while ! [ -e "$folder/proxy" ]; do sleep 0.02; done
        AWS_LAMBDA_RUNTIME_API="$(cat "$folder/proxy")" && rm "$folder/proxy"
        export AWS_LAMBDA_RUNTIME_API"#;
    start_with(world, wait);
}

/// Does this while the events of the function's processes are changed: "once" is the first one.
async fn behind_clock<T>(
    stage: &Stage,
    change: fn(&mut Message),
    lasting: Lasting,
    work: impl Future<Output = T>,
) -> T {
    let folder = folder(&stage.world);
    let next = Requests::naming(&["/runtime/invocation/next"]);
    let mut uses = lasting.uses(1);
    let mut proxies = Vec::new();
    let lead = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let Ok(api) = fs::read_to_string(folder.join("api")) else {
                continue;
            };
            fs::remove_file(folder.join("api")).unwrap();
            let proxy = FaultProxy::start(&format!("http://{}", api.trim())).await;
            proxy.add(
                next,
                Fault::ChangeAnswer(change),
                std::mem::replace(&mut uses, lasting.uses(0)),
            );
            let address = proxy.url().replace("http://", "");
            fs::write(folder.join("new"), address).unwrap();
            fs::rename(folder.join("new"), folder.join("proxy")).unwrap();
            proxies.push(proxy);
        }
    };
    tokio::select! {
        done = work => done,
        () = lead => unreachable!("it only leads them"),
    }
}

/// The function is started by a script that does this first; `$folder` is [`folder`].
fn start_with(world: &mut World, commands: &str) {
    let folder = new_folder(world);
    let script = format!(
        "#!/bin/sh\nfolder='{}'\n{commands}\nexec '{}'\n",
        folder.display(),
        world.binary.display()
    );
    world.binary = folder.join("shipper");
    fs::write(&world.binary, script).unwrap();
    fs::set_permissions(&world.binary, Permissions::from_mode(0o755)).unwrap();
}

/// [`folder`], without what an earlier run has left there.
fn new_folder(world: &World) -> PathBuf {
    let folder = folder(world);
    // There may be none.
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A folder of each world's own.
fn folder(world: &World) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&world.prefix)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_process_stands_on_gives_way() {
    play(CASES, None).await;
}
