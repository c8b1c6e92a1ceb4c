//! The platform `docker` against a real engine: the conformance suite, and what is particular to it by name.

mod behaviour;
mod edit;
mod load;
#[path = "../swarm/login.rs"]
mod login;
mod networks;
mod ports;
#[allow(dead_code, reason = "the tests of swarms need more of it")]
#[path = "../swarm/proxy.rs"]
mod proxy;
mod proxy_image;
mod pulls;
mod subject;

use subject::DockerSubject;

stratos_engine::contract_suite!(docker: DockerSubject);
