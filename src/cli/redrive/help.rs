//! What `--help` says below the options. Paragraphs are one line each: clap breaks them at the terminal's width.

pub(super) const ALL: &str = "\
flowship is a Lambda function that ships AWS VPC flow logs from S3 to Elasticsearch; what it gives up is a message in the \
dead-letter queue, and single bad lines are in the quarantine. Settings are the environment variables FLOWSHIP_…, the same \
as the function's; an option replaces its variable.

Words:
  pass     once through all of the dead-letter queue, or over one object
  hop      one way of a message back to the main queue; it carries the count
  canary   the first message of a reason: the others wait for what becomes of it
  refail   a message that was sent and came back as a dead letter
  journal  the file in which `send` tells each decision, for `resume`

Looking (every verb but import) receives every message, hides it for as long as the pass takes, and makes it visible \
again at the end, also after Ctrl-C or an error. As every receive does, it raises the messages' \
ApproximateReceiveCount: a dead-letter queue that has a redrive policy of its own would move them on, and is refused. \
Messages that another program holds are not seen; their number is told as `in flight`. SQS gives ten messages a call, in \
no order, so a pass goes through the whole queue whatever is selected: 5,000 take some seconds, and one pass takes at \
most 100,000.

A selection option that is given several times takes any of its values; of different options, all must match. A message \
that names several objects is selected as a whole if one of them has all that was asked for. WHEN is a time (2026-11-20, \
2026-11-20T03:00:00Z) or an age (30m, 2h, 3d). What is not selected is not touched.

Exit codes: 0 done, 1 an error or any failed message, 2 wrong command line, 3 stopped before the end (Ctrl-C, too many \
messages for one run, a check of `send` that failed, or what it sent came back), 4 nothing selected.

Data goes to stdout, everything else to stderr. Region, credentials and endpoint come from the AWS SDK's environment \
variables and profiles.

Examples:
  redrive stats                           why messages are here, what to do next
  redrive list --check                    which objects, and are they there?
  redrive send --reason 'bulk.*'          what would be sent back, and where
  redrive send --reason 'bulk.*' --yes    send it";

pub(super) const STATS: &str = "\
OLDEST and NEWEST are the ages of the failures, BYTES the sizes of the objects as S3 told them. `hops` counts how often \
a message was redriven. With a selection, only what it selects is counted.

Needs sqs:GetQueueAttributes, ReceiveMessage and ChangeMessageVisibility on the dead-letter queue, as every look; with \
ListDeadLetterSourceQueues, it also tells whose dead-letter queue it is.

Examples:
  redrive stats --newer 2h
  redrive stats --json | jq '.reasons[] | [.reason, .dead_letters]'";

pub(super) const LIST: &str = "\
ATTEMPTS is how often the function had received the message when it gave up, HOPS how often it was redriven since.

Needs sqs:GetQueueAttributes, ReceiveMessage and ChangeMessageVisibility on the dead-letter queue; --check also \
s3:GetObject on the logs (s3:ListBucket tells what is gone from what is refused).

Examples:
  redrive list --reason 'object.*' --limit 20 --check
  redrive list --account 123456789012 --from 2026-11-20 --verbose";

pub(super) const SHOW: &str = "\
Whether an object is still there is asked with HEAD.

Needs sqs:GetQueueAttributes, ReceiveMessage and ChangeMessageVisibility on the dead-letter queue, and s3:GetObject on the \
logs (s3:ListBucket tells what is gone from what is refused).

Examples:
  redrive show 5fea7756
  redrive show 5fea7756 --presign --expires 15m";

pub(super) const SEND: &str = "\
A message is deleted from the dead-letter queue only after the main queue has confirmed it. Body and attributes stay \
as they are, and `hops` is counted up; a message that has ten attributes and no `hops` is sent without a count. What \
fails again while the command runs is left for the next run, and what was redriven 3 times is skipped unless --max-hops \
is larger.

Before it sends, it looks whether Elasticsearch answers and is not red (if FLOWSHIP_ELASTICSEARCH_URLS is set), whether \
the main queue's redrive policy leads to this dead-letter queue, whether its visibility timeout is long enough, and \
whether somebody takes its messages. One message of each reason goes ahead; the others of its reason follow when the \
ledger calls its objects complete. Without a ledger: when the main queue was empty for a minute and nothing came back. \
Credentials that may not read the ledger, as those of the function, are refused; --force goes on without it.

What comes back is looked for every 5 s among the dead letters that were not selected, about 1,000 at a time, which \
are hidden until all were seen. Behind 100,000 of them it is seen late: take a smaller --rate.

Ctrl-C, SIGTERM, a crash or a stop lose nothing: the journal tells where each message is, and `redrive resume` goes on.

Needs sqs:GetQueueAttributes, ReceiveMessage, ChangeMessageVisibility and DeleteMessage on the dead-letter queue, \
sqs:GetQueueAttributes and SendMessage on the main queue, and in Elasticsearch `monitor` and `read` on the ledger.

Examples:
  What would be sent, and where:
    redrive send --reason 'bulk.*'

  Send, and see what comes of it:
    redrive send --reason 'bulk.*' --yes --wait 10m";

pub(super) const RESUME: &str = "\
Selects and sends with the queues and options of the run that wrote the journal, and appends to it. What the main queue \
had confirmed is not sent again, and is deleted from the dead-letter queue. After a power cut the journal may lack its \
last rows: what they told of counts as gone, or is sent twice, which gives the same documents under the same ids. Needs the rights of `send`.

Examples:
  redrive resume redrive-20261120T031500.000Z.ndjson
  redrive resume journal.ndjson --json | jq '.still_in_flight'";

pub(super) const EXPORT: &str = "\
A line of JSON per message, with all that the queue tells of it: body, attributes with their types, the queue's own \
attributes. The file appears when all of it is on disk. Nothing is deleted. Needs the rights of `list`.

Examples:
  redrive export dlq.ndjson
  redrive export - --reason 'object.*' --newer 2h | jq -r .body";

pub(super) const IMPORT: &str = "\
All lines are checked before the first is sent: each must be a message that the queue takes, with an S3 event as its \
body. Messages get new ids and times; what the queue itself had written on them does not come back. Needs sqs:GetQueueAttributes on the dead-letter queue and on the one that it \
sends to, and sqs:SendMessage there.

Examples:
  redrive import dlq.ndjson                      say what would be sent
  redrive import dlq.ndjson --to main --yes      have its objects shipped again";

pub(super) const DISCARD: &str = "\
Needs a selection ('--reason *' is all). A message is deleted only after its copy is on disk in the file; `redrive \
import` brings it back. What was not deleted is visible in the queue again at the end.

Needs sqs:GetQueueAttributes, ReceiveMessage, ChangeMessageVisibility and DeleteMessage on the dead-letter queue.

Examples:
  redrive discard --reason notification.malformed
  redrive discard --reason 'object.*' --older 7d --yes --export gone.ndjson";

pub(super) const COMPLETIONS: &str = "\
Examples:
  redrive completions bash > ~/.local/share/bash-completion/completions/redrive
  redrive completions fish > ~/.config/fish/completions/redrive.fish";

pub(super) const MAN: &str = "\
Examples:
  redrive man | man -l -
  redrive man --dir ~/.local/share/man/man1";

#[cfg(test)]
mod tests;
