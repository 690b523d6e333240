//! Works while nodes fail: what failed is repeated, and nothing else is done about it, until
//! the input ends. What is read must be what was written.
//!
//! A line "raw N txn M failed K" a few times a second tells what succeeded so far, and how many
//! calls were repeated; the driver is test/faults/ride.

use std::future::Future;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use tikv_client::{CheckLevel, Config, RawClient, TransactionClient, TransactionOptions};

use crate::model::nanos;
use crate::{secured, Outcome};

/// Of one call.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Work {
    over: AtomicBool,
    raw: AtomicU64,
    txn: AtomicU64,
    failed: AtomicU64,
}

impl Work {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn counts(&self) -> [u64; 3] {
        [&self.raw, &self.txn, &self.failed].map(|n| n.load(Ordering::Relaxed))
    }

    /// Repeats a call until it succeeds; none if the work is over.
    async fn again<T, E, F: Future<Output = Result<T, E>>>(&self, call: impl Fn() -> F) -> Option<T> {
        while !self.is_over() {
            if let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, call()).await {
                return Some(answer);
            }
            self.failed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
        None
    }
}

async fn work_raw(work: Arc<Work>, client: RawClient, key: String) -> Outcome {
    for n in 1u64.. {
        let value = n.to_string();
        if work.again(|| client.put(key.clone(), value.clone())).await.is_none() {
            return Ok(());
        }
        work.raw.fetch_add(1, Ordering::Relaxed);
        match work.again(|| client.get(key.clone())).await {
            None => return Ok(()),
            Some(got) if got.as_deref() == Some(value.as_bytes()) => {}
            Some(got) => return Err(format!("{key} is {got:?} after {value} was put")),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

enum Seen {
    Done,
    Strange(String),
}

/// Counts from n to n + 1 on two keys, unless an attempt that seemed to fail has done it.
async fn count(client: &TransactionClient, key: &str, n: u64) -> tikv_client::Result<Seen> {
    let options = if n % 2 == 0 {
        TransactionOptions::new_optimistic()
    } else {
        TransactionOptions::new_pessimistic()
    };
    let mut txn = client.begin_with_options(options.drop_check(CheckLevel::None)).await?;
    let mut seen = Vec::new();
    for i in 0..2 {
        match txn.get(format!("{key}{i}")).await {
            Ok(value) => {
                let text = String::from_utf8_lossy(&value.unwrap_or_default()).to_string();
                seen.push(text.parse().unwrap_or(0u64));
            }
            Err(e) => {
                let _ = txn.rollback().await;
                return Err(e);
            }
        }
    }
    if seen[0] != seen[1] || seen[0] != n && seen[0] != n + 1 {
        return Ok(Seen::Strange(format!("{key} counts {seen:?}, and was at {n}")));
    }
    if seen[0] == n + 1 {
        let _ = txn.rollback().await;
        return Ok(Seen::Done);
    }
    for i in 0..2 {
        if let Err(e) = txn.put(format!("{key}{i}"), (n + 1).to_string()).await {
            let _ = txn.rollback().await;
            return Err(e);
        }
    }
    txn.commit().await?;
    Ok(Seen::Done)
}

async fn work_txn(work: Arc<Work>, client: TransactionClient, key: String) -> Outcome {
    for n in 0u64.. {
        match work.again(|| count(&client, &key, n)).await {
            None => return Ok(()),
            Some(Seen::Strange(text)) => return Err(text),
            Some(Seen::Done) => {}
        }
        work.txn.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

pub async fn run(endpoints: Vec<String>) -> Outcome {
    let config = secured(Config::default()).with_timeout(Duration::from_secs(5));
    let raw = RawClient::new_with_config(endpoints.clone(), config.clone())
        .await
        .map_err(|e| format!("connect: {e}"))?;
    let txn = TransactionClient::new_with_config(endpoints, config)
        .await
        .map_err(|e| format!("connect: {e}"))?;
    let work = Arc::new(Work::default());
    let prefix = format!("ride/rust/{}/", nanos());
    let mut raw = tokio::spawn(work_raw(work.clone(), raw, format!("{prefix}raw")));
    let mut txn = tokio::spawn(work_txn(work.clone(), txn, format!("{prefix}txn")));
    let at_end = work.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        at_end.over.store(true, Ordering::Relaxed);
    });
    loop {
        let [raws, txns, failed] = work.counts();
        println!("raw {raws} txn {txns} failed {failed}");
        let _ = std::io::stdout().flush();
        tokio::select! {
            ended = &mut raw => {
                ended.map_err(|e| e.to_string())??;
                txn.await.map_err(|e| e.to_string())??;
                break;
            }
            ended = &mut txn => {
                ended.map_err(|e| e.to_string())??;
                raw.await.map_err(|e| e.to_string())??;
                break;
            }
            _ = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    let [raws, txns, failed] = work.counts();
    println!("ride: {raws} raw, {txns} transactions, {failed} failures repeated");
    Ok(())
}
