//! What the demo shows after the login: the SVID, and the renewal of the session.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use assay_hil_tests::qemu::CommandEvent;
use assay_hil_tests::scenario::live::{Live, SvidSeen};
use serde_json::{Value, json};

use super::{ANSWER_LIMIT, SESSION, pem};

/// A session that goes on.
pub(super) struct Renewal {
    /// From the board's message to the answer.
    ms: f64,
    spi_bytes: Option<u64>,
    tpm_commands: Vec<String>,
    expires_at: String,
    svid: Option<SvidSeen>,
}

/// Waits for the session's renewal; `before` are the TPM commands until then.
pub(super) fn renewal(live: &Live, before: &[CommandEvent]) -> Result<Renewal> {
    let end = live.finish(SESSION, &mut |_| {});
    let end = end.map_err(|error| {
        anyhow!(
            "the login succeeded, and its renewal did not come: {error}\nassayd says:\n{}\n\
             hint: on a busy machine an emulated timer loses ticks, and the session ends first; \
             `--no-renewal` ends with the login",
            live.assayd.log().trim_end()
        )
    })?;
    if !end.is_renewed() {
        bail!("the session was not renewed: {end:?}");
    }
    let _ = live.tap.wait_for(&["renewed"], ANSWER_LIMIT);
    let commands = live.commands(Duration::from_millis(50));
    let frames = live.tap.seen();
    let at = |name: &str| {
        let frame = frames.iter().rev().find(|frame| frame.name() == name);
        frame.map_or(Duration::ZERO, |frame| frame.at)
    };
    let took = at("renewed").saturating_sub(at("renew"));
    let expires_at = end
        .session
        .as_ref()
        .and_then(|session| session.get("expires_at"))
        .and_then(Value::as_str);
    Ok(Renewal {
        ms: took.as_secs_f64() * 1e3,
        // Where the login had none, there is no TPM on SPI.
        spi_bytes: (!before.is_empty()).then(|| commands.iter().map(|c| c.bytes).sum()),
        tpm_commands: commands.into_iter().map(|command| command.name).collect(),
        expires_at: expires_at.unwrap_or_default().to_owned(),
        svid: live.tap.svid()?,
    })
}

impl Renewal {
    pub(super) fn show(&self) {
        let bytes = self.spi_bytes.map_or_else(
            || "a memory-mapped TPM".to_owned(),
            |bytes| format!("{bytes} SPI bytes ({})", self.tpm_commands.join(", ")),
        );
        println!("renewed     in one round trip: {:.1} ms, {bytes}", self.ms);
        println!("expires     {}", self.expires_at);
        show_svid(self.svid.as_ref());
    }

    pub(super) fn document(&self) -> Value {
        json!({
            "ms": (self.ms * 1e3).round() / 1e3,
            "spi_bytes": self.spi_bytes,
            "tpm_commands": self.tpm_commands,
            "expires_at": self.expires_at,
            "svid": self.svid.as_ref().map(svid_document),
        })
    }
}

pub(super) fn show_svid(svid: Option<&SvidSeen>) {
    let Some(svid) = svid else {
        println!("SVID        none: this verifier issues none");
        return;
    };
    println!("SVID        {}", svid.uris.join(" "));
    println!("  serial    {}", svid.serial);
    println!("  expires   {}", svid.not_after);
    println!("  key       in the board's TPM, certified by its AK");
}

pub(super) fn svid_document(svid: &SvidSeen) -> Value {
    let chain: Vec<_> = svid.chain.iter().map(|one| pem(one)).collect();
    json!({
        "spiffe_id": svid.uris.first(),
        "serial": svid.serial,
        "not_before": svid.not_before,
        "not_after": svid.not_after,
        "chain": chain,
    })
}
