//! The platform `swarm` against a real swarm: the conformance suite, and each trap of swarms by name.

mod edit;
mod pulls;
mod subject;
mod traps;

use subject::SwarmSubject;

stratos_engine::contract_suite!(contract: SwarmSubject);
