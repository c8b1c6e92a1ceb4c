//! An app on a plain engine: it runs, commands run in it, and no log holds its secret.

use stratos_test_platforms::shared_swarm;

use crate::support::terminal::Terminal;
use crate::support::{Place, eventually};

const PROJECT: &str = "[project]\nname = \"shop\"\nid = \"k3v9q2xw\"\n";

#[test]
fn an_app_runs_and_commands_run_in_it_and_no_log_holds_its_secret() {
    let engines = shared_swarm();
    let manifest = format!(
        "{PROJECT}[environments.here]\nplatform = \"docker\"\nurl = \"{}\"\n[secrets]\ntoken = {{ file = \"token\" }}\n\
         [apps.web]\nimage = \"{}/web:1\"\nenv.TOKEN = \"{{{{ secrets.token }}}}\"\n",
        engines.url(0),
        engines.registry()
    );
    let place = Place::with(&manifest);
    place.write("token", "hunter2-hunter2");
    let applied = place.run(&["apply", "--yes", "-vvv"]);
    assert!(!format!("{}{}", applied.out, applied.err).contains("hunter2"), "a value is in what was printed or logged");
    let applied = applied.code(0);
    assert!(applied.err.contains("TRACE") || applied.err.contains("DEBUG"), "nothing was logged: this proves nothing");
    let again = place.run(&["plan", "-vvv", "--detailed-exitcode"]).code(0);
    assert!(!again.err.contains("hunter2"), "what the engine answers is logged");
    let run = place.run(&["exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]).code(7);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("out\n", "err\n"));
    assert_eq!(place.run(&["exec", "web", "--", "sh", "-c", "echo $TOKEN"]).code(0).out, "hunter2-hunter2\n");
    let mut piped = place.stratos(&["exec", "web", "-i", "--", "cat"]);
    assert_eq!(piped.write_stdin("from here").output().unwrap().stdout, b"from here");
    let terminal = place.run(&["exec", "web", "-t", "--", "sh"]).code(64);
    assert!(terminal.err.contains("-t needs a terminal"), "{}", terminal.err);
    let missing = place.run(&["exec", "web", "--instance", "shop-web-9", "--", "true"]).code(1);
    assert!(
        missing.err.contains("there is no instance \"shop-web-9\"") && missing.err.contains("there runs: shop-web-1"),
        "{}",
        missing.err
    );
    assert!(place.run(&["logs", "web"]).code(0).out.contains("shop-web-1 | version 1 listens on"));
    place.run(&["destroy", "--yes"]).code(0);
    assert!(place.run(&["exec", "web", "--", "true"]).code(1).err.contains("nothing of the app \"web\" runs here"));
}

/// A shell in an instance, with a person at it: keys go there, the terminal has a size there, and it is whole afterwards.
#[test]
fn a_shell_in_an_instance_has_the_terminal() {
    let engines = shared_swarm();
    for platform in ["docker", "swarm"] {
        let manifest = format!(
            "[project]\nname = \"shell\"\nid = \"sh3llsh3\"\n\
             [environments.here]\nplatform = \"{platform}\"\nurl = \"{}\"\nnamespace = \"shell-{platform}\"\n\
             [apps.web]\nimage = \"{}/web:1\"\n",
            engines.url(0),
            engines.registry()
        );
        let place = Place::with(&manifest);
        place.run(&["apply", "--yes"]).code(0);
        let terminal = Terminal::run(&place, &["exec", "web", "-it", "--", "sh"], &[]);
        terminal.shows("# ");
        // The shell asks the terminal where the cursor is, and may lose what is typed before it has the answer.
        let mut looks = 0;
        eventually("a shell that takes what is typed", || {
            if looks % 8 == 0 {
                terminal.types("\x03echo $((6 * 7))\r");
            }
            looks += 1;
            terminal.screen().contains("\n42\n").then_some(())
        });
        let has_size = |size: &str, told: &str| {
            terminal.types(&format!("until busybox stty size | grep -q '{size}'; do sleep 0.1; done; echo $(({told} * 1))\r"));
            terminal.shows(&format!("\n{told}\n"));
        };
        has_size("^50 160", "501");
        terminal.resizes(40, 120);
        has_size("^40 120", "401");
        // Ctrl-C ends what runs in the shell, and neither the shell nor the program.
        terminal.types("sh -c 'echo $((7 * 7)); exec sleep 1000'\r");
        terminal.shows("\n49");
        terminal.interrupts();
        terminal.types("echo $((8 * 8))\r");
        terminal.shows("\n64");
        assert!(!terminal.echoes(), "each key goes there as it is");
        terminal.types("exit 7\r");
        let ended = terminal.ended().code(7);
        assert!(ended.echo && ended.cursor, "the terminal is not as it was: {ended:?}");
        place.run(&["destroy", "--yes"]).code(0);
    }
}
