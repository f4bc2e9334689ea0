//! The fault matrix: whatever fails, every line of every object is indexed exactly once, or is in quarantine, or its
//! object is named by a dead letter with the right reason or by a message in the queue.
//!
//! A family of cases is a table; a row is one kind of fault ([`case::Case`]). Each is played twice, in worlds of their
//! own: with trouble that passes, and with trouble that lasts until all is given up, and is then ended and put back.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use case::{Case, Lasting};
use stage::Stage;

use crate::support::world::Options;

mod audit;
mod audited;
mod case;
mod elasticsearch;
mod messages;
mod objects;
mod s3;
mod sqs;
mod stage;

/// Cases played at the same time: they mostly wait.
const AT_A_TIME: usize = 6;

/// Lines of the function's log in the story of a case that failed.
const NUM_LOG_LINES: usize = 25;

/// Plays every case of a family with trouble that passes and with trouble that lasts, against the shared Elasticsearch
/// or that of these options. Panics with the stories of all that failed.
async fn play(cases: &'static [Case], options: Option<&Options>) {
    play_at_most(AT_A_TIME, cases, options).await;
}

/// The same, with so many courses at a time.
async fn play_at_most(at_a_time: usize, cases: &'static [Case], options: Option<&Options>) {
    let turns = Arc::new(Semaphore::new(at_a_time));
    let mut courses = JoinSet::new();
    for case in cases {
        for lasting in Lasting::BOTH {
            let (turns, options) = (Arc::clone(&turns), options.cloned());
            courses.spawn(async move {
                let _turn = turns.acquire_owned().await;
                tell(case, lasting, options).await
            });
        }
    }
    let num_courses = courses.len();
    let stories: Vec<String> = courses.join_all().await.into_iter().flatten().collect();
    assert!(
        stories.is_empty(),
        "{} of {num_courses} failed\n\n{}",
        stories.len(),
        stories.join("\n\n")
    );
}

/// Plays a case; the answer is the story of what went wrong.
async fn tell(case: &'static Case, lasting: Lasting, options: Option<Options>) -> Option<String> {
    let name = format!("{}-{}", case.name, lasting.as_str());
    let stage = Arc::new(Stage::set(&name, case, options).await);
    let on_stage = Arc::clone(&stage);
    let course = tokio::spawn(async move { case.take_its_course(&on_stage, lasting).await });
    let panic = course.await.err()?.into_panic();
    let message = panic.downcast_ref::<String>().cloned();
    let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let log = stage.world.log();
    let end_of_log = &log[log.len().saturating_sub(NUM_LOG_LINES)..];
    Some(format!(
        "## {name}\n{}\nThe proxy: {:?}. The end of the function's log:\n{}",
        message.unwrap_or_default(),
        stage.proxy.tallies(),
        end_of_log.join("\n")
    ))
}
