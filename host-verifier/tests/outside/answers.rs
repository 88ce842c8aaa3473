//! Answers of clouds: asked once for all, kept as long as they are worth it, asked again where that helps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assay_host_verifier::clock::ManualClock;
use assay_host_verifier::cloud::answers::{AT_ONCE, MOST};
use assay_host_verifier::cloud::{
    Answer, Answers, Asking, CallError, CallErrorKind, Cloud, Counts, Key, Known, NoCounts,
    Question, Quota, Times,
};
use assay_host_verifier::outside::{self, NoOutside, Outside};
use tokio::sync::Semaphore;

/// A cloud that answers what it was told to, each question when it is let.
#[derive(Debug)]
struct Api {
    answers: Mutex<VecDeque<Result<Answer, CallErrorKind>>>,
    let_through: Semaphore,
    asked: AtomicUsize,
    /// Questions that have arrived and were not answered.
    arrived: Semaphore,
}

impl Api {
    fn new(answers: impl IntoIterator<Item = Result<Answer, CallErrorKind>>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            let_through: Semaphore::new(0),
            asked: AtomicUsize::new(0),
            arrived: Semaphore::new(0),
        })
    }

    fn open(answers: impl IntoIterator<Item = Result<Answer, CallErrorKind>>) -> Arc<Self> {
        let api = Self::new(answers);
        api.let_through.add_permits(100_000);
        api
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Ask(Arc<Api>, &'static str, String);

impl Question for Ask {
    fn key(&self) -> Key {
        Key {
            cloud: Cloud::Aws,
            lane: self.1.to_owned(),
            what: self.2.clone(),
        }
    }

    fn quota(&self) -> Option<Quota> {
        (self.1 == STRANGERS).then_some(Quota {
            most: 3,
            per: Duration::from_secs(600),
        })
    }

    fn ask<'a>(&'a self, _: &'a dyn Outside) -> Asking<'a> {
        let api = &self.0;
        Box::pin(async move {
            api.asked.fetch_add(1, Ordering::SeqCst);
            api.arrived.add_permits(1);
            api.let_through.acquire().await.unwrap().forget();
            let mut answers = api.answers.lock().unwrap();
            let next = match answers.len() {
                1 => answers.front().cloned(),
                _ => answers.pop_front(),
            };
            next.unwrap()
                .map_err(|kind| CallError::new("https://api", "Describe", kind))
        })
    }
}

/// The lane of what anybody could make up.
const STRANGERS: &str = "strangers";

struct Desk {
    clock: Arc<ManualClock>,
    answers: Arc<Answers>,
}

impl Desk {
    fn new() -> Self {
        Self::counted(Arc::new(NoCounts))
    }

    fn counted(counts: Arc<dyn Counts>) -> Self {
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        let times = Times {
            pause: Duration::from_millis(1),
            ..Times::default()
        };
        Self {
            answers: Arc::new(Answers::new(clock.clone(), counts, times)),
            clock,
        }
    }

    fn ask(
        &self,
        api: &Arc<Api>,
        lane: &'static str,
        what: &str,
    ) -> impl Future<Output = Result<Known, CallError>> + use<> {
        let answers = self.answers.clone();
        let question = Arc::new(Ask(api.clone(), lane, what.to_owned()));
        async move { answers.answer(Arc::new(NoOutside), question).await }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn found(text: &str) -> Result<Answer, CallErrorKind> {
    Ok(Answer::new(text.into(), Answer::POSITIVE))
}

const THROTTLED: CallErrorKind = CallErrorKind::Throttled { retry_after: None };

#[tokio::test]
async fn who_asks_the_same_at_once_has_one_answer_and_the_asker_may_leave() {
    let (desk, api) = (Desk::new(), Api::new([found("one")]));
    let first = tokio::spawn(desk.ask(&api, "lane", "a"));
    api.arrived.acquire().await.unwrap().forget();
    let others: Vec<_> = (0..50)
        .map(|_| tokio::spawn(desk.ask(&api, "lane", "a")))
        .collect();
    // The one who began it goes away: the others wait for the same answer, not for another.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    api.let_through.add_permits(1);
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().as_slice(), b"one");
    }
    assert_eq!(api.asked(), 1);
}

#[tokio::test]
async fn an_answer_is_kept_as_long_as_it_says_and_belongs_to_its_key() {
    let desk = Desk::new();
    let api = Api::open([found("one"), found("other"), found("new")]);
    let ask = |what| desk.ask(&api, "lane", what);
    assert_eq!(ask("a").await.unwrap().as_slice(), b"one");
    desk.pass(179);
    assert_eq!(ask("a").await.unwrap().as_slice(), b"one");
    assert_eq!(ask("b").await.unwrap().as_slice(), b"other");
    desk.pass(1);
    assert_eq!(ask("a").await.unwrap().as_slice(), b"new");
    assert_eq!(api.asked(), 3);
    // The same words in another lane are another question.
    let elsewhere = Api::open([found("elsewhere")]);
    let told = desk.ask(&elsewhere, "other lane", "a").await.unwrap();
    assert_eq!(told.as_slice(), b"elsewhere");
}

#[tokio::test]
async fn nothing_there_is_an_answer_and_is_kept_for_less_long() {
    let desk = Desk::new();
    let empty = Ok(Answer::new(Vec::new(), Answer::NEGATIVE));
    let api = Api::open([empty, found("there")]);
    assert!(desk.ask(&api, "lane", "a").await.unwrap().is_empty());
    desk.pass(9);
    assert!(desk.ask(&api, "lane", "a").await.unwrap().is_empty());
    assert_eq!(api.asked(), 1, "an empty answer counts as known");
    desk.pass(1);
    let told = desk.ask(&api, "lane", "a").await.unwrap();
    assert_eq!(told.as_slice(), b"there");
}

#[tokio::test]
async fn what_may_pass_is_asked_again_and_what_may_not_is_not() {
    let desk = Desk::new();
    let api = Api::open([
        Err(THROTTLED),
        Err(CallErrorKind::Failed),
        Err(CallErrorKind::Outside(outside::ErrorKind::Connect)),
        found("at last"),
    ]);
    let told = desk.ask(&api, "lane", "a").await.unwrap();
    assert_eq!((told.as_slice(), api.asked()), (&b"at last"[..], 4));
    for kind in [
        CallErrorKind::Denied,
        CallErrorKind::Refused,
        CallErrorKind::Content("x"),
        CallErrorKind::Outside(outside::ErrorKind::Redirect(302)),
        CallErrorKind::Outside(outside::ErrorKind::TooLarge),
    ] {
        let api = Api::open([Err(kind), found("never")]);
        let what = format!("{kind:?}");
        let error = desk.ask(&api, "lane", &what).await.unwrap_err();
        assert_eq!((error.kind, api.asked()), (kind, 1));
        // It is remembered, and then forgotten.
        desk.pass(4);
        desk.ask(&api, "lane", &what).await.unwrap_err();
        assert_eq!(api.asked(), 1);
        desk.pass(1);
        desk.ask(&api, "lane", &what).await.unwrap();
    }
}

#[tokio::test]
async fn a_cloud_that_wants_to_be_left_alone_is() {
    let desk = Desk::new();
    let wish = |seconds| {
        Err(CallErrorKind::Throttled {
            retry_after: Some(Duration::from_secs(seconds)),
        })
    };
    // Longer than a login may take: nobody waits for it, and nobody asks meanwhile.
    let api = Api::open([wish(30), found("later")]);
    desk.ask(&api, "lane", "a").await.unwrap_err();
    desk.pass(29);
    desk.ask(&api, "lane", "a").await.unwrap_err();
    assert_eq!(api.asked(), 1);
    desk.pass(1);
    desk.ask(&api, "lane", "a").await.unwrap();
    // However long it says.
    let api = Api::open([wish(86_400), found("later")]);
    desk.ask(&api, "lane", "b").await.unwrap_err();
    desk.pass(60);
    desk.ask(&api, "lane", "b").await.unwrap();
}

#[tokio::test]
async fn what_strangers_make_up_is_asked_so_often_and_no_more() {
    let none = CallErrorKind::Content("it is no certificate");
    let (desk, api) = (Desk::new(), Api::open([found("one"), Err(none)]));
    let ask = async |lane, what: &str| desk.ask(&api, lane, what).await;
    assert!(ask(STRANGERS, "there").await.is_ok());
    for what in ["a", "b"] {
        assert_eq!(ask(STRANGERS, what).await.unwrap_err().kind, none);
    }
    // The fourth is not asked, nor is what was not there; what is known is answered.
    assert_eq!(
        ask(STRANGERS, "c").await.unwrap_err().kind,
        CallErrorKind::Quota
    );
    desk.pass(100);
    assert_eq!(ask(STRANGERS, "a").await.unwrap_err().kind, none);
    assert_eq!(
        ask(STRANGERS, "d").await.unwrap_err().kind,
        CallErrorKind::Quota
    );
    assert!(ask(STRANGERS, "there").await.is_ok());
    assert_eq!(api.asked(), 3);
    // Others have their own lanes.
    assert_eq!(ask("lane", "a").await.unwrap_err().kind, none);
    assert_eq!(api.asked(), 4);
    desk.pass(500);
    assert_eq!(ask(STRANGERS, "c").await.unwrap_err().kind, none);
    assert_eq!(api.asked(), 5);
}

#[tokio::test]
async fn a_lane_that_stands_still_holds_up_nobody_else() {
    let (desk, stuck) = (Desk::new(), Api::new([found("late")]));
    let mut waiting: Vec<_> = (0..AT_ONCE + 3)
        .map(|n| tokio::spawn(desk.ask(&stuck, "eu-west-1", &n.to_string())))
        .collect();
    let places = u32::try_from(AT_ONCE).unwrap();
    stuck.arrived.acquire_many(places).await.unwrap().forget();
    let quick = Api::open([found("now")]);
    let told = desk.ask(&quick, "us-east-1", "0").await.unwrap();
    assert_eq!(told.as_slice(), b"now");
    assert_eq!(stuck.asked(), AT_ONCE, "no more than its places at once");
    stuck.let_through.add_permits(AT_ONCE + 3);
    for one in waiting.drain(..) {
        one.await.unwrap().unwrap();
    }
    assert_eq!(stuck.asked(), AT_ONCE + 3);
}

#[tokio::test]
async fn a_question_that_panics_is_an_error_and_may_be_asked_again() {
    let (desk, api) = (Desk::new(), Api::open([]));
    let error = desk.ask(&api, "lane", "a").await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Lost);
    // The lock is poisoned, so this panics as well: but it is asked.
    desk.ask(&api, "lane", "a").await.unwrap_err();
    assert_eq!(api.asked(), 2);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_none() {
    let desk = Desk::new();
    let long = |length| Ok(Answer::new(vec![0; length], Answer::POSITIVE));
    let api = Api::open([long(Answer::MOST), long(Answer::MOST + 1)]);
    desk.ask(&api, "lane", "a").await.unwrap();
    let error = desk.ask(&api, "lane", "b").await.unwrap_err();
    assert!(matches!(error.kind, CallErrorKind::Content(_)), "{error}");
}

#[derive(Debug, Default)]
struct Counted(Mutex<Vec<String>>);

impl Counts for Counted {
    fn called(&self, cloud: Cloud, outcome: &'static str) {
        let mut seen = self.0.lock().unwrap();
        seen.push(format!("{} {outcome}", cloud.name()));
    }

    fn asked(&self, _: Cloud, kept: bool) {
        let mut seen = self.0.lock().unwrap();
        seen.push(if kept { "kept" } else { "asked" }.to_owned());
    }
}

#[tokio::test]
async fn calls_and_answers_are_counted() {
    let counted = Arc::new(Counted::default());
    let desk = Desk::counted(counted.clone());
    let api = Api::open([Err(THROTTLED), found("x")]);
    desk.ask(&api, "lane", "a").await.unwrap();
    desk.ask(&api, "lane", "a").await.unwrap();
    let denied = Api::open([Err(CallErrorKind::Denied)]);
    desk.ask(&denied, "lane", "b").await.unwrap_err();
    assert_eq!(
        *counted.0.lock().unwrap(),
        [
            "asked",
            "aws throttled",
            "aws answered",
            "kept",
            "asked",
            "aws denied"
        ]
    );
}

#[tokio::test]
async fn there_is_room_for_so_many_answers_and_those_in_use_stay() {
    let (desk, api) = (Desk::new(), Api::open([found("x")]));
    for n in 0..MOST {
        desk.ask(&api, "lane", &n.to_string()).await.unwrap();
        desk.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(api.asked(), MOST);
    // The first is used again; one more makes room by those that were used the longest ago.
    desk.ask(&api, "lane", "0").await.unwrap();
    desk.ask(&api, "lane", "one more").await.unwrap();
    desk.ask(&api, "lane", "0").await.unwrap();
    assert_eq!(api.asked(), MOST + 1);
    desk.ask(&api, "lane", "1").await.unwrap();
    assert_eq!(api.asked(), MOST + 2, "it had to go");
}
