use super::*;
use clap::Command;

#[test]
fn help_teaches() {
    let mut command = Arguments::augment_args(Command::new("doctor")).term_width(100);
    insta::assert_snapshot!(command.render_long_help(), @"
    Checks queues, Elasticsearch, files and formats, and says what to do

    A line for each finding, its remedy below it, in an order that stays the same.

    Usage: doctor [OPTIONS]

    Options:
          --queue-url <URL>
              URL of the main queue [default: FLOWSHIP_QUEUE_URL]

          --dlq-url <URL>
              URL of the dead-letter queue [default: FLOWSHIP_DLQ_URL]

          --elasticsearch-url <URL>...
              URLs of the cluster's nodes or of its load balancer [default: FLOWSHIP_ELASTICSEARCH_URLS]

          --function-timeout <SECONDS>
              Timeout of the Lambda function: the visibility timeout is measured by it

          --object <S3 URI|FILE>
              A flow log object or file, whose first lines are read

          --installer
              The credentials for Elasticsearch are those of `flowctl setup`: judges its rights, not the
              function's

          --write-probes
              Writes a small object under the quarantine's prefix, to see whether that works

          --json
              Writes the result as one JSON document: `checks` with name, verdict, found, details and
              remedy, and how many of each

      -h, --help
              Print help (see a summary with '-h')

    It takes the settings of the function (FLOWSHIP_…, see the README) and looks with the rights of who
    runs it: what those do not allow to see is skipped, with the right that it takes. Nothing is
    changed, and nothing is written without --write-probes. It needs sqs:GetQueueAttributes on both
    queues, s3:ListBucket on the quarantine's prefix, and in Elasticsearch monitor, read_ilm,
    view_index_metadata on the indices, read on the ledger, and for the templates
    manage_index_templates.

    Each finding is ok, warn (it works; one should know), fail (something is lost, late or refused, or
    will be) or skip (it could not be looked at). Below what is not ok stands what to do.

    Exit codes: 0 nothing fails, 1 something fails, 2 wrong command line, or nothing to look at.

    Examples:
      flowctl doctor --function-timeout 900
          before the first deployment is trusted, and at 3 am: everything that the environment names
      flowctl doctor --object s3://logs/AWSLogs/123456789012/vpcflowlogs/…/x.log.gz
          also that object's format, and which panels of the dashboards it leaves empty
    ");
}

#[test]
fn credentials_in_what_is_no_url_are_not_told() {
    for wrong in ["https://elastic:p#hunter2@es:9200", "elastic:hunter2@es:9200"] {
        let mut environment = Environment::default();
        environment.set("ELASTICSEARCH_URLS", Some(wrong));
        let checks = judge_settings(&CheckedSettings::read(&environment));
        let told = serde_json::to_string(&checks).unwrap();
        assert!(told.contains("FLOWSHIP_ELASTICSEARCH_URLS"), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("es:9200"), "{told}");
    }
}
