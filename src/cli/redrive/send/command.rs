//! The commands `send` and `resume`: whether it is any use, the journal, and then the run.

use anyhow::bail;

use super::health::{self, Findings};
use super::journal::{Journal, Past};
use super::proof::Ledger;
use super::report::Report;
use super::{Arguments, Memory, Route, resume, send};
use crate::aws::sqs::SqsQueue;
use crate::cli::doctor::queues::lacks_consumer;
use crate::cli::redrive::queues::status_of;
use crate::cli::redrive::{Session, Verb};
use crate::cli::tell;
use crate::config::{Environment, FunctionTimes};
use crate::queue::QueueStatus;

/// The two queues of a run.
#[derive(Debug)]
pub(in crate::cli::redrive) struct Queues<'a> {
    pub(in crate::cli::redrive) dlq: &'a SqsQueue,
    pub(in crate::cli::redrive) dlq_status: &'a QueueStatus,
    pub(in crate::cli::redrive) main: &'a SqsQueue,
}

/// What was done, or `None` where a check says that it would be in vain. `past`: what `resume` goes on with.
pub(in crate::cli::redrive) async fn run(
    verb: &Verb,
    environment: &Environment,
    queues: &Queues<'_>,
    session: &Session,
    past: Option<Past>,
) -> anyhow::Result<Option<Report>> {
    let options = match (verb, &past) {
        (Verb::Send(options), _) => options.clone(),
        (_, Some(past)) => resume::options(past)?,
        _ => bail!("there is no journal to resume"),
    };
    let (ledger, findings) = check_health(environment, queues, &options).await?;
    findings
        .notes
        .iter()
        .for_each(|note| tell(format_args!("note: {note}")));
    if !findings.refusals.is_empty() {
        for why in &findings.refusals {
            tell(format_args!("redrive: {why}"));
        }
        if options.yes && !options.force {
            tell("redrive: nothing was sent; --force sends all the same");
            return Ok(None);
        }
    }
    let journal = match verb {
        Verb::Resume(resume) => Some(Journal::reopen(&resume.journal)?),
        _ if options.yes => Some(Journal::begin(
            &options.journal_path(session.now),
            queues.dlq.url(),
            queues.main.url(),
            session.now,
        )?),
        _ => None,
    };
    let route = Route {
        dlq: queues.dlq,
        dlq_url: queues.dlq.url(),
        dlq_status: queues.dlq_status,
        main: queues.main,
        main_url: queues.main.url(),
        ledger: ledger.as_ref(),
    };
    Ok(Some(
        send(&route, &options, session, &Memory { journal, past }).await,
    ))
}

/// A dry run asks nothing that takes time.
async fn check_health(
    environment: &Environment,
    queues: &Queues<'_>,
    options: &Arguments,
) -> anyhow::Result<(Option<Ledger>, Findings)> {
    let mut findings = Findings::default();
    let main = status_of(queues.main, "main queue").await?;
    let times = FunctionTimes::read(environment)?;
    health::check_settings(&main, queues.dlq_status, &times, &mut findings);
    if !options.yes {
        return Ok((None, findings));
    }
    let ledger = health::check_elasticsearch(environment, &mut findings).await;
    if !options.force {
        findings.refusals.extend(lacks_consumer(queues.main).await?);
    }
    Ok((ledger, findings))
}
