locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  # Made from names: the queues would need each other.
  queue_arn = "arn:${local.partition}:sqs:${local.region}:${local.account}:${var.name}"

  source_account_ids = concat([local.account], var.source_account_ids)

  # Six times the timeout and the longest batch window, as Lambda asks for.
  visibility_seconds = 6 * var.timeout_seconds + 60

  # The timeout without a quarter of the margin (20 s), in whose first half all requests end.
  duration_alarm_ms = 1000 * var.timeout_seconds - 5000

  makes_quarantine_bucket = var.quarantine_uri == ""
  quarantine_uri          = local.makes_quarantine_bucket ? "s3://${aws_s3_bucket.quarantine[0].bucket}/flowlogs" : var.quarantine_uri

  has_vpc = length(var.subnet_ids) > 0

  package_file = var.package_file == null ? "${path.module}/../../target/bootstrap.zip" : var.package_file
}
