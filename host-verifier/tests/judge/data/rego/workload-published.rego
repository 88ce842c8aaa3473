package spire.workload_attestation
import future.keywords.contains
import future.keywords.if
default allow = false
# Allow based on workload type and environment
allow {
workload_type_permitted
security_requirements_met
resource_limits_appropriate
}
workload_type_permitted {
input.workload.type == "database"
input.workload.namespace in ["production", "staging"]
input.workload.service_account == "postgres"
}
workload_type_permitted {
input.workload.type == "api"
input.workload.namespace in ["production", "staging", "development"]
input.workload.labels.app != ""
}
workload_type_permitted {
input.workload.type == "worker"
input.workload.namespace in ["production", "staging"]
input.workload.labels.component == "worker"
}
security_requirements_met {
input.workload.namespace == "development"
}
security_requirements_met {
input.workload.namespace in ["staging", "production"]
workload_security_context_valid
workload_properly_labeled
workload_uses_secure_images
}
workload_security_context_valid {
input.workload.security_context.run_as_non_root == true
input.workload.security_context.read_only_root_filesystem == true
input.workload.security_context.allow_privilege_escalation == false
}
workload_properly_labeled {
input.workload.labels.version != ""
input.workload.labels.environment == input.workload.namespace
input.workload.labels["app.kubernetes.io/managed-by"] == "spire"
}
workload_uses_secure_images {
# Require images from trusted registries
startswith(input.workload.image, "enterprise.example.com/")
# Require vulnerability scan tags
input.workload.labels["security.scan.status"] == "passed"
# Require recent images
time.now_ns() - input.workload.image_created_time < (7 * 24 * 60 * 60 * 1000000000) # 7 days
}
resource_limits_appropriate {
input.workload.resources.limits.memory <= "2Gi"
input.workload.resources.limits.cpu <= "1000m"
input.workload.resources.requests.memory != ""
input.workload.resources.requests.cpu != ""
}
