//! AWS's API in a test: strict about signatures, with pages and faults that are told, and a count of every call.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use aws_lc_rs::{digest, hmac};
use serde_json::json;

use crate::upstream::{Piece, Upstream, say};

/// The verifier's own account, and its key there.
pub(crate) const OWN: &str = "999988887777";
pub(crate) const KEY_ID: &str = "AKIDEXAMPLE00000000";
pub(crate) const SECRET: &str = "own/secret+EXAMPLE";

/// What it knows.
#[derive(Default)]
pub(crate) struct State {
    /// Calls by operation.
    pub(crate) calls: BTreeMap<String, usize>,
    /// What is answered instead, once each, by operation.
    pub(crate) faults: BTreeMap<String, VecDeque<Vec<Piece>>>,
    /// What is answered instead, always, to a host whose name begins so.
    pub(crate) outage: Option<(String, Vec<Piece>)>,
    /// Instances that are not there.
    pub(crate) missing: BTreeSet<String>,
    /// The organisation: account and status.
    pub(crate) accounts: Vec<(String, &'static str)>,
    /// Whether the last page of it names itself as the next.
    pub(crate) endless: bool,
    /// Node groups with their Auto Scaling groups, by account, region and cluster.
    pub(crate) nodegroups: BTreeMap<String, Vec<(String, String)>>,
    /// Instances by Auto Scaling group.
    pub(crate) groups: BTreeMap<String, Vec<String>>,
}

pub(crate) struct Api {
    pub(crate) upstream: Upstream,
    state: Arc<Mutex<State>>,
}

impl Api {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let told = state.clone();
        let script = Arc::new(move |request: &str| reply(&mut told.lock().unwrap(), request));
        let names = ["127.0.0.1", "*.nodes.assay.test"];
        Self {
            upstream: Upstream::with(&names, false, script).await,
            state,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.upstream.port)
    }

    pub(crate) fn set<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// The next calls of this operation are answered so.
    pub(crate) fn fault(&self, operation: &str, answers: impl IntoIterator<Item = Vec<Piece>>) {
        let answers = answers.into_iter().collect();
        self.set(|state| state.faults.insert(operation.to_owned(), answers));
    }

    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.set(|state| state.calls.get(operation).copied().unwrap_or(0))
    }
}

/// An answer with this status.
pub(crate) fn status(status: u16, content_type: &str, body: &str) -> Vec<Piece> {
    say(&format!(
        "HTTP/1.1 {status} x\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// An error as EC2 tells it.
pub(crate) fn ec2_error(code: u16, name: &str) -> Vec<Piece> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{name}</Code><Message>c4n4ry</Message></Error></Errors><RequestID>r</RequestID></Response>"
    );
    status(code, "text/xml;charset=UTF-8", &body)
}

/// An error as the other services with XML tell it.
pub(crate) fn query_error(code: u16, name: &str) -> Vec<Piece> {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{name}</Code><Message>c4n4ry</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    );
    status(code, "text/xml", &body)
}

/// An error as services with JSON tell it.
pub(crate) fn json_error(code: u16, name: &str) -> Vec<Piece> {
    let body = json!({"__type": name, "Message": "c4n4ry"}).to_string();
    status(code, "application/x-amz-json-1.1", &body)
}

fn xml(body: &str) -> Vec<Piece> {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    status(200, "text/xml;charset=UTF-8", &format!("{head}{body}"))
}

/// A request, taken apart.
pub(crate) struct Seen<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: BTreeMap<&'a str, &'a str>,
    pub(crate) body: &'a str,
}

impl<'a> Seen<'a> {
    pub(crate) fn parse(request: &'a str) -> Self {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap().split(' ');
        let (method, target) = (first.next().unwrap(), first.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines.map(|line| line.split_once(": ").unwrap()).collect();
        Self {
            method,
            path,
            query,
            headers,
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &'a str {
        self.headers.get(name).copied().unwrap_or("")
    }

    /// A parameter of the form, or of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.body.split('&').chain(self.query.split('&'));
        let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| decode(value))
    }

