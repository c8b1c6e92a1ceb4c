use super::*;

fn text(text: &str) -> Leaf {
    Leaf::Text(text.into())
}

/// The type of a kind, in the version that is served.
fn of(kind: &str) -> Type {
    let versions = [
        ("v1", &["Service", "Pod", "LimitRange"][..]),
        ("apps/v1", &["Deployment", "StatefulSet"]),
        ("batch/v1", &["Job"]),
        ("networking.k8s.io/v1", &["NetworkPolicy"]),
        ("rbac.authorization.k8s.io/v1", &["RoleBinding"]),
        ("autoscaling/v2", &["HorizontalPodAutoscaler"]),
        ("apiextensions.k8s.io/v1", &["CustomResourceDefinition"]),
    ];
    let (version, _) = versions.iter().find(|(_, kinds)| kinds.contains(&kind)).unwrap();
    Type::of(version, kind)
}

/// Whether a value is filled in beside these others, where these are wanted.
fn filled(kind: &str, path: &[&str], leaf: &Leaf, beside: &[(&[&str], Leaf)], wanted: &[(&[&str], Leaf)]) -> bool {
    let leaves = |of: &[(&[&str], Leaf)]| -> Vec<(Path, Leaf)> {
        of.iter().map(|(path, leaf)| (Path::new(path.iter().copied()), leaf.clone())).collect()
    };
    let path = Path::new(path.iter().copied());
    let live = leaves(beside).into_iter().chain([(path.clone(), leaf.clone())]).collect();
    let around = Around { kind, of: of(kind), live: &live, desired: &leaves(wanted).into_iter().collect() };
    around.is_filled_in(&path, leaf)
}

#[test]
fn what_means_something_is_neither() {
    let links = ["spec", "template", "spec", "enableServiceLinks"];
    assert!(!is_left_out(of("Deployment"), &links, &Leaf::Bool(false)));
    for value in [true, false] {
        assert!(!filled("Deployment", &links, &Leaf::Bool(value), &[], &[]));
    }
    assert!(filled("Pod", &["spec", "enableServiceLinks"], &Leaf::Bool(true), &[], &[]));
    let container = ["spec", "template", "spec", "initContainers", "[name=a]"];
    let [restart, path] = ["restartPolicy", "terminationMessagePath"].map(|field| [&container[..], &[field]].concat());
    let wanted: [(&[&str], Leaf); 1] = [(&[&container[..], &["image"]].concat(), text("a"))];
    assert!(!filled("Deployment", &restart, &text("Always"), &[], &wanted));
    assert!(filled("Deployment", &path, &text("/dev/termination-log"), &[], &wanted));
    // Without the container there is none.
    assert!(!filled("Deployment", &path, &text("/dev/termination-log"), &[], &[]));
    assert!(filled("Deployment", &["spec", "replicas"], &Leaf::Integer(1), &[], &[]));
    assert!(!filled("Deployment", &["spec", "replicas"], &Leaf::Integer(2), &[], &[]));
}

#[test]
fn zeros_are_left_out_by_their_types() {
    let left_out = |path: &[&str], leaf: &Leaf| is_left_out(of("Deployment"), path, leaf);
    assert!(left_out(&["spec", "template", "spec", "hostNetwork"], &Leaf::Bool(false)));
    assert!(left_out(&["spec", "minReadySeconds"], &Leaf::Integer(0)));
    assert!(!left_out(&["spec", "minReadySeconds"], &Leaf::Integer(1)));
    // Pointers in Go.
    assert!(!left_out(&["spec", "replicas"], &Leaf::Integer(0)));
    assert!(!left_out(&["spec", "template", "spec", "shareProcessNamespace"], &Leaf::Bool(false)));
    // Keys of maps.
    assert!(!left_out(&["metadata", "labels", "paused"], &text("")));
}

#[test]
fn the_group_of_a_subject_follows_from_its_kind() {
    let group = ["subjects", "[0000]", "apiGroup"];
    let wanted = |kind: &str| filled("RoleBinding", &group, &text(RBAC), &[], &[(&["subjects", "[0000]", "kind"], text(kind))]);
    assert!(wanted("User") && wanted("Group") && !wanted("ServiceAccount"));
}

#[test]
fn one_bound_of_a_limit_follows_from_another() {
    let at = |bound: &'static str| ["spec", "limits", "[0000]", bound, "cpu"];
    let of = |kind: &str, bound: &'static str, wanted: &[(&'static str, &str)]| {
        let paths: Vec<([&str; 5], Leaf)> = wanted.iter().map(|(bound, amount)| (at(bound), text(amount))).collect();
        let mut all: Vec<(&[&str], Leaf)> = paths.iter().map(|(path, leaf)| (&path[..], leaf.clone())).collect();
        all.push((&["spec", "limits", "[0000]", "type"], text(kind)));
        filled("LimitRange", &at(bound), &text("1"), &[], &all)
    };
    assert!(of("Container", "default", &[("max", "1")]) && of("Container", "defaultRequest", &[("max", "1")]));
    assert!(of("Container", "defaultRequest", &[("min", "1")]) && of("Container", "defaultRequest", &[("max", "2"), ("default", "1")]));
    assert!(!of("Container", "defaultRequest", &[("min", "1"), ("max", "2")]) && !of("Container", "max", &[("default", "1")]));
    assert!(!of("Pod", "default", &[("max", "1")]));
}

