//! What the function said.

use serde_json::Value;

use super::World;

impl World {
    /// What the function logged, a JSON object a line.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The log lines of objects: `object shipped` and `object failed`.
    pub(crate) fn object_log(&self) -> Vec<Value> {
        self.log_of("object ")
    }

    /// The log lines of invocations: `invocation finished`.
    pub(crate) fn invocation_log(&self) -> Vec<Value> {
        self.log_of("invocation ")
    }

    /// The lines in CloudWatch's embedded metric format, one an invocation.
    pub(crate) fn metric_lines(&self) -> Vec<Value> {
        let lines = self.log();
        let parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line.get("_aws").is_some()).collect()
    }

    fn log_of(&self, beginning: &str) -> Vec<Value> {
        let lines = self.log();
        let parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed
            .filter(|line| {
                line["message"]
                    .as_str()
                    .is_some_and(|text| text.starts_with(beginning))
            })
            .collect()
    }
}
