//! The catalogue's cartridges, each with the real software in the image that it names.

use crate::project::{SECRET, answers, environment, get, provide, reached, stratos, works};
use crate::support::Place;

/// A project with one app of a cartridge, on a platform.
struct App {
    place: Place,
    platform: &'static str,
    name: &'static str,
    /// Where it is published.
    port: u16,
}

impl App {
    fn new(platform: &'static str, name: &'static str, tag: &str, ports: (&str, u16, u16), more: &str) -> Self {
        provide(platform, name, tag);
        let environment = environment(platform, &format!("{platform}-{name}"));
        let (port_name, inside, port) = ports;
        let place = Place::with(&format!(
            "[project]\nname = \"catalogue\"\nid = \"{platform}{name}\"\n[environments.prod]\n{environment}\n\
             [secrets]\npassword = {{ env = \"PASSWORD\" }}\n[apps.{name}]\ncartridge = \"{name}\"\n\
             ports.{port_name} = {{ port = {inside}, publish = {port} }}\n{more}\n"
        ));
        Self { place, platform, name, port }
    }

    #[track_caller]
    fn works(&self, look: impl FnOnce()) {
        works(&self.place, look);
    }

    #[track_caller]
    fn answers(&self, request: &str, expected: &str) {
        answers(&reached(self.platform, &format!("{}-{}", self.platform, self.name), self.name), self.port, request, expected);
    }

    /// What a command prints in its instance.
    #[track_caller]
    fn exec(&self, command: &[&str]) -> String {
        stratos(&self.place, &[&["exec", self.name, "--"], command].concat(), 0).out
    }
}

fn nginx(platform: &'static str, port: u16) {
    let app = App::new(platform, "nginx", "1.28-alpine", ("http", 80, port), "parameters.page = \"<h1>Good day</h1>\"");
    app.works(|| app.answers(&get("/"), "<h1>Good day</h1>"));
}

fn tomcat(platform: &'static str, port: u16) {
    // Nothing is deployed on it yet: its own page for that.
    let app = App::new(platform, "tomcat", "11.0", ("http", 8080, port), "");
    app.works(|| app.answers(&get("/"), "404"));
}

fn php(platform: &'static str, port: u16) {
    let app = App::new(platform, "php", "8.4-apache", ("http", 80, port), "parameters.memory_limit = \"77M\"");
    app.works(|| {
        app.exec(&["sh", "-c", "echo '<?php echo \"limit=\", ini_get(\"memory_limit\");' > /var/www/html/index.php"]);
        app.answers(&get("/"), "limit=77M");
    });
}

fn mysql(platform: &'static str, port: u16) {
    let passwords = "parameters = { password = \"{{ secrets.password }}\", root_password = \"{{ secrets.password }}\" }";
    let app = App::new(platform, "mysql", "8.4", ("mysql", 3306, port), passwords);
    app.works(|| {
        app.answers("", "mysql_native_password");
        let login = format!("--password={SECRET}");
        let query = ["mariadb", "--host=127.0.0.1", "--user=app", &login, "app", "--execute=select 6*7"];
        assert!(app.exec(&query).contains("42"));
    });
}

fn redis(platform: &'static str, port: u16) {
    let app = App::new(platform, "redis", "8.2-alpine", ("redis", 6379, port), "parameters.password = \"{{ secrets.password }}\"");
    app.works(|| {
        app.answers("PING\r\n", "-NOAUTH");
        app.answers(&format!("AUTH {SECRET}\r\nPING\r\n"), "+PONG");
    });
}

mod on_docker {
    #[test]
    fn nginx() {
        super::nginx("docker", 22080);
    }
    #[test]
    fn tomcat() {
        super::tomcat("docker", 22081);
    }
    #[test]
    fn php() {
        super::php("docker", 22082);
    }
    #[test]
    fn mysql() {
        super::mysql("docker", 22083);
    }
    #[test]
    fn redis() {
        super::redis("docker", 22084);
    }
}

mod on_swarm {
    #[test]
    fn nginx() {
        super::nginx("swarm", 21080);
    }
    #[test]
    fn tomcat() {
        super::tomcat("swarm", 21081);
    }
    #[test]
    fn php() {
        super::php("swarm", 21082);
    }
    #[test]
    fn mysql() {
        super::mysql("swarm", 21083);
    }
    #[test]
    fn redis() {
        super::redis("swarm", 21084);
    }
}

mod on_kubernetes {
    #[test]
    fn nginx() {
        super::nginx("kubernetes", 23080);
    }
    #[test]
    fn tomcat() {
        super::tomcat("kubernetes", 23081);
    }
    #[test]
    fn php() {
        super::php("kubernetes", 23082);
    }
    #[test]
    fn mysql() {
        super::mysql("kubernetes", 23083);
    }
    #[test]
    fn redis() {
        super::redis("kubernetes", 23084);
    }
}
