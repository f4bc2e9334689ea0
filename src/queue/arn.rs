//! What an SQS queue's ARN tells.

/// The parts of `arn:partition:sqs:region:account:name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueArn<'a> {
    /// Region.
    pub(crate) region: &'a str,
    /// Account number.
    pub(crate) account: &'a str,
    /// The queue's name.
    pub(crate) name: &'a str,
}

impl<'a> QueueArn<'a> {
    /// `None` for anything that is not the ARN of an SQS queue.
    pub(crate) fn parse(arn: &'a str) -> Option<Self> {
        let mut parts = arn.split(':');
        if parts.next()? != "arn" {
            return None;
        }
        let (_partition, service) = (parts.next()?, parts.next()?);
        let (region, account, name) = (parts.next()?, parts.next()?, parts.next()?);
        if service != "sqs" || region.is_empty() || name.is_empty() || parts.next().is_some() {
            return None;
        }
        Some(Self {
            region,
            account,
            name,
        })
    }

    /// Whether this URL is that queue's: all of SQS's spellings end in account and name.
    pub(crate) fn is_of_url(&self, url: &str) -> bool {
        let mut segments = url.trim_end_matches('/').rsplit('/');
        segments.next() == Some(self.name) && segments.next() == Some(self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_recognized_by_account_and_name() {
        let arn = QueueArn::parse("arn:aws:sqs:eu-west-1:123456789012:logs").unwrap();
        assert!(arn.is_of_url("https://sqs.eu-west-1.amazonaws.com/123456789012/logs"));
        assert!(arn.is_of_url("http://127.0.0.1:4566/queue/eu-west-1/123456789012/logs/"));
        assert!(!arn.is_of_url("https://sqs.eu-west-1.amazonaws.com/123456789012/other-logs"));
        assert!(!arn.is_of_url("https://sqs.eu-west-1.amazonaws.com/210987654321/logs"));
    }
}
