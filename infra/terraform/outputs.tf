output "function_name" {
  value = aws_lambda_function.shipper.function_name
}

output "role_arn" {
  description = "What the policies of buckets and keys in other accounts must let read"
  value       = aws_iam_role.function.arn
}

output "queue_url" {
  value = aws_sqs_queue.main.url
}

output "queue_arn" {
  description = "For infra/notify"
  value       = aws_sqs_queue.main.arn
}

output "dlq_url" {
  value = aws_sqs_queue.dead_letter.url
}

output "log_bucket_arn" {
  value = one(aws_s3_bucket.logs[*].arn)
}

output "quarantine_uri" {
  value = local.quarantine_uri
}
