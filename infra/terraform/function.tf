resource "aws_lambda_function" "shipper" {
  function_name    = var.name
  description      = "VPC flow logs from S3 into Elasticsearch"
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  filename         = local.package_file
  source_code_hash = filebase64sha256(local.package_file)
  architectures    = [var.architecture]
  memory_size      = var.memory_megabytes
  timeout          = var.timeout_seconds
  role             = aws_iam_role.function.arn
  layers           = var.layer_arns

  ephemeral_storage {
    size = var.ephemeral_storage_megabytes
  }

  dynamic "vpc_config" {
    for_each = local.has_vpc ? [1] : []
    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.function.name
  }

  environment {
    # An empty variable counts as not set.
    variables = {
      FLOWSHIP_ELASTICSEARCH_URLS       = var.elasticsearch_urls
      FLOWSHIP_ELASTICSEARCH_SECRET_ARN = var.elasticsearch_secret_arn
      FLOWSHIP_ELASTICSEARCH_CA_FILE    = var.elasticsearch_ca_file
      FLOWSHIP_INDEX_PREFIX             = var.index_prefix
      FLOWSHIP_LEDGER_INDEX             = var.ledger_index
      FLOWSHIP_QUEUE_URL                = aws_sqs_queue.main.url
      FLOWSHIP_DLQ_URL                  = aws_sqs_queue.dead_letter.url
      FLOWSHIP_QUARANTINE_URI           = local.quarantine_uri
      FLOWSHIP_QUARANTINE_MAX_LINES     = var.quarantine_max_lines
      FLOWSHIP_QUARANTINE_MAX_SHARE     = var.quarantine_max_share
      FLOWSHIP_BULK_MAX_BYTES           = var.bulk_max_bytes
      FLOWSHIP_BULK_IN_FLIGHT           = var.bulk_in_flight
      FLOWSHIP_BULK_TIMEOUT_MS          = var.bulk_timeout_ms
      FLOWSHIP_OBJECTS_IN_FLIGHT        = var.objects_in_flight
      FLOWSHIP_MAX_RECEIVES             = var.max_receives
      FLOWSHIP_BACKOFF_BASE_SECONDS     = var.backoff_base_seconds
      FLOWSHIP_BACKOFF_MAX_SECONDS      = var.backoff_max_seconds
      FLOWSHIP_KEEP_NODATA              = var.keep_nodata
      FLOWSHIP_FORMAT                   = var.format
      FLOWSHIP_COMMUNITY_ID             = var.community_id
      FLOWSHIP_GEO_CITY_DB              = var.geo_city_db
      FLOWSHIP_GEO_ASN_DB               = var.geo_asn_db
      FLOWSHIP_ZONES                    = var.zones
      FLOWSHIP_NETWORK_MAP              = var.network_map
      FLOWSHIP_METRICS_NAMESPACE        = var.metrics_namespace
      FLOWSHIP_LOG                      = var.log
    }
  }

  lifecycle {
    precondition {
      condition     = (length(var.subnet_ids) == 0) == (length(var.security_group_ids) == 0)
      error_message = "subnet_ids and security_group_ids go together."
    }
  }

  depends_on = [aws_iam_role_policy.function]
}

# A large object goes on through messages to the function's own queue. Lambda would take that for a loop and stop it
# after about 16 invocations; each of them gets further, and those that do not are dead-lettered.
resource "aws_lambda_function_recursion_config" "shipper" {
  function_name  = aws_lambda_function.shipper.function_name
  recursive_loop = "Allow"
}

resource "aws_lambda_event_source_mapping" "messages" {
  function_name                      = aws_lambda_function.shipper.arn
  event_source_arn                   = aws_sqs_queue.main.arn
  batch_size                         = var.batch_size
  maximum_batching_window_in_seconds = var.batch_window_seconds
  # Without it Lambda deletes what failed.
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.maximum_concurrency
  }

  lifecycle {
    precondition {
      condition     = var.batch_size <= 10 || var.batch_window_seconds > 0
      error_message = "batch_size above 10 needs batch_window_seconds above 0."
    }
  }

  depends_on = [aws_lambda_function_recursion_config.shipper]
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}
