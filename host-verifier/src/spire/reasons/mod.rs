//! Why settings of SPIRE's, and of writings about it, are not carried over.
//!
//! * `server`: the service's own settings, and its plugins but for node attestors.
//! * `agent`: the agent's own.
//! * `methods`: node attestors'.

mod agent;
mod methods;
mod server;

/// Why, and what to do instead; an empty text where there is nothing to do.
pub(super) type Reason = (&'static str, &'static str);

/// What is said of settings in blocks whose names begin like this. A setting without a name is any other one.
type Known = (&'static str, &'static [(&'static str, Reason)]);

/// For a setting that nobody knows.
pub(super) const UNKNOWN: Reason = (
    "no setting of this name is known here",
    "look up what it does where it comes from; `assay config schema` has what there is",
);

/// What every plugin may have beside its own settings.
const OF_PLUGINS: &[(&str, Reason)] = &[
    ("plugin_cmd", PROGRAM),
    ("plugin_checksum", PROGRAM),
    ("plugin_args", PROGRAM),
    (
        "plugin_data_file",
        (
            "the file's settings are in it, and only this file is read",
            "put the file's text in place of it as `plugin_data { … }`, and import again",
        ),
    ),
];

const PROGRAM: Reason = (
    "no program is loaded as a plugin",
    "docs/methods/extension.md: a proof of one's own, judged by a webhook",
);

/// What is known of a block: the longest that fits first. A block's inner blocks are the block's own.
fn blocks(path: &str) -> Vec<&'static Known> {
    let all = [server::KNOWN, agent::KNOWN, methods::KNOWN];
    let all = all.into_iter().flatten();
    let mut fitting: Vec<_> = all.filter(|(block, _)| path.starts_with(block)).collect();
    fitting.sort_by_key(|(block, _)| core::cmp::Reverse(block.len()));
    fitting
}

/// What is known of a setting by its name.
fn by_name(path: &str, key: &str) -> Option<Reason> {
    let blocks = blocks(path).into_iter().map(|(_, settings)| *settings);
    let is_plugin = path.contains(" \"");
    let all = blocks.chain(is_plugin.then_some(OF_PLUGINS)).flatten();
    let mut named = all.filter(|(name, _)| *name == key);
    named.next().map(|(_, reason)| *reason)
}

/// What is known of a setting in a block.
pub(super) fn of(path: &str, key: &str) -> Option<Reason> {
    by_name(path, key).or_else(|| {
        let (_, settings) = blocks(path).first().copied()?;
        let any = settings.iter().find(|(name, _)| name.is_empty());
        any.map(|(_, reason)| *reason)
    })
}

/// Whether a block's reason is its own, and not that of the block around it.
pub(super) fn is_named(path: &str, key: &str) -> bool {
    by_name(path, key).is_some()
}

/// What to do with another file of a manifest.
pub(super) fn of_file(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "rego" => Some(
            "a module: name it in a policy, `rego: {file: FILE}`; `assay policy test` says what it lets in",
        ),
        "yaml" | "yml" => Some("values of a Helm chart: ops/kubernetes has what Assay has"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{of, server::KEYS_ELSEWHERE};

    #[test]
    fn the_innermost_block_that_knows_a_setting_says_why() {
        let sql = "DataStore \"sql\"";
        let mysql = of(sql, "root_ca_path").map(|(reason, _)| reason);
        assert!(mysql.is_some_and(|reason| reason.contains("MySQL")));
        // Of a key service everything is left out, and for one reason.
        assert_eq!(of("KeyManager \"aws_kms\"", "key_id"), Some(KEYS_ELSEWHERE));
        assert!(
            of("KeyManager \"disk\"", "plugin_cmd").is_some_and(|(_, to)| to.contains("webhook"))
        );
        // A known method's unknown setting does not make the method unknown.
        assert_eq!(of("NodeAttestor \"aws_iid\"", "no_such_setting"), None);
        assert!(of("NodeAttestor \"oracle\"", "no_such_setting").is_some());
        assert_eq!(of("federation", "no_such_setting"), of("federation.x", "y"));
    }
}
