//! The YAML library's errors in an operator's words, each with what to do about it.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use super::{MAX_DEPTH, nearest};

/// What separates a message from its hint in an error that a deserializer of ours makes: serde carries one text.
pub const HINT: &str = "; hint: ";

/// What is wrong, and what to do about it.
pub(super) fn of(error: &Error) -> (String, String) {
    let said = |message: &str, hint: &str| (message.to_owned(), hint.to_owned());
    match error {
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or_default();
            (
                format!("field `{key}` is given twice"),
                "remove one of them".to_owned(),
            )
        }
        Error::SerdeMissingField { field, .. } => (
            format!("missing field `{field}`"),
            format!("add `{field}:` to this mapping"),
        ),
        Error::MergeKeyNotAllowed { .. } => merge_key(),
        Error::Budget { breach, .. } => breached(breach),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => aliases(),
        Error::UnknownAnchor { .. } => said(
            "an alias (`*…`) to nothing",
            "quote a text that begins with `*`, or write the value out",
        ),
        Error::Eof { .. } => said(
            super::NOTHING,
            "write the document; its documentation has an example",
        ),
        Error::Unexpected { expected, .. } => unexpected(expected),
        Error::NullIntoString { .. } => {
            said("nothing stands where a text is expected", "add the text")
        }
        Error::InvalidBooleanStrict { .. } => said(
            "neither `true` nor `false`",
            "write `true` or `false`, without quotes",
        ),
        Error::InvalidScalar { ty, .. } if ty.starts_with(['u', 'i']) => said(
            "not a whole number in range",
            "write it in digits, without a sign and without quotes",
        ),
        Error::ExternalMessage { .. } => syntax(&plain(error)),
        other => told(&plain(other)),
    }
}

/// The library ends its messages with the place, which stands in front here.
fn plain(error: &Error) -> String {
    without_place(&error.to_string()).to_owned()
}

/// A message without the place at its end.
pub(super) fn without_place(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}

/// A message of serde or of a deserializer of ours.
pub(super) fn told(message: &str) -> (String, String) {
    if let Some((message, hint)) = message.split_once(HINT) {
        return (message.to_owned(), hint.to_owned());
    }
    let hint = misspelt(message).unwrap_or_else(|| "correct the value at this place".to_owned());
    (message.to_owned(), hint)
}

fn merge_key() -> (String, String) {
    (
        "merge keys (`<<`) are not read".to_owned(),
        "write the fields out".to_owned(),
    )
}

fn aliases() -> (String, String) {
    (
        "too many anchors and aliases".to_owned(),
        "write the values out".to_owned(),
    )
}

fn breached(breach: &BudgetBreach) -> (String, String) {
    let (message, hint) = match breach {
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => return aliases(),
        BudgetBreach::MergeKeys { .. } => return merge_key(),
        BudgetBreach::Depth { .. } => (
            format!("nested more than {MAX_DEPTH} deep"),
            "no document of ours is: look for brackets or indentation that went wrong",
        ),
        BudgetBreach::Documents { .. } => (
            "a second document in one file".to_owned(),
            "put each document into a file of its own",
        ),
        _ => (
            "more elements than a document may have".to_owned(),
            "split the document",
        ),
    };
    (message, hint.to_owned())
}

fn unexpected(expected: &str) -> (String, String) {
    let (message, hint) = match expected {
        "sequence start" => (
            "a list is expected here",
            "write each element after a `- ` on its own line, or all between `[` and `]`",
        ),
        "mapping start" => (
            "a mapping is expected here",
            "write `field: value` on lines of their own, indented below this one",
        ),
        "string scalar" => (
            "a text is expected here",
            "write one text; quote it if it begins with a bracket or a brace",
        ),
        other => {
            return (
                format!("{other} expected"),
                "check the indentation".to_owned(),
            );
        }
    };
    (message.to_owned(), hint.to_owned())
}

/// What the scanner says: it knows what it met, not what was meant.
fn syntax(message: &str) -> (String, String) {
    let hint = if message.contains("tab") {
        "indent with blanks; YAML takes no tabs there"
    } else if message.contains("mapping values are not allowed") {
        "indent this line like its neighbours; in the line before, a blank follows the colon"
    } else if message.contains("bracket") || message.contains("flow") {
        "close what `[` or `{` opens, and separate elements by commas"
    } else if message.contains("quote") {
        "end the text with the quote that it begins with"
    } else {
        "check indentation, colons and quotes here and in the line before"
    };
    (message.to_owned(), hint.to_owned())
}

/// A hint for "unknown field `x`, expected one of a, b"; names may stand in backticks.
fn misspelt(message: &str) -> Option<String> {
    let (_, rest) = message
        .split_once("unknown field `")
        .or_else(|| message.split_once("unknown variant `"))?;
    let (name, rest) = rest.split_once('`')?;
    let (_, list) = rest.split_once("expected ")?;
    let list = list
        .strip_prefix("one of ")
        .unwrap_or(list)
        .replace(" or ", ", ");
    let known: Vec<&str> = list
        .split(", ")
        .map(|known| known.trim_matches('`'))
        .collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => Some(format!("known here: {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::misspelt;

    #[test]
    fn a_hint_comes_out_of_every_form_of_the_message() {
        for message in [
            "unknown field `naem`, expected `name` or `type`",
            "unknown field `naem`, expected one of name, type, config",
            "tpm_ek: unknown variant `naem`, expected one of `x`, `name`, `type`",
            "unknown field `naem`, expected `name`",
        ] {
            assert_eq!(
                misspelt(message).as_deref(),
                Some("did you mean `name`?"),
                "{message}"
            );
        }
        assert_eq!(
            misspelt("unknown field `kubernetes`, expected `a` or `b`").as_deref(),
            Some("known here: a, b")
        );
        assert_eq!(
            misspelt("invalid type: integer `3`, expected a string"),
            None
        );
    }
}
