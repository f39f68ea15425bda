//! The clients of a round: each is run as planned, and what it said is written down.

use std::thread::sleep;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::plan::{By, Step, What};
use super::scene::Scene;
use crate::e2e::timeline::Call;
use crate::world::client::{Answer, Client};

/// What a busy machine may add to a client's deadline.
const GRACE: Duration = Duration::from_secs(6);

/// The exit status of `journal add` that says: perhaps.
const PERHAPS: i32 = 10;

/// A client's run.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) step: Step,
    /// The increment's name.
    pub(super) id: Option<String>,
    /// Before the client was started, so before it sent anything.
    pub(super) begun: SystemTime,
    /// After it was gone.
    pub(super) ended: SystemTime,
    /// Nothing: it was killed.
    pub(super) status: Option<i32>,
    pub(super) took: Duration,
    pub(super) said: String,
}

/// Runs a client's steps, one after the other.
pub(super) fn ask_all(scene: &Scene, timeout: Duration, client: usize, steps: &[Step]) {
    for (number, step) in steps.iter().enumerate() {
        sleep(step.after);
        let id = format!("{client}-{number}");
        match ask(scene, *step, &id) {
            Ok(asked) => {
                if let Some(wrong) = wrong(&asked, timeout) {
                    scene.violation(wrong);
                }
                scene.notes().asked.push(asked);
            }
            Err(error) => scene.violation(format!("{step}: {error:#}")),
        }
    }
}

/// Runs one client to its end, or kills it as planned.
pub(super) fn ask(scene: &Scene, step: Step, id: &str) -> Result<Asked> {
    let begun = SystemTime::now();
    let client = start(scene, step, id)?;
    if let Some(after) = step.killed_after {
        sleep(after);
        client.kill()?;
    }
    let answer = client.finish()?;
    note(scene, &step, &answer);
    Ok(Asked {
        step,
        id: step.adds().then(|| id.to_owned()),
        begun,
        ended: SystemTime::now(),
        status: answer.status,
        took: answer.ended - answer.begun,
        said: format!("{}{}", answer.stdout, answer.stderr).trim().to_owned(),
    })
}

fn start(scene: &Scene, step: Step, id: &str) -> Result<Client> {
    let journal = scene.journal.to_string_lossy().into_owned();
    let pause;
    let ahead = if let By::Elsewhen(ahead) = step.by { ahead.to_string() } else { String::new() };
    let mut words: Vec<&str> = match step.by {
        By::Faulty(fault) => vec![fault, "--", &journal],
        By::Elsewhen(_) => vec!["--time", "--boottime", &ahead, "--monotonic", &ahead, &journal],
        By::Version(version) => vec!["--as-version", version],
        By::Aileron | By::Journal => Vec::new(),
    };
    words.extend(step.what.words());
    if let What::Add(slow) = step.what {
        pause = slow.as_millis().to_string();
        words.extend([id, &pause]);
    }
    let program = match step.by {
        By::Aileron => scene.aileron.clone(),
        By::Journal | By::Version(_) => scene.journal.clone(),
        By::Faulty(_) => scene.helper.clone(),
        By::Elsewhen(_) => "/usr/bin/unshare".into(),
    };
    match &scene.namespace {
        None => scene.setting(&program).client(&words),
        Some(namespace) => {
            let (enter, program) = (namespace.enter(), program.to_string_lossy());
            let mut all: Vec<&str> = enter.iter().map(String::as_str).collect();
            all.push(&program);
            all.extend(words);
            scene.setting("/usr/bin/nsenter".as_ref()).client(&all)
        }
    }
}

fn note(scene: &Scene, step: &Step, answer: &Answer) {
    let call = Call {
        from_ms: scene.epoch.ms_at(answer.begun),
        to_ms: scene.epoch.ms_at(answer.ended),
        text: step.to_string(),
        status: answer.status,
    };
    scene.notes().calls.push(call);
}

/// Every call is answered or clearly refused, within its deadline and with a documented status (P14).
fn wrong(asked: &Asked, timeout: Duration) -> Option<String> {
    let Asked { step, status, took, said, .. } = asked;
    if said.contains("panicked at") {
        return Some(format!("P14: `{step}` panicked: {said}"));
    }
    let Some(status) = status else {
        return step.killed_after.is_none().then(|| format!("P14: `{step}` was ended by a signal: {said}"));
    };
    if *took > timeout + GRACE {
        return Some(format!(
            "P14: `{step}` took {took:?}, its deadline is {timeout:?}: status {status}, {said}"
        ));
    }
    let documented: &[i32] = match step.what {
        What::Add(_) => &[0, 1, PERHAPS],
        What::Status => &[0, 1, 3, 4, 5],
        What::Stop | What::ForcedStop | What::HoldingStop => &[0, 1, 4, 5, 9],
        What::Url => &[0, 1, 4, 5, 6, 8, 9],
        What::Start | What::Restart => &[0, 1, 4, 5, 6, 9],
    };
    if !documented.contains(status) {
        return Some(format!("P14: `{step}` ended with {status}, which it does not say: {said}"));
    }
    (*status != 0 && said.is_empty()).then(|| format!("P14: `{step}` ended with {status} and not a word"))
}

impl Asked {
    /// The increment was acknowledged.
    pub(super) fn acknowledged(&self) -> bool {
        self.status == Some(0)
    }

    /// The increment was refused, and that is a promise that it was not done.
    pub(super) fn refused(&self) -> bool {
        self.status.is_some_and(|status| status != 0 && status != PERHAPS)
    }
}
