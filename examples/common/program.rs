//! The program around an example: reads the command line, logs, says what went wrong.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::{env, io, iter};

use axum::Router;
use ractor_webrtc::signaling::guarded::GuardedListener;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use super::arguments::{Arguments, HELP};

/// Whatever an example can fail with.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// What to do with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command<A> {
    /// Run.
    Run(A),
    /// Show the options.
    Help,
}

/// Runs an example with the options that all have, or shows them. `log` is what it logs unless `RUST_LOG` says otherwise.
pub(crate) async fn launch(
    defaults: Arguments,
    log: &str,
    run: impl AsyncFnOnce(Arguments) -> Result<(), Failure>,
) -> ExitCode {
    obey(defaults.parse(env::args().skip(1)), HELP, log, run).await
}

/// Does what a command line has said.
pub(crate) async fn obey<A, E: Into<Failure>>(
    command: Result<Command<A>, E>,
    help: &str,
    log: &str,
    run: impl AsyncFnOnce(A) -> Result<(), Failure>,
) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(log));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();

    let outcome = match command {
        Ok(Command::Run(arguments)) => run(arguments).await,
        Ok(Command::Help) => {
            println!("{help}");
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    outcome.map_or_else(
        |error| {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// Serves until Ctrl-C, and says where.
pub(crate) async fn serve(name: &str, address: SocketAddr, router: Router) -> Result<(), Failure> {
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("{name} is at http://{}/", listener.local_addr()?);
    // Nobody holds a connection open who does not ask for anything.
    let server = axum::serve(GuardedListener::new(listener), router);
    tokio::select! {
        ended = async { server.await } => ended?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    Ok(())
}

/// An error and all its causes in one line.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
