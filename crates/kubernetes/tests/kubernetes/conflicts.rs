//! Who else writes to our objects: other managers, people with kubectl, controllers.

use stratos_engine::plan::Plan;

use crate::proxy::Proxy;
use crate::user::{User, Way, client, failures, nodeless, web};

/// Another manager wants this image.
fn wants(user: &User<'_>, manager: &str, tag: &str) {
    user.other_applies(
        manager,
        &format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}},
              spec: {{template: {{spec: {{containers: [{{name: web, image: 'registry.example/web:{tag}'}}]}}}}}}}}"
        ),
    );
}

/// It rises with each write of the specification or of an annotation, and not with what a controller says of its state.
fn generation(user: &User<'_>) -> i64 {
    user.live("deployment/web")["metadata"]["generation"].as_i64().unwrap()
}

fn image(user: &User<'_>) -> String {
    user.kubectl(&["get", "deployment", "web", "--output=jsonpath={.spec.template.spec.containers[0].image}"])
}

/// The paths of the fields that a plan changes, in the order of the plan.
fn fields(plan: &Plan) -> Vec<String> {
    let fields = plan.changes.iter().flat_map(|change| &change.differences);
    fields.map(|field| field.path.to_string()).collect()
}

#[tokio::test]
async fn another_manager_with_another_value_is_named_before_anything_is_written() {
    let mut user = User::new(nodeless(), "conflicts-other");
    user.converge().await;
    wants(&user, "other", "theirs");
    let before = generation(&user);
    let text = user.refused().await;
    assert!(text.contains("dev/Deployment.apps/web"), "{text}");
    assert!(text.contains(r#"conflict with "other""#) && text.contains(r#".spec.template.spec.containers[name="web"].image"#), "{text}");
    assert!(text.contains("other wants other values there") && text.contains("take them over with `--force-conflicts`"), "{text}");
    assert!(text.contains("`force_conflicts = true` in the environment's options"), "{text}");
    assert_eq!(generation(&user), before);

    // With the user's word it is taken over.
    user.force_conflicts = true;
    user.converge().await;
    assert_eq!(image(&user), "registry.example/web:1");
    user.force_conflicts = false;
    user.nothing().await;
    user.destroy().await;
}

/// It is said for a plan, and holds for whoever carries that plan out.
#[tokio::test]
async fn a_plan_that_takes_over_is_applied_as_it_was_made_and_the_next_one_is_as_ever() {
    let mut user = User::new(nodeless(), "conflicts-flag");
    user.converge().await;
    wants(&user, "other", "theirs");
    user.policy.force_conflicts = true;
    let plan = user.plan().await;
    assert!(plan.held.is_empty() && !plan.is_empty(), "{}", crate::user::said(&plan));
    user.policy.force_conflicts = false;
    let saved = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    let applied = user.apply(&saved).await;
    assert!(failures(&applied).is_empty(), "{:#?}", failures(&applied));
    assert_eq!(image(&user), "registry.example/web:1");
    user.nothing().await;
    // It was for one plan.
    wants(&user, "other", "again");
    assert!(user.refused().await.contains(r#"conflict with "other""#));
    assert_eq!(image(&user), "registry.example/web:again");
    user.destroy().await;
}

#[tokio::test]
async fn equal_values_are_shared_and_no_conflict_until_one_changes() {
    let mut user = User::new(nodeless(), "conflicts-shared");
    user.converge().await;
    user.apps = web("2", "");
    let plan = user.plan().await;
    wants(&user, "other", "1");
    let before = generation(&user);
    // It was planned before the other one came, and what is live is what it was.
    let failed = failures(&user.apply(&plan).await);
    let [(what, why, hint)] = &failed[..] else { panic!("{failed:#?}") };
    assert!(what.contains("Deployment.apps/web") && why.contains(r#"conflict with "other""#) && why.contains(".image"), "{failed:#?}");
    assert!(hint.starts_with("other wants other values there") && hint.contains("force_conflicts"), "{hint}");
    assert_eq!(generation(&user), before);
    let error = user.refused().await;
    assert!(error.contains(r#"conflict with "other""#) && error.contains(".image"), "{error}");

    user.apps = web("1", "");
    user.nothing().await;
    user.destroy().await;
}

#[tokio::test]
async fn what_people_change_with_kubectl_is_seen_and_set_right() {
    let mut user = User::new(nodeless(), "conflicts-hands");
    user.converge().await;
    let edit =
        r#"{"spec":{"revisionHistoryLimit":3,"template":{"spec":{"containers":[{"name":"web","env":[{"name":"DEBUG","value":"1"}]}]}}}}"#;
    let scale = r#"{"spec":{"replicas":2}}"#;
    let changes: [(&[&str], &str); 3] = [
        (&["set", "image", "deployment/web", "web=registry.example/web:theirs"], "image"),
        // What `kubectl scale` sends, under the name that it has where the program is called so.
        (&["patch", "deployment/web", "--subresource=scale", "--field-manager=kubectl", "--type=merge", "--patch", scale], "replicas"),
        (&["patch", "deployment/web", "--field-manager=kubectl-edit", "--patch", edit], "revisionHistoryLimit"),
    ];
    for (change, field) in changes {
        user.kubectl(change);
        let plan = user.plan().await;
        let fields = fields(&plan);
        assert!(fields.iter().any(|path| path.contains(field)), "{change:?}: {fields:?}");
        user.converge().await;
    }
    let spec = &user.live("deployment/web")["spec"];
    assert_eq!((spec["replicas"].as_i64(), spec["revisionHistoryLimit"].as_i64()), (Some(0), Some(10)), "{spec}");
    assert_eq!(spec["template"]["spec"]["containers"][0]["env"].to_string().matches("DEBUG").count(), 0, "{spec}");
    assert_eq!(image(&user), "registry.example/web:1");

    // What these commands say beside our fields is theirs, and stays.
    user.kubectl(&["rollout", "restart", "deployment/web"]);
    user.kubectl(&["label", "deployment/web", "team=blue"]);
    user.kubectl(&["annotate", "deployment/web", "note=look"]);
    user.nothing().await;
    user.apps = web("2", "");
    user.converge().await;
    let live = user.live("deployment/web");
    assert_eq!(live["metadata"]["labels"]["team"], "blue");
    assert_eq!(live["metadata"]["annotations"]["note"], "look");
    let restarted = &live["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
    assert!(restarted.is_string(), "{live}");
    user.destroy().await;
}

/// It sets the image anew after each of our writes.
#[tokio::test]
async fn a_controller_that_resets_a_field_is_reported_and_not_fought() {
    let mut user = User::new(nodeless(), "conflicts-controller");
    user.converge().await;
    let patch = r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"registry.example/web:newest"}]}}}}"#;
    let reset = |user: &User<'_>| user.kubectl(&["patch", "deployment/web", "--field-manager=image-updater", "--patch", patch]);
    for tag in ["1", "2"] {
        user.apps = web(tag, "");
        reset(&user);
        let before = generation(&user);
        let error = user.refused().await;
        assert!(error.contains(r#"conflict with "image-updater""#) && error.contains(".image"), "{error}");
        assert_eq!(generation(&user), before);
        assert_eq!(image(&user), "registry.example/web:newest");
        user.force_conflicts = true;
        user.converge().await;
        user.force_conflicts = false;
    }
    user.destroy().await;
}

/// The dry run is one request for what differs, and none for what does not.
#[tokio::test]
async fn nothing_is_tried_where_nothing_differs() {
    let cluster = nodeless();
    let mut user = User::new(cluster, "conflicts-none");
    user.converge().await;
    let proxy = Proxy::new(client(cluster.kubeconfig()).await).await;
    let mut through = user.through(Way::Url(proxy.url()));
    through.nothing().await;
    let tried = |seen: Vec<String>| seen.iter().filter(|request| request.contains("dryRun")).count();
    assert_eq!(tried(proxy.take_seen()), 0);
    through.apps = web("2", "");
    through.plan().await;
    assert_eq!(tried(proxy.take_seen()), 1);
    user.apps = web("1", "");
    user.destroy().await;
}

/// Nobody's `replicas` would be the default, one, until the autoscaler writes it.
#[tokio::test]
async fn a_number_of_instances_is_handed_over_to_an_autoscaler_without_a_scale_to_one() {
    let mut user = User::new(nodeless(), "conflicts-autoscaler");
    user.converge().await;
    user.kubectl(&["autoscale", "deployment", "web", "--min=2", "--max=3"]);
    let before = user.live("deployment/web");
    assert_eq!(before["spec"]["replicas"], 0, "an autoscaler leaves it alone where it is zero");
    user.apps = web("1", "").replace("replicas = 0\n", "");
    user.converge().await;
    let after = user.live("deployment/web");
    assert_eq!(after["spec"]["replicas"], 0);
    // Each write that changes its specification or its annotations counts (`deploymentStrategy.PrepareForUpdate`), also one that is
    // taken back. This is one: the digest of what was written last. To one instance and back again would be two more.
    let generation = |object: &serde_json::Value| object["metadata"]["generation"].as_i64().unwrap();
    assert_eq!(generation(&after), generation(&before) + 1, "{before:#}{after:#}");
    let ours = after["metadata"]["managedFields"].as_array().into_iter().flatten().find(|managed| managed["manager"] == "stratos");
    assert!(ours.is_some_and(|ours| ours["fieldsV1"]["f:spec"]["f:replicas"].is_null()), "{after:#}");
    // Whatever it says from now on is no difference.
    user.kubectl(&["patch", "deployment", "web", "--type=merge", "--subresource=scale", "--patch", r#"{"spec":{"replicas":2}}"#]);
    user.nothing().await;
    user.kubectl(&["delete", "hpa", "web"]);
    user.kubectl(&["patch", "deployment", "web", "--type=merge", "--subresource=scale", "--patch", r#"{"spec":{"replicas":0}}"#]);
    user.destroy().await;
}
