# Who may join without a cloud: a board with a TPM, and nothing else to vouch for it.
#
# * In development the TPM is enough.
# * In staging its boot was measured as well: `tpm_quote` counts.
# * In production the clock of the TPM is safe, and the vendor of the TPM is one of ours. Only a verified EK certificate
#   names a vendor, so an EK that was let in by its hash alone does not get in.
package assay.bare_metal

import rego.v1

default allow := false

# Infineon, STMicroelectronics, Nuvoton: as `tpm_ek.manufacturer` has them.
vendors := {"id:49465800", "id:53544D20", "id:4E544300"}

allow if {
	input.environment == "development"
	input.attestors.tpm.success
}

allow if {
	input.environment == "staging"
	boot_measured
}

allow if {
	input.environment == "production"
	boot_measured
	input.attestors.tpm.clock_safe
	known_vendor
}

boot_measured if {
	input.methods.tpm_ek.success
	input.methods.tpm_quote.success
}

known_vendor if input.methods.tpm_ek.manufacturer in vendors

reasons contains "no environment is set" if not input.environment

reasons contains "the boot was not measured" if not boot_measured

reasons contains "the TPM's vendor is not known, or not one of ours" if {
	input.environment == "production"
	not known_vendor
}
