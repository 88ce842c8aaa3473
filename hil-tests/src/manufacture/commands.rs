//! The few TPM commands that manufacturing takes, as raw bytes. Apart from the project's command layer on
//! purpose: a mistake there must not make a TPM that agrees with it.

use assay_spi_tpm::TpmBackend;
use assay_spi_tpm::message::{self, TAG_SESSIONS, plain_command, u16_at, u32_at};
use assay_spi_tpm::swtpm::SwtpmSocket;

use super::ManufactureError;

const PLATFORM: u32 = 0x4000_000C;
const ENDORSEMENT: u32 = 0x4000_000B;
/// An authorization area with one empty password. `[TPM2.0 1.83 Part 1] 17.6`
const EMPTY_PASSWORD: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0];
/// Attributes of a certificate index as chips have them: ppwrite, writedefine, ppread, ownerread, authread,
/// no_da, platformcreate.
const CERTIFICATE_ATTRIBUTES: u32 = 0x4207_2001;
/// Bytes per NV access, below any TPM's limit.
const CHUNK: usize = 512;
/// TPM_RC_HANDLE for the first handle: no such index.
const NO_SUCH_INDEX: u32 = 0x18B;

/// A TPM that is spoken to directly.
pub struct TpmCommands(SwtpmSocket);

impl TpmCommands {
    /// Commands over `socket`.
    #[must_use]
    pub fn new(socket: SwtpmSocket) -> Self {
        Self(socket)
    }

    /// TPM2_Startup(CLEAR).
    ///
    /// # Errors
    /// [`ManufactureError`], as every command here.
    pub fn startup_clear(&mut self) -> Result<(), ManufactureError> {
        self.run("Startup", &plain_command(0x144, &[0, 0]))
            .map(|_| ())
    }

    /// TPM2_Shutdown(CLEAR).
    ///
    /// # Errors
    /// [`ManufactureError`].
    pub fn shutdown_clear(&mut self) -> Result<(), ManufactureError> {
        self.run("Shutdown", &plain_command(0x145, &[0, 0]))
            .map(|_| ())
    }

    /// The public area of an endorsement primary made from `template` (TPMT_PUBLIC in and out).
    ///
    /// # Errors
    /// [`ManufactureError`].
    pub fn create_primary_public(&mut self, template: &[u8]) -> Result<Vec<u8>, ManufactureError> {
        const NAME: &str = "CreatePrimary";
        let mut parameters = vec![0, 4, 0, 0, 0, 0];
        put_sized(&mut parameters, template);
        parameters.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
        let response = self.run(NAME, &authorized(0x131, &[ENDORSEMENT], &parameters))?;
        let handle = u32_at(&response, 10).ok_or(ManufactureError::CutOff(NAME))?;
        let len = u16_at(&response, 18)
            .map(usize::from)
            .ok_or(ManufactureError::CutOff(NAME))?;
        let public = response
            .get(20..20usize.saturating_add(len))
            .ok_or(ManufactureError::CutOff(NAME))?
            .to_vec();
        self.run("FlushContext", &plain_command(0x165, &handle.to_be_bytes()))?;
        Ok(public)
    }

    /// Size of an NV index, `None` when it does not exist.
    ///
    /// # Errors
    /// [`ManufactureError`].
    pub fn nv_size(&mut self, index: u32) -> Result<Option<usize>, ManufactureError> {
        const NAME: &str = "NV_ReadPublic";
        let response = match self.run(NAME, &plain_command(0x169, &index.to_be_bytes())) {
            Err(ManufactureError::Refused {
                rc: NO_SUCH_INDEX, ..
            }) => return Ok(None),
            other => other?,
        };
        // TPM2B_NV_PUBLIC: size, index, nameAlg, attributes, authPolicy, dataSize.
        let policy = u16_at(&response, 22)
            .map(usize::from)
            .ok_or(ManufactureError::CutOff(NAME))?;
        let size = u16_at(&response, 24usize.saturating_add(policy));
        size.map(|size| Some(usize::from(size)))
            .ok_or(ManufactureError::CutOff(NAME))
    }

    /// The content of an NV index, read with its own empty authorization.
    ///
    /// # Errors
    /// [`ManufactureError`].
    pub fn nv_read(&mut self, index: u32) -> Result<Vec<u8>, ManufactureError> {
        const NAME: &str = "NV_Read";
        let size = self.nv_size(index)?.ok_or(ManufactureError::Refused {
            command: NAME,
            rc: NO_SUCH_INDEX,
        })?;
        let mut content = Vec::with_capacity(size);
        while content.len() < size {
            let part = size.saturating_sub(content.len()).min(CHUNK);
            let mut parameters = be16(part).to_vec();
            parameters.extend_from_slice(&be16(content.len()));
            let response = self.run(NAME, &authorized(0x14E, &[index, index], &parameters))?;
            let data = response
                .get(16..16usize.saturating_add(part))
                .ok_or(ManufactureError::CutOff(NAME))?;
            content.extend_from_slice(data);
        }
        Ok(content)
    }

    /// Removes an NV index that the platform made; nothing happens when there is none.
    ///
    /// # Errors
    /// [`ManufactureError`].
    pub fn nv_remove(&mut self, index: u32) -> Result<(), ManufactureError> {
        if self.nv_size(index)?.is_some() {
            self.run(
                "NV_UndefineSpace",
                &authorized(0x122, &[PLATFORM, index], &[]),
            )?;
        }
        Ok(())
    }

    /// Makes an NV index with exactly this content, in place of one that may be there.
    ///
    /// # Errors
    /// [`ManufactureError`].
    pub fn nv_replace(&mut self, index: u32, content: &[u8]) -> Result<(), ManufactureError> {
        self.nv_remove(index)?;
        let mut public = index.to_be_bytes().to_vec();
        public.extend_from_slice(&[0x00, 0x0B]);
        public.extend_from_slice(&CERTIFICATE_ATTRIBUTES.to_be_bytes());
        public.extend_from_slice(&[0, 0]);
        public.extend_from_slice(&be16(content.len()));
        let mut parameters = vec![0, 0];
        put_sized(&mut parameters, &public);
        self.run(
            "NV_DefineSpace",
            &authorized(0x12A, &[PLATFORM], &parameters),
        )?;
        for (number, part) in content.chunks(CHUNK).enumerate() {
            let mut parameters = Vec::new();
            put_sized(&mut parameters, part);
            parameters.extend_from_slice(&be16(number.saturating_mul(CHUNK)));
            self.run(
                "NV_Write",
                &authorized(0x137, &[PLATFORM, index], &parameters),
            )?;
        }
        Ok(())
    }

    fn run(&mut self, name: &'static str, command: &[u8]) -> Result<Vec<u8>, ManufactureError> {
        let response = self.0.execute(command, 0)?;
        match message::code(&response) {
            Some(0) => Ok(response),
            Some(rc) => Err(ManufactureError::Refused { command: name, rc }),
            None => Err(ManufactureError::CutOff(name)),
        }
    }
}

/// A command whose first handle is authorized by the empty password.
fn authorized(code: u32, handles: &[u32], parameters: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = handles
        .iter()
        .flat_map(|handle| handle.to_be_bytes())
        .collect();
    body.extend_from_slice(&EMPTY_PASSWORD);
    body.extend_from_slice(parameters);
    let mut command = plain_command(code, &body);
    command.splice(0..2, TAG_SESSIONS.to_be_bytes());
    command
}

/// A length as the TPM writes it; what is longer than 64 KiB is refused by the TPM as a wrong size.
fn be16(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&be16(bytes.len()));
    out.extend_from_slice(bytes);
}
