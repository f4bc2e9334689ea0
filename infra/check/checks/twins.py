"""What is the same thing in the template and in the module: resources, properties, references."""

from __future__ import annotations

# Resources: CloudFormation's name, Terraform's address. Alarms are compared by name.
RESOURCES = {
    "MainQueue": "aws_sqs_queue.main",
    "DeadLetterQueue": "aws_sqs_queue.dead_letter",
    "MainQueuePolicy": "aws_sqs_queue_policy.main",
    "LogBucket": "aws_s3_bucket.logs",
    "LogBucketPolicy": "aws_s3_bucket_policy.logs",
    "QuarantineBucket": "aws_s3_bucket.quarantine",
    "QuarantineBucketPolicy": "aws_s3_bucket_policy.quarantine",
    "Function": "aws_lambda_function.shipper",
    "FunctionMessages": "aws_lambda_event_source_mapping.messages",
    "FunctionLog": "aws_cloudwatch_log_group.function",
    "FunctionRole": "aws_iam_role.function",
    "Dashboard": "aws_cloudwatch_dashboard.main",
}

# What CloudFormation says inside a resource and Terraform beside it; all alarms are one resource.
BESIDE = {
    "aws_s3_bucket_server_side_encryption_configuration.logs",
    "aws_s3_bucket_server_side_encryption_configuration.quarantine",
    "aws_s3_bucket_public_access_block.logs",
    "aws_s3_bucket_public_access_block.quarantine",
    "aws_s3_bucket_notification.logs",
    "aws_iam_role_policy.function",
    "aws_lambda_function_recursion_config.shipper",
    "aws_cloudwatch_metric_alarm.main",
}

_ENCRYPTION = "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.SSEAlgorithm"
_ENCRYPTED = "rule.0.apply_server_side_encryption_by_default.0.sse_algorithm"


def _bucket(name: str, address: str) -> dict[str, str]:
    access = f"aws_s3_bucket_public_access_block.{address}"
    return {
        f"{name} BucketName": f"aws_s3_bucket.{address} bucket",
        f"{name} {_ENCRYPTION}": f"aws_s3_bucket_server_side_encryption_configuration.{address} {_ENCRYPTED}",
        f"{name} PublicAccessBlockConfiguration.BlockPublicAcls": f"{access} block_public_acls",
        f"{name} PublicAccessBlockConfiguration.BlockPublicPolicy": f"{access} block_public_policy",
        f"{name} PublicAccessBlockConfiguration.IgnorePublicAcls": f"{access} ignore_public_acls",
        f"{name} PublicAccessBlockConfiguration.RestrictPublicBuckets": f"{access} restrict_public_buckets",
        f"{name}Policy Bucket": f"aws_s3_bucket_policy.{address} bucket",
    }


