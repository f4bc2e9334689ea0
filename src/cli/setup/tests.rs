//! What a run tells, in words and as JSON, and what the help teaches.

use clap::Command;

use super::*;
use crate::bulk::SendError;
use crate::elasticsearch::setup::{
    Action, Difference, Interrupted, Plan, Refusal, SetupError, SkipReason, Step, Verb, parts,
};
use crate::kibana::{self, Applied, KibanaError};

/// One of everything.
fn a_plan() -> Plan {
    let actions = [
        Action::Skip(SkipReason::PolicyKept),
        Action::Change,
        Action::Leave,
        Action::Create,
        Action::Create,
    ];
    let installation = Installation::read(&Environment::default()).unwrap();
    let mut steps: Vec<Step> = parts(&installation)
        .into_iter()
        .zip(actions)
        .map(|(part, action)| Step {
            part,
            action,
            differences: Vec::new(),
        })
        .collect();
    let difference = |path: &str, server: Option<&str>, ours: &str| Difference {
        path: path.to_owned(),
        server: server.map(str::to_owned),
        ours: Some(ours.to_owned()),
    };
    steps[0].differences = vec![difference("phases.delete.min_age", Some("30d"), "400d")];
    steps[1].differences = vec![
        difference("settings.index.codec", None, "best_compression"),
        difference("settings.index.refresh_interval", Some("5s"), "30s"),
    ];
    Plan { steps, has_ilm: true }
}

fn told(dry_run: bool, stopped: Option<&Interrupted>) -> String {
    let plan = a_plan();
    let report = Report::new("http://localhost:9200/", "flowlogs", &plan, dry_run, stopped);
    let lines = report.lines().chain(report.remarks()).collect::<Vec<_>>();
    lines.join("\n")
}

