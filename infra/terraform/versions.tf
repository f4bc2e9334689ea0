# flowship, AWS VPC flow logs from S3 into Elasticsearch. The same parts and parameters as infra/sam/template.yaml;
# infra/check/run compares the two and checks both.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Has aws_lambda_function_recursion_config.
      version = ">= 5.90"
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}
