//! A cluster to try things on: it prints how it is reached, and runs until standard input ends. With `api` it has no node.

#![expect(clippy::disallowed_macros, reason = "it is a program of its own, which has nothing else to print with")]

use stratos_test_platforms::Cluster;

fn main() {
    let api_only = std::env::args().nth(1).is_some_and(|kind| kind == "api");
    let cluster = if api_only { Cluster::start_api_only() } else { Cluster::start() };
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    if !api_only {
        println!("# images: {0}/web:1, {0}/web:2, {0}/web:sick, {0}/web:crash", cluster.registry());
        println!("# node: {}", cluster.node_address());
    }
    println!("# runs until standard input ends (Ctrl-D)");
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
