use serde_json::json;

use super::*;

fn pod() -> Type {
    Type::of("apps/v1", "Deployment").along(["spec", "template", "spec"])
}

#[test]
fn nothing_is_known_of_a_kind_that_the_table_lacks() {
    let custom = Type::of("example.com/v1", "Thing");
    assert_eq!((custom, custom.field("spec")), (Type::Custom, Type::Unknown));
    assert_eq!(custom.along(["spec", "containers", "[0000]", "image"]), Type::Unknown);
    assert!(custom.along(["metadata", "labels"]).is_map());
    // Nor of a version that it lacks.
    assert_eq!(Type::of("apps/v9", "Deployment"), Type::Custom);
}

/// A group's name tells nothing: gateway.networking.k8s.io is installed, resource.k8s.io comes with the cluster.
#[test]
fn a_kind_comes_with_every_cluster_where_the_table_has_it() {
    let known = ["Service", "Deployment.apps", "Ingress.networking.k8s.io", "ResourceClaim.resource.k8s.io", "DeviceClass.resource.k8s.io"];
    let custom = [
        "Deployment",
        "Gateway.gateway.networking.k8s.io",
        "VolumeSnapshot.snapshot.storage.k8s.io",
        "Certificate.cert-manager.io",
        "Other.networking.k8s.io",
        "Ingress.extensions",
    ];
    for (kind, expected) in known.into_iter().map(|kind| (kind, true)).chain(custom.into_iter().map(|kind| (kind, false))) {
        assert_eq!(is_built_in(&GroupKind::parse(kind)), expected, "{kind}");
    }
}

#[test]
fn each_line_of_the_table_is_read() {
    let text = include_str!("table.txt");
    let fields: usize = TABLE.structs.iter().map(|structure| structure.fields.len()).sum();
    let defaults: usize = TABLE.structs.iter().map(|structure| structure.defaults.len()).sum();
    assert_eq!(1 + TABLE.kinds.len() + TABLE.structs.len() + fields + defaults, text.lines().count());
    for structure in &TABLE.structs {
        for field in &structure.fields {
            assert_ne!(field.of, Type::Unknown, "{} of {}", field.name, structure.name);
            assert!(field.default.is_none() || field.default().is_some(), "{} of {}", field.name, structure.name);
        }
        assert!(structure.fields.is_sorted_by_key(|field| field.name), "{}", structure.name);
    }
}

#[test]
fn types_are_found_along_a_path() {
    assert!(pod().is("core/v1.PodSpec"));
    let container = pod().along(["containers", "[name=web]"]);
    assert_eq!(container.field("image"), Type::Image);
    assert_eq!(container.along(["resources", "limits", "cpu"]), Type::Amount);
    assert_eq!(container.field("ports").keys(), Some(&["containerPort", "protocol"][..]));
    assert_eq!(container.field("command").keys(), None);
    assert_eq!(Type::of("v1", "ConfigMap").along(["data", "sizeLimit"]), Type::Text);
    assert_eq!(pod().along(["volumes", "[name=v]", "emptyDir", "sizeLimit"]), Type::Quantity);
}

#[test]
fn a_definition_s_schema_holds_itself() {
    let schema =
        Type::of("apiextensions.k8s.io/v1", "CustomResourceDefinition").along(["spec", "versions", "[0000]", "schema", "openAPIV3Schema"]);
    for path in
        [&["properties", "limits"][..], &["items"], &["additionalProperties", "not"], &["allOf", "[0000]", "patternProperties", "^x"]]
    {
        assert_eq!(schema.along(path.iter().copied()), schema, "{path:?}");
    }
    for path in [&["default", "replicas"][..], &["example", "[0001]"], &["enum", "[0000]", "limits"]] {
        assert_eq!(schema.along(path.iter().copied()), Type::Json, "{path:?}");
    }
    assert_eq!(schema.field("minimum"), Type::Float);
}

#[test]
fn what_is_filled_in_is_said_of_the_type_or_of_a_place_of_the_kind() {
    assert_eq!(pod().about("restartPolicy").and_then(Field::default), Some(json!("Always")));
    assert_eq!(Type::of("v1", "Pod").filled_in(&["spec", "enableServiceLinks"]), Some(json!(true)));
    assert_eq!(Type::of("apps/v1", "Deployment").filled_in(&["spec", "template", "spec", "enableServiceLinks"]), None);
    assert!(pod().about("hostNetwork").is_some_and(|field| field.is_dropped && field.default().is_none()));
}
