//! Nothing secret leaves, and a secret that has changed is seen.

use super::Subject;
use super::stage::{Recorder, Stage, brief, note, possible, told};
use crate::apply::{ApplyError, RunVerdict};
use crate::desired::document::Leaf;
use crate::platform::{Field, Support};

/// A value that cannot be in any text by chance, with characters that every encoding changes.
const VALUE: &str = "kZ3 v9/q2+xW\"7";
const ROTATED: &str = "qQ8 n1/m5+yB\"2";

/// The forms in which a value could leak.
fn forms(value: &str) -> Vec<String> {
    use base64::Engine as _;
    let json = serde_json::Value::from(value).to_string();
    let encoded = base64::engine::general_purpose::STANDARD.encode(value);
    let percent = value.replace(' ', "%20").replace('/', "%2F").replace('+', "%2B").replace('"', "%22");
    vec![value.to_owned(), json.trim_matches('"').to_owned(), encoded, percent]
}

fn expect_absent(what: &str, text: &str) {
    for form in [VALUE, ROTATED].into_iter().flat_map(forms) {
        assert!(!text.contains(&form), "{what} holds a secret value ({form})");
    }
}

/// An app that uses a secret in every way that there is.
fn stage<S: Subject>(subject: &S) -> Stage<'_, S> {
    let mut stage = Stage::with_web(subject);
    stage.secrets.insert("password".into(), Some(VALUE.into()));
    stage.add(
        "web",
        &[
            "env.PASSWORD = \"{{ secrets.password }}\"",
            "env.DB = \"postgres://shop:{{ secrets.password | urlencode }}@db/shop\"",
            "env.BASIC = \"{{ secrets.password | b64encode }}\"",
            "env.JSON = \"{{ secrets.password | tojson }}\"",
        ],
    );
    stage.add_where_supported("web", Field::Files, "files.\"/etc/web/password\" = { secret = \"password\" }");
    stage
}

/// The value is in no plan, report, error, event, nor anywhere where someone who may look at the platform can see it.
pub async fn secret_values_are_nowhere<S: Subject>(subject: &S) {
    let mut stage = stage(subject);
    for value in [VALUE, ROTATED] {
        stage.secrets.insert("password".into(), Some(value.into()));
        let plan = stage.plan().await;
        expect_absent("the plan", &serde_json::to_string(&plan).unwrap_or_default());
        expect_absent("the plan for debugging", &format!("{plan:?}"));
        expect_absent("the differences", &brief(&plan).join("\n"));
        let recorder = Recorder::default();
        let applied = stage.apply_as(&plan, "someone", &recorder).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
        expect_absent("the report", &serde_json::to_string(&applied).unwrap_or_default());
        expect_absent("the report for debugging", &format!("{applied:?}"));
        expect_absent("the platform", &subject.dump().await);
        stage.expect_nothing().await;
    }
    // The plan of a removal holds none either.
    stage.remove("web").web("other", 1);
    let plan = stage.converge().await;
    expect_absent("the plan", &serde_json::to_string(&plan).unwrap_or_default());
}

/// What goes wrong while a secret is written does not tell it.
pub async fn errors_tell_no_secret<S: Subject>(subject: &S) {
    let mut stage = stage(subject);
    let lines = stage.apps["web"].clone();
    stage.app("web", super::Body::CrashLoop, &[super::health::gives_up_after(subject.patience())]);
    let env = lines.into_iter().filter(|line| line.starts_with("env.") || line.starts_with("ports."));
    stage.add("web", &env.collect::<Vec<_>>());
    let plan = stage.plan().await;
    let applied = stage.apply(&plan).await;
    assert_ne!(applied.verdict(), RunVerdict::Success);
    expect_absent("the report", &serde_json::to_string(&applied).unwrap_or_default());
    expect_absent("the platform", &subject.dump().await);
}

