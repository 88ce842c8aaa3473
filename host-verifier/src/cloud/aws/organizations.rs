//! The accounts of an organisation: through the API page by page, or out of a file.

use core::time::Duration;
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::answers::{Accounts, Membership};
use super::call::{Call, Form};
use super::identity::key;
use super::place::{RoleArn, is_account};
use super::settings::Service;
use super::{Aws, kept};
use crate::cloud::{Asking, CallError, CallErrorKind, Key, Question};
use crate::crypto::sha256;
use crate::outside::Outside;

/// Most pages of a list, of twenty accounts each.
pub(super) const MAX_PAGES: usize = 1000;
/// How long a page is kept: a list that took too long goes on where it was, and does not begin anew.
const PAGE: Duration = Duration::from_secs(60);
/// Most accounts of a page; AWS sends twenty.
const MAX_ACCOUNTS: usize = 1000;
/// Longest token of a page (Organizations: up to 100,000 characters).
const MAX_TOKEN: usize = 100_000;
/// Longest file of accounts.
const MAX_FILE: u64 = 1024 * 1024;

/// Whether an account is in an organisation. Kept for a moment only: whether it is in the list is seen at once, and the list is
/// kept for long.
#[derive(Debug)]
pub(super) struct IsMember {
    aws: Aws,
    role: Option<RoleArn>,
    account: String,
}

impl IsMember {
    pub(super) fn new(aws: &Aws, role: Option<&RoleArn>, account: &str) -> Self {
        Self {
            aws: aws.clone(),
            role: role.cloned(),
            account: account.to_owned(),
        }
    }
}

impl Question for IsMember {
    fn key(&self) -> Key {
        let of = self.role.as_ref().map_or("the file", RoleArn::as_str);
        let what = format!("account {} in {of}", self.account);
        key(format!("organization-member/{}", self.account), what)
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let aws = &self.aws;
            let accounts: Accounts = match (&self.role, &aws.settings().account_list_file) {
                (Some(role), _) => {
                    let (aws, role) = (aws.clone(), role.clone());
                    self.aws.known(outside, OfRole { aws, role }).await?
                }
                (None, Some(file)) => {
                    let (aws, file) = (aws.clone(), file.clone());
                    self.aws.known(outside, OfFile { aws, file }).await?
                }
                (None, None) => return Err(in_file("there is no `clouds.aws.accountListFile`")),
            };
            let member = accounts.active.contains(&self.account);
            kept(&Membership { member }, aws.moment())
        })
    }
}

/// All pages.
#[derive(Debug)]
struct OfRole {
    aws: Aws,
    role: RoleArn,
}

impl Question for OfRole {
    fn key(&self) -> Key {
        let lane = format!("organization/{}", self.role.account());
        key(lane, format!("accounts {}", self.role.as_str()))
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let wrong = |wrong| {
                let kind = CallErrorKind::Content(wrong);
                Err(CallError::new("aws", "ListAccounts", kind))
            };
            let (mut active, mut seen, mut token) = (BTreeSet::new(), HashSet::new(), None);
            for _ in 0..MAX_PAGES {
                let question = OfPage {
                    aws: self.aws.clone(),
                    role: self.role.clone(),
                    token,
                };
                let page: Page = self.aws.known(outside, question).await?;
                active.extend(page.active);
                let Some(next) = page.next else {
                    return kept(&Accounts { active }, self.aws.ttl());
                };
                if !seen.insert(sha256(&[next.as_bytes()])) {
                    return wrong("a page comes again");
                }
                token = Some(next);
            }
            wrong("there are too many pages")
        })
    }
}

/// `organizations:ListAccounts`, one page.
#[derive(Debug)]
struct OfPage {
    aws: Aws,
    role: RoleArn,
    token: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    active: Vec<String>,
    next: Option<String>,
}

impl Question for OfPage {
    fn key(&self) -> Key {
        let lane = format!("organizations/{}", self.role.account());
        let page = match &self.token {
            None => "first".to_owned(),
            Some(token) => hex::encode(sha256(&[token.as_bytes()])),
        };
        key(lane, format!("ListAccounts {} {page}", self.role.as_str()))
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let aws = &self.aws;
            let keys = aws.keys_of(outside, &self.role).await?;
            let body = match &self.token {
                None => serde_json::json!({ "MaxResults": 20 }),
                Some(token) => serde_json::json!({ "MaxResults": 20, "NextToken": token }),
            };
            let region = aws.region();
            let call = Call {
                form: Form::Json {
                    target: "AWSOrganizationsV20161128.ListAccounts",
                    body: body.to_string().into_bytes(),
                },
                ..Call::query(Service::Organizations, "ListAccounts", &region, Vec::new())
            };
            let now = aws.now();
            let reply = call.send(outside, aws.settings(), Some(&keys), now).await?;
            kept(&reply.read(page)?, PAGE.min(aws.ttl()))
        })
    }
}

