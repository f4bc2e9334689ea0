//! Every setting of the function, each by itself: what `flowctl doctor` looks at.

use super::reader::Reader;
use super::{ElasticsearchSettings, Environment, FunctionTimes, Installation, Problem, ShipSettings};

/// The settings that are there, and what is wrong with the others.
#[derive(Clone, Debug)]
pub struct CheckedSettings {
    /// How Elasticsearch is reached, if that is set.
    pub elasticsearch: Option<ElasticsearchSettings>,
    /// What indices and templates are called.
    pub installation: Installation,
    /// The main queue, if it is set.
    pub queue_url: Option<String>,
    /// The dead-letter queue, if it is set.
    pub dlq_url: Option<String>,
    /// Receives after which a message is dead-lettered.
    pub max_receives: u32,
    /// How long the function takes over what.
    pub times: FunctionTimes,
    /// How objects are shipped.
    pub ship: ShipSettings,
    /// What is wrong; the value that stands for a wrong one means nothing.
    pub problems: Vec<Problem>,
}

impl CheckedSettings {
    /// Reads them all.
    pub fn read(environment: &Environment) -> Self {
        let mut reader = Reader::new(environment);
        let elasticsearch = match environment.is_set("ELASTICSEARCH_URLS") {
            true => reader.elasticsearch(),
            false => None,
        };
        let ship = reader.ship();
        let ledger_index = reader.ledger_index(&ship.index_prefix);
        let queue_url = reader.optional_queue_url("QUEUE_URL");
        let dlq_url = reader.optional_queue_url("DLQ_URL");
        let max_receives = reader.max_receives();
        let times = FunctionTimes {
            deadline_margin: reader.deadline_margin(),
            bulk_timeout: ship.bulk_timeout,
        };
        Self {
            elasticsearch,
            installation: Installation {
                index_prefix: ship.index_prefix.clone(),
                ledger_index,
            },
            queue_url,
            dlq_url,
            max_receives,
            times,
            ship,
            problems: reader.into_problems(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_hides_nothing_else_and_what_is_not_set_is_not_wrong() {
        let mut environment = Environment::default();
        let settings = CheckedSettings::read(&environment);
        assert_eq!(settings.problems, []);
        assert!(settings.elasticsearch.is_none() && settings.queue_url.is_none());
        environment
            .set("MAX_RECEIVES", Some("many"))
            .set("QUEUE_URL", Some("logs"))
            .set(
                "DLQ_URL",
                Some("https://sqs.eu-west-1.amazonaws.com/123456789012/dlq"),
            )
            .set("ELASTICSEARCH_URLS", Some("https://es:9200"))
            .set("ELASTICSEARCH_USERNAME", Some("shipper"));
        let settings = CheckedSettings::read(&environment);
        let wrong: Vec<&str> = settings.problems.iter().map(|problem| problem.name).collect();
        assert_eq!(wrong, ["ELASTICSEARCH_PASSWORD", "QUEUE_URL", "MAX_RECEIVES"]);
        assert!(settings.elasticsearch.is_none() && settings.dlq_url.is_some());
    }
}
