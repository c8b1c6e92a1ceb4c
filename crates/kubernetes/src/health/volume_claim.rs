//! PersistentVolumeClaims.

use serde::Deserialize;

use super::object::Object;
use super::verdict::Verdict;

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClaimStatus {
    phase: String,
}

pub(super) fn judge(object: &Object) -> Verdict {
    match object.status::<ClaimStatus>().phase.as_str() {
        "Bound" => Verdict::healthy(),
        "Lost" => Verdict::failed("its volume is gone (Lost)"),
        _ => Verdict::progressing("it has no volume yet"),
    }
}

/// One that has no volume because none is made before a pod asks for it is as it should be.
pub(super) fn with_events(verdict: Verdict, events: &[String]) -> Verdict {
    match events.iter().find(|event| event.contains("waiting for first consumer") || event.contains("WaitForFirstConsumer")) {
        Some(_) => Verdict::healthy_but("its volume is made when the first pod uses it (WaitForFirstConsumer)"),
        None => match events.first() {
            Some(said) => Verdict { message: format!("{}: {said}", verdict.message), ..verdict },
            None => verdict,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_healthy_with_a_volume_or_when_it_waits_for_a_pod() {
        let claim = |phase: &str| judge(&serde_json::from_value(json!({ "status": { "phase": phase } })).unwrap());
        assert_eq!(judge(&Object::default()), Verdict::progressing("it has no volume yet"));
        assert_eq!(claim("Bound"), Verdict::healthy());
        assert_eq!(claim("Lost").status, stratos_engine::health::Status::Failed);
        let waiting = with_events(claim("Pending"), &["waiting for first consumer to be created before binding".into()]);
        assert_eq!(waiting.status, stratos_engine::health::Status::Healthy);
        let failing = with_events(claim("Pending"), &["no persistent volumes available".into()]);
        assert_eq!(failing, Verdict::progressing("it has no volume yet: no persistent volumes available"));
    }
}
