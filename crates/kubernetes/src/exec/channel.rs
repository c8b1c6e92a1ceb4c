//! The messages of a session: a byte that says which channel, and what goes over it.

use bytes::Bytes;
use kube::core::Status;
use stratos_engine::platform::exec::TerminalSize;

const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const ERROR: u8 = 2;
const END: u8 = 3;
const SIZE: u8 = 4;
/// Version 5: the channel that follows has ended.
const CLOSE: u8 = 255;

/// What a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Output(Vec<u8>),
    Error(Vec<u8>),
    /// How the command ended.
    End(End),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Exited(i64),
    /// It was not started, or nobody knows how it ended.
    Failed(String),
}

/// Reads a message. None for what says nothing: an empty one opens each channel.
pub(super) fn read(message: &[u8]) -> Option<Told> {
    let (channel, rest) = message.split_first()?;
    match *channel {
        OUTPUT if !rest.is_empty() => Some(Told::Output(rest.to_vec())),
        ERROR if !rest.is_empty() => Some(Told::Error(rest.to_vec())),
        END if !rest.is_empty() => Some(Told::End(end(rest))),
        _ => None,
    }
}

fn end(status: &[u8]) -> End {
    let Ok(status) = serde_json::from_slice::<Status>(status) else {
        return End::Failed(String::from_utf8_lossy(status).into_owned());
    };
    if status.is_success() {
        return End::Exited(0);
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let code = causes.filter(|cause| cause.reason == "ExitCode").find_map(|cause| cause.message.parse().ok());
    code.map_or(End::Failed(status.message), End::Exited)
}

pub(super) fn input(bytes: &[u8]) -> Bytes {
    [&[INPUT], bytes].concat().into()
}

pub(super) fn end_of_input() -> Bytes {
    Bytes::from_static(&[CLOSE, INPUT])
}

pub(super) fn size(size: TerminalSize) -> Bytes {
    let TerminalSize { columns, rows } = size;
    [&[SIZE], format!(r#"{{"Width":{columns},"Height":{rows}}}"#).as_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: &str) -> Option<Told> {
        read(&[&[END], status.as_bytes()].concat())
    }

    #[test]
    fn an_empty_message_says_nothing() {
        assert_eq!(read(&[]), None);
        assert_eq!([OUTPUT, ERROR, END].map(|channel| read(&[channel])), [None, None, None]);
    }

    #[test]
    fn messages_are_told_apart_by_their_first_byte() {
        assert_eq!(read(b"\x01hi"), Some(Told::Output(b"hi".to_vec())));
        assert_eq!(read(b"\x02\xff"), Some(Told::Error(b"\xff".to_vec())));
        assert_eq!(&input(b"x")[..], b"\x00x");
        assert_eq!(&size(TerminalSize { columns: 80, rows: 24 })[..], b"\x04{\"Width\":80,\"Height\":24}");
    }

    #[test]
    fn an_end_has_a_code_or_a_reason() {
        assert_eq!(ended(r#"{"metadata":{},"status":"Success"}"#), Some(Told::End(End::Exited(0))));
        let failed = r#"{"status":"Failure","reason":"NonZeroExitCode","message":"command terminated","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#;
        assert_eq!(ended(failed), Some(Told::End(End::Exited(3))));
        let broken = r#"{"status":"Failure","reason":"InternalError","message":"no such program"}"#;
        assert_eq!(ended(broken), Some(Told::End(End::Failed("no such program".into()))));
        assert_eq!(ended("junk"), Some(Told::End(End::Failed("junk".into()))));
    }
}
