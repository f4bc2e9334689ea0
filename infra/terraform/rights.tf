# infra/rights.md says what each action is for.

resource "aws_iam_role" "function" {
  name_prefix        = "${var.name}-"
  assume_role_policy = data.aws_iam_policy_document.assume_role.json
}

data "aws_iam_policy_document" "assume_role" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "function" {
  name   = "flowship"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.function.json
}

data "aws_iam_policy_document" "function" {
  dynamic "statement" {
    for_each = var.create_log_bucket ? [1] : []
    content {
      sid       = "ReadLogs"
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = ["${aws_s3_bucket.logs[0].arn}/*"]
    }
  }

  dynamic "statement" {
    for_each = var.create_log_bucket ? [1] : []
    content {
      sid       = "TellMissingLogs"
      actions   = ["s3:ListBucket"]
      resources = [aws_s3_bucket.logs[0].arn]
    }
  }

  dynamic "statement" {
    for_each = length(var.log_bucket_arns) > 0 ? [1] : []
    content {
      sid       = "ReadExistingLogs"
      actions   = ["s3:GetObject", "s3:GetObjectVersion"]
      resources = [for arn in var.log_bucket_arns : "${arn}/*"]
    }
  }

  dynamic "statement" {
    for_each = length(var.log_bucket_arns) > 0 ? [1] : []
    content {
      sid       = "TellMissingExistingLogs"
      actions   = ["s3:ListBucket"]
      resources = var.log_bucket_arns
    }
  }

  dynamic "statement" {
    for_each = length(var.lookup_object_arns) > 0 ? [1] : []
    content {
      sid       = "ReadLookupObjects"
      actions   = ["s3:GetObject"]
      resources = var.lookup_object_arns
    }
  }

  dynamic "statement" {
    for_each = length(var.kms_key_arns) > 0 ? [1] : []
    content {
      sid       = "Decrypt"
      actions   = ["kms:Decrypt"]
      resources = var.kms_key_arns
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values = [
          "s3.${local.region}.${data.aws_partition.current.dns_suffix}",
          "secretsmanager.${local.region}.${data.aws_partition.current.dns_suffix}",
        ]
      }
    }
  }

  statement {
    sid       = "WriteQuarantine"
    actions   = ["s3:PutObject"]
    resources = ["arn:${local.partition}:s3:::${trimprefix(local.quarantine_uri, "s3://")}/*"]
  }

  statement {
    sid       = "ReadSecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.elasticsearch_secret_arn]
  }

  statement {
    sid       = "DeadLetter"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letter.arn]
  }

  statement {
    sid       = "ContinueAndBackOff"
    actions   = ["sqs:SendMessage", "sqs:ChangeMessageVisibility"]
    resources = [aws_sqs_queue.main.arn]
  }

  statement {
    sid       = "LambdaPolls"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.main.arn]
  }

  statement {
    sid       = "LambdaLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function.arn}:*"]
  }

  dynamic "statement" {
    for_each = local.has_vpc ? [1] : []
    content {
      sid     = "LambdaEntersVpc"
      actions = local.vpc_actions
      # Lambda asks for all resources ("Required IAM permissions", AWS Lambda developer guide) ...
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = local.has_vpc ? [1] : []
    content {
      # ... and the function's own code gets none of it.
      sid       = "OnlyLambdaEntersVpc"
      effect    = "Deny"
      actions   = local.vpc_actions
      resources = ["*"]
      condition {
        test     = "ArnEquals"
        variable = "lambda:SourceFunctionArn"
        values   = ["arn:${local.partition}:lambda:${local.region}:${local.account}:function:${var.name}"]
      }
    }
  }
}

locals {
  vpc_actions = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
  ]
}
