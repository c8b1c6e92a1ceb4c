//! What the server fills in, and what it leaves out, in kinds that come with every cluster.
//!
//! Source: the defaulting functions and the types (`omitempty`) of `k8s.io/kubernetes` (1.34).

use stratos_engine::desired::document::Leaf;

/// Whether a field that nobody writes gets just this value: to remove it changes nothing. `names` leads there, without places in
/// lists.
pub(crate) fn is_filled_in(names: &[&str], leaf: &Leaf) -> bool {
    match (names, leaf) {
        (_, Leaf::Text(text)) => text_is_filled_in(names, text),
        (["spec", field], Leaf::Integer(number)) => matches!(
            (*field, *number),
            ("replicas" | "minReplicas" | "failedJobsHistoryLimit", 1)
                | ("revisionHistoryLimit", 10)
                | ("progressDeadlineSeconds", 600)
                | ("successfulJobsHistoryLimit", 3)
        ),
        ([.., "spec", "terminationGracePeriodSeconds"], Leaf::Integer(30)) => true,
        ([.., "livenessProbe" | "readinessProbe" | "startupProbe", field], Leaf::Integer(number)) => {
            matches!((*field, *number), ("periodSeconds", 10) | ("timeoutSeconds" | "successThreshold", 1) | ("failureThreshold", 3))
        }
        ([.., "volumes", "configMap" | "secret" | "projected" | "downwardAPI", "defaultMode"], Leaf::Integer(420)) => true,
        (["spec", "suspend"], Leaf::Bool(false)) | (["spec", "jobTemplate", "metadata", "{}"], Leaf::Bool(true)) => true,
        ([.., "containers" | "initContainers", "resources", "{}"], Leaf::Bool(true)) => true,
        ([.., "template", "spec", "securityContext", "{}"], Leaf::Bool(true)) => true,
        _ => false,
    }
}

fn text_is_filled_in(names: &[&str], text: &str) -> bool {
    match names {
        [.., "containers" | "initContainers", "terminationMessagePath"] => text == "/dev/termination-log",
        [.., "containers" | "initContainers", "terminationMessagePolicy"] => text == "File",
        [.., "template", "spec", "dnsPolicy"] => text == "ClusterFirst",
        [.., "template", "spec", "schedulerName"] => text == "default-scheduler",
        ["spec", "template", "spec", "restartPolicy"] => text == "Always",
        [.., "httpGet", "scheme"] => text == "HTTP",
        ["spec", "strategy", "type"] => text == "RollingUpdate",
        ["spec", "strategy", "rollingUpdate", "maxSurge" | "maxUnavailable"] => text == "25%",
        ["spec", "podManagementPolicy"] => text == "OrderedReady",
        ["spec", "type"] => text == "ClusterIP",
        ["spec", "sessionAffinity"] => text == "None",
        ["spec", "internalTrafficPolicy"] => text == "Cluster",
        ["spec", "concurrencyPolicy"] => text == "Allow",
        ["spec", "volumeMode"] => text == "Filesystem",
        ["type"] => text == "Opaque",
        _ => false,
    }
}

/// Whether the server keeps no such value: none is just as good.
pub(crate) fn is_left_out(names: &[&str], leaf: &Leaf) -> bool {
    match leaf {
        Leaf::Bool(false) => matches!(
            names,
            [.., "spec", "hostNetwork" | "hostPID" | "hostIPC" | "paused" | "publishNotReadyAddresses"]
                | [.., "containers" | "initContainers", "stdin" | "stdinOnce" | "tty"]
                | [.., "volumeMounts", "readOnly"]
        ),
        Leaf::Integer(0) => {
            matches!(names, ["spec", "minReadySeconds"] | [.., "livenessProbe" | "readinessProbe" | "startupProbe", "initialDelaySeconds"])
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_is_neither() {
        for names in [&["spec", "immutable"][..], &["spec", "template", "spec", "enableServiceLinks"]] {
            assert!(!is_left_out(names, &Leaf::Bool(false)) && !is_filled_in(names, &Leaf::Bool(false)));
        }
        let restart = ["spec", "template", "spec", "initContainers", "restartPolicy"];
        assert!(!is_filled_in(&restart, &Leaf::Text("Always".into())));
        assert!(is_filled_in(&["spec", "replicas"], &Leaf::Integer(1)) && !is_filled_in(&["spec", "replicas"], &Leaf::Integer(2)));
    }
}
