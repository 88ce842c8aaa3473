package spire.node_attestation
import future.keywords.contains
import future.keywords.if
# Default deny
default allow = false
# Allow if all required attestors pass
allow {
required_attestors_present
attestation_strength_sufficient
node_meets_requirements
}
# Check required attestor combinations
required_attestors_present {
# Must have TPM + Cloud Provider attestation for production
input.attestors.tpm.success == true
count(cloud_attestors_success) > 0
}
cloud_attestors_success[attestor] {
input.attestors[attestor].success == true
attestor in ["aws_iid", "gcp_iit", "azure_msi"]
}
# Attestation strength requirements
attestation_strength_sufficient {
input.environment == "development"
}
attestation_strength_sufficient {
input.environment == "staging"
count(successful_attestors) >= 2
}
attestation_strength_sufficient {
input.environment == "production"
count(successful_attestors) >= 3
input.attestors.tpm.secure_boot == true
}
successful_attestors[attestor] {
input.attestors[attestor].success == true
}
# Node requirements based on environment
node_meets_requirements {
input.environment == "development"
}
node_meets_requirements {
input.environment == "staging"
node_properly_tagged
node_in_allowed_network
}
node_meets_requirements {
input.environment == "production"
node_properly_tagged
node_in_allowed_network
node_meets_security_requirements
}
node_properly_tagged {
input.node.tags.Environment == input.environment
input.node.tags.Team != ""
input.node.tags.SPIREManaged == "true"
}
node_in_allowed_network {
input.node.network.vpc_id in ["vpc-12345678", "vpc-87654321"]
input.node.network.subnet_id in allowed_subnets
}
allowed_subnets := [
"subnet-12345678",
"subnet-87654321",
"subnet-abcdef01"
]
node_meets_security_requirements {
# Require encrypted storage
input.node.storage.encrypted == true
# Require specific instance types
input.node.instance_type in allowed_instance_types
# Require recent AMI/image
time.now_ns() - input.node.image.created_time < (30 * 24 * 60 * 60 * 1000000000) # 30 days
}
allowed_instance_types := [
"m5.large",
"m5.xlarge",
"c5.large",
"c5.xlarge"
]