/// Another value is seen, written, and then there is nothing to do; a plan for the old one is refused.
pub async fn a_rotated_secret_is_seen<S: Subject>(subject: &S) {
    let mut stage = stage(subject);
    stage.converge().await;
    // Another machine, with the same value: nothing to do.
    stage.on_another_machine();
    stage.expect_nothing().await;
    stage.secrets.insert("password".into(), Some(ROTATED.into()));
    let plan = stage.plan().await;
    assert!(!plan.is_empty(), "the new value is not seen");
    stage.secrets.insert("password".into(), Some(VALUE.into()));
    match stage.try_apply(&plan).await {
        Err(ApplyError::SecretMoved { name }) => assert_eq!(name, "password"),
        Err(error) => panic!("refused for another reason: {error}"),
        Ok(applied) => panic!("a value that was not planned was written: {}", told(&plan, &applied)),
    }
    stage.expect_nothing().await;
    stage.secrets.insert("password".into(), Some(ROTATED.into()));
    stage.converge().await;
}

/// Without the value there is a plan, which says that it did not look; and it is not applied.
pub async fn a_missing_value_is_not_verified<S: Subject>(subject: &S) {
    let mut stage = stage(subject);
    stage.secrets.insert("password".into(), None);
    let plan = stage.plan().await;
    assert_eq!(plan.coverage.unverified_secrets, ["password"]);
    refused(&stage, &plan).await;
    stage.secrets.insert("password".into(), Some(VALUE.into()));
    stage.converge().await;
    // What is live is taken for unchanged, and that is said.
    stage.secrets.insert("password".into(), None);
    let plan = stage.expect_nothing().await;
    assert_eq!(plan.coverage.unverified_secrets, ["password"]);
    stage.web("web", 2).add("web", &["env.PASSWORD = \"{{ secrets.password }}\""]);
    let plan = stage.plan().await;
    refused(&stage, &plan).await;
}

async fn refused<S: Subject>(stage: &Stage<'_, S>, plan: &crate::plan::Plan) {
    match stage.try_apply(plan).await {
        Err(ApplyError::Secret { name, .. }) => assert_eq!(name, "password"),
        Err(error) => panic!("refused for another reason: {error}"),
        Ok(applied) => panic!("applied without the value: {}", told(plan, &applied)),
    }
}

/// A secret that somebody overwrote by hand is seen, where the platform can tell.
pub async fn a_secret_edited_by_hand_is_repaired<S: Subject>(subject: &S) {
    let stage = stage(subject);
    let plan = stage.converge().await;
    let desired = plan.changes.iter().filter_map(|change| change.desired.as_ref());
    let leaves = desired.flat_map(|desired| desired.document.leaves().iter().map(|(path, leaf)| (&desired.id, path, leaf)));
    for (id, path, leaf) in leaves.filter(|(_, _, leaf)| matches!(leaf, Leaf::Secret { .. })) {
        let other = Leaf::Secret { text: None, fingerprint: None };
        if !possible::<S>(&format!("an edit of the secret {id} {path}"), &subject.edit(id, path, Some(&other)).await) {
            continue;
        }
        let repair = stage.plan().await;
        let seen = repair.changes.iter().any(|c| c.id == *id && c.differences.iter().any(|d| d.path == *path));
        assert!(seen, "the edit of {id} {path} (was {leaf}) is not seen: {:#?}", brief(&repair));
        stage.apply_well(&repair).await;
        stage.expect_nothing().await;
    }
}

/// Texts that hold both a secret and another app's address.
pub async fn a_secret_beside_an_address<S: Subject>(subject: &S) {
    if !matches!(subject.support(Field::Bind), Support::Full | Support::Adapted(_)) {
        return note::<S>("bindings: not supported");
    }
    let mut stage = stage(subject);
    stage.web("db", 1).add("web", &["bind.db = {}", "env.TOKEN = \"{{ secrets.password }}\""]);
    stage.converge().await;
    stage.web("db", 2);
    stage.converge().await;
}
