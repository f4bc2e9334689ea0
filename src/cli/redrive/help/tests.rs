use clap::CommandFactory;

use crate::cli::redrive::Arguments;

fn help(verb: Option<&str>) -> String {
    let mut command = Arguments::command().term_width(80);
    command.build();
    let command = match verb {
        Some(verb) => command.find_subcommand_mut(verb).unwrap(),
        None => &mut command,
    };
    command.render_help().to_string()
}

#[test]
fn help_of_redrive() {
    insta::assert_snapshot!(help(None), @"
    Looks into the dead-letter queue and puts failed S3 events back onto the main
    queue

    Usage: redrive [OPTIONS] <COMMAND>

    Commands:
      stats        Count dead letters by reason, account and day, and name the next
                   command
      list         Show a line per dead letter, the oldest failure first
      show         Show everything about one dead letter, and what became of its
                   objects
      send         Send dead letters back to the main queue (dry run unless --yes)
      resume       Go on with a run of `send` that ended early
      export       Copy dead letters into a file, and leave the queue as it is
      import       Send what `export` wrote back to a queue (dry run unless --yes)
      discard      Delete dead letters after an export (dry run unless --yes)
      quarantine   Look into the single lines that were kept aside, and ship them
                   again
      completions  Print the completions of a shell
      man          Print the manual page, or write a page per command
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Global options:
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    flowship is a Lambda function that ships AWS VPC flow logs from S3 to
    Elasticsearch; what it gives up is a message in the dead-letter queue, and
    single bad lines are in the quarantine. Settings are the environment variables
    FLOWSHIP_…, the same as the function's; an option replaces its variable.

    Words:
      pass     once through all of the dead-letter queue, or over one object
      hop      one way of a message back to the main queue; it carries the count
      canary   the first message of a reason: the others wait for what becomes of it
      refail   a message that was sent and came back as a dead letter
      journal  the file in which `send` tells each decision, for `resume`

    Looking (every verb but import) receives every message, hides it for as long as
    the pass takes, and makes it visible again at the end, also after Ctrl-C or an
    error. As every receive does, it raises the messages' ApproximateReceiveCount: a
    dead-letter queue that has a redrive policy of its own would move them on, and
    is refused. Messages that another program holds are not seen; their number is
    told as `in flight`. SQS gives ten messages a call, in no order, so a pass goes
    through the whole queue whatever is selected: 5,000 take some seconds, and one
    pass takes at most 100,000.

    A selection option that is given several times takes any of its values; of
    different options, all must match. A message that names several objects is
    selected as a whole if one of them has all that was asked for. WHEN is a time
    (2026-11-20, 2026-11-20T03:00:00Z) or an age (30m, 2h, 3d). What is not selected
    is not touched.

    Exit codes: 0 done, 1 an error or any failed message, 2 wrong command line, 3
    stopped before the end (Ctrl-C, too many messages for one run, a check of `send`
    that failed, or what it sent came back), 4 nothing selected.

    Data goes to stdout, everything else to stderr. Region, credentials and endpoint
    come from the AWS SDK's environment variables and profiles.

    Examples:
      redrive stats                           why messages are here, what to do next
      redrive list --check                    which objects, and are they there?
      redrive send --reason 'bulk.*'          what would be sent back, and where
      redrive send --reason 'bulk.*' --yes    send it
    ");
}

#[test]
fn help_of_stats() {
    insta::assert_snapshot!(help(Some("stats")), @"
    Count dead letters by reason, account and day, and name the next command

    Usage: redrive stats [OPTIONS]

    Options:
      -h, --help  Print help

    Selection:
          --reason <GLOB>       Only reasons that match: `*` is any text, `?` one
                                character
          --disposition <WORD>  Only these failures: transient, permanent, or
                                unknown
          --account <ID>        Only objects of this account, by their key
          --region <REGION>     Only objects of this region, by their key
          --flow-log <ID>       Only objects of this flow log, by their key
          --key <GLOB>          Only objects whose whole key matches
          --from <WHEN>         Only objects of this time on, by the stamp in their
                                key, else by the event's time
          --to <WHEN>           Only objects of a time before this
          --older <WHEN>        Only failures before this time or age: 2026-11-20,
                                2h, 3d
          --newer <WHEN>        Only failures from this time or age on
          --id <ID>             Only this message, by its id or the beginning that
                                `list` shows

    Global options:
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    OLDEST and NEWEST are the ages of the failures, BYTES the sizes of the objects
    as S3 told them. `hops` counts how often a message was redriven. With a
    selection, only what it selects is counted.

    Needs sqs:GetQueueAttributes, ReceiveMessage and ChangeMessageVisibility on the
    dead-letter queue, as every look; with ListDeadLetterSourceQueues, it also tells
    whose dead-letter queue it is.

    Examples:
      redrive stats --newer 2h
      redrive stats --json | jq '.reasons[] | [.reason, .dead_letters]'
    ");
}

#[test]
fn help_of_list() {
    insta::assert_snapshot!(help(Some("list")), @"
    Show a line per dead letter, the oldest failure first

    Usage: redrive list [OPTIONS]

    Options:
      -v, --verbose  Also show time, detail and progress of each
          --check    Also tell of each object whether it is still there, which takes
                     a HEAD each
      -h, --help     Print help

    Selection:
          --reason <GLOB>       Only reasons that match: `*` is any text, `?` one
                                character
          --disposition <WORD>  Only these failures: transient, permanent, or
                                unknown
          --account <ID>        Only objects of this account, by their key
          --region <REGION>     Only objects of this region, by their key
          --flow-log <ID>       Only objects of this flow log, by their key
          --key <GLOB>          Only objects whose whole key matches
          --from <WHEN>         Only objects of this time on, by the stamp in their
                                key, else by the event's time
          --to <WHEN>           Only objects of a time before this
          --older <WHEN>        Only failures before this time or age: 2026-11-20,
                                2h, 3d
          --newer <WHEN>        Only failures from this time or age on
          --id <ID>             Only this message, by its id or the beginning that
                                `list` shows
          --max-hops <N>        Only what was redriven less often than N times
          --limit <N>           At most N: `list` shows the oldest; others take what
                                comes first

    Global options:
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    ATTEMPTS is how often the function had received the message when it gave up,
    HOPS how often it was redriven since.

    Needs sqs:GetQueueAttributes, ReceiveMessage and ChangeMessageVisibility on the
    dead-letter queue; --check also s3:GetObject on the logs (s3:ListBucket tells
    what is gone from what is refused).

    Examples:
      redrive list --reason 'object.*' --limit 20 --check
      redrive list --account 123456789012 --from 2026-11-20 --verbose
    ");
}

#[test]
fn help_of_send() {
    insta::assert_snapshot!(help(Some("send")), @"
    Send dead letters back to the main queue (dry run unless --yes)

    Usage: redrive send [OPTIONS]

    Options:
          --yes                    Really send; without it, only say what would be
                                   sent
          --rate <N>               Messages a second, after a slow start; 0: no
                                   limit [default: 50]
          --no-canary              Send everything at once, not one message of each
                                   reason ahead
          --canary-timeout <TIME>  How long the objects of the first messages may
                                   take [default: 5m]
          --stop-on-refail <N>     Stop when N of those sent have come back as dead
                                   letters; 0: never [default: 5]
          --wait <TIME>            At the end, wait at most so long for what becomes
                                   of them [default: do not wait]
          --force                  Send although a check says that it would be in
                                   vain
          --journal <FILE>         Where every decision is written, for `redrive
                                   resume`; a new file [default:
                                   redrive-<time>.ndjson]
      -h, --help                   Print help

    Selection:
          --reason <GLOB>       Only reasons that match: `*` is any text, `?` one
                                character
          --disposition <WORD>  Only these failures: transient, permanent, or
                                unknown
          --account <ID>        Only objects of this account, by their key
          --region <REGION>     Only objects of this region, by their key
          --flow-log <ID>       Only objects of this flow log, by their key
          --key <GLOB>          Only objects whose whole key matches
          --from <WHEN>         Only objects of this time on, by the stamp in their
                                key, else by the event's time
          --to <WHEN>           Only objects of a time before this
          --older <WHEN>        Only failures before this time or age: 2026-11-20,
                                2h, 3d
          --newer <WHEN>        Only failures from this time or age on
          --id <ID>             Only this message, by its id or the beginning that
                                `list` shows
          --max-hops <N>        Only what was redriven less often than N times
          --limit <N>           At most N: `list` shows the oldest; others take what
                                comes first

    Global options:
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    A message is deleted from the dead-letter queue only after the main queue has
    confirmed it. Body and attributes stay as they are, and `hops` is counted up; a
    message that has ten attributes and no `hops` is sent without a count. What
    fails again while the command runs is left for the next run, and what was
    redriven 3 times is skipped unless --max-hops is larger.

    Before it sends, it looks whether Elasticsearch answers and is not red (if
    FLOWSHIP_ELASTICSEARCH_URLS is set), whether the main queue's redrive policy
    leads to this dead-letter queue, whether its visibility timeout is long enough,
    and whether somebody takes its messages. One message of each reason goes ahead;
    the others of its reason follow when the ledger calls its objects complete.
    Without a ledger: when the main queue was empty for a minute and nothing came
    back. Credentials that may not read the ledger, as those of the function, are
    refused; --force goes on without it.

    What comes back is looked for every 5 s among the dead letters that were not
    selected, about 1,000 at a time, which are hidden until all were seen. Behind
    100,000 of them it is seen late: take a smaller --rate.

    Ctrl-C, SIGTERM, a crash or a stop lose nothing: the journal tells where each
    message is, and `redrive resume` goes on.

    Needs sqs:GetQueueAttributes, ReceiveMessage, ChangeMessageVisibility and
    DeleteMessage on the dead-letter queue, sqs:GetQueueAttributes and SendMessage
    on the main queue, and in Elasticsearch `monitor` and `read` on the ledger.

    Examples:
      What would be sent, and where:
        redrive send --reason 'bulk.*'

      Send, and see what comes of it:
        redrive send --reason 'bulk.*' --yes --wait 10m
    ");
}

#[test]
fn help_of_show() {
    insta::assert_snapshot!(help(Some("show")), @"
    Show everything about one dead letter, and what became of its objects

    Usage: redrive show [OPTIONS] <ID>

    Arguments:
      <ID>  The message's id, or the beginning of it that `list` shows

    Options:
          --presign        Also print a URL for each object that reads it without
                           further rights
          --expires <AGE>  How long these URLs work: 30m, 12h; at most 7d, and no
                           longer than your credentials [default: 1h]
      -h, --help           Print help

    Global options:
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    Whether an object is still there is asked with HEAD.

    Needs sqs:GetQueueAttributes, ReceiveMessage and ChangeMessageVisibility on the
    dead-letter queue, and s3:GetObject on the logs (s3:ListBucket tells what is
    gone from what is refused).

    Examples:
      redrive show 5fea7756
      redrive show 5fea7756 --presign --expires 15m
    ");
}

#[test]
fn help_of_export_import_and_discard() {
    let helps = [help(Some("export")), help(Some("import")), help(Some("discard"))];
    // The selection's options are those of `list`.
    let helps = helps.map(|help| match help.split_once("Selection:") {
        Some((before, after)) => format!("{before}Selection: …\n\n{}", after.split_once("\n\n").unwrap().1),
        None => help,
    });
    insta::assert_snapshot!(helps.join("\n========\n"), @"
    Copy dead letters into a file, and leave the queue as it is

    Usage: redrive export [OPTIONS] <FILE>

    Arguments:
      <FILE>  Where the copies go, a line of JSON each; `-` is stdout

    Options:
          --force  Replace the file if it is there
      -h, --help   Print help

    Selection: …

    Global options:
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    A line of JSON per message, with all that the queue tells of it: body,
    attributes with their types, the queue's own attributes. The file appears when
    all of it is on disk. Nothing is deleted. Needs the rights of `list`.

    Examples:
      redrive export dlq.ndjson
      redrive export - --reason 'object.*' --newer 2h | jq -r .body

    ========
    Send what `export` wrote back to a queue (dry run unless --yes)

    Usage: redrive import [OPTIONS] <FILE>

    Arguments:
      <FILE>  What `export` wrote; `-` is stdin

    Options:
          --yes         Really send; without it, only check the file and say what
                        would be sent
          --to <QUEUE>  The queue to send to: dlq, or main (which counts a hop)
                        [default: dlq]
          --any-body    Also take bodies that are no S3 event; only for the
                        dead-letter queue
      -h, --help        Print help

    Global options:
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    All lines are checked before the first is sent: each must be a message that the
    queue takes, with an S3 event as its body. Messages get new ids and times; what
    the queue itself had written on them does not come back. Needs
    sqs:GetQueueAttributes on the dead-letter queue and on the one that it sends to,
    and sqs:SendMessage there.

    Examples:
      redrive import dlq.ndjson                      say what would be sent
      redrive import dlq.ndjson --to main --yes      have its objects shipped again

    ========
    Delete dead letters after an export (dry run unless --yes)

    Usage: redrive discard [OPTIONS]

    Options:
          --yes            Really delete, after the export; without it, only say
                           what would be deleted
          --export <FILE>  Where copies of what is deleted go; must not be there yet
      -h, --help           Print help

    Selection: …

    Global options:
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    Needs a selection ('--reason *' is all). A message is deleted only after its
    copy is on disk in the file; `redrive import` brings it back. What was not
    deleted is visible in the queue again at the end.

    Needs sqs:GetQueueAttributes, ReceiveMessage, ChangeMessageVisibility and
    DeleteMessage on the dead-letter queue.

    Examples:
      redrive discard --reason notification.malformed
      redrive discard --reason 'object.*' --older 7d --yes --export gone.ndjson
    ");
}

#[test]
fn every_verb_teaches_by_two_examples() {
    let command = Arguments::command();
    for verb in command.get_subcommands() {
        let help = verb
            .get_after_help()
            .unwrap_or_else(|| panic!("{}", verb.get_name()))
            .to_string();
        let (_, examples) = help.split_once("Examples:\n").unwrap();
        let beginning = format!("redrive {}", verb.get_name());
        assert_eq!(
            examples
                .lines()
                .filter(|line| line.trim_start().starts_with(&beginning))
                .count(),
            2,
            "{examples}"
        );
    }
}

#[test]
fn the_help_fits_80_columns() {
    let command = Arguments::command();
    let verbs = command.get_subcommands().map(|verb| Some(verb.get_name()));
    for verb in verbs.chain([None]) {
        for line in help(verb).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
