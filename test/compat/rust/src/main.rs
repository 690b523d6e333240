//! Asks everything of the raw commands, of transactions, and of the timestamps,
//! through the Rust client.
//!
//!     compat [kvcheck] [tso] [txncheck]
//!     compat ride       works while nodes fail, until its input ends
//!     compat idle S     does nothing for so many seconds, and works on
//!     compat die MOMENT PREFIX
//!                       is the client that is killed at this moment of a commit
//!
//! TIKV_PD names the PD endpoints, separated by commas, TIKV_API what the store
//! speaks: V1 (if it is not set), V1TTL or V2, where the checks work in the
//! keyspace that TIKV_KEYSPACE names, or DEFAULT. The first check that fails is
//! named and ends the program.

mod checks;
mod idle;
mod killed;
mod model;
mod more;
mod ride;
mod tso;
mod txn;

use std::time::Duration;

use tikv_client::{Config, RawClient, TransactionClient};

/// The failure of a check: what was expected of what.
pub type Outcome = Result<(), String>;

/// Answers may be larger than the client's default bound.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// The API version of the store's data.
#[derive(Clone, Copy, PartialEq)]
pub enum Store {
    V1,
    V1Ttl,
    V2,
}

fn store_from_env() -> Result<Store, String> {
    match std::env::var("TIKV_API").unwrap_or_default().as_str() {
        "" | "V1" => Ok(Store::V1),
        "V1TTL" => Ok(Store::V1Ttl),
        "V2" => Ok(Store::V2),
        other => Err(format!("TIKV_API is {other:?}, not V1, V1TTL or V2")),
    }
}

/// With TLS if TIKV_CA, TIKV_CERT and TIKV_KEY name files.
fn secured(config: Config) -> Config {
    match ["TIKV_CA", "TIKV_CERT", "TIKV_KEY"].map(std::env::var) {
        [Ok(ca), Ok(cert), Ok(key)] => config.with_security(ca, cert, key),
        _ => config,
    }
}

/// For stores of V2.
fn in_keyspace(config: Config) -> Config {
    match std::env::var("TIKV_KEYSPACE") {
        Ok(name) if !name.is_empty() => config.with_keyspace(&name),
        _ => config.with_default_keyspace(),
    }
}

async fn raw(endpoints: Vec<String>) -> Result<RawClient, String> {
    let mut config = secured(Config::default())
        .with_timeout(Duration::from_secs(20))
        .with_grpc_max_decoding_message_size(MAX_MESSAGE_BYTES);
    if store_from_env()? == Store::V2 {
        config = in_keyspace(config);
    }
    RawClient::new_with_config(endpoints, config).await.map_err(|e| format!("connect: {e}"))
}

async fn kvcheck(endpoints: Vec<String>) -> Outcome {
    checks::run(&raw(endpoints).await?, store_from_env()?).await
}

async fn timestamps(endpoints: Vec<String>) -> Outcome {
    let client = TransactionClient::new_with_config(endpoints, secured(Config::default()))
        .await
        .map_err(|e| format!("connect: {e}"))?;
    tso::run(client, 64, 500).await
}

async fn transactional(endpoints: Vec<String>) -> Result<TransactionClient, String> {
    let mut config = secured(Config::default()).with_timeout(Duration::from_secs(20));
    if store_from_env()? == Store::V2 {
        config = in_keyspace(config);
    }
    TransactionClient::new_with_config(endpoints, config).await.map_err(|e| format!("connect: {e}"))
}

async fn txncheck(endpoints: Vec<String>) -> Outcome {
    txn::run(transactional(endpoints).await?).await
}

async fn idle(endpoints: Vec<String>, seconds: &str) -> Outcome {
    let quiet = seconds.parse().map_err(|_| format!("{seconds} is no number of seconds"))?;
    let client = transactional(endpoints.clone()).await?;
    idle::run(raw(endpoints).await?, client, Duration::from_secs(quiet)).await
}

async fn die(endpoints: Vec<String>, moment: &str, prefix: &str) -> Outcome {
    killed::die(transactional(endpoints).await?, moment, prefix).await
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
    if let [part, moment, prefix] = &parts[..] {
        if part == "die" {
            let outcome = die(endpoints, moment, prefix).await;
            eprintln!("die: lives on: {outcome:?}");
            std::process::exit(1);
        }
    }
    if let [part, seconds] = &parts[..] {
        if part == "idle" {
            if let Err(text) = idle(endpoints, seconds).await {
                eprintln!("idle: {text}");
                std::process::exit(1);
            }
            println!("idle: works after {seconds} s");
            return;
        }
    }
    if parts.is_empty() {
        parts = vec!["kvcheck".into(), "tso".into(), "txncheck".into()];
    }
    for part in parts {
        let outcome = match part.as_str() {
            "kvcheck" => kvcheck(endpoints.clone()).await,
            "tso" => timestamps(endpoints.clone()).await,
            "txncheck" => txncheck(endpoints.clone()).await,
            "ride" => ride::run(endpoints.clone()).await,
            _ => Err("no such part".into()),
        };
        if let Err(text) = outcome {
            eprintln!("{part}: {text}");
            std::process::exit(1);
        }
        println!("{part}: ok");
    }
}
