//! The platform `kubernetes` against a real cluster: the conformance suite, and what this platform alone promises.

mod admission;
mod adoption;
mod aggregated;
mod apart;
mod bad_objects;
mod case;
mod cases;
mod charts;
mod conflicts;
mod declared;
mod differential;
mod duplicates;
mod edit;
mod exec;
mod false_differences;
mod faults;
mod generate;
mod health;
mod jobs;
mod keyed_lists;
mod killed;
mod lifecycle;
mod live;
mod logs;
mod manifests;
mod proxy;
mod public;
mod read;
mod record;
mod rights;
mod stored;
mod subject;
mod support;
mod types;
mod unions;
mod user;

use subject::KubernetesSubject;

stratos_engine::contract_suite!(kubernetes: KubernetesSubject);
