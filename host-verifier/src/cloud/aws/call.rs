//! One call of an API: the request as its protocol wants it, signed; the answer, or what its error comes to.

use jiff::Timestamp;

use super::error;
use super::keys::Keys;
use super::place::Region;
use super::settings::{Service, Settings};
use super::sign::signed;
use crate::cloud::{CallError, CallErrorKind};
use crate::outside::{Header, Method, Outside, Reach, Request, Target};

/// Longest answer, bytes, unless the call says otherwise.
pub(super) const MAX_BODY: usize = 1024 * 1024;

/// What is asked.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) service: Service,
    pub(super) operation: &'static str,
    pub(super) region: &'a Region,
    pub(super) form: Form,
    /// Longest answer, bytes.
    pub(super) max_body: usize,
}

/// How it is put (the protocols of botocore's service models).
#[derive(Debug)]
pub(super) enum Form {
    /// `query` and `ec2`: parameters in a form, the answer in XML.
    Query {
        version: &'static str,
        parameters: Vec<(String, String)>,
    },
    /// `json` 1.1: the operation in a header.
    Json { target: &'static str, body: Vec<u8> },
    /// `rest-json`, of which only GET is needed.
    Rest { path: String },
}

/// An answer, whole and successful.
#[derive(Debug)]
pub(super) struct Reply {
    to: String,
    operation: &'static str,
    body: Vec<u8>,
}

impl Reply {
    /// What the answer says.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<T, CallError> {
        read(&self.body).map_err(|wrong| self.wrong(wrong))
    }

    fn wrong(&self, wrong: &'static str) -> CallError {
        CallError::new(&self.to, self.operation, CallErrorKind::Content(wrong))
    }
}

impl<'a> Call<'a> {
    /// In the protocols `query` and `ec2`.
    pub(super) fn query(
        service: Service,
        operation: &'static str,
        region: &'a Region,
        parameters: Vec<(String, String)>,
    ) -> Self {
        let version = match service {
            Service::Ec2 => "2016-11-15",
            Service::Iam => "2010-05-08",
            Service::Autoscaling => "2011-01-01",
            Service::Sts | Service::Organizations | Service::Eks => "2011-06-15",
        };
        Self {
            service,
            operation,
            region,
            form: Form::Query {
                version,
                parameters,
            },
            max_body: MAX_BODY,
        }
    }

    /// The request, signed if there are keys.
    ///
    /// # Errors
    ///
    /// [`CallErrorKind::Credentials`] if it cannot be signed.
    pub(super) fn request(
        &self,
        settings: &Settings,
        keys: Option<&Keys>,
        now: Timestamp,
    ) -> Result<Request, CallError> {
        let (endpoint, signed_for) = settings.endpoint(self.service, self.region);
        let request = self.unsigned(&endpoint, settings);
        match keys {
            None => Ok(request),
            Some(keys) => {
                signed(request, keys, (self.service, &signed_for), now).map_err(|wrong| {
                    CallError::new(
                        origin(&endpoint),
                        self.operation,
                        CallErrorKind::Credentials(wrong),
                    )
                })
            }
        }
    }

    fn unsigned(&self, endpoint: &str, settings: &Settings) -> Request {
        let (method, path, headers, body) = match &self.form {
            Form::Query {
                version,
                parameters,
            } => {
                let mut body = format!("Action={}&Version={version}", self.operation);
                for (name, value) in parameters {
                    body.push_str(&format!("&{}={}", encode(name), encode(value)));
                }
                let form = "application/x-www-form-urlencoded; charset=utf-8";
                let headers = vec![Header::new("content-type", form)];
                (Method::Post, "/", headers, body.into_bytes())
            }
            Form::Json { target, body } => {
                let headers = vec![
                    Header::new("content-type", "application/x-amz-json-1.1"),
                    Header::new("x-amz-target", *target),
                ];
                (Method::Post, "/", headers, body.clone())
            }
            Form::Rest { path } => (Method::Get, path.as_str(), Vec::new(), Vec::new()),
        };
        Request {
            method,
            headers,
            body,
            max_body: self.max_body,
            roots: settings.roots.clone(),
            any_status: true,
            ..Request::get(format!("{endpoint}{path}"), Reach::OPERATORS)
        }
    }

    /// Asks.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub(super) async fn send(
        self,
        outside: &dyn Outside,
        settings: &Settings,
        keys: Option<&Keys>,
        now: Timestamp,
    ) -> Result<Reply, CallError> {
        let operation = self.operation;
        let request = self.request(settings, keys, now)?;
        let answer = outside.fetch(&request).await;
        let answer = answer.map_err(|error| CallError::outside(operation, error))?;
        let to = origin(&request.url);
        match answer.status {
            200..=299 => Ok(Reply {
                to,
                operation,
                body: answer.body,
            }),
            status => {
                let told = (status, answer.body.as_slice());
                Err(error::error(to, operation, told, answer.retry_after))
            }
        }
    }
}

/// Whom errors name.
fn origin(url: &str) -> String {
    Target::parse(url).map_or_else(|_| "the endpoint".to_owned(), |target| target.origin())
}

/// Percent-encodes all but RFC 3986's unreserved characters, as signatures want it.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Call, Form, Region, Service, Settings, encode};
    use crate::outside::{Method, Reach};

    #[test]
    fn a_call_is_put_as_its_protocol_wants_it() {
        let region = Region::parse("eu-west-1").unwrap();
        let settings = Settings::default();
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let parameters = vec![("InstanceId.1".to_owned(), "i-01234567".to_owned())];
        let call = Call::query(Service::Ec2, "DescribeInstances", &region, parameters);
        let request = call.request(&settings, None, now).unwrap();
        assert_eq!(request.url, "https://ec2.eu-west-1.amazonaws.com/");
        assert_eq!(
            request.body,
            b"Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-01234567"
        );
        assert_eq!(
            (request.method, request.reach),
            (Method::Post, Reach::OPERATORS)
        );
        assert!(request.any_status && request.roots.is_none());
        let call = Call {
            form: Form::Rest {
                path: "/clusters/a/node-groups".to_owned(),
            },
            ..Call::query(Service::Eks, "ListNodegroups", &region, Vec::new())
        };
        let request = call.request(&settings, None, now).unwrap();
        assert_eq!(
            request.url,
            "https://eks.eu-west-1.amazonaws.com/clusters/a/node-groups"
        );
        assert!(request.body.is_empty() && request.method == Method::Get);
    }

    #[test]
    fn what_is_not_unreserved_is_encoded() {
        assert_eq!(encode("aZ9-._~"), "aZ9-._~");
        assert_eq!(encode("a b+c/d=&\u{e4}"), "a%20b%2Bc%2Fd%3D%26%C3%A4");
    }
}