# Properties with equal values.
PROPERTIES = {
    "MainQueue QueueName": "aws_sqs_queue.main name",
    "MainQueue VisibilityTimeout": "aws_sqs_queue.main visibility_timeout_seconds",
    "MainQueue ReceiveMessageWaitTimeSeconds": "aws_sqs_queue.main receive_wait_time_seconds",
    "MainQueue MessageRetentionPeriod": "aws_sqs_queue.main message_retention_seconds",
    "MainQueue SqsManagedSseEnabled": "aws_sqs_queue.main sqs_managed_sse_enabled",
    "MainQueue RedrivePolicy": "aws_sqs_queue.main redrive_policy",
    "DeadLetterQueue QueueName": "aws_sqs_queue.dead_letter name",
    "DeadLetterQueue MessageRetentionPeriod": "aws_sqs_queue.dead_letter message_retention_seconds",
    "DeadLetterQueue SqsManagedSseEnabled": "aws_sqs_queue.dead_letter sqs_managed_sse_enabled",
    "DeadLetterQueue RedriveAllowPolicy": "aws_sqs_queue.dead_letter redrive_allow_policy",
    "MainQueuePolicy Queues.0": "aws_sqs_queue_policy.main queue_url",
    **_bucket("LogBucket", "logs"),
    "LogBucket NotificationConfiguration.QueueConfigurations.0.Event": "aws_s3_bucket_notification.logs queue.0.events.0",
    "LogBucket NotificationConfiguration.QueueConfigurations.0.Queue": "aws_s3_bucket_notification.logs queue.0.queue_arn",
    **_bucket("QuarantineBucket", "quarantine"),
    "Function FunctionName": "aws_lambda_function.shipper function_name",
    "Function Description": "aws_lambda_function.shipper description",
    "Function Runtime": "aws_lambda_function.shipper runtime",
    "Function Handler": "aws_lambda_function.shipper handler",
    "Function Architectures": "aws_lambda_function.shipper architectures",
    "Function MemorySize": "aws_lambda_function.shipper memory_size",
    "Function EphemeralStorage.Size": "aws_lambda_function.shipper ephemeral_storage.0.size",
    "Function Timeout": "aws_lambda_function.shipper timeout",
    "Function Role": "aws_lambda_function.shipper role",
    "Function RecursiveLoop": "aws_lambda_function_recursion_config.shipper recursive_loop",
    "Function Layers": "aws_lambda_function.shipper layers",
    "Function VpcConfig.SubnetIds": "aws_lambda_function.shipper dynamic.0.vpc_config.content.0.subnet_ids",
    "Function VpcConfig.SecurityGroupIds": "aws_lambda_function.shipper dynamic.0.vpc_config.content.0.security_group_ids",
    "Function LoggingConfig.LogGroup": "aws_lambda_function.shipper logging_config.0.log_group",
    "Function Environment.Variables": "aws_lambda_function.shipper environment.0.variables",
    "FunctionMessages EventSourceArn": "aws_lambda_event_source_mapping.messages event_source_arn",
    "FunctionMessages BatchSize": "aws_lambda_event_source_mapping.messages batch_size",
    "FunctionMessages MaximumBatchingWindowInSeconds": "aws_lambda_event_source_mapping.messages maximum_batching_window_in_seconds",
    "FunctionMessages FunctionResponseTypes": "aws_lambda_event_source_mapping.messages function_response_types",
    "FunctionMessages ScalingConfig.MaximumConcurrency": "aws_lambda_event_source_mapping.messages scaling_config.0.maximum_concurrency",
    "FunctionLog LogGroupName": "aws_cloudwatch_log_group.function name",
    "FunctionLog RetentionInDays": "aws_cloudwatch_log_group.function retention_in_days",
    "FunctionRole Policies.0.PolicyName": "aws_iam_role_policy.function name",
    "Dashboard DashboardName": "aws_cloudwatch_dashboard.main dashboard_name",
}

# Properties that one side alone needs, or that are compared in another way (policies, alarms, the dashboard's text).
ALONE = {
    "MainQueuePolicy PolicyDocument",
    "LogBucketPolicy PolicyDocument",
    "QuarantineBucketPolicy PolicyDocument",
    "Function Code",
    "Function Tags",
    "FunctionMessages FunctionName",
    "FunctionRole AssumeRolePolicyDocument",
    "Dashboard DashboardBody",
    "aws_sqs_queue_policy.main policy",
    "aws_s3_bucket_policy.logs policy",
    "aws_s3_bucket_policy.quarantine policy",
    "aws_lambda_function.shipper filename",
    "aws_lambda_function.shipper source_code_hash",
    "aws_lambda_event_source_mapping.messages function_name",
    "aws_iam_role.function name_prefix",
    "aws_iam_role.function assume_role_policy",
    "aws_cloudwatch_dashboard.main dashboard_body",
}

# Policies that are one, with where they stand.
POLICIES = {
    "MainQueuePolicy": "main_queue",
    "LogBucketPolicy": "log_bucket",
    "QuarantineBucketPolicy": "quarantine_bucket",
    "FunctionRole": "function",
}

