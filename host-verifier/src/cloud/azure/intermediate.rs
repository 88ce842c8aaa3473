//! Certificates between a signer and a root, where the signer's own certificate says that they are (authority information
//! access, RFC 5280 section 4.2.2.1). Whoever answers need not be trusted: what comes counts as far as a root vouches for it.

use core::time::Duration;

use super::Settings;
use crate::cloud::{Answer, Asking, CallError, CallErrorKind, Cloud, Key, Question, Quota};
use crate::outside::{Host, Outside, Reach, Request, Scheme, Target};
use crate::x509::{Certificate, decode};

const OPERATION: &str = "caIssuers";
/// Microsoft's own, and nobody else.
const HOST: &str = "www.microsoft.com";
/// Where it keeps them: now, and in former years.
const FOLDERS: [&str; 2] = ["/pkiops/certs/", "/pki/mscorp/"];
/// Longest answer, bytes.
const MAX_CERTIFICATE: usize = 64 * 1024;
/// They last for years.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// The name is in a certificate that anybody may have made. Azure has some tens of authorities.
const QUOTA: Quota = Quota {
    most: 32,
    per: Duration::from_secs(600),
};

/// The question for one certificate. Its answer is the certificate in DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntermediateQuestion {
    /// The file's path at Microsoft's host, with its folder.
    path: String,
    base: String,
    ca_certs: Option<std::sync::Arc<str>>,
}

impl IntermediateQuestion {
    /// The question for what a certificate's extension names. `None`: it is not one of Microsoft's places, and nobody is
    /// asked. The certificate is anybody's at this time.
    ///
    /// It is asked over TLS, whatever the extension says.
    #[must_use]
    pub fn new(untrusted_url: &str, settings: &Settings) -> Option<Self> {
        let target = Target::parse(untrusted_url).ok()?;
        let usual = match target.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        if target.host != Host::Name(HOST.to_owned()) || target.port != usual {
            return None;
        }
        let mut folders = FOLDERS.iter();
        let file = folders.find_map(|folder| target.path.strip_prefix(folder))?;
        let name = file.strip_suffix(".crt")?.replace("%20", "_");
        let plain =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'(' | b')');
        if name.is_empty() || !name.bytes().all(plain) || name.starts_with('.') {
            return None;
        }
        let base = settings.endpoints.certificates.as_deref();
        let base = base.map_or_else(|| format!("https://{HOST}"), ToOwned::to_owned);
        Some(Self {
            path: target.path,
            base: base.trim_end_matches('/').to_owned(),
            ca_certs: settings.ca_certs.clone(),
        })
    }

    /// Whom it asks for what.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.base, self.path)
    }
}

impl Question for IntermediateQuestion {
    fn key(&self) -> Key {
        Key {
            cloud: Cloud::Azure,
            lane: "certificates".to_owned(),
            what: self.url(),
        }
    }

    fn quota(&self) -> Option<Quota> {
        Some(QUOTA)
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let error = |kind| CallError::new(&self.base, OPERATION, kind);
            let request = Request {
                max_body: MAX_CERTIFICATE,
                roots: self.ca_certs.clone(),
                any_status: true,
                ..Request::get(self.url(), Reach::OPERATORS)
            };
            let response = outside.fetch(&request).await;
            let response = response.map_err(|error| CallError::outside(OPERATION, error))?;
            match response.status {
                200 => {}
                429 => {
                    return Err(error(CallErrorKind::Throttled {
                        retry_after: response.retry_after,
                    }));
                }
                500.. => return Err(error(CallErrorKind::Failed)),
                _ => return Err(error(CallErrorKind::Content("it is no certificate"))),
            }
            let certificate: Certificate = decode::certificate(&response.body)
                .map_err(|_| error(CallErrorKind::Content("it is no certificate")))?;
            Ok(Answer::new(certificate.der().to_vec(), KEPT))
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{CallErrorKind, IntermediateQuestion, Outside, Question as _, Request, Settings};
    use crate::outside::{Error, ErrorKind, Fetch, KeySource, Response};
    use crate::store::JoinTokenTaken;

    /// An outside that answers with this status.
    #[derive(Debug)]
    struct Page(u16);

    #[async_trait::async_trait]
    impl Fetch for Page {
        async fn fetch(&self, _: &Request) -> Result<Response, Error> {
            Ok(Response::new(self.0, Vec::new()))
        }
    }

    #[async_trait::async_trait]
    impl Outside for Page {
        async fn jwk(&self, _: &KeySource, _: Option<&str>) -> Result<Vec<u8>, Error> {
            Err(Error::store(ErrorKind::Offline))
        }

        async fn take_join_token(
            &self,
            _: &[u8; 32],
            _: jiff::Timestamp,
        ) -> Result<JoinTokenTaken, Error> {
            Err(Error::store(ErrorKind::Offline))
        }
    }

    /// What is not there is remembered; a server that is out of order is asked again.
    #[test]
    fn a_server_that_fails_is_no_name_that_leads_nowhere() {
        let url = "https://www.microsoft.com/pkiops/certs/a.crt";
        let question = IntermediateQuestion::new(url, &Settings::default()).unwrap();
        for (status, lasting) in [
            (404, true),
            (403, true),
            (200, true),
            (500, false),
            (503, false),
            (429, false),
        ] {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let error = runtime.block_on(question.ask(&Page(status))).unwrap_err();
            assert_eq!(error.is_lasting(), lasting, "{status}: {error}");
            assert_ne!(error.kind, CallErrorKind::Quota);
        }
        assert_eq!(question.quota().unwrap().most, 32);
    }

    #[test]
    fn only_microsofts_own_folders_are_asked() {
        let settings = Settings::default();
        for (url, asked) in [
            (
                "http://www.microsoft.com/pkiops/certs/Microsoft%20Azure%20RSA%20TLS%20Issuing%20CA%2007%20-%20xsign.crt",
                "https://www.microsoft.com/pkiops/certs/Microsoft%20Azure%20RSA%20TLS%20Issuing%20CA%2007%20-%20xsign.crt",
            ),
            (
                "https://www.microsoft.com/pki/mscorp/ca-01.crt",
                "https://www.microsoft.com/pki/mscorp/ca-01.crt",
            ),
        ] {
            let question = IntermediateQuestion::new(url, &settings).unwrap();
            assert_eq!(question.url(), asked);
        }
        for refused in [
            "http://www.microsoft.com.evil.example/pkiops/certs/a.crt",
            "http://evil.example/pkiops/certs/a.crt",
            "http://microsoft.com/pkiops/certs/a.crt",
            "http://www.microsoft.com:8080/pkiops/certs/a.crt",
            "http://user@www.microsoft.com/pkiops/certs/a.crt",
            "ftp://www.microsoft.com/pkiops/certs/a.crt",
            "ldap:///CN=a",
            "http://169.254.169.254/pkiops/certs/a.crt",
            "http://www.microsoft.com/other/a.crt",
            "http://www.microsoft.com/pkiops/certs/../../a.crt",
            "http://www.microsoft.com/pkiops/certs/..%2f..%2fa.crt",
            "http://www.microsoft.com/pkiops/certs/a/b.crt",
            "http://www.microsoft.com/pkiops/certs/a.crt?x=y",
            "http://www.microsoft.com/pkiops/certs/a.exe",
            "http://www.microsoft.com/pkiops/certs/.crt",
            "http://www.microsoft.com/pkiops/certs/a%00.crt",
        ] {
            assert_eq!(
                IntermediateQuestion::new(refused, &settings),
                None,
                "{refused}"
            );
        }
    }
}
