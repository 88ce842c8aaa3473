//! Where the TPM is.

use core::fmt;
use core::str::FromStr;

use crate::method::MethodError;

/// Longest text, bytes: a name and a path.
const MAX: usize = 4200;

/// Where the TPM is, in the words of the TSS: the name of an interface, and behind a colon what the interface makes of it.
///
/// | text | what it is |
/// |---|---|
/// | `device:/dev/tpmrm0` | Linux' resource manager; `device` alone is the first that there is |
/// | `tabrmd` | the resource manager in user space, on the system bus; `tabrmd:bus_name=…,bus_type=session` another |
/// | `swtpm:path=/run/swtpm/socket`, `swtpm:host=127.0.0.1,port=2321` | a software TPM |
///
/// No other name is taken: the TSS would load whatever library it is a name or path of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TpmPlace(String);

/// A text that names no place of a TPM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// An interface that is not known here.
    #[error("`{0}` is no TPM interface: device, tabrmd and swtpm are")]
    Interface(String),
    /// Too long, or with a byte that ends a text in C.
    #[error("a TPM's place has up to {MAX} bytes, none of them zero")]
    Text,
    /// A path where there must be one, and it does not begin at the root.
    #[error("`{0}` is no absolute path")]
    Path(String),
}

impl PlaceError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        "e.g. device:/dev/tpmrm0, tabrmd, or swtpm:path=/run/swtpm/socket"
    }
}

impl FromStr for TpmPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if text.len() > MAX || text.contains('\0') {
            return Err(PlaceError::Text);
        }
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        match name {
            "device" if rest.is_empty() || rest.starts_with('/') => {}
            "device" => return Err(PlaceError::Path(rest.to_owned())),
            "tabrmd" | "swtpm" => {}
            other => return Err(PlaceError::Interface(other.escape_debug().to_string())),
        }
        Ok(Self(text.to_owned()))
    }
}

impl Default for TpmPlace {
    /// Linux' resource manager.
    fn default() -> Self {
        Self("device:/dev/tpmrm0".to_owned())
    }
}

impl fmt::Display for TpmPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TpmPlace {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Connects to the TPM.
    ///
    /// # Errors
    ///
    /// What is in the way, and what to do about it.
    #[cfg(feature = "tss")]
    pub fn open(&self) -> Result<super::PlacedTpm, MethodError> {
        self.reachable()?;
        super::TctiTpm::open(self)
            .map_err(|error| MethodError::new(format!("{self}: {error}"), error.hint()))
    }

    /// Opens the device, or the socket of a software TPM.
    ///
    /// # Errors
    ///
    /// What is in the way, and what to do about it.
    #[cfg(not(feature = "tss"))]
    pub fn open(&self) -> Result<super::PlacedTpm, MethodError> {
        self.reachable()?;
        let opened = match (self.device(), self.0.strip_prefix("swtpm:path=")) {
            (Some(path), _) => super::StreamTpm::device(path),
            (_, Some(path)) => super::StreamTpm::socket(path.as_ref()),
            _ => {
                let what = format!("{self}: this agent was built without the TSS");
                let hint = "use device:/dev/tpmrm0 or swtpm:path=/SOCKET, or build it with the feature `tss`";
                return Err(MethodError::new(what, hint));
            }
        };
        opened.map_err(|error| {
            let hint = "is it there, and may the agent's user read and write it (group tss)?";
            MethodError::new(format!("{self}: {error}"), hint)
        })
    }

    /// Whether a device that is named is there and open to this user. The TSS would say so in a number, and on stderr.
    fn reachable(&self) -> Result<(), MethodError> {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        use rustix::io::Errno;
        let Some(path) = self.device() else {
            return Ok(());
        };
        let wanted = Access::READ_OK | Access::WRITE_OK;
        let Err(error) = accessat(CWD, path, wanted, AtFlags::EACCESS) else {
            return Ok(());
        };
        let hint = match error {
            Errno::NOENT => {
                "this machine has no TPM, or its driver is not loaded: look with `dmesg | grep -i tpm`"
            }
            Errno::ACCESS => {
                "the agent's user belongs into the group of the device: usermod -aG tss USER"
            }
            _ => "look at the device with `ls -l`",
        };
        let why = std::io::Error::from(error);
        Err(MethodError::new(format!("{self}: {why}"), hint))
    }

    /// The device file, where it is one and is named: for a look at whether it is there and may be opened.
    #[must_use]
    pub fn device(&self) -> Option<&std::path::Path> {
        let path = self.0.strip_prefix("device:")?;
        (!path.is_empty()).then(|| std::path::Path::new(path))
    }
}

#[cfg(test)]
mod tests {
    use super::{PlaceError, TpmPlace};

    #[test]
    fn only_known_interfaces_are_places() {
        for good in [
            "device",
            "device:/dev/tpmrm0",
            "tabrmd",
            "tabrmd:bus_type=session",
            "swtpm:path=/a",
            "swtpm:host=127.0.0.1,port=2321",
        ] {
            assert_eq!(
                good.parse::<TpmPlace>().map(|p| p.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "",
            "/dev/tpmrm0",
            "pcap:device",
            "libevil.so",
            "/tmp/evil.so:x",
            "cmd:sh",
            "Device",
        ] {
            let error = bad.parse::<TpmPlace>().err();
            assert!(matches!(error, Some(PlaceError::Interface(_))), "{bad}");
        }
        assert!(matches!(
            "device:tpm0".parse::<TpmPlace>(),
            Err(PlaceError::Path(_))
        ));
        assert_eq!("tabrmd:\0".parse::<TpmPlace>(), Err(PlaceError::Text));
        assert_eq!(
            format!("device:/{}", "a".repeat(5000)).parse::<TpmPlace>(),
            Err(PlaceError::Text)
        );
    }

    #[test]
    fn a_device_that_is_not_there_is_told_before_the_tss_is_asked() {
        let place = "device:/nonexistent/tpm".parse::<TpmPlace>();
        let error = place.ok().and_then(|place| place.open().err());
        let told = error.map(|error| (error.what, error.hint));
        let (what, hint) = told.unwrap_or_default();
        assert!(what.contains("No such file"), "{what}");
        assert!(hint.contains("no TPM"), "{hint}");
    }

    #[test]
    fn a_named_device_can_be_looked_at() {
        let device = |text: &str| Some(text.parse::<TpmPlace>().ok()?.device()?.to_owned());
        assert_eq!(device("device:/dev/tpm0"), Some("/dev/tpm0".into()));
        assert_eq!(device("device"), None);
        assert_eq!(device("tabrmd"), None);
        assert_eq!(TpmPlace::default().device(), Some("/dev/tpmrm0".as_ref()));
    }
}
