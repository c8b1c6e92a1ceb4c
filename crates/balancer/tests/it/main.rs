//! The balancer as it runs in a container: a process, its file and its signals.

mod balancer;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use balancer::{Balancer, PATIENCE, ask, connect};
use server::Server;

#[tokio::test]
async fn under_load_a_change_of_targets_loses_no_request_and_open_connections_go_on() {
    let (a, b) = (Server::start(b'a').await, Server::start(b'b').await);
    let mut balancer = Balancer::start(&[&a.target], 1000).await;
    let mut held = connect(balancer.address).await;
    assert_eq!(ask(&mut held).await.unwrap(), b'a');

    let stop = Arc::new(AtomicBool::new(false));
    let load = (0..8).map(|_| {
        let (stop, address) = (stop.clone(), balancer.address);
        tokio::spawn(async move {
            let mut answered = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut stream = connect(address).await;
                for _ in 0..3 {
                    let answer = ask(&mut stream).await.expect("a request is lost");
                    assert!(answer == b'a' || answer == b'b');
                    answered += 1;
                }
            }
            answered
        })
    });
    let load: Vec<_> = load.collect();
    for targets in [vec![&a.target, &b.target], vec![&b.target], vec![&a.target, &b.target], vec![&a.target]].into_iter().cycle().take(12) {
        balancer.aim(&targets).await;
        // Each of them gets what is new, and no other does.
        for server in [&a, &b].into_iter().filter(|server| targets.contains(&&server.target)) {
            server.takes_another().await;
        }
        let mut fresh = connect(balancer.address).await;
        let answer = ask(&mut fresh).await.unwrap();
        assert!([&a, &b].into_iter().any(|server| server.letter == answer && targets.contains(&&server.target)));
        assert_eq!(ask(&mut held).await.unwrap(), b'a', "a connection to a target that left goes on");
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        assert!(task.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_target_that_refuses_or_has_no_address_is_skipped_for_the_next_and_names_are_looked_up() {
    let server = Server::start(b'a').await;
    let refuses = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let by_name = server.target.replace("127.0.0.1", "localhost");
    let balancer = Balancer::start(&[&refuses, "no-such-host.invalid:80", &by_name], 1000).await;
    for _ in 0..20 {
        assert_eq!(ask(&mut connect(balancer.address).await).await.unwrap(), b'a');
    }
}

#[tokio::test]
async fn targets_with_as_few_connections_take_turns() {
    let (a, b) = (Server::start(b'a').await, Server::start(b'b').await);
    let balancer = Balancer::start(&[&a.target, &b.target], 1000).await;
    let mut answers = vec![];
    for _ in 0..6 {
        let mut stream = connect(balancer.address).await;
        answers.push(ask(&mut stream).await.unwrap());
        drop(stream);
    }
    assert_eq!(answers.iter().filter(|answer| **answer == b'a').count(), 3, "{answers:?}");
}

#[tokio::test]
async fn at_the_limit_connections_wait_until_one_ends() {
    let server = Server::start(b'a').await;
    server.close_gate();
    let balancer = Balancer::start(&[&server.target], 2).await;
    let address = balancer.address;
    let clients: Vec<_> = (0..6).map(|_| tokio::spawn(async move { ask(&mut connect(address).await).await.unwrap() })).collect();
    server.has_open(2).await;
    // That a third one does not come can only be waited for in vain.
    assert!(timeout(Duration::from_millis(300), server.has_open(3)).await.is_err());
    server.open_gate();
    for client in clients {
        assert_eq!(timeout(PATIENCE, client).await.expect("those that waited get their turn").unwrap(), b'a');
    }
    assert_eq!(server.most_at_once(), 2);
}

#[tokio::test]
async fn the_limit_can_be_raised_while_connections_wait() {
    let server = Server::start(b'a').await;
    let mut balancer = Balancer::start(&[&server.target], 1).await;
    let mut held = connect(balancer.address).await;
    assert_eq!(ask(&mut held).await.unwrap(), b'a');
    let mut waits = connect(balancer.address).await;
    waits.write_u8(b'?').await.unwrap();
    balancer.configure(&[&server.target], 2);
    balancer.signal(Signal::SIGHUP);
    assert!(balancer.line().await.ends_with("at most 2 connections"));
    assert_eq!(balancer::answer(&mut waits).await.unwrap(), b'a');
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing_and_is_told() {
    let server = Server::start(b'a').await;
    let mut balancer = Balancer::start(&[&server.target], 1000).await;
    let serves = async |balancer: &Balancer| assert_eq!(ask(&mut connect(balancer.address).await).await.unwrap(), b'a');

    balancer.write("{ \"listeners\": [");
    balancer.signal(Signal::SIGHUP);
    let line = balancer.line().await;
    assert!(line.starts_with("unchanged: reading ") && line.contains("EOF while parsing"), "{line}");
    serves(&balancer).await;

    // One of its addresses is taken: the others are not touched either.
    let taken = server.target.clone();
    balancer.write(&format!("{{ \"listeners\": [{{ \"listen\": \"{taken}\", \"targets\": [] }}] }}"));
    balancer.signal(Signal::SIGHUP);
    let line = balancer.line().await;
    assert!(line.starts_with(&format!("unchanged: listening on {taken}: ")), "{line}");
    serves(&balancer).await;

    std::fs::remove_file(balancer.file()).unwrap();
    balancer.signal(Signal::SIGHUP);
    assert!(balancer.line().await.starts_with("unchanged: reading "));
    serves(&balancer).await;
}

#[tokio::test]
async fn a_listener_that_is_not_in_the_file_any_more_is_closed_and_its_connections_go_on() {
    let server = Server::start(b'a').await;
    let mut balancer = Balancer::start(&[&server.target], 1000).await;
    let mut held = connect(balancer.address).await;
    assert_eq!(ask(&mut held).await.unwrap(), b'a');
    balancer.write("{ \"listeners\": [] }");
    balancer.signal(Signal::SIGHUP);
    assert!(balancer.line().await.starts_with("ready: no listeners"));
    assert_eq!(ask(&mut held).await.unwrap(), b'a');
    let closed = async { while tokio::net::TcpStream::connect(balancer.address).await.is_ok() {} };
    timeout(PATIENCE, closed).await.expect("it listens no more");
    balancer.signal(Signal::SIGTERM);
    assert!(balancer.ended().await.success());
}

#[tokio::test]
async fn it_tells_when_a_target_that_left_has_nothing_to_answer_any_more() {
    let (a, b) = (Server::start(b'a').await, Server::start(b'b').await);
    let mut balancer = Balancer::start(&[&a.target], 1000).await;
    a.close_gate();
    let mut asked = connect(balancer.address).await;
    asked.write_u8(b'?').await.unwrap();
    a.has_open(1).await;
    balancer.aim(&[&b.target]).await;
    // That it says nothing yet can only be waited for in vain.
    assert!(timeout(Duration::from_millis(300), balancer.line()).await.is_err());
    a.open_gate();
    assert_eq!(balancer::answer(&mut asked).await.unwrap(), b'a');
    assert_eq!(balancer.line().await, format!("drained: {}", a.target));
}

#[tokio::test]
async fn a_signal_ends_it_once_what_was_asked_is_answered() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Server::start(b'a').await;
        let mut balancer = Balancer::start(&[&server.target], 1000).await;
        let mut idle = connect(balancer.address).await;
        assert_eq!(ask(&mut idle).await.unwrap(), b'a');
        server.close_gate();
        let mut asked = connect(balancer.address).await;
        asked.write_u8(b'?').await.unwrap();
        server.has_open(2).await;

        balancer.signal(signal);
        let closed = async { while tokio::net::TcpStream::connect(balancer.address).await.is_ok() {} };
        timeout(PATIENCE, closed).await.expect("it listens no more");
        server.open_gate();
        assert_eq!(balancer::answer(&mut asked).await.unwrap(), b'a');
        assert!(balancer.ended().await.success());
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let server = Server::start(b'a').await;
    let mut balancer = Balancer::start(&[&server.target], 1000).await;
    server.close_gate();
    let mut asked = connect(balancer.address).await;
    asked.write_u8(b'?').await.unwrap();
    server.has_open(1).await;
    balancer.signal(Signal::SIGTERM);
    let closed = async { while tokio::net::TcpStream::connect(balancer.address).await.is_ok() {} };
    timeout(PATIENCE, closed).await.expect("it has seen the first one");
    balancer.signal(Signal::SIGTERM);
    assert!(balancer.ended().await.success());
    assert!(balancer::answer(&mut asked).await.is_err());
}

#[tokio::test]
async fn without_a_file_that_can_be_used_it_does_not_start() {
    let (status, said) = Balancer::fails("{}").await;
    assert_eq!(status.code(), Some(1));
    assert!(said.starts_with("reading ") && said.contains("missing field `listeners`"), "{said}");
}