    pub(crate) fn operation(&self) -> String {
        if let Some(action) = self.parameter("Action") {
            return action;
        }
        if let Some((_, operation)) = self.header("x-amz-target").split_once('.') {
            return operation.to_owned();
        }
        let parts = self.path.split('/').count();
        let names = ["ListNodegroups", "DescribeNodegroup"];
        names[usize::from(parts > 4)].to_owned()
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Whose key it is, and the account that it is of.
pub(crate) fn secret(id: &str) -> Option<(String, String, Option<String>)> {
    if id == KEY_ID {
        return Some((OWN.to_owned(), SECRET.to_owned(), None));
    }
    let account = id.strip_prefix("ASIA")?;
    let token = format!("token/of+{account}==");
    Some((
        account.to_owned(),
        format!("secret/of+{account}"),
        Some(token),
    ))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// The account and region of a request whose signature is right, by AWS's description of Signature Version 4.
fn signed_by(seen: &Seen<'_>) -> Result<(String, String), &'static str> {
    let shown = seen.header("authorization");
    let shown = shown
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or("MissingAuthenticationToken")?;
    let fields: BTreeMap<_, _> = shown
        .split(", ")
        .filter_map(|f| f.split_once('='))
        .collect();
    let credential: Vec<_> = fields["Credential"].split('/').collect();
    let [id, day, region, service, "aws4_request"] = credential[..] else {
        return Err("IncompleteSignature");
    };
    let (account, secret, token) = secret(id).ok_or("InvalidClientTokenId")?;
    if token.as_deref().unwrap_or("") != seen.header("x-amz-security-token") {
        return Err("InvalidClientTokenId");
    }
    let names: Vec<_> = fields["SignedHeaders"].split(';').collect();
    let mut needed = vec!["host", "x-amz-date"];
    needed.extend(token.is_some().then_some("x-amz-security-token"));
    needed.extend(
        seen.headers
            .contains_key("x-amz-target")
            .then_some("x-amz-target"),
    );
    if !needed.iter().all(|name| names.contains(name)) || !names.is_sorted() {
        return Err("IncompleteSignature");
    }
    let headers: String = names
        .iter()
        .map(|name| format!("{name}:{}\n", seen.header(name)))
        .collect();
    let mut query: Vec<_> = seen
        .query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .collect();
    query.sort_unstable();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        seen.method,
        seen.path,
        query.join("&"),
        names.join(";"),
        sha256(seen.body.as_bytes())
    );
    let date = seen.header("x-amz-date");
    let signed = format!(
        "AWS4-HMAC-SHA256\n{date}\n{day}/{region}/{service}/aws4_request\n{}",
        sha256(canonical.as_bytes())
    );
    let mut key = mac(format!("AWS4{secret}").as_bytes(), day);
    for part in [region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    match date.starts_with(day) && hex::encode(mac(&key, &signed)) == fields["Signature"] {
        true => Ok((account, region.to_owned())),
        false => Err("SignatureDoesNotMatch"),
    }
}

fn reply(state: &mut State, request: &str) -> Vec<Piece> {
    let seen = Seen::parse(request);
    let operation = seen.operation();
    *state.calls.entry(operation.clone()).or_default() += 1;
    let scripted = state.faults.get_mut(&operation);
    if let Some(answer) = scripted.and_then(VecDeque::pop_front) {
        return answer;
    }
    if let Some((host, answer)) = &state.outage
        && seen.header("host").starts_with(host.as_str())
    {
        return answer.clone();
    }
    if operation == "AssumeRoleWithWebIdentity" {
        let is_bare = !seen.headers.contains_key("authorization");
        let token = seen.parameter("WebIdentityToken");
        return match is_bare && token.as_deref() == Some("ey.web.identity") {
            true => session(&operation, &seen),
            false => query_error(400, "InvalidIdentityToken"),
        };
    }
    let (account, region) = match signed_by(&seen) {
        Ok(who) => who,
        Err(code) if operation == "ListAccounts" => return json_error(400, code),
        Err(code) if operation.starts_with("DescribeInst") => return ec2_error(403, code),
        Err(code) => return query_error(403, code),
    };
    match operation.as_str() {
        "GetCallerIdentity" => xml(&format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::{account}:user/verifier</Arn><UserId>AIDA</UserId><Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        )),
        "AssumeRole" => session(&operation, &seen),
        "DescribeInstances" => instance(state, &account, &region, &seen),
        "GetInstanceProfile" => {
            let name = seen.parameter("InstanceProfileName").unwrap();
            xml(&format!(
                "<GetInstanceProfileResponse><GetInstanceProfileResult><InstanceProfile><Arn>arn:aws:iam::{account}:instance-profile/{name}</Arn><Roles><member><Arn>arn:aws:iam::{account}:role/{name}</Arn></member></Roles></InstanceProfile></GetInstanceProfileResult></GetInstanceProfileResponse>"
            ))
        }
        "ListAccounts" => accounts(state, seen.body),
        "ListNodegroups" => {
            let cluster = seen.path.split('/').nth(2).unwrap();
            match state
                .nodegroups
                .get(&format!("{account}/{region}/{cluster}"))
            {
                // As EKS tells it: the code is in a header.
                None => status(
                    404,
                    "application/json",
                    "{\"message\":\"No cluster found\"}",
                ),
                Some(all) => {
                    let names: Vec<_> = all.iter().map(|(name, _)| name).collect();
                    json_answer(&json!({"nodegroups": names, "nextToken": null}))
                }
            }
        }
        "DescribeNodegroup" => {
            let parts: Vec<_> = seen.path.split('/').collect();
            let all = &state.nodegroups[&format!("{account}/{region}/{}", parts[2])];
            let (name, group) = all.iter().find(|(name, _)| name == parts[4]).unwrap();
            json_answer(
                &json!({"nodegroup": {"nodegroupName": name, "clusterName": parts[2], "resources": {"autoScalingGroups": [{"name": group}]}}}),
            )
        }
        "DescribeAutoScalingGroups" => groups(state, &seen),
        _ => query_error(400, "InvalidAction"),
    }
}

fn json_answer(body: &serde_json::Value) -> Vec<Piece> {
    status(200, "application/json", &body.to_string())
}

fn session(operation: &str, seen: &Seen<'_>) -> Vec<Piece> {
    let arn = seen.parameter("RoleArn").unwrap();
    let account = arn.split(':').nth(4).unwrap();
    let role = arn.rsplit('/').next().unwrap();
    let name = seen.parameter("RoleSessionName").unwrap();
    let id = format!("ASIA{account}");
    let (_, secret, token) = secret(&id).unwrap();
    let ends = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    xml(&format!(
        "<{operation}Response><{operation}Result><AssumedRoleUser><AssumedRoleId>AROA:{name}</AssumedRoleId><Arn>arn:aws:sts::{account}:assumed-role/{role}/{name}</Arn></AssumedRoleUser><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{ends}</Expiration></Credentials></{operation}Result></{operation}Response>",
        token.unwrap()
    ))
}

fn instance(state: &State, account: &str, region: &str, seen: &Seen<'_>) -> Vec<Piece> {
    let id = seen.parameter("InstanceId.1").unwrap();
    if state.missing.contains(&id) {
        return ec2_error(400, "InvalidInstanceID.NotFound");
    }
    xml(&format!(
        "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId><reservationSet><item><ownerId>{account}</ownerId><instancesSet><item><instanceId>{id}</instanceId><imageId>ami-01234567</imageId><instanceState><code>16</code><name>running</name></instanceState><instanceType>m5.large</instanceType><placement><availabilityZone>{region}a</availabilityZone></placement><iamInstanceProfile><arn>arn:aws:iam::{account}:instance-profile/web</arn></iamInstanceProfile></item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
    ))
}

/// Twenty of a page, as AWS has it; the token is the number of the first of the next.
fn accounts(state: &State, body: &str) -> Vec<Piece> {
    let asked: serde_json::Value = serde_json::from_str(body).unwrap();
    let from: usize = asked["NextToken"]
        .as_str()
        .map_or(0, |token| token.parse().unwrap());
    let page: Vec<_> = state.accounts.iter().skip(from).take(20).collect();
    let page: Vec<_> = page
        .iter()
        .map(|(id, status)| json!({"Id": id, "Status": status, "Name": "n"}))
        .collect();
    let next = from + 20;
    let mut answer = json!({"Accounts": page});
    if next < state.accounts.len() {
        answer["NextToken"] = json!(next.to_string());
    } else if state.endless {
        answer["NextToken"] = json!(from.to_string());
    }
    status(200, "application/x-amz-json-1.1", &answer.to_string())
}

fn groups(state: &State, seen: &Seen<'_>) -> Vec<Piece> {
    let mut all = String::new();
    for n in 1.. {
        let Some(name) = seen.parameter(&format!("AutoScalingGroupNames.member.{n}")) else {
            break;
        };
        let instances = state.groups.get(&name).cloned().unwrap_or_default();
        let instances = instances.iter().map(|id| format!("<member><InstanceId>{id}</InstanceId><LifecycleState>InService</LifecycleState></member>"));
        let instances: String = instances.collect();
        all.push_str(&format!("<member><AutoScalingGroupName>{name}</AutoScalingGroupName><Instances>{instances}</Instances></member>"));
    }
    xml(&format!(
        "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups>{all}</AutoScalingGroups></DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
    ))
}
