//! The platform `kubernetes` against a real cluster: the conformance suite, and what this platform alone promises.

mod edit;
mod proxy;
mod subject;

use subject::KubernetesSubject;

stratos_engine::contract_suite!(kubernetes: KubernetesSubject);
