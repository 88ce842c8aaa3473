//! Runs the stand-in of one cloud, so that an agent on this machine can be tried by hand. It ends with its input.

use std::io::Read as _;
use std::sync::Arc;

use anyhow::Result;
use assay_cloud_standins::azure::{self, Azure};
use assay_cloud_standins::ec2::{self, Ec2, Instance, Mode};
use assay_cloud_standins::google::{self, Google};
use assay_cloud_standins::sts::{Account, Sts};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

#[derive(Parser)]
#[command(about = "The stand-in of a cloud's metadata service", version)]
struct Options {
    /// Which cloud
    cloud: Cloud,
    /// AWS alone: imitate a container's place, one hop too far away for the answers
    #[arg(long)]
    one_hop_too_far: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cloud {
    Aws,
    Azure,
    Google,
}

/// What runs, and what has to live as long.
type Running = (Value, Box<dyn core::any::Any>);

fn aws(mode: Mode) -> Result<Running> {
    let authority = ec2::Authority::new()?;
    let instance = Instance::default();
    let page = authority.page(&instance.region)?;
    let service = Ec2::start(mode, instance, &authority)?;
    let sts = Sts::start(Account::default())?;
    let told = json!({
        "metadataEndpoint": service.server().url(),
        "stsEndpoint": sts.server().url(),
        "stsCa": sts.authority(),
        "certificates": page,
    });
    Ok((told, Box::new((service, sts, authority))))
}

fn azure() -> Result<Running> {
    let authority = Arc::new(azure::Authority::new()?);
    let signer = Azure::signer()?;
    let service = Azure::start(azure::Machine::default(), authority.clone(), signer.clone())?;
    let told = json!({
        "metadataEndpoint": service.server().url(),
        "root": authority.file("root.pem"),
        "intermediate": authority.file("intermediate.pem"),
        "keys": {"keys": [signer.jwk()]},
    });
    Ok((told, Box::new((service, authority))))
}

fn google() -> Result<Running> {
    let service = Google::start(google::Instance::default())?;
    let told = json!({
        "metadataEndpoint": service.server().url(),
        "keys": {"keys": [service.signer().jwk()]},
    });
    Ok((told, Box::new(service)))
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mode = match options.one_hop_too_far {
        true => Mode::OneHopTooFar,
        false => Mode::V2,
    };
    let (told, _running) = match options.cloud {
        Cloud::Aws => aws(mode)?,
        Cloud::Azure => azure()?,
        Cloud::Google => google()?,
    };
    println!("{told:#}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
