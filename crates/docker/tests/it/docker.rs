//! The platform `docker` against a real engine: the conformance suite, and what is particular to it by name.

mod behaviour;
mod edit;
mod load;
mod networks;
mod ports;
mod pulls;
mod subject;

use subject::DockerSubject;

stratos_engine::contract_suite!(contract: DockerSubject);
