# ---- where flow logs come from

variable "name" {
  description = "Name of the function and of the main queue, and the first part of all other names"
  type        = string
  default     = "flowship"

  validation {
    condition     = can(regex("^([a-z][a-z0-9-]{0,18}[a-z0-9])$", var.name))
    error_message = "name must match [a-z][a-z0-9-]{0,18}[a-z0-9]."
  }
}

variable "create_log_bucket" {
  description = "Make a bucket for flow logs, whose notifications go to the queue"
  type        = bool
  default     = true
}

variable "log_bucket_arns" {
  description = "ARNs of existing buckets with flow logs; infra/notify then has each of them send its notifications"
  type        = list(string)
  default     = []
}

variable "source_account_ids" {
  description = "Other accounts that own such buckets, or whose flow logs are delivered into the bucket made here"
  type        = list(string)
  default     = []
}

variable "kms_key_arns" {
  description = "ARNs of KMS keys that logs, databases, maps or the secret are encrypted with"
  type        = list(string)
  default     = []
}

# ---- Elasticsearch

variable "elasticsearch_urls" {
  description = "URLs of the cluster's nodes or of its load balancer, separated by commas"
  type        = string

  validation {
    condition     = can(regex("^(https?://.+)$", var.elasticsearch_urls))
    error_message = "elasticsearch_urls must match https?://.+."
  }
}

variable "elasticsearch_secret_arn" {
  description = "ARN of a secret, JSON with api_key, or with username and password"
  type        = string

  validation {
    condition     = can(regex("^(arn:[a-z-]+:secretsmanager:.+)$", var.elasticsearch_secret_arn))
    error_message = "elasticsearch_secret_arn must match arn:[a-z-]+:secretsmanager:.+."
  }
}

variable "elasticsearch_ca_file" {
  description = "PEM file with the certificate of a private CA, in a layer, such as /opt/ca.pem"
  type        = string
  default     = ""
}

variable "index_prefix" {
  description = "First part of index names"
  type        = string
  default     = "flowlogs"

  validation {
    condition     = can(regex("^([a-z0-9_.-]+)$", var.index_prefix))
    error_message = "index_prefix must match [a-z0-9_.-]+."
  }
}

variable "ledger_index" {
  description = "First part of the names of the ledger's indices, a document for each object; none writes no ledger"
  type        = string
  default     = "flowship-ledger"
}

variable "bulk_max_bytes" {
  description = "Largest bulk body before compression"
  type        = number
  default     = 4194304

  validation {
    condition     = var.bulk_max_bytes >= 1048576 && var.bulk_max_bytes <= 67108864
    error_message = "bulk_max_bytes must be from 1048576 to 67108864."
  }
}

variable "bulk_in_flight" {
  description = "Bulk requests at the same time, of each invocation"
  type        = number
  default     = 2

  validation {
    condition     = var.bulk_in_flight >= 1 && var.bulk_in_flight <= 16
    error_message = "bulk_in_flight must be from 1 to 16."
  }
}

variable "bulk_timeout_ms" {
  description = "Longest wait for one bulk answer, in milliseconds"
  type        = number
  default     = 90000

  validation {
    condition     = var.bulk_timeout_ms >= 1000 && var.bulk_timeout_ms <= 900000
    error_message = "bulk_timeout_ms must be from 1000 to 900000."
  }
}

# ---- the function

variable "architecture" {
  description = "What the binary was built for"
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be one of x86_64, arm64."
  }
}

variable "memory_megabytes" {
  description = "Memory of the function; Lambda gives a whole processor at 1769"
  type        = number
  default     = 1024

  validation {
    condition     = var.memory_megabytes >= 128 && var.memory_megabytes <= 10240
    error_message = "memory_megabytes must be from 128 to 10240."
  }
}

variable "ephemeral_storage_megabytes" {
  description = "Room in /tmp, for Parquet objects and for databases that are read from S3"
  type        = number
  default     = 512

  validation {
    condition     = var.ephemeral_storage_megabytes >= 512 && var.ephemeral_storage_megabytes <= 10240
    error_message = "ephemeral_storage_megabytes must be from 512 to 10240."
  }
}

variable "timeout_seconds" {
  description = "Timeout of the function; what takes longer goes on in another invocation"
  type        = number
  default     = 300

  validation {
    condition     = contains([60, 120, 300, 600, 900], var.timeout_seconds)
    error_message = "timeout_seconds must be one of 60, 120, 300, 600, 900."
  }
}

variable "maximum_concurrency" {
  description = "Invocations at the same time; together they must not be more than Elasticsearch takes"
  type        = number
  default     = 5

  validation {
    condition     = var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000
    error_message = "maximum_concurrency must be from 2 to 1000."
  }
}

variable "batch_size" {
  description = "Most messages of one invocation; above 10, BatchWindowSeconds must not be 0"
  type        = number
  default     = 10

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 1000
    error_message = "batch_size must be from 1 to 1000."
  }
}

variable "batch_window_seconds" {
  description = "How long messages are gathered before an invocation"
  type        = number
  default     = 5

  validation {
    condition     = var.batch_window_seconds >= 0 && var.batch_window_seconds <= 60
    error_message = "batch_window_seconds must be from 0 to 60."
  }
}

