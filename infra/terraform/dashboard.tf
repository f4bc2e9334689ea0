resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = var.name
  dashboard_body = templatefile("${path.module}/dashboard.json", {
    partition = local.partition
    region    = local.region
    account   = local.account
    name      = var.name
    namespace = var.metrics_namespace
  })
}
