//! One way to write a function's name, for the compiler's names and for those read from the sources.
//!
//! `assay_common::tpm::codec::Reader::u16`, where the module is that of the `impl`;
//! `<assay_common::tpm::codec::DecodeError as Display>::fmt` for a trait's. Without generic arguments and lifetimes, but for
//! those of a trait that a type may implement more than once: `From<TisError>`.

/// A name as `core::any::type_name_of_val` writes it.
pub(super) fn of_compiler(name: &str) -> String {
    if let Some((head, method)) = name
        .strip_prefix('<')
        .and_then(|rest| rest.rsplit_once(">::"))
    {
        // The last ` as ` outside of any brackets.
        if let Some(at) = split_at_as(head) {
            let (receiver, trait_path) = (&head[..at], &head[at + 4..]);
            let (receiver, trait_name) = (receiver_name(receiver), trait_name(trait_path));
            return format!("<{receiver} as {trait_name}>::{}", plain(method));
        }
    }
    if let Some((module, rest)) = name.split_once("::<impl ") {
        let (receiver, method) = rest.rsplit_once(">::").unwrap_or((rest, ""));
        let receiver = plain(receiver);
        let last = receiver.rsplit("::").next().unwrap_or_default();
        return format!("{}::{last}::{}", plain(module), plain(method));
    }
    plain(name)
}

/// A trait's last name, with arguments that are types.
pub(super) fn trait_name(path: &str) -> String {
    let path = path.replace(' ', "");
    let (head, arguments) = match path.split_once('<') {
        Some((head, arguments)) => (
            head.to_owned(),
            arguments.strip_suffix('>').unwrap_or_default(),
        ),
        None => (path.clone(), ""),
    };
    let last = |path: &str| path.rsplit("::").next().unwrap_or_default().to_owned();
    let arguments: Vec<String> = plain(arguments)
        .split(',')
        .filter(|argument| !argument.is_empty() && !argument.starts_with('\''))
        .map(last)
        .collect();
    match &arguments[..] {
        [] => last(&head),
        some => format!("{}<{}>", last(&head), some.join(",")),
    }
}

fn receiver_name(receiver: &str) -> String {
    match receiver {
        "()" => receiver.to_owned(),
        reference if reference.starts_with("&mut ") => "&mut _".to_owned(),
        own if own.starts_with("assay_common::") || own.starts_with("assay_firmware::") => {
            plain(own)
        }
        _ => "_".to_owned(),
    }
}

fn split_at_as(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    let mut found = None;
    for (at, character) in text.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            // The arrow of a function's type is no bracket.
            '>' if text[..at].ends_with('-') => {}
            '>' | ')' | ']' => depth -= 1,
            ' ' if depth == 0 && text[at..].starts_with(" as ") => found = Some(at),
            _ => {}
        }
    }
    found
}

/// A path without generic arguments.
fn plain(path: &str) -> String {
    let mut out = String::new();
    let mut depth = 0_u32;
    for character in path.chars() {
        match character {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(character),
            _ => {}
        }
    }
    while let Some(at) = out.find("::::") {
        out.replace_range(at..at + 2, "");
    }
    out.trim_end_matches("::").to_owned()
}
