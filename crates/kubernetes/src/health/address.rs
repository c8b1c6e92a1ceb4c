//! Services and Ingresses: whether they have the address that they wait for.

use serde::Deserialize;

use super::object::Object;
use super::verdict::Verdict;

/// What both kinds say.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AddressStatus {
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Option<Vec<Entry>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    ip: String,
    hostname: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    r#type: String,
    external_ips: Option<Vec<String>>,
}

/// The addresses that a load balancer gave.
pub(super) fn given(object: &Object) -> Vec<String> {
    let entries = object.status::<AddressStatus>().load_balancer.ingress.unwrap_or_default();
    let address = |entry: Entry| if entry.hostname.is_empty() { entry.ip } else { entry.hostname };
    entries.into_iter().map(address).filter(|address| !address.is_empty()).collect()
}

pub(super) fn judge_service(object: &Object) -> Verdict {
    let spec = object.spec::<Spec>();
    let elsewhere = spec.external_ips.is_some_and(|addresses| !addresses.is_empty());
    match spec.r#type != "LoadBalancer" || elsewhere || !given(object).is_empty() {
        true => Verdict::healthy(),
        false => Verdict::progressing("it has no address yet: something in the cluster must give one to Services of the type LoadBalancer"),
    }
}

pub(super) fn judge_ingress(object: &Object) -> Verdict {
    match given(object).is_empty() {
        true => Verdict::progressing("it has no address yet: the ingress controller of its class has not taken it up"),
        false => Verdict::healthy(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(spec: &Value, status: &Value) -> Object {
        serde_json::from_value(json!({ "spec": spec, "status": status })).unwrap()
    }

    #[test]
    fn a_service_inside_the_cluster_waits_for_nothing() {
        assert_eq!(judge_service(&Object::default()), Verdict::healthy());
        assert_eq!(judge_service(&object(&json!({ "type": "NodePort" }), &json!({}))), Verdict::healthy());
    }

    #[test]
    fn an_address_is_waited_for() {
        let outside = json!({ "type": "LoadBalancer" });
        let with = json!({ "loadBalancer": { "ingress": [{ "hostname": "a.example" }, { "ip": "192.0.2.1" }] } });
        assert!(judge_service(&object(&outside, &json!({ "loadBalancer": {} }))).message.starts_with("it has no address"));
        assert_eq!(judge_service(&object(&outside, &with)), Verdict::healthy());
        assert_eq!(given(&object(&outside, &with)), ["a.example", "192.0.2.1"]);
        assert!(judge_ingress(&Object::default()).message.starts_with("it has no address"));
        assert_eq!(judge_ingress(&object(&json!({}), &with)), Verdict::healthy());
    }
}
