//! The calls that an administrator makes of the roles: printed, for whoever may not let setup make them.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Installation;
use crate::elasticsearch::setup::{self, Part};

/// One call of Elasticsearch's API.
#[derive(Debug, Serialize)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: Value,
}

/// As Kibana's console takes it.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}\n{:#}\n", self.method, self.path, self.body)
    }
}

/// The calls that make the roles.
pub(super) fn roles(installation: &Installation) -> Vec<Call> {
    let put = |role: Part| Call {
        method: "PUT",
        path: role.path(),
        body: role.body,
    };
    setup::roles(installation).into_iter().map(put).collect()
}

/// The call that makes the shipper's API key; the field `encoded` of the answer is what the function is given.
pub(super) fn api_key(installation: &Installation) -> Option<Call> {
    let role = setup::roles(installation)
        .into_iter()
        .find(|role| role.name.ends_with("-shipper"))?;
    let rights = json!({"cluster": role.body["cluster"], "indices": role.body["indices"]});
    Some(Call {
        method: "POST",
        path: "_security/api_key".to_owned(),
        body: json!({
            "name": role.name, "role_descriptors": {&role.name: rights}, "metadata": {"product": "flowship"},
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn installation() -> Installation {
        Installation::read(&Environment::default()).unwrap()
    }

    /// The shape is that of Elastic's page "Create API key".
    #[test]
    fn the_key_has_the_rights_of_the_shipper_and_no_more() {
        insta::assert_snapshot!(api_key(&installation()).unwrap(), @r#"
        POST _security/api_key
        {
          "metadata": {
            "product": "flowship"
          },
          "name": "flowlogs-shipper",
          "role_descriptors": {
            "flowlogs-shipper": {
              "cluster": [],
              "indices": [
                {
                  "names": [
                    "flowlogs-*"
                  ],
                  "privileges": [
                    "create_doc",
                    "auto_configure"
                  ]
                },
                {
                  "names": [
                    "flowship-ledger-*"
                  ],
                  "privileges": [
                    "index",
                    "auto_configure"
                  ]
                }
              ]
            }
          }
        }
        "#);
    }

    #[test]
    fn roles_are_printed_as_the_console_takes_them() {
        let printed = roles(&installation())[0].to_string();
        let (first, body) = printed.split_once('\n').unwrap();
        assert_eq!(first, "PUT _security/role/flowlogs-installer");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["indices"][0]["names"], json!(["flowlogs-*"]));
    }
}
