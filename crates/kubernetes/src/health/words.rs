//! What parts of a cluster say, without what they wrap around it; and what helps in known cases.

/// The longest cause that fits into a sentence.
const LONGEST: usize = 400;

/// The cause in a message that was handed through several programs, each of which put its own words before it.
pub(super) fn cause(message: &str) -> String {
    let text = tidy(message);
    let inner = text.rsplit_once("desc = ").map_or(text.as_str(), |(_, cause)| cause);
    // The runtime's words around the program's name.
    let inner = ["unable to start container process: ", "failed to create containerd task: ", "failed to create shim task: "]
        .iter()
        .fold(inner, |inner, words| inner.rsplit_once(words).map_or(inner, |(_, cause)| cause));
    shortened(inner.trim())
}

/// One line without control characters.
pub(super) fn tidy(text: &str) -> String {
    without_control(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The text without what would move a terminal's cursor or change its colours. Tabs and line ends become spaces.
pub(super) fn without_control(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // `ESC [ … letter`; any other sequence has one more character.
                if chars.next() == Some('[') {
                    chars.by_ref().find(char::is_ascii_alphabetic);
                }
            }
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// What helps where an image cannot be pulled.
pub(super) fn about_pulling(message: &str) -> Option<&'static str> {
    let message = message.to_lowercase();
    let private = ["unauthorized", "authorization failed", "access denied", "401", "403 forbidden", "authentication required"];
    private
        .iter()
        .any(|word| message.contains(word))
        .then_some("the registry wants credentials: the pod, or its service account, must name them in `imagePullSecrets`")
}

/// What helps where a container cannot be started.
pub(super) fn about_starting(message: &str) -> Option<&'static str> {
    let as_root = message.contains("runAsNonRoot") || message.contains("non-root policy");
    as_root.then_some("the image runs as root, or its user has no number: set platform.kubernetes.run_as_user or pod_security")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_what_the_innermost_program_said() {
        assert_eq!(cause(""), "");
        assert_eq!(cause("secret \"db\" not found"), "secret \"db\" not found");
        let wrapped = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
                       unable to start container process: exec: \"/nosuch\": stat /nosuch: no such file or directory: unknown";
        assert_eq!(cause(wrapped), "exec: \"/nosuch\": stat /nosuch: no such file or directory: unknown");
        assert_eq!(cause(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(without_control("\u{1b}[31mred\u{1b}[0m\tand\u{7} \u{1b}cplain\r"), "red and plain ");
        assert_eq!(tidy("  two\n lines "), "two lines");
    }

    #[test]
    fn a_private_registry_is_known_by_its_words() {
        assert_eq!(about_pulling("not found"), None);
        assert!(
            about_pulling("pull access denied, repository does not exist or may require authorization: server message: Unauthorized")
                .is_some()
        );
    }
}
