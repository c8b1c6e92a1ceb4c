//! What an apply does where a secret's value is not at hand.

use zeroize::Zeroizing;

use super::*;
use crate::apply::ApplyError;
use crate::render::secret::SecretError;

fn password(value: Option<&str>) -> Secrets {
    let missing = SecretError { name: "password".into(), why: "PASSWORD is not set".into() };
    Secrets::new([("password".to_owned(), value.map(|value| Zeroizing::new(value.to_owned())).ok_or(missing))])
}

/// A plan does not know whether what holds the secret has to change, so it may not be carried out by halves.
#[tokio::test(start_paused = true)]
async fn a_secret_that_only_an_unchanged_app_needs_is_asked_for_all_the_same() {
    let secrets = "[secrets]\npassword = { env = \"PASSWORD\" }\n";
    let apps = |tag: &str| {
        let db = "[apps.db]\nimage = \"db:1\"\nenv.PASSWORD = \"{{ secrets.password }}\"\n";
        manifest(DEV, &format!("{db}[apps.web]\nimage = \"web:{tag}\"\n{secrets}"))
    };
    let bench = Bench { secrets: password(Some("hunter2")), ..Bench::new() };
    bench.apply(&bench.plan(&apps("1"), |r| r).await.unwrap()).await;

    let without = Bench { connector: bench.connector.clone(), secrets: password(None), ..Bench::new() };
    let two = apps("2");
    let plan = without.plan(&two, |r| r).await.unwrap();
    assert_eq!((plan.changes.len(), plan.coverage.unverified_secrets.as_slice()), (1, ["password".to_owned()].as_slice()));
    let refused = apply(&plan, &without.secrets, &without.connector, &ApplyOptions::default(), &Quiet).await.unwrap_err();
    assert!(matches!(&refused, ApplyError::Secret { why, .. } if why == "PASSWORD is not set"), "{refused}");
    assert_eq!(without.plan(&two, |r| r).await.unwrap().changes.len(), 1, "nothing was written");
    bench.apply(&plan).await;
}
