//! TPM commands by number: name, handles in the command, whether the response carries a handle.
//! `[TPM2.0 1.83 Part 2] 6.5.2`, `[Part 3]`
//!
//! The model needs it to name commands, to find a command's authorization area, and to know what
//! a chip holds in its few slots.

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandInfo {
    /// TPM_CC.
    pub code: u32,
    /// Name as in Part 3, without the prefix.
    pub name: &'static str,
    /// Handles in the command's handle area.
    pub handles: usize,
    /// Whether a successful response carries a handle.
    pub returns_handle: bool,
}

const fn row(code: u32, name: &'static str, handles: usize) -> CommandInfo {
    CommandInfo {
        code,
        name,
        handles,
        returns_handle: false,
    }
}

const fn maker(code: u32, name: &'static str, handles: usize) -> CommandInfo {
    CommandInfo {
        code,
        name,
        handles,
        returns_handle: true,
    }
}

/// Every command of the library specification that a chip of today may know.
pub const COMMANDS: &[CommandInfo] = &[
    row(0x11F, "NV_UndefineSpaceSpecial", 2),
    row(0x120, "EvictControl", 2),
    row(0x121, "HierarchyControl", 1),
    row(0x122, "NV_UndefineSpace", 2),
    row(0x124, "ChangeEPS", 1),
    row(0x125, "ChangePPS", 1),
    row(0x126, "Clear", 1),
    row(0x127, "ClearControl", 1),
    row(0x128, "ClockSet", 1),
    row(0x129, "HierarchyChangeAuth", 1),
    row(0x12A, "NV_DefineSpace", 1),
    row(0x12B, "PCR_Allocate", 1),
    row(0x12C, "PCR_SetAuthPolicy", 1),
    row(0x12D, "PP_Commands", 1),
    row(0x12E, "SetPrimaryPolicy", 1),
    row(0x12F, "FieldUpgradeStart", 2),
    row(0x130, "ClockRateAdjust", 1),
    maker(0x131, "CreatePrimary", 1),
    row(0x132, "NV_GlobalWriteLock", 1),
    row(0x133, "GetCommandAuditDigest", 2),
    row(0x134, "NV_Increment", 2),
    row(0x135, "NV_SetBits", 2),
    row(0x136, "NV_Extend", 2),
    row(0x137, "NV_Write", 2),
    row(0x138, "NV_WriteLock", 2),
    row(0x139, "DictionaryAttackLockReset", 1),
    row(0x13A, "DictionaryAttackParameters", 1),
    row(0x13B, "NV_ChangeAuth", 1),
    row(0x13C, "PCR_Event", 1),
    row(0x13D, "PCR_Reset", 1),
    row(0x13E, "SequenceComplete", 1),
    row(0x13F, "SetAlgorithmSet", 1),
    row(0x140, "SetCommandCodeAuditStatus", 1),
    row(0x141, "FieldUpgradeData", 0),
    row(0x142, "IncrementalSelfTest", 0),
    row(0x143, "SelfTest", 0),
    row(0x144, "Startup", 0),
    row(0x145, "Shutdown", 0),
    row(0x146, "StirRandom", 0),
    row(0x147, "ActivateCredential", 2),
    row(0x148, "Certify", 2),
    row(0x149, "PolicyNV", 3),
    row(0x14A, "CertifyCreation", 2),
    row(0x14B, "Duplicate", 2),
    row(0x14C, "GetTime", 2),
    row(0x14D, "GetSessionAuditDigest", 3),
    row(0x14E, "NV_Read", 2),
    row(0x14F, "NV_ReadLock", 2),
    row(0x150, "ObjectChangeAuth", 2),
    row(0x151, "PolicySecret", 2),
    row(0x152, "Rewrap", 2),
    row(0x153, "Create", 1),
    row(0x154, "ECDH_ZGen", 1),
    row(0x155, "HMAC", 1),
    row(0x156, "Import", 1),
    maker(0x157, "Load", 1),
    row(0x158, "Quote", 1),
    row(0x159, "RSA_Decrypt", 1),
    maker(0x15B, "HMAC_Start", 1),
    row(0x15C, "SequenceUpdate", 1),
    row(0x15D, "Sign", 1),
    row(0x15E, "Unseal", 1),
    row(0x160, "PolicySigned", 2),
    maker(0x161, "ContextLoad", 0),
    row(0x162, "ContextSave", 1),
    row(0x163, "ECDH_KeyGen", 1),
    row(0x164, "EncryptDecrypt", 1),
    row(0x165, "FlushContext", 0),
    maker(0x167, "LoadExternal", 0),
    row(0x168, "MakeCredential", 1),
    row(0x169, "NV_ReadPublic", 1),
    row(0x16A, "PolicyAuthorize", 1),
    row(0x16B, "PolicyAuthValue", 1),
    row(0x16C, "PolicyCommandCode", 1),
    row(0x16D, "PolicyCounterTimer", 1),
    row(0x16E, "PolicyCpHash", 1),
    row(0x16F, "PolicyLocality", 1),
    row(0x170, "PolicyNameHash", 1),
    row(0x171, "PolicyOR", 1),
    row(0x172, "PolicyTicket", 1),
    row(0x173, "ReadPublic", 1),
    row(0x174, "RSA_Encrypt", 1),
    maker(0x176, "StartAuthSession", 2),
    row(0x177, "VerifySignature", 1),
    row(0x178, "ECC_Parameters", 0),
    row(0x179, "FirmwareRead", 0),
    row(0x17A, "GetCapability", 0),
    row(0x17B, "GetRandom", 0),
    row(0x17C, "GetTestResult", 0),
    row(0x17D, "Hash", 0),
    row(0x17E, "PCR_Read", 0),
    row(0x17F, "PolicyPCR", 1),
    row(0x180, "PolicyRestart", 1),
    row(0x181, "ReadClock", 0),
    row(0x182, "PCR_Extend", 1),
    row(0x183, "PCR_SetAuthValue", 1),
    row(0x184, "NV_Certify", 3),
    row(0x185, "EventSequenceComplete", 2),
    maker(0x186, "HashSequenceStart", 0),
    row(0x187, "PolicyPhysicalPresence", 1),
    row(0x188, "PolicyDuplicationSelect", 1),
    row(0x189, "PolicyGetDigest", 1),
    row(0x18A, "TestParms", 0),
    row(0x18B, "Commit", 1),
    row(0x18C, "PolicyPassword", 1),
    row(0x18D, "ZGen_2Phase", 1),
    row(0x18E, "EC_Ephemeral", 0),
    row(0x18F, "PolicyNvWritten", 1),
    row(0x190, "PolicyTemplate", 1),
    maker(0x191, "CreateLoaded", 1),
    row(0x192, "PolicyAuthorizeNV", 3),
    row(0x193, "EncryptDecrypt2", 1),
    row(0x197, "CertifyX509", 2),
];

/// The row of `code`.
#[must_use]
pub fn info(code: u32) -> Option<&'static CommandInfo> {
    let at = COMMANDS.binary_search_by_key(&code, |row| row.code).ok()?;
    COMMANDS.get(at)
}

/// Name of `code`, without the prefix.
#[must_use]
pub fn name(code: u32) -> Option<&'static str> {
    info(code).map(|row| row.name)
}

/// Code of the command `name`.
#[must_use]
pub fn from_name(name: &str) -> Option<u32> {
    COMMANDS
        .iter()
        .find(|row| row.name == name)
        .map(|row| row.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_row_is_found() {
        for row in COMMANDS {
            assert_eq!(info(row.code), Some(row));
            assert_eq!(from_name(row.name), Some(row.code));
        }
        assert_eq!(name(0x17B), Some("GetRandom"));
        assert_eq!(name(0x20000001), None);
    }
}
