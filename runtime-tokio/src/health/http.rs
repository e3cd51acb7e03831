//! `/livez`, `/readyz` and `/metrics`, on a listener of their own.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::{Pulse, metrics};

/// Connections at once. One more ends the oldest: whoever asks last gets an answer, however many ask.
const CONNECTIONS_MAX: usize = 16;

/// How long a connection may take, from its first byte to its last: for the request, for the loop's answer, which may
/// take [`ANSWER_WITHIN`](super::ANSWER_WITHIN), and for the way back.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// Largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// How long accepting rests after a failure, which is usually that no further file can be opened.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Answers for ever.
pub(super) async fn answer(listener: TcpListener, pulse: Pulse) -> Infallible {
    let routes = routes(pulse);
    let mut tasks: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection of a monitor failed");
                sleep(ACCEPT_REST).await;
                continue;
            }
        };
        tasks.retain(|task| !task.is_finished());
        if tasks.len() >= CONNECTIONS_MAX
            && let Some(oldest) = tasks.pop_front()
        {
            oldest.abort();
        }
        tasks.push_back(tokio::spawn(converse(stream, routes.clone())).abort_handle());
    }
}

/// One connection, which ends after its first answer.
async fn converse(stream: TcpStream, routes: Router) {
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .half_close(true)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    match timeout(REQUEST_WITHIN, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a monitor's request failed"),
        Err(_) => tracing::debug!("a monitor's request took too long"),
    }
}

fn routes(pulse: Pulse) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(all_metrics))
        .fallback(async || plain(StatusCode::NOT_FOUND, "not found: /livez, /readyz and /metrics are here\n"))
        .with_state(pulse)
}

const SILENT: &str = "the server's loop does not answer\n";

async fn live(State(pulse): State<Pulse>) -> Response {
    match pulse.take().await {
        Some(_) => plain(StatusCode::OK, "ok\n"),
        None => plain(StatusCode::SERVICE_UNAVAILABLE, SILENT),
    }
}

async fn ready(State(pulse): State<Pulse>) -> Response {
    match pulse.take().await {
        None => plain(StatusCode::SERVICE_UNAVAILABLE, SILENT),
        Some(condition) if condition.draining => plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        Some(condition) if !condition.has_room() => plain(StatusCode::SERVICE_UNAVAILABLE, "almost full\n"),
        Some(_) => plain(StatusCode::OK, "ok\n"),
    }
}

async fn all_metrics(State(pulse): State<Pulse>) -> Response {
    match pulse.take().await {
        Some(condition) => (StatusCode::OK, headers(metrics::CONTENT_TYPE), metrics::text(condition)).into_response(),
        None => plain(StatusCode::SERVICE_UNAVAILABLE, SILENT),
    }
}

fn plain(status: StatusCode, body: &'static str) -> Response {
    (status, headers("text/plain; charset=utf-8"), body).into_response()
}

fn headers(content_type: &'static str) -> [(HeaderName, &'static str); 3] {
    [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::tests::answering;
    use super::super::{Condition, pulse};
    use super::*;
    use crate::serve;

    /// No test needs longer; one that does has hung.
    const DEADLINE: Duration = Duration::from_secs(10);

    /// A listener, and a loop that answers everybody so; without a condition the loop has ended.
    async fn monitored(condition: Option<Condition>) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback binds");
        let address = listener.local_addr().expect("it is bound");
        let (pulse, questions) = pulse();
        if let Some(condition) = condition {
            tokio::spawn(answering(questions, condition));
        }
        tokio::spawn(async move { match answer(listener, pulse).await {} });
        address
    }

    async fn ask(server: SocketAddr, request: &str) -> String {
        let asking = async {
            let mut stream = TcpStream::connect(server).await.expect("connects");
            stream.write_all(request.as_bytes()).await.expect("writes");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("closes without a reset");
            answer
        };
        timeout(DEADLINE, asking).await.expect("an answer within the deadline")
    }

    async fn get(server: SocketAddr, path: &str) -> String {
        ask(server, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
    }

    fn with_places(connections: usize, draining: bool) -> Condition {
        let server = serve::Tally { connections, places: 100, ..serve::Tally::default() };
        Condition { server, draining, ..Condition::default() }
    }

    #[tokio::test]
    async fn a_server_is_live_while_its_loop_answers_and_ready_unless_it_ends_or_is_almost_full() {
        let well = monitored(Some(with_places(94, false))).await;
        assert!(get(well, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
        let answer = get(well, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
        for (condition, why) in [(with_places(95, false), "almost full"), (with_places(0, true), "draining")] {
            let server = monitored(Some(condition)).await;
            assert!(get(server, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"), "{why}");
            let answer = get(server, "/readyz").await;
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with(&format!("\r\n\r\n{why}\n")), "{answer}");
        }
        let gone = monitored(None).await;
        for path in ["/livez", "/readyz", "/metrics"] {
            let answer = get(gone, path).await;
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("does not answer"), "{path}: {answer}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_not_found_not_allowed_or_no_request() {
        let server = monitored(Some(Condition::default())).await;
        for path in ["/", "/healthz", "/metrics/x", "/ws"] {
            assert!(get(server, path).await.starts_with("HTTP/1.1 404 "), "{path}");
        }
        assert!(ask(server, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
        assert!(ask(server, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
        let long = "x".repeat(HEAD_BYTES_MAX);
        let answer = ask(server, &format!("GET /livez HTTP/1.1\r\nHost: {long}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[tokio::test]
    async fn who_asks_is_answered_however_many_say_nothing_and_those_are_ended() {
        let server = monitored(Some(Condition::default())).await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX * 3 {
            silent.push(TcpStream::connect(server).await.expect("connects"));
            assert!(get(server, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
        }
        let mut first = silent.remove(0);
        let read = timeout(DEADLINE, first.read(&mut [0])).await.expect("ended within the deadline");
        assert!(matches!(read, Ok(0) | Err(_)), "the oldest made room");
    }
}