/// Reads one page. `State` has taken the place of `Status`, which AWS leaves out since September 2026; where both stand, both must
/// say that the account is active, and where none does, it is not.
fn page(body: &[u8]) -> Result<Page, &'static str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        accounts: Vec<Account>,
        next_token: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Account {
        id: String,
        status: Option<String>,
        state: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| "it is no list of accounts")?;
    if answer.accounts.len() > MAX_ACCOUNTS {
        return Err("it has too many accounts");
    }
    let mut active = Vec::new();
    for account in answer.accounts {
        if !is_account(&account.id) {
            return Err("it names no account");
        }
        let mut said = [account.state, account.status].into_iter().flatten();
        let is_active = said.next().is_some_and(|first| first == "ACTIVE");
        if is_active && said.all(|second| second == "ACTIVE") {
            active.push(account.id);
        }
    }
    let next = answer.next_token.filter(|token| !token.is_empty());
    match next.as_ref().is_none_or(|token| token.len() <= MAX_TOKEN) {
        true => Ok(Page { active, next }),
        false => Err("its token is too long"),
    }
}

/// The accounts in a file.
#[derive(Debug)]
struct OfFile {
    aws: Aws,
    file: PathBuf,
}

impl Question for OfFile {
    fn key(&self) -> Key {
        key(
            "organization/file",
            format!("accounts {}", self.file.display()),
        )
    }

    fn ask<'a>(&'a self, _: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            use tokio::io::AsyncReadExt as _;

            let unread = |_| in_file("it cannot be read");
            let file = tokio::fs::File::open(&self.file).await.map_err(unread)?;
            let (mut bytes, mut limited) = (Vec::new(), file.take(MAX_FILE + 1));
            limited.read_to_end(&mut bytes).await.map_err(unread)?;
            let active = listed(&bytes).map_err(in_file)?;
            kept(&Accounts { active }, self.aws.moment())
        })
    }
}

/// A JSON array of account ids, of at least one: a file that was emptied by accident is no organisation without accounts.
fn listed(bytes: &[u8]) -> Result<BTreeSet<String>, &'static str> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err("it is longer than 1 MiB");
    }
    let ids: BTreeSet<String> =
        serde_json::from_slice(bytes).map_err(|_| "it is no JSON array of account ids")?;
    match !ids.is_empty() && ids.iter().all(|id| is_account(id)) {
        true => Ok(ids),
        false => Err("it is empty, or has something else than ids of twelve digits"),
    }
}

fn in_file(why: &'static str) -> CallError {
    CallError::new(
        "the account list file",
        "accounts",
        CallErrorKind::Content(why),
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{listed, page};

    #[test]
    fn only_an_active_account_counts() {
        let body = r#"{"Accounts":[
            {"Id":"111111111111","Status":"ACTIVE"},
            {"Id":"222222222222","Status":"SUSPENDED"},
            {"Id":"333333333333","State":"ACTIVE","Arn":"x"},
            {"Id":"444444444444","State":"PENDING_CLOSURE","Status":"ACTIVE"},
            {"Id":"555555555555","State":"ACTIVE","Status":"SUSPENDED"},
            {"Id":"666666666666"},
            {"Id":"777777777777","State":"ACTIVE","Status":"ACTIVE"}],"NextToken":"t"}"#;
        let page = page(body.as_bytes()).unwrap();
        assert_eq!(
            page.active,
            ["111111111111", "333333333333", "777777777777"]
        );
        assert_eq!(page.next.as_deref(), Some("t"));
    }

    #[test]
    fn what_is_no_page_is_none() {
        for wrong in [
            "",
            "{}",
            "[]",
            "{\"Accounts\":null}",
            "{\"Accounts\":[{}]}",
            "{\"Accounts\":[{\"Id\":\"1\",\"Status\":\"ACTIVE\"}]}",
            "{\"Accounts\":[],\"Accounts\":[]}",
        ] {
            assert!(page(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(
            page(b"{\"Accounts\":[],\"NextToken\":\"\"}")
                .unwrap()
                .next
                .is_none()
        );
    }

    #[test]
    fn a_file_lists_accounts_or_is_an_error() {
        let ids = listed(b"[\"111111111111\", \"222222222222\"]\n").unwrap();
        assert_eq!(ids.len(), 2);
        for wrong in [
            "",
            "[]",
            "{}",
            "[111111111111]",
            "[\"11111111111\"]",
            "[\"111111111111\"",
            "null",
        ] {
            assert!(listed(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
