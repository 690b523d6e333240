//! The checks of compare and swap, ranges, families and times to live.

use std::time::{Duration, Instant};

use tikv_client::{ColumnFamily, KvPair, RawClient};

use crate::checks::join;
use crate::model::{same, Model, Run};
use crate::{Outcome, Store};

fn text<T>(result: tikv_client::Result<T>, what: &str) -> Result<T, String> {
    result.map_err(|e| format!("{what}: {e}"))
}

async fn expect_swap(
    client: &RawClient,
    key: &[u8],
    expected: Option<&str>,
    value: &str,
    before: Option<&str>,
    swapped: bool,
) -> Outcome {
    let expected = expected.map(|v| v.as_bytes().to_vec());
    let got = client.compare_and_swap(key.to_vec(), expected, value.as_bytes().to_vec()).await;
    let before = before.map(|v| v.as_bytes().to_vec());
    same(text(got, "swap")?, (before, swapped), "swap")
}

pub async fn compare_and_swap(run: &Run) -> Outcome {
    let atomic = run.client().with_atomic_for_cas();
    let key = run.key("k");
    run.put(&key, b"first").await?;
    run.delete(&key).await?;
    expect_swap(&atomic, &key, Some("one"), "two", None, false).await?;
    run.expect(&key, None).await?;
    expect_swap(&atomic, &key, None, "one", None, true).await?;
    expect_swap(&atomic, &key, None, "two", Some("one"), false).await?;
    expect_swap(&atomic, &key, Some("two"), "two", Some("one"), false).await?;
    run.expect(&key, Some(b"one")).await?;
    expect_swap(&atomic, &key, Some("one"), "two", Some("one"), true).await?;
    run.expect(&key, Some(b"two")).await?;
    text(atomic.put(key.clone(), "three".to_owned()).await, "atomic put")?;
    expect_swap(&atomic, &key, Some("three"), "", Some("three"), true).await?;
    expect_swap(&atomic, &key, Some(""), "four", Some(""), true).await?;
    text(atomic.delete(key.clone()).await, "atomic delete")?;
    expect_swap(&atomic, &key, None, "five", None, true).await
}

/// Raises one number from several tasks by swaps alone: none may be lost.
pub async fn counter(run: &Run) -> Outcome {
    const TASKS: u32 = 6;
    const RAISES: u32 = 40;
    let key = run.key("n");
    run.put(&key, b"0").await?;
    let mut tasks = vec![];
    for _ in 0..TASKS {
        let client = run.client().with_atomic_for_cas();
        tasks.push(tokio::spawn(raise(client, key.clone(), RAISES)));
    }
    join(tasks).await?;
    run.expect(&key, Some((TASKS * RAISES).to_string().as_bytes())).await
}

async fn raise(client: RawClient, key: Vec<u8>, times: u32) -> Outcome {
    let mut done = 0;
    let mut value = text(client.get(key.clone()).await, "get")?.ok_or("the counter is absent")?;
    while done < times {
        let n: u32 = String::from_utf8_lossy(&value).parse().map_err(|e| format!("{e}"))?;
        let next = (n + 1).to_string().into_bytes();
        let swap = client.compare_and_swap(key.clone(), value, next.clone()).await;
        let (before, swapped) = text(swap, "swap")?;
        if swapped {
            done += 1;
            value = next;
        } else {
            value = before.ok_or("the counter is gone")?;
        }
    }
    Ok(())
}

pub async fn delete_range(run: &Run) -> Outcome {
    let mut model = Model::new();
    for i in 0..1000 {
        model.insert(run.key(format!("{i:04}")), b"v".to_vec());
    }
    run.batch_put(model.clone().into_iter().collect()).await?;
    let (low, high) = (run.key("0100"), run.key("0900"));
    let done = run.client().delete_range(low.clone()..high.clone()).await;
    text(done, "delete range")?;
    model.retain(|key, _| *key < low || *key >= high);
    run.expect_all(&model).await?;
    run.put(&run.key("0500"), b"again").await?;
    model.insert(run.key("0500"), b"again".to_vec());
    run.expect_all(&model).await?;
    text(run.client().delete_range(run.prefix.clone()..run.end()).await, "delete all")?;
    run.expect_batch(model.into_keys().collect(), vec![]).await
}

