# Who may join, by environment: the node policy of "Advanced Workload Attestation" for SPIRE, corrected.
#
# What differs from the published module:
#
# * `in` is imported: the published text uses it without, and parses in no dialect.
# * An image from the future is refused: its age was negative, and so less than 30 days.
#
# A board without a cloud never satisfies this one: see bare-metal.rego.
package spire.node_attestation

import future.keywords.contains
import future.keywords.if
import future.keywords.in

default allow = false

allow if {
	required_attestors_present
	attestation_strength_sufficient
	node_meets_requirements
}

# A TPM and a cloud, in every environment.
required_attestors_present if {
	input.attestors.tpm.success == true
	count(cloud_attestors_success) > 0
}

cloud_attestors_success contains attestor if {
	some attestor in ["aws_iid", "gcp_iit", "azure_msi"]
	input.attestors[attestor].success == true
}

successful_attestors contains attestor if {
	some attestor
	input.attestors[attestor].success == true
}

attestation_strength_sufficient if {
	input.environment == "development"
}

attestation_strength_sufficient if {
	input.environment == "staging"
	count(successful_attestors) >= 2
}

attestation_strength_sufficient if {
	input.environment == "production"
	count(successful_attestors) >= 3
	input.attestors.tpm.secure_boot == true
}

node_meets_requirements if {
	input.environment == "development"
}

node_meets_requirements if {
	input.environment == "staging"
	node_properly_tagged
	node_in_allowed_network
}

node_meets_requirements if {
	input.environment == "production"
	node_properly_tagged
	node_in_allowed_network
	node_meets_security_requirements
}

node_properly_tagged if {
	input.node.tags.Environment == input.environment
	input.node.tags.Team != ""
	input.node.tags.SPIREManaged == "true"
}

allowed_vpcs := ["vpc-12345678", "vpc-87654321"]

allowed_subnets := ["subnet-12345678", "subnet-87654321", "subnet-abcdef01"]

allowed_instance_types := ["m5.large", "m5.xlarge", "c5.large", "c5.xlarge"]

node_in_allowed_network if {
	input.node.network.vpc_id in allowed_vpcs
	input.node.network.subnet_id in allowed_subnets
}

node_meets_security_requirements if {
	input.node.storage.encrypted == true
	input.node.instance_type in allowed_instance_types
	image_recent
}

image_recent if {
	age := time.now_ns() - input.node.image.created_time
	age >= 0
	age < ((((30 * 24) * 60) * 60) * 1000000000)
}

# For the operator: what is missing.
reasons contains "no TPM and cloud attestor together" if not required_attestors_present

reasons contains "too few attestors, or no secure boot, for this environment" if not attestation_strength_sufficient

reasons contains "the node itself does not meet what this environment asks" if not node_meets_requirements
