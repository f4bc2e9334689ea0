//! The credentials are wrong, or have too few rights. On the node with TLS and users, which no proxy can look into.

use flowship::outcome::Reason;

use super::super::case::{Becomes, Case, Trouble};
use super::super::play;
use super::super::stage::Stage;
use super::OPERATORS;
use crate::security::{ca, create_secret, put_secret, secured_node, user};
use crate::support::World;
use crate::support::world::Options;

const UNAUTHORIZED: Case = Case {
    becomes: Becomes::Letter(Reason::BulkUnauthorized),
    // The secret is read again.
    most_requests: 12,
    adjust: know_the_secret,
    ..OPERATORS
};

const CASES: &[Case] = &[
    Case {
        name: "flowlogs-wrong-password",
        trouble: Trouble::State(|stage, on| Box::pin(be(stage, on, "shipper", "not-its-password"))),
        ..UNAUTHORIZED
    },
    Case {
        name: "flowlogs-may-not-write",
        trouble: Trouble::State(|stage, on| Box::pin(be(stage, on, "nocreate", "nocreate-password"))),
        ..UNAUTHORIZED
    },
    Case {
        name: "flowlogs-may-not-create-an-index",
        trouble: Trouble::State(|stage, on| Box::pin(be(stage, on, "noauto", "noauto-password"))),
        ..UNAUTHORIZED
    },
];

/// The secret has the name of the world.
fn know_the_secret(world: &mut World) {
    let secret = world.prefix.clone();
    world.variables.extend([
        ("FLOWSHIP_ELASTICSEARCH_CA_FILE".into(), ca(secured_node())),
        ("FLOWSHIP_ELASTICSEARCH_SECRET_ARN".into(), secret),
    ]);
}

/// Who the secret says that the function is; without trouble, whom it should.
async fn be(stage: &Stage, on: bool, username: &str, password: &str) {
    let secret = &stage.world.prefix;
    if on {
        create_secret(secret, username, password).await;
    } else {
        put_secret(secret, "shipper", "shipper-password").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_is_refused() {
    let node = secured_node();
    let options = Options {
        elasticsearch_url: Some(node.url.clone()),
        admin: user(node, "admin"),
        ..Options::default()
    };
    play(CASES, Some(&options)).await;
}