pub async fn batch_scan(run: &Run) -> Outcome {
    let mut model = Model::new();
    for i in 0..100 {
        model.insert(run.key(format!("{i:04}")), format!("{i}").into_bytes());
    }
    run.batch_put(model.clone().into_iter().collect()).await?;
    let bounds = [("0010", "0013"), ("0050", "0090"), ("0099", "0200"), ("0300", "0400")];
    let ranges = || bounds.iter().map(|(low, high)| run.key(low)..run.key(high));
    for limit in [1, 2, 20, 1000] {
        let mut want: Vec<(Vec<u8>, Vec<u8>)> = vec![];
        for range in ranges() {
            let within = model.range(range).take(limit as usize);
            want.extend(within.map(|(key, value)| (key.clone(), value.clone())));
        }
        let got = text(run.client().batch_scan(ranges(), limit).await, "batch scan")?;
        let got: Vec<_> = got.into_iter().map(|KvPair(key, value)| (key.into(), value)).collect();
        same(&got, &want, "batch scan")?;
        let keys = text(run.client().batch_scan_keys(ranges(), limit).await, "batch scan of keys")?;
        let keys: Vec<Vec<u8>> = keys.into_iter().map(Vec::from).collect();
        let want: Vec<Vec<u8>> = want.into_iter().map(|(key, _)| key).collect();
        same(keys, want, "batch scan of keys")?;
    }
    Ok(())
}

pub async fn families(run: &Run) -> Outcome {
    let key = run.key("k");
    let families = || {
        [
            (ColumnFamily::Default, "default"),
            (ColumnFamily::Lock, "lock"),
            (ColumnFamily::Write, "write"),
        ]
    };
    for (cf, name) in families() {
        let client = run.client().with_cf(cf);
        text(client.put(key.clone(), name.to_owned()).await, "put in a family")?;
    }
    run.put(&run.key("other"), b"in default").await?;
    for (cf, name) in families() {
        let client = run.client().with_cf(cf);
        let got = text(client.get(key.clone()).await, "get from a family")?;
        same(got, Some(name.as_bytes().to_vec()), "get from a family")?;
        text(client.delete(key.clone()).await, "delete in a family")?;
        same(text(client.get(key.clone()).await, "get")?, None, "a deleted key")?;
    }
    run.expect(&run.key("other"), Some(b"in default")).await
}

pub async fn coprocessor(run: &Run) -> Outcome {
    let range = run.prefix.clone()..run.end();
    let answer = run.client().coprocessor("none", "*", [range], |_, _| vec![1]).await;
    match answer {
        Err(e) if e.to_string().contains("Coprocessor plugin is disabled!") => Ok(()),
        other => Err(format!("got {other:?}, want an error")),
    }
}

async fn ttl(run: &Run, key: &[u8]) -> Result<Option<u64>, String> {
    text(run.client().get_key_ttl_secs(key.to_vec()).await, "ttl")
}

pub async fn time_to_live(run: &Run) -> Outcome {
    let (key, other) = (run.key("k"), run.key("other"));
    same(ttl(run, &key).await?, None, "ttl of an absent key")?;
    run.put(&key, b"v").await?;
    same(ttl(run, &key).await?, Some(0), "ttl of a key that stays")?;
    let client = run.client();
    text(client.put_with_ttl(key.clone(), "v".to_owned(), 1000).await, "put with ttl")?;
    let left = ttl(run, &key).await?;
    if !left.is_some_and(|s| (800..=1000).contains(&s)) {
        return Err(format!("{left:?} s are left of 1000"));
    }
    let pairs = vec![(key.clone(), b"1".to_vec()), (other.clone(), b"2".to_vec())];
    let done = client.batch_put_with_ttl(pairs, vec![1, 0]).await;
    text(done, "batch put with ttl")?;
    let began = Instant::now();
    while run.get(&key).await?.is_some() {
        if began.elapsed() > Duration::from_secs(60) {
            return Err("the key does not expire".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    same(ttl(run, &key).await?, None, "ttl of an expired key")?;
    same(ttl(run, &other).await?, Some(0), "ttl of the other one")?;
    run.put(&key, b"again").await?;
    run.expect(&key, Some(b"again")).await
}

/// Whatever would give, or tell, a time to live is refused, and stores nothing.
pub async fn no_time_to_live(run: &Run) -> Outcome {
    let (client, key) = (run.client(), run.key("k"));
    no_ttl(client.put_with_ttl(key.clone(), "v".to_owned(), 10).await, "put")?;
    let pairs = vec![(key.clone(), b"v".to_vec())];
    no_ttl(client.batch_put_with_ttl(pairs, vec![10]).await, "batch put")?;
    run.expect(&key, None).await?;
    run.put(&key, b"v").await?;
    no_ttl(client.get_key_ttl_secs(key.clone()).await, "ttl")
}

fn no_ttl<T: std::fmt::Debug>(result: tikv_client::Result<T>, what: &str) -> Outcome {
    match result {
        Err(e) if e.to_string().contains("ttl is not enabled") => Ok(()),
        other => Err(format!("{what} with ttl: got {other:?}, want an error")),
    }
}

pub fn has_families(store: Store) -> bool {
    store != Store::V2
}
