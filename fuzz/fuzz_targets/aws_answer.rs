//! Answers of AWS: XML and JSON of every call, and their errors. They are read without a crash and in bounds, and an instance
//! that is read is the one that was asked for.
#![no_main]

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, LazyLock};

use assay_host_verifier::cloud::aws::{Aws, CredentialSource, Place, RoleArn, Settings};
use assay_host_verifier::cloud::{Answer, CallError, Clouds, Known, Question};
use assay_host_verifier::outside::{
    Error, Fetch, KeySource, NoOutside, Outside, Request, Response,
};
use assay_host_verifier::store::JoinTokenTaken;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

const ACCOUNT: &str = "111122223333";
const ID: &str = "i-0123456789abcdef0";
/// What the cache has of credentials; the calls behind them are asked for by themselves.
const KEYS: &str = r#"{"id":"ASIAEXAMPLE","secret":"s","token":"t","expires":null}"#;
/// Most calls of one question: the same answer again and again is an error soon.
const MOST: usize = 64;

/// Answers every call with the same status and bytes, and keeps nothing.
#[derive(Debug)]
struct Says<'a> {
    status: u16,
    body: &'a [u8],
    /// Whether credentials are asked for, too.
    credentials: bool,
    calls: std::sync::atomic::AtomicUsize,
}

#[async_trait::async_trait]
impl Fetch for Says<'_> {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        let calls = self
            .calls
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert!(calls < MOST, "a question goes on and on");
        let body = self.body.iter().copied().take(request.max_body);
        Ok(Response::new(self.status, body.collect()))
    }
}

#[async_trait::async_trait]
impl Outside for Says<'_> {
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        NoOutside.jwk(source, kid).await
    }

    async fn take_join_token(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        NoOutside.take_join_token(digest, now).await
    }

    async fn answer(&self, question: Arc<dyn Question>) -> Result<Known, CallError> {
        let key = question.key();
        let is_credentials = key.lane == "credentials" || key.what.starts_with("AssumeRole");
        if is_credentials && !self.credentials {
            return Ok(Arc::new(KEYS.as_bytes().to_vec().into()));
        }
        let answer: Answer = question.ask(self).await?;
        assert!(answer.body.len() <= Answer::MOST);
        Ok(Arc::new(answer.body))
    }
}

/// The one whose credentials are in a file is never asked for them.
static AWS: LazyLock<[Aws; 2]> = LazyLock::new(|| {
    let role = RoleArn::parse("arn:aws:iam::999988887777:role/Verifier").expect("a role");
    let web = CredentialSource::WebIdentity {
        role,
        token_file: "/nowhere".into(),
    };
    let metadata = "http://169.254.169.254".to_owned();
    [web, CredentialSource::Instance { metadata }].map(|credentials| {
        let mut clouds = Clouds::default();
        let mut settings = Settings::default();
        settings.credentials = credentials;
        clouds.aws = settings;
        Aws::new(Arc::new(clouds))
    })
});

/// Nothing here waits.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    let status = [200, 400, 403, 404, 503][usize::from(*choice) % 5];
    let says = Says {
        status,
        body,
        credentials: choice % 2 == 1,
        calls: 0.into(),
    };
    let says: &dyn Outside = &says;
    let place = Place::new(ACCOUNT, "eu-west-1").expect("a place");
    let lists = RoleArn::parse("arn:aws:iam::700000000000:role/Reader").expect("a role");
    let aws = &AWS[usize::from(choice % 2)];
    let _ = now(aws.caller(says));
    if let Some(Ok(Some(found))) = now(aws.instance(says, &place, ID)) {
        assert_eq!(found.id, ID);
    }
    let profile = format!("arn:aws:iam::{ACCOUNT}:instance-profile/web");
    let _ = now(aws.roles(says, &place, &profile));
    let _ = now(aws.in_organization(says, Some(&lists), ACCOUNT));
    let _ = now(aws.in_cluster(says, &place, "prod", ID));
    let _ = now(aws.volumes(says, &place, &["vol-01234567".to_owned()]));
    if let Some(Err(error)) = now(aws.image(says, &place, "ami-01234567")) {
        let _ = aws.hint(&error);
        assert!(error.to_string().len() < 400);
    }
});