#[test]
fn images_without_a_version_are_always_pulled() {
    for image in ["web", "web:latest", "registry:5000/web", "web:latest@sha256:aa"] {
        assert_eq!(pull_policy(image), "Always", "{image}");
    }
    for image in ["web:1", "web@sha256:aa", "registry:5000/web:1", "registry:5000/web@sha256:aa", "web:1@sha256:aa"] {
        assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
    }
    let container = ["spec", "template", "spec", "containers", "[name=web]"];
    let [image, policy] = ["image", "imagePullPolicy"].map(|field| [&container[..], &[field]].concat());
    assert!(filled("Deployment", &policy, &text("Always"), &[(&image, text("web"))], &[]));
    assert!(!filled("Deployment", &policy, &text("Always"), &[(&image, text("web:1"))], &[]));
}

#[test]
fn what_is_filled_in_follows_from_what_is_beside() {
    let one = Leaf::Integer(1);
    // The other one stays where the server filled it in: then there would be none.
    let other: (&[&str], Leaf) = (&["spec", "parallelism"], one.clone());
    assert!(filled("Job", &["spec", "completions"], &one, std::slice::from_ref(&other), &[]));
    assert!(!filled("Job", &["spec", "completions"], &one, &[], &[]));
    assert!(!filled("Job", &["spec", "completions"], &one, std::slice::from_ref(&other), std::slice::from_ref(&other)));
    let policy = ["spec", "podReplacementPolicy"];
    let failures: (&[&str], Leaf) = (&["spec", "podFailurePolicy", "rules", "[0000]", "action"], text("Ignore"));
    assert!(filled("Job", &policy, &text("TerminatingOrFailed"), &[], &[]));
    assert!(!filled("Job", &policy, &text("TerminatingOrFailed"), &[], std::slice::from_ref(&failures)));
    assert!(filled("Job", &policy, &text("Failed"), &[], &[failures]));
    let inside = ["spec", "internalTrafficPolicy"];
    assert!(filled("Service", &inside, &text("Cluster"), &[], &[]));
    assert!(!filled("Service", &inside, &text("Cluster"), &[], &[(&["spec", "type"], text("ExternalName"))]));
    let partition = ["spec", "updateStrategy", "rollingUpdate", "partition"];
    let of_a_type: (&[&str], Leaf) = (&["spec", "updateStrategy", "type"], text("RollingUpdate"));
    assert!(filled("StatefulSet", &partition, &Leaf::Integer(0), std::slice::from_ref(&of_a_type), &[]));
    assert!(!filled("StatefulSet", &partition, &Leaf::Integer(0), &[], &[]));
    assert!(!filled("StatefulSet", &partition, &Leaf::Integer(0), std::slice::from_ref(&of_a_type), std::slice::from_ref(&of_a_type)));
    let kind: (&[&str], Leaf) = (&["spec", "names", "kind"], text("Thing"));
    assert!(filled("CustomResourceDefinition", &["spec", "names", "singular"], &text("thing"), std::slice::from_ref(&kind), &[]));
    assert!(!filled("CustomResourceDefinition", &["spec", "names", "listKind"], &text("Things"), &[kind], &[]));
}

#[test]
fn lists_are_filled_in_as_a_whole() {
    let (first, second) = (["spec", "policyTypes", "[0000]"], ["spec", "policyTypes", "[0001]"]);
    let egress: (&[&str], Leaf) = (&["spec", "egress", "[0000]", "{}"], Leaf::Bool(true));
    let ingress = text("Ingress");
    assert!(filled("NetworkPolicy", &first, &ingress, &[], &[]));
    // It would be of both types if nobody said so.
    assert!(!filled("NetworkPolicy", &first, &ingress, &[], std::slice::from_ref(&egress)));
    assert!(filled("NetworkPolicy", &first, &ingress, &[(&second, text("Egress"))], std::slice::from_ref(&egress)));
    assert!(!filled("NetworkPolicy", &first, &ingress, &[(&second, text("Egress"))], &[]));
    let policy = ["spec", "behavior", "scaleDown", "policies", "[0000]"];
    let at = |field| [&policy[..], &[field]].concat();
    let (of, value, period) = (at("type"), at("value"), at("periodSeconds"));
    let beside: [(&[&str], Leaf); 2] = [(&value, Leaf::Integer(100)), (&period, Leaf::Integer(15))];
    let behavior: (&[&str], Leaf) = (&["spec", "behavior", "scaleUp", "selectPolicy"], text("Min"));
    assert!(filled("HorizontalPodAutoscaler", &of, &text("Percent"), &beside, std::slice::from_ref(&behavior)));
    assert!(!filled("HorizontalPodAutoscaler", &of, &text("Percent"), &beside[1..], &[behavior]));
    // Without any behavior none is filled in.
    assert!(!filled("HorizontalPodAutoscaler", &of, &text("Percent"), &beside, &[]));
}
