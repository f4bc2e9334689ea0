//! The fault matrix: whatever fails, every line of every object is indexed exactly once, or is in quarantine, or its
//! object is named by a dead letter with the right reason or by a message in the queue.
//!
//! A family of cases is a table; a row is one kind of fault ([`case::Case`]). Each is played twice, in worlds of their
//! own: with trouble that passes, and with trouble that lasts until all is given up, and is then ended and put back.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use case::{Case, Lasting, Place};
use stage::Stage;

use crate::support::world::Options;

mod audit;
mod audited;
mod case;
mod crowd;
mod elasticsearch;
mod kills;
mod load;
mod machine;
mod messages;
mod objects;
mod process;
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
                play_case(case, lasting, options).await
            });
        }
    }
    finish(courses).await;
}

/// The same for cases of requests that fail; trouble that passes does so one after the other, in one world of this name.
async fn play_in_a_row(name: &'static str, cases: &'static [Case]) {
    let turns = Arc::new(Semaphore::new(AT_A_TIME));
    let mut courses = JoinSet::new();
    courses.spawn(async move {
        let mut stage = Stage::set(name, &cases[0], None).await;
        stage.be_patient();
        tell(name, stage, move |stage| async move {
            case::pass_in_a_row(cases, &stage).await;
        })
        .await
    });
    for case in cases {
        let turns = Arc::clone(&turns);
        courses.spawn(async move {
            let _turn = turns.acquire_owned().await;
            play_case(case, Lasting::ForEver, None).await
        });
    }
    finish(courses).await;
}

async fn finish(courses: JoinSet<Option<String>>) {
    let num_courses = courses.len();
    let stories: Vec<String> = courses.join_all().await.into_iter().flatten().collect();
    assert!(
        stories.is_empty(),
        "{} of {num_courses} failed\n\n{}",
        stories.len(),
        stories.join("\n\n")
    );
}

/// A number that whoever runs a long test may set.
#[allow(clippy::disallowed_methods, reason = "it is no setting of the product")]
fn parameter(name: &str, default: u64) -> u64 {
    let text = std::env::var(name);
    text.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: no number: {text}"))
    })
}

async fn play_case(case: &'static Case, lasting: Lasting, options: Option<Options>) -> Option<String> {
    let name = format!("{}-{}", case.name, lasting.as_str());
    let mut stage = Stage::set(&name, case, options).await;
    if (case.place, lasting) == (Place::Elasticsearch, Lasting::Once) {
        stage.be_patient();
    }
    tell(&name, stage, move |stage| async move {
        case.take_its_course(&stage, lasting).await;
    })
    .await
}

/// Lets a course be taken; the answer is the story of what went wrong.
async fn tell<C>(name: &str, stage: Stage, course: impl FnOnce(Arc<Stage>) -> C) -> Option<String>
where
    C: Future<Output = ()> + Send + 'static,
{
    let stage = Arc::new(stage);
    let course = tokio::spawn(course(Arc::clone(&stage)));
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
