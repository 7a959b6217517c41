//! Requests to the API, over its Unix socket, with a control that always answers.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use xrouter::api::Listeners;
use xrouter::control::request::{Handle, Request};

/// First octet of an input: the others are an address to be looked up, else a whole request.
const LOOKUP: u8 = b'/';

static SOCKET: LazyLock<PathBuf> = LazyLock::new(serve);

/// `octets` are an address after [`LOOKUP`], or a request.
pub fn run(octets: &[u8]) {
    match octets.split_first() {
        Some((&LOOKUP, address)) => lookup(address),
        _ => request(octets),
    }
}

/// 200 for an address, 400 for anything else, and nothing in it that steers a terminal.
fn lookup(address: &[u8]) {
    let path: String = address.iter().map(|octet| format!("%{octet:02x}")).collect();
    let question = format!("GET /v1/routes/{path} HTTP/1.0\r\n\r\n");
    let answer = ask(question.as_bytes(), Then::Wait);
    let parsed = str::from_utf8(address).ok().and_then(|text| text.parse::<IpAddr>().ok());
    let expected = match parsed {
        _ if address.is_empty() => 404,
        Some(_) => 200,
        None => 400,
    };
    assert_eq!(status(&answer), Some(expected), "{answer}");
    assert!(!answer.contains(|c: char| c.is_control() && c != '\n' && c != '\r'), "{answer:?}");
}

/// Nothing, or an answer that blames the asker.
fn request(octets: &[u8]) {
    let answer = ask(octets, Then::HangUp);
    let blamed = status(&answer).is_some_and(|status| (200..500).contains(&status));
    assert!(answer.is_empty() || blamed, "{answer}");
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
}

/// What the asker does after its request.
#[derive(PartialEq, Eq)]
enum Then {
    Wait,
    /// It may be half a request: nobody is to wait for the rest.
    HangUp,
}

/// What the API says until it hangs up. That it does not read all of nonsense is its right.
fn ask(request: &[u8], then: Then) -> String {
    let mut stream = UnixStream::connect(&*SOCKET).expect("the API listens");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let _refused = stream.write_all(request);
    if then == Then::HangUp {
        let _refused = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the API hangs");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Start the API in a thread that lasts as long as the process.
fn serve() -> PathBuf {
    let path = std::env::temp_dir().join(format!("xrouter-fuzz-{}.sock", std::process::id()));
    let (ready, listens) = sync_channel(0);
    let socket = path.clone();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listeners = Listeners::open(&socket, &[]).await.expect("a socket");
            let (handle, mut requests) = Handle::new(Path::new("/nowhere/router.toml"));
            ready.send(()).expect("somebody waits");
            let control = async {
                while let Some(request) = requests.recv().await {
                    // An order is dropped: control is stopping.
                    if let Request::Show { answer, .. } = request {
                        let _nobody_waits_any_more = answer.send(Value::Null);
                    }
                }
            };
            tokio::join!(listeners.serve(handle), control);
        });
    });
    listens.recv().expect("the API starts");
    path
}
