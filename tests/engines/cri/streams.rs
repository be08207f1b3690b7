//! Conversations with a program through the server's streams.

use runsig_test_cri::messages as m;
use runsig_test_cri::{Client, Refused, Stream};
use runsig_tests::{Outcome, Value};

use crate::engine::Talk;
use crate::image::limit;

/// Says each line and waits for the words that answer it; then a program that was executed is waited for.
pub(super) fn talk(client: &Client, container_id: String, to: Talk<'_>, steps: &[(&str, &str)]) -> Outcome {
    match conversation(client, container_id, to, steps) {
        Ok(stream) => outcome(stream),
        Err(Refused { code, message }) => Outcome {
            command: String::new(),
            code: 1,
            stdout: String::new(),
            stderr: format!("{code}: {message}"),
        },
    }
}

fn conversation(
    client: &Client,
    container_id: String,
    to: Talk<'_>,
    steps: &[(&str, &str)],
) -> Result<Stream, Refused> {
    // A terminal has no standard error of its own, and the server refuses to be asked for it.
    let (tty, answer) = match to {
        Talk::Exec { tty, args } => {
            let cmd = args.iter().map(ToString::to_string).collect();
            let request = m::ExecRequest { container_id, cmd, tty, stdin: true, stdout: true, stderr: !tty };
            (tty, client.exec(request)?)
        }
        Talk::Attach { tty } => {
            let request = m::AttachRequest { container_id, stdin: true, tty, stdout: true, stderr: !tty };
            (tty, client.attach(request)?)
        }
    };
    let mut stream = Stream::open(&answer.url)?;
    if tty {
        stream.resize(100, 40)?;
    }
    for (say, until) in steps {
        stream.write(say)?;
        assert!(stream.read_until(until, limit()), "{until} never came: {stream:#?}");
    }
    if matches!(to, Talk::Exec { .. }) {
        assert!(stream.read_to_end(limit()), "no end: {stream:#?}");
    }
    Ok(stream)
}

fn outcome(stream: Stream) -> Outcome {
    let status: Value = serde_json::from_str(&stream.status).unwrap_or_default();
    let causes = status["details"]["causes"].as_array().cloned().unwrap_or_default();
    let told = causes.iter().find(|cause| cause["reason"] == "ExitCode");
    let code = told.and_then(|cause| cause["message"].as_str()?.parse().ok());
    let (code, stderr) = match (code, status["status"].as_str()) {
        (Some(code), _) => (code, stream.stderr),
        (None, Some("Failure")) => (1, format!("{}{}", stream.stderr, status["message"])),
        (None, _) => (0, stream.stderr),
    };
    Outcome { command: String::new(), code, stdout: stream.stdout, stderr }
}
