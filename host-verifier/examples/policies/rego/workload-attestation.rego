# Which workloads get an identity: the workload policy of "Advanced Workload Attestation" for SPIRE, corrected.
#
# What differs from the published module:
#
# * `in` is imported: the published text uses it without, and parses in no dialect.
# * An image from the future is refused: its age was negative, and so less than 7 days.
# * Limits are numbers. Compared as texts, "10Gi" is less than "2Gi", and "500m" more than "1000m". The input gives
#   `memory_bytes` and `cpu_millis` beside `memory` and `cpu`; they must be numbers, since a text is more than any number.
package spire.workload_attestation

import future.keywords.contains
import future.keywords.if
import future.keywords.in

default allow = false

allow if {
	workload_type_permitted
	security_requirements_met
	resource_limits_appropriate
}

workload_type_permitted if {
	input.workload.type == "database"
	input.workload.namespace in ["production", "staging"]
	input.workload.service_account == "postgres"
}

workload_type_permitted if {
	input.workload.type == "api"
	input.workload.namespace in ["production", "staging", "development"]
	input.workload.labels.app != ""
}

workload_type_permitted if {
	input.workload.type == "worker"
	input.workload.namespace in ["production", "staging"]
	input.workload.labels.component == "worker"
}

security_requirements_met if {
	input.workload.namespace == "development"
}

security_requirements_met if {
	input.workload.namespace in ["staging", "production"]
	workload_security_context_valid
	workload_properly_labeled
	workload_uses_secure_images
}

workload_security_context_valid if {
	input.workload.security_context.run_as_non_root == true
	input.workload.security_context.read_only_root_filesystem == true
	input.workload.security_context.allow_privilege_escalation == false
}

workload_properly_labeled if {
	input.workload.labels.version != ""
	input.workload.labels.environment == input.workload.namespace
	input.workload.labels["app.kubernetes.io/managed-by"] == "spire"
}

workload_uses_secure_images if {
	startswith(input.workload.image, "enterprise.example.com/")
	input.workload.labels["security.scan.status"] == "passed"
	image_recent
}

image_recent if {
	age := time.now_ns() - input.workload.image_created_time
	age >= 0
	age < ((((7 * 24) * 60) * 60) * 1000000000)
}

resource_limits_appropriate if {
	at_most(input.workload.resources.limits.memory_bytes, 2147483648)
	at_most(input.workload.resources.limits.cpu_millis, 1000)
	positive(input.workload.resources.requests.memory_bytes)
	positive(input.workload.resources.requests.cpu_millis)
}

at_most(value, limit) if {
	positive(value)
	value <= limit
}

positive(value) if {
	is_number(value)
	value > 0
}
