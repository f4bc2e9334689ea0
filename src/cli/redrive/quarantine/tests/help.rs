//! What `--help` says.

use clap::CommandFactory;

fn help(verb: &str) -> String {
    let mut command = crate::cli::redrive::Arguments::command().term_width(80);
    command.build();
    let quarantine = command.find_subcommand_mut("quarantine").unwrap();
    quarantine
        .find_subcommand_mut(verb)
        .unwrap()
        .render_help()
        .to_string()
}

#[test]
fn help_of_quarantine_stats() {
    insta::assert_snapshot!(help("stats"), @"
    Count lines by reason, with an example of each, and name the next command

    Usage: redrive quarantine stats [OPTIONS]

    Options:
      -h, --help  Print help

    Selection:
          --reason <GLOB>   Only lines whose reason matches: `*` is any text, `?`
                            one character
          --dataset <NAME>  Only flow logs of this kind: vpc or tgw
          --from <WHEN>     Only files of this day on, by the day in their key
          --to <WHEN>       Only files of a day that begins before this
          --account <ID>    Only objects of this account, by their key
          --flow-log <ID>   Only objects of this flow log, by their key
          --key <GLOB>      Only lines of objects whose whole key matches
          --limit <N>       At most N files, by dataset and day

    Global options:
          --quarantine-uri <URI>    Where bad lines are kept; replaces
                                    FLOWSHIP_QUARANTINE_URI
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    Examples:
      redrive quarantine stats
      redrive quarantine stats --from 7d --json | jq '.reasons[].accounts'
    ");
}

#[test]
fn help_of_quarantine_list() {
    insta::assert_snapshot!(help("list"), @"
    Show a row per file, or with --verbose its lines

    Usage: redrive quarantine list [OPTIONS]

    Options:
      -v, --verbose  Show every selected line, with its detail and its text
      -h, --help     Print help

    Selection:
          --reason <GLOB>   Only lines whose reason matches: `*` is any text, `?`
                            one character
          --dataset <NAME>  Only flow logs of this kind: vpc or tgw
          --from <WHEN>     Only files of this day on, by the day in their key
          --to <WHEN>       Only files of a day that begins before this
          --account <ID>    Only objects of this account, by their key
          --flow-log <ID>   Only objects of this flow log, by their key
          --key <GLOB>      Only lines of objects whose whole key matches
          --limit <N>       At most N files, by dataset and day

    Global options:
          --quarantine-uri <URI>    Where bad lines are kept; replaces
                                    FLOWSHIP_QUARANTINE_URI
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    With --json, a file is one object; with --verbose as well, a line is one, as it
    stands in its file.

    Examples:
      redrive quarantine list --dataset vpc --from 2026-11-20 --to 2026-11-21
      redrive quarantine list --verbose --limit 1 --reason line.number
    ");
}

#[test]
fn help_of_quarantine_send() {
    insta::assert_snapshot!(help("send"), @"
    Ship lines again (dry run unless --yes)

    Usage: redrive quarantine send [OPTIONS]

    Options:
          --yes   Really send; without it, only say what would be sent
      -h, --help  Print help

    Selection:
          --reason <GLOB>   Only lines whose reason matches: `*` is any text, `?`
                            one character
          --dataset <NAME>  Only flow logs of this kind: vpc or tgw
          --from <WHEN>     Only files of this day on, by the day in their key
          --to <WHEN>       Only files of a day that begins before this
          --account <ID>    Only objects of this account, by their key
          --flow-log <ID>   Only objects of this flow log, by their key
          --key <GLOB>      Only lines of objects whose whole key matches
          --limit <N>       At most N files, by dataset and day

    Global options:
          --quarantine-uri <URI>    Where bad lines are kept; replaces
                                    FLOWSHIP_QUARANTINE_URI
          --queue-url <URL>         URL of the main queue; replaces
                                    FLOWSHIP_QUEUE_URL
          --dlq-url <URL>           URL of the dead-letter queue; replaces
                                    FLOWSHIP_DLQ_URL
          --json                    Write JSON: one object, or for `list` one object
                                    a line
          --despite-redrive-policy  Look although a redrive policy of the
                                    dead-letter queue may move messages on

    Ships lines by the settings of the function (FLOWSHIP_ELASTICSEARCH_…,
    _INDEX_PREFIX, _GEO_…, …), which must be set here, too. They get the ids that
    their object gives them, so nothing is added that is there already. What is
    delivered leaves its file, which is written anew once Elasticsearch has
    confirmed, and only if nobody else wrote it meanwhile; what is refused again
    stays, with the reason of today. A file that nothing remains of is kept as a
    head without lines. Whatever goes wrong leaves lines in their files, and sending
    again is always safe.

    Needs s3:ListBucket, GetObject and PutObject on the quarantine's prefix, and in
    Elasticsearch the function's `create_doc` and `auto_configure` on flow logs.

    Examples:
      redrive quarantine send --reason 'document.*'          what would be sent
      redrive quarantine send --reason 'document.*' --yes    with a mended mapping
    ");
}
