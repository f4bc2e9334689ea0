//! Some of thousands: what is not selected stays where it is, and what comes back is found among it.

use super::one_json;
use super::send::{REASONS, put_letters, redrive_with_function};
use crate::support::World;
use crate::support::peek::peek;
use crate::support::world::redrive;

#[tokio::test(flavor = "multi_thread")]
async fn of_thousands_only_the_selected_are_sent_and_the_others_stay_visible() {
    let world = World::new("many-some").await;
    put_letters(&world, &REASONS, 3000).await;
    let arguments = ["send", "--yes", "--force", "--no-canary", "--rate", "0", "--json"];
    let selection = ["--reason", "bulk.*", "--limit", "700"];
    let output = redrive(&world, &[&arguments[..], &selection].concat());
    let report = one_json(&output);
    assert!(output.status.success(), "{output:?}");
    assert_eq!((&report["selected"], &report["sent"]), (&700.into(), &700.into()));
    let left = one_json(&redrive(&world, &["stats", "--json"]));
    assert_eq!(
        (&left["dead_letters"], &left["in_flight"]),
        (&2300.into(), &0.into()),
        "{left}"
    );
    let letters = peek(&world.dead_letters).await;
    let of_bulk = letters
        .iter()
        .filter(|letter| letter.attributes["reason"].starts_with("bulk."));
    assert_eq!((letters.len(), of_bulk.count()), (2300, 300));
    assert!(
        letters
            .iter()
            .all(|letter| !letter.attributes.contains_key("hops"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_found_among_thousands_and_stops_a_run() {
    let world = World::new("many-back").await;
    world.drain().await;
    put_letters(&world, &REASONS, 3000).await;
    // None of their objects is there: each comes back.
    let arguments = ["send", "--yes", "--no-canary", "--json"];
    let all = [
        "--reason",
        "bulk.throttled",
        "--limit",
        "200",
        "--rate",
        "0",
        "--wait",
        "2m",
    ];
    let all = [&arguments[..], &all, &["--stop-on-refail", "0"]].concat();
    let report = one_json(&redrive_with_function(&world, &all).await);
    assert_eq!(
        (&report["sent"], &report["refailed"], &report["still_in_flight"]),
        (&200.into(), &200.into(), &0.into()),
        "{report}"
    );

    let some = [&arguments[..], &["--reason", "bulk.unavailable"]].concat();
    let output = redrive_with_function(&world, &some).await;
    let report = one_json(&output);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let number = |field: &str| report[field].as_u64().unwrap();
    assert!((5..400).contains(&number("sent")), "{report}");
    assert_eq!(number("sent") + number("skipped"), number("selected"), "{report}");
    world.drain().await;
    assert_eq!(peek(&world.dead_letters).await.len(), 3000, "none is lost");
}
