resource "aws_sqs_queue" "main" {
  name                       = var.name
  visibility_timeout_seconds = local.visibility_seconds
  receive_wait_time_seconds  = 20
  message_retention_seconds  = 345600
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter.arn
    # Above every max_receives: the function itself dead-letters, with the reason on the message. This is for messages
    # on which it crashes each time, and SQS writes no reason.
    maxReceiveCount = 10
  })
}

resource "aws_sqs_queue" "dead_letter" {
  name = "${var.name}-dlq"
  # As long as SQS keeps anything. What SQS itself moves here has kept the age that it had in the main queue.
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queue_arn]
  })
}

resource "aws_sqs_queue_policy" "main" {
  queue_url = aws_sqs_queue.main.url
  policy    = data.aws_iam_policy_document.main_queue.json
}

data "aws_iam_policy_document" "main_queue" {
  dynamic "statement" {
    for_each = var.create_log_bucket ? [1] : []
    content {
      sid       = "LogBucketNotifies"
      actions   = ["sqs:SendMessage"]
      resources = [aws_sqs_queue.main.arn]
      principals {
        type        = "Service"
        identifiers = ["s3.amazonaws.com"]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = [aws_s3_bucket.logs[0].arn]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.account]
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.log_bucket_arns) > 0 ? [1] : []
    content {
      sid       = "ExistingBucketsNotify"
      actions   = ["sqs:SendMessage"]
      resources = [aws_sqs_queue.main.arn]
      principals {
        type        = "Service"
        identifiers = ["s3.amazonaws.com"]
      }
      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = var.log_bucket_arns
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = local.source_account_ids
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.create_log_bucket || length(var.log_bucket_arns) > 0
      error_message = "create_log_bucket must be true, or log_bucket_arns name a bucket."
    }
  }
}
