# ---- flow logs

resource "aws_s3_bucket" "logs" {
  count  = var.create_log_bucket ? 1 : 0
  bucket = "${var.name}-logs-${local.account}-${local.region}"
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  count  = var.create_log_bucket ? 1 : 0
  bucket = aws_s3_bucket.logs[0].id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "logs" {
  count                   = var.create_log_bucket ? 1 : 0
  bucket                  = aws_s3_bucket.logs[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_notification" "logs" {
  count  = var.create_log_bucket ? 1 : 0
  bucket = aws_s3_bucket.logs[0].id
  queue {
    queue_arn = aws_sqs_queue.main.arn
    events    = ["s3:ObjectCreated:*"]
  }
  # S3 tries the notification with a test event.
  depends_on = [aws_sqs_queue_policy.main]
}

resource "aws_s3_bucket_policy" "logs" {
  count  = var.create_log_bucket ? 1 : 0
  bucket = aws_s3_bucket.logs[0].id
  policy = data.aws_iam_policy_document.log_bucket[0].json
}

# Source: "Publish flow logs to Amazon S3", Amazon VPC user guide.
data "aws_iam_policy_document" "log_bucket" {
  count = var.create_log_bucket ? 1 : 0

  statement {
    sid       = "FlowLogsAreDelivered"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.logs[0].arn}/*"]
    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "s3:x-amz-acl"
      values   = ["bucket-owner-full-control"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = local.source_account_ids
    }
  }

  statement {
    sid       = "FlowLogsAreChecked"
    actions   = ["s3:GetBucketAcl"]
    resources = [aws_s3_bucket.logs[0].arn]
    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = local.source_account_ids
    }
  }

  statement {
    sid       = "OnlyOverTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.logs[0].arn, "${aws_s3_bucket.logs[0].arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

# ---- quarantine

resource "aws_s3_bucket" "quarantine" {
  count  = local.makes_quarantine_bucket ? 1 : 0
  bucket = "${var.name}-quarantine-${local.account}-${local.region}"
}

resource "aws_s3_bucket_server_side_encryption_configuration" "quarantine" {
  count  = local.makes_quarantine_bucket ? 1 : 0
  bucket = aws_s3_bucket.quarantine[0].id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "quarantine" {
  count                   = local.makes_quarantine_bucket ? 1 : 0
  bucket                  = aws_s3_bucket.quarantine[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "quarantine" {
  count  = local.makes_quarantine_bucket ? 1 : 0
  bucket = aws_s3_bucket.quarantine[0].id
  policy = data.aws_iam_policy_document.quarantine_bucket[0].json
}

data "aws_iam_policy_document" "quarantine_bucket" {
  count = local.makes_quarantine_bucket ? 1 : 0

  statement {
    sid       = "OnlyOverTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.quarantine[0].arn, "${aws_s3_bucket.quarantine[0].arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}