variable "objects_in_flight" {
  description = "Objects read at the same time, by each invocation"
  type        = number
  default     = 4

  validation {
    condition     = var.objects_in_flight >= 1 && var.objects_in_flight <= 64
    error_message = "objects_in_flight must be from 1 to 64."
  }
}

variable "layer_arns" {
  description = "ARNs of layer versions, with geo databases (infra/geo-layer) or with a CA file"
  type        = list(string)
  default     = []
}

variable "subnet_ids" {
  description = "Subnets of a VPC from which the function reaches Elasticsearch, S3, SQS and Secrets Manager"
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups of the function in that VPC"
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "Days for which the function's log is kept"
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "log_retention_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731."
  }
}

variable "log" {
  description = "Log filter, error, warn, info, debug, trace, or per module"
  type        = string
  default     = "info"
}

# ---- what fails

variable "max_receives" {
  description = "Receives after which the function dead-letters a message with its reason"
  type        = number
  default     = 5

  validation {
    condition     = var.max_receives >= 1 && var.max_receives <= 9
    error_message = "max_receives must be from 1 to 9."
  }
}

variable "backoff_base_seconds" {
  description = "Longest wait after the first receive that failed, doubled by each further one"
  type        = number
  default     = 300

  validation {
    condition     = var.backoff_base_seconds >= 1 && var.backoff_base_seconds <= 3600
    error_message = "backoff_base_seconds must be from 1 to 3600."
  }
}

variable "backoff_max_seconds" {
  description = "Longest wait after any receive"
  type        = number
  default     = 3600

  validation {
    condition     = var.backoff_max_seconds >= 1 && var.backoff_max_seconds <= 39600
    error_message = "backoff_max_seconds must be from 1 to 39600."
  }
}

variable "quarantine_uri" {
  description = "s3://bucket/prefix for single bad lines, not in a bucket with flow logs; empty makes a bucket"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|s3://[a-z0-9.-]+(/[^/*?]+)+)$", var.quarantine_uri))
    error_message = "quarantine_uri must match |s3://[a-z0-9.-]+(/[^/*?]+)+."
  }
}

variable "quarantine_max_lines" {
  description = "Bad lines of an object that are kept aside whatever their share"
  type        = number
  default     = 1000

  validation {
    condition     = var.quarantine_max_lines >= 0 && var.quarantine_max_lines <= 1000000
    error_message = "quarantine_max_lines must be from 0 to 1000000."
  }
}

variable "quarantine_max_share" {
  description = "Percent of an object's lines that are kept aside where there are more"
  type        = number
  default     = 10

  validation {
    condition     = var.quarantine_max_share >= 0 && var.quarantine_max_share <= 100
    error_message = "quarantine_max_share must be from 0 to 100."
  }
}

# ---- documents

variable "format" {
  description = "Fields of objects without a header line, such as version srcaddr dstaddr"
  type        = string
  default     = ""
}

variable "keep_nodata" {
  description = "Index NODATA records, too"
  type        = bool
  default     = false
}

variable "community_id" {
  description = "Write network.community_id, a fifth of the store"
  type        = bool
  default     = true
}

variable "geo_city_db" {
  description = "Files with countries or cities, /opt/geo/... or s3://bucket/key, separated by commas"
  type        = string
  default     = ""
}

variable "geo_asn_db" {
  description = "Files with autonomous systems, /opt/geo/... or s3://bucket/key, separated by commas"
  type        = string
  default     = ""
}

variable "zones" {
  description = "Write the zones of both ends, as far as they are known"
  type        = bool
  default     = true
}

variable "network_map" {
  description = "Maps of subnets and interfaces, paths or s3://bucket/key, separated by commas"
  type        = string
  default     = ""
}

variable "lookup_object_arns" {
  description = "ARNs of the objects in S3 (arn:aws:s3:::bucket/key) that GeoCityDb, GeoAsnDb and NetworkMap name"
  type        = list(string)
  default     = []
}

# ---- alarms

variable "alarm_topic_arn" {
  description = "ARN of an SNS topic that alarms are sent to; empty sends them nowhere"
  type        = string
  default     = ""
}

variable "metrics_namespace" {
  description = "CloudWatch namespace of the function's own metrics"
  type        = string
  default     = "flowship"

  validation {
    condition     = can(regex("^([A-Za-z0-9._/#:-]+)$", var.metrics_namespace))
    error_message = "metrics_namespace must match [A-Za-z0-9._/#:-]+."
  }
}

variable "oldest_message_alarm_seconds" {
  description = "Age of the oldest message in the main queue above which an alarm is raised"
  type        = number
  default     = 1800

  validation {
    condition     = var.oldest_message_alarm_seconds >= 60
    error_message = "oldest_message_alarm_seconds must be at least 60."
  }
}

variable "silence_alarm_minutes" {
  description = "Minutes without an invocation after which an alarm is raised"
  type        = number
  default     = 30

  validation {
    condition     = var.silence_alarm_minutes >= 5 && var.silence_alarm_minutes <= 1440
    error_message = "silence_alarm_minutes must be from 5 to 1440."
  }
}

# ---- Terraform only

variable "package_file" {
  description = "What infra/package made; null for target/bootstrap.zip of this repository"
  type        = string
  default     = null
}
