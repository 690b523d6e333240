//! Clients that are killed in the middle of a commit, and another one that cleans up.
//!
//! The client is stopped where it has points to stop it (tikv/client-rust,
//! src/transaction/transaction.rs), in a process of its own, which is then killed.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tikv_client::transaction::{HeartbeatOption, ResolveLocksOptions};
use tikv_client::{TransactionClient, TransactionOptions};

use crate::model::{same, Model};
use crate::txn::{is_conflict, key_errors, text, Run};
use crate::Outcome;

/// The moments, and what the keys hold afterwards.
const DEATHS: [(&str, &str); 5] = [
    ("prewritten", "old"),
    ("primary-committed", "new"),
    ("asynchronously-prewritten", "new"),
    ("pessimistically-locked", "old"),
    ("pessimistically-prewritten", "old"),
];
const KEYS: [&str; 3] = ["a", "b", "c"];

/// What a client prints that has come to its moment.
const READY: &str = "now it may be killed";

const SIGKILL: i32 = 9;

/// The client gives pessimistic locks 20 seconds to live.
const CLEANED_WITHIN: Duration = Duration::from_secs(60);

fn wait_to_be_killed() {
    println!("{READY}");
    std::io::stdout().flush().unwrap();
    std::thread::sleep(Duration::from_secs(120));
}

/// Changes keys below the prefix and stops at the moment.
pub async fn die(client: TransactionClient, moment: &str, prefix: &str) -> Outcome {
    let run = Run { client: Arc::new(client), prefix: prefix.as_bytes().to_vec() };
    let options = match moment {
        "asynchronously-prewritten" => TransactionOptions::new_optimistic().use_async_commit(),
        "pessimistically-locked" | "pessimistically-prewritten" => {
            TransactionOptions::new_pessimistic()
        }
        _ => TransactionOptions::new_optimistic(),
    };
    let mut txn = run.begin(options.heartbeat_option(HeartbeatOption::NoHeartbeat)).await?;
    match moment {
        // No more than the primary key: with its lock ended, release 0.4 of the client
        // stumbles over the TxnNotFound that the others would be answered with.
        "pessimistically-locked" => {
            text(txn.lock_keys(vec![run.key(KEYS[0])]).await, "lock")?;
            wait_to_be_killed();
        }
        "pessimistically-prewritten" => {
            let keys: Vec<_> = KEYS.iter().map(|name| run.key(name)).collect();
            text(txn.lock_keys(keys).await, "lock")?;
        }
        _ => {}
    }
    for name in KEYS {
        text(txn.put(run.key(name), "new".to_owned()).await, "put")?;
    }
    match moment {
        "primary-committed" => fail::cfg_callback("before-commit-secondary", wait_to_be_killed)?,
        _ => fail::cfg_callback("after-prewrite", wait_to_be_killed)?,
    }
    text(txn.commit().await, "commit")?;
    // The other keys are committed by a task.
    tokio::time::sleep(Duration::from_secs(120)).await;
    Ok(())
}

/// Starts the client and kills it when it says that it has come so far.
fn kill(moment: &str, prefix: &str) -> Outcome {
    let program = std::env::current_exe().map_err(|e| format!("own program: {e}"))?;
    let mut child = std::process::Command::new(program)
        .args(["die", moment, prefix])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{moment}: {e}"))?;
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let ready = lines.any(|line| line.is_ok_and(|line| line == READY));
    child.kill().map_err(|e| format!("{moment}: {e}"))?;
    let status = child.wait().map_err(|e| format!("{moment}: {e}"))?;
    same((ready, status.signal()), (true, Some(SIGKILL)), moment)
}

/// Clients that have been killed, one at each moment.
pub struct Killed {
    run: Run,
}

impl Killed {
    pub async fn start(run: Run) -> Result<Killed, String> {
        let mut killers = vec![];
        for (moment, _) in DEATHS {
            let below = Run { prefix: run.key(format!("{moment}/")), ..run.clone() };
            let old = KEYS.iter().map(|name| (below.key(name), b"old".to_vec()));
            below.store(&old.collect()).await?;
            let prefix = String::from_utf8(below.prefix).unwrap();
            killers.push(tokio::task::spawn_blocking(move || kill(moment, &prefix)));
        }
        for killer in killers {
            killer.await.map_err(|e| format!("task: {e}"))??;
        }
        Ok(Killed { run })
    }

    /// Whoever comes next cleans up, whatever key it meets first.
    pub async fn clean_up(&self) -> Outcome {
        for (i, (moment, value)) in DEATHS.into_iter().enumerate() {
            let run = Run { prefix: self.run.key(format!("{moment}/")), ..self.run.clone() };
            if moment == "asynchronously-prewritten" {
                // Whoever meets such a lock only waits, in release 0.4 of the client.
                let range = run.prefix.clone()..run.end();
                let options = ResolveLocksOptions { async_commit_only: true, ..Default::default() };
                let now = run.now().await?;
                text(run.client.cleanup_locks(range, &now, options).await, "cleanup")?;
            }
            let first = run.key(KEYS[i % KEYS.len()]);
            read_when_cleaned(&run, &first).await.map_err(|e| format!("{moment}: {e}"))?;
            let want = KEYS.iter().map(|name| (run.key(name), value.as_bytes().to_vec()));
            run.expect_model(run.now().await?, &want.collect::<Model>()).await?;
            write_when_free(&run).await.map_err(|e| format!("{moment}: {e}"))?;
            let mine = KEYS.iter().map(|name| (run.key(name), b"mine".to_vec()));
            run.expect_model(run.now().await?, &mine.collect::<Model>()).await?;
        }
        let now = self.run.now().await?;
        let range = self.run.prefix.clone()..self.run.end();
        let left = text(self.run.client.scan_locks(&now, range, 10).await, "scan of locks")?;
        same(left.len(), 0, "number of locks that are left")
    }
}

/// Reads until the client, which waits for a few seconds only, finds no living lock.
async fn read_when_cleaned(run: &Run, key: &[u8]) -> Outcome {
    let end = Instant::now() + CLEANED_WITHIN;
    loop {
        let options = TransactionOptions::new_optimistic().read_only();
        let got = run.client.snapshot(run.now().await?, options).get(key.to_vec()).await;
        match got {
            Ok(_) => return Ok(()),
            Err(e) if Instant::now() > end => return Err(format!("read: {e:?}")),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Locks and changes all keys as soon as they are free.
async fn write_when_free(run: &Run) -> Outcome {
    let end = Instant::now() + CLEANED_WITHIN;
    loop {
        let mut txn = run.begin(TransactionOptions::new_pessimistic()).await?;
        let keys: Vec<_> = KEYS.iter().map(|name| run.key(name)).collect();
        match txn.lock_keys(keys.clone()).await {
            Ok(()) => {
                for key in keys {
                    text(txn.put(key, "mine".to_owned()).await, "put")?;
                }
                return text(txn.commit().await, "commit").map(|_| ());
            }
            Err(e) if Instant::now() > end => return Err(format!("lock: {e:?}")),
            // Who finds a living lock is told so in several ways.
            Err(e)
                if is_conflict(&e)
                    || key_errors(&e).iter().any(|e| e.locked.is_some())
                    || format!("{e:?}").contains("ResolveLockError") =>
            {
                text(txn.rollback().await, "roll back")?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(e) => return Err(format!("lock: {e:?}")),
        }
    }
}
