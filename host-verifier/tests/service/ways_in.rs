//! Every way to a session runs the same decision.

use crate::agent::{Answer, EK, QUOTE};
use crate::desk::{Desk, ek_and_quote, tell};
use crate::fake_tpm::FakeTpm;

/// CVE-2025-44005, CVE-2026-30836: identities from a path on which the policy was not asked. Here a session is stored by
/// one function, out of a value that only the decision makes; this looks at the same thing from outside. Whatever an
/// agent proves in whatever order, a session is there exactly when a decision granted it, after that decision.
#[tokio::test]
async fn a32_every_way_to_a_session_runs_the_decision() {
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    let mut grants = 0;
    let offers = [
        vec![],
        vec![EK],
        vec![QUOTE],
        vec![EK, QUOTE],
        vec![QUOTE, EK],
    ];
    for offered in &offers {
        for first in &offers {
            for second in &offers {
                let (mut link, mut agent) = (desk.link(), desk.agent());
                agent.methods = offered.iter().map(|kind| kind.0).collect();
                let hello = agent.hello();
                let mut answer = tell(&mut link, &mut agent, &hello).await;
                for round in [first, second] {
                    let Answer::Asked(asked) = &answer else { break };
                    let proven = agent.prove(&tpm, asked);
                    let of = |kind| proven.iter().find(|(k, _)| k == kind).cloned();
                    let items: Vec<_> = round.iter().filter_map(of).collect();
                    let message = agent.proofs(asked, &items);
                    answer = tell(&mut link, &mut agent, &message).await;
                }
                let all = offered.len() == 2 && first.contains(&EK) && second.len() == 2;
                let got = matches!(answer, Answer::Granted(_));
                assert_eq!(got, all, "{offered:?} {first:?} {second:?}: {answer:?}");
                grants += usize::from(got);
                assert_eq!(desk.sessions().await, grants);
                // What was decided, in the order in which it happened.
                let mut steps = Vec::new();
                while let Ok(event) = desk.events.try_recv() {
                    let event = serde_json::to_value(&event).unwrap();
                    if ["policy", "session", "granted"]
                        .iter()
                        .any(|s| event["step"] == *s)
                    {
                        steps.push((event["step"].clone(), event["outcome"].clone()));
                    }
                }
                let granted: Vec<_> = ["policy", "session", "granted"]
                    .map(|s| (s.into(), "ok".into()))
                    .into();
                if got {
                    assert_eq!(steps, granted);
                } else {
                    assert!(
                        !steps.iter().any(|step| granted.contains(step)),
                        "{steps:?}"
                    );
                }
            }
        }
    }
    assert_eq!(grants, 2 * 3 * 2);
}
