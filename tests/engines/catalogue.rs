//! The catalogue's cartridges, each with the real software in the image that it names.

use crate::project::{SECRET, answers, engines, environment, get, works};
use crate::support::Place;

/// A project with one app of this cartridge.
fn project(platform: &str, name: &str, tag: &str, app: &str) -> Place {
    stratos_test_platforms::provide(engines(), 0, name, tag);
    let environment = environment(platform, &format!("{platform}-{name}"));
    Place::with(&format!(
        "[project]\nname = \"catalogue\"\nid = \"{platform}{name}\"\n[environments.prod]\n{environment}\n\
         [secrets]\npassword = {{ env = \"PASSWORD\" }}\n[apps.{name}]\ncartridge = \"{name}\"\n{app}\n"
    ))
}

/// The container of its first instance: `…-1`, or `….1.<task>`.
fn first_container(platform: &str, name: &str) -> String {
    let containers = engines().docker(0, &["ps", "--quiet", "--filter", &format!("name={platform}-{name}-{name}[-.]1")]);
    assert_eq!(containers.lines().count(), 1, "{containers}");
    containers
}

fn nginx(platform: &str, port: u16) {
    let app = format!("ports.http = {{ port = 80, publish = {port} }}\nparameters.page = \"<h1>Good day</h1>\"");
    works(&project(platform, "nginx", "1.28-alpine", &app), || answers(port, &get("/"), "<h1>Good day</h1>"));
}

fn tomcat(platform: &str, port: u16) {
    let app = format!("ports.http = {{ port = 8080, publish = {port} }}");
    // Nothing is deployed on it yet: its own page for that.
    works(&project(platform, "tomcat", "11.0", &app), || answers(port, &get("/"), "404"));
}

fn php(platform: &str, port: u16) {
    let app = format!("ports.http = {{ port = 80, publish = {port} }}\nparameters.memory_limit = \"77M\"");
    works(&project(platform, "php", "8.4-apache", &app), || {
        let page = "echo '<?php echo \"limit=\", ini_get(\"memory_limit\");' > /var/www/html/index.php";
        engines().docker(0, &["exec", &first_container(platform, "php"), "sh", "-c", page]);
        answers(port, &get("/"), "limit=77M");
    });
}

fn mysql(platform: &str, port: u16) {
    let app = format!(
        "ports.mysql = {{ port = 3306, publish = {port} }}\n\
         parameters = {{ password = \"{{{{ secrets.password }}}}\", root_password = \"{{{{ secrets.password }}}}\" }}"
    );
    works(&project(platform, "mysql", "8.4", &app), || {
        answers(port, "", "mysql_native_password");
        let container = first_container(platform, "mysql");
        let login = format!("--password={SECRET}");
        let query = ["exec", container.as_str(), "mariadb", "--host=127.0.0.1", "--user=app", &login, "app", "--execute=select 6*7"];
        assert!(engines().docker(0, &query).contains("42"));
    });
}

fn redis(platform: &str, port: u16) {
    let app = format!("ports.redis = {{ port = 6379, publish = {port} }}\nparameters.password = \"{{{{ secrets.password }}}}\"");
    works(&project(platform, "redis", "8.2-alpine", &app), || {
        answers(port, "PING\r\n", "-NOAUTH");
        answers(port, &format!("AUTH {SECRET}\r\nPING\r\n"), "+PONG");
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