# CloudFormation's references that are no parameters.
NAMES = {
    "AWS::Partition": "local.partition",
    "AWS::Region": "local.region",
    "AWS::AccountId": "local.account",
    "AWS::URLSuffix": "data.aws_partition.current.dns_suffix",
    "MainQueue": "aws_sqs_queue.main.url",
    "MainQueue.Arn": "aws_sqs_queue.main.arn",
    "MainQueue.QueueName": "aws_sqs_queue.main.name",
    "DeadLetterQueue": "aws_sqs_queue.dead_letter.url",
    "DeadLetterQueue.Arn": "aws_sqs_queue.dead_letter.arn",
    "DeadLetterQueue.QueueName": "aws_sqs_queue.dead_letter.name",
    "LogBucket": "aws_s3_bucket.logs[0].id",
    "LogBucket.Arn": "aws_s3_bucket.logs[0].arn",
    "QuarantineBucket": "aws_s3_bucket.quarantine[0].id",
    "QuarantineBucket.Arn": "aws_s3_bucket.quarantine[0].arn",
    "Function": "aws_lambda_function.shipper.function_name",
    "FunctionLog": "aws_cloudwatch_log_group.function.name",
    # Of a log group, Terraform's ARN lacks the end.
    "FunctionLog.Arn": "${aws_cloudwatch_log_group.function.arn}:*",
    "FunctionRole.Arn": "aws_iam_role.function.arn",
}

# Conditions of the template, and what stands for them in the module.
GUARDS = {
    None: None,
    "MakesLogBucket": "var.create_log_bucket ? [1] : []",
    "HasLogBuckets": "length(var.log_bucket_arns) > 0 ? [1] : []",
    "HasLookupObjects": "length(var.lookup_object_arns) > 0 ? [1] : []",
    "HasKmsKeys": "length(var.kms_key_arns) > 0 ? [1] : []",
    "HasVpc": "local.has_vpc ? [1] : []",
}

_ACCOUNTS = {"Fn::Join": [",", [{"Ref": "AWS::AccountId"}, {"Fn::Join": [",", {"Ref": "SourceAccountIds"}]}]]}
_QUEUE = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${Name}"
_LOGS = "arn:${AWS::Partition}:s3:::${Name}-logs-${AWS::AccountId}-${AWS::Region}"
_PLACE = {"Place": {"Fn::Select": [1, {"Fn::Split": ["s3://", {"Fn::Sub": "${QuarantineUri}s3://"}]}]}}

# Values that the two can only say in words of their own.
VALUES = [
    ({"Fn::FindInMap": ["Timeout", {"Ref": "TimeoutSeconds"}, "VisibilitySeconds"]}, "local.visibility_seconds"),
    ({"Fn::FindInMap": ["Timeout", {"Ref": "TimeoutSeconds"}, "DurationAlarmMs"]}, "local.duration_alarm_ms"),
    ({"Fn::Sub": _QUEUE}, "local.queue_arn"),
    ({"Fn::Sub": _LOGS}, "aws_s3_bucket.logs[0].arn"),
    (
        {"Fn::If": ["HasSourceAccounts", {"Fn::Split": [",", _ACCOUNTS]}, [{"Ref": "AWS::AccountId"}]]},
        "local.source_account_ids",
    ),
    (
        {"Fn::Split": [",", {"Fn::Join": ["", [{"Fn::Join": ["/*,", {"Ref": "LogBucketArns"}]}, "/*"]]}]},
        '[for arn in var.log_bucket_arns : "${arn}/*"]',
    ),
    (
        {
            "Fn::If": [
                "MakesQuarantineBucket",
                {"Fn::Sub": "s3://${QuarantineBucket}/flowlogs"},
                {"Ref": "QuarantineUri"},
            ]
        },
        "local.quarantine_uri",
    ),
    (
        {
            "Fn::If": [
                "MakesQuarantineBucket",
                {"Fn::Sub": "${QuarantineBucket.Arn}/flowlogs/*"},
                {"Fn::Sub": ["arn:${AWS::Partition}:s3:::${Place}/*", _PLACE]},
            ]
        },
        'arn:${local.partition}:s3:::${trimprefix(local.quarantine_uri, "s3://")}/*',
    ),
    ({"Fn::GetAtt": ["LogBucket", "Arn"], "Output": True}, "one(aws_s3_bucket.logs[*].arn)"),
]

# The module's half of those values.
LOCALS = {
    "queue_arn": "arn:${local.partition}:sqs:${local.region}:${local.account}:${var.name}",
    "source_account_ids": "concat([local.account], var.source_account_ids)",
    "makes_quarantine_bucket": 'var.quarantine_uri == ""',
    "quarantine_uri": 'local.makes_quarantine_bucket ? "s3://${aws_s3_bucket.quarantine[0].bucket}/flowlogs" : var.quarantine_uri',
    "has_vpc": "length(var.subnet_ids) > 0",
    "alarm_actions": 'var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]',
}
