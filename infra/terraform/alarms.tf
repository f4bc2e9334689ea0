# infra/README.md says what each means and what to do.

locals {
  alarms = {
    dead-letters = {
      description        = "Messages are in the dead-letter queue. redrive stats says why."
      namespace          = "AWS/SQS"
      metric             = "ApproximateNumberOfMessagesVisible"
      dimensions         = { QueueName = aws_sqs_queue.dead_letter.name }
      statistic          = "Maximum"
      evaluation_periods = 1
      comparison         = "GreaterThanThreshold"
      threshold          = 0
      # SQS is silent about a queue that was not used for hours.
      missing_data = "ignore"
    }
    oldest-message = {
      description        = "The main queue is not drained: the function does not start, fails, or is too slow."
      namespace          = "AWS/SQS"
      metric             = "ApproximateAgeOfOldestMessage"
      dimensions         = { QueueName = aws_sqs_queue.main.name }
      statistic          = "Maximum"
      evaluation_periods = 5
      comparison         = "GreaterThanThreshold"
      threshold          = var.oldest_message_alarm_seconds
      missing_data       = "notBreaching"
    }
    errors = {
      description        = "The function crashes, does not start, or reaches its timeout. See its log."
      namespace          = "AWS/Lambda"
      metric             = "Errors"
      dimensions         = { FunctionName = aws_lambda_function.shipper.function_name }
      statistic          = "Sum"
      evaluation_periods = 1
      comparison         = "GreaterThanThreshold"
      threshold          = 0
      missing_data       = "notBreaching"
    }
    throttles = {
      description        = "Lambda refuses invocations: the account's concurrency is used up. Each counts as a receive."
      namespace          = "AWS/Lambda"
      metric             = "Throttles"
      dimensions         = { FunctionName = aws_lambda_function.shipper.function_name }
      statistic          = "Sum"
      evaluation_periods = 5
      comparison         = "GreaterThanThreshold"
      threshold          = 0
      missing_data       = "notBreaching"
    }
    duration = {
      description        = "An invocation nearly reached its timeout: it should have stopped by itself before."
      namespace          = "AWS/Lambda"
      metric             = "Duration"
      dimensions         = { FunctionName = aws_lambda_function.shipper.function_name }
      statistic          = "Maximum"
      evaluation_periods = 1
      comparison         = "GreaterThanThreshold"
      threshold          = local.duration_alarm_ms
      missing_data       = "notBreaching"
    }
    silence = {
      description        = "No invocation: no flow logs arrive, nobody is notified of them, or the mapping is off."
      namespace          = "AWS/Lambda"
      metric             = "Invocations"
      dimensions         = { FunctionName = aws_lambda_function.shipper.function_name }
      statistic          = "Sum"
      evaluation_periods = var.silence_alarm_minutes
      comparison         = "LessThanThreshold"
      threshold          = 1
      missing_data       = "breaching"
    }
    quarantined = {
      description        = "Single lines were refused and kept aside. The quarantine names each with its reason."
      namespace          = var.metrics_namespace
      metric             = "quarantined"
      dimensions         = { FunctionName = aws_lambda_function.shipper.function_name }
      statistic          = "Sum"
      evaluation_periods = 1
      comparison         = "GreaterThanThreshold"
      threshold          = 0
      missing_data       = "notBreaching"
    }
    dead-lettered = {
      description        = "The function writes dead letters now. redrive stats says why."
      namespace          = var.metrics_namespace
      metric             = "dead_lettered"
      dimensions         = { FunctionName = aws_lambda_function.shipper.function_name }
      statistic          = "Sum"
      evaluation_periods = 1
      comparison         = "GreaterThanThreshold"
      threshold          = 0
      missing_data       = "notBreaching"
    }
  }

  alarm_actions = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "main" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 60
  evaluation_periods  = each.value.evaluation_periods
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing_data
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
}
