//! Stand-ins for what a cloud has around a virtual machine: its metadata service, and where its tokens come from.
//!
//! They are strict where the clouds are: a request that a cloud would refuse is refused, and with the same status. What they
//! sign has the clouds' own structure, byte by byte, and is signed by `openssl` or by keys of their own.
//!
//! | module | stands in for |
//! |---|---|
//! | [`api`] | AWS' API, as far as a verifier asks it about an instance |
//! | [`ec2`] | EC2's instance metadata service, version 2 |
//! | [`sts`] | AWS' Security Token Service: `GetWebIdentityToken`, and the issuer of its tokens |
//! | [`azure`] | Azure's instance metadata service |
//! | [`google`] | Compute Engine's metadata server |
//! | [`issuer`] | whoever publishes the keys of tokens |
//! | [`lab`] | all of a cloud that one instance needs to log in, as the program `cloud-standin` runs it |
//! | [`server`] | the web servers they all are |
//! | [`token`] | keys that sign tokens |

pub mod api;
pub mod azure;
pub mod ec2;
pub mod google;
pub mod issuer;
pub mod lab;
pub mod server;
mod sigv4;
pub mod sts;
pub mod token;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Runs `openssl` in a folder, and returns what it writes.
fn openssl(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let made = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .context("openssl: `./x setup` installs it")?;
    if !made.status.success() {
        bail!(
            "openssl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&made.stderr)
        );
    }
    Ok(made.stdout)
}

/// Base64 in lines of 64 digits, as EC2 writes it.
fn in_lines(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let lines: Vec<String> = text
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    lines.join("\n")
}
