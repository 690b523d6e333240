//! The check of the timestamps.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use tikv_client::TransactionClient;

use crate::model::nanos;
use crate::Outcome;

/// Allowed distance of a timestamp from this machine's clock.
const DRIFT_MS: i64 = 60_000;

#[derive(Default)]
struct Seen {
    highest: u64,
    all: HashSet<u64>,
}

/// Lets many tasks ask at once. A timestamp has to be larger than every one
/// that anybody had in hand before it was asked for.
pub async fn run(client: TransactionClient, tasks: usize, each: usize) -> Outcome {
    let client = Arc::new(client);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut handles = vec![];
    for _ in 0..tasks {
        let (client, seen) = (client.clone(), seen.clone());
        handles.push(tokio::spawn(async move {
            for _ in 0..each {
                one(&client, &seen).await?;
            }
            Ok(())
        }));
    }
    for handle in handles {
        let outcome: Outcome = handle.await.map_err(|e| format!("task: {e}"))?;
        outcome?;
    }
    Ok(())
}

async fn one(client: &TransactionClient, seen: &Mutex<Seen>) -> Outcome {
    let before = seen.lock().unwrap().highest;
    let asked = client.current_timestamp().await;
    let ts = asked.map_err(|e| format!("timestamp: {e}"))?;
    let number = ((ts.physical as u64) << 18) + ts.logical as u64;
    let mut seen = seen.lock().unwrap();
    if number <= before {
        return Err(format!("timestamp {number} was asked for after {before} was known"));
    }
    if !seen.all.insert(number) {
        return Err(format!("timestamp {number} was given twice"));
    }
    seen.highest = seen.highest.max(number);
    let off = ts.physical - (nanos() / 1_000_000) as i64;
    if off.abs() > DRIFT_MS {
        return Err(format!("timestamp {number} is {off} ms away from the clock"));
    }
    Ok(())
}
