//! `stratos hello`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use stratos_engine::desired::quantity;

use super::Context;
use super::error::{Exit, Failure};
use super::output::Output;
use super::signals::Signals;

const EXAMPLES: &str = "\
Examples:
  stratos hello --port 8080
  PORT=8080 stratos hello --message 'Good morning'
  stratos hello --unhealthy            serves, and fails its health check
  stratos hello --crash-after 5s       ends with exit code 1: a crash loop, under a supervisor
  stratos hello --delay-start 10s      listens only after a while
It serves a page at / and its health at /healthz, writes a line per request,
and ends gracefully on SIGTERM.";

/// A small web server for demonstrations and tests: what the cartridge `hello` runs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    host: std::net::IpAddr,

    /// The port to listen on; 0 takes any.
    #[arg(long, env = "PORT", value_name = "PORT", default_value_t = 8080)]
    port: u16,

    /// The sentence on the page.
    #[arg(long, env = "HELLO_MESSAGE", value_name = "TEXT", default_value = "Hello from Stratos")]
    message: String,

    /// The version on the page.
    #[arg(long, env = "HELLO_VERSION", value_name = "TEXT", default_value = env!("CARGO_PKG_VERSION"))]
    release: String,

    /// Fail the health check.
    #[arg(long)]
    unhealthy: bool,

    /// End with exit code 1 after this time, such as `1s`.
    #[arg(long, value_name = "TIME")]
    crash_after: Option<quantity::Duration>,

    /// Listen only after this time, such as `2s`.
    #[arg(long, value_name = "TIME")]
    delay_start: Option<quantity::Duration>,
}

/// What the pages are made of.
struct Page {
    message: String,
    release: String,
    instance: String,
    unhealthy: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let mut signals = Signals::new()?;
    let output = &context.output;
    let crash = args.crash_after.map(|after| Instant::now() + after.to_std());
    if let Some(delay) = args.delay_start {
        output.result(&format!("waiting for {delay}"));
        tokio::select! {
            () = tokio::time::sleep(delay.to_std()) => {}
            () = signals.next() => return Ok(Exit::Success),
            () = until(crash) => return Err(crashed()),
        }
    }
    let address = SocketAddr::new(args.host, args.port);
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.map_err(|error| {
        Failure::new(format!("listening on {address}: {error}")).with_hint("choose another port with --port, or PORT in the environment")
    })?;
    let bound = listener.local_addr().unwrap_or(address);
    output.result(&format!("listening on http://{bound}"));
    let machine = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let instance = format!("{machine}, process {}, port {}", std::process::id(), bound.port());
    let page = Arc::new(Page { message: args.message, release: args.release, instance, unhealthy: args.unhealthy });
    let log = Arc::new(Output::new(output.format(), Default::default(), output.quiet()));
    let app = router(page, log);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serve = axum::serve(listener, app).with_graceful_shutdown(async {
        // A sender that is gone also means to stop.
        let _ = stopped.await;
    });
    let mut serving = tokio::spawn(serve.into_future());
    tokio::select! {
        () = signals.next() => {
            output.result("stopping: open requests are finished");
            let _ = stop.send(());
            // A client that keeps its connection open must not keep the server from ending.
            let _ = tokio::time::timeout(GRACE, &mut serving).await;
            Ok(Exit::Success)
        }
        () = until(crash) => Err(crashed()),
        ended = &mut serving => Err(Failure::new(format!("serving ended: {ended:?}"))),
    }
}

/// Less than the time after which supervisors lose patience (10 s in most of them).
const GRACE: Duration = Duration::from_secs(5);

fn crashed() -> Failure {
    Failure::new("crashed, as --crash-after asked")
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

fn router(page: Arc<Page>, log: Arc<Output>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(health))
        .with_state(page)
        .layer(middleware::from_fn_with_state(log, write_line))
}

async fn index(State(page): State<Arc<Page>>) -> Html<String> {
    let Page { message, release, instance, unhealthy: _ } = &*page;
    let [message, release, instance] = [message, release, instance].map(|text| escape(text));
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{message}</title>\n<style>body {{ font: 1.2em/1.6 system-ui, sans-serif; max-width: 36em; margin: 4em auto; padding: 0 1em }} \
         dt {{ color: #777; float: left; width: 6em }}</style>\n<h1>{message}</h1>\n\
         <dl>\n<dt>app</dt><dd>hello</dd>\n<dt>instance</dt><dd>{instance}</dd>\n<dt>version</dt><dd>{release}</dd>\n</dl>\n</html>\n"
    ))
}

async fn health(State(page): State<Arc<Page>>) -> (StatusCode, &'static str) {
    if page.unhealthy { (StatusCode::SERVICE_UNAVAILABLE, "unhealthy, as --unhealthy asked\n") } else { (StatusCode::OK, "ok\n") }
}

async fn write_line(State(log): State<Arc<Output>>, request: Request, next: Next) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let begun = Instant::now();
    let response = next.run(request).await.into_response();
    log.result(&format!("{line} {} in {} µs", response.status().as_u16(), begun.elapsed().as_micros()));
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