#[test]
fn a_run_tells_one_line_a_part_and_every_difference() {
    insta::assert_snapshot!(told(false, None), @"
    skipped    ILM policy          flowlogs-vpc  (changed by hand and kept, because it decides what is deleted; --reset-ilm installs ours)
        phases.delete.min_age: 30d → 400d
    changed    component template  flowlogs-vpc-settings  (2 differences)
        settings.index.codec: (none) → best_compression
        settings.index.refresh_interval: 5s → 30s
    unchanged  component template  flowlogs-vpc-mappings
    created    component template  flowlogs-vpc-ilm
    created    index template      flowlogs-vpc
    indices that exist keep their settings and mappings; new ones get what was installed
    ");
}

#[test]
fn a_dry_run_says_would() {
    insta::assert_snapshot!(told(true, None), @"
    skipped       ILM policy          flowlogs-vpc  (changed by hand and kept, because it decides what is deleted; --reset-ilm installs ours)
        phases.delete.min_age: 30d → 400d
    would change  component template  flowlogs-vpc-settings  (2 differences)
        settings.index.codec: (none) → best_compression
        settings.index.refresh_interval: 5s → 30s
    unchanged     component template  flowlogs-vpc-mappings
    would create  component template  flowlogs-vpc-ilm
    would create  index template      flowlogs-vpc
    dry run: nothing was changed
    ");
}

#[test]
fn an_interrupted_run_tells_what_is_installed_and_what_not() {
    let stopped = Interrupted {
        position: 3,
        error: SetupError::NoAnswer {
            verb: Verb::Install,
            part: "component template flowlogs-vpc-ilm".to_owned(),
            source: SendError::Timeout,
        },
    };
    insta::assert_snapshot!(told(false, Some(&stopped)), @"
    skipped    ILM policy          flowlogs-vpc  (changed by hand and kept, because it decides what is deleted; --reset-ilm installs ours)
        phases.delete.min_age: 30d → 400d
    changed    component template  flowlogs-vpc-settings  (2 differences)
        settings.index.codec: (none) → best_compression
        settings.index.refresh_interval: 5s → 30s
    unchanged  component template  flowlogs-vpc-mappings
    failed     component template  flowlogs-vpc-ilm
    pending    index template      flowlogs-vpc
    indices that exist keep their settings and mappings; new ones get what was installed
    ");
    let error = anyhow::Error::new(stopped.error);
    insta::assert_snapshot!(format!("{error:#}"), @"installing component template flowlogs-vpc-ilm at Elasticsearch: no answer in time");
}

#[test]
fn a_refused_run_tells_whose_work_would_be_lost_and_that_nothing_was_done() {
    let mut plan = a_plan();
    plan.steps[1].action = Action::Refuse(Refusal::ChangedByHand);
    plan.steps[2].action = Action::Refuse(Refusal::NotOurs);
    let report = Report::new("http://localhost:9200/", "flowlogs", &plan, false, None);
    let lines: Vec<String> = report.lines().skip(2).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    refused       component template  flowlogs-vpc-settings  (changed by hand since it was installed)
        settings.index.codec: (none) → best_compression
        settings.index.refresh_interval: 5s → 30s
    refused       component template  flowlogs-vpc-mappings  (not installed by flowship)
    would create  component template  flowlogs-vpc-ilm
    would create  index template      flowlogs-vpc
    ");
}

#[test]
fn a_policy_that_deletes_sooner_is_pointed_out() {
    let mut plan = a_plan();
    plan.steps.truncate(1);
    plan.steps[0].action = Action::Change;
    let report = Report::new("http://localhost:9200/", "flowlogs", &plan, true, None);
    insta::assert_snapshot!(report.remarks().join("\n"), @"
    dry run: nothing was changed
    the policy's age of deletion changes: indices of days that are more than 400d ago are deleted within minutes
    ");
}

#[test]
fn programs_get_the_same_as_json() {
    let plan = a_plan();
    let mut report = Report::new("http://localhost:9200/", "flowlogs", &plan, true, None);
    report.parts.truncate(2);
    report.parts.remove(0);
    insta::assert_snapshot!(serde_json::to_string(&report).unwrap(), @r#"{"url":"http://localhost:9200/","index_prefix":"flowlogs","dry_run":true,"ilm":true,"parts":[{"result":"would_change","kind":"component_template","name":"flowlogs-vpc-settings","reason":"2 differences","differences":[{"path":"settings.index.codec","server":null,"ours":"best_compression"},{"path":"settings.index.refresh_interval","server":"5s","ours":"30s"}]}]}"#);
}

/// Two objects and three rules, of which Kibana refuses the first and does not answer for the second.
#[test]
fn a_run_tells_what_became_of_every_object_and_rule_of_kibana() {
    let plan = kibana::Plan::of(&[
        ("data view", "flows", kibana::Action::Leave),
        ("dashboard", "Overview", kibana::Action::Keep),
        ("alert rule", "one", kibana::Action::Create),
        ("alert rule", "two", kibana::Action::Change),
        ("alert rule", "three", kibana::Action::Create),
    ]);
    let failed = |reason: &str| KibanaError::Refused {
        what: "alert rule".to_owned(),
        status: 400,
        reason: reason.to_owned(),
    };
    let applied = Applied {
        failures: vec![(2, failed("not known")), (3, failed("too late"))],
        stopped_at: Some(3),
    };
    let pack = PackReport::new("http://localhost:5601/", None, &plan, &applied, false);
    let mut plan = a_plan();
    plan.steps.truncate(0);
    let mut report = Report::new("http://localhost:9200/", "flowlogs", &plan, false, None);
    report.kibana = Some(&pack);
    let lines: Vec<String> = report.lines().collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    unchanged  data view           flows
    kept       dashboard           Overview  (changed by hand; --force overwrites it)
    failed     alert rule          one
    failed     alert rule          two
    pending    alert rule          three
    ");
    insta::assert_snapshot!(serde_json::to_string(&report).unwrap(), @r#"{"url":"http://localhost:9200/","index_prefix":"flowlogs","dry_run":false,"ilm":true,"parts":[],"kibana":{"url":"http://localhost:5601/","parts":[{"result":"unchanged","kind":"data_view","id":"id of flows","title":"flows"},{"result":"kept","kind":"dashboard","id":"id of Overview","title":"Overview"},{"result":"failed","kind":"alert_rule","id":"id of one","title":"one"},{"result":"failed","kind":"alert_rule","id":"id of two","title":"two"},{"result":"pending","kind":"alert_rule","id":"id of three","title":"three"}]}}"#);
    insta::assert_snapshot!(pack.into_result().unwrap_err(), @"alert rule: Kibana answers 400: not known; alert rule: Kibana answers 400: too late");
}

#[test]
fn all_wrong_settings_are_told_at_once() {
    let mut environment = Environment::default();
    environment
        .set("INDEX_PREFIX", Some("Net"))
        .set("KIBANA_URL", Some("kibana:5601"));
    let error = Settings::read(&environment).err().unwrap().to_string();
    for name in ["ELASTICSEARCH_URLS", "INDEX_PREFIX", "KIBANA_URL"] {
        assert!(error.contains(&format!("FLOWSHIP_{name}")), "{error}");
    }
}

#[test]
fn every_outcome_is_in_the_help() {
    use outcome::Outcome;
    for outcome in [
        Outcome::WouldCreate,
        Outcome::WouldChange,
        Outcome::Created,
        Outcome::Changed,
        Outcome::Unchanged,
        Outcome::Skipped,
        Outcome::Kept,
        Outcome::Refused,
        Outcome::Failed,
        Outcome::Pending,
    ] {
        assert!(help::AFTER.contains(outcome.words()), "{}", outcome.words());
    }
}

#[test]
fn help_teaches() {
    let mut command = Arguments::augment_args(Command::new("setup")).term_width(80);
    insta::assert_snapshot!(command.render_long_help(), @"
    Installs index templates, lifecycle policy and, if asked for, Kibana's
    dashboards and rules

    Compares with what the server has and installs only what is missing or
    different. One line a part on stdout, with its outcome; under it every
    difference as `path: server → ours`. What a flag does not ask for stays as it is
    on the server.

    Usage: setup [OPTIONS]

    Options:
          --dry-run
              Shows what would change, and changes nothing

          --index-prefix <PREFIX>
              First part of index and template names [default:
              FLOWSHIP_INDEX_PREFIX, else flowlogs]

          --ledger-index <NAME|none>
              First part of the ledger's index and template names; `none`: without
              templates, dashboard and rules of a ledger [default:
              FLOWSHIP_LEDGER_INDEX, else flowship-ledger]

          --elasticsearch-url <URL>...
              URLs of the cluster's nodes or of its load balancer [default:
              FLOWSHIP_ELASTICSEARCH_URLS]

          --kibana-url <URL>
              URL of Kibana: data views, dashboards, saved searches and alert rules
              are installed, too [default: FLOWSHIP_KIBANA_URL, else Kibana is left
              alone]

          --kibana-space <SPACE>
              Space of Kibana [default: the default one]

          --store <PROFILE>
              How new indices are stored, with the server's CPU a million records
              and bytes a document [default: as on the server, else standard]

              Possible values:
              - standard: as documents come: 43 s, 236 bytes
              - sorted:   sorted by network interface, then time: 54 s, 217 bytes
              - logsdb:   sorted, in Elasticsearch's mode for logs: 57 s, 157 bytes;
                209 if the licence lacks synthetic source

          --warm-after <DAYS|never>
              Days after which an index is merged and moves to warm nodes, or
              `never` [default: as on the server, else 2]

          --cold-after <DAYS|never>
              Days after which an index moves to cold nodes, or `never` [default: as
              on the server, else never]

          --delete-after <DAYS|never>
              Days after which an index is deleted, or `never` [default: as on the
              server, else 400]; they count from the day in the index's name, and a
              shorter age deletes what is older within minutes

          --guard-auto-create
              Has the cluster refuse indices of these names while their template is
              missing: extends the lasting cluster setting action.auto_create_index;
              needs the cluster privilege manage

          --install-roles
              Installs the roles of shipper, installer and reader, too; needs the
              cluster privilege manage_security

          --reset-ilm
              Replaces a lifecycle policy that was changed by hand; without it such
              a policy is kept, also with --force. One that is not flowship's, or a
              newer flowship's, takes --force, too

          --force
              Overwrites parts that somebody changed by hand, and parts of these
              names that are not flowship's or a newer flowship's; without it any
              such part stops setup before it changes anything

          --export <DIR>
              Only writes everything that would be sent into DIR, one file a call,
              with a README that names the calls; DIR is made, or empty unless
              --force

          --print-roles
              Only prints the calls that make the roles of shipper, installer and
              reader

          --print-api-key-call
              Only prints the call that makes an API key with the rights of the
              shipper; the field `encoded` of its answer is
              FLOWSHIP_ELASTICSEARCH_API_KEY

          --json
              Writes the result as one JSON document

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      flowctl setup --elasticsearch-url http://localhost:9200 --dry-run
          shows what an installation would do, and changes nothing
      flowctl setup --elasticsearch-url https://es-1:9200 https://es-2:9200
          installs; a second run finds everything unchanged
      flowctl setup --delete-after 90 --store sorted
          keeps flows for 90 days; new indices 8 % smaller, for a quarter more CPU
      flowctl setup --kibana-url https://kibana:5601 --kibana-space net-ops
          installs the dashboards, saved searches and alert rules, too
      flowctl setup --print-api-key-call
          what an administrator pastes into Kibana's console for the function's key
      flowctl setup --export setup-files
          writes files for Terraform, Ansible or curl

    Outcomes: created, changed, unchanged; skipped (with the reason: no ILM, or a
    lifecycle policy changed by hand); kept (changed by hand in Kibana); refused
    (somebody's work would be lost, or a rule could not read the indices); failed;
    pending (what comes after a failure; another run goes on there). A dry run says
    would create and would change, and so does a run that refuses anything, because
    it changes nothing.

    Changed by hand: every part carries a hash of itself. Where the server's part no
    longer fits its hash, somebody changed it, and setup stops before it changes
    anything and shows the differences; so it does where a part of that name is not
    flowship's, or a newer flowship's. --force overwrites all of them. A lifecycle
    policy that was changed by hand is kept and stops nothing, unless an age is
    asked for: then --force sets that age in it, and nothing else. In Kibana, what
    somebody changed is kept, and the rest is installed; the actions of a rule, and
    whether it is on, always stay.

    Templates of others: an index template whose patterns meet ours and whose
    priority is not lower stops setup before it changes anything, because
    Elasticsearch would refuse ours or never apply it. With --force setup goes on
    all the same.

    Your own index settings and mappings belong into the component templates
    <prefix>-vpc-custom, <prefix>-tgw-custom and <ledger>-custom
    (flowlogs-vpc-custom, flowlogs-tgw-custom and flowship-ledger-custom), which
    setup never touches and which win over the installed ones (but for what --store
    sets). Indices have one replica where there is a second data node
    (auto_expand_replicas 0-1, because ILM waits for a replica that has no place); a
    number of your own takes auto_expand_replicas: false beside number_of_replicas.

    Existing indices stay as they are; templates and stores are for new ones, which
    begin with the next day of flows.

    --guard-auto-create: if somebody deletes a template, the next day's index would
    be made without it: without mappings, never deleted, and no dashboard would
    understand it. With the guard Elasticsearch refuses such an index, the
    function's messages wait in the queue or the dead-letter queue, and nothing is
    lost. What denies the patterns of the templates (-<prefix>-vpc-*,
    -<prefix>-tgw-*, -<ledger>-*) is put in front of what action.auto_create_index
    has; who sets it back removes the guard.

    Rights: the cluster privileges manage_index_templates and manage_ilm, and manage
    on the indices, with which Elasticsearch carries out the lifecycle policy; that
    is the role <prefix>-installer of --print-roles. --guard-auto-create needs
    manage, --install-roles manage_security.

    Kibana takes the rights to manage saved objects and rules. Rules go on running
    with the rights of who installed them: they need the role <prefix>-reader in
    addition, and are refused without it. Installed with an API key, they stop when
    that key expires or is invalidated. Two installations in one Kibana need a space
    each (and a Kibana each, where it gives the objects of a second space other ids,
    which setup tells); the data views of another installation are taken over only
    with --force.

    Credentials, for Kibana too, and the file of a private CA come from
    FLOWSHIP_ELASTICSEARCH_API_KEY, _USERNAME and _PASSWORD, _SECRET_ARN,
    _SECRET_FILE and _CA_FILE.

    Exit codes: 0 done, 1 failed or refused (stderr says why), 2 wrong command line.
    ");
}
