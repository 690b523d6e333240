//! Asks everything of the raw commands, and of the timestamps, through the
//! Rust client.
//!
//!     compat [kvcheck] [tso]
//!
//! TIKV_PD names the PD endpoints, separated by commas. The first check that
//! fails is named and ends the program.

mod checks;
mod model;
mod tso;

use std::time::Duration;

use tikv_client::{Config, RawClient, TransactionClient};

/// The failure of a check: what was expected of what.
pub type Outcome = Result<(), String>;

/// Answers may be larger than the client's default bound.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

async fn kvcheck(endpoints: Vec<String>) -> Outcome {
    let config = Config::default()
        .with_timeout(Duration::from_secs(20))
        .with_grpc_max_decoding_message_size(MAX_MESSAGE_BYTES);
    let client =
        RawClient::new_with_config(endpoints, config).await.map_err(|e| format!("connect: {e}"))?;
    checks::run(&client).await
}

async fn timestamps(endpoints: Vec<String>) -> Outcome {
    let client = TransactionClient::new(endpoints).await.map_err(|e| format!("connect: {e}"))?;
    tso::run(client, 64, 500).await
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let endpoints: Vec<String> = match std::env::var("TIKV_PD") {
        Ok(list) if !list.is_empty() => list.split(',').map(String::from).collect(),
        _ => {
            eprintln!("TIKV_PD is not set");
            std::process::exit(2);
        }
    };
    let mut parts: Vec<String> = std::env::args().skip(1).collect();
    if parts.is_empty() {
        parts = vec!["kvcheck".into(), "tso".into()];
    }
    for part in parts {
        let outcome = match part.as_str() {
            "kvcheck" => kvcheck(endpoints.clone()).await,
            "tso" => timestamps(endpoints.clone()).await,
            _ => Err("no such part".into()),
        };
        if let Err(text) = outcome {
            eprintln!("{part}: {text}");
            std::process::exit(1);
        }
        println!("{part}: ok");
    }
}
