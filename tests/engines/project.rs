//! A user's project whose environment is on the tests' engine or cluster.

use std::sync::OnceLock;

use stratos_test_platforms::{Cluster, Engines, image_of, shared_swarm, unique_name};

use crate::support::{Place, Run, eventually, program};

/// What a test's commands may find in their environment variables; no output may hold it.
pub const SECRET: &str = "s3cret-s3cret";

/// The lines of an environment on the tests' engine or cluster.
pub fn environment(platform: &str, namespace: &str) -> String {
    if platform == "kubernetes" {
        let kubeconfig = Cluster::shared().kubeconfig().display();
        return format!("platform = \"{platform}\"\nnamespace = \"{namespace}\"\noptions = {{ kubeconfig = \"{kubeconfig}\" }}\n");
    }
    let url = shared_swarm().url(0);
    let options = match platform {
        // Names lead to instances and ports are published where those run, since the kernel of a test machine may lack IPVS.
        "swarm" => "options = { publish = \"host\", endpoint_mode = \"dnsrr\" }\n".to_owned(),
        "docker" => format!("options.proxy_image = \"{}\"\n", proxy_image()),
        other => panic!("no engine is of the platform {other}"),
    };
    format!("platform = \"{platform}\"\nurl = \"{url}\"\nnamespace = \"{namespace}\"\n{options}")
}

/// The image that holds published ports, as the Dockerfile makes it: of the program under test.
fn proxy_image() -> &'static str {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(|| {
        // No other process may give this name to another image.
        let image = format!("stratos-for-tests:{}", unique_name());
        image_of(shared_swarm(), 0, &image, &[("stratos", program())]);
        image
    })
}

/// The engine.
pub fn engines() -> &'static Engines {
    shared_swarm()
}

/// Runs the program. It must end with this code, and show no secret.
#[track_caller]
pub fn stratos(place: &Place, arguments: &[&str], code: i32) -> Run {
    let output = place.process(arguments).env("PASSWORD", SECRET).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let run = Run { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
    for said in [&run.out, &run.err] {
        assert!(!said.contains(SECRET), "{arguments:?} shows a secret: {said}");
    }
    run.code(code)
}

/// Plans, applies, finds nothing more to do and everything well; then lets `look` see whether it works, and destroys it.
#[track_caller]
pub fn works(place: &Place, look: impl FnOnce()) {
    stratos(place, &["plan", "--detailed-exitcode"], 2);
    stratos(place, &["apply", "--yes", "--all"], 0);
    stratos(place, &["plan", "--detailed-exitcode"], 0);
    stratos(place, &["status"], 0);
    look();
    stratos(place, &["destroy", "--yes", "--all", "--delete-data"], 0);
    stratos(place, &["plan", "--destroy", "--detailed-exitcode"], 0);
}

/// Where the published port of an app is reached. A Service's address leads to its pods from where its cluster was started.
pub fn reached(platform: &str, namespace: &str, app: &str) -> String {
    match platform {
        "kubernetes" => {
            let service = format!("service/{app}-published");
            Cluster::shared().kubectl(&["--namespace", namespace, "get", &service, "--output=jsonpath={.spec.clusterIP}"])
        }
        _ => engines().address(0),
    }
}

/// Puts the image of a cartridge where the platform pulls it from.
pub fn provide(platform: &str, name: &str, tag: &str) {
    match platform {
        "kubernetes" => stratos_test_platforms::provide_to(Cluster::shared(), name, tag),
        _ => stratos_test_platforms::provide(engines(), 0, name, tag),
    }
}

/// What a port answers to these bytes, as soon as the answer holds `expected`.
#[track_caller]
pub fn answers(address: &str, port: u16, request: &str, expected: &str) {
    use std::io::{Read as _, Write as _};
    let ask = || {
        let mut stream = std::net::TcpStream::connect((address, port)).ok()?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            answer.extend_from_slice(&buffer[..count]);
            if String::from_utf8_lossy(&answer).contains(expected) {
                return Some(());
            }
        }
        None
    };
    eventually(&format!("{expected:?} from port {port}"), ask);
}

/// `GET /path`.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
}
